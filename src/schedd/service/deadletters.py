"""The use cases of dead letters: read, redeliver and purge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from schedd.core.errors import NotFoundError, ScheddError
from schedd.core.model.deadletter import DeadLetter, Purge
from schedd.core.model.execution import Execution
from schedd.core.model.journal import ExecutionFacts, JournalEntry, JournalKind
from schedd.core.model.query import Comparison, Filter, Operator, Page, PageRequest
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import ScheduleName
from schedd.core.ports import Clock, Store
from schedd.engine.engine import Engine
from schedd.service.asking import Asking
from schedd.service.batches import marked
from schedd.service.executions import Executions

LETTERS_MAX = 1000
"""The most dead letters in one batch."""

_FINISHED = Comparison(field="state", operator=Operator.EQUAL, value="FINISHED")

Named = tuple[ScheduleName, int]
"""An execution as a caller names it: its schedule, where `-` stands for any, and its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeliverResult:
    """What became of one execution of a batch; `error` is None where it was taken up again."""

    named: Named
    error: ScheddError | None = None


class DeadLetters:
    """The use cases of dead letters, and of taking up finished executions again."""

    def __init__(self, *, store: Store, engine: Engine, clock: Clock) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock
        self._executions = Executions(store=store, engine=engine)

    @property
    def kept(self) -> timedelta:
        """How long a dead letter is kept after its creation."""
        return self._engine.housekeeper.retention.dead_letters

    async def find(self, where: Filter, page: PageRequest) -> Page[DeadLetter]:
        """A page of dead letters, newest first; the fields are those of `Store.find_executions`. Raises: InvalidError."""
        return await self._store.find_dead_letters(where, descending=True, page=page)

    async def redeliverable(self, where: Filter) -> tuple[list[Named], bool]:
        """The oldest 1000 dead letters that match and have finished, and whether there are more. Raises: InvalidError."""
        page = PageRequest(size=LETTERS_MAX)
        found = await self._store.find_dead_letters((*where, _FINISHED), descending=False, page=page)
        return [(letter.execution.schedule, letter.execution.id) for letter in found.items], bool(found.after)

    async def redeliver(self, named: Named, asking: Asking) -> Execution:
        """Take up a finished execution again, dead letter or not; its new series of attempts is durable when this returns.

        Raises: NotFoundError; PreconditionError (NOT_FINISHED, DELETED, UNREADABLE); ConflictError (REQUEST_ID_REUSED); UnavailableError.
        """
        found, _ = await self._executions.get(*named)
        await self._engine.redeliver(found, actor=asking.actor, request=asking.request)
        return await self._store.execution(found.id)

    async def redeliver_many(self, names: Sequence[Named], asking: Asking) -> tuple[RedeliverResult, ...]:
        """Take up each of them again; each has a result of its own, in the order of `names`."""
        return tuple([await self._result(named, marked(asking, index)) for index, named in enumerate(names)])

    async def purge(self, names: Sequence[Named], asking: Asking) -> int:
        """Remove the dead letters of these executions; how many there were. Those that are none any more are passed over."""
        letters = [letter for named in dict.fromkeys(names) if (letter := await self._letter(named)) is not None]
        return await self._remove(letters, asking)

    async def purge_matching(self, where: Filter, asking: Asking) -> int:
        """Remove the dead letters that match; how many there were. Raises: InvalidError."""
        count, page = 0, PageRequest(size=LETTERS_MAX)
        while True:
            found = await self._store.find_dead_letters(where, descending=False, page=page)
            count += await self._remove(found.items, asking)
            if not found.after:
                return count
            page = PageRequest(size=LETTERS_MAX, after=found.after)

    async def _result(self, named: Named, asking: Asking) -> RedeliverResult:
        try:
            await self.redeliver(named, asking)
        except ScheddError as error:
            return RedeliverResult(named=named, error=error)
        return RedeliverResult(named=named)

    async def _letter(self, named: Named) -> DeadLetter | None:
        try:
            execution, _ = await self._executions.get(*named)
            return await self._store.dead_letter(execution.id)
        except NotFoundError:
            return None

    async def _remove(self, letters: Sequence[DeadLetter], asking: Asking) -> int:
        if asking.validate_only or not letters:
            return len(letters)
        return await self._store.purge_dead_letters(
            Purge(entries={letter.execution.id: self._entry(letter.execution, asking) for letter in letters})
        )

    def _entry(self, execution: Execution, asking: Asking) -> JournalEntry:
        return JournalEntry(
            time_us=self._clock.now_us(),
            kind=JournalKind.DEAD_LETTERS_PURGED,
            actor=asking.actor,
            schedule=execution.schedule,
            schedule_row=execution.schedule_row,
            schedule_uid=execution.schedule_uid,
            reason=Reason.REQUESTED,
            execution=ExecutionFacts(execution.id, execution.cause, execution.nominal_us, execution.due_us),
        )
