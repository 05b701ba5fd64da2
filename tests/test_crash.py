"""kill -9 in the middle of 400 fires a second, again and again, with an HTTP receiver as the judge."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from schedd.client import SyncClient, UnavailableError
from schedd.v1 import policy_pb2, schedule_pb2, target_pb2, when_pb2

KILLS = 20
SCHEDULES = 400
LATE_ENOUGH_S = 1.0
LAST_SECONDS_S = 2.0
"""Each fires every second, and the daemon ends within one of them: by more than this none lags behind the others."""
DUPLICATES_MOST = 0.03


class Receiver(ThreadingHTTPServer):
    """Books every delivery by its key."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.keys: Counter[str] = Counter()
        self.booking = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that the killed daemon left behind is what this test makes."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.booking:
            self.server.keys[self.headers["Schedd-Delivery-Key"]] += 1
        self.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


def start(scratch: Path) -> subprocess.Popen[bytes]:
    """A daemon on the scratch directory's database, once it answers."""
    environment = {
        "PATH": os.environ["PATH"],
        "SCHEDD_STORAGE__PATH": str(scratch / "schedd.db"),
        "SCHEDD_LISTEN__SOCKET": str(scratch / "schedd.sock"),
        "SCHEDD_LOG__LEVEL": "error",
    }
    daemon = subprocess.Popen([sys.executable, "-c", "from schedd.daemon.main import main; main(['run'])"], env=environment)
    with SyncClient(str(scratch / "schedd.sock")) as client:
        until = time.monotonic() + 20
        while daemon.poll() is None and time.monotonic() < until:
            try:
                client.get_status()
            except UnavailableError:
                continue
            return daemon
    daemon.kill()
    raise AssertionError(f"the daemon did not come up: {daemon.wait()}")


def schedule(name: str, url: str, *, phase: float = 0.0) -> schedule_pb2.Schedule:
    """Every second, at `phase` of it, whatever else of it runs."""
    interval = when_pb2.IntervalTrigger(every=Duration(seconds=1), anchor_time=Timestamp(nanos=int(phase * 1e9)))
    return schedule_pb2.Schedule(
        name=f"groups/default/schedules/{name}",
        triggers=[when_pb2.Trigger(interval=interval)],
        target=target_pb2.Target(http=target_pb2.HttpTarget(url=url)),
        policies=policy_pb2.Policies(overlap=policy_pb2.OVERLAP_ALLOW_ALL),
    )


def nominal_s(key: str) -> float:
    return datetime.fromisoformat(key.partition(":")[2]).timestamp()


@pytest.mark.timeout(300)
def test_daemon_killed_in_the_middle_of_its_fires_loses_nothing(tmp_path: Path) -> None:
    with receiving() as receiver:
        url = f"http://127.0.0.1:{receiver.server_address[1]}/"
        daemon = start(tmp_path)
        acknowledged: dict[str, str] = {}
        since_s: dict[str, float] = {}
        with SyncClient(str(tmp_path / "schedd.sock")) as client:
            for created in client.create_schedules([schedule(f"beat-{n}", url, phase=n / SCHEDULES) for n in range(SCHEDULES)]).schedules:
                acknowledged[created.name] = created.uid
                since_s[created.uid] = created.create_time.ToMicroseconds() / 1e6
        for kill in range(KILLS):
            fired = receiver.keys.total()
            until = time.monotonic() + 20
            while receiver.keys.total() < fired + SCHEDULES and time.monotonic() < until:
                time.sleep(0.01)
            with SyncClient(str(tmp_path / "schedd.sock")) as client:
                created = client.create_schedule(schedule(f"late-{kill}", url))
                acknowledged[created.name] = created.uid
                since_s[created.uid] = created.create_time.ToMicroseconds() / 1e6
            time.sleep(0.003 * kill)
            os.kill(daemon.pid, signal.SIGKILL)
            daemon.wait()
            daemon = start(tmp_path)
        time.sleep(LATE_ENOUGH_S)
        with SyncClient(str(tmp_path / "schedd.sock")) as client:
            kept = {found.name: found.uid for found in client.list_schedules()}
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0
    assert kept == acknowledged
    judge(receiver.keys, since_s)


def judge(keys: Counter[str], since_s: dict[str, float]) -> None:
    """Every second from a schedule's creation to the end was delivered, and hardly any twice."""
    by_schedule: dict[str, list[float]] = {}
    for key in keys:
        by_schedule.setdefault(key.partition(":")[0], []).append(nominal_s(key))
    assert by_schedule.keys() == since_s.keys()
    late = {uid: min(times) - since_s[uid] for uid, times in by_schedule.items() if min(times) - since_s[uid] > 1}
    assert not late, "they began later than with their first second"
    end_s = max(max(times) for times in by_schedule.values())
    ended = {uid: end_s - max(times) for uid, times in by_schedule.items() if end_s - max(times) > LAST_SECONDS_S}
    assert not ended, "they stopped before the others did"
    missed = {
        uid: round(max(times) - min(times)) + 1 - len(times)
        for uid, times in by_schedule.items()
        if round(max(times) - min(times)) + 1 != len(times)
    }
    assert not missed
    duplicates = keys.total() - len(keys)
    assert duplicates <= DUPLICATES_MOST * keys.total(), f"{duplicates} of {keys.total()} deliveries came twice"
