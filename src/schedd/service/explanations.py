"""The use case of explaining: gathers what is stored about a window of nominal times, a bounded part at a time, and has it explained."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from schedd.core.errors import ExpressionError, PreconditionError
from schedd.core.explaining import Present, Record, Window, explain
from schedd.core.explaining.life import LIFE_KINDS
from schedd.core.model.execution import Execution, ExecutionState
from schedd.core.model.explanation import Explanation
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.query import Comparison, Operator, Order, Page, PageRequest
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.ports import Clock, Store
from schedd.core.timeline import NEVER
from schedd.engine.definitions import Definition
from schedd.engine.engine import Engine

READ_MAX: Final = 5_000
"""The most journal entries that are read for one part of an explanation."""

SIGNS_MAX: Final = 100
"""For the newest so many starts of the daemon after an unforeseen end the last sign of life before is looked up."""

_OF_SCHEDULE: Final = LIFE_KINDS | {JournalKind.OCCURRENCES_MISSED, JournalKind.OCCURRENCES_SKIPPED, JournalKind.OCCURRENCES_MOVED}
_OF_DAEMON: Final = frozenset(
    {
        JournalKind.DAEMON_STARTED,
        JournalKind.DAEMON_STOPPED,
        JournalKind.CLOCK_STEPPED,
        JournalKind.HOST_SUSPENDED,
        JournalKind.CALENDAR_UPDATED,
    }
)
_OF_EXECUTIONS: Final = frozenset(kind for kind in JournalKind if kind.startswith("EXECUTION_"))


class Explanations:
    """Says of occurrences what happened, or would happen, and why."""

    def __init__(self, *, store: Store, engine: Engine, clock: Clock, read_max: int = READ_MAX) -> None:
        self._read_max = read_max
        self._store = store
        self._engine = engine
        self._clock = clock

    async def explain(self, name: ScheduleName, window: Window, *, size: int, from_us: int | None = None) -> Page[Explanation]:
        """A page of explanations of a window, at most `size`; `from_us` is what the page before had as its `after`.

        A page may have fewer though there are more. Raises: NotFoundError; PreconditionError (UNREADABLE); StoredDataError.
        """
        schedule = await self._store.schedule(name)
        await self._engine.recorder.committed()
        part = window if from_us is None else replace(window, first_us=from_us)
        executions, part = await self._executions(schedule, part, size)
        entries, part = await self._entries(schedule, part)
        record = await self._record(schedule, part, executions, entries)
        present = await self._present(schedule)
        try:
            # Off the loop: counting what a calendar leaves out of a fast rule may take a while.
            found = await asyncio.to_thread(explain, record, present, part, limit=size)
        except ExpressionError as error:
            text = f"has a rule that cannot be read now, so its occurrences are not known: {error}"
            raise PreconditionError("schedule", str(name), reason="UNREADABLE", description=text) from error
        following_us = part.last_us + 1 if len(found) < size else found[-1].last_us + 1
        return Page(items=found, after=(following_us,) if following_us <= window.last_us else ())

    async def _executions(self, schedule: Schedule, window: Window, size: int) -> tuple[Sequence[Execution], Window]:
        """The executions of the window, or of as much of it as has a page of them."""
        where = (_is("schedule_uid", schedule.uid), *_within(window))
        page = await self._store.find_executions(where, Order(field="nominal_time"), PageRequest(size=size))
        if not page.after:
            return page.items, window
        last_us = max(window.first_us, page.items[-1].nominal_us - 1)
        return page.items, replace(window, last_us=last_us)

    async def _entries(self, schedule: Schedule, window: Window) -> tuple[Sequence[JournalEntry], Window]:
        """What the journal has on executions of the window, or of as much of it as can be read at once."""
        while True:
            where = (_is("schedule_uid", schedule.uid), *_within(window))
            entries = await self._store.journal(after=0, limit=self._read_max, where=where, kinds=_OF_EXECUTIONS)
            if len(entries) < self._read_max or window.first_us == window.last_us:
                return entries, window
            times = sorted(entry.execution.nominal_us for entry in entries if entry.execution is not None)
            middle_us = (times[0] + times[-1]) // 2
            window = replace(window, last_us=max(window.first_us, min(middle_us, window.last_us - 1)))

    async def _record(self, schedule: Schedule, window: Window, executions: Sequence[Execution], entries: Sequence[JournalEntry]) -> Record:
        life = await self._newest(schedule.uid, _OF_SCHEDULE)
        daemon = await self._newest(0, _OF_DAEMON)
        kept_from_us = await self._kept_from_us()
        if len(life) == self._read_max:
            kept_from_us = max(kept_from_us, life[0].time_us)
        return Record(
            schedule=schedule,
            calendars=self._engine.almanac.calendars,
            executions=executions,
            entries=entries,
            life=life,
            daemon=daemon,
            signs=await self._signs(daemon, window),
            kept_from_us=kept_from_us,
        )

    async def _newest(self, uid: int, kinds: frozenset[JournalKind]) -> Sequence[JournalEntry]:
        """The newest entries of these kinds about one schedule, or about none, oldest first."""
        newest = await self._store.journal(after=0, limit=self._read_max, where=(_is("schedule_uid", uid),), kinds=kinds, descending=True)
        return newest[::-1]

    async def _kept_from_us(self) -> int:
        """Since when the journal is kept; 0 if nothing of it was removed."""
        oldest, _ = await self._store.journal_bounds()
        if oldest <= 1:
            return 0
        first = await self._store.journal(after=oldest - 1, limit=1)
        return first[0].time_us if first else 0

    async def _signs(self, daemon: Sequence[JournalEntry], window: Window) -> Mapping[int, int]:
        """When the entries before those starts of the daemon were written that no stop preceded."""
        running = False
        unforeseen: list[JournalEntry] = []
        for entry in daemon:
            if entry.kind is JournalKind.DAEMON_STARTED:
                if running and entry.time_us >= window.first_us:
                    unforeseen.append(entry)
                running = True
            elif entry.kind is JournalKind.DAEMON_STOPPED:
                running = False
        signs: dict[int, int] = {}
        for entry in unforeseen[-SIGNS_MAX:]:
            for before in await self._store.journal(after=0, through=entry.sequence - 1, limit=1, descending=True):
                signs[entry.sequence] = before.time_us
        return signs

    async def _present(self, schedule: Schedule) -> Present:
        engine, row, now_us = self._engine, schedule.row, self._clock.now_us()
        definition = (await engine.definitions.load([row])).get(row)
        undecided_us = engine.planner.undecided_us(row) if schedule.state is ScheduleState.ENABLED else NEVER
        return Present(
            now_us=now_us,
            undecided_us=None if undecided_us == NEVER else undecided_us,
            unfinished=[run.standing() for run in engine.runs.of_schedule(row) if run.state is not ExecutionState.ARMED],
            runs_left=engine.endings.left(schedule) if schedule.policies.max_runs else None,
            holdups=engine.dispatcher.gates.holdups(definition, now_us) if isinstance(definition, Definition) else (),
            backlogs=engine.backfiller.undecided(row),
            draining=engine.status().draining,
        )


def _is(field: str, value: int) -> Comparison:
    return Comparison(field=field, operator=Operator.EQUAL, value=value)


def _within(window: Window) -> tuple[Comparison, Comparison]:
    return (
        Comparison(field="nominal_time", operator=Operator.GREATER_EQUAL, value=window.first_us),
        Comparison(field="nominal_time", operator=Operator.LESS_EQUAL, value=window.last_us),
    )
