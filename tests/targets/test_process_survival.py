"""Processes that outlive the daemon: a real daemon process is killed, and this one takes over what its helper holds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from schedd.core.model.execution import DeliveryRequest, Survivor
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import HttpTarget, ProcessTarget
from schedd.targets.process.door import boot_id
from schedd.targets.process.reunion import records
from schedd.targets.process.target import ProcessTargets
from schedd.targets.process.tree import process_of
from tests.conformance.survivors import Subject, SurvivorsSuite
from tests.conformance.target import delivery
from tests.targets.test_process_target import Pids, alive, helper_pid, shell, until

ROOT = Path(__file__).parents[2]
EXECUTION, ATTEMPT = delivery(ProcessTarget(argv=("true",)))[3:5]

DAEMON = """
import asyncio, sys, structlog
from datetime import timedelta
from pathlib import Path
from schedd.core.model.target import ProcessTarget
from schedd.targets.process.target import ProcessTargets
from tests.conformance.target import delivery

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def main(home, patience, timeout, stopping, *argv):
    targets = ProcessTargets(home=Path(home), patience_s=float(patience))
    await targets.reunite()
    if not argv:
        print("ready", flush=True)
        await asyncio.Event().wait()
    request = delivery(ProcessTarget(argv=argv, kill_grace=timedelta(milliseconds=200)))
    if timeout:
        request = request._replace(timeout=timedelta(seconds=float(timeout)))
    running = asyncio.ensure_future(targets.deliver(request))
    if stopping:
        await asyncio.sleep(0)
        targets.stopping()
    result = await running
    print(result.code, flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@contextmanager
def earlier_daemon(
    home: Path, *argv: str, patience_s: float = 60, timeout: str = "", stopping: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that runs this, a script or a program, as attempt 1 of an execution, or nothing; it is killed at the end of the block."""
    program = ("/bin/sh", "-c", *argv) if argv and not argv[0].startswith("/") else argv
    command = (sys.executable, "-c", DAEMON, str(home), str(patience_s), timeout, stopping, *program)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as daemon:
        try:
            yield daemon
        finally:
            daemon.kill()


@asynccontextmanager
async def next_daemon(home: Path, patience_s: float = 60) -> AsyncIterator[ProcessTargets]:
    targets = ProcessTargets(home=home, patience_s=patience_s)
    await targets.reunite()
    try:
        yield targets
    finally:
        await targets.aclose()


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Pids]:
    (tmp_path / "pids").mkdir()
    found = Pids(tmp_path / "pids")
    yield found
    for pid in found.living():
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Deeper than the path of a socket may be long."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    return deep / "home"


def request_of(script: str = "") -> DeliveryRequest:
    return delivery(shell(script))


def helper_of(home: Path) -> int:
    (record,) = records(home)
    return record.pid


def line_of(daemon: subprocess.Popen[bytes]) -> bytes:
    assert daemon.stdout is not None
    return daemon.stdout.readline()


async def survivor(targets: ProcessTargets) -> Survivor:
    (found,) = await targets.survivors([(EXECUTION, ATTEMPT)])
    return found


class TestProcessesThatOutliveADaemon(SurvivorsSuite):
    @pytest.fixture
    async def subject(self, home: Path, pids: Pids) -> AsyncIterator[Subject]:
        with earlier_daemon(home, f"> {pids.directory}/$$; while [ ! -e {home}/go ]; do sleep 0.02; done"):
            await until(lambda: bool(pids()))
        async with next_daemon(home) as targets:
            yield Subject(
                survivors=targets,
                request=request_of(),
                let_end=(home / "go").touch,
                gone=lambda: until(lambda: not pids.living()),
            )


async def test_process_that_outlives_its_daemon_is_adopted_with_its_exit_code_and_output(home: Path, pids: Pids) -> None:
    script = f"> {pids.directory}/$$; echo begun; while [ ! -e {home}/go ]; do sleep 0.02; done; echo done; echo bad >&2; exit 7"
    with earlier_daemon(home, script):
        await until(lambda: bool(pids()))
    async with next_daemon(home) as targets:
        found = await survivor(targets)
        assert (found.execution_id, found.attempt, found.ended) == (EXECUTION, ATTEMPT, False)
        assert [found.pid] == pids.living()
        assert 0 < found.age_us < 60_000_000
        adopted = asyncio.ensure_future(targets.adopt(request_of()))
        (home / "go").touch()
        result = await adopted
    assert (result.outcome, result.reason, result.code) == (Outcome.FAILED, Reason.EXIT_CODE, 7)
    assert (result.output, result.error_output) == (b"begun\ndone\n", b"bad\n")


async def test_process_that_ended_while_no_daemon_was_there_has_its_result_kept(home: Path, pids: Pids) -> None:
    with earlier_daemon(home, f"> {pids.directory}/$$; while [ ! -e {home}/go ]; do sleep 0.02; done; echo done"):
        await until(lambda: bool(pids()))
    (home / "go").touch()
    await until(lambda: not pids.living())
    async with next_daemon(home) as targets:
        await survivor(targets)
        result = await targets.adopt(request_of())
    assert (result.outcome, result.code, result.output) == (Outcome.SUCCEEDED, 0, b"done\n")


async def test_result_that_a_daemon_had_no_time_to_record_is_told_to_the_next_one(home: Path) -> None:
    with earlier_daemon(home, "exit 5") as daemon:
        assert line_of(daemon) == b"5\n"
        ended_s = time.monotonic()
    dead_s = time.monotonic()
    async with next_daemon(home) as targets:
        assert (await survivor(targets)).age_us > (dead_s - ended_s) * 1e6
        assert (await targets.adopt(request_of())).code == 5


async def test_process_that_could_not_start_for_a_daemon_that_died_is_told_so(home: Path) -> None:
    with earlier_daemon(home, "/nonexistent/program") as daemon:
        assert line_of(daemon) == b"None\n"
    async with next_daemon(home) as targets:
        assert (await survivor(targets)).pid == 0
        result = await targets.adopt(request_of())
    assert (result.reason, result.message) == (Reason.SPAWN, "cannot start /nonexistent/program: No such file or directory")


async def test_timeout_of_an_adopted_process_counts_on(home: Path, pids: Pids) -> None:
    with earlier_daemon(home, f"> {pids.directory}/$$; exec sleep 1000", timeout="1.5"):
        await until(lambda: bool(pids()))
    async with next_daemon(home) as targets:
        await survivor(targets)
        result = await asyncio.wait_for(targets.adopt(request_of()), 20)
    assert result.reason is Reason.TIMEOUT
    assert pids.living() == []


async def test_cancelled_adoption_ends_the_whole_tree_first(home: Path, pids: Pids) -> None:
    script = f"(setsid sleep 1000 & > {pids.directory}/$!); > {pids.directory}/$$; exec sleep 1000"
    with earlier_daemon(home, script):
        await until(lambda: len(pids()) == 2)
    async with next_daemon(home) as targets:
        await survivor(targets)
        adopted = asyncio.ensure_future(targets.adopt(request_of()))
        await asyncio.sleep(0)
        adopted.cancel()
        await asyncio.wait([adopted])
        assert adopted.cancelled()
        assert pids.living() == []


async def test_survivor_that_is_to_end_ends_as_a_tree_and_says_so(home: Path, pids: Pids) -> None:
    with earlier_daemon(home, f"(setsid sleep 1000 & > {pids.directory}/$!); > {pids.directory}/$$; exec sleep 1000"):
        await until(lambda: len(pids()) == 2)
    async with next_daemon(home) as targets:
        found = await survivor(targets)
        targets.end(found)
        result = await targets.adopt(request_of())
        assert result.reason is Reason.INTERRUPTED
        assert pids.living() == []


async def test_survivor_whose_schedule_calls_something_else_by_now_is_judged_as_a_process(home: Path) -> None:
    with earlier_daemon(home, "exit 5") as daemon:
        assert line_of(daemon) == b"5\n"
    async with next_daemon(home) as targets:
        await survivor(targets)
        result = await targets.adopt(delivery(HttpTarget(url="http://localhost/")))
    assert (result.reason, result.code) == (Reason.EXIT_CODE, 5)


async def test_survivor_that_belongs_to_nobody_is_ended_as_a_tree(home: Path, pids: Pids) -> None:
    with earlier_daemon(home, f"> {pids.directory}/$$; exec sleep 1000"):
        await until(lambda: bool(pids()))
    async with next_daemon(home) as targets:
        targets.discard(await survivor(targets))
        await until(lambda: not pids.living())


async def test_processes_survive_one_daemon_after_the_other(home: Path, pids: Pids) -> None:
    with earlier_daemon(home, f"> {pids.directory}/$$; while [ ! -e {home}/go ]; do sleep 0.02; done; exit 7"):
        await until(lambda: bool(pids()))
    helper = helper_of(home)
    for _ in range(2):
        with earlier_daemon(home) as daemon:
            assert line_of(daemon) == b"ready\n"
    async with next_daemon(home) as targets:
        assert helper_pid(targets) == helper
        (home / "go").touch()
        assert (await targets.adopt(request_of())).code == 7


async def test_helper_without_a_next_daemon_ends_everything_after_its_patience(home: Path, pids: Pids) -> None:
    with earlier_daemon(home, f"> {pids.directory}/$$; exec sleep 1000", patience_s=0.3):
        await until(lambda: bool(pids()))
        helper = helper_of(home)
    await until(lambda: not pids.living())
    await until(lambda: not alive(helper))
    assert list(home.iterdir()) == []


async def test_helper_that_waits_for_a_daemon_ends_everything_when_it_is_terminated(home: Path, pids: Pids) -> None:
    with earlier_daemon(home, f"> {pids.directory}/$$; exec sleep 1000", patience_s=1000) as daemon:
        await until(lambda: bool(pids()))
        helper = helper_of(home)
        os.kill(helper, signal.SIGTERM)
        daemon.kill()
        daemon.wait()
    assert alive(helper)
    while alive(helper):  # It may not know yet that it is alone.
        os.kill(helper, signal.SIGTERM)
        await asyncio.sleep(0.01)
    assert pids.living() == []


async def test_helper_with_nothing_to_hand_over_goes_with_its_daemon(home: Path) -> None:
    with earlier_daemon(home, patience_s=1000) as daemon:
        assert line_of(daemon) == b"ready\n"
        await until(lambda: bool(records(home)))
        helper = helper_of(home)
    await until(lambda: not alive(helper))
    assert list(home.iterdir()) == []


async def test_daemon_killed_while_it_stops_takes_its_processes_along(home: Path, pids: Pids) -> None:
    with earlier_daemon(home, f"> {pids.directory}/$$; exec sleep 1000", patience_s=1000, stopping="yes"):
        await until(lambda: bool(pids()))
        helper = helper_of(home)
    await until(lambda: not pids.living() and not alive(helper))


async def test_leftovers_of_attempts_that_are_not_under_way_are_left_alone(home: Path, pids: Pids) -> None:
    with earlier_daemon(home, f"> {pids.directory}/$$; exec sleep 1000") as daemon:
        await until(lambda: bool(pids()))
        daemon.kill()
        os.kill(helper_of(home), signal.SIGKILL)
    async with next_daemon(home) as targets:
        assert list(await targets.survivors([(EXECUTION + 1, ATTEMPT), (EXECUTION, ATTEMPT + 1)])) == []
        assert pids.living() == pids()


async def test_background_child_of_an_ended_command_is_left_alone_when_the_helper_is_gone(home: Path, pids: Pids) -> None:
    with earlier_daemon(home, f"sleep 1000 & > {pids.directory}/$!") as daemon:
        assert line_of(daemon) == b"0\n"
        daemon.kill()
        os.kill(helper_of(home), signal.SIGKILL)
    async with next_daemon(home) as targets:
        assert list(await targets.survivors([(EXECUTION, ATTEMPT + 1)])) == []
        assert pids.living() == pids()


async def test_leftovers_of_a_dead_helper_that_may_be_under_way_are_ended(home: Path, pids: Pids) -> None:
    with earlier_daemon(home, f"(setsid sleep 1000 & > {pids.directory}/$!); > {pids.directory}/$$; exec sleep 1000") as daemon:
        await until(lambda: len(pids()) == 2)
        daemon.kill()
        os.kill(helper_of(home), signal.SIGKILL)
    async with next_daemon(home) as targets:
        found = await survivor(targets)
        assert found.ended
        assert found.pid in pids()
        assert pids.living() == []


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(("sleep", "1000")) as process:
        try:
            yield process
        finally:
            process.kill()


def forge(home: Path, pid: int, *, started: int = 0, boot: str = "", speech: str = "1") -> None:
    """A record that names this process, as one of an earlier process with the same id does."""
    home.mkdir(exist_ok=True)
    process = process_of(pid)
    assert process is not None
    (home / "abc.spawner").write_text(f"{pid} {process.started + started} {boot or boot_id()} {0xABC} {speech}")


@pytest.mark.parametrize("forged", [{"started": -1}, {"started": 1}, {"boot": "11111111-2222-3333-4444-555555555555"}])
async def test_process_that_got_the_id_of_a_helper_is_left_alone(
    home: Path, bystander: subprocess.Popen[bytes], forged: dict[str, object]
) -> None:
    forge(home, bystander.pid, **forged)  # type: ignore[arg-type]
    async with next_daemon(home) as targets:
        assert helper_pid(targets) != bystander.pid
        assert list(await targets.survivors([(EXECUTION, ATTEMPT)])) == []
        assert bystander.poll() is None
    assert not (home / "abc.spawner").exists()


@pytest.mark.parametrize("speech", ["0.other.version", "same"])
async def test_proven_helper_that_does_not_answer_is_ended(home: Path, pids: Pids, speech: str) -> None:
    with earlier_daemon(home, f"> {pids.directory}/$$; exec sleep 1000"):
        await until(lambda: bool(pids()))
        helper = helper_of(home)
        (path,) = home.glob("*.spawner")
        if speech == "same":
            path.with_suffix(".sock").unlink()
        else:
            path.write_text(" ".join((*path.read_text().split()[:4], speech)))
    async with next_daemon(home) as targets:
        assert not alive(helper)
        assert (await survivor(targets)).ended
        assert pids.living() == []


async def test_hanging_helper_is_replaced_and_what_it_held_is_ended(home: Path, pids: Pids, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schedd.targets.process.target._REUNION_S", 0.2)
    with earlier_daemon(home, f"> {pids.directory}/$$; exec sleep 1000"):
        await until(lambda: bool(pids()))
        helper = helper_of(home)
        os.kill(helper, signal.SIGSTOP)
    async with next_daemon(home) as targets:
        assert not alive(helper)
        assert (await survivor(targets)).ended
        assert pids.living() == []


async def test_adopted_helper_that_dies_fails_what_it_held_and_leaves_nothing(home: Path, pids: Pids) -> None:
    with earlier_daemon(home, f"> {pids.directory}/$$; exec sleep 1000"):
        await until(lambda: bool(pids()))
    async with next_daemon(home) as targets:
        await survivor(targets)
        adopted = asyncio.ensure_future(targets.adopt(request_of()))
        await asyncio.sleep(0)
        os.kill(helper_pid(targets), signal.SIGKILL)
        assert (await adopted).reason is Reason.TARGET_ERROR
        assert pids.living() == []
        assert (await targets.deliver(delivery(ProcessTarget(argv=("true",))))).outcome is Outcome.SUCCEEDED


async def test_directory_that_cannot_be_made_leaves_a_helper_that_ends_with_its_daemon(tmp_path: Path) -> None:
    async with next_daemon(tmp_path / "missing" / "home") as targets:
        assert (await targets.deliver(delivery(ProcessTarget(argv=("true",))))).outcome is Outcome.SUCCEEDED
