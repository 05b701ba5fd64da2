"""The use case of operating on many schedules at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from schedd.core.errors import InvalidError, ScheddError
from schedd.core.model.execution import Execution
from schedd.core.model.policy import CatchUpMode
from schedd.core.model.schedule import ScheduleName
from schedd.core.model.unreadable import StoredSchedule
from schedd.core.ports import Clock, Store
from schedd.core.schedule_rules import check_pause
from schedd.service.asking import Asking
from schedd.service.pauses import Pauses
from schedd.service.schedules import Schedules


class Operation(StrEnum):
    """What can be done to many schedules at once."""

    PAUSE = "PAUSE"
    RESUME = "RESUME"
    DELETE = "DELETE"
    UNDELETE = "UNDELETE"
    TRIGGER = "TRIGGER"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOperation:
    """What is done to each schedule of a batch: `reason` and `until_us` belong to pausing, `backlog` to resuming."""

    operation: Operation
    reason: str = ""
    until_us: int | None = None
    backlog: CatchUpMode = CatchUpMode.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationResult:
    """What an operation did to one of many schedules: its new standing, or the execution if it was triggered, or the error."""

    name: ScheduleName
    schedule: StoredSchedule | None = None
    execution: Execution | None = None
    error: ScheddError | None = None


class Batches:
    """Does one thing to many schedules. It is no transaction, but safe to repeat: what was chosen is kept, and what was done is marked."""

    def __init__(self, *, store: Store, schedules: Schedules, pauses: Pauses, clock: Clock) -> None:
        self._store = store
        self._schedules = schedules
        self._pauses = pauses
        self._clock = clock

    async def chosen(self, choose: Callable[[], Awaitable[Sequence[str]]], asking: Asking) -> Sequence[str]:
        """What `choose` gives, or gave to the first call with this mark: a filter may match others by now.

        Raises: ConflictError (REQUEST_ID_REUSED); what `choose` raises.
        """
        if asking.request is None:
            return await choose()
        answer = await self._store.answered(asking.request)
        if answer is None:
            answer = await self._store.keep_answer(asking.request, await choose(), now_us=self._clock.now_us())
        return [str(word) for word in answer]

    async def operate(self, names: Sequence[ScheduleName], what: BatchOperation, asking: Asking) -> tuple[OperationResult, ...]:
        """Do it to each; each has a result of its own, in the order of `names`.

        Repeated with its mark, it gives the first results of those that succeeded, and tries the others again. Raises: InvalidError.
        """
        self._check(what)
        return tuple([await self._result(name, what, marked(asking, index)) for index, name in enumerate(names)])

    def _check(self, what: BatchOperation) -> None:
        """Refuse at once what would be refused for each."""
        if violations := tuple(check_pause(what.reason, what.until_us, now_us=self._clock.now_us())):
            raise InvalidError(violations)

    async def _result(self, name: ScheduleName, what: BatchOperation, asking: Asking) -> OperationResult:
        schedules = self._schedules
        try:
            match what.operation:
                case Operation.TRIGGER:
                    if asking.validate_only:
                        await schedules.rehearse(name, asking)
                        return OperationResult(name=name)
                    return OperationResult(name=name, execution=await schedules.trigger(name, asking))
                case Operation.DELETE:
                    changed: StoredSchedule | None = await schedules.delete(name, asking)
                case Operation.PAUSE:
                    changed = await self._pauses.pause(name, asking, reason=what.reason, until_us=what.until_us)
                case Operation.RESUME:
                    changed = await self._pauses.resume(name, asking, backlog=what.backlog)
                case Operation.UNDELETE:
                    changed = await schedules.undelete(name, asking)
                case _:
                    assert_never(what.operation)
        except ScheddError as error:
            return OperationResult(name=name, error=error)
        return OperationResult(name=name, schedule=changed)


def marked(asking: Asking, index: int) -> Asking:
    """As a whole batch is asked for, so is one of its schedules, with a mark of its own."""
    if asking.request is None:
        return asking
    return replace(asking, request=replace(asking.request, scope=f"{asking.request.scope}[{index}]"))
