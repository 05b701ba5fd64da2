"""The zone watch: notices at start that the time zone data is another than before, and sees to the schedules that this concerns.

What the data says of a zone is kept before the first schedule in that zone is: there is always something to compare with.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from schedd.core.identity import ByIdentity
from schedd.core.model.batch import NEVER_US, UNDECIDED_US, Timers
from schedd.core.model.calendar import Calendar
from schedd.core.model.journal import Evidence, JournalEntry, JournalKind
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import Schedule
from schedd.core.model.when import When
from schedd.core.model.zonemark import ZoneMark
from schedd.core.ports import Clock, Store
from schedd.core.triggers import (
    EarlierData,
    Moved,
    clockless,
    first_change_us,
    is_zone,
    names_zone,
    renamed_to,
    used_calendars,
    zone_data_version,
    zone_mark,
    zones_of,
)
from schedd.engine.almanac import Almanac
from schedd.engine.definitions import Definition, Definitions
from schedd.engine.keeper import Keeper

_AT_ONCE: Final = 500
NAMED_MAX: Final = 100
"""How many schedules whose occurrences moved are named; the journal has them all."""
_KEPT_AHEAD_US: Final = 4 * 365 * 86_400_000_000
"""A mark that reaches less far ahead is made anew."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedSchedules:
    """The schedules whose coming occurrences other time zone data moved, found at this start of the daemon: by name, at most NAMED_MAX."""

    count: int = 0
    names: tuple[str, ...] = ()


class _Marks(NamedTuple):
    """The daemon's mark, and the time before which a schedule's own mark does not count."""

    mark_us: int
    recent_us: int


class _Timer(NamedTuple):
    """One row of the stored timers."""

    row: int
    generation: int
    next_us: int
    planned_from_us: int


class _Concerned(NamedTuple):
    """A schedule whose times depend on a zone that has changed, and the instant after which its occurrences are undecided."""

    timer: _Timer
    definition: Definition
    mark: ZoneMark
    from_us: int


_own_zones: ByIdentity[When, frozenset[str]] = ByIdentity(zones_of, capacity=1024)


