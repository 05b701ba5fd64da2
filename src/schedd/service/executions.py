"""The use cases of executions: read and cancel."""

from __future__ import annotations

from schedd.core.errors import InvalidError, NotFoundError, PreconditionError
from schedd.core.model.execution import Attempt, Execution, id_text
from schedd.core.model.query import Filter, Order, Page, PageRequest
from schedd.core.model.schedule import ScheduleName
from schedd.core.ports import Store
from schedd.core.schedule_rules import check_note
from schedd.engine.engine import Engine


class Executions:
    """The use cases of executions. An execution is named by its schedule and its id; `actor` is who asks."""

    def __init__(self, *, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine

    async def get(self, schedule: ScheduleName, execution_id: int) -> tuple[Execution, tuple[Attempt, ...]]:
        """An execution and its stored attempts; `-` in `schedule` stands for any group or schedule. Raises: NotFoundError."""
        try:
            execution = await self._store.execution(execution_id)
        except NotFoundError as error:
            raise NotFoundError("execution", _name(schedule, execution_id)) from error
        found = execution.schedule
        if schedule.group not in ("-", found.group) or schedule.schedule not in ("-", found.schedule):
            raise NotFoundError("execution", _name(schedule, execution_id))
        return execution, await self._store.attempts(execution_id)

    async def find(self, where: Filter, order: Order, page: PageRequest) -> Page[Execution]:
        """A page of executions; the fields are those of `Store.find_executions`."""
        return await self._store.find_executions(where, order, page)

    async def find_with_attempts(
        self, where: Filter, order: Order, page: PageRequest, *, most_bytes: int
    ) -> Page[tuple[Execution, tuple[Attempt, ...]]]:
        """The same page with the stored attempts; it ends before the outputs exceed `most_bytes`, yet has one at least."""
        found = await self._store.find_executions(where, order, page)
        items: list[tuple[Execution, tuple[Attempt, ...]]] = []
        left = most_bytes
        for execution in found.items:
            attempts = await self._store.attempts(execution.id)
            left -= sum(_size(attempt) for attempt in attempts)
            if items and left < 0:
                return Page(items=items, after=_position(items[-1][0], order))
            items.append((execution, attempts))
        return Page(items=items, after=found.after)

    async def cancel(self, schedule: ScheduleName, execution_id: int, *, actor: str, note: str = "") -> Execution:
        """End an execution; returns when its end is durable and, for a process, its whole tree is gone. `note` says why.

        Raises: NotFoundError; InvalidError; PreconditionError (EXECUTION_FINISHED) if it was finished already.
        """
        if violations := tuple(check_note(note)):
            raise InvalidError(violations)
        await self.get(schedule, execution_id)
        if not await self._engine.cancel(execution_id, actor=actor, note=note):
            raise PreconditionError(
                "execution",
                _name(schedule, execution_id),
                reason="EXECUTION_FINISHED",
                description="is finished already, and cannot be cancelled",
            )
        return await self._store.execution(execution_id)


def _name(schedule: ScheduleName, execution_id: int) -> str:
    return f"{schedule}/executions/{id_text(execution_id)}"


def _size(attempt: Attempt) -> int:
    return len(attempt.result.output) + len(attempt.result.error_output)


def _position(execution: Execution, order: Order) -> tuple[int, ...]:
    """Where an execution stands in an order of `Store.find_executions`."""
    match order.field:
        case "nominal_time":
            return execution.nominal_us, execution.id
        case "due_time":
            return execution.due_us, execution.id
        case _:
            return (execution.id,)
