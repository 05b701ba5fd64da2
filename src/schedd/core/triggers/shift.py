"""Calendar shift: occurrences that calendars leave out run at the same local time of the next, or the last, day that fits.

An occurrence moves day by day, in its schedule's zone, until its local time lies outside of what is left out. A local time in a gap counts
as the gap's end; where that belongs to the next day already, the day does not fit. One that finds no day within SHIFT_DAYS does not run.
Occurrences that meet at one instant are one.

What fires on one local day is what fits there by itself and what is moved there: for each day from which it may come, at the times of
day that are left out on all days between. So a question walks over days, never over occurrences, and passes over stretches where nothing
is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schedd.core.triggers.civil import DAY_US, FIRST_US, LAST_US
from schedd.core.triggers.rule import Rule
from schedd.core.triggers.timeset import Not, Span, TimeSet
from schedd.core.triggers.zone import Zone

SHIFT_DAYS: Final = 366
"""How many days an occurrence may be moved."""

_DAYS_AT_ONCE: Final = 1_000
"""How many days one answer looks at before the rule is held to be over: it bounds its time."""


class Shifted:
    """A rule whose occurrences move out of a set of instants."""

    __slots__ = ("_fit", "_last_fit_us", "_left_out", "_step", "_zone", "rule")

    def __init__(self, rule: Rule, left_out: TimeSet, zone: Zone, *, step: int) -> None:
        """`step`: 1 to move to the next day, -1 to the day before."""
        self.rule = rule
        self._left_out = left_out
        self._fit = Not(left_out)
        self._zone = zone
        self._step = step
        self._last_fit_us = LAST_US

    def next_after(self, t_us: int) -> int | None:
        return self._walk(max(t_us + 1, FIRST_US), 1)

    def prev_before(self, t_us: int) -> int | None:
        return self._walk(min(t_us, LAST_US) - 1, -1)

    def _walk(self, t_us: int, way: int) -> int | None:
        """The nearest fire time to `t_us`, itself included, forwards (`way` 1) or backwards (-1)."""
        day: int | None = self._day_of(t_us)
        singly_to = day  # up to which day none is passed over
        for _ in range(_DAYS_AT_ONCE):
            if day is None:
                return None
            found = self._on_day(day, t_us, way)
            if found is not None:
                return found
            if day == singly_to:
                day, singly_to = self._following(day, way)
            else:
                day += way
        return None

    def _on_day(self, day: int, t_us: int, way: int) -> int | None:
        begin_us, end_us = self._bounds(day)
        low_us, high_us = (max(begin_us, t_us), end_us - 1) if way > 0 else (begin_us, min(end_us - 1, t_us))
        if low_us > high_us:
            return None
        found = (self._find(self._fit, low_us, high_us, way), self._moved_onto(day, low_us, high_us, way))
        return _nearest((at_us for at_us in found if at_us is not None), way)

    def _moved_onto(self, day: int, low_us: int, high_us: int, way: int) -> int | None:
        """The nearest instant in [low_us, high_us] of a day onto which an occurrence of another day moves."""
        start = day * DAY_US
        within = [(self._first_local(low_us) - start, self._first_local(high_us + 1) - start)]
        hours = _both(self._fit_hours(day), within)
        best: int | None = None
        source = day
        for _ in range(SHIFT_DAYS if hours else 0):
            source -= self._step
            time = _nearest(self._sources(source, hours, way), way)
            if time is not None:
                best = time
                hours = _both(hours, [(0, best) if way > 0 else (best + 1, DAY_US)])
            hours = _both(hours, _rest_of_day(self._fit_hours(source)))
            if not hours:
                break
        return None if best is None else self._zone.first_instant(start + best)

    def _sources(self, day: int, hours: list[Span], way: int) -> Iterator[int]:
        """For each stretch of hours the nearest time of a local day at which an occurrence is left out."""
        start = day * DAY_US
        for first, end in hours:
            # A fold brings the same local times twice.
            segment = self._zone.segment_at(self._zone.first_instant(start + first))
            while segment.start_us + segment.offset_us < start + end:
                low_us = max(segment.start_us, start + first - segment.offset_us)
                high_us = min(segment.end_us, start + end - segment.offset_us) - 1
                found = self._find(self._left_out, low_us, high_us, way)
                if found is not None:
                    yield found + segment.offset_us - start
                segment = self._zone.segment_at(segment.end_us)

    def _find(self, inside: TimeSet, low_us: int, high_us: int, way: int) -> int | None:
        """The nearest occurrence in [low_us, high_us] that is in a set of instants."""
        at_us = self.rule.next_after(low_us - 1) if way > 0 else self.rule.prev_before(high_us + 1)
        while at_us is not None and low_us <= at_us <= high_us:
            spot_us = inside.inside_from(at_us) if way > 0 else inside.inside_until(at_us)
            if spot_us is None or spot_us == at_us:
                return spot_us
            at_us = self.rule.next_after(spot_us - 1) if way > 0 else self.rule.prev_before(spot_us + 1)
        return None

    def _following(self, day: int, way: int) -> tuple[int | None, int | None]:
        """The next day, in the direction `way`, on which anything may fire when nothing does on `day`; and up to where so may all."""
        begin_us, end_us = self._bounds(day)
        fit_us = self._fit_from(end_us) if way > 0 else self._fit.inside_until(begin_us - 1)
        ahead_us = self.rule.next_after(end_us - 1) if way > 0 else self.rule.prev_before(begin_us)
        if fit_us is None:
            return None, None
        if way == self._step and self._may_carry(day, way):
            carried = self._day_of(fit_us)
            return carried, carried
        if ahead_us is None:
            return None, None
        ahead = found = self._day_of(ahead_us)
        if way != self._step:
            # What is ahead may move back towards `day`, up to the first day on which everything fits.
            nearest = _nearest(iter((day + way, ahead - way * SHIFT_DAYS)), -way)
            while found != nearest and not self._is_clear(found):
                found -= way
        return found, ahead

    def _may_carry(self, day: int, way: int) -> bool:
        """Whether an occurrence on or before `day`, as seen in the direction `way`, may move beyond it."""
        begin_us, end_us = self._bounds(day)
        behind_us = self.rule.prev_before(end_us) if way > 0 else self.rule.next_after(begin_us - 1)
        return behind_us is not None and abs(self._day_of(behind_us) - day) <= SHIFT_DAYS and not self._is_clear(day)

    def _is_clear(self, day: int) -> bool:
        """Whether all of a day fits; a day that the zone left out does not."""
        begin_us, end_us = self._bounds(day)
        first_us = self._left_out.inside_from(begin_us)
        return begin_us < end_us and (first_us is None or first_us >= end_us)

    def _fit_hours(self, day: int) -> list[Span]:
        """The times of a local day, in microseconds, that fit."""
        start = day * DAY_US
        at_us, end_us = self._bounds(day)
        hours: list[Span] = []
        while at_us < end_us and (first_us := self._fit_from(at_us)) is not None and first_us < end_us:
            after_us = self._fit.outside_from(first_us)
            at_us = end_us if after_us is None else min(after_us, end_us)
            # A day that begins in a gap has none of the gap's times that belong to the day before.
            hours.append((max(0, self._first_local(first_us) - start), self._first_local(at_us) - start))
        return hours

    def _fit_from(self, t_us: int) -> int | None:
        """The first instant that fits; that there is none any more is found out once, since it may take long."""
        if t_us >= self._last_fit_us:
            return None
        found_us = self._fit.inside_from(t_us)
        if found_us is None:
            self._last_fit_us = t_us
        return found_us

    def _bounds(self, day: int) -> Span:
        """The instants of a day: from the first one of it to the first one of the next."""
        return self._zone.first_instant(day * DAY_US), self._zone.first_instant((day + 1) * DAY_US)

    def _day_of(self, t_us: int) -> int:
        """The day whose instants `t_us` is one of: after a fold at midnight, the one that had begun before."""
        day = self._zone.local_at(t_us) // DAY_US
        return day if t_us < self._zone.first_instant((day + 1) * DAY_US) else day + 1

    def _first_local(self, t_us: int) -> int:
        """The first local time whose first instant is not before `t_us`."""
        segment = self._zone.segment_at(t_us)
        if t_us == segment.start_us and segment.before_us < segment.offset_us:
            return t_us + segment.before_us
        return max(t_us + segment.offset_us, segment.start_us + segment.before_us)


def _nearest(times: Iterator[int], way: int) -> int | None:
    return min(times, default=None) if way > 0 else max(times, default=None)


def _both(some: list[Span], others: list[Span]) -> list[Span]:
    """What two lists of stretches have in common."""
    found = ((max(first, other), min(end, until)) for first, end in some for other, until in others)
    return [(first, end) for first, end in found if first < end]


def _rest_of_day(hours: list[Span]) -> list[Span]:
    """The times of a day that are in none of the ascending stretches."""
    edges = [0, *(edge for span in hours for edge in span), DAY_US]
    return [(first, end) for first, end in zip(edges[::2], edges[1::2], strict=True) if first < end]
