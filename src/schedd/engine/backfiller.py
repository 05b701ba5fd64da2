"""The backfiller: works ranges of past occurrences off, piece by piece: what somebody asked for, and the backlogs of catch-up policies.

Each step's executions and the place that the range has then come to are one commit: after a crash it goes on right there. Its executions
run in the background, at a bounded pace, and few of a range at a time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice

import structlog

from schedd.core.backfilling import Step, step
from schedd.core.errors import UnavailableError
from schedd.core.model.backfill import Backfill, BackfillEnd, BackfillStep
from schedd.core.model.batch import ArmBatch
from schedd.core.model.execution import Cause, Execution, Origin
from schedd.core.model.journal import DAEMON, JournalEntry, JournalKind
from schedd.core.model.policy import Overlap
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import ScheduleState
from schedd.core.model.unreadable import StoredSchedule
from schedd.core.ports import Clock, Ids, Store
from schedd.core.triggers import Rule
from schedd.engine.backfilljournal import armed_evidence, cancelled_end, finished_end, run_before_entry
from schedd.engine.definitions import Definition, Definitions
from schedd.engine.dispatcher import Dispatcher
from schedd.engine.keeper import Keeper
from schedd.engine.recorder import Recorder
from schedd.engine.runs import Run, Runs
from schedd.engine.undertakings import Undertakings

UNFINISHED_AT_ONCE = 32
"""Of one range. Those that may not overlap wait for each other, and are in nobody else's way."""

ARMED_AT_ONCE = 10_000
"""Nothing is armed while as many executions wait, for their time or for a retry."""

RANGES_AT_ONCE = 100
"""A round; the others have their turn in the next one."""

_HORIZON_US = 500_000
_INTERVAL_US = 50_000
_FULL_US = 1_000_000
_LINGER = timedelta(milliseconds=5)
_REFUSED_WAIT = timedelta(seconds=1)

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True, eq=False)
class _Range:
    """A range under way: how far it is, what of it is unfinished, and the definition that it was last worked off under."""

    backfill: Backfill
    unfinished: set[int] = field(default_factory=set)
    definition: Definition | None = None

    @property
    def rule(self) -> Rule | None:
        """The rule of that definition."""
        return None if self.definition is None else self.definition.rule

    @property
    def decided(self) -> bool:
        """Whether nothing of it is left to be armed."""
        return self.backfill.next_us is None or self.backfill.left == 0


@dataclass(slots=True)
class _Round:
    """What one round arms, and which ranges end with it."""

    runs: list[tuple[_Range, Run]] = field(default_factory=list)
    entries: list[JournalEntry] = field(default_factory=list)
    steps: list[BackfillStep] = field(default_factory=list)
    stepped: list[tuple[_Range, Step]] = field(default_factory=list)
    ends: list[tuple[_Range, BackfillEnd]] = field(default_factory=list)
    wake_us: int | None = None
    is_full: bool = False
    """Whether there is room for no more executions."""

    def look_again(self, at_us: int) -> None:
        self.wake_us = at_us if self.wake_us is None else min(self.wake_us, at_us)


