"""Occasions: the occurrences that no clock yields. The daemon's start, and a delay after the completion of an execution.

They are nominal times like any other, in the timeline and under the daemon's mark. They live in memory; at the next start they are found
again from the newest finished executions, so that no fire writes to its schedule's row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from schedd.core.model.schedule import Schedule
from schedd.core.ports import Clock
from schedd.core.timeline import NEVER, Timeline
from schedd.core.triggers import Rule, clockless, compile_when, leaves_out, within_limits
from schedd.core.triggers.rule import Instants, Union
from schedd.engine.almanac import Almanac

_MICROSECOND = timedelta(microseconds=1)


class Unfinished(Protocol):
    """The unfinished executions in memory."""

    def of_schedule(self, row: int) -> Sequence[object]:
        """Those of one schedule."""


@dataclass(slots=True, kw_only=True)
class _Standing:
    """A schedule's occasions.

    `start_us` is the daemon's start as an occurrence, None: it is none. `after_us` is the occurrence of the delay, None while an
    execution is unfinished or armed for it; `armed_us` is the one that was armed. `counted_us` is when the delay began. `is_over`: the
    delay leads past the schedule's end.
    """

    schedule: Schedule
    start_us: int | None
    delay_us: int | None
    after_us: int | None = None
    armed_us: int | None = None
    counted_us: int = 0
    is_over: bool = False


class _Ripe:
    """Any instant from one on."""

    def __init__(self, from_us: int) -> None:
        self._from_us = from_us

    def next_after(self, t_us: int) -> int | None:
        """The first such instant strictly after `t_us`."""
        return max(self._from_us, t_us + 1)

    def prev_before(self, t_us: int) -> int | None:
        """The last such instant strictly before `t_us`."""
        return t_us - 1 if t_us > self._from_us else None


class OccasionRule:
    """The occasions of one row, as they stand when it is asked."""

    __slots__ = ("_occasions", "_row")

    def __init__(self, occasions: Occasions, row: int) -> None:
        self._occasions = occasions
        self._row = row

    def next_after(self, t_us: int) -> int | None:
        """The first occasion strictly after `t_us`."""
        return min((at_us for at_us in self._occasions.nominal_us(self._row) if at_us > t_us), default=None)

    def prev_before(self, t_us: int) -> int | None:
        """The last occasion strictly before `t_us`."""
        return max((at_us for at_us in self._occasions.nominal_us(self._row) if at_us < t_us), default=None)


class Occasions:
    """Keeps the occasions of every enabled schedule that has any.

    `decided_through_us` is the mark that is durable or being made so: what comes to be known later than that lies after it.
    """

    def __init__(self, clock: Clock, runs: Unfinished, timeline: Timeline, almanac: Almanac) -> None:
        self._clock = clock
        self._runs = runs
        self._timeline = timeline
        self._almanac = almanac
        self._known: dict[int, _Standing] = {}
        self._started_us = 0
        self.decided_through_us = 0

    def start(self, mark_us: int) -> None:
        """The daemon starts; its mark is that of the one before. The start's nominal time is now, or the first that is not decided yet."""
        self.decided_through_us = mark_us
        self._started_us = max(self._clock.now_us(), mark_us + 1)

    def nominal_us(self, row: int) -> Sequence[int]:
        """The nominal times that are known."""
        standing = self._known.get(row)
        if standing is None:
            return ()
        return [at_us for at_us in (standing.start_us, standing.after_us) if at_us is not None]

    def rows(self) -> Collection[int]:
        """The rows of the schedules that have occasions."""
        return self._known.keys()

    def knows(self, row: int) -> bool:
        """Whether the schedule has occasions."""
        return row in self._known

    def awaits(self, row: int) -> bool:
        """Whether another occasion may come, though none may be known yet."""
        standing = self._known.get(row)
        if standing is None:
            return False
        end_us = standing.schedule.when.end_us
        at_start = standing.start_us is not None or standing.delay_us is None
        return (at_start and (end_us is None or self._clock.now_us() < end_us)) or (standing.delay_us is not None and not standing.is_over)

    def is_over(self, row: int) -> bool:
        """Whether the schedule had occasions, and neither they nor the clock yield another occurrence."""
        return row in self._known and not self.awaits(row) and self._timeline.next_of(row) == NEVER

    def rule(self, row: int, clock_rule: Rule) -> Rule:
        """The schedule's rule with its occasions."""
        return Union((clock_rule, OccasionRule(self, row)))

    def rule_of_paused(self, schedule: Schedule, clock_rule: Rule) -> Rule:
        """The rule of a paused schedule, whose occasions are not kept: the daemon's start, if it is one, is what the pause held back."""
        start_us = self._start_of(schedule) if clockless(schedule.when).at_start else None
        return clock_rule if start_us is None else Union((clock_rule, Instants((start_us,))))

    def enter(self, schedule: Schedule, *, completed_us: int | None = None) -> bool:
        """A schedule is enabled, or has changed; whether it has occasions. Raises: ExpressionError.

        `completed_us` is when its newest execution ended, where that was looked up. What is known goes on, and an occurrence that
        was taken back with it stands again; else the delay counts from the creation or the change.
        """
        kind = clockless(schedule.when)
        before = self._known.pop(schedule.row, None)
        if not kind:
            return False
        standing = _Standing(
            schedule=schedule,
            start_us=self._start_of(schedule) if kind.at_start else None,
            delay_us=None if kind.delay is None else kind.delay // _MICROSECOND,
        )
        self._known[schedule.row] = standing
        if standing.delay_us is not None and not self._runs.of_schedule(schedule.row):
            self._await_delay(standing, self._counted_from_us(schedule, before, completed_us))
        return True

    def omitted_start_us(self, schedule: Schedule) -> int | None:
        """The daemon's start, where it would be an occurrence of the schedule if no exclusion or calendar left it out; else None."""
        if not leaves_out(schedule.when) or not clockless(schedule.when).at_start or self._start_of(schedule) is not None:
            return None
        bare = replace(schedule.when, exclusions=(), exclude_calendars=(), include_calendars=())
        start = within_limits(bare, Instants((self._started_us,)), created_us=schedule.created_us, seed=schedule.uid)
        return start.next_after(self._started_us - 1)

    def reread(self, schedule: Schedule) -> None:
        """A schedule that has occasions is stored anew, though nobody has changed it."""
        self._known[schedule.row].schedule = schedule

    def clock_set_back(self, mark_us: int) -> None:
        """Instants come again, from the daemon's mark as it is now on: its start is not one of them.

        A start that is undecided is due now; one that was decided stays so.
        """
        self.decided_through_us = mark_us
        now_us = self._clock.now_us()
        self._started_us = min(self._started_us, now_us)
        for row, standing in self._known.items():
            if standing.start_us is not None:
                undecided = NEVER < self._timeline.next_of(row) <= standing.start_us
                standing.start_us = now_us + 1 if undecided else min(standing.start_us, mark_us)

    def clock_stepped(self, by_us: int) -> None:
        """The clock was stepped: delays end as far ahead as before. What is armed for an instant that comes again is taken back already."""
        for row, standing in self._known.items():
            if standing.delay_us is not None and not self._runs.of_schedule(row):
                self._await_delay(standing, standing.counted_us + by_us)
                self._move(standing)

    def leave(self, row: int) -> None:
        """The schedule is no longer enabled."""
        self._known.pop(row, None)

    def completed(self, row: int) -> bool:
        """An execution of the schedule has left memory; whether the timeline has changed."""
        standing = self._known.get(row)
        if standing is None or standing.delay_us is None or self._runs.of_schedule(row):
            return False
        self._await_delay(standing, self._clock.now_us())
        return self._move(standing)

    def _move(self, standing: _Standing) -> bool:
        """Put the schedule where its delay now ends; whether it has an occurrence at all."""
        row = standing.schedule.row
        # What the timeline holds may be the delay's occurrence of before, which has moved.
        next_us = self._timeline.next_of(row)
        following_us = self.earliest(row, self._first_from(standing, next_us) if next_us != NEVER else None)
        if following_us is None:
            self._timeline.remove(row)
        else:
            self._timeline.set(row, following_us)
        return following_us is not None

    def decided(self, row: int, fires: Sequence[int], next_us: int | None) -> int | None:
        """The schedule's next nominal time, after a plan that gave these fires and that next one.

        What is armed stands until its execution ends. What is left out counts as completed.
        """
        standing = self._known.get(row)
        if standing is None or standing.after_us is None or (next_us is not None and standing.after_us >= next_us):
            return next_us
        at_us, standing.after_us = standing.after_us, None
        if at_us in fires:
            standing.armed_us = at_us
            return next_us
        self._await_delay(standing, self._clock.now_us())
        return self.earliest(row, next_us)

    def earliest(self, row: int, next_us: int | None) -> int | None:
        """That nominal time, or that of the delay if it is earlier."""
        standing = self._known.get(row)
        if standing is None or standing.after_us is None:
            return next_us
        return standing.after_us if next_us is None else min(next_us, standing.after_us)

    def first_after(self, row: int, t_us: int, next_us: int | None) -> int | None:
        """The clock's next nominal time after `t_us`, as given, or an earlier occasion after `t_us`."""
        occasion_us = OccasionRule(self, row).next_after(t_us)
        return min((at_us for at_us in (next_us, occasion_us) if at_us is not None), default=None)

    def _first_from(self, standing: _Standing, from_us: int) -> int | None:
        """The first occurrence that is not before `from_us`, by the clock or not."""
        schedule = standing.schedule
        clock_rule = compile_when(schedule.when, created_us=schedule.created_us, seed=schedule.uid, calendars=self._almanac.calendars)
        return self.rule(schedule.row, clock_rule).next_after(from_us - 1)

    def _start_of(self, schedule: Schedule) -> int | None:
        """The daemon's start, if the schedule's exclusions and bounds leave it in."""
        rule = within_limits(
            schedule.when,
            Instants((self._started_us,)),
            created_us=schedule.created_us,
            seed=schedule.uid,
            calendars=self._almanac.calendars,
        )
        return rule.next_after(self._started_us - 1)

    def _counted_from_us(self, schedule: Schedule, before: _Standing | None, completed_us: int | None) -> int:
        if completed_us is not None:
            return completed_us
        if before is not None and before.delay_us is not None:
            at_us = before.after_us if before.after_us is not None else before.armed_us
            if at_us is not None:
                return at_us - before.delay_us
        return schedule.updated_us

    def _await_delay(self, standing: _Standing, from_us: int) -> None:
        """Set the occurrence that is one delay after `from_us`: not decided yet, not excluded, within the schedule's bounds."""
        assert standing.delay_us is not None, "asked only of schedules with a delay"
        schedule = standing.schedule
        # By a clock that was set back it may seem to count from a time that is yet to come.
        standing.counted_us = from_us = min(from_us, self._clock.now_us())
        first_us = max(from_us + standing.delay_us, self.decided_through_us + 1, schedule.planned_from_us + 1)
        ripe = within_limits(
            schedule.when, _Ripe(first_us), created_us=schedule.created_us, seed=schedule.uid, calendars=self._almanac.calendars
        )
        standing.armed_us = None
        standing.after_us = ripe.next_after(first_us - 1)
        standing.is_over = standing.after_us is None
