"""The planner: takes from the timeline what comes due within the horizon, decides it, and arms it: one commit, before anything is due.

It keeps the daemon's mark (`planned_through_us`): every nominal time up to it has been decided. The mark is committed with the executions,
so a crash at any moment leaves no occurrence undecided and decides none twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from schedd.core.errors import StoredDataError, UnavailableError
from schedd.core.model.batch import ArmBatch
from schedd.core.model.execution import Cause, Execution
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.planning import LeftOut, Plan, left_out, plan
from schedd.core.ports import Clock, Ids, Store
from schedd.core.timeline import NEVER, Timeline
from schedd.core.triggers import due_us
from schedd.engine.definitions import Definition, Definitions
from schedd.engine.dispatcher import Dispatcher
from schedd.engine.endings import Endings
from schedd.engine.housekeeper import Housekeeper
from schedd.engine.keeper import Keeper
from schedd.engine.occasions import Occasions
from schedd.engine.recorder import Recorder
from schedd.engine.runs import Run

_REFUSED_WAIT = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)
_NO_TIME = timedelta(0)
_DECIDED_AT_ONCE = 16

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How far ahead the planner arms, how often at most, how many schedules in one round, and how many runs may wait in memory."""

    horizon: timedelta = timedelta(milliseconds=500)
    interval: timedelta = timedelta(milliseconds=100)
    schedules_at_once: int = 2000
    runs_in_memory: int = 20_000


