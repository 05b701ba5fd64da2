"""kill -9 of the whole daemon while commands run: what outlives it is adopted, or ended as a tree, and nothing runs twice side by side."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from schedd.client import SyncClient
from schedd.targets.process.reunion import records
from schedd.v1 import execution_pb2, journal_pb2, policy_pb2, reason_pb2, schedule_pb2, target_pb2, when_pb2
from tests.daemons import RealDaemon, real_daemon
from tests.targets.test_process_target import alive

NAME = "groups/default/schedules/job"
AT_MOST_ONCE = policy_pb2.Policies(delivery=policy_pb2.DELIVERY_AT_MOST_ONCE)
END = policy_pb2.RECOVERY_END


def until(condition: Callable[[], bool], limit_s: float = 60) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


@dataclass
class Commands:
    """A daemon with a schedule whose command writes its pid down, and its child's, and ends with code 7 once it is told to."""

    daemon: RealDaemon
    directory: Path

    def begin(self, policies: policy_pb2.Policies) -> str:
        """Trigger it; the execution's name, once its command runs."""
        script = (
            f"(setsid sleep 1000 & echo $! > {self.directory}/child-$$); : > {self.directory}/pid-$$\n"
            f"while [ ! -e {self.directory}/go ]; do sleep 0.05; done; kill $(cat {self.directory}/child-$$); echo done; exit 7"
        )
        never = when_pb2.Trigger(expression="at(2099-01-01T00:00:00)")
        policies.retry.CopyFrom(policy_pb2.Retry(max_attempts=1))
        target = target_pb2.Target(process=target_pb2.ProcessTarget(argv=["/bin/sh", "-c", script]))
        with self.client() as client:
            client.create_schedule(schedule_pb2.Schedule(name=NAME, triggers=[never], target=target, policies=policies))
            name = client.trigger_schedule(NAME).execution.name
        until(lambda: len(self.pids()) == 1)
        until(lambda: self.execution(name).state == execution_pb2.EXECUTION_STATE_RUNNING)
        return name

    def client(self) -> SyncClient:
        return SyncClient(self.daemon.socket)

    def execution(self, name: str) -> execution_pb2.Execution:
        with self.client() as client:
            return client.get_execution(name)

    def pids(self) -> list[int]:
        """Of every run's own process, in the order of their starts."""
        return [int(path.name[4:]) for path in sorted(self.directory.glob("pid-*"), key=lambda path: path.stat().st_mtime_ns)]

    def tree(self) -> list[int]:
        """Everything of any run that lives."""
        children = [int(text) for path in self.directory.glob("child-*") if (text := path.read_text())]
        return [pid for pid in (*self.pids(), *children) if alive(pid)]

    def crash(self) -> None:
        self.daemon.end(signal.SIGKILL)

    def crash_with_helper(self) -> None:
        (record,) = records(self.directory / "schedd.db.processes")
        self.crash()
        os.kill(record.pid, signal.SIGKILL)
        until(lambda: not alive(record.pid))

    def ended(self, name: str) -> execution_pb2.Execution:
        with self.client() as client:
            return client.wait_execution(name)


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with real_daemon(tmp_path) as daemon:
        yield Commands(daemon, tmp_path)


@pytest.mark.parametrize("policies", [policy_pb2.Policies(), AT_MOST_ONCE], ids=["at_least_once", "at_most_once"])
def test_command_that_outlives_a_killed_daemon_is_adopted_and_ends_once_with_code_and_output(
    commands: Commands, policies: policy_pb2.Policies
) -> None:
    name = commands.begin(policies)
    (pid,) = commands.pids()
    commands.crash()
    assert alive(pid)
    commands.daemon.start()
    with commands.client() as client:
        (adopted,) = client.list_journal(kinds=[journal_pb2.JOURNAL_KIND_EXECUTION_ADOPTED])
        assert (adopted.reason, int(adopted.evidence["pid"])) == (reason_pb2.REASON_RECOVERED, pid)
        beside = client.trigger_schedule(NAME).execution.name
        assert client.wait_execution(beside).reason == reason_pb2.REASON_OVERLAP
    (commands.directory / "go").touch()
    execution = commands.ended(name)
    (attempt,) = execution.attempts
    assert (attempt.reason, attempt.code, attempt.output) == (reason_pb2.REASON_EXIT_CODE, 7, b"done\n")
    assert execution.outcome == reason_pb2.OUTCOME_FAILED
    assert commands.pids() == [pid]


def test_command_that_ended_while_no_daemon_was_there_is_recorded_and_not_made_again(commands: Commands) -> None:
    name = commands.begin(policy_pb2.Policies())
    commands.crash()
    (commands.directory / "go").touch()
    until(lambda: not commands.tree())
    commands.daemon.start()
    (attempt,) = commands.ended(name).attempts
    assert (attempt.code, attempt.output) == (7, b"done\n")
    assert len(commands.pids()) == 1


