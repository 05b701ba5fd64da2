"""The daemon as a process: signals, reload, a second one on the same data, and what `schedd` says about the configuration."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from schedd.client import CallError, SyncClient
from schedd.v1.journal_pb2 import JournalKind
from schedd.v1.reason_pb2 import Reason
from schedd.v1.schedule_pb2 import Schedule
from schedd.v1.when_pb2 import Trigger
from tests.evidence import Evidence

SCHEDD = str(Path(sys.executable).parent / "schedd")
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration whose daemon lives in `tmp_path`."""
    path = tmp_path / "schedd.toml"
    path.write_text(f'[storage]\npath = "{tmp_path}/s.db"\n[listen]\nsocket = "{tmp_path}/s.sock"\n')
    return path


class Running:
    """A daemon whose log can be waited for."""

    def __init__(self, file: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen([SCHEDD, "run", "--config", str(file)], stderr=subprocess.PIPE, env=environment, text=True)

    def log_until(self, event: str) -> dict[str, object]:
        """The next line of this event; fails when the log ends before it."""
        assert self.process.stderr is not None
        seen = []
        for text in self.process.stderr:
            line: dict[str, object] = json.loads(text)
            if line["event"] == event:
                return line
            seen.append(text)
        raise AssertionError(f"no {event} in {seen}")

    def end(self, how: signal.Signals) -> int:
        """Send the signal; the exit status."""
        self.process.send_signal(how)
        return self.process.wait(20)


@pytest.fixture
def running(file: Path) -> Iterator[Callable[..., Running]]:
    """Starts daemons; ends those that still run."""
    made: list[Running] = []

    def start(environment: dict[str, str] = ENVIRONMENT) -> Running:
        made.append(Running(file, environment))
        made[-1].log_until("ready")
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def schedd(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCHEDD, *arguments], capture_output=True, text=True, env=ENVIRONMENT, timeout=30, check=False)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_daemon_told_to_end_stops_in_order_and_leaves_no_socket(
    running: Callable[[], Running], tmp_path: Path, how: signal.Signals
) -> None:
    daemon = running()
    assert (tmp_path / "s.sock").stat().st_mode & 0o777 == 0o660
    assert daemon.end(how) == 0
    daemon.log_until("stopping")
    daemon.log_until("stopped")
    assert not (tmp_path / "s.sock").exists()
    assert (tmp_path / "s.db.lock").read_text() == ""


def test_daemon_beside_a_running_one_is_refused_and_names_its_pid(running: Callable[[], Running], file: Path) -> None:
    first = running()
    second = schedd("run", "--config", str(file))
    assert second.returncode == 1
    assert f"process {first.process.pid} holds" in second.stderr
    assert "Traceback" not in second.stderr
    assert first.end(signal.SIGTERM) == 0


def test_daemon_after_a_kill_starts_again_over_its_leftovers(running: Callable[[], Running], tmp_path: Path) -> None:
    running().end(signal.SIGKILL)
    assert (tmp_path / "s.sock").exists()
    assert running().end(signal.SIGTERM) == 0


def test_daemon_reloads_on_hangup_and_keeps_the_old_configuration_when_the_new_is_broken(
    running: Callable[[], Running], file: Path, tmp_path: Path, evidence: Evidence
) -> None:
    daemon = running()
    right = file.read_text()
    file.write_text(right + "[engine]\nmax_runing = 5\n")
    daemon.process.send_signal(signal.SIGHUP)
    assert "the nearest is engine.max_running" in str(daemon.log_until("reload_refused")["faults"])
    other = tmp_path / "other.sock"
    other.write_text("somebody else's")
    file.write_text(right.replace("s.sock", "other.sock") + '[retention]\nhistory = "1d"\n')
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.log_until("reloaded")["restart_wanted"] == ["listen.socket"]
    assert daemon.end(signal.SIGTERM) == 0
    assert other.exists()
    assert not (tmp_path / "s.sock").exists()
    assert evidence.note_database(tmp_path / "s.db") == ["DAEMON_STARTED", "CONFIGURATION_RELOADED", "DAEMON_STOPPED"]


def test_reload_changes_whom_schedules_may_call_and_whether_commands_run(
    running: Callable[[], Running], file: Path, tmp_path: Path
) -> None:
    daemon = running()
    with closing(socket.create_server(("127.0.0.1", 0))) as receiver, SyncClient(str(tmp_path / "s.sock")) as client:
        http = Schedule(name="groups/default/schedules/http", triggers=[Trigger(expression="@yearly")])
        http.policies.retry.max_attempts = 1
        http.target.http.url = f"http://127.0.0.1:{receiver.getsockname()[1]}/"
        http.policies.attempt_timeout.FromMilliseconds(200)
        command = Schedule(name="groups/default/schedules/command", triggers=[Trigger(expression="@yearly")])
        command.target.process.argv.append("true")
        names = [client.create_schedule(schedule).name for schedule in (http, command)]

        def reasons() -> list[str]:
            ended = [client.wait_execution(client.trigger_schedule(name).execution.name) for name in names]
            return [Reason.Name(execution.reason) for execution in ended]

        assert reasons() == ["REASON_TIMEOUT", "REASON_COMPLETED"]
        file.write_text(file.read_text() + '[http]\ndeny = ["127.0.0.0/8"]\n[process]\nenabled = false\n')
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.log_until("reloaded")["restart_wanted"] == []
        assert reasons() == ["REASON_TARGET_DENIED", "REASON_TARGET_DENIED"]
        http.name = command.name = "groups/default/schedules/another"
        for refused in (http, command):
            with pytest.raises(CallError, match=r"http\.deny has 127|process\.enabled is false"):
                client.create_schedule(refused)
    assert daemon.end(signal.SIGTERM) == 0


