"""Starts of /bin/true a second, 64 in flight: process targets beside a raw Popen + pidfd loop, in a small daemon and with 1 GB resident.

Each figure is the median of rounds that alternate. The raw loops reap through pidfds on the same event loop; one of them collects
standard output and standard error through pipes, as the target does. `python bench/process_starts.py [--json FILE]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from schedd.core.model.execution import Cause, DeliveryRequest
from schedd.core.model.reason import Outcome
from schedd.core.model.schedule import ScheduleName
from schedd.core.model.target import ProcessTarget
from schedd.targets.process.target import ProcessTargets

IN_FLIGHT = 64
COMMAND = ("/bin/true",)

Call = Callable[[], Awaitable[None]]


async def rate(call: Call, calls: int) -> float:
    """Calls a second with IN_FLIGHT of them under way."""
    numbers = iter(range(calls))

    async def caller() -> None:
        for _ in numbers:
            await call()

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(caller())
    return calls / (time.perf_counter() - started)


async def exited(process: subprocess.Popen[bytes]) -> None:
    """Wait for the process through a pidfd."""
    loop = asyncio.get_running_loop()
    handle = os.pidfd_open(process.pid)
    done = loop.create_future()
    loop.add_reader(handle, done.set_result, None)
    await done
    loop.remove_reader(handle)
    os.close(handle)
    assert process.wait() == 0


async def popen() -> None:
    await exited(subprocess.Popen(COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


async def popen_with_pipes() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        await exited(process)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read()
        process.stderr.read()


def request() -> DeliveryRequest:
    return DeliveryRequest(
        target=ProcessTarget(argv=COMMAND),
        schedule=ScheduleName(group="bench", schedule="true"),
        schedule_uid=7,
        execution_id=42,
        attempt=1,
        cause=Cause.SCHEDULE,
        nominal_us=1_767_258_000_000_000,
        due_us=1_767_258_000_000_000,
    )


async def measure(calls: int, rounds: int, resident_mb: int) -> dict[str, float]:
    ballast = bytearray(os.urandom(1 << 20) * resident_mb)
    targets = ProcessTargets()
    delivery = request()

    async def target() -> None:
        result = await targets.deliver(delivery)
        assert result.outcome is Outcome.SUCCEEDED, result

    rates: dict[str, list[float]] = {"ProcessTargets": [], "Popen + pidfd": [], "Popen + pidfd, with pipes": []}
    for round_number in range(rounds + 1):
        for name, call in zip(rates, (target, popen, popen_with_pipes), strict=True):
            measured = await rate(call, calls)
            if round_number:
                rates[name].append(measured)
    await targets.aclose()
    assert len(ballast) == resident_mb << 20
    return {name: statistics.median(values) for name, values in rates.items()}


def in_a_daemon_of(resident_mb: int, options: argparse.Namespace) -> dict[str, float]:
    """The figures of a fresh process with that much memory resident."""
    command = (sys.executable, __file__, "--calls", str(options.calls), "--rounds", str(options.rounds), "--resident-mb", str(resident_mb))
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Starts of /bin/true a second")
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--resident-mb", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.resident_mb is not None:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(measure(options.calls, options.rounds, options.resident_mb))))
        return
    small, large = in_a_daemon_of(20, options), in_a_daemon_of(1024, options)
    print(f"{'starts of /bin/true a second':<32}{'small':>10}{'1 GB':>10}")
    for name in small:
        print(f"{name:<32}{small[name]:>10.0f}{large[name]:>10.0f}")
    ratios = {
        "of Popen + pidfd": small["ProcessTargets"] / small["Popen + pidfd"],
        "of Popen + pidfd, with pipes": small["ProcessTargets"] / small["Popen + pidfd, with pipes"],
        "1 GB of small": large["ProcessTargets"] / small["ProcessTargets"],
    }
    for name, ratio in ratios.items():
        print(f"{name:<32}{ratio:>10.2f}")
    if options.json:
        options.json.write_text(json.dumps({"small": small, "large": large, "ratios": ratios}, indent=2) + "\n")


if __name__ == "__main__":
    main()
