"""Process targets, with real processes; the hostile ones are written out in `HOSTILE`."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from schedd.core.model.execution import AttemptResult
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import HttpTarget, Payload, ProcessTarget
from schedd.targets.process.target import ProcessTargets
from tests.conformance.target import Subject, TargetSuite, cancel_until_done, delivery

SOON = timedelta(milliseconds=100)


def shell(script: str, **fields: object) -> ProcessTarget:
    return replace(ProcessTarget(argv=("/bin/sh", "-c", script), kill_grace=SOON), **fields)  # type: ignore[arg-type]


def python(script: str, **fields: object) -> ProcessTarget:
    return replace(ProcessTarget(argv=(sys.executable, "-I", "-S", "-c", script), kill_grace=SOON), **fields)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in (b"Z", b"X")


async def until(condition: Callable[[], bool], limit_s: float = 20) -> None:
    """Return when the condition holds; other processes change it, so there is nothing to wait on but the clock."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 (no event of ours)
            await asyncio.sleep(0.005)


@pytest.fixture
async def targets() -> AsyncIterator[ProcessTargets]:
    targets = ProcessTargets()
    yield targets
    await targets.aclose()


class Pids:
    """The processes that tests' scripts write down in a directory, a file named by its pid each."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self) -> list[int]:
        return [int(path.name) for path in self.directory.iterdir()]

    def living(self) -> list[int]:
        return [pid for pid in self() if alive(pid)]


@pytest.fixture
def pids(tmp_path: Path) -> Pids:
    (tmp_path / "pids").mkdir()
    return Pids(tmp_path / "pids")


class TestPort(TargetSuite):
    @pytest.fixture
    async def subject(self, targets: ProcessTargets, pids: Pids) -> Subject:
        async def started() -> None:
            await until(lambda: bool(pids()))

        async def gone() -> None:
            await until(lambda: not pids.living())

        return Subject(
            target=targets,
            succeeding=ProcessTarget(argv=("true",)),
            failing=ProcessTarget(argv=("false",)),
            unreachable=ProcessTarget(argv=("/nonexistent/program",)),
            hanging=shell(f"> {pids.directory}/$$; exec sleep 1000"),
            with_unknown_label=ProcessTarget(argv=("echo", "{{ labels.owner }}")),
            of_another_kind=HttpTarget(url="http://localhost/"),
            printing_1000_bytes_kept_100=shell("printf %01000d 0", output_limit_bytes=100),
            started=started,
            gone=gone,
        )


async def run(targets: ProcessTargets, target: ProcessTarget, timeout_s: float = 60) -> AttemptResult:
    return await targets.deliver(delivery(target)._replace(timeout=timedelta(seconds=timeout_s)))


async def test_exit_code_among_the_successful_ones_succeeds(targets: ProcessTargets) -> None:
    result = await run(targets, shell("exit 3", success_exit_codes=(0, 3)))
    assert (result.outcome, result.reason, result.code) == (Outcome.SUCCEEDED, Reason.COMPLETED, 3)


async def test_other_exit_code_fails_and_is_kept(targets: ProcessTargets) -> None:
    result = await run(targets, shell("echo out; echo err >&2; exit 7"))
    assert (result.reason, result.code, result.output, result.error_output) == (Reason.EXIT_CODE, 7, b"out\n", b"err\n")


async def test_process_killed_by_a_signal_fails_with_the_signal(targets: ProcessTargets) -> None:
    result = await run(targets, shell("kill -KILL $$"))
    assert (result.reason, result.code) == (Reason.SIGNAL, -9)
    assert "SIGKILL" in result.message


@pytest.mark.parametrize(
    ("target", "part"),
    [
        (ProcessTarget(argv=("/nonexistent/program",)), "/nonexistent/program: No such file"),
        (ProcessTarget(argv=("no-such-program-anywhere",)), "no-such-program-anywhere: No such file"),
        (ProcessTarget(argv=("/etc/passwd",)), "/etc/passwd: Permission denied"),
        (ProcessTarget(argv=("true",), working_directory="/nonexistent"), "the directory /nonexistent: No such file"),
        (ProcessTarget(argv=("true",), user="no-such-user"), "there is no user 'no-such-user'"),
        (ProcessTarget(argv=("true",), group="no-such-group"), "there is no group 'no-such-group'"),
        (ProcessTarget(argv=("true", "x" * 200_000)), "Argument list too long"),
        (ProcessTarget(argv=("true", "a\0b")), "null byte"),
    ],
)
async def test_process_that_cannot_start_says_why(targets: ProcessTargets, target: ProcessTarget, part: str) -> None:
    result = await run(targets, target)
    assert (result.outcome, result.reason, result.code) == (Outcome.FAILED, Reason.SPAWN, None)
    assert part in result.message
    assert (await run(targets, ProcessTarget(argv=("true",)))).outcome is Outcome.SUCCEEDED


async def test_environment_is_clean_and_has_the_facts(targets: ProcessTargets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKED", "secret")
    target = ProcessTarget(argv=("/usr/bin/env", "-0"), env={"TEAM": "{{ labels.team }}", "LANG": "de_DE.UTF-8"})
    result = await run(targets, target)
    env = dict(line.split("=", 1) for line in result.output.decode().rstrip("\0").split("\0"))
    assert {name for name in env if not name.startswith("SCHEDD_")} == {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TEAM"}
    assert env["TEAM"] == "data"
    assert env["LANG"] == "de_DE.UTF-8"
    assert env["SCHEDD_SCHEDULE"] == "groups/reports/schedules/daily"
    assert env["SCHEDD_NOMINAL_TIME"] == "2026-01-01T09:00:00Z"
    assert env["SCHEDD_DUE_TIME"] == "2026-01-01T09:00:01.500000Z"
    assert env["SCHEDD_NOMINAL_TIME_LOCAL"] == "2026-01-01T04:00:00-05:00"
    assert env["SCHEDD_DELIVERY_KEY"] == "0000000000007:2026-01-01T09:00:00Z"
    assert env["SCHEDD_ATTEMPT"] == "1"


async def test_child_is_set_up_afresh(targets: ProcessTargets, tmp_path: Path) -> None:
    script = (
        "import os, signal\n"
        "print(sorted(map(int, os.listdir('/proc/self/fd')))[:3], len(os.listdir('/proc/self/fd')))\n"
        "print(os.getsid(0) == os.getpid(), oct(os.umask(0)), os.getpriority(os.PRIO_PROCESS, 0), os.getcwd())\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP))\n"
    )
    result = await run(targets, python(script, umask=0o027, nice=5, working_directory=str(tmp_path)))
    lines = result.output.decode().splitlines()
    assert lines[0] == "[0, 1, 2] 4", result.error_output  # the fourth is the listing itself
    assert lines[1] == f"True 0o27 5 {tmp_path}"
    assert lines[2] == f"set() {signal.SIG_DFL} {signal.SIG_DFL}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the account")
async def test_process_of_another_user_runs_as_that_user(targets: ProcessTargets) -> None:
    result = await run(targets, shell("id -un; id -Gn; echo $HOME $USER", user="daemon"))
    assert result.output.decode().split()[0] == "daemon"
    assert result.output.decode().split()[-1] == "daemon"
    assert b"root" not in result.output


async def test_stdin_is_the_rendered_payload(targets: ProcessTargets) -> None:
    target = ProcessTarget(argv=("cat",), stdin=Payload(content=b'{"at": "{{ nominal_date }}"}'))
    assert (await run(targets, target)).output == b'{"at": "2026-01-01"}'


async def test_stdin_without_a_payload_is_at_its_end(targets: ProcessTargets) -> None:
    assert (await run(targets, ProcessTarget(argv=("cat",)))).outcome is Outcome.SUCCEEDED


async def test_large_stdin_is_fed_whole(targets: ProcessTargets) -> None:
    target = ProcessTarget(argv=("wc", "-c"), stdin=Payload(content=bytes(262_144), template=False))
    assert (await run(targets, target)).output.split() == [b"262144"]


async def test_large_stdin_that_nobody_reads_holds_nothing_up(targets: ProcessTargets) -> None:
    target = replace(shell("exit 0"), stdin=Payload(content=bytes(262_144), template=False))
    assert (await run(targets, target)).outcome is Outcome.SUCCEEDED
    blocked = replace(shell("exec sleep 1000"), stdin=Payload(content=bytes(262_144), template=False))
    assert (await run(targets, blocked, 0.1)).reason is Reason.TIMEOUT


async def test_output_keeps_beginning_and_end(targets: ProcessTargets) -> None:
    result = await run(targets, shell("printf start; head -c 100000000 /dev/zero; printf end; echo error >&2", output_limit_bytes=20))
    assert (result.output, result.error_output, result.output_truncated) == (b"start" + bytes(12) + b"end", b"error\n", True)


async def test_output_of_exactly_its_limit_is_whole(targets: ProcessTargets) -> None:
    result = await run(targets, shell("printf 12345; printf 12345", output_limit_bytes=10))
    assert (result.output, result.output_truncated) == (b"1234512345", False)


async def test_output_with_limit_zero_is_discarded(targets: ProcessTargets) -> None:
    result = await run(targets, shell("echo something", output_limit_bytes=0))
    assert (result.output, result.output_truncated) == (b"", True)


async def test_background_child_is_left_alone_and_does_not_hold_the_result_up(targets: ProcessTargets, pids: Pids) -> None:
    result = await asyncio.wait_for(run(targets, shell(f"sleep 1000 & > {pids.directory}/$!; echo done")), 10)
    assert (result.outcome, result.output) == (Outcome.SUCCEEDED, b"done\n")
    (pid,) = pids()
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


async def test_timeout_sends_term_first_and_keeps_what_was_printed(targets: ProcessTargets) -> None:
    target = shell("trap 'echo cleaned; exit 0' TERM; echo begun; while :; do sleep 0.01; done", kill_grace=timedelta(seconds=30))
    result = await run(targets, target, 0.3)
    assert (result.reason, result.output) == (Reason.TIMEOUT, b"begun\ncleaned\n")


async def test_last_words_of_a_tree_that_is_ended_are_kept(targets: ProcessTargets) -> None:
    target = shell("(trap 'echo child; exit' TERM; echo ready; while :; do sleep 0.01; done) & wait", kill_grace=timedelta(seconds=30))
    result = await run(targets, target, 0.3)
    assert (result.reason, result.output) == (Reason.TIMEOUT, b"ready\nchild\n")


UNTAGGED = """
import asyncio, resource, sys
from dataclasses import replace
from datetime import timedelta
resource.setrlimit(resource.RLIMIT_RTTIME, (10**9, 10**9))
from schedd.core.model.target import ProcessTarget
from schedd.targets.process.target import ProcessTargets
from tests.conformance.target import delivery
request = delivery(ProcessTarget(argv=tuple(sys.argv[1:])))._replace(timeout=timedelta(seconds=0.5))
async def main():
    targets = ProcessTargets()
    print((await targets.deliver(request)).reason)
    await targets.aclose()
