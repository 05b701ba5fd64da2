"""Realignment: after a step of the clock, what is planned follows the new time.

When the clock is set back, instants come again. Those that were decided as executions have their rows, and are not run twice; all others
are decided anew. Without this nothing would fire until the old time had come again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

import structlog

from schedd.core.errors import UnavailableError
from schedd.core.model.batch import SetBack
from schedd.core.model.execution import Execution
from schedd.core.model.journal import ExecutionFacts, JournalEntry, JournalKind
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import Schedule
from schedd.core.ports import Clock, Store
from schedd.core.timeline import NEVER, Timeline
from schedd.engine.almanac import Almanac
from schedd.engine.clockwatch import Steps
from schedd.engine.definitions import Definitions
from schedd.engine.occasions import Occasions
from schedd.engine.placing import Placing
from schedd.engine.revival import Revival
from schedd.engine.runs import Runs

_REFUSED_WAIT: Final = timedelta(seconds=1)
_Kept = TypeVar("_Kept")

log = structlog.get_logger(__name__)


class Realignment:
    """Works for the planner, between its rounds, and for the recovery."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        timeline: Timeline,
        almanac: Almanac,
        definitions: Definitions,
        runs: Runs,
        occasions: Occasions,
        placing: Placing,
        revival: Revival,
    ) -> None:
        self._store = store
        self._clock = clock
        self._timeline = timeline
        self._almanac = almanac
        self._definitions = definitions
        self._runs = runs
        self._occasions = occasions
        self._placing = placing
        self._revival = revival

    def ahead(self, by_us: int) -> None:
        """The clock was set ahead: delays after completion are as long as before. What was passed over is in the timeline, and overdue."""
        self._occasions.clock_stepped(by_us)

    async def back(self, mark_us: int, steps: Steps, changed: Collection[int]) -> int:
        """The clock was set back; the daemon's mark, `mark_us` before, as it is now.

        `changed` takes in, meanwhile, the rows of schedules that change.
        """
        now_us = self._clock.now_us()
        first_us = self._timeline.peek_us()
        mark_us = min([mark_us, now_us] + ([first_us - 1] if first_us != NEVER else []))
        takebacks = [run for run in self._runs if run.awaits_its_instant and run.execution.nominal_us > now_us]
        for run in takebacks:
            self._runs.remove(run)
        rows = await self.store_back(now_us, mark_us, steps.back_us, [run.execution for run in takebacks], steps.entries)
        for row in rows:
            self._definitions.forget(row)
        await self._reread_occasions(rows)
        self._occasions.clock_set_back(mark_us)
        self._occasions.clock_stepped(steps.by_us)
        await self._place_all(now_us, changed)
        await self._revival.run_once(now_us)
        log.info("realigned", schedules=len(self._timeline), taken_back=len(takebacks))
        return mark_us

    async def store_back(
        self, now_us: int, mark_us: int, back_us: int, takebacks: Sequence[Execution], entries: Sequence[JournalEntry]
    ) -> tuple[int, ...]:
        """Set the stored marks back to `now_us`, and take executions back whose instants come again; the rows of changed schedules."""
        change = SetBack(
            now_us=now_us,
            by_us=back_us,
            mark_us=mark_us,
            entries=(*entries, *[_taken_back(execution, now_us) for execution in takebacks]),
            disarmed=tuple(execution.id for execution in takebacks),
        )
        return await self._patiently(partial(self._store.set_back, change))

    async def _place_all(self, now_us: int, changed: Collection[int]) -> None:
        timers = await self._store.timers()
        stale = [(row, now_us) for row in timers.rows if not NEVER < self._timeline.next_of(row) <= now_us]
        await self._placing.run_once(stale, unless=changed)

    async def _reread_occasions(self, rows: Sequence[int]) -> None:
        known = [row for row in rows if self._occasions.knows(row)]
        for schedule in (await self._store.schedules(known)).values():
            if isinstance(schedule, Schedule):
                self._occasions.reread(schedule)

    async def _patiently(self, make: Callable[[], Awaitable[_Kept]]) -> _Kept:
        while True:
            try:
                return await make()
            except UnavailableError as error:
                log.error("realignment_refused", reason=error.reason, detail=str(error))
                await self._clock.sleep(_REFUSED_WAIT)


def _taken_back(execution: Execution, now_us: int) -> JournalEntry:
    return JournalEntry(
        time_us=now_us,
        kind=JournalKind.EXECUTION_DISARMED,
        schedule=execution.schedule,
        schedule_row=execution.schedule_row,
        schedule_uid=execution.schedule_uid,
        execution=ExecutionFacts(execution.id, execution.cause, execution.nominal_us, execution.due_us),
        reason=Reason.CLOCK_STEP,
    )
