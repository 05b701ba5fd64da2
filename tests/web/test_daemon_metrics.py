"""Metrics and health check of a daemon that runs as a process, configured as an operator does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from schedd.client import SyncClient
from schedd.v1.policy_pb2 import Delivery
from schedd.v1.schedule_pb2 import Schedule
from schedd.v1.when_pb2 import Trigger
from tests.web.scraping import Scrape

SCHEDD = str(Path(sys.executable).parent / "schedd")


class UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


@dataclass
class Served:
    """A daemon with metrics."""

    process: subprocess.Popen[str]
    socket: str
    metrics: str

    def get(self, path: str) -> tuple[int, str]:
        host, _, port = self.metrics.rpartition(":")
        connection = (
            UnixConnection(self.metrics) if self.metrics.startswith("/") else HTTPConnection(host.strip("[]"), int(port), timeout=10)
        )
        with closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def scrape(self) -> Scrape:
        status, text = self.get("/metrics")
        assert status == 200
        return Scrape(text)

    def log_until(self, event: str) -> dict[str, object]:
        assert self.process.stderr is not None
        return next(line for line in map(json.loads, self.process.stderr) if line["event"] == event)

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(20)


def command(directory: Path, *settings: str) -> list[str]:
    """A daemon that lives in that directory, with these keys set."""
    flags = [f"storage.path={directory}/s.db", f"listen.socket={directory}/s.sock", *settings]
    return [SCHEDD, "run", *(part for flag in flags for part in ("--set", flag))]


@contextmanager
def served(directory: Path, place: str, *settings: str) -> Iterator[Served]:
    environment = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(directory)}
    arguments = command(directory, f"metrics.listen={place}", *settings)
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, env=environment, text=True)
    made = Served(process, f"{directory}/s.sock", "")
    try:
        made.metrics = str(made.log_until("ready")["metrics"])
        yield made
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def caller_of(receiver: socket.socket) -> Schedule:
    """A schedule that calls a socket of this test once."""
    schedule = Schedule(name="groups/default/schedules/job", triggers=[Trigger(expression="@yearly")])
    schedule.target.http.url = f"http://127.0.0.1:{receiver.getsockname()[1]}/"
    schedule.policies.retry.max_attempts = 1
    return schedule


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as made:
        made.settimeout(20)
        yield made


def test_daemon_whose_target_fails_shows_the_open_circuit_of_its_host(tmp_path: Path, receiver: socket.socket) -> None:
    with served(tmp_path, "127.0.0.1:0", "engine.circuits.min_calls=1") as daemon, SyncClient(daemon.socket) as client:
        job = client.create_schedule(caller_of(receiver))
        triggered = client.trigger_schedule(job.name)
        with closing(receiver.accept()[0]) as call:
            call.recv(1000)
            call.sendall(b"HTTP/1.1 500 Sorry\r\nContent-Length: 0\r\n\r\n")
        client.wait_execution(triggered.execution.name)
        scrape = daemon.scrape()
        host = f"http://127.0.0.1:{receiver.getsockname()[1]}"
        assert scrape.series("schedd_circuit_state") == {(host, "OPEN"): 1, (host, "HALF_OPEN"): 0}
        assert scrape.counted("schedd_executions_finished_total") == {("FAILED", "HTTP_STATUS"): 1}
        assert scrape.value("schedd_lateness_seconds_count") == 1
        assert daemon.end(signal.SIGTERM) == 0


def test_daemon_that_drains_says_so_to_health_checks_and_still_answers_scrapes(tmp_path: Path, receiver: socket.socket) -> None:
    with served(tmp_path, "[::1]:0") as daemon, SyncClient(daemon.socket) as client:
        assert daemon.get("/healthz") == (200, "SERVING\n")
        client.trigger_schedule(client.create_schedule(caller_of(receiver)).name)
        with closing(receiver.accept()[0]) as call:
            daemon.process.send_signal(signal.SIGTERM)
            daemon.log_until("stopping")
            assert daemon.get("/healthz") == (503, "NOT_SERVING\n")
            assert daemon.scrape().series("schedd_executions")[("RUNNING",)] == 1
            call.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert daemon.process.wait(20) == 0


def test_daemon_with_metrics_on_a_unix_socket_gives_it_its_mode_and_removes_it(tmp_path: Path) -> None:
    place = tmp_path / "m.sock"
    with served(tmp_path, str(place), "listen.socket_mode=0600") as killed:
        killed.end(signal.SIGKILL)
    assert place.exists()
    with served(tmp_path, str(place), "listen.socket_mode=0600") as daemon:
        assert daemon.metrics == str(place)
        assert place.stat().st_mode & 0o777 == 0o600
        assert daemon.get("/healthz")[0] == 200
        assert daemon.end(signal.SIGTERM) == 0
    assert not place.exists()


def test_daemon_counts_what_its_recovery_decides(tmp_path: Path, receiver: socket.socket) -> None:
    with served(tmp_path, "127.0.0.1:0") as killed, SyncClient(killed.socket) as client:
        once = caller_of(receiver)
        once.policies.delivery = Delivery.DELIVERY_AT_MOST_ONCE
        triggered = client.trigger_schedule(client.create_schedule(once).name)
        with closing(receiver.accept()[0]):
            killed.end(signal.SIGKILL)
    with served(tmp_path, "127.0.0.1:0") as daemon, SyncClient(daemon.socket) as client:
        client.wait_execution(triggered.execution.name)
        finished = daemon.scrape().counted("schedd_executions_finished_total")
        assert {outcome: count for (outcome, _), count in finished.items()} == {"UNKNOWN": 1}


def test_daemon_counts_those_who_watch(tmp_path: Path) -> None:
    with served(tmp_path, "127.0.0.1:0") as daemon, SyncClient(daemon.socket) as client, closing(client.watch(after=0)) as watch:
        next(watch)
        assert daemon.scrape().value("schedd_watchers") == 1


def test_daemon_whose_metrics_have_the_port_of_its_api_does_not_start_and_says_why(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
    api = (f"listen.tcp.address={address}", "listen.tcp.insecure_loopback=true")
    arguments = command(tmp_path, f"metrics.listen={address}", *api)
    ended = subprocess.run(arguments, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, timeout=30, check=False)
    assert ended.returncode == 1
    assert f"cannot listen on {address}: something else listens there. Stop it, or set metrics.listen to another port" in ended.stderr
    assert "Traceback" not in ended.stderr
