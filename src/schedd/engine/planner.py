"""The planner: takes from the timeline what comes due within the horizon, decides it, and arms it: one commit, before anything is due.

It keeps the daemon's mark (`planned_through_us`): every nominal time up to it has been decided. The mark is committed with the executions,
so a crash at any moment leaves no occurrence undecided and decides none twice.

What is overdue (after downtime, a suspend, a clock step, a pause) stands aside and is decided beside what is on time, in portions. What of
it is run is armed at once while the background has room, else it is a range to be worked off later. The mark waits for it meanwhile, and
schedules that are further than it have marks of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from schedd.core.admission import LATE_US
from schedd.core.errors import StoredDataError, UnavailableError
from schedd.core.model.backfill import Backfill
from schedd.core.model.batch import NEVER_US, ArmBatch, Timer
from schedd.core.model.execution import Cause, ExecutionState
from schedd.core.model.journal import JournalEntry
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.model.when import SpreadMode
from schedd.core.omissions import Omissions
from schedd.core.planning import Backlog, Plan, each_left_out, plan
from schedd.core.ports import Clock, Ids, Store
from schedd.core.timeline import NEVER, Timeline
from schedd.core.triggers import due_us
from schedd.engine.arming import armed_entry, armed_execution, backlog_of, left_out_entry
from schedd.engine.backfiller import Backfiller
from schedd.engine.clockwatch import NO_STEPS, ClockWatch
from schedd.engine.definitions import Definition, Definitions
from schedd.engine.dispatcher import Dispatcher
from schedd.engine.endings import Endings
from schedd.engine.housekeeper import Housekeeper
from schedd.engine.keeper import Keeper
from schedd.engine.occasions import Occasions
from schedd.engine.ranges import omitted_entries
from schedd.engine.realignment import Realignment
from schedd.engine.recorder import Recorder
from schedd.engine.runs import Run, Runs

_REFUSED_WAIT = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)
_NO_TIME = timedelta(0)
_DECIDED_AT_ONCE = 16
_SET_ASIDE_AT_ONCE = 20_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How far ahead the planner arms, how often at most, how many schedules in one round, and how many runs may wait in memory.

    `runs_in_memory` bounds those that are due, `runs_ahead` those that wait for their time: retries, and what is spread. Each has a bound
    of its own: many retries do not keep what is on time from being armed. Of what is spread only half as many are armed long ahead of their
    due time; the others when that comes.
    Of overdue schedules a round takes at most `late_at_once`, fewer where that takes longer than `late_time`; while as many as
    `late_in_memory` executions wait for a slot of the background, or for one host, what catches up waits in the store.
    """

    horizon: timedelta = timedelta(milliseconds=500)
    interval: timedelta = timedelta(milliseconds=100)
    schedules_at_once: int = 2000
    runs_in_memory: int = 20_000
    runs_ahead: int = 200_000
    late_at_once: int = 500
    late_time: timedelta = timedelta(milliseconds=100)
    late_in_memory: int = 1000


@dataclass(slots=True)
class _Round:
    """What one round has decided so far."""

    runs: list[Run] = field(default_factory=list)
    entries: list[JournalEntry] = field(default_factory=list)
    backlogs: list[tuple[Backfill, Definition]] = field(default_factory=list)
    following: list[tuple[Schedule, int]] = field(default_factory=list)
    ended: list[Definition] = field(default_factory=list)


