"""The engine as the use cases see it: start, change schedules, trigger and cancel runs, listen, drain, stop."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog

from schedd.core.breaker import BreakerPolicy, CircuitStanding
from schedd.core.clockjumps import Jump, JumpKind
from schedd.core.errors import PreconditionError, UnavailableError
from schedd.core.model.backfill import Backfill
from schedd.core.model.batch import ArmBatch, RequestMark, Retention
from schedd.core.model.deadletter import Redelivery
from schedd.core.model.execution import Cause, Execution, ExecutionState, Origin
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.policy import Overlap
from schedd.core.model.rendering import Rendering
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.model.target import Payload
from schedd.core.ports import Clock, CommitListener, Holidays, Ids, Store, Survivors, Target
from schedd.core.timeline import NEVER, Timeline
from schedd.engine.adoption import Adoption, NoSurvivors
from schedd.engine.almanac import Almanac, NoHolidays
from schedd.engine.arming import armed_execution
from schedd.engine.backfiller import Backfiller
from schedd.engine.backfilljournal import started_entry
from schedd.engine.calendars import CalendarRegistry
from schedd.engine.clockwatch import ClockWatch
from schedd.engine.definitions import Definition, Definitions
from schedd.engine.dispatcher import Dispatcher
from schedd.engine.endings import Endings
from schedd.engine.followups import FollowUps
from schedd.engine.housekeeper import Housekeeper
from schedd.engine.hub import Hub
from schedd.engine.inspector import Inspector
from schedd.engine.keeper import Keeper
from schedd.engine.limits import AttemptLimits
from schedd.engine.notifier import Notifier
from schedd.engine.occasions import Occasions
from schedd.engine.placing import Placing
from schedd.engine.planner import Pace, Planner
from schedd.engine.realignment import Realignment
from schedd.engine.recorder import Recorder
from schedd.engine.recovery import Recovery
from schedd.engine.registry import Registry
from schedd.engine.revival import Revival
from schedd.engine.runs import Run, Runs
from schedd.engine.undertakings import Undertakings
from schedd.engine.zonewatch import MovedSchedules, ZoneWatch

_LAST_WORDS = timedelta(seconds=3)
"""How long a store that refuses to write is asked again at the end."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The engine's own settings; without `breaker` no host's circuit ever opens."""

    pace: Pace = Pace()
    limits: AttemptLimits = AttemptLimits()
    breaker: BreakerPolicy | None = BreakerPolicy()
    retention: Retention = Retention()
    record_linger: timedelta = timedelta(milliseconds=20)
    definitions_kept: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """The engine's own figures, as of now. `executions` counts the unfinished ones by state, `circuits` are the breakers that are not
    closed.

    `next_nominal_us` is None when nothing is planned, `lateness_p99_us` before the first fire.
    """

    scheduled: int
    executions: Mapping[ExecutionState, int]
    circuits: tuple[CircuitStanding, ...]
    recorder_backlog: int
    planned_through_us: int
    next_nominal_us: int | None
    lateness_p99_us: int | None
    moved: MovedSchedules
    draining: bool


