"""A time zone as stretches of constant offset, found by asking zoneinfo once for each year that is looked at.

zoneinfo does not publish its transitions. They are found by probing: offsets that differ between two probes hold a transition between
them. Since 1970 no zone has changed its offset and changed it back within less than 6.9 days, so probes three days apart miss none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from schedd.core.triggers.civil import DAY_US, HOUR_US, SECOND_US, day_number, utc_datetime

_PROBE_US: Final = 3 * DAY_US
_YEAR_US: Final = 31_556_952 * SECOND_US
_WIDEST_US: Final = 26 * HOUR_US
"""More than any offset."""
_MICROSECOND: Final = timedelta(microseconds=1)


class Segment(NamedTuple):
    """A stretch [start_us, end_us) of UTC in which the offset does not change.

    A segment ends at a transition or at the end of a UTC year. `before_us` is the offset just before it: equal to `offset_us` at a
    year's start, smaller where the segment begins with a gap, larger where it begins with a fold.
    """

    start_us: int
    end_us: int
    offset_us: int
    before_us: int


class Zone:
    """The offsets of one IANA zone. Instants are UTC microseconds, from the year 1900 to the year 9998."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._info = ZoneInfo(key)
        self._years: dict[int, tuple[Segment, ...]] = {}
        self.edition: Edition | None = None
        """The earlier edition of the data that answers meanwhile; None: today's."""
        self._last = self.segments_of_year(1970)[0]

    def segment_at(self, t_us: int) -> Segment:
        """The segment that holds an instant."""
        last = self._last
        if last[0] <= t_us < last[1]:
            return last
        self._last = found = self._find(t_us)
        return found

    def offset_at(self, t_us: int) -> int:
        """The offset from UTC at an instant, in microseconds, positive to the east."""
        return self.segment_at(t_us).offset_us

    def local_at(self, t_us: int) -> int:
        """The local time at an instant, in microseconds."""
        return t_us + self.segment_at(t_us).offset_us

    def first_instant(self, local_us: int) -> int:
        """The first instant whose local time is not before `local_us`: the end of the gap for a local time that a gap leaves out."""
        segment = self.segment_at(local_us - _WIDEST_US)
        while local_us - segment.offset_us >= segment.end_us:
            segment = self.segment_at(segment.end_us)
        return max(segment.start_us, local_us - segment.offset_us)

    def segments_of_year(self, year: int) -> tuple[Segment, ...]:
        """The segments of one UTC year, in order."""
        segments = self._years.get(year)
        if segments is None:
            segments = self._years[year] = self._probe_year(year)
        return segments

    def offsets_between(self, from_us: int, until_us: int) -> tuple[tuple[int, int], ...]:
        """The offsets within [from_us, until_us): the instant from which each holds, the first one `from_us`, and the offset."""
        segment = self.segment_at(from_us)
        found = [(from_us, segment.offset_us)]
        while segment.end_us < until_us:
            segment = self.segment_at(segment.end_us)
            if segment.offset_us != found[-1][1]:
                found.append((segment.start_us, segment.offset_us))
        return tuple(found)

    def swap(self, edition: Edition | None, years: dict[int, tuple[Segment, ...]]) -> dict[int, tuple[Segment, ...]]:
        """Answer by another edition of the data (None: today's), with the years that are known of it; those known until now."""
        before, self._years, self.edition = self._years, years, edition
        self._last = self.segments_of_year(1970)[0]
        return before

    def _find(self, t_us: int) -> Segment:
        year = 1970 + t_us // _YEAR_US
        segments = self.segments_of_year(year)
        if t_us < segments[0].start_us:
            segments = self.segments_of_year(year - 1)
        elif t_us >= segments[-1].end_us:
            segments = self.segments_of_year(year + 1)
        return next(segment for segment in segments if t_us < segment.end_us)

    def _probe_year(self, year: int) -> tuple[Segment, ...]:
        start = day_number(year, 1, 1) * DAY_US
        end = day_number(year + 1, 1, 1) * DAY_US
        before = self._ask(start - SECOND_US)
        segments: list[Segment] = []
        low = start
        offset = self._ask(start)
        while low < end:
            change = self._next_change(low, end, offset)
            segments.append(Segment(low, change, offset, before))
            before, offset, low = offset, self._ask(change), change
        return tuple(segments)

    def _next_change(self, low: int, end: int, offset: int) -> int:
        while low < end:
            high = min(low + _PROBE_US, end)
            if self._ask(high) != offset:
                return self._bisect(low, high, offset)
            low = high
        return end

    def _bisect(self, low: int, high: int, offset: int) -> int:
        while high - low > SECOND_US:
            middle = (low + high) // (2 * SECOND_US) * SECOND_US
            if self._ask(middle) == offset:
                low = middle
            else:
                high = middle
        return high

    def _ask(self, t_us: int) -> int:
        if self.edition is not None and (told_us := self.edition.offset_at(t_us)) is not None:
            return told_us
        moment: datetime = utc_datetime(t_us).astimezone(self._info)
        return (moment.utcoffset() or timedelta(0)) // _MICROSECOND


class Edition:
    """An earlier edition of the data of one zone: its offsets as they were told then, from the first instant of `offsets` to `until_us`."""

    def __init__(self, zone: Zone, offsets: Sequence[tuple[int, int]], until_us: int) -> None:
        self._zone = zone
        self._starts = [at_us for at_us, _ in offsets]
        self._offsets = [offset_us for _, offset_us in offsets]
        self._until_us = until_us
        self._years: dict[int, tuple[Segment, ...]] = {}

    def offset_at(self, t_us: int) -> int | None:
        """The offset at an instant; None where the edition says nothing."""
        index = bisect_right(self._starts, t_us) - 1
        return self._offsets[index] if index >= 0 and t_us < self._until_us else None

    @contextmanager
    def recalled(self) -> Iterator[None]:
        """Within it the zone, and so every rule that has it, answers by this edition. Nothing else may ask it meanwhile."""
        today = self._zone.swap(self, self._years)
        try:
            yield
        finally:
            self._zone.swap(None, today)


@lru_cache(maxsize=1024)
def load_zone(key: str) -> Zone:
    """The zone of a key that is known to exist; the same object for the same key.

    Raises: ZoneInfoNotFoundError, ValueError.
    """
    return Zone(key)
