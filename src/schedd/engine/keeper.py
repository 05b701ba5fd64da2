"""The keeper: the changes of schedules that the engine makes by itself. It completes, deletes, quarantines and ends pauses."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Protocol

import structlog

from schedd.core.errors import ConflictError, ExpressionError, NotFoundError, StoredDataError, UnavailableError
from schedd.core.lifetime import failures_in_a_row
from schedd.core.model.execution import Execution, id_text
from schedd.core.model.journal import DAEMON, JournalEntry, JournalKind
from schedd.core.model.policy import AfterLastRun
from schedd.core.model.query import Comparison, Operator, Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Pause, Schedule, ScheduleState
from schedd.core.ports import Clock, Store
from schedd.engine.definitions import Definition, Definitions
from schedd.engine.occasions import Occasions
from schedd.engine.runs import Runs

_AT_ONCE = 256
_REFUSED_WAIT = timedelta(seconds=1)
_PRESSED_WAIT = timedelta(milliseconds=50)
_PRESSED_WAITS = 20
"""While runs wait for a slot, schedules that are over are completed no faster than _AT_ONCE a second."""


class Changes(Protocol):
    """What the keeper asks of the registry."""

    async def change(self, before: Schedule, after: Schedule, *entries: JournalEntry) -> Schedule:
        """See `Registry.change`."""

    async def complete(self, ended: Sequence[tuple[Schedule, JournalEntry]]) -> None:
        """See `Registry.complete`."""

    async def quarantine(self, row: int, entry: JournalEntry, seen: int | None) -> None:
        """See `Registry.quarantine`."""


EndPause = Callable[[Schedule, JournalEntry, int], Awaitable[None]]
"""Ends a pause at the instant that it was to end by itself (`Registry.resume`)."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    reason: Reason
    text: str


