"""The days that a field-based rule allows: days of the month and of the week, months and years, found a month at a time.

A month has one of 28 shapes (four lengths, seven first weekdays); the days of a rule in a month depend upon nothing else, so each
shape is worked out once. Bit 0 of a month's mask is its first day. Weekdays count from Sunday = 0.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Final

from schedd.core.triggers.civil import FIRST_DAY, FIRST_YEAR, LAST_DAY, LAST_YEAR, civil_date, day_number, month_length, weekday

ALL_DAYS: Final = (1 << 31) - 1
ALL_WEEKDAYS: Final = (1 << 7) - 1
ALL_MONTHS: Final = (1 << 12) - 1
_EACH_WEEK: Final = sum(1 << 7 * week for week in range(6))


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPattern:
    """Which days of a month match, by their number, by their distance from its end, and by their weekday.

    A day matches when it matches the day-of-month side and the weekday side, or either of them where `either` is true.
    """

    days: int = 0
    """Bit d-1 for the d-th day."""
    from_end: int = 0
    """Bit n for the day that n days follow in its month: bit 0 is the last day."""
    workday_near: int = 0
    """Bit d-1 for the Monday-to-Friday day of the month that is nearest to the d-th, if the month has a d-th."""
    workday_near_end: int = 0
    """Bit n for the Monday-to-Friday day nearest to the day that n days follow."""
    weekdays: int = 0
    """Bit w for each day of the week w."""
    nth_weekdays: int = 0
    """Bit 7*(n-1)+w for the n-th weekday w of the month."""
    last_weekdays: int = 0
    """Bit w for the last weekday w of the month."""
    either: bool = False

    def mask(self, length: int, first: int) -> int:
        """The matching days of a month of `length` days that begins on weekday `first`."""
        full = (1 << length) - 1
        by_number = self._by_number(length, first)
        by_weekday = self._by_weekday(length, first)
        return full & (by_number | by_weekday if self.either else by_number & by_weekday)

    def _by_number(self, length: int, first: int) -> int:
        mask = self.days
        for after in _bits(self.from_end):
            mask |= 1 << (length - 1 - after) if after < length else 0
        for day in _bits(self.workday_near):
            mask |= 1 << _nearest_workday(day, length, first) if day < length else 0
        for after in _bits(self.workday_near_end):
            mask |= 1 << _nearest_workday(length - 1 - after, length, first) if after < length else 0
        return mask

    def _by_weekday(self, length: int, first: int) -> int:
        mask = _EACH_WEEK * _turned(self.weekdays, first)
        for bit in _bits(self.nth_weekdays):
            week, day = divmod(bit, 7)
            mask |= 1 << (day - first) % 7 + 7 * week
        for day in _bits(self.last_weekdays):
            mask |= 1 << length - 1 - (first + length - 1 - day) % 7
        return mask


class DaySet:
    """A set of days, as day numbers; never empty."""

    __slots__ = ("_masks", "_memo", "_months", "_pattern", "_years")

    def __init__(self, pattern: DayPattern, months: int = ALL_MONTHS, years: tuple[int, ...] = ()) -> None:
        """`months`: bit m-1 for the month m. `years`: ascending; none given means that any year matches."""
        self._pattern = pattern
        self._months = months
        self._years = years
        self._masks: dict[int, int] = {}
        self._memo = (0, 0, 0)

    def first_from(self, day: int) -> int | None:
        """The first member that is not before `day`."""
        start, end, mask = self._memo
        if not start <= day < end:
            start, end, mask = self._load(day)
        rest = mask >> (day - start)
        if rest:
            return day + (rest & -rest).bit_length() - 1
        return self._search_forward(end)

    def last_until(self, day: int) -> int | None:
        """The last member that is not after `day`."""
        start, end, mask = self._memo
        if not start <= day < end:
            start, end, mask = self._load(day)
        rest = mask & ((2 << (day - start)) - 1)
        if rest:
            return start + rest.bit_length() - 1
        return self._search_backward(start - 1)

    def first_outside(self, day: int) -> int | None:
        """The first day that is not a member and not before `day`."""
        while day <= LAST_DAY and not self.is_everything:
            start, end, mask = self._load(day)
            rest = ~mask >> (day - start)
            outside = day + (rest & -rest).bit_length() - 1
            if outside < end:
                return outside
            day = end
        return None

    def last_outside(self, day: int) -> int | None:
        """The last day that is not a member and not after `day`."""
        while day >= FIRST_DAY and not self.is_everything:
            start, _, mask = self._load(day)
            rest = ~mask & ((2 << (day - start)) - 1)
            if rest:
                return start + rest.bit_length() - 1
            day = start - 1
        return None

    def __contains__(self, day: int) -> bool:
        start, _, mask = self._load(day)
        return bool(mask >> (day - start) & 1)

    @property
    def is_empty(self) -> bool:
        """Whether no day of any year matches."""
        return self.first_from(FIRST_DAY) is None

    @property
    def pattern(self) -> DayPattern:
        """Which days of a month are members."""
        return self._pattern

    @property
    def months(self) -> int:
        """The months that have members: bit m-1 for the month m."""
        return self._months

    @property
    def years(self) -> tuple[int, ...]:
        """The years that have members, ascending; none given means that any year may."""
        return self._years

    def holds_all_of(self, other: DaySet) -> bool:
        """Whether each member of the other is one of this, as far as what they are made of tells."""
        alike = (self._pattern, self._months, self._years) == (other.pattern, other.months, other.years)
        return alike or self.is_everything

    @property
    def is_everything(self) -> bool:
        """Whether every day is a member."""
        return self._months == ALL_MONTHS and not self._years and all(self._shape(31, first) == ALL_DAYS for first in range(7))

    def _load(self, day: int) -> tuple[int, int, int]:
        date = civil_date(day)
        start = day - date.day + 1
        length = month_length(date.year, date.month)
        self._memo = memo = (start, start + length, self._month_mask(date.year, date.month, start, length))
        return memo

    def _month_mask(self, year: int, month: int, start: int, length: int) -> int:
        if not self._months >> (month - 1) & 1 or (self._years and year not in self._years):
            return 0
        return self._shape(length, weekday(start))

    def _shape(self, length: int, first: int) -> int:
        key = length * 7 + first
        mask = self._masks.get(key)
        if mask is None:
            mask = self._masks[key] = self._pattern.mask(length, first)
        return mask

    def _search_forward(self, day: int) -> int | None:
        """The first member in the months from the one that begins with `day`.

        Ends within 40 years of allowed months, the longest wait for any pattern that matches at all (29 February on a given weekday).
        """
        date = civil_date(day)
        year, month = date.year, date.month
        end_year = min(year + 41, LAST_YEAR + 1) if not self._years else LAST_YEAR + 1
        while (allowed := self._allowed_from(year, month)) is not None and allowed[0] < end_year:
            year, month = allowed
            start = day_number(year, month, 1)
            mask = self._shape(month_length(year, month), weekday(start))
            if mask:
                return start + (mask & -mask).bit_length() - 1
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        return None

    def _search_backward(self, day: int) -> int | None:
        date = civil_date(day)
        year, month = date.year, date.month
        end_year = max(year - 41, FIRST_YEAR - 1) if not self._years else FIRST_YEAR - 1
        while (allowed := self._allowed_until(year, month)) is not None and allowed[0] > end_year:
            year, month = allowed
            start = day_number(year, month, 1)
            mask = self._shape(month_length(year, month), weekday(start))
            if mask:
                return start + mask.bit_length() - 1
            year, month = (year, month - 1) if month > 1 else (year - 1, 12)
        return None

    def _allowed_from(self, year: int, month: int) -> tuple[int, int] | None:
        allowed_year = self._year_from(year)
        rest = self._months >> (month - 1) if allowed_year == year else 0
        if rest:
            return year, month + (rest & -rest).bit_length() - 1
        next_year = self._year_from(year + 1)
        return None if next_year is None else (next_year, (self._months & -self._months).bit_length())

    def _allowed_until(self, year: int, month: int) -> tuple[int, int] | None:
        allowed_year = self._year_until(year)
        rest = self._months & ((1 << month) - 1) if allowed_year == year else 0
        if rest:
            return year, rest.bit_length()
        previous_year = self._year_until(year - 1)
        return None if previous_year is None else (previous_year, self._months.bit_length())

    def _year_from(self, year: int) -> int | None:
        if not self._years:
            return year
        index = bisect_left(self._years, year)
        return self._years[index] if index < len(self._years) else None

    def _year_until(self, year: int) -> int | None:
        if not self._years:
            return year
        index = bisect_right(self._years, year)
        return self._years[index - 1] if index else None


def _bits(mask: int) -> list[int]:
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def _turned(weekdays: int, first: int) -> int:
    """The week's mask as seen from a month that begins on weekday `first`."""
    return (weekdays >> first | weekdays << (7 - first)) & ALL_WEEKDAYS


def _nearest_workday(day: int, length: int, first: int) -> int:
    """The 0-based day of the month, Monday to Friday, that is nearest to the 0-based `day` without leaving the month."""
    match (first + day) % 7:
        case 6:
            return day - 1 if day > 0 else day + 2
        case 0:
            return day + 1 if day < length - 1 else day - 2
        case _:
            return day
