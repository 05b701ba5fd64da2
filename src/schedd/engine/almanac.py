"""The almanac: all calendars in memory, ready for use, and which schedules use them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final

import structlog

from schedd.core.errors import ExpressionError, StoredDataError
from schedd.core.model.calendar import Calendar, HolidaysEntry
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.ports import Clock, Holidays, Store
from schedd.core.triggers import CalendarDays, Calendars, calendar_days, used_calendars

YEARS_BEFORE: Final = 1
YEARS_AHEAD: Final = 20
"""The public holidays of these years, around the current one, are known; they move on at each turn of the year."""

log = structlog.get_logger(__name__)


class NoHolidays:
    """Knows no country's public holidays."""

    def dates(self, entry: HolidaysEntry, *, first_year: int, last_year: int) -> Sequence[date]:
        """Raises: ExpressionError, always."""
        raise ExpressionError(
            text=entry.country,
            part="holidays",
            reason="public holidays are not known to this daemon",
            suggestion="install its extra: pip install 'schedd[holidays]', and start it again",
        )


class Almanac:
    """What schedules are compiled with. Holds what is committed; whoever commits a change of a calendar or a schedule tells it."""

    def __init__(self, store: Store, clock: Clock, holidays: Holidays) -> None:
        self._store = store
        self._clock = clock
        self._holidays = holidays
        self._stored: dict[str, Calendar] = {}
        self._users: dict[str, set[int]] = {}
        self._used: dict[int, tuple[str, ...]] = {}
        self._generations: dict[int, int] = {}
        self.calendars = Calendars()

    async def load(self) -> None:
        """Read all calendars and their users. One that cannot be read is a fault for its schedules alone."""
        days: dict[str, CalendarDays] = {}
        faults: dict[str, str] = {}
        for name, calendar in (await self._store.calendars()).items():
            try:
                if isinstance(calendar, StoredDataError):
                    raise calendar
                days[name] = self.read(calendar)
                self._stored[name] = calendar
            except (StoredDataError, ExpressionError) as error:
                log.error("calendar_unreadable", calendar=name, detail=str(error))
                faults[name] = str(error)
        self.calendars = Calendars(days=days, faults=faults)
        for use in await self._store.calendar_uses():
            self._users.setdefault(use.calendar, set()).add(use.row)
            self._used[use.row] = (*self._used.get(use.row, ()), use.calendar)

    def read(self, calendar: Calendar) -> CalendarDays:
        """A calendar ready for use. Raises: ExpressionError; its `part` names the entry."""
        return calendar_days(calendar, self.dates)

    def dates(self, entry: HolidaysEntry) -> Sequence[date]:
        """The public holidays of the years that are known now. Raises: ExpressionError."""
        year = datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC).year
        return self._holidays.dates(entry, first_year=year - YEARS_BEFORE, last_year=year + YEARS_AHEAD)

    def proposed(self, days: CalendarDays) -> Calendars:
        """The calendars with one of them as it is to be."""
        faults = {name: fault for name, fault in self.calendars.faults.items() if name != days.name}
        return Calendars(days={**self.calendars.days, days.name: days}, faults=faults)

    def put(self, calendar: Calendar, days: CalendarDays) -> None:
        """A calendar has been committed."""
        self._stored[calendar.name] = calendar
        self.calendars = self.proposed(days)

    def remove(self, name: str) -> None:
        """A calendar has been deleted."""
        self._stored.pop(name, None)
        days = {known: found for known, found in self.calendars.days.items() if known != name}
        faults = {known: fault for known, fault in self.calendars.faults.items() if known != name}
        self.calendars = replace(self.calendars, days=days, faults=faults)

    def with_holidays(self) -> list[Calendar]:
        """The calendars that have public holidays among their entries."""
        return [calendar for calendar in self._stored.values() if any(isinstance(entry, HolidaysEntry) for entry in calendar.entries)]

    def schedule_changed(self, schedule: Schedule) -> None:
        """A schedule has been committed."""
        row = schedule.row
        self.leave(row)
        used = () if schedule.state is ScheduleState.DELETED else used_calendars(schedule.when)
        if not used:
            return
        self._used[row] = used
        self._generations[row] = schedule.generation
        for name in used:
            self._users.setdefault(name, set()).add(row)

    def leave(self, row: int) -> None:
        """A schedule is gone."""
        for name in self._used.pop(row, ()):
            self._users[name].discard(row)
        self._generations.pop(row, None)

    def users(self, name: str) -> list[int]:
        """The rows of the schedules that use a calendar."""
        return sorted(self._users.get(name, ()))

    def time_zones(self) -> Mapping[str, str]:
        """The calendars that have a time zone of their own, with it."""
        return {name: days.time_zone for name, days in self.calendars.days.items() if days.time_zone}

    def uses_any(self, row: int) -> bool:
        """Whether the schedule in this row uses calendars."""
        return row in self._used

    def count(self, name: str) -> int:
        """How many schedules use a calendar."""
        return len(self._users.get(name, ()))

    def outdated(self, schedules: Iterable[Schedule]) -> list[int]:
        """The rows of those schedules that have been changed since they were read."""
        return [schedule.row for schedule in schedules if self._generations.get(schedule.row, schedule.generation) > schedule.generation]
