"""Live fires while overdue occurrences are caught up after a start: how late they arrive, and how long the backlog takes.

As many schedules as there are overdue occurrences missed one each while the daemon was down. As soon as it is READY, others are created
that fire each second; a live fire's lateness is its arrival at the receiver minus its due time, from then until the backlog is worked off.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from bench.daemon import Daemon, scratch
from bench.population import due_at, populate
from bench.receiver import receiver
from bench.schedules import create_all, each_second, http, schedule
from bench.side import apart
from bench.table import Row, at_most

LIVE = 100
"""Schedules that fire each second."""

WANTED_P99_S = 2.0
_AWAY_US = 120_000_000
_PATIENCE_S = 600
_FINISHED = "SELECT count(*) FROM executions WHERE schedule_row <= ? AND state = 'FINISHED'"


def measure(*, quick: bool) -> list[Row]:
    overdue = 10_000 if quick else 40_000
    with scratch() as directory, receiver() as hits, receiver() as others:
        apart(populate_overdue, directory / "schedd.db", overdue, others.url)
        daemon = Daemon(directory)
        began_s = time.time()
        daemon.start()
        try:
            create_all(daemon.socket, [schedule(f"live-{n}", each_second(n / LIVE), http(hits.url)) for n in range(LIVE)])
            before = _finished(daemon, overdue)
            took_s = _worked_off_s(daemon, overdue, began_s)
            late_s = sorted(hits.seen().late_s)
        finally:
            daemon.end()
    if before == overdue or not late_s:
        raise RuntimeError("the backlog was worked off before a live fire arrived")
    named = f"{overdue:,} overdue are caught up"
    return [
        Row(
            what=f"lateness p99 of {len(late_s):,} live fires while {named}",
            unit="s",
            schedd=late_s[(99 * len(late_s) - 1) // 100],
            beside="wanted",
            other=WANTED_P99_S,
            wanted=at_most(1),
        ),
        Row(what=f"{named} after the start", unit="s", schedd=took_s, beside="itself", other=took_s),
    ]


def populate_overdue(path: Path, count: int, url: str) -> None:
    """A database with that many schedules that were due two minutes ago."""
    due_us = time.time_ns() // 1000 - _AWAY_US
    populate(path, count, 1, lambda _: due_at(due_us), url)


def _finished(daemon: Daemon, overdue: int) -> int:
    with sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True) as connection:
        return int(connection.execute(_FINISHED, (overdue,)).fetchone()[0])


def _worked_off_s(daemon: Daemon, overdue: int, began_s: float) -> float:
    until_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until_s:
        if _finished(daemon, overdue) >= overdue:
            return time.time() - began_s
        time.sleep(0.5)
    raise TimeoutError(f"{_finished(daemon, overdue)} of {overdue} overdue were worked off in {_PATIENCE_S} s")
