"""Start with 100k and 1M schedules, and with 100k that are overdue; memory a schedule.

A start lasts from the process's beginning to READY. Limit, on the same database in the same run: read the hot columns and heapify them.
What an empty daemon takes (imports) is subtracted, and stands in a row of its own. After a clean end no rule has to be computed
at a start; after a crash those that had fired since they were saved last have: that is what the row "behind the mark" shows.
"""

from __future__ import annotations

import heapq
import shutil
import signal
import sqlite3
import statistics
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import peer
from bench.daemon import Daemon, scratch
from bench.population import due_at, populate, yearly
from bench.receiver import Receiver, receiver
from bench.side import apart, side
from bench.table import Row, at_most

BEHIND = 50_000
"""How many timers lie behind the mark after the crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How long a start took, and the memory of the process then."""

    took_s: float
    bytes_: int


def measure(*, quick: bool) -> list[Row]:
    few, many, rules, overdue = (10_000, 50_000, 10_000, 5_000) if quick else (100_000, 1_000_000, 100_000, 100_000)
    rounds = 1 if quick else 3
    rows: list[Row] = []
    with scratch() as directory:
        empty = _start(directory / "empty", rounds)
        for count, distinct in ((few, 200), (many, 200), (many, rules)):
            place = directory / "full"
            place.mkdir()
            apart(populate_yearly, place / "schedd.db", count, distinct)
            rows += _rows(f"{count:,} schedules, {distinct:,} rules", count, place, empty, rounds)
            if distinct == rules:
                rows += _after_crash(place, count, min(BEHIND, count // 4), empty)
            shutil.rmtree(place)
        rows.append(_plain("start of an empty daemon", "s", empty.took_s))
        rows += _overdue(directory, overdue, empty)
    return rows


def populate_yearly(path: Path, count: int, distinct: int) -> None:
    """A database with that many schedules, which share that many rules."""
    populate(path, count, distinct, partial(yearly, now_us=time.time_ns() // 1000), "http://127.0.0.1:9/")


def _rows(named: str, count: int, place: Path, empty: Start, rounds: int) -> list[Row]:
    start = _start(place, rounds)
    read_s = statistics.median(float(apart(read_and_heapify, place / "schedd.db")) for _ in range(rounds))
    return [
        Row(
            what=f"start, {named}, beyond an empty one",
            unit="s",
            schedd=start.took_s - empty.took_s,
            beside="read the hot columns, heapify",
            other=read_s,
            wanted=at_most(3),
        ),
        Row(
            what=f"memory a schedule, {named}",
            unit="bytes",
            schedd=(start.bytes_ - empty.bytes_) / count,
            beside="the bound",
            other=160,
            wanted=at_most(1),
        ),
    ]


def _after_crash(place: Path, count: int, behind: int, empty: Start) -> list[Row]:
    with sqlite3.connect(place / "schedd.db") as connection:
        connection.execute("UPDATE timers SET next_us = planned_from_us - 1 WHERE row <= ?", (behind,))
    connection.close()
    start = _start(place, 1)
    read_s = float(apart(read_and_heapify, place / "schedd.db"))
    return [
        Row(
            what=f"start, {count:,} schedules, {behind:,} behind the mark",
            unit="s",
            schedd=start.took_s - empty.took_s,
            beside="read the hot columns, heapify",
            other=read_s,
        )
    ]


def _plain(what: str, unit: str, value: float) -> Row:
    return Row(what=what, unit=unit, schedd=value, beside="itself", other=value)


def _start(place: Path, rounds: int) -> Start:
    """The median of several starts; each daemon is killed, so that none prepares the next one's."""
    place.mkdir(exist_ok=True)
    daemon = Daemon(place)
    found = []
    for _ in range(rounds):
        took_s = daemon.start()
        found.append(Start(took_s=took_s, bytes_=daemon.resident_bytes()))
        daemon.end(signal.SIGKILL)
    return Start(took_s=statistics.median(start.took_s for start in found), bytes_=int(statistics.median(start.bytes_ for start in found)))


def read_and_heapify(path: Path) -> float:
    """How many seconds it takes to read what the timeline needs, and to make a heap of it."""
    began = time.perf_counter()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        read = connection.execute("SELECT row, generation, next_us, planned_from_us FROM timers").fetchall()
        heap = [next_us << 32 | row for row, _, next_us, _ in read]
        heapq.heapify(heap)
    return time.perf_counter() - began


def populate_overdue(path: Path, count: int, url: str) -> None:
    """A database with that many schedules that were due a second ago."""
    due_us = time.time_ns() // 1000 - 1_000_000
    populate(path, count, 1, lambda _: due_at(due_us), url)


def _overdue(directory: Path, count: int, empty: Start) -> list[Row]:
    """The first fire after a start on a store whose jobs are all overdue, from the process's beginning, and the memory then."""
    place = directory / "overdue"
    place.mkdir()
    with receiver() as hits:
        apart(populate_overdue, place / "schedd.db", count, hits.url)
        ours = _first_fire(place, hits)
        time.sleep(1.0)
        hits.seen()
        apart(peer.fill_only, directory / "peer.db", hits.port, [time.time() - 1.0] * count)
        apart(peer.fill_only, directory / "few.db", hits.port, [time.time() + 3600])
        theirs = _peer_first_fire(directory / "peer.db", hits)
        theirs_empty = _peer_memory(directory / "few.db")
    return [
        Row(
            what=f"first fire after a start, {count:,} overdue",
            unit="s",
            schedd=ours.took_s,
            beside=peer.NAME,
            other=theirs.took_s,
            wanted=at_most(1 / 20),
        ),
        Row(
            what=f"memory a schedule then, {count:,} overdue",
            unit="bytes",
            schedd=(ours.bytes_ - empty.bytes_) / count,
            beside=peer.NAME,
            other=(theirs.bytes_ - theirs_empty) / count,
            wanted=at_most(1 / 3),
        ),
    ]


def _first_fire(place: Path, hits: Receiver) -> Start:
    daemon = Daemon(place)
    began_s = time.time()
    daemon.start()
    first_s = hits.wait_for(1, 60).first_s
    found = Start(took_s=first_s - began_s, bytes_=daemon.resident_bytes())
    daemon.end(signal.SIGKILL)
    return found


def _peer_first_fire(path: Path, hits: Receiver) -> Start:
    began_s = time.time()
    with side(peer.overdue, path) as process:
        process.answer()
        first_s = hits.wait_for(1, 120).first_s
        return Start(took_s=first_s - began_s, bytes_=int(process.ask()))


def _peer_memory(path: Path) -> int:
    with side(peer.overdue, path) as process:
        process.answer()
        return int(process.ask())