def test_command_under_recovery_end_is_ended_as_a_tree_and_made_again(commands: Commands) -> None:
    name = commands.begin(policy_pb2.Policies(recovery=END))
    commands.crash()
    first = commands.tree()
    assert len(first) == 2
    commands.daemon.start()
    until(lambda: len(commands.pids()) == 2)
    assert not [pid for pid in first if alive(pid)]
    (commands.directory / "go").touch()
    execution = commands.ended(name)
    assert [(attempt.number, attempt.reason) for attempt in execution.attempts] == [
        (1, reason_pb2.REASON_INTERRUPTED),
        (2, reason_pb2.REASON_EXIT_CODE),
    ]


def test_command_under_recovery_end_and_at_most_once_is_ended_and_its_outcome_unknown(commands: Commands) -> None:
    name = commands.begin(policy_pb2.Policies(recovery=END, delivery=policy_pb2.DELIVERY_AT_MOST_ONCE))
    commands.crash()
    commands.daemon.start()
    execution = commands.ended(name)
    assert (execution.outcome, execution.reason) == (reason_pb2.OUTCOME_UNKNOWN, reason_pb2.REASON_INTERRUPTED)
    assert commands.tree() == []
    assert len(commands.pids()) == 1


def test_command_whose_helper_was_killed_too_is_ended_as_a_tree_and_not_run_beside_itself(commands: Commands) -> None:
    name = commands.begin(AT_MOST_ONCE)
    commands.crash_with_helper()
    assert len(commands.tree()) == 2
    commands.daemon.start()
    execution = commands.ended(name)
    assert (execution.outcome, execution.reason) == (reason_pb2.OUTCOME_UNKNOWN, reason_pb2.REASON_INTERRUPTED)
    assert commands.tree() == []


def test_command_of_which_nothing_is_left_under_at_most_once_is_lost_and_not_made_again(commands: Commands) -> None:
    name = commands.begin(AT_MOST_ONCE)
    commands.crash_with_helper()
    for pid in commands.tree():
        os.kill(pid, signal.SIGKILL)
    commands.daemon.start()
    execution = commands.ended(name)
    assert (execution.outcome, execution.reason) == (reason_pb2.OUTCOME_UNKNOWN, reason_pb2.REASON_PROCESS_LOST)
    assert len(commands.pids()) == 1


class Hanging(BaseHTTPRequestHandler):
    """Takes a call and never answers it."""

    def do_POST(self) -> None:
        self.server.calls.append(self.headers["Schedd-Delivery-Key"])  # type: ignore[attr-defined]
        self.rfile.read()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hanging() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hanging) as server:
        server.daemon_threads = True
        server.calls = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("delivery", "calls"), [(policy_pb2.DELIVERY_AT_MOST_ONCE, 1), (policy_pb2.DELIVERY_AT_LEAST_ONCE, 2)], ids=["at_most", "at_least"]
)
def test_call_cut_off_by_a_kill_is_made_again_unless_it_may_be_made_once_only(
    commands: Commands, hanging: ThreadingHTTPServer, delivery: policy_pb2.Delivery.ValueType, calls: int
) -> None:
    made: list[str] = hanging.calls  # type: ignore[attr-defined]
    target = target_pb2.Target(http=target_pb2.HttpTarget(url=f"http://127.0.0.1:{hanging.server_address[1]}/"))
    policies = policy_pb2.Policies(delivery=delivery)
    never = when_pb2.Trigger(expression="at(2099-01-01T00:00:00)")
    with commands.client() as client:
        client.create_schedule(schedule_pb2.Schedule(name=NAME, triggers=[never], target=target, policies=policies))
        name = client.trigger_schedule(NAME).execution.name
    until(lambda: len(made) == 1 and commands.execution(name).state == execution_pb2.EXECUTION_STATE_RUNNING)
    commands.crash()
    commands.daemon.start()
    if calls == 1:
        assert commands.ended(name).outcome == reason_pb2.OUTCOME_UNKNOWN
    until(lambda: len(made) == calls)
    assert len(set(made)) == 1
    with commands.client() as client:
        if calls == 2:
            client.cancel_execution(name)
        assert client.get_execution(name).attempts[0].reason == reason_pb2.REASON_INTERRUPTED


def test_daemon_that_is_told_to_stop_leaves_neither_commands_nor_a_helper(commands: Commands) -> None:
    commands.begin(policy_pb2.Policies())
    (record,) = records(commands.directory / "schedd.db.processes")
    assert commands.daemon.process is not None
    commands.daemon.process.send_signal(signal.SIGTERM)
    until(lambda: "stopping" in (commands.directory / "log").read_text())
    commands.daemon.process.send_signal(signal.SIGTERM)
    commands.daemon.process.wait(20)
    until(lambda: not commands.tree() and not alive(record.pid))
    assert list((commands.directory / "schedd.db.processes").iterdir()) == []
