"""kill -9 in the middle of 400 fires a second, again and again, with an HTTP receiver as the judge."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from schedd.client import SyncClient, UnavailableError
from schedd.v1 import journal_pb2, policy_pb2, schedule_pb2, target_pb2, when_pb2

KILLS = 20
SCHEDULES = 400
LATE_ENOUGH_S = 1.0
LAST_SECONDS_S = 2.0
"""Each fires every second, and the daemon ends within one of them: by more than this none lags behind the others."""
ALL = policy_pb2.CatchUp(mode=policy_pb2.CATCH_UP_MODE_ALL, window=Duration(seconds=3600), max_runs=100_000)
"""However slow the host, no policy leaves anything out."""

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
        policies=policy_pb2.Policies(overlap=policy_pb2.OVERLAP_ALLOW_ALL, catch_up=ALL),
    )


def nominal_s(key: str) -> float:
    return datetime.fromisoformat(key.partition(":")[2]).timestamp()


@pytest.mark.timeout(300)
def test_daemon_killed_in_the_middle_of_its_fires_loses_nothing(tmp_path: Path) -> None:
    with receiving() as receiver:
        url = f"http://127.0.0.1:{receiver.server_address[1]}/"
        daemon = start(tmp_path)
        acknowledged: dict[str, str] = {}
        with SyncClient(str(tmp_path / "schedd.sock")) as client:
            for created in client.create_schedules([schedule(f"beat-{n}", url, phase=n / SCHEDULES) for n in range(SCHEDULES)]).schedules:
                acknowledged[created.name] = created.uid
        for kill in range(KILLS):
            fired = receiver.keys.total()
            until = time.monotonic() + 20
            while receiver.keys.total() < fired + SCHEDULES and time.monotonic() < until:
                time.sleep(0.01)
            with SyncClient(str(tmp_path / "schedd.sock")) as client:
                created = client.create_schedule(schedule(f"late-{kill}", url))
                acknowledged[created.name] = created.uid
            time.sleep(0.003 * kill)
            os.kill(daemon.pid, signal.SIGKILL)
            daemon.wait()
            daemon = start(tmp_path)
        time.sleep(LATE_ENOUGH_S)
        wait_until(lambda: not missed_of(receiver))
        with SyncClient(str(tmp_path / "schedd.sock")) as client:
            kept = {found.name: found.uid for found in client.list_schedules()}
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0
    assert kept == acknowledged
    judge(receiver, set(acknowledged.values()))


def missed_of(receiver: Receiver) -> dict[str, int]:
    """By schedule, how many of the seconds from its first to its last delivery were not delivered."""
    by_schedule: dict[str, list[float]] = {}
    with receiver.booking:
        for key in receiver.keys:
            by_schedule.setdefault(key.partition(":")[0], []).append(nominal_s(key))
    missed = {uid: round(max(times) - min(times)) + 1 - len(times) for uid, times in by_schedule.items()}
    return {uid: count for uid, count in missed.items() if count}


def wait_until(met: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not met():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def judge(receiver: Receiver, uids: set[str]) -> None:
    """Every second from a schedule's first to its last delivery was delivered, and hardly any twice."""
    keys = receiver.keys
    assert {key.partition(":")[0] for key in keys} == uids
    assert not missed_of(receiver)
    last_s: dict[str, float] = {}
    for key in keys:
        uid = key.partition(":")[0]
        last_s[uid] = max(last_s.get(uid, 0), nominal_s(key))
    assert max(last_s.values()) - min(last_s.values()) <= LAST_SECONDS_S, "some stopped before the others did"
    duplicates = keys.total() - len(keys)
    assert duplicates <= DUPLICATES_MOST * keys.total(), f"{duplicates} of {keys.total()} deliveries came twice"


BACKFILLED = 600
AT_ONCE = 32
"""Executions of a backfill that may be unfinished when the daemon is killed, and so be delivered twice."""


@dataclass
class Backfilling:
    """A daemon that works 600 hours off, a hundred a second."""

    scratch: Path
    daemon: subprocess.Popen[bytes]
    name: str = ""

    def client(self) -> SyncClient:
        return SyncClient(str(self.scratch / "schedd.sock"))

    def ask(self, url: str) -> None:
        now = datetime.now(UTC)
        hourly = schedule("past", url)
        anchor = int((now - timedelta(hours=2 * BACKFILLED, minutes=30)).timestamp())
        hourly.triggers[0].interval.CopyFrom(when_pb2.IntervalTrigger(every=Duration(seconds=3600), anchor_time=Timestamp(seconds=anchor)))
        with self.client() as client:
            client.create_schedule(hourly)
            made = client.backfill_schedule(
                hourly.name, now - timedelta(hours=BACKFILLED), now, overlap=policy_pb2.OVERLAP_ALLOW_ALL, rate_per_second=100
            )
        assert made.total_count == BACKFILLED
        self.name = made.name

    def standing(self) -> schedule_pb2.Backfill:
        with self.client() as client:
            return client.get_backfill(self.name)

    def kill(self) -> None:
        os.kill(self.daemon.pid, signal.SIGKILL)
        self.daemon.wait()
        self.daemon = start(self.scratch)


@contextmanager
def backfilling(scratch: Path, receiver: Receiver) -> Iterator[Backfilling]:
    past = Backfilling(scratch, start(scratch))
    try:
        past.ask(f"http://127.0.0.1:{receiver.server_address[1]}/")
        yield past
    finally:
        past.daemon.send_signal(signal.SIGTERM)
        assert past.daemon.wait(60) == 0


@pytest.mark.timeout(300)
def test_backfill_killed_again_and_again_runs_each_and_counts_right(tmp_path: Path) -> None:
    kills = 3
    with receiving() as receiver, backfilling(tmp_path, receiver) as past:
        for kill in range(1, kills + 1):
            wait_until(lambda wanted=kill * 100: len(receiver.keys) >= wanted)  # type: ignore[misc]
            past.kill()
            found = past.standing()
            assert 0 < found.done_count <= len(receiver.keys)
        wait_until(lambda: past.standing().state == schedule_pb2.BACKFILL_STATE_FINISHED)
        found = past.standing()
    assert (found.done_count, found.succeeded_count, found.failed_count, found.skipped_count) == (BACKFILLED, BACKFILLED, 0, 0)
    assert len(receiver.keys) == BACKFILLED
    assert receiver.keys.total() <= BACKFILLED + kills * AT_ONCE


@pytest.mark.timeout(120)
def test_backfill_cancelled_before_a_kill_stays_cancelled(tmp_path: Path) -> None:
    with receiving() as receiver, backfilling(tmp_path, receiver) as past:
        wait_until(lambda: len(receiver.keys) >= 50)
        with past.client() as client:
            cancelled = client.cancel_backfill(past.name)
        past.kill()
        time.sleep(LATE_ENOUGH_S)
        found = past.standing()
        with past.client() as client:
            ran = list(client.list_executions())
            (rest,) = client.list_journal(kinds=[journal_pb2.JOURNAL_KIND_OCCURRENCES_SKIPPED])
    assert cancelled.state == found.state == schedule_pb2.BACKFILL_STATE_CANCELLED
    assert found.finish_time == cancelled.finish_time
    assert found.done_count == len(ran)
    assert len(ran) + int(rest.evidence["count"]) == BACKFILLED
    assert len(receiver.keys) < BACKFILLED // 2