def test_second_signal_does_not_wait_for_what_runs(running: Callable[[], Running], tmp_path: Path) -> None:
    daemon = running()
    with SyncClient(str(tmp_path / "s.sock")) as client:
        schedule = Schedule(name="groups/default/schedules/long", triggers=[Trigger(expression="@yearly")])
        schedule.target.process.argv.extend(["/bin/sleep", "30"])
        client.create_schedule(schedule)
        name = client.trigger_schedule(schedule.name).execution.name
        next(client.watch(after=0, filter=f'execution = "{name[-13:]}"', kinds=[JournalKind.JOURNAL_KIND_EXECUTION_STARTED]))
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.log_until("stopping")["running"] == 1
    assert daemon.end(signal.SIGTERM) == 1
    daemon.log_until("forced_to_stop")


def test_daemon_under_systemd_tells_that_it_is_ready_feeds_the_watchdog_and_tells_that_it_stops(file: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        environment = {**ENVIRONMENT, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        process = subprocess.Popen([SCHEDD, "run", "--config", str(file)], stderr=subprocess.DEVNULL, env=environment)
        try:
            assert systemd.recv(200).startswith(b"READY=1")
            assert [systemd.recv(200) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            process.terminate()
            while (told := systemd.recv(200)) == b"WATCHDOG=1":
                pass
            assert told.startswith(b"STOPPING=1")
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait(5)


def test_daemon_that_drains_goes_on_to_ping_systemd(running: Callable[..., Running], tmp_path: Path) -> None:
    began, enough = tmp_path / "began", tmp_path / "enough"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        daemon = running({**ENVIRONMENT, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"})
        long = Schedule(name="groups/default/schedules/long")
        long.triggers.add(expression="@yearly")
        long.target.process.argv.extend(["/bin/sh", "-c", f"touch {began}; while [ ! -e {enough} ]; do sleep 0.05; done"])
        with SyncClient(str(tmp_path / "s.sock")) as client:
            client.create_schedule(long)
            client.trigger_schedule(long.name)
        while not began.exists():
            systemd.recv(1000)  # A ping comes every 50 ms.
        daemon.process.send_signal(signal.SIGTERM)
        while not systemd.recv(1000).startswith(b"STOPPING=1"):
            pass
        assert [systemd.recv(1000) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        enough.touch()
        assert daemon.process.wait(20) == 0


def test_daemon_whose_store_refuses_to_write_survives_a_reload(running: Callable[[], Running], tmp_path: Path) -> None:
    daemon = running()
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.log_until("reload_not_journaled")["reason"] == "STORE_REFUSES_WRITES"
    other.close()
    daemon.log_until("reloaded")
    assert daemon.end(signal.SIGTERM) == 0


def test_daemon_whose_store_refuses_to_write_ends_and_says_what_it_could_not_record(
    running: Callable[[], Running], file: Path, tmp_path: Path
) -> None:
    began = tmp_path / "began"
    os.mkfifo(began)
    file.write_text(file.read_text() + '[engine]\ndrain_time = "0s"\n')
    daemon = running()
    job = Schedule(name="groups/default/schedules/job")
    job.triggers.add(expression="@yearly")
    job.target.process.argv.extend(["/bin/sh", "-c", f"echo > {began}; exec sleep 600"])
    with SyncClient(str(tmp_path / "s.sock")) as client:
        client.create_schedule(job)
        execution = client.trigger_schedule(job.name).execution
        began.read_text()
        refuse = "CREATE TRIGGER refuse BEFORE INSERT ON journal BEGIN SELECT RAISE(FAIL, 'no space left'); END"
        with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
            other.execute(refuse)
        assert daemon.end(signal.SIGTERM) == 0
        assert daemon.log_until("not_recorded")["executions"] == [execution.name.rpartition("/")[2]]
        with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
            other.execute("DROP TRIGGER refuse")
        again = running()
        began.read_text()
        assert again.end(signal.SIGTERM) == 0


def test_daemon_with_nothing_to_record_ends_also_when_its_store_refuses_to_write(running: Callable[[], Running], tmp_path: Path) -> None:
    daemon = running()
    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
        other.execute("CREATE TRIGGER refuse BEFORE INSERT ON journal BEGIN SELECT RAISE(FAIL, 'no space left'); END")
    assert daemon.end(signal.SIGTERM) == 0
    assert daemon.log_until("end_not_recorded")["reason"] == "STORE_REFUSES_WRITES"


def test_run_with_tcp_in_the_open_is_refused_and_told_what_would_be_right(file: Path) -> None:
    done = schedd("run", "--config", str(file), "--set", "listen.tcp.address=0.0.0.0:7420")
    assert done.returncode == 2
    assert "TCP needs TLS and a token" in done.stderr


def test_check_config_prints_each_value_with_its_origin(file: Path) -> None:
    done = schedd("check-config", "--config", str(file), "--set", "engine.max_running=5")
    assert done.returncode == 0
    assert "engine.max_running = 5  # flag --set" in done.stdout
    assert f's.db"  # file {file}' in done.stdout
    assert 'engine.horizon = "500ms"  # default' in done.stdout


def test_check_config_of_a_wrong_file_names_every_fault(file: Path) -> None:
    file.write_text("[engine]\nhorizont = 1\nmax_running = 0\n")
    done = schedd("check-config", "--config", str(file))
    assert done.returncode == 2
    assert "engine.horizont: no such key; the nearest is engine.horizon" in done.stderr
    assert "engine.max_running" in done.stderr