class Backfiller:
    """Arms what the ranges under way may have, and ends them when all is done.

    Nothing is armed while `waiting_at_once` executions wait for a slot of the background.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        definitions: Definitions,
        dispatcher: Dispatcher,
        runs: Runs,
        recorder: Recorder,
        keeper: Keeper,
        undertakings: Undertakings,
        waiting_at_once: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._definitions = definitions
        self._dispatcher = dispatcher
        self._runs = runs
        self._recorder = recorder
        self._keeper = keeper
        self._undertakings = undertakings
        self._waiting_at_once = waiting_at_once
        self._alarm = clock.alarm()
        self._ranges: OrderedDict[int, _Range] = OrderedDict()
        self._by_row: dict[int, dict[int, _Range]] = {}
        self._lock = asyncio.Lock()
        self._stopped = False

    @property
    def asked_for(self) -> int:
        """How many backfills that somebody asked for are under way."""
        return sum(1 for range_ in self._ranges.values() if range_.backfill.cause is Cause.BACKFILL)

    def undecided(self, row: int) -> tuple[Backfill, ...]:
        """The ranges of one schedule of which something is left to be armed."""
        return tuple(range_.backfill for range_ in self._by_row.get(row, {}).values() if not range_.decided)

    def wake(self) -> None:
        """An execution of the background has ended, or a schedule has changed."""
        if self._ranges:
            self._alarm.ring()

    def stop(self) -> None:
        """Arm nothing more."""
        self._stopped = True

    def adopt(self, backfills: Iterable[Backfill], definition: Definition | None = None) -> None:
        """Take over ranges that are durable; `definition` is the one that they were made under, None: as it is now."""
        for backfill in backfills:
            range_ = _Range(backfill=backfill, definition=definition)
            self._ranges[backfill.id] = self._by_row.setdefault(backfill.schedule_row, {})[backfill.id] = range_
            self._runs.expect(backfill.schedule_row)
        self._alarm.ring()

    def overlap_of(self, execution: Execution) -> Overlap | None:
        """The overlap policy of a backfill's execution; None for any other."""
        if not execution.backfill:
            return None
        range_ = self._ranges.get(execution.backfill)
        return Overlap.BUFFER_ALL if range_ is None else range_.backfill.overlap

    def took_up(self, run: Run) -> None:
        """After a start, an execution is there that is not finished."""
        range_ = self._ranges.get(run.execution.backfill)
        if range_ is not None:
            range_.unfinished.add(run.id)

    async def run(self) -> None:
        """Work the ranges off until cancelled."""
        try:
            while True:
                self._alarm.set(await self.run_once(self._clock.now_us()))
                await self._alarm.wait()
                await self._clock.sleep(_LINGER)
        finally:
            self._alarm.close()

    async def run_once(self, now_us: int) -> int | None:
        """Arm what may start now, and end what is done; when to look again, None: as soon as something has ended or changed."""
        async with self._lock:
            if self._stopped or not self._ranges:
                return None
            chosen = list(islice(self._ranges.values(), RANGES_AT_ONCE))
            definitions = await self._definitions.load({range_.backfill.schedule_row for range_ in chosen})
            round_ = _Round()
            for range_ in chosen:
                definition = definitions.get(range_.backfill.schedule_row)
                if definition is None or isinstance(definition, Definition):
                    await self._see_to(round_, range_, definition, now_us)
                self._ranges.move_to_end(range_.backfill.id)
            await self._commit(round_)
            if round_.is_full:
                round_.look_again(now_us + _FULL_US)  # Most likely some of the background end sooner, and wake it.
            elif len(self._ranges) > len(chosen):
                round_.look_again(now_us + _INTERVAL_US)
            return round_.wake_us

    async def cancel(self, backfill_id: int, *, actor: str) -> bool:
        """End a range: what of it has not started is not run. False: it is not under way.

        It is durable when this returns; what had started runs on.
        """
        return await self._undertakings.see_through(self._cancel(backfill_id, actor))

    async def _cancel(self, backfill_id: int, actor: str) -> bool:
        async with self._lock:
            range_ = self._ranges.get(backfill_id)
            if range_ is None:
                return False
            row = range_.backfill.schedule_row
            definition = range_.definition or (await self._definitions.load([row])).get(row)
            range_.definition = definition if isinstance(definition, Definition) else None
            for run in [run for run in map(self._runs.get, range_.unfinished) if run is not None]:
                if run.attempt == 0 and run.task is None:
                    self._dispatcher.cancel(run, actor)
            await self._recorder.committed()
            await self._end(range_, cancelled_end(range_.backfill, range_.rule, Reason.CANCELLED, actor, self._clock.now_us()))
            return True

    @asynccontextmanager
    async def ending_with(self, before: StoredSchedule, after: StoredSchedule) -> AsyncIterator[tuple[BackfillEnd, ...]]:
        """The ends of a schedule's ranges that are to be committed with a change of it; nothing is worked off meanwhile.

        `forget` them when they are durable.
        """
        reason = _ends_with(before, after)
        if reason is None or before.row not in self._by_row:
            yield ()
            return
        async with self._lock:
            found = (await self._definitions.load([before.row])).get(before.row)
            now_us, ends = self._clock.now_us(), []
            for range_ in self._by_row.get(before.row, {}).values():
                if range_.definition is None and isinstance(found, Definition):
                    range_.definition = found
                ends.append(cancelled_end(range_.backfill, range_.rule, reason, DAEMON, now_us))
            yield tuple(ends)

    def forget(self, ends: Iterable[BackfillEnd]) -> None:
        """These ranges have ended."""
        for end in ends:
            if (range_ := self._ranges.get(end.id)) is not None:
                self._forget(range_)

    async def _see_to(self, round_: _Round, range_: _Range, definition: Definition | None, now_us: int) -> None:
        try:
            await self._look_at(round_, range_, definition, now_us)
        except UnavailableError:
            raise
        except Exception as error:  # One schedule's unforeseen fault must not stop the others; what is left of the range ends with it.
            log.exception("backfill_failed", schedule=str(range_.backfill.schedule))
            text = f"planning failed: {type(error).__name__}: {error}"
            self._keeper.quarantine(range_.backfill.schedule_row, Reason.UNFORESEEN, text)
            round_.ends.append((range_, cancelled_end(range_.backfill, range_.rule, Reason.UNFORESEEN, DAEMON, now_us)))

    async def _look_at(self, round_: _Round, range_: _Range, definition: Definition | None, now_us: int) -> None:
        """Decide about one range. A definition of None: there is no such schedule any more."""
        backfill = range_.backfill
        reason = _ended_by(range_, definition)
        if definition is None or reason is not None:
            round_.ends.append((range_, cancelled_end(range_.backfill, range_.rule, reason or Reason.DELETED, DAEMON, now_us)))
            return
        range_.definition = definition
        if backfill.cause is Cause.SCHEDULE and definition.schedule.state not in (ScheduleState.ENABLED, ScheduleState.COMPLETED):
            return  # It goes on when the schedule does.
        range_.unfinished = {execution_id for execution_id in range_.unfinished if self._runs.get(execution_id) is not None}
        if not range_.decided:
            await self._take(round_, range_, definition, now_us)
        elif not range_.unfinished or backfill.cause is Cause.SCHEDULE:
            round_.ends.append((range_, finished_end(range_.backfill, definition.rule, now_us)))

    async def _take(self, round_: _Round, range_: _Range, definition: Definition, now_us: int) -> None:
        """Arm the next occurrences of a range, as many as there is room for."""
        backfill = range_.backfill
        dispatcher, armed = self._dispatcher, len(round_.runs)
        waiting = min(self._waiting_at_once - dispatcher.gates.background_waiting, ARMED_AT_ONCE - dispatcher.waiting) - armed
        room = min(UNFINISHED_AT_ONCE - len(range_.unfinished), waiting)
        if room <= 0 or dispatcher.gates.crowded(definition, self._waiting_at_once - armed):
            round_.is_full |= room > 0 or waiting <= 0
            return
        taken = step(definition.rule, backfill, room=room, now_us=now_us, horizon_us=_HORIZON_US)
        known = await self._run_before(round_, backfill, taken)
        for fire in taken.fires:
            if fire.nominal_us not in known:
                execution = self._execution(backfill, definition, fire.nominal_us, fire.due_us, now_us)
                overlap = backfill.overlap if backfill.cause is Cause.BACKFILL else None
                round_.runs.append((range_, Run(execution, definition, overlap)))
        if known:
            round_.entries.append(run_before_entry(backfill, sorted(known), now_us))
        if taken.fires or taken.next_us != backfill.next_us:
            round_.steps.append(BackfillStep(backfill.id, taken.next_us, taken.left, taken.paced_us, len(known)))
            round_.stepped.append((range_, taken))
        round_.look_again(max(taken.paced_us - _HORIZON_US, now_us + _INTERVAL_US))

    async def _run_before(self, round_: _Round, backfill: Backfill, taken: Step) -> frozenset[int]:
        """The occurrences of a step that another backfill has run, is running, or arms in this round: an occurrence is unique."""
        if backfill.cause is not Cause.BACKFILL or not taken.fires:
            return frozenset()
        first_us, last_us = taken.fires[0].nominal_us, taken.fires[-1].nominal_us
        known = await self._store.backfilled(backfill.schedule_uid, first_us=first_us, last_us=last_us)
        if len(self._by_row[backfill.schedule_row]) > 1:
            known |= {run.execution.nominal_us for other, run in round_.runs if _is_sibling(other.backfill, backfill)}
        return known & {fire.nominal_us for fire in taken.fires}

    async def _commit(self, round_: _Round) -> None:
        if round_.steps:
            entries = [
                run.entry(
                    JournalKind.EXECUTION_ARMED,
                    run.execution.armed_us,
                    actor=run.execution.origin.actor if run.execution.origin is not None else DAEMON,
                    evidence=armed_evidence(run),
                )
                for _, run in round_.runs
            ]
            executions = tuple(run.execution for _, run in round_.runs)
            armed = await self._arm(ArmBatch(executions=executions, entries=(*round_.entries, *entries), steps=tuple(round_.steps)))
            for range_, taken in round_.stepped:
                range_.backfill = replace(range_.backfill, next_us=taken.next_us, left=taken.left, paced_us=taken.paced_us)
            for range_, run in round_.runs:
                if run.id in armed:
                    range_.unfinished.add(run.id)
                    self._dispatcher.add(run)
            for range_, taken in round_.stepped:
                if taken.next_us is None and range_.backfill.cause is Cause.SCHEDULE:
                    self._forget(range_)
        for range_, end in round_.ends:
            await self._end(range_, end)
        if any(range_.decided for range_, _ in round_.stepped):
            self._alarm.ring()

    async def _arm(self, batch: ArmBatch) -> frozenset[int]:
        while True:
            try:
                return await self._store.arm(batch)
            except UnavailableError as error:
                log.error("backfill_refused", reason=error.reason, detail=str(error), executions=len(batch.executions))
                await self._clock.sleep(_REFUSED_WAIT)

    async def _end(self, range_: _Range, end: BackfillEnd) -> None:
        while True:
            try:
                await self._recorder.committed()
                await self._store.end_backfill(end)
            except UnavailableError as error:
                log.error("backfill_refused", reason=error.reason, detail=str(error), executions=0)
                await self._clock.sleep(_REFUSED_WAIT)
            else:
                break
        self._forget(range_)

    def _forget(self, range_: _Range) -> None:
        """Nothing more comes of a range."""
        siblings = self._by_row[range_.backfill.schedule_row]
        del self._ranges[range_.backfill.id], siblings[range_.backfill.id]
        if not siblings:
            del self._by_row[range_.backfill.schedule_row]
        self._runs.expect_no_more(range_.backfill.schedule_row)
        self._keeper.execution_finished(range_.backfill.schedule_row)

    def _execution(self, backfill: Backfill, definition: Definition, nominal_us: int, due_us: int, now_us: int) -> Execution:
        """A catch-up's execution has the due time that it missed, so that it is known for late; a backfill's is due in its turn."""
        schedule, asked_for = definition.schedule, backfill.cause is Cause.BACKFILL
        return Execution(
            id=self._ids.new_id(),
            schedule=schedule.name,
            schedule_row=schedule.row,
            schedule_uid=schedule.uid,
            generation=schedule.generation,
            cause=backfill.cause,
            nominal_us=nominal_us,
            due_us=due_us if asked_for else nominal_us,
            armed_us=now_us,
            backfill=backfill.id if asked_for else 0,
            origin=Origin(actor=backfill.actor, overlap=backfill.overlap) if backfill.actor and not asked_for else None,
        )


def _is_sibling(one: Backfill, other: Backfill) -> bool:
    return one.schedule_uid == other.schedule_uid and one.cause is other.cause


def _ended_by(range_: _Range, definition: Definition | None) -> Reason | None:
    """Why a range cannot go on that was made while its schedule changed; None: it can."""
    if definition is None or definition.schedule.uid != range_.backfill.schedule_uid:
        return Reason.DELETED
    before = range_.definition.schedule if range_.definition is not None else definition.schedule
    return _ends_with(before, definition.schedule)


def _ends_with(before: StoredSchedule, after: StoredSchedule) -> Reason | None:
    """Why the ranges of a schedule end with a change of it; None: they go on."""
    if after.state is ScheduleState.DELETED:
        return Reason.DELETED
    return Reason.SCHEDULE_CHANGED if before.when != after.when else None
