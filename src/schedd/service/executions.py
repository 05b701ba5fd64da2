"""The use cases of executions: read and cancel."""

from __future__ import annotations

from collections.abc import Sequence

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

    async def attempts(self, executions: Sequence[Execution]) -> list[tuple[Attempt, ...]]:
        """The stored attempts of each of these executions."""
        return [await self._store.attempts(execution.id) for execution in executions]

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
