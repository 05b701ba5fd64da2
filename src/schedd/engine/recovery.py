"""Recovery: from the store's rows to a running timeline.

After a crash at any moment nothing that was armed is lost, and nothing that was decided is decided again.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

import structlog

from schedd.core.clockjumps import TOLERANCE_US, Jump, JumpKind
from schedd.core.model.batch import NEVER_US, UNDECIDED_US
from schedd.core.model.execution import Cause, ExecutionState, Survivor
from schedd.core.model.journal import DAEMON, JournalEntry, JournalKind
from schedd.core.model.query import Comparison, Operator, Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.planning import LeftOut
from schedd.core.ports import Clock, Store
from schedd.core.timeline import Timeline
from schedd.core.triggers import clockless
from schedd.engine.adoption import Adoption, cut_off
from schedd.engine.almanac import Almanac
from schedd.engine.backfiller import Backfiller
from schedd.engine.clockwatch import is_step_back, jump_entry
from schedd.engine.definitions import Definition, Definitions
from schedd.engine.dispatcher import Dispatcher
from schedd.engine.housekeeper import Housekeeper
from schedd.engine.keeper import Keeper
from schedd.engine.misfires import misfire_of
from schedd.engine.occasions import Occasions
from schedd.engine.placing import Placing
from schedd.engine.planner import Pace, Planner
from schedd.engine.ranges import omitted_entries
from schedd.engine.realignment import Realignment, set_back_to
from schedd.engine.recorder import Recorder
from schedd.engine.revival import Revival
from schedd.engine.runs import Run, Runs, awaits_its_instant
from schedd.engine.zonewatch import ZoneWatch

_LOOKED_AT: Final = 100
"""How many journal entries say what the clock was at last: what was on its way when it was set back may have come in between."""

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
        realignment: Realignment,
        placing: Placing,
        revival: Revival,
        housekeeper: Housekeeper,
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
        self._realignment = realignment
        self._placing = placing
        self._revival = revival
        self._housekeeper = housekeeper
        self._backfiller = backfiller
        self._adoption = adoption
        self._ended_now: set[int] = set()
        self._horizon_us = int(pace.horizon.total_seconds() * 1e6)

    async def run_once(self) -> None:
        """Fill the timeline and take up every unfinished execution; what that records is durable before anything is dispatched."""
        mark_us, is_set_back = await self._set_back(await self._store.planned_through_us())
        # Before all that the recovery records: what is before it is the last sign of life of the daemon before.
        await self._store.append([JournalEntry(time_us=self._clock.now_us(), kind=JournalKind.DAEMON_STARTED)])
        self._planner.planned_through_us = mark_us
        await self._almanac.load()
        self._occasions.start(mark_us)
        self._dispatcher.gates.load(await self._store.shared_limits())
        self._backfiller.adopt(await self._store.running_backfills())
        await self._take_up_unfinished(is_set_back=is_set_back)
        await self._zone_watch.run_once(mark_us, mark_us - self._horizon_us)
        await self._fill_timeline(mark_us)
        await self._watch_pauses()
        if is_set_back:
            await self._revival.run_once(self._clock.now_us())
        await self._recorder.run_once()
        log.info("recovered", schedules=len(self._timeline), unfinished=len(self._runs))

    async def _set_back(self, mark_us: int) -> tuple[int, bool]:
        """Whether the clock was set back while no daemon ran, and the mark: where the stored one lies ahead, all that is stored follows."""
        now_us = self._clock.now_us()
        newest = await self._store.journal(after=0, limit=_LOOKED_AT, descending=True)
        latest = takewhile(lambda entry: not is_step_back(entry), newest)
        # The mark is a horizon ahead of what the clock said then.
        ahead_us = max([mark_us - self._horizon_us, *(entry.time_us for entry in latest)]) - now_us
        if ahead_us <= TOLERANCE_US:
            if newest:
                self._housekeeper.time_leapt(-ahead_us)
            return mark_us, False
        entry = jump_entry(Jump(JumpKind.STEP, -ahead_us, now_us), now_us, {"while_down": True, "at_least": True})
        takebacks = [
            execution for execution in await self._store.unfinished() if awaits_its_instant(execution) and execution.nominal_us > now_us
        ]
        mark_us = min(mark_us, now_us)
        await self._realignment.store_back(set_back_to(now_us, mark_us, ahead_us, (entry,), takebacks))
        return mark_us, True

    async def _take_up_unfinished(self, *, is_set_back: bool) -> None:
        unfinished = await self._store.unfinished()
        await self._adoption.look(unfinished)
        definitions = await self._definitions.load({execution.schedule_row for execution in unfinished})
        for execution in unfinished:
            definition = definitions.get(execution.schedule_row)
            if isinstance(definition, Definition):
                run = Run(execution, definition, self._backfiller.overlap_of(execution))
                if is_set_back and run.state is ExecutionState.WAITING_RETRY:
                    await self._retime(run)
                self._backfiller.took_up(run)
                self._take_up(run)
            else:
                detail = str(definition) if definition is not None else "its schedule is gone"
                self._recorder.abandoned(execution, Reason.STORED_DATA, self._clock.now_us(), detail)
        self._adoption.discard_rest()

    async def _retime(self, run: Run) -> None:
        """A retry waits at most as long as it was to wait when its last attempt had ended."""
        now_us = self._clock.now_us()
        attempts = await self._store.attempts(run.id)
        ended_us = max([run.execution.redelivered_us or 0, *(attempt.finished_us for attempt in attempts)])
        if run.wake_us > now_us and ended_us > now_us:
            run.wake_us = now_us + max(0, run.wake_us - ended_us)
            self._recorder.retimed(run)

    def _take_up(self, run: Run) -> None:
        """Dispatch what is armed or waits for a retry, adopt what still runs, and make again what was cut off."""
        now_us = self._clock.now_us()
        self._runs.add(run)
        survivor = self._adoption.of(run)
        if survivor is not None and not survivor.ended:
            self._adoption.take(run, survivor, now_us)
        elif survivor is not None or run.state is ExecutionState.RUNNING:
            self._cut_off(run, survivor, now_us)
        elif run.definition.schedule.state is ScheduleState.DELETED:
            self._dispatcher.cancel(run, DAEMON, Reason.DELETED)
        elif self._is_out_of_date(run):
            self._recorder.disarmed(run, Reason.SCHEDULE_CHANGED, now_us)
            return
        else:
            self._wait_or_miss(run, now_us)
        if not self._runs.holds(run):
            self._ended_now.add(run.row)

    def _cut_off(self, run: Run, survivor: Survivor | None, now_us: int) -> None:
        started_us = min(run.started_us, now_us) if run.started_us is not None else now_us
        if survivor is not None:
            self._recorder.found(run, survivor.attempt, started_us)
        result = cut_off(run, survivor)
        self._recorder.attempted(run, result, started_us=started_us, now_us=now_us)
        self._dispatcher.attempts.interrupted(run, result, now_us)

    def _is_out_of_date(self, run: Run) -> bool:
        """Whether it was armed ahead of its time by the rule of an earlier definition, and its occurrence is that of the new one.

        What was late already depends on none; what was due when the schedule changed is not decided again.
        """
        execution, schedule = run.execution, run.definition.schedule
        is_ahead = run.state is ExecutionState.ARMED and _is_planned(run) and not run.background
        return is_ahead and execution.generation != schedule.generation and execution.nominal_us > schedule.planned_from_us

    def _wait_or_miss(self, run: Run, now_us: int) -> None:
        """What was armed and not started is a misfire if the daemon was away too long."""
        reason = misfire_of(run, now_us)
        if reason is not None:
            self._recorder.finished(run, Outcome.MISSED, reason, now_us=now_us)
        else:
            self._dispatcher.add(run)

    async def _fill_timeline(self, mark_us: int) -> None:
        await self._restore_timers()
        timers = await self._store.timers()
        recent_us = mark_us - self._horizon_us
        stale: list[tuple[int, int]] = []
        rows, times_us = array("q"), array("q")
        for row, next_us, planned_from_us in zip(timers.rows, timers.next_us, timers.planned_from_us, strict=True):
            # The mark holds for all, but a schedule that changed when the mark was already ahead of it has its own.
            from_us = planned_from_us if planned_from_us > recent_us or next_us == UNDECIDED_US else mark_us
            if next_us == UNDECIDED_US:
                self._planner.stands_behind(row)
            # What a schedule's calendars come to may have changed meanwhile: public holidays do, with a newer edition of them.
            if next_us > from_us and next_us != NEVER_US and not self._almanac.uses_any(row) and row not in self._ended_now:
                rows.append(row)
                times_us.append(next_us)
            else:
                stale.append((row, from_us))
        self._timeline.load(rows, times_us)
        await self._placing.run_once(stale, entering=self._enter_occasions)

    async def _restore_timers(self) -> None:
        """An enabled schedule that somebody has taken the timer from would never fire again, and nobody would know."""
        text = "its timer was missing from the store, and is found anew"
        entry = JournalEntry(
            time_us=self._clock.now_us(), kind=JournalKind.SCHEDULE_UPDATED, reason=Reason.STORED_DATA, evidence={"detail": text}
        )
        restored = await self._store.restore_timers(entry)
        if restored:
            log.error("timers_restored", count=restored)

    async def _enter_occasions(self, definitions: Sequence[Definition]) -> None:
        """What is no clock's: every schedule that has some is among those recomputed, for none of its times is stored."""
        kinds = {definition.schedule.row: clockless(definition.schedule.when) for definition in definitions}
        finished = await self._store.last_finishes([row for row, kind in kinds.items() if kind.delay is not None])
        now_us = self._clock.now_us()
        for definition in definitions:
            row = definition.schedule.row
            if kinds[row]:
                self._occasions.enter(definition.schedule, completed_us=now_us if row in self._ended_now else finished.get(row))
                self._tell_omitted_start(definition.schedule, now_us)

    def _tell_omitted_start(self, schedule: Schedule, now_us: int) -> None:
        at_us = self._occasions.omitted_start_us(schedule)
        if at_us is not None:
            omitted = LeftOut(first_us=at_us, last_us=at_us, count=1, counted=True, reason=Reason.EXCLUDED)
            for entry in omitted_entries(schedule, [omitted], self._almanac.calendars, now_us):
                self._recorder.note(entry)

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


def _is_planned(run: Run) -> bool:
    """Whether it was armed by the rule alone, and not because somebody asked for it."""
    return run.execution.cause is Cause.SCHEDULE and run.execution.origin is None