class Planner:
    """Turns the timeline into armed executions."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        timeline: Timeline,
        definitions: Definitions,
        runs: Runs,
        dispatcher: Dispatcher,
        keeper: Keeper,
        endings: Endings,
        recorder: Recorder,
        housekeeper: Housekeeper,
        occasions: Occasions,
        clock_watch: ClockWatch,
        realignment: Realignment,
        backfiller: Backfiller,
        pace: Pace,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._timeline = timeline
        self._definitions = definitions
        self._runs = runs
        self._dispatcher = dispatcher
        self._keeper = keeper
        self._endings = endings
        self._recorder = recorder
        self._housekeeper = housekeeper
        self._occasions = occasions
        self._clock_watch = clock_watch
        self._realignment = realignment
        self._backfiller = backfiller
        self._stopped = False
        self._horizon_us = pace.horizon // _MICROSECOND
        self._interval_us = pace.interval // _MICROSECOND
        self._pace = pace
        self._alarm = clock.alarm()
        self._in_hand: dict[int, int] = {}
        self._late_at_once = pace.late_at_once
        self._changed: set[int] = set()
        self._took_back = False
        self._behind: set[int] = set()
        self.planned_through_us = 0
        self._looks_us: int | None = None

    def wake(self) -> None:
        """The timeline has changed, or there is room for more runs."""
        self._alarm.ring()

    def schedules_entered(self) -> None:
        """The timeline has grown: the planner looks again before it meant to, if something comes due before that."""
        first_us = self._timeline.peek_us()
        if first_us != NEVER and (self._looks_us is None or first_us - self._horizon_us < self._looks_us):
            self.wake()

    def stop(self) -> None:
        """Arm nothing more."""
        self._stopped = True

    def schedule_changed(self, schedule: Schedule, *, behind: bool) -> None:
        """A change has been committed: what a round under way has decided about this schedule no longer counts.

        What a round has armed while the change was being committed is taken back, if its occurrence is decided anew. `behind`: the schedule
        is stored as UNDECIDED_US.
        """
        row = schedule.row
        self.schedule_left(row)
        if behind:
            self._behind.add(row)
        for run in self._runs.of_schedule(row):
            if _is_ahead(run) and run.execution.generation < schedule.generation and run.execution.nominal_us > schedule.planned_from_us:
                self._recorder.disarmed(run, Reason.SCHEDULE_CHANGED, self._clock.now_us())
                self._took_back = True

    def schedule_left(self, row: int) -> None:
        """Nothing of this schedule is to be decided any more."""
        self._changed.add(row)
        self._in_hand.pop(row, None)
        self._behind.discard(row)

    def stands_behind(self, row: int) -> None:
        """The schedule was found stored as UNDECIDED_US."""
        self._behind.add(row)

    def may_have_passed(self, nominal_us: int, now_us: int) -> bool:
        """Whether the daemon's mark, that of a round under way included, may be there already."""
        return nominal_us <= max(self.planned_through_us, now_us + self._horizon_us)

    def is_behind(self, row: int) -> bool:
        """Whether the schedule is stored as UNDECIDED_US: its own mark lies before the daemon's."""
        return row in self._behind

    def is_ahead(self, row: int) -> None:
        """What was committed just now of this schedule goes by the time before the clock was set back: have it set back too."""
        self._clock_watch.is_ahead(row)

    def undecided_us(self, row: int) -> int:
        """The schedule's first occurrence that is not armed yet, whether in the timeline or in a round under way; or NEVER."""
        return self._in_hand.get(row, self._timeline.next_of(row))

    async def run(self) -> None:
        """Plan until cancelled."""
        try:
            while True:
                started_us = self._clock.now_us()
                await self.run_once(started_us)
                self._looks_us = self._next_look_us(started_us)
                self._alarm.set(self._looks_us)
                await self._alarm.wait()
        finally:
            self._alarm.close()

    def _next_look_us(self, started_us: int) -> int | None:
        first_us = self._timeline.peek_us()
        if first_us == NEVER:
            return None
        soonest_us = started_us + self._interval_us
        return soonest_us if self._stopped or self._full() else max(first_us - self._horizon_us, soonest_us)

    async def run_once(self, now_us: int) -> int:
        """Decide and arm what comes due within the horizon; how many executions were armed."""
        now_us = await self._follow_clock(now_us)
        if self._stopped or self._full():
            return 0
        if self._took_back:
            # What was taken back has to be gone before its occurrence can be armed again.
            self._took_back = False
            await self._recorder.committed()
        through_us = now_us + self._horizon_us
        self._changed.clear()
        self._timeline.set_aside(now_us - LATE_US, _SET_ASIDE_AT_ONCE)
        due = self._timeline.pop_through(through_us, self._pace.schedules_at_once)
        due += self._timeline.pop_postponed(through_us, self._pace.schedules_at_once)
        late = self._timeline.pop_aside(self._late_at_once)
        if not due and not late:
            return 0
        started_us = self._clock.monotonic_us()
        due += late
        self._in_hand = {row: nominal_us for nominal_us, row in due}
        definitions = await self._definitions.load(row for _, row in due)
        decided = _Round()
        for index, (nominal_us, row) in enumerate(due, start=1):
            self._decide(decided, definitions, row, nominal_us, now_us)
            if index % _DECIDED_AT_ONCE == 0:
                await self._clock.sleep(_NO_TIME)  # What has come due meanwhile does not wait for the whole round.
        mark_us = self._mark(through_us, (next_us for _, next_us in decided.following))
        self._occasions.decided_through_us = mark_us
        armed = await self._arm(
            ArmBatch(
                executions=tuple(run.execution for run in decided.runs),
                entries=(*decided.entries, *[armed_entry(run, now_us) for run in decided.runs]),
                planned_through_us=mark_us,
                decided=self._own_marks(decided, through_us, held_back=mark_us < through_us),
                backlogs=tuple(backlog for backlog, _ in decided.backlogs),
            )
        )
        if late:
            self._pace_late(self._clock.monotonic_us() - started_us)
        self.planned_through_us = mark_us
        self._behind.difference_update(self._in_hand.keys() - self._changed)
        self._in_hand = {}
        self._hand_over(decided, armed)
        return len(armed)

    async def _follow_clock(self, now_us: int) -> int:
        """Have the plan follow the steps of the clock since the last round; the time after that."""
        self._clock_watch.run_once(now_us)
        steps = self._clock_watch.take_steps()
        if steps is NO_STEPS:
            return now_us
        if steps.is_back:
            self._changed.clear()
            self.planned_through_us = await self._realignment.back(self.planned_through_us, steps, self._changed)
        else:
            self._realignment.ahead(steps.by_us)
            await self._recorder.committed()  # The journal tells of the jump first, and then of what it made late.
        return self._clock.now_us()

    def _full(self) -> bool:
        ahead = self._dispatcher.ahead
        return ahead >= self._pace.runs_ahead or self._dispatcher.waiting - ahead >= self._pace.runs_in_memory

    def _room_for_late(self, decided: _Round, definition: Definition) -> bool:
        """Whether one more late execution is armed now: never so many that they fill the memory up for what is on time."""
        dispatcher, pace = self._dispatcher, self._pace
        room = pace.late_in_memory - len(decided.runs)
        if dispatcher.gates.background_waiting >= room or dispatcher.waiting >= pace.runs_in_memory // 2:
            return False
        return not dispatcher.gates.crowded(definition, room)

    def _pace_late(self, took_us: int) -> None:
        """Take fewer overdue schedules a round if the last one kept what is on time waiting, more again if it did not."""
        if took_us > self._pace.late_time // _MICROSECOND:
            self._late_at_once = max(1, self._late_at_once // 2)
        else:
            self._late_at_once = min(self._pace.late_at_once, self._late_at_once * 2)

    def _decide(
        self,
        decided: _Round,
        definitions: Mapping[int, Definition | StoredDataError],
        row: int,
        nominal_us: int,
        now_us: int,
    ) -> None:
        if row in self._changed:
            return  # It has its own, newer place in the timeline.
        definition = definitions.get(row)
        if isinstance(definition, StoredDataError):
            self._keeper.quarantine(row, Reason.STORED_DATA, str(definition))
            return
        if definition is None or definition.schedule.state is not ScheduleState.ENABLED:
            return
        try:
            if not self._postpone(decided, definition, nominal_us, now_us):
                self._plan(decided, definition, nominal_us, now_us)
        except Exception as error:  # One schedule's unforeseen fault must not stop the others.
            log.exception("planning_failed", schedule=str(definition.schedule.name))
            self._keeper.quarantine(row, Reason.UNFORESEEN, f"planning failed: {type(error).__name__}: {error}")

    def _plan(self, decided: _Round, definition: Definition, nominal_us: int, now_us: int) -> None:
        schedule = definition.schedule
        if self._occasions.knows(schedule.row):
            # A completion may have moved an occasion since this round took it from the timeline.
            first_us = definition.rule.next_after(nominal_us - 1)
            if first_us is None:
                decided.ended.append(definition)
                return
            nominal_us = first_us
        # An occasion moves with each completion, and a limit of runs is counted here: neither can wait in a backlog.
        with_backlog = not self._occasions.knows(schedule.row) and not schedule.policies.max_runs
        planned = plan(
            definition.rule,
            schedule.policies.catch_up,
            first_us=nominal_us,
            now_us=now_us,
            horizon_us=self._horizon_us,
            spread_us=schedule.when.spread.window // _MICROSECOND,
            with_backlog=with_backlog,
        )
        if planned.backlog is not None:
            decided.backlogs.append((backlog_of(schedule, planned.backlog, self._ids.new_id(), now_us), definition))
        if schedule.policies.max_runs:
            planned = self._limited(definition, planned)
        for fire_us in planned.fires:
            run = Run(armed_execution(definition, self._ids.new_id(), fire_us, now_us), definition)
            if run.background and with_backlog and not self._room_for_late(decided, definition):
                alone = Backlog(first_us=fire_us, before_us=fire_us + 1, runs=1)
                decided.backlogs.append((backlog_of(schedule, alone, self._ids.new_id(), now_us), definition))
            else:
                decided.runs.append(run)
        for range_ in planned.left_out:
            jumped = self._clock_watch.evidence(range_.first_us, range_.last_us)
            outcome = Outcome.SKIPPED if range_.reason is Reason.MAX_RUNS else Outcome.MISSED
            decided.entries.append(left_out_entry(schedule, range_, now_us, outcome=outcome, jumped=jumped))
        if definition.omissions is not None:
            decided.entries += self._omitted(definition.omissions, schedule, planned, now_us)
        next_us = self._occasions.decided(schedule.row, planned.fires, planned.next_us)
        if next_us is None:
            decided.ended.append(definition)
        else:
            decided.following.append((schedule, next_us))

    def _postpone(self, decided: _Round, definition: Definition, nominal_us: int, now_us: int) -> bool:
        """Leave an occurrence undecided until it is due, if its spread moves that, and enough wait for their time already."""
        schedule = definition.schedule
        if schedule.when.spread.mode is SpreadMode.NONE or self._occasions.knows(schedule.row):
            return False
        if self._dispatcher.ahead + len(decided.runs) < self._pace.runs_ahead // 2:
            return False
        at_us = due_us(schedule.when, definition.rule, seed=schedule.uid, nominal_us=nominal_us)
        if at_us <= now_us + self._horizon_us:
            return False
        del self._in_hand[schedule.row]
        self._timeline.postpone(schedule.row, nominal_us, at_us)
        return True

    def _limited(self, definition: Definition, planned: Plan) -> Plan:
        """The plan within what the schedule's limit of runs leaves.

        Those beyond are left out while earlier ones are unfinished: one of them may still turn out not to run.
        """
        left = self._endings.left(definition.schedule)
        if len(planned.fires) <= left:
            return planned
        fires, beyond = planned.fires[:left], planned.fires[left:]
        over = each_left_out(definition.rule, beyond, Reason.MAX_RUNS)
        next_us = planned.next_us
        if self._endings.ran(definition.schedule.uid) >= definition.schedule.policies.max_runs:
            self._keeper.limit_reached(definition.schedule.row)
            over, next_us = (), None
        return replace(planned, fires=fires, left_out=planned.left_out + over, next_us=next_us)

    def _omitted(self, omissions: Omissions, schedule: Schedule, planned: Plan, now_us: int) -> list[JournalEntry]:
        """What the schedule leaves out around the occurrences that a plan decides."""
        decided_us = [*planned.fires, *(at_us for range_ in planned.left_out for at_us in (range_.first_us, range_.last_us))]
        if planned.backlog is not None:
            decided_us += [planned.backlog.first_us, planned.backlog.before_us - 1]
        if not decided_us:
            return []
        ranges = omissions.decided(min(decided_us), max(decided_us), from_us=schedule.planned_from_us)
        return omitted_entries(schedule, ranges, self._definitions.calendars, now_us)

    def _mark(self, through_us: int, following: Iterable[int]) -> int:
        """Everything up to here is decided: not what the timeline still holds, nor what this round has left for the next."""
        bounds = [through_us, *(next_us - 1 for next_us in following)]
        first_us = self._timeline.peek_us()
        if first_us != NEVER:
            bounds.append(first_us - 1)
        return max(self.planned_through_us, min(bounds))

    async def _arm(self, batch: ArmBatch) -> frozenset[int]:
        while True:
            try:
                return await self._store.arm(batch)
            except UnavailableError as error:
                log.error("arm_refused", reason=error.reason, detail=str(error), executions=len(batch.executions))
                await self._clock.sleep(_REFUSED_WAIT)

    def _hand_over(self, decided: _Round, armed: frozenset[int]) -> None:
        """Give what is durable to the dispatcher; what is of a schedule that changed meanwhile is taken back at once.

        Such a schedule has its own, newer place in the timeline.
        """
        for run in decided.runs:
            if run.id not in armed:
                self._keeper.execution_finished(run.row)  # It was there already: nothing more will be heard of it.
            elif run.row in self._changed:
                self._recorder.disarmed(run, Reason.SCHEDULE_CHANGED, self._clock.now_us())
                self._took_back = True
            else:
                self._dispatcher.add(run)
        for backlog, definition in decided.backlogs:
            self._backfiller.adopt([backlog], definition)
        for schedule, next_us in decided.following:
            if schedule.row not in self._changed:
                self._follow(schedule, self._occasions.earliest(schedule.row, next_us))
        for definition in decided.ended:
            if definition.schedule.row not in self._changed:
                self._follow(definition.schedule, self._occasions.earliest(definition.schedule.row, None))

    def _own_marks(self, decided: _Round, through_us: int, *, held_back: bool) -> tuple[Timer, ...]:
        """The marks of schedules that are decided further than the daemon's mark, which is `held_back`, or that were behind it."""
        following = [
            Timer(
                schedule.row,
                schedule.generation,
                NEVER_US if self._occasions.knows(schedule.row) else next_us,  # Where no clock yields them, none is stored.
                min(through_us, next_us - 1),
            )
            for schedule, next_us in decided.following
            if held_back or schedule.row in self._behind
        ]
        ended = [
            Timer(each.schedule.row, each.schedule.generation, NEVER_US, through_us)
            for each in decided.ended
            if held_back or each.schedule.row in self._behind
        ]
        return (*following, *ended)

    def _follow(self, schedule: Schedule, next_us: int | None) -> None:
        if next_us is None:
            self._keeper.no_more_occurrences(schedule.row)
            return
        self._timeline.set(schedule.row, next_us)
        if not self._occasions.knows(schedule.row):
            self._housekeeper.timer_moved(schedule.row, schedule.generation)


def _is_ahead(run: Run) -> bool:
    """Whether a run was armed ahead of its time by its schedule's rule, and waits for it."""
    return run.state is ExecutionState.ARMED and run.execution.cause is Cause.SCHEDULE and not run.background
