"""A real daemon under load: lateness at 100 and 1,000 fires a second, creations, and a backlog beside the raw aiohttp client.

The receiver is a process of its own and books the lateness of each delivery: its arrival minus Schedd-Due-Time.
`python bench/fires.py [--json FILE]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from schedd.client import Client, SyncClient, UnavailableError
from schedd.v1 import policy_pb2, schedule_pb2, target_pb2, when_pb2

BACKLOG = 8000
SECONDS = 6
IN_FLIGHT = 64
_DUE = b"Schedd-Due-Time: "


class Receiver(asyncio.Protocol):
    """Answers every request at once; `seen` holds the lateness of each in seconds."""

    seen: list[float]

    def __init__(self, seen: list[float]) -> None:
        self.seen = seen
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        now = time.time()
        for head in heads:
            due = head.partition(_DUE)[2].partition(b"\r")[0]
            self.seen.append(now - datetime.fromisoformat(due.decode()).timestamp() if due else 0.0)
            assert isinstance(self._transport, asyncio.Transport)
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def receive(pipe: Connection) -> None:
    """The receiver's process: gives its port, then, each time it is asked, what it has seen since."""
    seen: list[float] = []

    def answer() -> None:
        pipe.recv()
        pipe.send(list(seen))
        seen.clear()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Receiver(seen), "127.0.0.1", 0, backlog=2048)
        pipe.send(server.sockets[0].getsockname()[1])
        loop.add_reader(pipe.fileno(), answer)
        await asyncio.sleep(600)

    asyncio.run(serve())


class Bench:
    """A daemon, its client, and the receiver."""

    def __init__(self, scratch: Path, pipe: Connection) -> None:
        self.scratch = scratch
        self.pipe = pipe
        self.url = f"http://127.0.0.1:{pipe.recv()}/"
        self.socket = str(scratch / "s.sock")

    @contextmanager
    def daemon(self, name: str) -> Iterator[tuple[subprocess.Popen[bytes], SyncClient]]:
        environment = {
            **os.environ,
            "SCHEDD_STORAGE__PATH": str(self.scratch / f"{name}.db"),
            "SCHEDD_LISTEN__SOCKET": self.socket,
            "SCHEDD_LOG__LEVEL": "error",
        }
        process = subprocess.Popen([Path(sys.executable).parent / "schedd", "run"], env=environment)
        try:
            with SyncClient(self.socket) as client:
                until_it_answers(client)
                yield process, client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def seen(self) -> list[float]:
        self.pipe.send(None)
        return list(self.pipe.recv())

    def schedule(self, name: str, trigger: when_pb2.Trigger) -> schedule_pb2.Schedule:
        return schedule_pb2.Schedule(
            name=f"groups/default/schedules/{name}",
            triggers=[trigger],
            target=target_pb2.Target(http=target_pb2.HttpTarget(url=self.url)),
            policies=policy_pb2.Policies(overlap=policy_pb2.OVERLAP_ALLOW_ALL),
        )


def until_it_answers(client: SyncClient) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            client.get_status()
        except UnavailableError:
            continue
        return


def quantiles(seen: list[float]) -> dict[str, float]:
    """p50, p99 and the worst in milliseconds, and how many were early."""
    ordered = sorted(seen)
    at = {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0}
    found = {name: ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1000 for name, part in at.items()}
    return {**found, "early": sum(late < 0 for late in ordered)}


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def steady(bench: Bench, rate: int) -> dict[str, float]:
    """Lateness and CPU at a steady rate, and the lateness while creations saturate the daemon."""
    with bench.daemon(f"steady-{rate}") as (process, client):
        for start in range(0, rate, 1000):
            client.create_schedules([bench.schedule(f"beat-{n}", beat(n / rate)) for n in range(start, min(rate, start + 1000))])
        time.sleep(2)
        bench.seen()
        before = cpu_s(process.pid)
        time.sleep(SECONDS)
        seen = bench.seen()
        found = {"fires": len(seen), "cpu_us_a_fire": (cpu_s(process.pid) - before) / len(seen) * 1e6, **quantiles(seen)}
        found["creates_a_second_meanwhile"] = asyncio.run(creations(bench))
        return found | {f"creating_{name}": value for name, value in quantiles(bench.seen()).items()}


def beat(phase: float) -> when_pb2.Trigger:
    anchor = Timestamp(nanos=int(phase * 1e9))
    return when_pb2.Trigger(interval=when_pb2.IntervalTrigger(every=Duration(seconds=1), anchor_time=anchor))


async def creations(bench: Bench) -> float:
    """Unary creations a second, 64 in flight."""
    yearly = when_pb2.Trigger(expression="0 0 1 1 *")
    until = time.monotonic() + SECONDS
    done = 0

    async def one(client: Client, worker: int) -> None:
        nonlocal done
        while time.monotonic() < until:
            done += 1
            await client.create_schedule(bench.schedule(f"made-{worker}-{done}", yearly))

    async with Client(bench.socket) as client:
        await asyncio.gather(*(one(client, worker) for worker in range(IN_FLIGHT)))
    return done / SECONDS


def backlog(bench: Bench) -> dict[str, float]:
    """Creations alone, one a call and a thousand a call, and all of a backlog due at once."""
    with bench.daemon("backlog") as (_, client):
        unary = asyncio.run(creations(bench))
        due = int(time.time()) + 6
        once = when_pb2.Trigger(once=when_pb2.OnceTrigger(times=[Timestamp(seconds=due)]))
        started = time.monotonic()
        for start in range(0, BACKLOG, 1000):
            client.create_schedules([bench.schedule(f"once-{n}", once) for n in range(start, start + 1000)])
        batch = BACKLOG / (time.monotonic() - started)
        bench.seen()
        time.sleep(max(0.0, due - time.time()))
        started, seen = time.monotonic(), 0
        while seen < BACKLOG and time.monotonic() - started < 60:
            time.sleep(0.02)
            seen += len(bench.seen())
        fires = seen / (time.monotonic() - started)
    raw = asyncio.run(raw_posts(bench.url))
    return {"creates": unary, "creates_by_1000": batch, "fires": fires, "raw_aiohttp": raw, "fires_to_raw": fires / raw}


async def raw_posts(url: str) -> float:
    """POSTs a second of a bare aiohttp client, 64 in flight."""
    left = BACKLOG

    async def one(session: aiohttp.ClientSession) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            async with session.post(url, data=b"") as response:
                await response.read()

    started = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(one(session) for _ in range(IN_FLIGHT)))
    return BACKLOG / (time.monotonic() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description="A real daemon under load")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    receiver = multiprocessing.Process(target=receive, args=(theirs,), daemon=True)
    receiver.start()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch), ours)
        found = {"at 100 a second": steady(bench, 100), "at 1000 a second": steady(bench, 1000), "backlog": backlog(bench)}
    receiver.terminate()
    for title, figures in found.items():
        print(title)
        for name, value in figures.items():
            print(f"  {name:28} {value:12,.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