@dataclass(slots=True)
class _Round:
    """What one round has decided so far."""

    runs: list[Run] = field(default_factory=list)
    entries: list[JournalEntry] = field(default_factory=list)
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
        dispatcher: Dispatcher,
        keeper: Keeper,
        endings: Endings,
        recorder: Recorder,
        housekeeper: Housekeeper,
        occasions: Occasions,
        pace: Pace,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._timeline = timeline
        self._definitions = definitions
        self._dispatcher = dispatcher
        self._keeper = keeper
        self._endings = endings
        self._recorder = recorder
        self._housekeeper = housekeeper
        self._occasions = occasions
        self._stopped = False
        self._horizon_us = pace.horizon // _MICROSECOND
        self._interval_us = pace.interval // _MICROSECOND
        self._pace = pace
        self._alarm = clock.alarm()
        self._in_hand: dict[int, int] = {}
        self._changed: set[int] = set()
        self._unsettled = False
        self.planned_through_us = 0

    def wake(self) -> None:
        """The timeline has changed, or there is room for more runs."""
        self._alarm.ring()

    def stop(self) -> None:
        """Arm nothing more."""
        self._stopped = True

    def schedule_changed(self, row: int, outdated: Iterable[Run] = ()) -> None:
        """What a round under way has decided about this schedule no longer counts.

        `outdated` was armed while the change was on its way to the store, and is taken back before anything else is decided.
        """
        self._changed.add(row)
        for run in outdated:
            self._recorder.disarmed(run, Reason.SCHEDULE_CHANGED, self._clock.now_us())
            self._unsettled = True

    def undecided_us(self, row: int) -> int:
        """The schedule's first occurrence that is not armed yet, whether in the timeline or in a round under way; or NEVER."""
        return self._in_hand.get(row, self._timeline.next_of(row))

    async def run(self) -> None:
        """Plan until cancelled."""
        try:
            while True:
                started_us = self._clock.now_us()
                await self.run_once(started_us)
                first_us = self._timeline.peek_us()
                if first_us == NEVER or self._stopped or self._full():
                    self._alarm.set(None if first_us == NEVER else started_us + self._interval_us)
                else:
                    self._alarm.set(max(first_us - self._horizon_us, started_us + self._interval_us))
                await self._alarm.wait()
        finally:
            self._alarm.close()

    async def run_once(self, now_us: int) -> int:
        """Decide and arm what comes due within the horizon; how many executions were armed."""
        if self._stopped or self._full():
            return 0
        if self._unsettled:
            self._unsettled = False
            await self._recorder.committed()  # As after a round.
        through_us = now_us + self._horizon_us
        self._changed.clear()
        due = self._timeline.pop_through(through_us, self._pace.schedules_at_once)
        if not due:
            return 0
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
                entries=(*decided.entries, *[run.entry(JournalKind.EXECUTION_ARMED, now_us) for run in decided.runs]),
                planned_through_us=mark_us,
            )
        )
        self.planned_through_us = mark_us
        self._in_hand = {}
        if self._hand_over(decided, armed):
            # What was taken back has to be gone before its occurrence can be armed again.
            await self._recorder.committed()
        return len(armed)

    def _full(self) -> bool:
        return self._dispatcher.waiting >= self._pace.runs_in_memory

    def _decide(
        self,
        decided: _Round,
        definitions: Mapping[int, Definition | StoredDataError],
        row: int,
        nominal_us: int,
        now_us: int,
    ) -> None:
        definition = definitions.get(row)
        if isinstance(definition, StoredDataError):
            self._keeper.quarantine(row, Reason.STORED_DATA, str(definition))
            return
        if definition is None or definition.schedule.state is not ScheduleState.ENABLED:
            return
        try:
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
        planned = plan(
            definition.rule,
            schedule.policies.catch_up,
            first_us=nominal_us,
            now_us=now_us,
            horizon_us=self._horizon_us,
            spread_us=schedule.when.spread.window // _MICROSECOND,
        )
        if schedule.policies.max_runs:
            planned = self._limited(definition, planned)
        decided.runs += [Run(armed_execution(definition, self._ids.new_id(), fire_us, now_us), definition) for fire_us in planned.fires]
        decided.entries += [missed_entry(schedule, range_, now_us) for range_ in planned.left_out]
        next_us = self._occasions.decided(schedule.row, planned.fires, planned.next_us)
        if next_us is None:
            decided.ended.append(definition)
        else:
            decided.following.append((schedule, next_us))

    def _limited(self, definition: Definition, planned: Plan) -> Plan:
        """The plan within what the schedule's limit of runs leaves.

        Those beyond are left out while earlier ones are unfinished: one of them may still turn out not to run.
        """
        left = self._endings.left(definition.schedule)
        if len(planned.fires) <= left:
            return planned
        fires, beyond = planned.fires[:left], planned.fires[left:]
        over = left_out(definition.rule, beyond[0], beyond[-1] + 1, Reason.MAX_RUNS)
        next_us = planned.next_us
        if self._endings.ran(definition.schedule.uid) >= definition.schedule.policies.max_runs:
            self._keeper.limit_reached(definition.schedule.row)
            over, next_us = (), None
        return replace(planned, fires=fires, left_out=planned.left_out + over, next_us=next_us)

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

    def _hand_over(self, decided: _Round, armed: frozenset[int]) -> bool:
        """Give what is durable to the dispatcher; whether some was taken back at once, because its schedule changed meanwhile.

        Such a schedule has its own, newer place in the timeline.
        """
        disarmed = False
        for run in decided.runs:
            if run.id not in armed:
                self._keeper.execution_finished(run.row)  # It was there already: nothing more will be heard of it.
            elif run.row in self._changed:
                self._recorder.disarmed(run, Reason.SCHEDULE_CHANGED, self._clock.now_us())
                disarmed = True
            else:
                self._dispatcher.add(run)
        for schedule, next_us in decided.following:
            if schedule.row not in self._changed:
                self._follow(schedule, self._occasions.earliest(schedule.row, next_us))
        for definition in decided.ended:
            if definition.schedule.row not in self._changed:
                self._follow(definition.schedule, self._occasions.earliest(definition.schedule.row, None))
        return disarmed

    def _follow(self, schedule: Schedule, next_us: int | None) -> None:
        if next_us is None:
            self._keeper.no_more_occurrences(schedule.row)
            return
        self._timeline.set(schedule.row, next_us)
        if not self._occasions.knows(schedule.row):
            self._housekeeper.timer_moved(schedule.row, schedule.generation)


def armed_execution(definition: Definition, execution_id: int, nominal_us: int, now_us: int, *, cause: Cause = Cause.SCHEDULE) -> Execution:
    """The execution of one occurrence; only a scheduled one is spread."""
    schedule = definition.schedule
    due = nominal_us
    if cause is Cause.SCHEDULE:
        due = due_us(schedule.when, definition.rule, seed=schedule.uid, nominal_us=nominal_us)
    return Execution(
        id=execution_id,
        schedule=schedule.name,
        schedule_row=schedule.row,
        schedule_uid=schedule.uid,
        generation=schedule.generation,
        cause=cause,
        nominal_us=nominal_us,
        due_us=due,
        armed_us=now_us,
    )


def missed_entry(
    schedule: Schedule,
    range_: LeftOut,
    now_us: int,
    *,
    kind: JournalKind = JournalKind.OCCURRENCES_MISSED,
    outcome: Outcome = Outcome.MISSED,
) -> JournalEntry:
    """The journal's one row for a range of occurrences that are not run."""
    return JournalEntry(
        time_us=now_us,
        kind=kind,
        schedule=schedule.name,
        schedule_row=schedule.row,
        schedule_uid=schedule.uid,
        outcome=outcome,
        reason=range_.reason,
        evidence={
            "first_us": range_.first_us,
            "last_us": range_.last_us,
            "count": range_.count,
            "counted": range_.counted,
        },
    )
