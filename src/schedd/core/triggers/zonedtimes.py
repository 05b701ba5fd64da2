"""Local times placed in a time zone: what becomes of those that a transition leaves out or repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from schedd.core.model.when import FoldPolicy, GapPolicy
from schedd.core.triggers.civil import DAY_US, FIRST_US, HOUR_US, LAST_US
from schedd.core.triggers.zone import Segment, Zone

_WIDEST_US: Final = 26 * HOUR_US
"""More than any gap."""
_FAR_US: Final = 2 * DAY_US


class LocalTimes(Protocol):
    """A set of local times, in microseconds (see `civil`)."""

    def first_from(self, local_us: int) -> int | None:
        """The first that is not before `local_us`; None when there is none."""

    def last_until(self, local_us: int) -> int | None:
        """The last that is not after `local_us`; None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where local times are: the zone, and the policies for what its transitions leave out or repeat.

    The gap policy DIALECT is RFC 5545's (3.3.5): a local time in a gap is read with the offset before the gap.
    """

    zone: Zone
    gap: GapPolicy
    fold: FoldPolicy


class ZonedTimes:
    """A rule that fires at local times; where a fold repeats one, at the first of the two unless the policy says both."""

    __slots__ = ("_both", "_gap", "_times", "zone")

    def __init__(self, times: LocalTimes, place: Place) -> None:
        self._times = times
        self.zone = place.zone
        self._gap = place.gap
        self._both = place.fold is FoldPolicy.BOTH

    def next_after(self, t_us: int) -> int | None:
        """The first instant strictly after `t_us`."""
        start = max(t_us + 1, FIRST_US)
        best: int | None = None
        # A segment that ends before `start` still counts for what the gap before it moved beyond its end.
        segment = self.zone.segment_at(max(start - _WIDEST_US, FIRST_US))
        while segment.end_us <= start:
            best = _earliest(best, self._moved_from(segment, start))
            segment = self.zone.segment_at(segment.end_us)
        while segment.start_us < LAST_US:
            local = self._times.first_from(max(max(start, segment.start_us) + segment.offset_us, self._own_from(segment)))
            regular = None if local is None or local - segment.offset_us >= segment.end_us else local - segment.offset_us
            best = _earliest(best, regular, self._moved_from(segment, start))
            if best is not None:
                if best < segment.end_us:
                    return best
                following = segment.end_us
            elif local is None:
                return None
            else:
                following = max(segment.end_us, local - segment.offset_us - _FAR_US)
            segment = self.zone.segment_at(following)
        return best

    def prev_before(self, t_us: int) -> int | None:
        """The last instant strictly before `t_us`."""
        last = min(t_us, LAST_US) - 1
        best: int | None = None
        segment = self.zone.segment_at(max(last, FIRST_US))
        while segment.end_us > FIRST_US:
            if best is not None and best >= segment.start_us + _WIDEST_US:
                break
            local = self._times.last_until(min(last, segment.end_us - 1) + segment.offset_us)
            regular = None if local is None or local < self._own_from(segment) else local - segment.offset_us
            best = max((t for t in (best, regular, self._moved_until(segment, last)) if t is not None), default=None)
            following = segment.start_us - 1
            if best is None and local is not None:
                following = min(following, local - segment.offset_us + _FAR_US)
            elif best is None and self._times.last_until(following + segment.before_us) is None:
                return None  # Right after a fold, local times that are later than now's may lie before it.
            segment = self.zone.segment_at(following)
        return best

    def is_moved(self, t_us: int) -> bool:
        """Whether an occurrence is at `t_us` because its own local time lies in a gap."""
        segment = self.zone.segment_at(t_us)
        return self._moved_from(segment, t_us) == t_us

    def _own_from(self, segment: Segment) -> int:
        """The first local time whose instant lies in the segment: what a fold repeats belongs to the one before."""
        return segment.start_us + (segment.offset_us if self._both else max(segment.offset_us, segment.before_us))

    def _moved_from(self, segment: Segment, start_us: int) -> int | None:
        """The first instant from `start_us` on of the local times that the gap before the segment leaves out."""
        begin, _, offset, before = segment
        if before >= offset or self._gap is GapPolicy.SKIP or start_us + before >= begin + offset:
            return None
        if self._gap is GapPolicy.RUN_AFTER:
            local = self._times.first_from(begin + before) if begin >= start_us else None
            return begin if local is not None and local < begin + offset else None
        local = self._times.first_from(max(start_us, begin) + before)
        return local - before if local is not None and local < begin + offset else None

    def _moved_until(self, segment: Segment, last_us: int) -> int | None:
        """The last instant until `last_us` of the local times that the gap before the segment leaves out."""
        begin, _, offset, before = segment
        if before >= offset or self._gap is GapPolicy.SKIP or last_us < begin:
            return None
        run_after = self._gap is GapPolicy.RUN_AFTER
        local = self._times.last_until(begin + offset - 1 if run_after else min(last_us + before, begin + offset - 1))
        if local is None or local < begin + before:
            return None
        return begin if run_after else local - before


def _earliest(*instants: int | None) -> int | None:
    return min((t_us for t_us in instants if t_us is not None), default=None)
