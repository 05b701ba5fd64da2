"""schedd's main job in half a minute: a real daemon, the quickstart schedules, the live stream, and a judgement of what was seen.

Run it with `make demo`. Everything lives in a scratch directory that is gone afterwards. The exit code is 0 only if every schedule did
what examples/quickstart.yaml promises, as the daemon's history and the receiver's own book agree.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from schedd.client import CallError, SyncClient
from schedd.v1.execution_pb2 import Execution, ExecutionState, ExecutionView
from schedd.v1.reason_pb2 import Outcome
from schedd.v1.schedule_pb2 import Schedule

HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
PORT = 8425
SHOWN_S = 15
EDGE = timedelta(seconds=1)
"""What comes due so close to the moment of pausing may fall on either side of it."""
PERIODS = {"tick": timedelta(seconds=3), "pulse": timedelta(seconds=2)}
ATTEMPTS = {"tick": 1, "pulse": 1, "reminder": 1, "flaky": 2}
BY_HTTP = ("tick", "reminder", "flaky")


@dataclass
class Receiver:
    """What the HTTP receiver saw: for each path the delivery keys, in the order in which they came, and what came too early."""

    deliveries: dict[str, list[str]] = field(default_factory=dict)
    early: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, path: str, key: str, due: str) -> int:
        """Book a delivery; the status to answer with."""
        arrived = datetime.now(UTC)
        with self.lock:
            keys = self.deliveries.setdefault(path, [])
            keys.append(key)
            if datetime.fromisoformat(due) > arrived:
                self.early.append(f"{path} due at {due} came at {arrived.isoformat()}")
            return 503 if path == "/flaky" and keys.count(key) == 1 else 200


@contextmanager
def receiving() -> Iterator[tuple[Receiver, int]]:
    """An HTTP receiver in a thread, and its port: the one in quickstart.yaml if it is free."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = receiver.note(self.path, self.headers.get("Schedd-Delivery-Key", ""), self.headers["Schedd-Due-Time"])
            self.send_response(status)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"ok\n" if status == 200 else b"no\n")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the stream is what is to be seen."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    except OSError:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def running_daemon(scratch: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon of its own, in `scratch`."""
    environment = {
        **{key: value for key, value in os.environ.items() if "__" not in key},
        "SCHEDD_STORAGE__PATH": str(scratch / "schedd.db"),
        "SCHEDD_LISTEN__SOCKET": str(scratch / "schedd.sock"),
        "SCHEDD_LOG__LEVEL": "warning",
        "XDG_CONFIG_HOME": str(scratch / "config"),
    }
    with (scratch / "schedd.log").open("wb") as log:
        daemon = subprocess.Popen([PROGRAMS / "schedd", "run"], env=environment, cwd=scratch, stderr=log, stdout=log)
        try:
            yield daemon
        finally:
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
                try:
                    daemon.wait(15)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()


def until_serving(client: SyncClient, daemon: subprocess.Popen[bytes], scratch: Path) -> None:
    """Wait until the daemon answers."""
    deadline = time.monotonic() + 20
    while True:
        try:
            client.get_status()
        except CallError as error:
            if daemon.poll() is not None or time.monotonic() > deadline:
                log = (scratch / "schedd.log").read_text(errors="replace")
                raise SystemExit(f"the daemon did not come up: {error}\n{log}") from error
            time.sleep(0.1)
        else:
            return


def schedctl(scratch: Path, *arguments: str) -> None:
    """Run a schedctl command as a person would, and show it."""
    print(f"\n$ schedctl {' '.join(arguments)}", flush=True)
    subprocess.run([PROGRAMS / "schedctl", *arguments], env=_schedctl_environment(scratch), check=True)


def show_stream(scratch: Path) -> None:
    """Show the live stream for a while."""
    print(f"\n$ schedctl watch        (for {SHOWN_S} seconds)", flush=True)
    watcher = subprocess.Popen([PROGRAMS / "schedctl", "watch"], env=_schedctl_environment(scratch))
    time.sleep(SHOWN_S)
    watcher.send_signal(signal.SIGINT)
    watcher.wait(10)


def _schedctl_environment(scratch: Path) -> dict[str, str]:
    return {**os.environ, "SCHEDD_SERVER": str(scratch / "schedd.sock"), "XDG_CONFIG_HOME": str(scratch / "config")}


def until_idle(client: SyncClient) -> None:
    """Wait until nothing of it runs or waits any more."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        status = client.get_status()
        if not (status.armed_count or status.queued_count or status.running_count or status.waiting_retry_count):
            return
        time.sleep(0.1)


@dataclass(frozen=True)
class Seen:
    """A schedule and its executions, oldest first."""

    schedule: Schedule
    executions: Sequence[Execution]

    @property
    def name(self) -> str:
        return self.schedule.name.rsplit("/", 1)[-1]

    @property
    def ran(self) -> list[Execution]:
        return [item for item in self.executions if item.attempt]


def look(client: SyncClient) -> list[Seen]:
    """Everything that the daemon's history has of the quickstart schedules."""
    return [
        Seen(
            schedule,
            sorted(
                client.list_executions(schedule.name, view=ExecutionView.EXECUTION_VIEW_FULL),
                key=lambda item: item.nominal_time.ToNanoseconds(),
            ),
        )
        for schedule in client.list_schedules(filter='labels.app = "quickstart"')
    ]


