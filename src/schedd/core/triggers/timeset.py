"""Sets of time: days, days of each year, windows of each week, and what is made of them (unions, complements, a zone's instants).

Times are integers in microseconds: local ones for the sets of days and windows, UTC for a set in a zone. Every question is answered
without scanning moments: the work depends on how many stretches a set has, not on how long they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from schedd.core.triggers.civil import DAY_US, FIRST_DAY, FIRST_US, LAST_DAY, LAST_US, civil_date, day_number
from schedd.core.triggers.days import DaySet
from schedd.core.triggers.zone import Zone

Span = tuple[int, int]
"""A stretch [first, end)."""

WEEK_US: Final = 7 * DAY_US
_MONDAY_US: Final = 4 * DAY_US
"""1970-01-05, a Monday."""
_FAR_US: Final = 2 * DAY_US
"""More than any offset change."""
_STEPS: Final = 500
"""How often in a row a union's stretches may take over from each other before it is held to have no end: it bounds an answer's time."""


class TimeSet(Protocol):
    """A set of moments between the years 1900 and 9990. None: there is no such moment."""

    def inside_from(self, t_us: int) -> int | None:
        """The first moment of the set that is not before `t_us`."""

    def outside_from(self, t_us: int) -> int | None:
        """The first moment that is not of the set and not before `t_us`."""

    def inside_until(self, t_us: int) -> int | None:
        """The last moment of the set that is not after `t_us`."""

    def outside_until(self, t_us: int) -> int | None:
        """The last moment that is not of the set and not after `t_us`."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same moments as ascending stretches that do not touch; none of the spans is empty."""
    found: list[Span] = []
    for first, end in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((first, end))
    return found


class Stretches:
    """Some stretches of local time."""

    __slots__ = ("_ends", "_firsts")

    def __init__(self, spans: Iterable[Span]) -> None:
        found = merged(spans)
        self._firsts = [first for first, _ in found]
        self._ends = [end for _, end in found]

    def inside_from(self, t_us: int) -> int | None:
        at = bisect_right(self._ends, t_us)
        return max(t_us, self._firsts[at]) if at < len(self._firsts) else None

    def outside_from(self, t_us: int) -> int | None:
        at = bisect_right(self._firsts, t_us) - 1
        return self._ends[at] if at >= 0 and t_us < self._ends[at] else t_us

    def inside_until(self, t_us: int) -> int | None:
        at = bisect_right(self._firsts, t_us) - 1
        return min(t_us, self._ends[at] - 1) if at >= 0 else None

    def outside_until(self, t_us: int) -> int | None:
        at = bisect_right(self._firsts, t_us) - 1
        return self._firsts[at] - 1 if at >= 0 and t_us < self._ends[at] else t_us


class WeeklyWindows:
    """Windows of each week of local time."""

    __slots__ = ("_week",)

    def __init__(self, windows: Iterable[Span]) -> None:
        """`windows`: counted from Monday 00:00, beginning within the week, at most a week long."""
        # Enough weeks around the one that is asked about that a set without a gap has none within a week of it.
        self._week = Stretches((first + turn * WEEK_US, end + turn * WEEK_US) for first, end in windows for turn in range(-2, 3))

    def inside_from(self, t_us: int) -> int | None:
        return _turned(t_us, self._week.inside_from(_in_week(t_us)))

    def outside_from(self, t_us: int) -> int | None:
        found = self._week.outside_from(_in_week(t_us))
        return None if found is None or found >= 2 * WEEK_US else _turned(t_us, found)

    def inside_until(self, t_us: int) -> int | None:
        return _turned(t_us, self._week.inside_until(_in_week(t_us)))

    def outside_until(self, t_us: int) -> int | None:
        found = self._week.outside_until(_in_week(t_us))
        return None if found is None or found < -WEEK_US else _turned(t_us, found)


def _in_week(t_us: int) -> int:
    return (t_us - _MONDAY_US) % WEEK_US


def _turned(t_us: int, found: int | None) -> int | None:
    return None if found is None else t_us - _in_week(t_us) + found


