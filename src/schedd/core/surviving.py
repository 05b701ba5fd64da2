"""Which attempt of an unfinished execution may be under way when a daemon starts, whatever its predecessor had the time to record."""

from __future__ import annotations

from collections.abc import Iterable

from schedd.core.model.execution import ExecutionState, Survivor


def possible_attempts(state: ExecutionState, attempt: int) -> tuple[int, ...]:
    """The numbers of the attempts that may be: the start of one is recorded a moment later than it happens, as is its end.

    The command of a condition goes by the number of the attempt before the first, 0.
    """
    return (attempt, attempt + 1) if state is ExecutionState.RUNNING or not attempt else (attempt + 1,)


def attempt_under_way(state: ExecutionState, attempt: int, survivors: Iterable[Survivor]) -> Survivor | None:
    """The newest of an execution's survivors, unless the store knows its end: an attempt that does not run any more has been recorded.

    The command of a condition is none: the condition is asked anew.
    """
    first = attempt if state is ExecutionState.RUNNING else attempt + 1
    return max((each for each in survivors if each.attempt >= first), key=lambda each: each.attempt, default=None)
