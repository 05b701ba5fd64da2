"""What a change does to the occurrences of the coming days: which are added, which are dropped, which move to another time of their day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

from schedd.cli.plans import Action, Step
from schedd.cli.spans import rough_text
from schedd.cli.views import instant
from schedd.client.errors import InvalidError, PreconditionError

if TYPE_CHECKING:
    from schedd.client import SyncClient
    from schedd.v1.schedule_pb2 import Schedule

DAYS: Final = 30
SHOWN: Final = 3
"""How many occurrences of each kind are listed."""
_PAGE: Final = 1000
MOST: Final = 5 * _PAGE
"""How many occurrences of each side are compared at most: a schedule that fires each second has 2.6 million in the window."""
_NEVER_FIRES: Final = "NEVER_FIRES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fires:
    """The local times, each with its offset, at which something fires up to `until`."""

    times: Sequence[datetime]
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """How two lists of fire times differ between `start` and `until`; `cut` when that is earlier than was asked for."""

    added: Sequence[datetime]
    dropped: Sequence[datetime]
    moved: Sequence[tuple[datetime, datetime]]
    kept: int
    start: datetime
    until: datetime
    cut: bool


def moves(client: SyncClient, step: Step, start: datetime) -> Moves:
    """What a step of a plan does to the occurrences of the DAYS after `start`."""
    end = start + timedelta(days=DAYS)
    nothing = Fires(times=(), until=end)
    before = nothing if step.action is Action.CREATE else _stored_fires(client, step.name, start, end)
    after = nothing if step.action is Action.DELETE or step.after is None else fires(client, step.after, start, end)
    return compare(before, after, start, end)


def _stored_fires(client: SyncClient, name: str, start: datetime, end: datetime) -> Fires:
    try:
        return fires(client, name, start, end)
    except PreconditionError:  # The daemon cannot read it, so it never fires.
        return Fires(times=(), until=end)


def fires(client: SyncClient, subject: str | Schedule, start: datetime, end: datetime) -> Fires:
    """When a stored schedule (its name) or a proposed one fires in (start, end), MOST times at most."""
    times: list[datetime] = []
    cursor = start
    while len(times) < MOST:
        try:
            page = list(client.preview_schedule(subject, after=cursor, before=end, count=_PAGE).occurrences)
        except InvalidError as error:
            if {violation.reason for violation in error.violations} != {_NEVER_FIRES}:
                raise
            page = []
        times += (datetime.fromisoformat(item.local_time) for item in page)
        if len(page) < _PAGE:
            return Fires(times=times, until=end)
        cursor = instant(page[-1].nominal_time)
    return Fires(times=times, until=cursor)


def compare(before: Fires, after: Fires, start: datetime, end: datetime) -> Moves:
    """The difference as far as both sides are known. Of one local day, what is dropped and what is added make moves."""
    until = min(before.until, after.until)
    old = {time for time in before.times if time <= until}
    new = {time for time in after.times if time <= until}
    pairs, rest = _pairs(sorted(old - new), sorted(new - old))
    return Moves(
        added=[time for time in rest if time in new],
        dropped=[time for time in rest if time in old],
        moved=pairs,
        kept=len(old & new),
        start=start,
        until=until,
        cut=until < end,
    )


def _pairs(dropped: Sequence[datetime], added: Sequence[datetime]) -> tuple[list[tuple[datetime, datetime]], list[datetime]]:
    """Of each day the pairs of a dropped and an added time, and what has no partner."""
    pairs: list[tuple[datetime, datetime]] = []
    rest: list[datetime] = []
    marked = sorted([*((time, True) for time in dropped), *((time, False) for time in added)])
    for _, day in groupby(marked, key=lambda one: one[0].date()):
        times = list(day)
        gone, come = [time for time, was in times if was], [time for time, was in times if not was]
        found = list(zip(gone, come, strict=True)) if len(gone) == len(come) else list(_neighbours(times))
        taken = {time for pair in found for time in pair}
        pairs += found
        rest += (time for time, _ in times if time not in taken)
    return pairs, rest


def _neighbours(times: Sequence[tuple[datetime, bool]]) -> Iterator[tuple[datetime, datetime]]:
    """The dropped times that have an added one as the next or the last before, each time in one pair only."""
    waiting: tuple[datetime, bool] | None = None
    for time, was in times:
        if waiting is None or waiting[1] is was:
            waiting = time, was
        else:
            yield (time, waiting[0]) if was else (waiting[0], time)
            waiting = None


def move_lines(found: Moves) -> list[str]:
    """The difference for people: how many of each kind, and the first few of each."""
    counts = [(len(found.moved), "moved"), (len(found.added), "added"), (len(found.dropped), "dropped"), (found.kept, "as before")]
    told = ", ".join(f"{count} {word}" for count, word in counts if count) or "no occurrence"
    window = f"next {DAYS} days"
    if found.cut:
        window = f"next {rough_text(found.until - found.start)} (it fires too often to compare {DAYS} days)"
    lines = [f"{window}: {told}"]
    lines += _listed("moves", [f"{_text(old)} → {_short(new, old)}" for old, new in found.moved[:SHOWN]], len(found.moved))
    lines += _listed("adds", map(_text, found.added[:SHOWN]), len(found.added))
    lines += _listed("drops", map(_text, found.dropped[:SHOWN]), len(found.dropped))
    return lines


def move_data(found: Moves) -> dict[str, object]:
    """The difference for programs."""
    return {
        "after": found.start.isoformat(),
        "until": found.until.isoformat(),
        "cut": found.cut,
        "moved": len(found.moved),
        "added": len(found.added),
        "dropped": len(found.dropped),
        "kept": found.kept,
        "first_moved": [{"before": old.isoformat(), "after": new.isoformat()} for old, new in found.moved[:SHOWN]],
        "first_added": [time.isoformat() for time in found.added[:SHOWN]],
        "first_dropped": [time.isoformat() for time in found.dropped[:SHOWN]],
    }


def _listed(verb: str, shown: Iterable[str], count: int) -> list[str]:
    lines = [f"  {verb if index == 0 else '':<6}{text}" for index, text in enumerate(shown)]
    return [*lines, f"  {'':<6}… and {count - SHOWN} more"] if count > SHOWN else lines


def _text(time: datetime) -> str:
    fraction = f".{time.microsecond:06d}".rstrip("0") if time.microsecond else ""
    return f"{time:%a %Y-%m-%d %H:%M:%S}{fraction}{time:%z}"


def _short(time: datetime, beside: datetime) -> str:
    """A time of the same day, without what it has in common with the one beside it."""
    return f"{time:%H:%M:%S}" + ("" if time.utcoffset() == beside.utcoffset() else f"{time:%z}")
