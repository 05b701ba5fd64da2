"""The local times that one RRULE yields (RFC 5545 3.3.10), as answers instead of a walk from DTSTART.

Instants here are local times in microseconds (see `civil`). A period is what FREQ counts: a year, a month, a week, a day, an hour, a
minute, a second. Every INTERVAL-th period, counted from the one that holds DTSTART, is in phase.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import gcd
from typing import Final, NamedTuple

from schedd.core.triggers.civil import DAY_US, FIRST_DAY, HOUR_US, LAST_DAY, LAST_YEAR, MINUTE_US, SECOND_US, civil_date, day_number
from schedd.core.triggers.clockface import ClockFace, Seconds
from schedd.core.triggers.yeardays import YearDays
from schedd.core.triggers.zonedtimes import LocalTimes

TRIES: Final = 300
"""How many periods in phase that hold nothing are looked at before a rule is held to be over: it bounds the time of one answer."""


SINGLY: Final = 50
"""After that many of them the phase's round through the day is looked at, and passed over as far as it holds nothing."""

ROUND_MAX: Final = 1440


class Listed:
    """A list of local times."""

    __slots__ = ("_times_us",)

    def __init__(self, times_us: Iterable[int]) -> None:
        self._times_us = sorted(times_us)

    def first_from(self, local_us: int) -> int | None:
        """The first that is not before `local_us`."""
        index = bisect_left(self._times_us, local_us)
        return self._times_us[index] if index < len(self._times_us) else None

    def last_until(self, local_us: int) -> int | None:
        """The last that is not after `local_us`."""
        index = bisect_right(self._times_us, local_us)
        return self._times_us[index - 1] if index else None


class Scale(NamedTuple):
    """How days fall into periods: the number of a day's period, and the first day of a period.

    `cycle` is how many periods make 400 years, `longest` how many days one has at most.
    """

    index_of: Callable[[int], int]
    first_day: Callable[[int], int]
    cycle: int
    longest: int


def _first_of_year(year: int) -> int:
    return day_number(year, 1, 1) if year <= LAST_YEAR else LAST_DAY + 1


def _month_of(day: int) -> int:
    date = civil_date(day)
    return date.year * 12 + date.month - 1


def _first_of_month(index: int) -> int:
    year, month = divmod(index, 12)
    return day_number(year, month + 1, 1) if year <= LAST_YEAR else LAST_DAY + 1


YEARS: Final = Scale(lambda day: civil_date(day).year, _first_of_year, 400, 366)
MONTHS: Final = Scale(_month_of, _first_of_month, 4800, 31)
DAYS: Final = Scale(lambda day: day, lambda index: index, 146_097, 1)


