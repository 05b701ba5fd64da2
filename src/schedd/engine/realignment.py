"""Realignment: after a step of the clock, what is planned follows the new time.

When the clock is set back, instants come again. Those that were decided as executions have their rows, and are not run twice; all others
are decided anew. Without this nothing would fire until the old time had come again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

import structlog

from schedd.core.errors import UnavailableError
from schedd.core.model.batch import SetBack
from schedd.core.model.execution import Execution
from schedd.core.model.journal import ExecutionFacts, JournalEntry, JournalKind
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import Schedule, ScheduleState
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
_BEFORE_NOTICED_US: Final = 60_000_000
"""By more than this no entry is older that was journaled between a step and its notice."""
_PAGE: Final = 1000
_PAGES: Final = 5
_LEFT_OUT: Final = frozenset({JournalKind.OCCURRENCES_MISSED, JournalKind.OCCURRENCES_SKIPPED})
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
        stale = await self._left_out_since(min([now_us, *(entry.time_us for entry in steps.entries)]) - _BEFORE_NOTICED_US)
        if stale is not None:
            stale = stale.union(steps.rows, self._occasions.rows(), (run.row for run in takebacks))
        change = set_back_to(now_us, mark_us, steps.back_us, steps.entries, [run.execution for run in takebacks])
        altered = steps.rows.union(await self.store_back(replace(change, stale=stale)))
        for row in altered:
            self._definitions.forget(row)
        await self._reread_occasions(altered)
        self._occasions.clock_set_back(mark_us)
        self._occasions.clock_stepped(steps.by_us)
        rows = await self._enabled(None if stale is None else stale.union(altered))
        overdue = {row for row in rows if NEVER < self._timeline.next_of(row) <= now_us}
        await self._placing.run_once([(row, now_us) for row in rows if row not in overdue], unless=changed)
        await self._revival.run_once(now_us)
        log.info("realigned", placed=len(rows), taken_back=len(takebacks))
        return mark_us

    async def store_back(self, change: SetBack) -> tuple[int, ...]:
        """Commit it, however long the store refuses."""
        return await self._patiently(partial(self._store.set_back, change))

    async def _left_out_since(self, since_us: int) -> frozenset[int] | None:
        """The rows of schedules of which occurrences were left out by the clock that is set back, at `since_us` or later.

        An occurrence that is an execution is not run again, so for all the others that comes next which was next before. None: there is
        too much to look through. Entries before one of an earlier time are of an earlier clock, and what they say was decided anew then.
        """
        found: set[int] = set()
        through: int | None = None
        for _ in range(_PAGES):
            page = await self._store.journal(after=0, limit=_PAGE, through=through, descending=True)
            for entry in page:
                if entry.time_us < since_us:
                    return frozenset(found)
                if entry.kind in _LEFT_OUT:
                    found.add(entry.schedule_row)
            if len(page) < _PAGE:
                return frozenset(found)
            through = page[-1].sequence - 1
        return None

    async def _enabled(self, rows: Collection[int] | None) -> Sequence[int]:
        """Those of the rows whose schedules are enabled, None: all."""
        if rows is None:
            return (await self._store.timers()).rows
        found = await self._store.schedules(sorted(rows))
        return [row for row, schedule in found.items() if isinstance(schedule, Schedule) and schedule.state is ScheduleState.ENABLED]

    async def _reread_occasions(self, rows: Collection[int]) -> None:
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


def set_back_to(now_us: int, mark_us: int, back_us: int, entries: Sequence[JournalEntry], takebacks: Sequence[Execution]) -> SetBack:
    """What is stored when the clock was set back; `takebacks` are armed executions whose instants come again."""
    return SetBack(
        now_us=now_us,
        by_us=back_us,
        mark_us=mark_us,
        entries=(*entries, *[_taken_back(execution, now_us) for execution in takebacks]),
        disarmed=tuple(execution.id for execution in takebacks),
    )


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
