"""A backlog, all due at once, through the whole daemon: HTTP fires a second and starts of /bin/true a second.

From the due instant to the arrival of the last request, or to the end of the last process as the store has it. Limits: a raw aiohttp
client and bytes without a library, with the same headers; Popen + pidfd; each with 64 in flight on uvloop in a process of its own. Peer:
APScheduler with as many jobs overdue.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import time
from functools import partial
from itertools import count
from pathlib import Path

from bench import peer, raw_http
from bench.daemon import Daemon, running, scratch
from bench.pace import Rate, alternate, in_flight, with_uvloop
from bench.receiver import Receiver, receiver
from bench.schedules import IN_FLIGHT, create_all, http, once, process, schedule
from bench.side import apart, side
from bench.table import Row, at_least, at_most
from schedd.v1 import target_pb2

COMMAND = "/bin/true"
CRON_LAST_OF_1000_S = 3.8
"""How late Debian's cron starts the last of 1000 entries of one minute: measured apart from this run, since cron wants root."""


def measure(*, quick: bool) -> list[Row]:
    fires, starts, rounds = (3000, 500, 1) if quick else (10_000, 2000, 3)
    return [*_http(fires, rounds), *_processes(starts, rounds)]


def _http(fires: int, rounds: int) -> list[Row]:
    with receiver() as hits, running() as daemon, scratch() as directory:
        found = alternate(
            {
                "schedd": partial(_fires, Backlogs(daemon), hits, fires),
                "raw": lambda: apart(raw_http.aiohttp_posts, hits.url, fires),
                "bytes": lambda: apart(raw_http.bytes_posts, hits.port, fires),
            },
            rounds,
        )
        hits.seen()
        apscheduler = _apscheduler(directory / "peer.db", hits, fires)
    return [
        _row("HTTP fires, backlog", found["schedd"], "raw aiohttp, same headers", found["raw"], 0.8),
        _row("HTTP fires, backlog", found["schedd"], "raw bytes, same headers", found["bytes"], 0.35),
        _row("HTTP fires, backlog", found["schedd"], peer.NAME, apscheduler, 5),
    ]


def _row(what: str, ours: Rate, beside: str, theirs: Rate, wanted: float) -> Row:
    by_cpu = theirs.cpu_us / ours.cpu_us
    return Row(
        what=what, unit="a second", schedd=ours.a_second, beside=beside, other=theirs.a_second, wanted=at_least(wanted), by_cpu=by_cpu
    )


class Backlogs:
    """Makes backlogs in a daemon, and learns how long that takes."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self._each_s = 1 / 1500
        self._numbers = count()

    def make(self, size: int, target: target_pb2.Target) -> int:
        """Create so many schedules that are due at one instant to come; when, in seconds. Raises: TimeoutError if it came too soon."""
        began_s, prefix = time.time(), f"backlog-{next(self._numbers)}"
        due_s = int(began_s + 3 + 2 * size * self._each_s)
        create_all(self.daemon.socket, [schedule(f"{prefix}-{n}", once(due_s), target) for n in range(size)])
        now_s = time.time()
        if now_s > due_s - 1:
            raise TimeoutError("creating the backlog took longer than was allowed for; the machine is too busy")
        self._each_s = (now_s - began_s) / size
        return due_s


def _fires(backlogs: Backlogs, hits: Receiver, fires: int) -> Rate:
    """The CPU time is that from the due instant until all is recorded."""
    due_s, daemon = backlogs.make(fires, http(hits.url)), backlogs.daemon
    hits.seen()
    time.sleep(due_s - time.time())
    before = daemon.cpu_s()
    seen = hits.wait_for(fires, 120)
    _last_end_s(daemon, due_s, fires)
    return Rate(a_second=fires / (seen.last_s - due_s), cpu_us=(daemon.cpu_s() - before) / fires * 1e6)


def _last_end_s(daemon: Daemon, due_s: int, size: int) -> float:
    """Wait until all that was due then is recorded; when the last of it ended."""
    query = "SELECT count(*), max(finished_us), sum(outcome <> 'SUCCEEDED') FROM executions WHERE due_us = ? AND state = 'FINISHED'"
    until, finished, failed = time.monotonic() + 150, 0, 0
    with sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True) as connection:
        while time.monotonic() < until:
            finished, last_us, failed = connection.execute(query, (due_s * 1_000_000,)).fetchone()
            if finished == size and failed == 0:
                return float(last_us) / 1e6
            time.sleep(0.1)
    raise TimeoutError(f"{finished} of {size} executions have finished, {failed} of them without success")


def _apscheduler(path: Path, hits: Receiver, fires: int) -> Rate:
    """All jobs overdue when the scheduler starts; from there to the last arrival."""
    with side(peer.fires, path, hits.port) as process_:
        process_.tell([time.time() - 1.0] * fires)
        process_.answer()
        started_s, before = time.time(), float(process_.ask())
        seen = hits.wait_for(fires, 150)
        return Rate(a_second=fires / (seen.last_s - started_s), cpu_us=(float(process_.ask()) - before) / fires * 1e6)


def _processes(starts: int, rounds: int) -> list[Row]:
    with running() as daemon:
        backlogs = Backlogs(daemon)
        found = alternate(
            {
                "schedd": partial(_starts, backlogs, starts),
                "raw": lambda: apart(raw_starts, starts),
            },
            rounds,
        )
        last_s = 1000 / _starts(backlogs, 1000).a_second
    return [
        Row(
            what="process starts, backlog",
            unit="a second",
            schedd=found["schedd"].a_second,
            beside="Popen + pidfd",
            other=found["raw"].a_second,
            wanted=at_least(0.7),
        ),
        Row(
            what="the last of 1000 processes due at once has ended",
            unit="s",
            schedd=last_s,
            beside="Debian cron (not in this run)",
            other=CRON_LAST_OF_1000_S,
            wanted=at_most(1 / 3),
        ),
    ]


def _starts(backlogs: Backlogs, starts: int) -> Rate:
    due_s = backlogs.make(starts, process(COMMAND))
    return Rate(a_second=starts / (_last_end_s(backlogs.daemon, due_s, starts) - due_s))


def raw_starts(starts: int) -> Rate:
    """Starts a second of Popen, each awaited through its pidfd."""
    return Rate(a_second=with_uvloop(in_flight(popen, starts, IN_FLIGHT)))


async def popen(_: int) -> None:
    """Start the command and wait for its end."""
    await exited(subprocess.Popen((COMMAND,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


async def popen_with_pipes(_: int) -> None:
    """As `popen`, and read what the command writes."""
    with subprocess.Popen((COMMAND,), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        await exited(started)
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.read()
        started.stderr.read()


async def exited(started: subprocess.Popen[bytes]) -> None:
    loop = asyncio.get_running_loop()
    handle = os.pidfd_open(started.pid)
    done = loop.create_future()
    loop.add_reader(handle, done.set_result, None)
    await done
    loop.remove_reader(handle)
    os.close(handle)
    assert started.wait() == 0
