"""Resource limits, with real processes that pass them."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from schedd.core.model.execution import AttemptResult
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import ProcessTarget, ResourceLimits
from schedd.targets.process.target import ProcessTargets
from tests.conformance.target import delivery

SECOND = timedelta(seconds=1)
BUSY = "while True: pass"
DEAF = f"import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n{BUSY}"
ALL = ResourceLimits(
    address_space_bytes=1 << 30,
    cpu_time=7 * SECOND,
    file_size_bytes=1234,
    open_files=33,
    processes=4321,
    core_size_bytes=0,
)


def python(script: str, limits: ResourceLimits) -> ProcessTarget:
    return ProcessTarget(argv=(sys.executable, "-I", "-S", "-c", script), resource_limits=limits)


def shell(script: str, limits: ResourceLimits | None) -> ProcessTarget:
    return ProcessTarget(argv=("/bin/sh", "-c", script), resource_limits=limits)


def limits_in(output: bytes) -> dict[str, tuple[str, str]]:
    """Soft and hard limits by name, from /proc/self/limits."""
    return {line[:26].strip(): (line[26:47].strip(), line[47:68].strip()) for line in output.decode().splitlines()[1:]}


async def run(targets: ProcessTargets, target: ProcessTarget) -> AttemptResult:
    return await targets.deliver(delivery(target)._replace(timeout=timedelta(seconds=60)))


@pytest.fixture
async def targets() -> AsyncIterator[ProcessTargets]:
    targets = ProcessTargets()
    yield targets
    await targets.aclose()


@pytest.mark.parametrize(
    "more", [{}, {"nice": 3}, pytest.param({"user": "nobody"}, marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can"))]
)
async def test_limits_are_those_that_the_program_begins_with(targets: ProcessTargets, more: dict[str, object]) -> None:
    target = replace(ProcessTarget(argv=("cat", "/proc/self/limits"), resource_limits=ALL), **more)  # type: ignore[arg-type]
    found = limits_in((await run(targets, target)).output)
    assert {
        "Max cpu time": ("7", "8"),
        "Max file size": ("1234", "1234"),
        "Max open files": ("33", "33"),
        "Max processes": ("4321", "4321"),
        "Max core file size": ("0", "0"),
        "Max address space": (str(1 << 30), str(1 << 30)),
    }.items() <= found.items()


async def test_limits_that_are_not_set_stay_as_the_daemon_has_them_also_after_others_were_set(targets: ProcessTargets) -> None:
    plain = ProcessTarget(argv=("cat", "/proc/self/limits"))
    before = limits_in((await run(targets, plain)).output)
    await run(targets, replace(plain, resource_limits=ALL))
    few = limits_in((await run(targets, replace(plain, resource_limits=ResourceLimits(open_files=40)))).output)
    after = limits_in((await run(targets, plain)).output)
    tag = "Max realtime timeout"
    assert {name: found for name, found in after.items() if name != tag} == {name: found for name, found in before.items() if name != tag}
    assert {name for name, found in few.items() if found != before[name] and name != tag} == {"Max open files"}


async def test_process_that_computes_for_longer_than_it_may_is_ended_with_the_reason(targets: ProcessTargets) -> None:
    result = await run(targets, python(BUSY, ResourceLimits(cpu_time=SECOND)))
    assert (result.outcome, result.reason, result.code) == (Outcome.FAILED, Reason.RESOURCE_LIMIT, -signal.SIGXCPU)
    assert result.message == "ended by signal SIGXCPU: it used 1 s of CPU time (cpu_time)"


async def test_process_that_ignores_the_cpu_signal_is_killed_a_second_later_with_the_reason(targets: ProcessTargets) -> None:
    result = await run(targets, python(DEAF, ResourceLimits(cpu_time=SECOND)))
    assert (result.outcome, result.reason, result.code) == (Outcome.FAILED, Reason.RESOURCE_LIMIT, -signal.SIGKILL)
    assert result.message.startswith("ended by signal SIGKILL after it had used ")
    assert result.message.endswith(" of CPU time, and it may use 1 s (cpu_time)")


async def test_process_that_somebody_kills_before_its_cpu_limit_ended_by_that_signal(targets: ProcessTargets) -> None:
    result = await run(targets, shell("kill -KILL $$", ResourceLimits(cpu_time=SECOND)))
    assert (result.reason, result.message) == (Reason.SIGNAL, "ended by signal SIGKILL")


async def test_process_that_writes_more_than_it_may_is_ended_with_the_reason(targets: ProcessTargets, tmp_path: Path) -> None:
    script = f"exec head -c 100000 /dev/zero > {tmp_path}/big"
    result = await run(targets, shell(script, ResourceLimits(file_size_bytes=4096)))
    assert (result.outcome, result.reason, result.code) == (Outcome.FAILED, Reason.RESOURCE_LIMIT, -signal.SIGXFSZ)
    assert result.message == "ended by signal SIGXFSZ: it wrote a file beyond the size of 4096 bytes (file_size_bytes)"
    assert (tmp_path / "big").stat().st_size == 4096


async def test_output_counts_as_no_file(targets: ProcessTargets) -> None:
    result = await run(targets, shell("head -c 100000 /dev/zero", ResourceLimits(file_size_bytes=0)))
    assert result.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(("name", "words"), [("XCPU", "it used as much CPU time as the daemon may"), ("XFSZ", "beyond the size as the")])
async def test_signal_of_a_limit_that_the_daemon_has_speaks_of_it(targets: ProcessTargets, name: str, words: str) -> None:
    result = await run(targets, shell(f"kill -{name} $$", None))
    assert (result.reason, words in result.message) == (Reason.RESOURCE_LIMIT, True)


async def test_command_of_a_shell_that_passes_a_limit_leaves_the_shells_exit_code_and_a_hint(
    targets: ProcessTargets, tmp_path: Path
) -> None:
    script = f"head -c 100000 /dev/zero > {tmp_path}/big; exit $?"
    result = await run(targets, shell(script, ResourceLimits(file_size_bytes=4096)))
    assert (result.reason, result.code) == (Reason.EXIT_CODE, 128 + signal.SIGXFSZ)
    assert "with which shells tell that signal SIGXFSZ ended a command" in result.message


@pytest.mark.parametrize(
    ("script", "limits", "error"),
    [
        ("bytearray(1 << 30)", ResourceLimits(address_space_bytes=1 << 28), b"MemoryError"),
        ("[open('/dev/null') for _ in range(9)]", ResourceLimits(open_files=8), b"Too many open files"),
        ("import os; os.ftruncate(os.memfd_create('x'), 9999)", ResourceLimits(file_size_bytes=99), b"File too large"),
    ],
)
async def test_call_that_fails_for_a_limit_is_a_failure_like_any_other(
    targets: ProcessTargets, script: str, limits: ResourceLimits, error: bytes
) -> None:
    result = await run(targets, python(script, limits))
    assert (result.reason, result.code) == (Reason.EXIT_CODE, 1)
    assert error in result.error_output


async def test_address_space_too_small_for_the_program_fails_it_alone(targets: ProcessTargets) -> None:
    result = await run(targets, ProcessTarget(argv=("true",), resource_limits=ResourceLimits(address_space_bytes=1 << 20)))
    assert result.outcome is Outcome.FAILED
    assert (await run(targets, ProcessTarget(argv=("true",)))).outcome is Outcome.SUCCEEDED


async def test_limit_above_the_daemons_own_keeps_the_process_from_starting_and_says_so(targets: ProcessTargets) -> None:
    own = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    result = await run(targets, ProcessTarget(argv=("true",), resource_limits=ResourceLimits(open_files=own + 1)))
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.SPAWN)
    assert result.message == (f"cannot start true with a limit of {own + 1} open files (LimitNOFILE=): the daemon itself has {own} at most")