class Engine:
    """Wires the agents together. Built on the running loop; `recover()`, then `run()` in a task; `drain()`, cancel it, `close()`."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        targets: Mapping[type, Target],
        settings: EngineSettings,
        holidays: Holidays | None = None,
        survivors: Survivors | None = None,
        draw: random.Random | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self.ids = ids
        self._draining = False
        self._survivors = survivors if survivors is not None else NoSurvivors()
        self.hub = Hub()
        store.listen(self.hub.publish)
        self.runs = Runs()
        self._undertakings = Undertakings()
        self.timeline = Timeline()
        self.almanac = Almanac(store, clock, holidays if holidays is not None else NoHolidays())
        self.occasions = Occasions(clock, self.runs, self.timeline, self.almanac)
        self.definitions = Definitions(store, self.almanac, self.occasions, capacity=settings.definitions_kept)
        self.recorder = Recorder(store, self.runs, clock, self._undertakings, linger=settings.record_linger)
        self.clock_watch = ClockWatch(clock, self.recorder)
        self.keeper = Keeper(store=store, clock=clock, runs=self.runs, occasions=self.occasions, definitions=self.definitions)
        self.endings = Endings(self.runs, self.recorder, self.keeper, self.timeline)
        self.dispatcher = Dispatcher(
            clock=clock,
            clock_watch=self.clock_watch,
            runs=self.runs,
            recorder=self.recorder,
            keeper=self.keeper,
            endings=self.endings,
            definitions=self.definitions,
            targets=targets,
            survivors=self._survivors,
            limits=settings.limits,
            breaker=settings.breaker,
            draw=draw if draw is not None else random.Random(),
        )
        self.notifier = Notifier(store=store, clock=clock, recorder=self.recorder, targets=targets, timeout=settings.limits.http_timeout)
        self.recorder.connect(
            FollowUps(store=store, ids=ids, definitions=self.definitions, dispatcher=self.dispatcher, notifier=self.notifier)
        )
        self.backfiller = Backfiller(
            store=store,
            clock=clock,
            ids=ids,
            definitions=self.definitions,
            dispatcher=self.dispatcher,
            runs=self.runs,
            recorder=self.recorder,
            keeper=self.keeper,
            undertakings=self._undertakings,
            waiting_at_once=settings.pace.late_in_memory,
        )
        self.dispatcher.connect(self.backfiller.wake)
        self.housekeeper = Housekeeper(store, clock, self.timeline, settings.retention)
        self.placing = Placing(store=store, timeline=self.timeline, almanac=self.almanac, definitions=self.definitions, keeper=self.keeper)
        self.revival = Revival(store, self.almanac)
        self.realignment = Realignment(
            store=store,
            clock=clock,
            timeline=self.timeline,
            almanac=self.almanac,
            definitions=self.definitions,
            runs=self.runs,
            occasions=self.occasions,
            placing=self.placing,
            revival=self.revival,
        )
        self.planner = Planner(
            store=store,
            clock=clock,
            ids=ids,
            timeline=self.timeline,
            definitions=self.definitions,
            runs=self.runs,
            dispatcher=self.dispatcher,
            keeper=self.keeper,
            endings=self.endings,
            recorder=self.recorder,
            housekeeper=self.housekeeper,
            occasions=self.occasions,
            clock_watch=self.clock_watch,
            realignment=self.realignment,
            backfiller=self.backfiller,
            pace=settings.pace,
        )
        self.zone_watch = ZoneWatch(store=store, clock=clock, almanac=self.almanac, definitions=self.definitions, keeper=self.keeper)
        self.registry = Registry(
            store=store,
            clock=clock,
            timeline=self.timeline,
            almanac=self.almanac,
            definitions=self.definitions,
            runs=self.runs,
            planner=self.planner,
            dispatcher=self.dispatcher,
            keeper=self.keeper,
            occasions=self.occasions,
            zone_watch=self.zone_watch,
            endings=self.endings,
            ids=ids,
            undertakings=self._undertakings,
            backfiller=self.backfiller,
        )
        self.calendars = CalendarRegistry(
            store=store,
            clock=clock,
            almanac=self.almanac,
            registry=self.registry,
            runs=self.runs,
            dispatcher=self.dispatcher,
            endings=self.endings,
            undertakings=self._undertakings,
            zone_watch=self.zone_watch,
        )
        self.keeper.connect(
            changes=self.registry,
            end_pause=self._end_pause,
            wake_planner=self.planner.wake,
            committed=self.recorder.committed,
            pressed=lambda: self.dispatcher.gates.pressed,
        )
        self.revival.connect(self.registry.change)
        self.clock_watch.connect(self._clock_jumped, self.planner.wake)
        self._inspector = Inspector(store, clock, self.keeper)
        self._pace = settings.pace

    async def recover(self) -> None:
        """Load the store into memory. Nothing fires before `run`."""
        recovery = Recovery(
            store=self._store,
            clock=self._clock,
            timeline=self.timeline,
            almanac=self.almanac,
            definitions=self.definitions,
            runs=self.runs,
            planner=self.planner,
            dispatcher=self.dispatcher,
            recorder=self.recorder,
            keeper=self.keeper,
            occasions=self.occasions,
            zone_watch=self.zone_watch,
            realignment=self.realignment,
            placing=self.placing,
            revival=self.revival,
            housekeeper=self.housekeeper,
            backfiller=self.backfiller,
            adoption=Adoption(self._survivors, self.recorder, self.dispatcher.attempts),
            pace=self._pace,
        )
        self.endings.load(await self._store.run_counts())
        await self.notifier.load()
        await recovery.run_once()

    async def run(self) -> None:
        """Run every agent until cancelled. An agent that fails ends them all: the daemon ends, and starts again from what is durable."""
        async with asyncio.TaskGroup() as agents:
            for agent in (
                self.recorder,
                self.keeper,
                self.dispatcher,
                self.planner,
                self.notifier,
                self.backfiller,
                self.housekeeper,
                self.clock_watch,
                self.calendars,
            ):
                agents.create_task(agent.run(), name=type(agent).__name__)
            agents.create_task(self._inspector.run(), name="Inspector")

    async def drain(self, patience: timedelta) -> None:
        """Arm and start nothing more; return when no attempt is under way, or when `patience` has run out."""
        self._draining = True
        self.planner.stop()
        self.backfiller.stop()
        try:
            async with asyncio.timeout(patience.total_seconds()):
                await self.dispatcher.drain()
        except TimeoutError:
            pass

    async def close(self) -> None:
        """After `run` has ended: commit what its end recorded, and the timers, so that the next start is quick.

        A store that refuses to write keeps nobody waiting: what is not recorded is told to the log.
        """
        await self._undertakings.ended()
        if not await self.recorder.finish(_LAST_WORDS):
            return
        try:
            await self.housekeeper.save_timers()
            await self._note(JournalKind.DAEMON_STOPPED)
        except UnavailableError as error:
            log.error("end_not_recorded", reason=error.reason, detail=str(error))

    async def trigger(
        self,
        schedule: Schedule,
        *,
        actor: str,
        overlap: Overlap | None = None,
        payload: Payload | None = None,
        request: RequestMark | None = None,
    ) -> Execution:
        """Run a schedule now, whatever its rule says; the execution is durable when this returns.

        `overlap` and `payload` take the place of the schedule's own.
        A request seen before gives its first answer's execution. Raises: UnavailableError; PreconditionError; ConflictError.
        """
        self.must_be_open()
        run = await self._manual_run(schedule, Origin(actor=actor, overlap=overlap, payload=payload))
        entry = run.entry(JournalKind.EXECUTION_ARMED, run.execution.armed_us, actor=actor)
        batch = ArmBatch(executions=(run.execution,), entries=(entry,), request=request)
        armed = await self._undertakings.see_through(self._armed(run, batch))
        if run.id in armed:
            return run.execution
        for first_id in armed:
            return await self._store.execution(first_id)
        raise PreconditionError(
            "schedule", str(schedule.name), reason="TRIGGERED_ALREADY", description="was triggered in this very microsecond"
        )

    async def _armed(self, run: Run, batch: ArmBatch) -> frozenset[int]:
        armed = await self._store.arm(batch)
        if run.id in armed:
            self.dispatcher.add(run)
        return armed

    async def rendered(self, schedule: Schedule, *, payload: Payload | None = None) -> Rendering:
        """What `trigger` would send. Raises: PreconditionError (UNREADABLE, NOT_RENDERED)."""
        run = await self._manual_run(schedule, Origin(payload=payload))
        run.attempt = 1
        rendering = self.dispatcher.attempts.rendered(run)
        if rendering is None:
            description = "what it sends cannot be rendered: a template of it gives no valid URL or header"
            raise PreconditionError("schedule", str(schedule.name), reason="NOT_RENDERED", description=description)
        return rendering

    async def _manual_run(self, schedule: Schedule, origin: Origin) -> Run:
        definition = (await self.definitions.load([schedule.row])).get(schedule.row)
        if not isinstance(definition, Definition):
            raise PreconditionError("schedule", str(schedule.name), reason="UNREADABLE", description=f"cannot be run: {definition}")
        now_us = self._clock.now_us()
        execution = armed_execution(definition, self.ids.new_id(), now_us, now_us, cause=Cause.MANUAL)
        return Run(execution._replace(origin=origin), definition)

    async def cancel(self, execution_id: int, *, actor: str, note: str = "") -> bool:
        """End an unfinished execution; returns when its end is durable. False: it was finished already. `note` says why."""
        run = self.runs.get(execution_id)
        if run is None:
            await self.recorder.committed()
            return False
        if run.finished is None:
            run.finished = asyncio.get_running_loop().create_future()
        self.dispatcher.cancel(run, actor, note=note)
        await asyncio.shield(run.finished)
        return True

    async def backfill(self, backfill: Backfill, *, request: RequestMark | None = None) -> Backfill:
        """Have a range of past occurrences worked off; it is durable when this returns.

        A request seen before gives its first answer's backfill as it stands now. Raises: UnavailableError; ConflictError.
        """
        self.must_be_open()
        return await self._undertakings.see_through(self._started(backfill, request))

    async def _started(self, backfill: Backfill, request: RequestMark | None) -> Backfill:
        stored = await self._store.create_backfill(backfill, started_entry(backfill), request=request)
        if stored is backfill:
            self.backfiller.adopt([backfill])
        return stored

    async def redeliver(self, execution: Execution, *, actor: str, request: RequestMark | None = None) -> None:
        """Take up a finished execution again: its next attempt is due now, and durable when this returns.

        A request seen before changes nothing.
        Raises: UnavailableError; NotFoundError; PreconditionError (NOT_FINISHED, DELETED, UNREADABLE); ConflictError.
        """
        self.must_be_open()
        await self.recorder.committed()
        before = await self._store.execution(execution.id)
        definition = (await self.definitions.load([before.schedule_row])).get(before.schedule_row)
        if not isinstance(definition, Definition):
            raise PreconditionError("schedule", str(before.schedule), reason="UNREADABLE", description=f"cannot be run: {definition}")
        if definition.schedule.state is ScheduleState.DELETED:
            raise PreconditionError("schedule", str(before.schedule), reason="DELETED", description="is deleted; restore it first")
        now_us = self._clock.now_us()
        again = before._replace(
            state=ExecutionState.WAITING_RETRY,
            outcome=None,
            finished_us=None,
            next_attempt_us=now_us,
            attempts_before=before.attempt,
            redelivered_us=now_us,
        )
        run = Run(again, definition)
        entry = run.entry(JournalKind.EXECUTION_REDELIVERED, now_us, actor=actor)
        redelivery = Redelivery(execution_id=run.id, now_us=now_us, entry=entry, request=request)
        await self._undertakings.see_through(self._redelivered(run, redelivery))

    async def _redelivered(self, run: Run, redelivery: Redelivery) -> None:
        if await self._store.redeliver(redelivery):
            self.dispatcher.add(run)

    def must_be_open(self) -> None:
        """Raises: UnavailableError (DRAINING) once the daemon is on its way down."""
        if self._draining:
            raise UnavailableError(reason="DRAINING", description="the daemon is shutting down; try again when it is back")

    def next_nominal_us(self, row: int) -> int | None:
        """The schedule's next nominal time that is not armed yet, or that of what is armed already; None: there is none."""
        armed = [run.execution.nominal_us for run in self.runs.of_schedule(row) if run.state == "ARMED" and not run.background]
        first_us = self.planner.undecided_us(row)
        times = armed + ([first_us] if first_us != NEVER else [])
        return min(times) if times else None

    def listen(self, listener: CommitListener) -> Callable[[], None]:
        """Be handed every committed batch of journal entries, in order; the answer ends it."""
        return self.hub.listen(listener)

    def status(self) -> EngineStatus:
        """The engine's figures."""
        first_us = self.timeline.peek_us()
        return EngineStatus(
            scheduled=len(self.timeline),
            circuits=self.dispatcher.gates.circuits(self._clock.now_us()),
            executions=Counter(run.state for run in self.runs),
            recorder_backlog=self.recorder.backlog,
            planned_through_us=self.planner.planned_through_us,
            next_nominal_us=None if first_us == NEVER else first_us,
            lateness_p99_us=self.recorder.lateness.p99_us(),
            moved=self.zone_watch.moved,
            draining=self._draining,
        )

    async def _end_pause(self, paused: Schedule, entry: JournalEntry, until_us: int) -> None:
        await self.registry.resume(paused, entry, until_us=until_us)

    def _clock_jumped(self, jump: Jump, now_us: int) -> None:
        self.dispatcher.clock_jumped(jump, now_us)
        if jump.kind is JumpKind.STEP:
            self.housekeeper.time_leapt(jump.by_us)

    async def _note(self, kind: JournalKind) -> None:
        await self._store.append([JournalEntry(time_us=self._clock.now_us(), kind=kind)])
