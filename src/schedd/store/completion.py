"""Completing schedules: of a row that says no more than before, only its standing is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schedd.core.model.batch import Completion
from schedd.core.model.schedule import ScheduleState
from schedd.store import codec, timers
from schedd.store.committer import Operation
from schedd.store.statements import update
from schedd.store.transaction import Transaction

_COMPLETED = update(
    "schedules",
    "row",
    ("generation", "state", "updated_us", "planned_from_us", "uid"),
    condition="schedules.generation = new.column2 - 1 AND schedules.uid = new.column6 AND schedules.state = 'ENABLED'",
    returning="schedules.row",
)


def _complete(transaction: Transaction, groups: Sequence[Sequence[Completion]]) -> Sequence[frozenset[int]]:
    return [_complete_group(transaction, group) for group in groups]


COMPLETE: Operation[Sequence[Completion], frozenset[int]] = Operation(run=_complete)
"""Gives the rows that are completed now."""


def _complete_group(transaction: Transaction, group: Sequence[Completion]) -> frozenset[int]:
    values = [
        (after.row, after.generation, ScheduleState.COMPLETED.value, after.updated_us, after.planned_from_us, after.uid)
        for after in (completion.schedule for completion in group)
    ]
    found: Any = _COMPLETED.returning(transaction.connection, values)
    rows: frozenset[int] = frozenset(row for (row,) in found)
    transaction.connection.execute(timers.DELETE, (codec.encode(list(rows)),))
    for completion in group:
        if completion.schedule.row in rows:
            for entry in completion.entries:
                transaction.journal(entry, completion.schedule.row)
    return rows
