"""A calendar: a named set of days and of hours of the week, which schedules leave out or keep to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Weekday(StrEnum):
    """A day of the week, Monday first."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


@dataclass(frozen=True, slots=True, kw_only=True)
class DateEntry:
    """One day: `YYYY-MM-DD`, or `MM-DD` for each year's."""

    date: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeEntry:
    """The days from `first` to `last`, both included, both `YYYY-MM-DD` or both `MM-DD`; each year's may go on into the next year."""

    first: str
    last: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyEntry:
    """A window of each week, by local time: it begins on `days` at `start`, and ends before `end`.

    An `end` that is not after `start` is on the next day. Times are `HH:MM` or `HH:MM:SS`; `end` may be `24:00`.
    """

    days: tuple[Weekday, ...]
    start: str = "00:00"
    end: str = "24:00"
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolidaysEntry:
    """The public holidays of a country (ISO 3166-1 alpha-2), or of a part of it (ISO 3166-2 without the country)."""

    country: str
    subdivision: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ICalendarEntry:
    """The days of the events in an iCalendar (RFC 5545) text."""

    text: str
    description: str = ""


CalendarEntry = DateEntry | RangeEntry | WeeklyEntry | HolidaysEntry | ICalendarEntry


def calendar_resource(name: str) -> str:
    """The resource name of a calendar: `calendars/{calendar}`."""
    return f"calendars/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """One calendar as it stands after its `generation`-th change: the union of its entries.

    `name` is the last part of its resource name. Its days are read in `time_zone`, or, if that is empty, in the zone of each schedule
    that uses it. Instants are UTC microseconds.
    """

    name: str
    entries: tuple[CalendarEntry, ...]
    time_zone: str = ""
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    uid: int = 0
    generation: int = 1
    creator: str = ""
    created_us: int = 0
    updated_us: int = 0
