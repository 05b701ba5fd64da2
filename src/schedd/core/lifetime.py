"""The life of a schedule: how many more times it may run, and whether its failures in a row pause it."""

from __future__ import annotations

from collections.abc import Sequence

from schedd.core.model.execution import Execution
from schedd.core.model.reason import Outcome


def runs_left(max_runs: int, *, ran: int, unfinished: int) -> int:
    """How many more occurrences may be fired; `unfinished` are fired already and count until they turn out not to have run."""
    return max(0, max_runs - ran - unfinished)


def failures_in_a_row(newest: Sequence[Execution], *, generation: int) -> tuple[Execution, ...]:
    """The newest failed executions with no success between them, newest first; `newest` are finished, newest first.

    What did not run (skipped, missed, cancelled) neither counts nor resets. Executions of earlier generations do not count: a change of the
    schedule, a resumption too, starts anew.
    """
    failed: list[Execution] = []
    for execution in newest:
        if execution.outcome is Outcome.SUCCEEDED or execution.generation < generation:
            break
        if execution.outcome is Outcome.FAILED:
            failed.append(execution)
    return tuple(failed)
