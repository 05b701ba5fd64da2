"""Deliveries a second of the HTTP target, beside the raw aiohttp client, against one loopback server in a process of its own.

Both sides send the same body and keep 64 calls in flight; rounds alternate, and the median round counts.
`python bench/http_client.py [--json FILE]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import aiohttp

from schedd.core.model.execution import Cause, DeliveryRequest
from schedd.core.model.reason import Outcome
from schedd.core.model.schedule import ScheduleName
from schedd.core.model.target import HttpTarget, Payload
from schedd.targets.http.call import render
from schedd.targets.http.target import HttpTargets

BODY = b'{"report": "daily", "at": "2026-01-01T09:00:00Z"}'
IN_FLIGHT = 64

T = TypeVar("T")


class WallClock:
    """The host's clock, as far as the HTTP target reads it."""

    def now_us(self) -> int:
        return time.time_ns() // 1000


def serve() -> None:
    """Answer every request on a free loopback port, whose number is the first line of standard output."""

    class Answer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)
            self.buffer = b""

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
                head = self.buffer[:end].lower()
                start = head.index(b"content-length:") + 15
                length = int(head[start : head.find(b"\r", start) if head.find(b"\r", start) >= 0 else None])
                if len(self.buffer) < end + 4 + length:
                    return
                self.buffer = self.buffer[end + 4 + length :]
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    with_uvloop(main())


def with_uvloop(main: Coroutine[Any, Any, T]) -> T:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def rate(call: Callable[[int], Awaitable[None]], calls: int) -> float:
    """Calls a second with IN_FLIGHT of them under way."""
    numbers = iter(range(calls))

    async def caller() -> None:
        for number in numbers:
            await call(number)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(caller())
    return calls / (time.perf_counter() - started)


async def measure(port: int, calls: int, rounds: int) -> dict[str, float]:
    url = f"http://127.0.0.1:{port}/hook"
    targets = HttpTargets(WallClock())
    target = HttpTarget(url=url, payload=Payload(content=BODY))
    timeout = aiohttp.ClientTimeout(total=60)

    requests = [request(target, number) for number in range(calls)]

    async def deliver(number: int) -> None:
        result = await targets.deliver(requests[number])
        assert result.outcome is Outcome.SUCCEEDED, result

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
    plain = {"Content-Type": "application/json"}
    headers = [dict(render(target, one).headers) for one in requests]

    async def post(headers: dict[str, str]) -> None:
        async with session.post(url, data=BODY, headers=headers) as response:
            assert response.status == 200
            await response.read()

    async def raw(number: int) -> None:
        await post(plain)

    async def raw_with_facts(number: int) -> None:
        await post(headers[number])

    calls_by_name = {"HttpTargets": deliver, "raw aiohttp": raw, "raw aiohttp, same headers": raw_with_facts}
    rates: dict[str, list[float]] = {name: [] for name in calls_by_name}
    for round_number in range(rounds + 1):
        for name, call in calls_by_name.items():
            measured = await rate(call, calls)
            if round_number:
                rates[name].append(measured)
    await session.close()
    await targets.aclose()
    return {name: statistics.median(values) for name, values in rates.items()}


def request(target: HttpTarget, number: int) -> DeliveryRequest:
    return DeliveryRequest(
        target=target,
        schedule=ScheduleName(group="bench", schedule="report"),
        schedule_uid=7,
        execution_id=number,
        attempt=1,
        cause=Cause.SCHEDULE,
        nominal_us=1_767_258_000_000_000 + number // 100 * 1_000_000,
        due_us=1_767_258_000_000_000 + number // 100 * 1_000_000,
        timeout=timedelta(seconds=60),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="HTTP deliveries a second")
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", action="store_true", help="be the server")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    command = (sys.executable, __file__, "--serve")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        rates = with_uvloop(measure(int(server.stdout.readline()), options.calls, options.rounds))
        server.stdin.close()
    ratios = {f"of {name}": rates["HttpTargets"] / value for name, value in rates.items() if name != "HttpTargets"}
    print("HTTP deliveries a second")
    for name, value in rates.items():
        print(f"{name:<32}{value:>10.0f}")
    for name, ratio in ratios.items():
        print(f"{name:<32}{ratio:>10.2f}")
    if options.json:
        options.json.write_text(json.dumps({"rates": rates, "ratios": ratios}, indent=2) + "\n")


if __name__ == "__main__":
    main()