asyncio.run(main())
"""


async def test_tree_is_ended_by_descent_where_no_tag_can_be_set(pids: Pids) -> None:
    script = f"sleep 1000 & > {pids.directory}/$!; > {pids.directory}/$$; wait"
    command = (sys.executable, "-c", UNTAGGED, "/bin/sh", "-c", script)
    done = subprocess.run(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, timeout=30, check=True)
    assert done.stdout == b"TIMEOUT\n"
    assert len(pids()) == 2
    assert pids.living() == []


HOSTILE = r"""
import os, signal, sys, time
directory = sys.argv[1]
def note():
    open(f"{directory}/{os.getpid()}", "w").close()
def stay():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note()
    while True: time.sleep(100)
def fork(body):
    if os.fork() == 0:
        try: body()
        finally: os._exit(0)
def detached():            # double fork and setsid: an orphan in a session of its own
    os.setsid(); fork(stay)
def cleaned():             # the same, and its environment and command line say nothing
    os.setsid()
    fork(lambda: (note(), os.execve(sys.executable, ["x", "-I", "-S", "-c",
        "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)"], {})))
def breeder():             # forks for ever, each generation in a session of its own
    signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        fork(lambda: (os.setsid(), note(), time.sleep(1000)))
        time.sleep(0.01)