class ZoneWatch:
    """Runs once before the timeline is filled; then keeps what the data says of zones that come into use."""

    def __init__(self, *, store: Store, clock: Clock, almanac: Almanac, definitions: Definitions, keeper: Keeper) -> None:
        self._store = store
        self._clock = clock
        self._almanac = almanac
        self._definitions = definitions
        self._keeper = keeper
        self._kept: set[str] = set()
        self.moved = MovedSchedules()

    async def run_once(self, mark_us: int, recent_us: int) -> None:
        """Compare; journal and store what has moved after the daemon's mark; quarantine the schedules whose zone is gone.

        A schedule has a mark of its own where that is later than `recent_us`. A crash on the way leaves what is kept of the zones as it
        was: the next start does it all again.
        """
        marks = await self._store.zone_marks()
        gone = [mark.name for mark in marks if not is_zone(mark.name)]
        there = [mark for mark in marks if mark.name not in gone]
        changes = {mark.name: at_us for mark in there if (at_us := first_change_us(mark, mark_us)) is not None}
        if gone:
            await self._give_up(gone)
        if changes:
            await self._move([mark for mark in there if mark.name in changes], min(changes.values()), _Marks(mark_us, recent_us))
        await self._keep_anew(there, changes, gone)
        self._kept = {mark.name for mark in there}
        await self._keep_new(self._almanac.time_zones().values())

    async def in_use(self, schedules: Iterable[Schedule]) -> None:
        """Keep what the data says of the zones of these schedules, which are about to be stored."""
        await self._keep_new(frozenset().union(*(_own_zones(schedule.when) for schedule in schedules)))

    async def calendar_in_use(self, calendar: Calendar) -> None:
        """The same of a calendar."""
        await self._keep_new([calendar.time_zone] if calendar.time_zone else [])

    async def _keep_new(self, names: Iterable[str]) -> None:
        new = set(names) - self._kept
        if known := sorted(filter(is_zone, new)):
            await self._store.keep_zones([zone_mark(name, self._clock.now_us()) for name in known])
            self._kept.update(known)

    async def _keep_anew(self, there: Sequence[ZoneMark], changes: Iterable[str], gone: Sequence[str]) -> None:
        now_us, version = self._clock.now_us(), zone_data_version()
        old = [mark for mark in there if mark.name in changes or mark.version != version or mark.until_us < now_us + _KEPT_AHEAD_US]
        if old or gone:
            await self._store.keep_zones([zone_mark(mark.name, now_us) for mark in old], gone=gone)

    async def _give_up(self, gone: Sequence[str]) -> None:
        for rows in _portions((await self._naming(gone)).rows):
            for row, schedule in (await self._store.schedules(rows)).items():
                if isinstance(schedule, Schedule) and (text := self._missing(schedule, gone)) != "":
                    self._keeper.quarantine(row, Reason.TIME_ZONE_DATA, text)

    def _missing(self, schedule: Schedule, gone: Sequence[str]) -> str:
        """What a schedule lacks of the zones that are gone, in words; empty: nothing."""
        for name in gone:
            if names_zone(schedule.when, name):
                return f"the time zone data has no `{name}` any more: {renamed_to(name)}"
            for calendar in used_calendars(schedule.when):
                if self._almanac.time_zones().get(calendar) == name:
                    return f"its calendar `{calendar}` is in `{name}`, and the time zone data has no such zone any more: {renamed_to(name)}"
        return ""

    async def _naming(self, zones: Sequence[str]) -> Timers:
        """The timers of the schedules that these zones may concern: that name one, or a calendar which is in one."""
        calendars = [f'"{name}"' for name, zone in self._almanac.time_zones().items() if zone in zones]
        return await self._store.timers_naming([*zones, *calendars])

    async def _move(self, marks: Sequence[ZoneMark], change_us: int, daemon: _Marks) -> None:
        """The schedules in these zones: their stored next times are made anew, and what has moved of them is journaled."""
        earlier = EarlierData(marks, change_us)
        changed = {mark.name: mark for mark in marks}
        timers = await self._naming(list(changed))
        for start in range(0, len(timers), _AT_ONCE):
            concerned = await self._concerned(_timers_of(timers, start), changed, daemon)
            await self._move_portion(concerned, earlier.moved([(one.definition.rule, one.from_us) for one in concerned]))
        if self.moved.count:
            log.warning("occurrences_moved", schedules=self.moved.count, zones=sorted(changed), version=zone_data_version())

    async def _concerned(self, timers: Sequence[_Timer], changed: Mapping[str, ZoneMark], daemon: _Marks) -> list[_Concerned]:
        """Those of the schedules whose times depend on one of the zones; what cannot be read is left to the recovery."""
        definitions = await self._definitions.load(timer.row for timer in timers)
        found: list[_Concerned] = []
        for timer in timers:
            definition = definitions.get(timer.row)
            if isinstance(definition, Definition) and (
                zones := sorted(zones_of(definition.schedule.when, self._almanac.calendars) & changed.keys())
            ):
                has_own = timer.planned_from_us > daemon.recent_us or timer.next_us == UNDECIDED_US
                from_us = timer.planned_from_us if has_own else daemon.mark_us
                found.append(_Concerned(timer, definition, changed[zones[0]], from_us))
        return found

    async def _move_portion(self, concerned: Sequence[_Concerned], moves: Sequence[Moved | None]) -> None:
        entries: list[JournalEntry] = []
        fresh = Timers()
        for one, move in zip(concerned, moves, strict=True):
            next_us = one.definition.rule.next_after(one.from_us)
            if not clockless(one.definition.schedule.when) and one.timer.next_us != UNDECIDED_US:
                _add(fresh, one.timer, NEVER_US if next_us is None else next_us)
                if move is None and one.from_us < one.timer.next_us != NEVER_US and one.timer.next_us != next_us:
                    # The instant of `at()` was made of its local time by the data of then: its stored time alone tells.
                    move = Moved(one.timer.next_us, next_us)
            if move is not None:
                entries.append(self._entry(one.definition.schedule, one.mark, move))
        await self._store.append(entries)
        await self._store.save_timers(fresh)
        names = sorted([*self.moved.names, *(str(entry.schedule) for entry in entries)])
        self.moved = MovedSchedules(count=self.moved.count + len(entries), names=tuple(names[:NAMED_MAX]))

    def _entry(self, schedule: Schedule, mark: ZoneMark, move: Moved) -> JournalEntry:
        times = {"old_us": move.before_us, "new_us": move.after_us}
        evidence: Evidence = {
            "time_zone": mark.name,
            "old_version": mark.version,
            "new_version": zone_data_version(),
            **{name: at_us for name, at_us in times.items() if at_us is not None},
        }
        return JournalEntry(
            time_us=self._clock.now_us(),
            kind=JournalKind.OCCURRENCES_MOVED,
            schedule=schedule.name,
            schedule_row=schedule.row,
            schedule_uid=schedule.uid,
            reason=Reason.TIME_ZONE_DATA,
            evidence=evidence,
        )


def _portions(rows: array[int]) -> Iterable[Sequence[int]]:
    return [list(rows[start : start + _AT_ONCE]) for start in range(0, len(rows), _AT_ONCE)]


def _timers_of(timers: Timers, start: int) -> list[_Timer]:
    end = start + _AT_ONCE
    columns = (timers.rows, timers.generations, timers.next_us, timers.planned_from_us)
    return [_Timer(*values) for values in zip(*(column[start:end] for column in columns), strict=True)]


def _add(timers: Timers, timer: _Timer, next_us: int) -> None:
    for column, value in zip((timers.rows, timers.generations, timers.next_us), (timer.row, timer.generation, next_us), strict=True):
        column.append(value)
    timers.planned_from_us.append(timer.planned_from_us)