def faults_of(seen: Seen) -> Iterator[str]:
    """What a schedule did otherwise than quickstart.yaml promises."""
    name = seen.name
    for item in seen.ran:
        if item.state != ExecutionState.EXECUTION_STATE_FINISHED or item.outcome != Outcome.OUTCOME_SUCCEEDED:
            yield f"{name}: the execution of {item.nominal_time.ToJsonString()} ended {Outcome.Name(item.outcome)}"
        if len(item.attempts) != ATTEMPTS[name]:
            yield f"{name}: {len(item.attempts)} attempts, {ATTEMPTS[name]} were to be made"
        if item.start_time.ToNanoseconds() < item.due_time.ToNanoseconds():
            yield f"{name}: started before it was due, {item.due_time.ToJsonString()}"
    if name in PERIODS:
        yield from gaps(seen, PERIODS[name])
    elif len(seen.ran) != 1:
        yield f"{name}: {len(seen.ran)} executions, 1 was to be made"
    if name == "flaky":
        outcomes = [attempt.outcome for item in seen.ran for attempt in item.attempts]
        if outcomes != [Outcome.OUTCOME_FAILED, Outcome.OUTCOME_SUCCEEDED]:
            yield "flaky: was to fail once and then to succeed"


def gaps(seen: Seen, period: timedelta) -> Iterator[str]:
    """Occurrences that are missing or too many between the creation of a schedule and the moment it was paused."""
    times = [item.nominal_time.ToDatetime(UTC) for item in seen.ran]
    if not times:
        yield f"{seen.name}: never ran"
        return
    created = seen.schedule.create_time.ToDatetime(UTC)
    paused = seen.schedule.pause.since_time.ToDatetime(UTC)
    if times[0] - created > period + EDGE:
        yield f"{seen.name}: the first one is missing"
    if paused - times[-1] > period + EDGE:
        yield f"{seen.name}: the last one is missing"
    for earlier, later in pairwise(times):
        if later - earlier != period:
            yield f"{seen.name}: {later - earlier} between {earlier.isoformat()} and the next, {period} were to be"


def disagreements(seen: Sequence[Seen], receiver: Receiver) -> Iterator[str]:
    """Where the daemon's history and the receiver's book differ."""
    for item in seen:
        if item.name not in BY_HTTP:
            continue
        told = Counter({execution.delivery_key: len(execution.attempts) for execution in item.ran})
        # Another daemon that has the quickstart schedules delivers here too; keys begin with the schedule's uid.
        own = [key for key in receiver.deliveries.get(f"/{item.name}", []) if key.startswith(f"{item.schedule.uid}:")]
        booked = Counter(own)
        if told != booked:
            yield f"{item.name}: history has {told.total()} deliveries, the receiver {booked.total()}"
    yield from receiver.early


def summarize(seen: Sequence[Seen]) -> None:
    """Print what was seen."""
    ran = [execution for item in seen for execution in item.ran]
    succeeded = sum(item.outcome == Outcome.OUTCOME_SUCCEEDED for item in ran)
    late_ms = max(((item.start_time.ToNanoseconds() - item.due_time.ToNanoseconds()) / 1e6 for item in ran), default=0.0)
    print(f"\n{'schedule':<10} {'fired':>5} {'succeeded':>9} {'attempts':>8}")
    for item in seen:
        good = sum(execution.outcome == Outcome.OUTCOME_SUCCEEDED for execution in item.ran)
        print(f"{item.name:<10} {len(item.ran):>5} {good:>9} {sum(len(execution.attempts) for execution in item.ran):>8}")
    print(f"\nfired           {len(ran)}")
    print(f"succeeded       {succeeded}")
    print(f"failed          {len(ran) - succeeded}")
    print(f"retried         {sum(len(item.attempts) > 1 for item in ran)}")
    print(f"worst lateness  {late_ms:.1f} ms")


def main() -> int:
    """Run the demonstration; 0 if all was as promised."""
    with tempfile.TemporaryDirectory(prefix="schedd-demo-") as directory, receiving() as (receiver, port):
        scratch = Path(directory)
        with running_daemon(scratch) as daemon:
            print(f"a daemon in {scratch}, a receiver at http://127.0.0.1:{port}")
            with SyncClient(str(scratch / "schedd.sock")) as client:
                until_serving(client, daemon, scratch)
                schedctl(scratch, "apply", "-f", str(schedules_for(port, scratch)))
                show_stream(scratch)
                schedctl(scratch, "pause", *PERIODS, "--reason", "the demonstration is over")
                until_idle(client)
                schedctl(scratch, "list")
                seen = look(client)
        faults = [fault for item in seen for fault in faults_of(item)]
        faults += disagreements(seen, receiver)
        if {item.name for item in seen} != set(ATTEMPTS):
            faults.append(f"the daemon has the schedules {sorted(item.name for item in seen)}")
        if daemon.returncode != 0:
            faults.append(f"the daemon ended with {daemon.returncode}:\n{(scratch / 'schedd.log').read_text(errors='replace')}")
    summarize(seen)
    print("\n" + ("\n".join(["NOT as promised:", *faults]) if faults else "all as promised"))
    return 1 if faults else 0


def schedules_for(port: int, scratch: Path) -> Path:
    """quickstart.yaml, or a copy of it for another port where its own was taken."""
    original = HERE / "quickstart.yaml"
    if port == PORT:
        return original
    copy = scratch / original.name
    copy.write_text(original.read_text().replace(f":{PORT}/", f":{port}/"))
    return copy


if __name__ == "__main__":
    sys.exit(main())
