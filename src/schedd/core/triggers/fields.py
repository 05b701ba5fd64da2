"""The matcher of all field-based rules (cron, EventBridge, OnCalendar): days and times of day in local time, zone transitions on top.

A rule that follows the clock fires at each instant whose local time matches. A rule of fixed times fires once for each matching local
time: at its first instant where a fold repeats it (fold policy FIRST), at the end of the gap where a gap leaves it out (RUN_AFTER).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schedd.core.triggers.civil import DAY_US, FIRST_DAY, FIRST_US, LAST_DAY, LAST_US
from schedd.core.triggers.clockface import ClockFace
from schedd.core.triggers.days import DaySet
from schedd.core.triggers.zone import Zone

_FAR_US: Final = 2 * DAY_US
"""More than any offset change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What a field-based expression says, whatever its dialect.

    `follows_clock`: the expression does not name fixed times of the day, so it follows real time through gaps and folds.
    """

    face: ClockFace
    days: DaySet
    follows_clock: bool


class FieldRule:
    """Fires at the local times of a set of days and of a clock face."""

    __slots__ = ("_fold_twice", "_last", "_run_after_gap", "days", "face", "zone")

    def __init__(self, fields: Fields, zone: Zone, *, run_after_gap: bool, fold_twice: bool) -> None:
        self.zone = zone
        self.days = fields.days
        self.face = fields.face
        self._run_after_gap = run_after_gap
        self._fold_twice = fold_twice
        self._last = (0, 0, zone.edition)

    def next_after(self, t_us: int) -> int | None:
        # Schedules that share a rule ask from about the same instant: between an instant and its answer the answer is the same.
        asked_us, answer_us, edition = self._last
        if asked_us <= t_us < answer_us and edition is self.zone.edition:
            return answer_us
        found_us = self._next_after(t_us)
        if found_us is not None:
            self._last = (t_us, found_us, self.zone.edition)
        return found_us

    def _next_after(self, t_us: int) -> int | None:
        start = t_us + 1 if t_us >= FIRST_US else FIRST_US
        segment_at = self.zone.segment_at
        if start < LAST_US and self.moved_from(start) is not None:
            return start
        while start < LAST_US:
            begin, end, offset, before = segment_at(start)
            low = start + offset
            if before > offset and not self._fold_twice and low < begin + before:
                low = begin + before
            local = self.first_local(low)
            if local is not None:
                if local - offset < end:
                    return local - offset
                if self._run_after_gap and local < end + segment_at(end).offset_us:
                    return end
            if end - start < _FAR_US:
                start = end
            elif local is None:
                return None
            else:
                start = max(end, local - offset - _FAR_US)
        return None

    def prev_before(self, t_us: int) -> int | None:
        last = min(t_us, LAST_US) - 1
        while last >= FIRST_US:
            begin, _, offset, before = self.zone.segment_at(last)
            low = begin + offset
            if before > offset and not self._fold_twice:
                low = begin + before
            local = self.last_local(last + offset)
            if local is not None:
                if local >= low:
                    return local - offset
                if self._run_after_gap and local >= begin + before:
                    return begin
            if last - begin < _FAR_US:
                last = begin - 1
            elif local is None:
                return None
            else:
                last = min(begin - 1, local - offset + _FAR_US)
        return None

    def first_local(self, local_us: int) -> int | None:
        """The first matching local time that is not before `local_us`."""
        day, time = divmod(local_us, DAY_US)
        found = self.days.first_from(day)
        if found == day:
            time_found = self.face.first_from(time)
            if time_found is not None:
                return day * DAY_US + time_found
            found = self.days.first_from(day + 1)
        return None if found is None or found > LAST_DAY else found * DAY_US + self.face.first_us

    def last_local(self, local_us: int) -> int | None:
        """The last matching local time that is not after `local_us`."""
        day, time = divmod(local_us, DAY_US)
        found = self.days.last_until(day)
        if found == day:
            time_found = self.face.last_until(time)
            if time_found is not None:
                return day * DAY_US + time_found
            found = self.days.last_until(day - 1)
        return None if found is None or found < FIRST_DAY else found * DAY_US + self.face.last_us

    def moved_from(self, t_us: int) -> int | None:
        """The local time inside a gap whose occurrence was moved to `t_us`, the gap's end; None when `t_us` is no such instant."""
        begin, _, offset, before = self.zone.segment_at(t_us)
        if t_us != begin or before >= offset or not self._run_after_gap:
            return None
        local = self.first_local(begin + before)
        return local if local is not None and local < begin + offset else None

    def begins_us(self, t_us: int) -> int:
        """From where on, in the segment of `t_us`, each local time of the rule is one of its instants."""
        begin, _, offset, before = self.zone.segment_at(t_us)
        return begin if before <= offset or self._fold_twice else begin + before - offset

    @property
    def is_whole_days(self) -> bool:
        """Whether the rule stands for days as a whole, as an exclusion: midnight alone, or every minute of the day."""
        return self.face.is_whole_day
