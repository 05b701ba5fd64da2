"""Recovery: from the store's rows to a running timeline.

After a crash at any moment nothing that was armed is lost, and nothing that was decided is decided again.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import structlog

from schedd.core.errors import ExpressionError, StoredDataError
from schedd.core.model.batch import NEVER_US, UNDECIDED_US, StoredWhen
from schedd.core.model.execution import Cause, ExecutionState, Survivor
from schedd.core.model.policy import CatchUpMode
from schedd.core.model.query import Comparison, Operator, Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.planning import misfire_reason
from schedd.core.ports import Clock, Store
from schedd.core.timeline import Timeline
from schedd.core.triggers import clockless, compile_when
from schedd.engine.adoption import Adoption, cut_off
from schedd.engine.almanac import Almanac
from schedd.engine.backfiller import Backfiller
from schedd.engine.definitions import Definition, Definitions
from schedd.engine.dispatcher import Dispatcher
from schedd.engine.keeper import Keeper
from schedd.engine.occasions import Occasions
from schedd.engine.planner import Pace, Planner
from schedd.engine.recorder import Recorder
from schedd.engine.runs import Run, Runs
from schedd.engine.zonewatch import ZoneWatch

_READ_AT_ONCE = 500

log = structlog.get_logger(__name__)


class Recovery:
    """Runs once, before the agents."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        timeline: Timeline,
        almanac: Almanac,
        definitions: Definitions,
        runs: Runs,
        planner: Planner,
        dispatcher: Dispatcher,
        recorder: Recorder,
        keeper: Keeper,
        occasions: Occasions,
        zone_watch: ZoneWatch,
        backfiller: Backfiller,
        adoption: Adoption,
        pace: Pace,
    ) -> None:
        self._store = store
        self._clock = clock
        self._timeline = timeline
        self._almanac = almanac
        self._definitions = definitions
        self._runs = runs
        self._planner = planner
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._keeper = keeper
        self._occasions = occasions
        self._zone_watch = zone_watch
        self._backfiller = backfiller
        self._adoption = adoption
        self._ended_now: set[int] = set()
        self._horizon_us = int(pace.horizon.total_seconds() * 1e6)

    async def run_once(self) -> None:
        """Fill the timeline and take up every unfinished execution; what that records is durable before anything is dispatched."""
        mark_us = await self._store.planned_through_us()
        self._planner.planned_through_us = mark_us
        await self._almanac.load()
        self._occasions.start(mark_us)
        self._dispatcher.gates.load(await self._store.shared_limits())
        self._backfiller.adopt(await self._store.running_backfills())
        await self._take_up_unfinished()
        await self._zone_watch.run_once(mark_us, mark_us - self._horizon_us)
        await self._fill_timeline(mark_us)
        await self._watch_pauses()
        await self._recorder.run_once()
        log.info("recovered", schedules=len(self._timeline), unfinished=len(self._runs))

    async def _take_up_unfinished(self) -> None:
        unfinished = await self._store.unfinished()
        await self._adoption.look(unfinished)
        definitions = await self._definitions.load({execution.schedule_row for execution in unfinished})
        for execution in unfinished:
            definition = definitions.get(execution.schedule_row)
            if isinstance(definition, Definition):
                run = Run(execution, definition, self._backfiller.overlap_of(execution))
                self._backfiller.took_up(run)
                self._take_up(run)
            else:
                detail = str(definition) if definition is not None else "its schedule is gone"
                self._recorder.abandoned(execution, Reason.STORED_DATA, self._clock.now_us(), detail)
        self._adoption.discard_rest()

    def _take_up(self, run: Run) -> None:
        """Dispatch what is armed or waits for a retry, adopt what still runs, and make again what was cut off."""
        now_us = self._clock.now_us()
        self._runs.add(run)
        survivor = self._adoption.of(run)
        if survivor is not None and not survivor.ended:
            self._adoption.take(run, survivor, now_us)
        elif survivor is not None or run.state is ExecutionState.RUNNING:
            self._cut_off(run, survivor, now_us)
        elif self._is_out_of_date(run):
            self._recorder.disarmed(run, Reason.SCHEDULE_CHANGED, now_us)
            return
        else:
            self._wait_or_miss(run, now_us)
        if not self._runs.holds(run):
            self._ended_now.add(run.row)

    def _cut_off(self, run: Run, survivor: Survivor | None, now_us: int) -> None:
        started_us = run.started_us if run.started_us is not None else now_us
        if survivor is not None:
            self._recorder.found(run, survivor.attempt, started_us)
        result = cut_off(run, survivor)
        self._recorder.attempted(run, result, started_us=started_us, now_us=now_us)
        self._dispatcher.interrupted(run, result, now_us)

    def _is_out_of_date(self, run: Run) -> bool:
        """Whether it was armed ahead of its time under an earlier definition; what was late already depends on none."""
        return run.state is ExecutionState.ARMED and run.execution.generation != run.definition.schedule.generation and not run.background

    def _wait_or_miss(self, run: Run, now_us: int) -> None:
        """What was armed and not started is a misfire if the daemon was away too long, and goes by the catch-up policy.

        What was taken up late already is away from then on; where the policy runs all misfires it goes on, as the rest of its range does.
        """
        execution, policy = run.execution, run.definition.schedule.policies.catch_up
        taken_up = run.background and policy.mode is CatchUpMode.ALL
        if run.state is ExecutionState.ARMED and execution.cause is Cause.SCHEDULE and not taken_up:
            since_us = max(execution.due_us, execution.armed_us)
            reason = misfire_reason(run.definition.rule, policy, nominal_us=execution.nominal_us, due_us=since_us, now_us=now_us)
            if reason is not None:
                self._recorder.finished(run, Outcome.MISSED, reason, now_us=now_us)
                return
        self._dispatcher.add(run)

    async def _fill_timeline(self, mark_us: int) -> None:
        timers = await self._store.timers()
        recent_us = mark_us - self._horizon_us
        stale: list[tuple[int, int]] = []
        rows, times_us = array("q"), array("q")
        for row, next_us, planned_from_us in zip(timers.rows, timers.next_us, timers.planned_from_us, strict=True):
            # The mark holds for all, but a schedule that changed when the mark was already ahead of it has its own.
            from_us = planned_from_us if planned_from_us > recent_us or next_us == UNDECIDED_US else mark_us
            if next_us == UNDECIDED_US:
                self._planner.schedule_changed(row, behind=True)
            # What a schedule's calendars come to may have changed meanwhile: public holidays do, with a newer edition of them.
            if next_us > from_us and next_us != NEVER_US and not self._almanac.uses_any(row):
                rows.append(row)
                times_us.append(next_us)
            else:
                stale.append((row, from_us))
        self._timeline.load(rows, times_us)
        for start in range(0, len(stale), _READ_AT_ONCE):
            await self._recompute(stale[start : start + _READ_AT_ONCE])

    async def _recompute(self, stale: Sequence[tuple[int, int]]) -> None:
        """Place schedules whose stored times are out of date: from their rules alone where that is enough, since few are used soon."""
        whens = await self._store.whens([row for row, _ in stale])
        wanting = [row for row, stored in whens.items() if isinstance(stored, StoredWhen) and self._wants_definition(row, stored)]
        definitions = await self._definitions.load(wanting)
        await self._enter_occasions([definition for definition in definitions.values() if isinstance(definition, Definition)])
        for row, from_us in stale:
            found = definitions.get(row) or whens.get(row)
            if found is None:
                continue
            try:
                next_us = _next_us(found, from_us)
            except (StoredDataError, ExpressionError) as error:
                self._keeper.quarantine(row, Reason.STORED_DATA, str(error))
                continue
            if next_us is None:
                self._keeper.no_more_occurrences(row)
            else:
                self._timeline.set(row, next_us)

    def _wants_definition(self, row: int, stored: StoredWhen) -> bool:
        """Whether the rule is more than what it is compiled from: calendars, or occasions that no clock yields."""
        try:
            return self._almanac.uses_any(row) or bool(clockless(stored.when))
        except ExpressionError:
            return False  # Compiling it says what is wrong.

    async def _enter_occasions(self, definitions: Sequence[Definition]) -> None:
        """What is no clock's: every schedule that has some is among those recomputed, for none of its times is stored."""
        kinds = {definition.schedule.row: clockless(definition.schedule.when) for definition in definitions}
        finished = await self._store.last_finishes([row for row, kind in kinds.items() if kind.delay is not None])
        now_us = self._clock.now_us()
        for definition in definitions:
            row = definition.schedule.row
            if kinds[row]:
                self._occasions.enter(definition.schedule, completed_us=now_us if row in self._ended_now else finished.get(row))

    async def _watch_pauses(self) -> None:
        paused = (Comparison(field="state", operator=Operator.EQUAL, value=ScheduleState.PAUSED),)
        after: tuple[str | int, ...] = ()
        while True:
            page = await self._store.find_schedules(paused, Order(field="name"), PageRequest(size=1000, after=after))
            schedules: Sequence[Schedule] = page.items
            for schedule in schedules:
                self._keeper.schedule_changed(schedule)
            after = page.after
            if not after:
                return


def _next_us(found: Definition | StoredWhen | StoredDataError, from_us: int) -> int | None:
    """The schedule's first occurrence after `from_us`. Raises: StoredDataError; ExpressionError."""
    match found:
        case StoredDataError():
            raise found
        case Definition():
            return found.rule.next_after(from_us)
        case StoredWhen():
            return compile_when(found.when, created_us=found.created_us, seed=found.uid).next_after(from_us)
