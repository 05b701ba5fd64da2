"""The days of a year that the BYxxx parts of an RFC 5545 rule allow, as bit masks: one for each kind of year that the calendar has.

Years are of one kind when they begin on the same weekday and agree in what is a leap year: themselves, the one before and the one after.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from schedd.core.triggers.civil import FIRST_YEAR, LAST_YEAR, civil_date, day_number, month_length

_WEEKLY: Final = tuple(sum(1 << day for day in range(first, 366, 7)) for first in range(7))
"""Every seventh day of a year, by the first."""
_WEEK: Final = 0b111_1111
_CYCLE: Final = 400
"""The calendar repeats after so many years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayParts:
    """What a rule says about days; an empty part allows all. Negative numbers count from the end; Monday is 0.

    `nth_weekdays` are (n, weekday): the n-th such day of each month where `nth_of_month`, else of the year.
    """

    months: frozenset[int] = frozenset()
    weeks: frozenset[int] = frozenset()
    year_days: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    nth_weekdays: frozenset[tuple[int, int]] = frozenset()
    nth_of_month: bool = False
    week_start: int = 0


class _Kind(NamedTuple):
    first_weekday: int
    leap_before: bool
    leap: bool
    leap_after: bool

    @property
    def length(self) -> int:
        return 365 + self.leap


@lru_cache(maxsize=16_384)
def _year(year: int) -> tuple[int, _Kind]:
    """The day number of 1 January, and the kind of the year."""
    first = day_number(year, 1, 1)
    return first, _Kind((first + 3) % 7, *(month_length(near, 2) == 29 for near in (year - 1, year, year + 1)))


@lru_cache(maxsize=1)
def _kinds() -> frozenset[_Kind]:
    return frozenset(_year(year)[1] for year in range(FIRST_YEAR, FIRST_YEAR + _CYCLE))


class YearDays:
    """The days (day numbers, from FIRST_YEAR to LAST_YEAR) that all parts of a rule allow."""

    __slots__ = ("_masks", "_parts")

    def __init__(self, parts: DayParts) -> None:
        self._parts = parts
        self._masks: dict[_Kind, int] = {}

    def first_from(self, day: int) -> int | None:
        """The first allowed day that is not before `day`. The rule has to be possible."""
        year = civil_date(day).year
        first, kind = _year(year)
        mask = self._mask(kind) >> (day - first)
        while not mask:
            year += 1
            if year > LAST_YEAR:
                return None
            day, kind = _year(year)
            mask = self._mask(kind)
        return day + (mask & -mask).bit_length() - 1

    def last_until(self, day: int) -> int | None:
        """The last allowed day that is not after `day`. The rule has to be possible."""
        year = civil_date(day).year
        first, kind = _year(year)
        mask = self._mask(kind) & (2 << (day - first)) - 1
        while not mask:
            year -= 1
            if year < FIRST_YEAR:
                return None
            first, kind = _year(year)
            mask = self._mask(kind)
        return first + mask.bit_length() - 1

    def between(self, day: int, end: int) -> int:
        """The allowed days of [day, end), at most a year, as a mask whose bit 0 is `day`."""
        year = civil_date(day).year
        first, kind = _year(year)
        mask = self._mask(kind) >> (day - first)
        following, kind = _year(year + 1)
        if end > following:
            mask |= self._mask(kind) << (following - day)
        return mask & (1 << (end - day)) - 1

    @property
    def most_in_a_year(self) -> int:
        """How many days are allowed in the year that has the most of them; 0: the rule is impossible."""
        return max(self._mask(kind).bit_count() for kind in _kinds())

    def _mask(self, kind: _Kind) -> int:
        mask = self._masks.get(kind)
        if mask is None:
            mask = self._masks[kind] = _mask_of(self._parts, kind)
        return mask


def _mask_of(parts: DayParts, kind: _Kind) -> int:
    mask = (1 << kind.length) - 1
    if parts.months:
        mask &= sum((1 << length) - 1 << first for first, length in _months(kind, parts.months))
    if parts.year_days:
        mask &= _year_days(kind, parts.year_days)
    if parts.month_days:
        mask &= _month_days(kind, parts.month_days)
    if parts.weeks:
        mask &= _weeks(kind, parts.weeks, parts.week_start)
    if parts.weekdays or parts.nth_weekdays:
        weekdays = _nth_weekdays(kind, parts)
        for weekday in parts.weekdays:
            weekdays |= _WEEKLY[(weekday - kind.first_weekday) % 7]
        mask &= weekdays
    return mask


def _months(kind: _Kind, months: frozenset[int]) -> list[tuple[int, int]]:
    """Where each of these months begins in the year, from 0, and how long it is; of all months if none is named."""
    spans = []
    first = 0
    for month in range(1, 13):
        length = month_length(2000 if kind.leap else 2001, month)
        if not months or month in months:
            spans.append((first, length))
        first += length
    return spans


def _year_days(kind: _Kind, numbers: frozenset[int]) -> int:
    mask = 0
    for number in numbers:
        if abs(number) <= kind.length:
            mask |= 1 << (number - 1 if number > 0 else kind.length + number)
    return mask


def _month_days(kind: _Kind, numbers: frozenset[int]) -> int:
    mask = 0
    for first, length in _months(kind, frozenset()):
        for number in numbers:
            if abs(number) <= length:
                mask |= 1 << (first + (number - 1 if number > 0 else length + number))
    return mask


def _nth_weekdays(kind: _Kind, parts: DayParts) -> int:
    mask = 0
    for first, length in _months(kind, parts.months) if parts.nth_of_month else [(0, kind.length)]:
        for number, weekday in parts.nth_weekdays:
            earliest = (weekday - kind.first_weekday - first) % 7
            latest = earliest + (length - 1 - earliest) // 7 * 7
            day = earliest + 7 * (number - 1) if number > 0 else latest + 7 * (number + 1)
            if 0 <= day < length:
                mask |= 1 << (first + day)
    return mask


def _weeks(kind: _Kind, numbers: frozenset[int], week_start: int) -> int:
    """The days of numbered weeks. Week 1 is the first with at least four days in its year: a year's ends may be of other years' weeks."""
    before, after = 365 + kind.leap_before, 365 + kind.leap_after
    starts = [_week_one(first, kind.first_weekday, week_start) for first in (-before, 0, kind.length, kind.length + after)]
    mask = 0
    for start, end in pairwise(starts):
        count = (end - start) // 7
        for number in numbers:
            if abs(number) <= count:
                first = start + 7 * (number - 1 if number > 0 else count + number)
                mask |= _WEEK << first if first >= 0 else _WEEK >> -first
    return mask


def _week_one(first: int, first_weekday: int, week_start: int) -> int:
    """Where week 1 begins of the year that begins at day `first`, counted from a 1 January that is a `first_weekday`."""
    into_week = (first_weekday + first - week_start) % 7
    return first - into_week if into_week <= 3 else first + 7 - into_week