def weeks(week_start: int) -> Scale:
    """Weeks that begin on a weekday, Monday being 0."""
    return Scale(lambda day: (day + 3 - week_start) // 7, lambda index: index * 7 - 3 + week_start, 20_871, 7)


class Phase(NamedTuple):
    """Every `interval`-th period, counted from number `origin`."""

    origin: int
    interval: int

    def lag(self, index: int) -> int:
        """How many periods after one in phase this one comes; 0: it is in phase."""
        return (index - self.origin) % self.interval


class TimesOfDay:
    """The times of day that BYHOUR, BYMINUTE and BYSECOND allow together: as a clock face, and by number."""

    __slots__ = ("_hours", "_minutes", "_seconds", "count", "face")

    def __init__(self, hours: frozenset[int], minutes: frozenset[int], seconds: frozenset[int]) -> None:
        self._hours = sorted(hours)
        self._minutes = sorted(minutes)
        self._seconds = sorted(seconds)
        self.count = len(hours) * len(minutes) * len(seconds)
        self.face = ClockFace(_mask(hours), _mask(minutes), Seconds(_mask(seconds)))

    def at(self, number: int) -> int:
        """The time of that number, from 0 to `count` - 1, in microseconds of the day."""
        rest, second = divmod(number, len(self._seconds))
        hour, minute = divmod(rest, len(self._minutes))
        return self._hours[hour] * HOUR_US + self._minutes[minute] * MINUTE_US + self._seconds[second] * SECOND_US

    def meets(self, phase: Phase, unit_us: int) -> bool:
        """Whether, on some day or other, one of the times lies in a period in phase."""
        cycle = gcd(phase.interval, DAY_US // unit_us)
        wanted = {(phase.origin - second) % cycle for second in (self._seconds if unit_us == SECOND_US else [0])}
        starts = (hour * HOUR_US + minute * MINUTE_US for hour in self._hours for minute in self._minutes)
        return any(start // unit_us % cycle in wanted for start in starts)


class DayRepetition:
    """A rule of FREQ YEARLY, MONTHLY, WEEKLY or DAILY: the allowed days of the periods in phase, at certain times of day.

    `positions` (BYSETPOS) choose from each period's times, in order; empty: all of them. They count from `first_day` on in the period
    that holds it.
    """

    __slots__ = ("_days", "_face", "_first_day", "_phase", "_positions", "_scale", "_times", "_tries")

    def __init__(self, days: YearDays, times: TimesOfDay, scale: Scale, *, phase: Phase, positions: frozenset[int], first_day: int) -> None:
        self._days = days
        self._times = times
        self._face = times.face
        self._scale = scale
        self._phase = phase
        self._positions = positions
        self._first_day = first_day
        # After that many the calendar and the phase repeat together.
        self._tries = min(TRIES, scale.cycle // gcd(scale.cycle, phase.interval) + 1)

    def first_from(self, local_us: int) -> int | None:
        """The first that is not before `local_us`."""
        if self._positions:
            return self._first_chosen(local_us)
        day, time = divmod(local_us, DAY_US)
        found = self._next_day(day)
        if found == day:
            at = self._face.first_from(time)
            if at is not None:
                return day * DAY_US + at
            found = self._next_day(day + 1)
        return None if found is None else found * DAY_US + self._face.first_us

    def last_until(self, local_us: int) -> int | None:
        """The last that is not after `local_us`."""
        if self._positions:
            return self._last_chosen(local_us)
        day, time = divmod(local_us, DAY_US)
        found = self._previous_day(day)
        if found == day:
            at = self._face.last_until(time)
            if at is not None:
                return day * DAY_US + at
            found = self._previous_day(day - 1)
        return None if found is None else found * DAY_US + self._face.last_us

    def _next_day(self, day: int) -> int | None:
        """The first allowed day in phase that is not before `day`."""
        for _ in range(self._tries):
            found = self._days.first_from(day) if day <= LAST_DAY else None
            if found is None:
                return None
            index = self._scale.index_of(found)
            lag = self._phase.lag(index)
            if not lag:
                return found
            day = self._scale.first_day(index + self._phase.interval - lag)
        return None

    def _previous_day(self, day: int) -> int | None:
        """The last allowed day in phase that is not after `day`, down to the first day."""
        for _ in range(self._tries):
            found = self._days.last_until(day) if day >= self._first_day else None
            if found is None or found < self._first_day:
                return None
            index = self._scale.index_of(found)
            lag = self._phase.lag(index)
            if not lag:
                return found
            day = self._scale.first_day(index - lag + 1) - 1
        return None

    def _first_chosen(self, local_us: int) -> int | None:
        day = local_us // DAY_US
        for _ in range(self._tries):
            found = self._next_day(day)
            if found is None:
                return None
            index = self._scale.index_of(found)
            for at in self._chosen(index):
                if at >= local_us:
                    return at
            day = self._scale.first_day(index + 1)
        return None

    def _last_chosen(self, local_us: int) -> int | None:
        day = local_us // DAY_US
        for _ in range(self._tries):
            found = self._previous_day(day)
            if found is None:
                return None
            index = self._scale.index_of(found)
            for at in reversed(self._chosen(index)):
                if at <= local_us:
                    return at
            day = self._scale.first_day(index) - 1
        return None

    def _chosen(self, index: int) -> list[int]:
        """The times of a period that the positions choose, ascending."""
        first = self._scale.first_day(index)
        if first < self._first_day and self._scale not in (YEARS, MONTHS):
            first = self._first_day
        mask = self._days.between(first, self._scale.first_day(index + 1))
        a_day = self._times.count
        numbers = chosen(self._positions, mask.bit_count() * a_day)
        if not numbers:
            return []
        days = [first + bit for bit in _bits(mask)]
        return [days[number // a_day] * DAY_US + self._times.at(number % a_day) for number in numbers]


class Round:
    """The way of a phase through the times of the day, until it comes round again: where on it a clock face allows any.

    A phase that comes round only after more than ROUND_MAX periods is not looked at: every period in phase counts as one to be tried.
    """

    __slots__ = ("_after", "_before", "_interval", "_place", "_slots")

    def __init__(self, face: ClockFace, phase: Phase, unit_us: int) -> None:
        self._interval = phase.interval
        self._slots = DAY_US // unit_us
        count = self._slots // gcd(self._slots, phase.interval)
        slots = [(phase.origin + turn * phase.interval) % self._slots for turn in range(count)] if count <= ROUND_MAX else []
        self._place = {slot: place for place, slot in enumerate(slots)}
        allowed = [(at := face.first_from(slot * unit_us)) is not None and at < (slot + 1) * unit_us for slot in slots]
        self._after = _distances(allowed)
        self._before = _distances(allowed[::-1])[::-1]

    def first_from(self, index: int) -> int:
        """The first period from `index` on, which is in phase, that may hold a time."""
        place = self._place.get(index % self._slots)
        return index if place is None else index + self._after[place] * self._interval

    def last_until(self, index: int) -> int:
        """The last period until `index`, which is in phase, that may hold a time."""
        place = self._place.get(index % self._slots)
        return index if place is None else index - self._before[place] * self._interval


def _distances(allowed: Sequence[bool]) -> list[int]:
    """For each place of a round, how many steps on the next one is that is allowed, itself included; 0 where none is."""
    if not any(allowed):
        return [0] * len(allowed)
    found = [0] * len(allowed)
    distance = 0
    for place in reversed(range(2 * len(allowed))):
        distance = 0 if allowed[place % len(allowed)] else distance + 1
        found[place % len(allowed)] = distance
    return found


class ClockRepetition:
    """A rule of FREQ HOURLY, MINUTELY or SECONDLY: what of a clock face on allowed days lies in the periods in phase.

    `offsets_us` are the times from a period's start that BYSETPOS chooses, ascending; empty: all of them.
    """

    __slots__ = ("_days", "_face", "_offsets_us", "_phase", "_round", "_unit_us")

    def __init__(self, days: YearDays, face: ClockFace, unit_us: int, *, phase: Phase, offsets_us: tuple[int, ...]) -> None:
        self._days = days
        self._face = face
        self._unit_us = unit_us
        self._phase = phase
        self._offsets_us = offsets_us
        self._round: Round | None = None

    def first_from(self, local_us: int) -> int | None:
        """The first that is not before `local_us`."""
        unit_us = self._unit_us
        for tries in range(TRIES):
            at = self._next_match(local_us)
            if at is None:
                return None
            index = at // unit_us
            lag = self._phase.lag(index)
            if lag:
                index += self._phase.interval - lag
                local_us = (self._rounds().first_from(index) if tries > SINGLY else index) * unit_us
                continue
            if not self._offsets_us:
                return at
            for offset in self._offsets_us:
                if index * unit_us + offset >= at:
                    return index * unit_us + offset
            local_us = (index + 1) * unit_us
        return None

    def last_until(self, local_us: int) -> int | None:
        """The last that is not after `local_us`."""
        unit_us = self._unit_us
        for tries in range(TRIES):
            at = self._previous_match(local_us)
            if at is None:
                return None
            index = at // unit_us
            lag = self._phase.lag(index)
            if lag:
                index -= lag
                local_us = ((self._rounds().last_until(index) if tries > SINGLY else index) + 1) * unit_us - 1
                continue
            if not self._offsets_us:
                return at
            for offset in reversed(self._offsets_us):
                if index * unit_us + offset <= at:
                    return index * unit_us + offset
            local_us = index * unit_us - 1
        return None

    def _rounds(self) -> Round:
        if self._round is None:
            self._round = Round(self._face, self._phase, self._unit_us)
        return self._round

    def _next_match(self, local_us: int) -> int | None:
        day, time = divmod(local_us, DAY_US)
        found = self._days.first_from(day) if day <= LAST_DAY else None
        if found == day:
            at = self._face.first_from(time)
            if at is not None:
                return day * DAY_US + at
            found = self._days.first_from(day + 1) if day < LAST_DAY else None
        return None if found is None else found * DAY_US + self._face.first_us

    def _previous_match(self, local_us: int) -> int | None:
        day, time = divmod(local_us, DAY_US)
        found = self._days.last_until(day) if day >= FIRST_DAY else None
        if found == day:
            at = self._face.last_until(time)
            if at is not None:
                return day * DAY_US + at
            found = self._days.last_until(day - 1) if day > FIRST_DAY else None
        return None if found is None else found * DAY_US + self._face.last_us


class Limited:
    """Other local times from `start_us` to `until_us`, both included, and of these the first `count`; None: no such limit.

    What a count lets pass is counted once, from the start as far as somebody asks.
    """

    __slots__ = ("_counted_us", "_left", "_start_us", "_times", "_until_us")

    def __init__(self, times: LocalTimes, *, start_us: int, until_us: int | None, count: int | None) -> None:
        self._times = times
        self._start_us = start_us
        self._until_us = until_us
        self._left = count
        self._counted_us = start_us - 1

    def first_from(self, local_us: int) -> int | None:
        """The first that is not before `local_us`."""
        self._count_through(local_us)
        found = self._times.first_from(max(local_us, self._start_us))
        return None if found is None or (self._until_us is not None and found > self._until_us) else found

    def last_until(self, local_us: int) -> int | None:
        """The last that is not after `local_us`."""
        self._count_through(local_us)
        found = self._times.last_until(local_us if self._until_us is None else min(local_us, self._until_us))
        return None if found is None or found < self._start_us else found

    def _count_through(self, local_us: int) -> None:
        """Count what comes until `local_us` and the first after it; the last of the count becomes the end."""
        while self._left is not None and self._counted_us <= local_us:
            found = self._times.first_from(self._counted_us + 1)
            self._left -= 1
            if found is None:
                self._left = None
            else:
                self._counted_us = found
                if not self._left:
                    self._until_us, self._left = found, None


def chosen(positions: frozenset[int], count: int) -> list[int]:
    """Which of `count` things, numbered from 0, BYSETPOS chooses; ascending."""
    numbers = {position - 1 if position > 0 else count + position for position in positions}
    return sorted(number for number in numbers if 0 <= number < count)


def _mask(numbers: frozenset[int]) -> int:
    return sum(1 << number for number in numbers)


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
