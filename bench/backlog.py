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
from collections.abc import Callable
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

COMMAND = "/bin/true"
CREATES_A_SECOND = 3000
"""How fast the daemon is trusted to take the schedules of a backlog."""

CRON_LAST_OF_1000_S = 3.8
"""How late Debian's cron starts the last of 1000 entries of one minute: measured apart from this run, since cron wants root."""


def measure(*, quick: bool) -> list[Row]:
    fires, starts, rounds = (3000, 500, 1) if quick else (10_000, 2000, 3)
    return [*_http(fires, rounds), *_processes(starts, rounds)]


def _http(fires: int, rounds: int) -> list[Row]:
    with receiver() as hits, running() as daemon, scratch() as directory:
        found = alternate(
            {
                "schedd": partial(_fires, daemon, hits, fires, map("fires-{}".format, count()).__next__),
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


def _fires(daemon: Daemon, hits: Receiver, fires: int, prefix: Callable[[], str]) -> Rate:
    """The CPU time is that from the due instant until all is recorded."""
    due_s, name = int(time.time()) + 3 + fires // CREATES_A_SECOND, prefix()
    create_all(daemon.socket, [schedule(f"{name}-{n}", once(due_s), http(hits.url)) for n in range(fires)])
    hits.seen()
    _sleep_until(due_s)
    before = daemon.cpu_s()
    seen = hits.wait_for(fires, 120)
    _until_recorded(daemon)
    return Rate(a_second=fires / (seen.last_s - due_s), cpu_us=(daemon.cpu_s() - before) / fires * 1e6)


def _sleep_until(due_s: float) -> None:
    if (left_s := due_s - time.time()) < 0:
        raise TimeoutError("creating the backlog took longer than was allowed for; the machine is too busy")
    time.sleep(left_s)


def _until_recorded(daemon: Daemon) -> None:
    """Wait until nothing is unfinished."""
    with sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True) as connection:
        while connection.execute("SELECT 1 FROM executions WHERE state <> 'FINISHED' LIMIT 1").fetchone():
            time.sleep(0.05)


def _apscheduler(path: Path, hits: Receiver, fires: int) -> Rate:
    """All jobs overdue when the scheduler starts; from there to the last arrival."""
    with side(peer.fires, path, hits.port) as process_:
        process_.tell([time.time() - 1.0] * fires)
        process_.answer()
        started_s, before = time.time(), float(process_.ask())
        seen = hits.wait_for(fires, 150)
        return Rate(a_second=fires / (seen.last_s - started_s), cpu_us=(float(process_.ask()) - before) / fires * 1e6)


def _processes(starts: int, rounds: int) -> list[Row]:
    prefixes = map("starts-{}".format, count())
    with running() as daemon:
        found = alternate(
            {
                "schedd": lambda: _starts(daemon, starts, next(prefixes)),
                "raw": lambda: apart(raw_starts, starts),
            },
            rounds,
        )
        last_s = 1000 / _starts(daemon, 1000, next(prefixes)).a_second
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


def _starts(daemon: Daemon, starts: int, prefix: str) -> Rate:
    due_s = int(time.time()) + 3 + starts // CREATES_A_SECOND
    create_all(daemon.socket, [schedule(f"{prefix}-{n}", once(due_s), process(COMMAND)) for n in range(starts)])
    _sleep_until(due_s + 0.2)
    _until_recorded(daemon)
    with sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True) as connection:
        query = "SELECT count(*), max(finished_us) FROM executions WHERE due_us = ? AND outcome = 'SUCCEEDED'"
        succeeded, last_us = connection.execute(query, (due_s * 1_000_000,)).fetchone()
    if succeeded != starts:
        raise AssertionError(f"{succeeded} of {starts} processes succeeded")
    return Rate(a_second=starts / (last_us / 1e6 - due_s))


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
