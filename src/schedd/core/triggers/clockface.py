"""The times of day that a field-based rule allows: hours, minutes and seconds, each a set, found without scanning."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from schedd.core.triggers.civil import HOUR_US, MINUTE_US, SECOND_US

_NONE: Final = 255
_EVERY_60TH: Final = (1 << 60) - 1


@lru_cache(maxsize=4096)
def _successors(mask: int, size: int) -> bytes:
    """For each value 0..size, the smallest member that is not below it, or _NONE."""
    found = _NONE
    table = bytearray(size + 1)
    for value in range(size, -1, -1):
        if mask >> value & 1:
            found = value
        table[value] = found
    return bytes(table)


@lru_cache(maxsize=4096)
def _predecessors(mask: int, size: int) -> bytes:
    """For each value, the greatest member below it, or _NONE; index `size` gives the greatest member of all."""
    found = _NONE
    table = bytearray()
    for value in range(size + 1):
        table.append(found)
        if mask >> value & 1:
            found = value
    return bytes(table)


class Seconds:
    """The seconds of a minute, whole ones."""

    __slots__ = ("_next", "_previous", "first_us", "last_us", "mask")

    def __init__(self, mask: int) -> None:
        self.mask = mask
        self._next = _successors(mask, 60)
        self._previous = _predecessors(mask, 60)
        self.first_us = self._next[0] * SECOND_US
        self.last_us = self._previous[60] * SECOND_US

    @property
    def members_us(self) -> tuple[int, ...]:
        """The members as microseconds into the minute."""
        return tuple(second * SECOND_US for second in range(60) if self.mask >> second & 1)

    def first_from(self, us: int) -> int | None:
        """The first member at or after `us` microseconds into the minute."""
        second = self._next[-(-us // SECOND_US)]
        return None if second == _NONE else second * SECOND_US

    def last_until(self, us: int) -> int | None:
        """The last member at or before `us` microseconds into the minute."""
        second = self._previous[us // SECOND_US + 1]
        return None if second == _NONE else second * SECOND_US


class SubSeconds:
    """The seconds of a minute down to the microsecond, as arithmetic progressions: what a bitmask of 60 cannot hold."""

    __slots__ = ("_steps", "first_us", "last_us")

    def __init__(self, steps: tuple[range, ...]) -> None:
        """`steps`: each range holds microseconds within [0, one minute); none is empty, and there is at least one."""
        self._steps = steps
        self.first_us = min(step[0] for step in steps)
        self.last_us = max(step[-1] for step in steps)

    @property
    def steps(self) -> tuple[range, ...]:
        """The members as microseconds into the minute."""
        return self._steps

    def first_from(self, us: int) -> int | None:
        """The first member at or after `us` microseconds into the minute."""
        found = (max(step[0], us + (step[0] - us) % step.step) for step in self._steps if us <= step[-1])
        return min(found, default=None)

    def last_until(self, us: int) -> int | None:
        """The last member at or before `us` microseconds into the minute."""
        found = (min(step[-1], us - (us - step[0]) % step.step) for step in self._steps if us >= step[0])
        return max(found, default=None)


class ClockFace:
    """A set of times of day, in microseconds since 00:00:00; never empty."""

    __slots__ = ("_hour_after", "_hour_before", "_minute_after", "_minute_before", "first_us", "hours", "last_us", "minutes", "seconds")

    def __init__(self, hours: int, minutes: int, seconds: Seconds | SubSeconds) -> None:
        self.hours = hours
        self.minutes = minutes
        self.seconds = seconds
        self._hour_after = _successors(hours, 24)
        self._hour_before = _predecessors(hours, 24)
        self._minute_after = _successors(minutes, 60)
        self._minute_before = _predecessors(minutes, 60)
        self.first_us = self._hour_after[0] * HOUR_US + self._minute_after[0] * MINUTE_US + seconds.first_us
        self.last_us = self._hour_before[24] * HOUR_US + self._minute_before[60] * MINUTE_US + seconds.last_us

    def first_from(self, us: int) -> int | None:
        """The first time of the day at or after `us`, which lies in [0, one day)."""
        minute_of_day, rest = divmod(us, MINUTE_US)
        hour, minute = divmod(minute_of_day, 60)
        found_hour = self._hour_after[hour]
        if found_hour == hour:
            found_minute = self._minute_after[minute]
            if found_minute == minute:
                second = self.seconds.first_from(rest)
                if second is not None:
                    return minute_of_day * MINUTE_US + second
                found_minute = self._minute_after[minute + 1]
            if found_minute != _NONE:
                return hour * HOUR_US + found_minute * MINUTE_US + self.seconds.first_us
            found_hour = self._hour_after[hour + 1]
        if found_hour == _NONE:
            return None
        return found_hour * HOUR_US + self._minute_after[0] * MINUTE_US + self.seconds.first_us

    def last_until(self, us: int) -> int | None:
        """The last time of the day at or before `us`, which lies in [0, one day)."""
        minute_of_day, rest = divmod(us, MINUTE_US)
        hour, minute = divmod(minute_of_day, 60)
        found_hour = self._hour_before[hour + 1]
        if found_hour == hour:
            found_minute = self._minute_before[minute + 1]
            if found_minute == minute:
                second = self.seconds.last_until(rest)
                if second is not None:
                    return minute_of_day * MINUTE_US + second
                found_minute = self._minute_before[minute]
            if found_minute != _NONE:
                return hour * HOUR_US + found_minute * MINUTE_US + self.seconds.last_us
            found_hour = self._hour_before[hour]
        if found_hour == _NONE:
            return None
        return found_hour * HOUR_US + self._minute_before[60] * MINUTE_US + self.seconds.last_us

    @property
    def is_midnight(self) -> bool:
        """Whether 00:00:00 is the only time."""
        return self.last_us == 0

    @property
    def is_whole_day(self) -> bool:
        """Whether the times stand for the day as a whole: midnight alone, every minute, or every second."""
        every_minute = self.hours == (1 << 24) - 1 and self.minutes == _EVERY_60TH
        return self.is_midnight or (every_minute and isinstance(self.seconds, Seconds) and self.seconds.mask in (1, _EVERY_60TH))
