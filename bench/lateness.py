"""Lateness at 100 and 1,000 fires a second, idle and while creations saturate the daemon; CPU time a fire; early fires.

A fire's lateness is the arrival of its request at the receiver minus its due time, for all sides: schedd, the bare prototype (a timerfd, a
heap and a request of bytes: nothing else), and APScheduler. CPU time a fire stands beside the durable prototype's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import peer, prototype
from bench.daemon import running, scratch
from bench.pace import Lateness
from bench.receiver import Receiver, receiver
from bench.schedules import create_all, each_second, http, saturate, schedule
from bench.side import Side, side
from bench.table import Row, Wanted, at_most

SETTLE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """Lateness at a steady rate, and the CPU time a fire."""

    lateness: Lateness
    cpu_us: float


def measure(*, quick: bool) -> list[Row]:
    seconds = 4.0 if quick else 15.0
    with receiver() as hits:
        return [row for rate in (100, 1000) for row in _at(rate, hits, seconds)]


def _at(rate: int, hits: Receiver, seconds: float) -> list[Row]:
    with scratch() as directory:
        with side(prototype.bare, hits.port, rate) as process:
            bare = _steady(hits, process, seconds)
        idle, busy = _schedd(rate, hits, seconds)
        with side(prototype.durable, hits.port, rate, directory / "prototype.db") as process:
            durable = _steady(hits, process, seconds)
        apscheduler = _apscheduler(directory / "peer.db", rate, hits, seconds)
    all_wanted = rate == 1000
    named = f"at {rate:,} a second"
    fires = idle.lateness.fires + busy.fires
    return [
        *_lateness(f"{named}", idle.lateness, "bare timerfd prototype", bare.lateness, at_most(4) if all_wanted else None),
        *_lateness(f"{named}", idle.lateness, peer.NAME, apscheduler.lateness, at_most(0.1) if all_wanted else None),
        *_lateness(f"{named}, creating", busy, "schedd, idle", idle.lateness, at_most(4)),
        Row(
            what=f"early fires {named}, of {fires:,}",
            unit="fires",
            schedd=idle.lateness.early + busy.early,
            beside="none",
            other=0,
            wanted=at_most(0),
        ),
        _cpu(named, idle, "durable prototype", durable, at_most(2.5) if all_wanted else None),
        _cpu(named, idle, peer.NAME, apscheduler, at_most(1 / 3) if all_wanted else None),
    ]


def _lateness(named: str, ours: Lateness, beside: str, theirs: Lateness, wanted: Wanted | None) -> list[Row]:
    def row(part: str, schedd: float, other: float, wanted: Wanted | None) -> Row:
        return Row(what=f"lateness {part} {named}", unit="ms", schedd=schedd, beside=beside, other=other, wanted=wanted)

    return [
        row("p50", ours.p50_ms, theirs.p50_ms, None),
        row("p99", ours.p99_ms, theirs.p99_ms, wanted),
        row("max", ours.max_ms, theirs.max_ms, None),
    ]


def _cpu(named: str, ours: Steady, beside: str, theirs: Steady, wanted: Wanted | None) -> Row:
    return Row(what=f"CPU a fire {named}", unit="µs", schedd=ours.cpu_us, beside=beside, other=theirs.cpu_us, wanted=wanted)


def _watched(hits: Receiver, cpu_s: Callable[[], float], seconds: float) -> Steady:
    hits.seen()
    before = cpu_s()
    time.sleep(seconds)
    seen, used_s = hits.seen(), cpu_s() - before
    return Steady(lateness=Lateness.of(seen.late_s), cpu_us=used_s / len(seen.late_s) * 1e6)


def _steady(hits: Receiver, process: Side, seconds: float) -> Steady:
    process.answer()
    time.sleep(SETTLE_S)
    return _watched(hits, lambda: float(process.ask()), seconds)


def _schedd(rate: int, hits: Receiver, seconds: float) -> tuple[Steady, Lateness]:
    """Idle, and while creations saturate it."""
    target = http(hits.url)
    with running() as daemon, side(saturate, daemon.socket) as creator:
        create_all(daemon.socket, [schedule(f"beat-{n}", each_second(n / rate), target) for n in range(rate)])
        time.sleep(SETTLE_S)
        idle = _watched(hits, daemon.cpu_s, seconds)
        creator.ask(1.0)
        return idle, _creating(creator, hits, seconds)


def _creating(creator: Side, hits: Receiver, seconds: float) -> Lateness:
    hits.seen()
    creator.ask(seconds)
    return Lateness.of(hits.seen().late_s)


def _apscheduler(path: Path, rate: int, hits: Receiver, seconds: float) -> Steady:
    count = int(rate * seconds)
    with side(peer.fires, path, hits.port) as process:
        fill_s = 2 + count / 5000
        begin_s = time.time() + fill_s
        process.tell([begin_s + number / rate for number in range(count)])
        process.answer()
        if time.time() > begin_s:
            raise TimeoutError("filling APScheduler's store took longer than was allowed for; the machine is too busy")
        hits.seen()
        before = float(process.ask())
        seen = hits.wait_for(count, seconds + 60)
        return Steady(lateness=Lateness.of(seen.late_s), cpu_us=(float(process.ask()) - before) / count * 1e6)
