"""What a clock that was set back means for the marks: none stays in the future."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schedd.core.errors import ScheddError
from schedd.core.model.batch import SetBack
from schedd.store import codec
from schedd.store.committer import Operation
from schedd.store.executions import delete_executions
from schedd.store.transaction import Transaction

_MARK = "UPDATE marks SET value = min(value, ?) WHERE name = 'planned_through_us'"
# A next nominal time of 1 is out of date at every start, so that none is trusted that was right for the old time; 0 is UNDECIDED_US.
_ALL_STALE = "UPDATE timers SET next_us = 1 WHERE next_us <> 0"
_STALE = f"{_ALL_STALE} AND row IN (SELECT value FROM json_each(?))"
_TIMERS = "UPDATE timers SET planned_from_us = :now WHERE planned_from_us > :now"
_SCHEDULES = """
    UPDATE schedules SET
        planned_from_us = min(planned_from_us, :now),
        created_us = CASE WHEN created_us > :now THEN min(created_us - :by, :now) ELSE created_us END
    WHERE planned_from_us > :now OR created_us > :now
    RETURNING row
"""


def _set_back(transaction: Transaction, changes: Sequence[SetBack]) -> Sequence[tuple[int, ...] | ScheddError]:
    return [_set_one_back(transaction, change) for change in changes]


def _set_one_back(transaction: Transaction, change: SetBack) -> tuple[int, ...]:
    connection = transaction.connection
    connection.execute(_MARK, (change.mark_us,))
    found: list[Any] = connection.execute(_SCHEDULES, {"now": change.now_us, "by": change.by_us}).fetchall()
    changed = tuple(sorted(row for (row,) in found))
    if change.stale is None:
        connection.execute(_ALL_STALE)
    else:
        connection.execute(_STALE, (codec.encode(sorted(change.stale.union(changed))),))
    connection.execute(_TIMERS, {"now": change.now_us})
    delete_executions(transaction, change.disarmed)
    transaction.journal_all(change.entries)
    return changed


SET_BACK: Operation[SetBack, tuple[int, ...]] = Operation(run=_set_back)
