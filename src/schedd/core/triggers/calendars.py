"""Calendars as sets of time, and the calendars that a rule is compiled with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from typing import Final, assert_never

from schedd.core.errors import ExpressionError
from schedd.core.model.calendar import Calendar, CalendarEntry, DateEntry, HolidaysEntry, ICalendarEntry, RangeEntry, Weekday, WeeklyEntry
from schedd.core.model.when import When
from schedd.core.triggers.civil import DAY_US, FIRST_YEAR, HOUR_US, LAST_YEAR, MINUTE_US, SECOND_US, civil_date, day_number
from schedd.core.triggers.icalendar import read_icalendar
from schedd.core.triggers.timeset import AnyOf, InZone, Not, Span, Stretches, TimeSet, WeeklyWindows, YearlyDays, days_span
from schedd.core.triggers.zonename import zone_named

HolidayDates = Callable[[HolidaysEntry], Sequence[date]]
"""Gives the public holidays of the years that count. Raises: ExpressionError."""

_DATE: Final = re.compile(r"(?:([0-9]{4})-)?([0-9]{2})-([0-9]{2})")
_TIME: Final = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?")
_WEEK: Final = tuple(Weekday)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalendarDays:
    """One calendar ready for use: its set of local time, and the zone in which that is read (empty: the schedule's).

    Compared by identity: another generation of a calendar is another value, and so is what is compiled with it.
    """

    name: str
    local: TimeSet
    time_zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendars:
    """All calendars by name; `faults` says of those that cannot be used why not."""

    days: Mapping[str, CalendarDays] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    def named(self, name: str, part: str) -> CalendarDays:
        """The calendar of that name. Raises: ExpressionError naming `part`, with the nearest name as the suggestion."""
        found = self.days.get(name)
        if found is not None:
            return found
        if name in self.faults:
            raise ExpressionError(text=name, part=part, reason=f"the calendar `{name}` cannot be read: {self.faults[name]}")
        near = get_close_matches(name, list(self.days), 1, 0.5)
        suggestion = f"did you mean `{near[0]}`?" if near else "`schedctl calendar list` shows those that are there"
        raise ExpressionError(
            text=name, part=part, reason=f"there is no calendar `{name}`", length=max(1, len(name)), suggestion=suggestion
        )


NO_CALENDARS: Final = Calendars()


def used_calendars(when: When) -> tuple[str, ...]:
    """The names of the calendars that a schedule uses, each once."""
    return tuple(dict.fromkeys((*when.exclude_calendars, *when.include_calendars)))


def left_out_by(excluded: Sequence[CalendarDays], included: Sequence[CalendarDays], time_zone: str) -> TimeSet:
    """The instants that calendars leave out: those in one of `excluded` and, if any are `included`, those in none of them."""
    sets = _in_zones(excluded, time_zone)
    if included:
        sets.append(Not(AnyOf(_in_zones(included, time_zone))))
    return AnyOf(sets)


def leaving_out(when: When, calendars: Calendars, nominal_us: int) -> str:
    """The name of the first calendar that leaves an instant out of a schedule; empty if none does."""
    for name in when.exclude_calendars:
        if left_out_by([calendars.days[name]], [], when.time_zone).inside_from(nominal_us) == nominal_us:
            return name
    included = [calendars.days[name] for name in when.include_calendars]
    if included and left_out_by([], included, when.time_zone).inside_from(nominal_us) == nominal_us:
        return when.include_calendars[0]
    return ""


def calendar_days(calendar: Calendar, holidays: HolidayDates) -> CalendarDays:
    """A calendar ready for use. Raises: ExpressionError; its `part` names the field, such as `entries[2].range.first`."""
    shape = _Shape()
    for index, entry in enumerate(calendar.entries):
        try:
            shape.add(entry, holidays)
        except ExpressionError as exc:
            raise placed(exc, f"entries[{index}]") from exc
    return CalendarDays(name=calendar.name, local=shape.times(), time_zone=calendar.time_zone)


def check_entry(entry: CalendarEntry, holidays: HolidayDates) -> None:
    """Raises: ExpressionError."""
    _Shape().add(entry, holidays)


def placed(error: ExpressionError, place: str) -> ExpressionError:
    """The error of a part of the value at `place`."""
    return ExpressionError(
        text=error.text,
        part=f"{place}.{error.part}",
        reason=error.reason,
        position=error.position,
        length=error.length,
        suggestion=error.suggestion,
    )


def _in_zones(calendars: Sequence[CalendarDays], time_zone: str) -> list[TimeSet]:
    by_zone: dict[str, list[TimeSet]] = {}
    for calendar in calendars:
        by_zone.setdefault(calendar.time_zone or time_zone, []).append(calendar.local)
    return [InZone(AnyOf(sets), zone_named(zone)) for zone, sets in by_zone.items()]


class _Shape:
    """What a calendar's entries add up to."""

    def __init__(self) -> None:
        self._days: list[Span] = []
        self._yearly: list[tuple[int, int]] = []
        self._windows: list[Span] = []

    def times(self) -> TimeSet:
        sets: list[TimeSet] = []
        if self._days:
            sets.append(Stretches(self._days))
        if self._yearly:
            sets.append(YearlyDays(self._yearly))
        if self._windows:
            sets.append(WeeklyWindows(self._windows))
        return AnyOf(sets)

    def add(self, entry: CalendarEntry, holidays: HolidayDates) -> None:
        match entry:
            case DateEntry():
                self._add_days(_date(entry.date, "date"), _date(entry.date, "date"), entry.date, "date")
            case RangeEntry():
                self._add_days(_date(entry.first, "range.first"), _date(entry.last, "range.last"), entry.last, "range.last")
            case WeeklyEntry():
                self._windows += _windows(entry)
            case HolidaysEntry():
                self._days += [_days(day, day) for day in holidays(entry)]
            case ICalendarEntry():
                self._days += [_days(first, last) for first, last in read_icalendar(entry.text)]
            case _:
                assert_never(entry)

    def _add_days(self, first: _Date, last: _Date, text: str, part: str) -> None:
        if (first.year is None) is not (last.year is None):
            raise _wrong(text, part, "one end of the range has a year and the other has none", "give both ends a year, or neither")
        if first.year is None or last.year is None:
            self._yearly += _yearly(first, last)
            return
        begin, end = day_number(first.year, first.month, first.day), day_number(last.year, last.month, last.day)
        if end < begin:
            raise _wrong(text, part, f"`{text}` is before the first day", "the last day, included, such as `2026-01-06`")
        self._days.append(days_span(begin, end))


@dataclass(frozen=True, slots=True)
class _Date:
    """A day of one year, or of each year."""

    year: int | None
    month: int
    day: int


def _date(text: str, part: str) -> _Date:
    match = _DATE.fullmatch(text)
    if match is None:
        raise _wrong(text, part, f"`{text}` is not a date", "`2026-12-25`, or `12-25` for each year's")
    year = None if match[1] is None else int(match[1])
    try:
        date(2000 if year is None else year, int(match[2]), int(match[3]))
    except ValueError as exc:
        raise _wrong(text, part, f"there is no day `{text}`", "`2026-12-25`, or `12-25` for each year's") from exc
    if year is not None and not FIRST_YEAR <= year <= LAST_YEAR:
        raise _wrong(text, part, f"the year is not between {FIRST_YEAR} and {LAST_YEAR}", "`2026-12-25`")
    return _Date(year, int(match[2]), int(match[3]))


def _yearly(first: _Date, last: _Date) -> Iterator[tuple[int, int]]:
    begin, end = day_number(2000, first.month, first.day), day_number(2000, last.month, last.day)
    if end < begin:
        end += 366
    for day in range(begin, end + 1):
        found = civil_date(day if day < day_number(2001, 1, 1) else day - 366)
        yield found.month, found.day


def _days(first: date, last: date) -> Span:
    return days_span(day_number(first.year, first.month, first.day), day_number(last.year, last.month, last.day))


def _windows(entry: WeeklyEntry) -> Iterator[Span]:
    if not entry.days:
        raise _wrong("", "weekly.days", "no day is given", "the days on which the window begins, such as SATURDAY")
    start_us, end_us = _time(entry.start, "weekly.start"), _time(entry.end, "weekly.end")
    if start_us == DAY_US:
        raise _wrong(entry.start, "weekly.start", "a window cannot begin at 24:00", "`00:00` of the day after")
    if end_us <= start_us:
        end_us += DAY_US
    for day in entry.days:
        at_us = _WEEK.index(day) * DAY_US
        yield at_us + start_us, at_us + end_us


def _time(text: str, part: str) -> int:
    """A time of day in microseconds, up to 24:00."""
    match = _TIME.fullmatch(text)
    if match is not None:
        hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
        time_us = hour * HOUR_US + minute * MINUTE_US + second * SECOND_US
        if minute < 60 and second < 60 and time_us <= DAY_US:
            return time_us
    raise _wrong(text, part, f"`{text}` is not a time of day", "`22:00` or `22:00:00`, up to `24:00`")


def _wrong(text: str, part: str, reason: str, suggestion: str) -> ExpressionError:
    return ExpressionError(text=text, part=part, reason=reason, length=max(1, len(text)), suggestion=suggestion)
