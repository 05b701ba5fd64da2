"""The other reading of a crontab line: Vixie cron's own matching, minute by minute, independent of schedd's engine.

Source: crontab(5) and cron(8) of Debian's cron 3.0pl1, its entry.c (what a field is) and cron.c (what happens when the clock jumps),
and cronie's where `CronKind` says so. Five bit sets are tested against each local minute. An entry whose minute or hour begins with
`*` follows the clock; any other one is *fixed*: minutes that a jump forward leaves out (less than 3 hours) run at once after it, each
of them, and minutes that come again are not run again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from schedd.cli.importing.host import CronKind

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ITEM = re.compile(r"(?:(?P<star>\*)|(?P<first>[A-Za-z0-9]+)(?:-(?P<last>[A-Za-z0-9]+))?)(?:/(?P<step>[A-Za-z0-9]+))?")
_DAY_MINUTES = 1440
_JUMP_MINUTES = 180
"""A clock that moves farther than this was put right, not moved by daylight saving."""
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class CronRefusalError(Exception):
    """cron itself does not take these fields; the text says which one and why."""


class CronDrawsError(Exception):
    """cron draws the times by lot when it reads the crontab, so that there is nothing to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field(name="minute", first=0, last=59),
    _Field(name="hour", first=0, last=23),
    _Field(name="day-of-month", first=1, last=31),
    _Field(name="month", first=1, last=12, names=_MONTHS),
    _Field(name="day-of-week", first=0, last=7, names=_WEEKDAYS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The bits of one entry. `minutes` are minutes of the day, ascending; weekdays count from Sunday, 0."""

    minutes: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    follows_clock: bool

    def is_day(self, day: date) -> bool:
        """Whether the entry runs on that day."""
        by_number, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (by_number or by_weekday if self.either_day else by_number and by_weekday)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """A time without a change of the clock, in minutes since 1970: UTC from `start` to `end` (exclusive), and the local offset."""

    start: int
    end: int
    offset: int


def read_entry(expression: str, kind: CronKind) -> Entry:
    """The entry of five fields, or of a macro. Raises: CronRefusalError, CronDrawsError."""
    fields = _MACROS.get(expression, expression).split()
    if len(fields) != len(_FIELDS):
        raise CronRefusalError(f"cron knows no {expression!r}")
    minutes, hours, days, months, weekdays = (_bits(text, field, kind) for text, field in zip(fields, _FIELDS, strict=True))
    return Entry(
        minutes=tuple(sorted(hour * 60 + minute for hour in hours for minute in minutes)),
        days=days,
        months=months,
        weekdays=frozenset(number % 7 for number in weekdays),
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
        follows_clock=fields[0].startswith("*") or fields[1].startswith("*"),
    )


def fire_minutes(entry: Entry, time_zone: str, start: int, end: int) -> list[int]:
    """The minutes since 1970 (UTC) from `start` to `end` (exclusive) in which cron starts the entry; twice where it starts it twice."""
    fired: list[int] = []
    reached: int | None = None  # the local minute up to which cron has looked
    for stretch in _stretches(time_zone, start, end):
        first, last = stretch.start + stretch.offset, stretch.end + stretch.offset
        jump = first - reached if reached is not None else 0
        if 0 < jump < _JUMP_MINUTES and reached is not None and not entry.follows_clock:
            fired += [stretch.start for _ in _local_minutes(entry, reached, first)]
        if -_JUMP_MINUTES <= jump < 0 and reached is not None and not entry.follows_clock:
            first = reached
        fired += [minute - stretch.offset for minute in _local_minutes(entry, first, last)]
        reached = last
    return sorted(fired)


def _bits(text: str, field: _Field, kind: CronKind) -> frozenset[int]:
    found: set[int] = set()
    position = 0
    while True:
        match = _ITEM.match(text, position)
        if match is None:
            raise _refusal(text, field)
        found.update(_range(match, text, field, kind))
        position = match.end()
        if text[position : position + 1] != ",":
            break
        position += 1
    rest = text[position:]
    if rest.startswith("~") and kind is CronKind.CRONIE:
        raise CronDrawsError(f"cronie draws the {field.name} {text!r} by lot, and schedd in its own way")
    if rest and (kind is CronKind.CRONIE or rest[0] in "/-"):
        raise _refusal(text, field)
    return frozenset(found)  # Debian's cron passes over what is left of the field


def _range(match: re.Match[str], text: str, field: _Field, kind: CronKind) -> range:
    step = _number(match["step"], text, field, named=False) if match["step"] else 1
    if match["star"]:
        first, last = field.first, field.last
    else:
        first = _number(match["first"], text, field, named=True)
        last = _number(match["last"], text, field, named=True) if match["last"] else first
        if match["step"] and not match["last"]:
            raise CronRefusalError(
                f"cron does not take the {field.name} {text!r}: a step wants a range, such as {first}-{field.last}/{step}"
            )
    backwards = first > last and kind is CronKind.CRONIE
    if step == 0 or backwards or not (field.first <= first <= field.last and field.first <= last <= field.last):
        raise _refusal(text, field)
    return range(first, last + 1, step)  # backwards, it is empty, and Debian's cron takes it so


def _number(word: str, text: str, field: _Field, *, named: bool) -> int:
    if named and word.lower() in field.names:
        return field.names.index(word.lower()) + field.first
    if not word.isdecimal():
        raise _refusal(text, field)
    return int(word)


def _refusal(text: str, field: _Field) -> CronRefusalError:
    return CronRefusalError(f"cron does not take the {field.name} {text!r}")


def _local_minutes(entry: Entry, first: int, last: int) -> Iterator[int]:
    for day in range(first // _DAY_MINUTES, (last - 1) // _DAY_MINUTES + 1):
        if not entry.is_day(date.fromordinal(day + _EPOCH_DAY)):
            continue
        midnight = day * _DAY_MINUTES
        if first <= midnight and midnight + _DAY_MINUTES <= last:
            yield from (midnight + minute for minute in entry.minutes)
        else:
            yield from (midnight + minute for minute in entry.minutes if first <= midnight + minute < last)


@lru_cache(maxsize=16)
def _stretches(time_zone: str, start: int, end: int) -> tuple[_Stretch, ...]:
    found = []
    zone = ZoneInfo(time_zone)
    while start < end:
        offset = _offset(zone, start)
        low, high = start, start
        while high < end and _offset(zone, high) == offset:
            low, high = high, min(high + _DAY_MINUTES, end)
        if _offset(zone, high) == offset:
            low = high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
        found.append(_Stretch(start=start, end=high, offset=offset))
        start = high
    return tuple(found)


def _offset(zone: ZoneInfo, minute: int) -> int:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    return (moment.astimezone(zone).utcoffset() or timedelta()) // timedelta(minutes=1)