class YearlyDays:
    """Days of each year of local time; 29 February comes in leap years only."""

    __slots__ = ("_common", "_leap")

    def __init__(self, days: Iterable[tuple[int, int]]) -> None:
        """`days`: (month, day)."""
        leap = 0
        for month, day in days:
            leap |= 1 << day_number(2000, month, day) - day_number(2000, 1, 1)
        self._leap = leap
        self._common = (leap & ((1 << 59) - 1)) | (leap >> 60 << 59)

    def inside_from(self, t_us: int) -> int | None:
        return _at_or_after(t_us, self._day_from(t_us // DAY_US, flip=False))

    def outside_from(self, t_us: int) -> int | None:
        return _at_or_after(t_us, self._day_from(t_us // DAY_US, flip=True))

    def inside_until(self, t_us: int) -> int | None:
        return _at_or_before(t_us, self._day_until(t_us // DAY_US, flip=False))

    def outside_until(self, t_us: int) -> int | None:
        return _at_or_before(t_us, self._day_until(t_us // DAY_US, flip=True))

    def _day_from(self, day: int, *, flip: bool) -> int | None:
        day = max(day, FIRST_DAY)
        for _ in range(10):  # 29 February is at most eight years away
            if day > LAST_DAY:
                return None
            year = civil_date(day).year
            start, mask, length = self._year(year, flip=flip)
            rest = mask >> (day - start)
            if rest:
                return day + (rest & -rest).bit_length() - 1
            day = start + length
        return None

    def _day_until(self, day: int, *, flip: bool) -> int | None:
        day = min(day, LAST_DAY)
        for _ in range(10):
            if day < FIRST_DAY:
                return None
            year = civil_date(day).year
            start, mask, _length = self._year(year, flip=flip)
            rest = mask & ((2 << (day - start)) - 1)
            if rest:
                return start + rest.bit_length() - 1
            day = start - 1
        return None

    def _year(self, year: int, *, flip: bool) -> tuple[int, int, int]:
        """A year's first day, the mask of its days that are (or with `flip` are not) in the set, and its length."""
        start = day_number(year, 1, 1)
        length = day_number(year + 1, 1, 1) - start
        mask = self._leap if length == 366 else self._common
        return start, (((1 << length) - 1) ^ mask) if flip else mask, length


def _at_or_after(t_us: int, day: int | None) -> int | None:
    return None if day is None else max(t_us, day * DAY_US)


def _at_or_before(t_us: int, day: int | None) -> int | None:
    return None if day is None else min(t_us, (day + 1) * DAY_US - 1)


class DaysOf:
    """The local days of a day set, each of them whole."""

    __slots__ = ("_days",)

    def __init__(self, days: DaySet) -> None:
        self._days = days

    def inside_from(self, t_us: int) -> int | None:
        return _at_or_after(t_us, self._days.first_from(t_us // DAY_US))

    def outside_from(self, t_us: int) -> int | None:
        return _at_or_after(t_us, self._days.first_outside(t_us // DAY_US))

    def inside_until(self, t_us: int) -> int | None:
        return _at_or_before(t_us, self._days.last_until(t_us // DAY_US))

    def outside_until(self, t_us: int) -> int | None:
        return _at_or_before(t_us, self._days.last_outside(t_us // DAY_US))


class AnyOf:
    """The union of sets; of none, no moment at all."""

    __slots__ = ("_sets",)

    def __init__(self, sets: Sequence[TimeSet]) -> None:
        self._sets = tuple(sets)

    def inside_from(self, t_us: int) -> int | None:
        return min((found for part in self._sets if (found := part.inside_from(t_us)) is not None), default=None)

    def inside_until(self, t_us: int) -> int | None:
        return max((found for part in self._sets if (found := part.inside_until(t_us)) is not None), default=None)

    def outside_from(self, t_us: int) -> int | None:
        for _ in range(_STEPS):
            before = t_us
            for part in self._sets:
                found = part.outside_from(t_us)
                if found is None or found >= LAST_US:
                    return None
                t_us = found
            if t_us == before:
                return t_us
        return None

    def outside_until(self, t_us: int) -> int | None:
        for _ in range(_STEPS):
            before = t_us
            for part in self._sets:
                found = part.outside_until(t_us)
                if found is None or found < FIRST_US:
                    return None
                t_us = found
            if t_us == before:
                return t_us
        return None


class Not:
    """All moments that are not in a set."""

    __slots__ = ("_set",)

    def __init__(self, of: TimeSet) -> None:
        self._set = of

    def inside_from(self, t_us: int) -> int | None:
        return self._set.outside_from(t_us)

    def outside_from(self, t_us: int) -> int | None:
        return self._set.inside_from(t_us)

    def inside_until(self, t_us: int) -> int | None:
        return self._set.outside_until(t_us)

    def outside_until(self, t_us: int) -> int | None:
        return self._set.inside_until(t_us)


class InZone:
    """The instants whose local time in a zone is in a set of local time; both of them where a fold repeats it."""

    __slots__ = ("_local", "_zone")

    def __init__(self, local: TimeSet, zone: Zone) -> None:
        self._local = local
        self._zone = zone

    def inside_from(self, t_us: int) -> int | None:
        return self._from(self._local, t_us)

    def outside_from(self, t_us: int) -> int | None:
        return self._from(Not(self._local), t_us)

    def inside_until(self, t_us: int) -> int | None:
        return self._until(self._local, t_us)

    def outside_until(self, t_us: int) -> int | None:
        return self._until(Not(self._local), t_us)

    def _from(self, local: TimeSet, t_us: int) -> int | None:
        t_us = max(t_us, FIRST_US)
        while t_us < LAST_US:
            _, end, offset, _ = self._zone.segment_at(t_us)
            found = local.inside_from(t_us + offset)
            if found is not None and found - offset < end:
                return found - offset
            if end - t_us < _FAR_US:
                t_us = end
            elif found is None:
                return None
            else:
                t_us = max(end, found - offset - _FAR_US)
        return None

    def _until(self, local: TimeSet, t_us: int) -> int | None:
        t_us = min(t_us, LAST_US - 1)
        while t_us >= FIRST_US:
            begin, _, offset, _ = self._zone.segment_at(t_us)
            found = local.inside_until(t_us + offset)
            if found is not None and found - offset >= begin:
                return found - offset
            if t_us - begin < _FAR_US:
                t_us = begin - 1
            elif found is None:
                return None
            else:
                t_us = min(begin - 1, found - offset + _FAR_US)
        return None


class LeftOut:
    """Leaves a set of instants out of a rule."""

    __slots__ = ("_set",)

    def __init__(self, of: TimeSet) -> None:
        self._set = of

    def skip(self, t_us: int) -> int | None:
        return self._set.outside_from(t_us)

    def skip_back(self, t_us: int) -> int | None:
        return self._set.outside_until(t_us)

    def next_out(self, t_us: int) -> int | None:
        return self._set.inside_from(t_us)

    def prev_out(self, t_us: int) -> int | None:
        return self._set.inside_until(t_us)


def days_span(first: int, last: int) -> Span:
    """The stretch of local time from the day number `first` to `last`, both included."""
    return first * DAY_US, (last + 1) * DAY_US