def reborn(*_):            # on SIGTERM: leave a new orphan behind, and go
    fork(detached); os._exit(0)
for body in (detached, cleaned, stay, breeder): fork(body)
if sys.argv[2] == "reborn": signal.signal(signal.SIGTERM, reborn)
elif sys.argv[2] == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
note()
while True: time.sleep(100)
"""


@pytest.mark.parametrize("manner", ["plain", "reborn", "stubborn"])
@pytest.mark.parametrize("end", ["timeout", "cancel", "aclose"])
async def test_hostile_tree_leaves_no_survivor(targets: ProcessTargets, pids: Pids, manner: str, end: str) -> None:
    target = ProcessTarget(
        argv=(sys.executable, "-I", "-S", "-c", HOSTILE, str(pids.directory), manner), kill_grace=timedelta(milliseconds=300)
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(targets, target, 0.7 if end == "timeout" else 60))
        await until(lambda: len(pids()) >= 8)
        if end == "cancel":
            task.cancel()
        elif end == "aclose":
            await targets.aclose()
            assert pids.living() == []
    assert pids.living() == []
    if end == "cancel":
        assert task.cancelled()
    else:
        assert task.result().reason is (Reason.TIMEOUT if end == "timeout" else Reason.INTERRUPTED)


async def test_cancelled_delivery_ends_after_its_tree_however_often_it_is_cancelled(targets: ProcessTargets, pids: Pids) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(targets, shell(f"trap '' TERM; > {pids.directory}/$$; while :; do sleep 0.01; done")))
        await until(lambda: bool(pids()))
        await cancel_until_done(task)
        assert pids.living() == []


async def test_forced_end_does_not_wait_for_the_grace(targets: ProcessTargets, pids: Pids) -> None:
    script = f"trap '' TERM; > {pids.directory}/$$; while :; do sleep 0.01; done"
    request = delivery(shell(script, kill_grace=timedelta(minutes=10)))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(targets.deliver(request))
        await until(lambda: bool(pids()))
        targets.force(request.execution_id + 1)
        targets.force(request.execution_id)
        task.cancel()
        await asyncio.wait([task], timeout=20)
        assert task.cancelled()
        assert pids.living() == []


async def test_disabled_targets_deny_deliveries_and_let_what_runs_go_on(targets: ProcessTargets, pids: Pids) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run(targets, shell(f"> {pids.directory}/$$; sleep 0.2; exit 3")))
        await until(lambda: len(pids()) == 1)
        targets.enabled = False
        denied = await run(targets, shell(f"> {pids.directory}/1"))
    assert (denied.outcome, denied.reason) == (Outcome.FAILED, Reason.TARGET_DENIED)
    assert denied.message == "this daemon runs no commands: process.enabled is false in its configuration"
    assert (running.result().code, len(pids())) == (3, 1)
    targets.enabled = True
    assert (await run(targets, shell("exit 3"))).code == 3


async def test_ending_one_tree_spares_the_others(targets: ProcessTargets, pids: Pids) -> None:
    script = f"(setsid sleep 1000 & > {pids.directory}/$!) ; exec sleep 1000"
    async with asyncio.TaskGroup() as group:
        first = group.create_task(run(targets, shell(script)))
        await until(lambda: len(pids()) == 1)
        second = group.create_task(targets.deliver(delivery(shell(script))._replace(execution_id=43)))
        await until(lambda: len(pids()) == 2)
        first.cancel()
        await asyncio.wait([first])
        assert len(pids.living()) == 1
        second.cancel()
    assert pids.living() == []


async def test_helper_killed_in_mid_flight_fails_its_deliveries_and_leaves_nothing(targets: ProcessTargets, pids: Pids) -> None:
    hostile = ProcessTarget(argv=(sys.executable, "-I", "-S", "-c", HOSTILE, str(pids.directory), "stubborn"))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(targets, hostile))
        await until(lambda: len(pids()) >= 8)
        os.kill(helper_pid(targets), signal.SIGKILL)
    assert task.result().reason is Reason.TARGET_ERROR
    assert "helper died" in task.result().message
    assert pids.living() == []
    assert (await run(targets, ProcessTarget(argv=("true",)))).outcome is Outcome.SUCCEEDED


def helper_pid(targets: ProcessTargets) -> int:
    line = targets._line
    assert line is not None
    return line.pid


@pytest.mark.parametrize("end", ["timeout", "cancel", "aclose"])
async def test_helper_that_does_not_answer_is_replaced(pids: Pids, end: str) -> None:
    targets = ProcessTargets(overdue_s=0.3)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(targets, shell(f"> {pids.directory}/$$; exec sleep 1000"), 0.5 if end == "timeout" else 60))
        await until(lambda: bool(pids()))
        os.kill(helper_pid(targets), signal.SIGSTOP)
        if end == "cancel":
            task.cancel()
        elif end == "aclose":
            await targets.aclose()
    assert task.cancelled() if end == "cancel" else task.result().reason is Reason.TARGET_ERROR
    assert pids.living() == []
    await targets.aclose()


DAEMON = """
import asyncio, sys
from schedd.core.model.target import ProcessTarget
from schedd.targets.process.target import ProcessTargets
from tests.conformance.target import delivery
asyncio.run(ProcessTargets().deliver(delivery(ProcessTarget(argv=tuple(sys.argv[1:])))))
"""


async def test_killed_daemon_takes_its_trees_along(pids: Pids) -> None:
    command = (sys.executable, "-c", DAEMON, sys.executable, "-I", "-S", "-c", HOSTILE, str(pids.directory), "stubborn")
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as daemon:
        try:
            await until(lambda: len(pids()) >= 8)
        finally:
            daemon.kill()
    await until(lambda: not pids.living())


async def test_two_hundred_at_once_all_come_back(targets: ProcessTargets) -> None:
    results = await asyncio.gather(*(run(targets, shell(f"echo {number}; exec sleep 0.2")) for number in range(200)))
    assert [int(result.output) for result in results] == list(range(200))


async def test_deliveries_beyond_the_limit_of_open_files_fail_to_start(tmp_path: Path) -> None:
    script = (
        "import asyncio, resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "from schedd.core.model.target import ProcessTarget\n"
        "from schedd.targets.process.target import ProcessTargets\n"
        "from tests.conformance.target import delivery\n"
        "async def main():\n"
        "    targets = ProcessTargets()\n"
        "    request = delivery(ProcessTarget(argv=('sleep', '0.5')))\n"
        "    results = await asyncio.gather(*(targets.deliver(request) for _ in range(40)))\n"
        "    print(sorted({str(result.reason) for result in results}))\n"
        "    print((await targets.deliver(request)).reason)\n"
        "    await targets.aclose()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        (sys.executable, "-c", script), cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.split("\n")[:2] == ["['COMPLETED', 'SPAWN']", "COMPLETED"]