class Keeper:
    """Collects rows that want a change, and makes the changes in its own time; the planner and the dispatcher never wait for them."""

    def __init__(self, *, store: Store, clock: Clock, runs: Runs, occasions: Occasions, definitions: Definitions) -> None:
        self._store = store
        self._clock = clock
        self._runs = runs
        self._occasions = occasions
        self._definitions = definitions
        self._registry: Changes | None = None
        self._end: EndPause | None = None
        self._wake_planner: Callable[[], None] | None = None
        self._committed: Callable[[], Awaitable[None]] | None = None
        self._pressed: Callable[[], bool] = bool
        self._alarm = clock.alarm()
        self._without_occurrences: set[int] = set()
        self._completed: set[int] = set()
        self._out_of_runs: set[int] = set()
        self._failed: set[int] = set()
        self._faulty: dict[int, _Fault] = {}
        self._pauses: list[tuple[int, int]] = []

    def connect(
        self,
        changes: Changes,
        end_pause: EndPause,
        wake_planner: Callable[[], None],
        committed: Callable[[], Awaitable[None]],
        pressed: Callable[[], bool],
    ) -> None:
        """Set how changes and ends of pauses are made, how the planner learns of them, and how to wait for commits.

        `pressed` says whether runs wait for a slot: they go before what has time.
        """
        self._committed = committed
        self._pressed = pressed
        self._end = end_pause
        self._registry = changes
        self._wake_planner = wake_planner

    @property
    def _changes(self) -> Changes:
        assert self._registry is not None, "connect() comes first"
        return self._registry

    def no_more_occurrences(self, row: int) -> None:
        """The schedule's rule has ended; it is completed as soon as nothing of it is unfinished, unless an occasion may come."""
        if self._occasions.awaits(row):
            return
        self._without_occurrences.add(row)
        self.execution_finished(row)

    def occurrence_found(self, row: int) -> bool:
        """The schedule's rule has not ended after all. False: it is over all the same, since it has run as often as it may."""
        if row in self._out_of_runs:
            return False
        self._without_occurrences.discard(row)
        self._completed.discard(row)
        return True

    def limit_reached(self, row: int) -> None:
        """The schedule has run as often as it may: if it is completed, then for that."""
        self._out_of_runs.add(row)

    def ran_out(self, row: int) -> None:
        """The schedule has just run for the last time; it is completed as soon as nothing of it is unfinished."""
        self._out_of_runs.add(row)
        self._without_occurrences.add(row)

    def failed(self, row: int) -> None:
        """An execution of a schedule that failures pause has failed."""
        self._failed.add(row)
        self._alarm.ring()

    def execution_finished(self, row: int) -> None:
        """An execution of the schedule has left memory."""
        if self._occasions.completed(row):
            assert self._wake_planner is not None, "connect() comes first"
            self._wake_planner()
        elif self._occasions.is_over(row):
            self._without_occurrences.add(row)
        if row in self._without_occurrences and self._runs.is_idle(row):
            self._completed.add(row)
            self._alarm.ring()

    def schedule_changed(self, schedule: Schedule) -> None:
        """A change has been committed: what is known of the row is out of date."""
        self.forget(schedule.row)
        if schedule.state is ScheduleState.PAUSED and schedule.pause is not None and schedule.pause.until_us is not None:
            heapq.heappush(self._pauses, (schedule.pause.until_us, schedule.row))
            self._alarm.ring()

    def forget(self, row: int) -> None:
        """What is known of the row is out of date."""
        self._without_occurrences.discard(row)
        self._completed.discard(row)
        self._out_of_runs.discard(row)
        self._faulty.pop(row, None)

    def quarantine(self, row: int, reason: Reason, text: str) -> None:
        """Something unforeseen happened with this schedule: disable it. Of several faults the first one is told."""
        self._faulty.setdefault(row, _Fault(reason=reason, text=text))
        self._alarm.ring()

    async def run(self) -> None:
        """Keep until cancelled."""
        try:
            while True:
                await self.run_once(self._clock.now_us())
                self._alarm.set(self._pauses[0][0] if self._pauses else None)
                await self._alarm.wait()
        finally:
            self._alarm.close()

    async def run_once(self, now_us: int) -> None:
        """Make every change that is wanted now."""
        await self._attend(now_us)
        while self._completed:
            now_us = await self._give_way(now_us)
            rows = [self._completed.pop() for _ in range(min(_AT_ONCE, len(self._completed)))]
            await self._ends_recorded()  # The ends of their last executions come first in the journal.
            await self._patiently(partial(self._complete, rows, now_us))

    async def _attend(self, now_us: int) -> None:
        """Make the changes that cannot wait."""
        faulty, self._faulty = self._faulty, {}
        for row, fault in faulty.items():
            await self._patiently(partial(self._disable, row, fault, now_us))
        if self._failed:
            await self._pause_failing(now_us)
        while self._pauses and self._pauses[0][0] <= now_us:
            row = heapq.heappop(self._pauses)[1]
            for schedule in (await self._read([row])).values():
                await self._patiently(partial(self._end_pause, schedule, now_us))

    async def _give_way(self, now_us: int) -> int:
        """Let runs that wait for a slot go first, for a while; the time after that."""
        for _ in range(_PRESSED_WAITS):
            if not self._pressed():
                break
            await self._clock.sleep(_PRESSED_WAIT)
            now_us = self._clock.now_us()
            await self._attend(now_us)
        return now_us

    async def _read(self, rows: list[int]) -> dict[int, Schedule]:
        found = await self._store.schedules(rows)
        return {row: schedule for row, schedule in found.items() if isinstance(schedule, Schedule)}

    async def _patiently(self, make: Callable[[], Awaitable[None]]) -> None:
        """Make a change; while the store refuses try again, and leave it if somebody else changed the schedule first."""
        while True:
            try:
                await make()
            except UnavailableError as error:
                log.error("change_refused", reason=error.reason, detail=str(error))
                await self._clock.sleep(_REFUSED_WAIT)
            except (ConflictError, NotFoundError):
                return
            except Exception:  # A fault of one schedule: it must not stop the changes of the others.
                log.exception("change_failed")
                return
            else:
                return

    async def _complete(self, rows: Sequence[int], now_us: int) -> None:
        """Complete or delete those of them that have ended."""
        found = (await self._definitions.load(rows)).values()
        ended = [each.schedule for each in found if isinstance(each, Definition) and self._has_ended(each.schedule)]
        kept = [schedule for schedule in ended if schedule.policies.after_last_run is not AfterLastRun.DELETE]
        if kept:
            entries = [_entry(schedule, JournalKind.SCHEDULE_COMPLETED, self._why(schedule), now_us) for schedule in kept]
            await self._changes.complete(list(zip(kept, entries, strict=True)))
        async with asyncio.TaskGroup() as group:
            for schedule in ended:
                if schedule.policies.after_last_run is AfterLastRun.DELETE:
                    group.create_task(self._patiently(partial(self._delete, schedule, now_us)))

    def _has_ended(self, schedule: Schedule) -> bool:
        row = schedule.row
        return schedule.state is ScheduleState.ENABLED and self._runs.is_idle(row) and row in self._without_occurrences

    def _why(self, ended: Schedule) -> Reason:
        return Reason.MAX_RUNS if ended.row in self._out_of_runs else Reason.ENDED

    async def _delete(self, ended: Schedule, now_us: int) -> None:
        deleted = replace(ended, state=ScheduleState.DELETED, deleted_us=now_us)
        await self._make(ended, deleted, JournalKind.SCHEDULE_DELETED, self._why(ended), now_us)

    async def _ends_recorded(self) -> None:
        assert self._committed is not None, "connect() comes first"
        await self._committed()

    async def _pause_failing(self, now_us: int) -> None:
        failed, self._failed = self._failed, set()
        await self._ends_recorded()
        for schedule in (await self._read(list(failed))).values():
            await self._patiently(partial(self._pause_if_failing, schedule, now_us))

    async def _pause_if_failing(self, schedule: Schedule, now_us: int) -> None:
        limit = schedule.policies.pause_after_failures
        if schedule.state is not ScheduleState.ENABLED or not limit:
            return
        uid = Comparison(field="schedule_uid", operator=Operator.EQUAL, value=schedule.uid)
        ran = [Comparison(field="outcome", operator=Operator.EQUAL, value=outcome) for outcome in (Outcome.FAILED, Outcome.SUCCEEDED)]
        newest: list[Execution] = []
        for outcome in ran:
            page = await self._store.find_executions((uid, outcome), Order(field="execution", descending=True), PageRequest(size=limit))
            newest += page.items
        newest.sort(key=lambda execution: execution.id, reverse=True)
        failed = failures_in_a_row(newest, generation=schedule.generation)[:limit]
        if len(failed) < limit:
            return
        text = f"{limit} executions failed in a row"
        paused = replace(schedule, state=ScheduleState.PAUSED, pause=Pause(actor=DAEMON, since_us=now_us, reason=text))
        facts = f"{text}: {', '.join(id_text(execution.id) for execution in failed[:8])}"
        await self._make(schedule, paused, JournalKind.SCHEDULE_PAUSED, Reason.CONSECUTIVE_FAILURES, now_us, detail=facts)

    async def _end_pause(self, schedule: Schedule, now_us: int) -> None:
        pause = schedule.pause
        if schedule.state is not ScheduleState.PAUSED or pause is None or pause.until_us is None or pause.until_us > now_us:
            return
        assert self._end is not None, "connect() comes first"
        try:
            await self._end(schedule, _entry(schedule, JournalKind.SCHEDULE_RESUMED, Reason.ENDED, now_us), pause.until_us)
        except (ConflictError, NotFoundError, UnavailableError):
            raise
        except ExpressionError as error:
            await self._out_of_service(schedule, _Fault(reason=Reason.STORED_DATA, text=str(error)), now_us)
        except Exception as error:  # It would stay paused until the next start, and nobody would know why.
            log.exception("pause_not_ended", schedule=str(schedule.name))
            text = f"its pause could not be ended: {type(error).__name__}: {error}"
            await self._out_of_service(schedule, _Fault(reason=Reason.UNFORESEEN, text=text), now_us)

    async def _disable(self, row: int, fault: _Fault, now_us: int) -> None:
        schedule = (await self._store.schedules([row])).get(row)
        name = ""
        if isinstance(schedule, Schedule):
            name = str(schedule.name)
            if schedule.state is ScheduleState.ENABLED:
                await self._out_of_service(schedule, fault, now_us)
        elif isinstance(schedule, StoredDataError):
            name = schedule.resource
            entry = JournalEntry(
                time_us=now_us,
                kind=JournalKind.SCHEDULE_DISABLED,
                schedule_row=row,
                reason=fault.reason,
                evidence={"detail": fault.text},
            )
            await self._changes.quarantine(row, entry, schedule.generation)
        log.error("schedule_disabled", schedule=name, reason=fault.reason, detail=fault.text)

    async def _out_of_service(self, schedule: Schedule, fault: _Fault, now_us: int) -> None:
        disabled = replace(schedule, state=ScheduleState.DISABLED, state_reason=fault.text, pause=None)
        await self._make(schedule, disabled, JournalKind.SCHEDULE_DISABLED, fault.reason, now_us, detail=fault.text)

    async def _make(self, before: Schedule, changed: Schedule, kind: JournalKind, reason: Reason, now_us: int, *, detail: str = "") -> None:
        await self._changes.change(before, changed, _entry(changed, kind, reason, now_us, detail))


def _entry(schedule: Schedule, kind: JournalKind, reason: Reason, now_us: int, detail: str = "") -> JournalEntry:
    return JournalEntry(
        time_us=now_us,
        kind=kind,
        schedule=schedule.name,
        schedule_row=schedule.row,
        schedule_uid=schedule.uid,
        reason=reason,
        evidence={"detail": detail} if detail else {},
    )
