"""Deleting a schedule whose row cannot be read: its definition stays as it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schedd.core.errors import ConflictError, NotFoundError, ScheddError, StoredDataError
from schedd.core.model.batch import Answer, UnreadableDeletion
from schedd.store import backfills, codec, rows, timers
from schedd.store.committer import Operation
from schedd.store.requests import Requests
from schedd.store.transaction import Transaction

_DELETE = """
    UPDATE schedules SET state = 'DELETED', tombstone = uid, deleted_us = ?4, updated_us = ?4, generation = generation + 1
    WHERE row = ?1 AND uid = ?2 AND generation = ?3 AND tombstone = 0
    RETURNING labels
"""
_THERE = "SELECT 1 FROM schedules WHERE row = ? AND uid = ?"
_FORGET_LABELS = "UPDATE schedules SET labels = '{}' WHERE row = ?"
_DELETE_LABELS = "DELETE FROM labels WHERE row = ?"
_DELETE_USES = "DELETE FROM calendar_uses WHERE row = ?"


def _delete(transaction: Transaction, deletions: Sequence[UnreadableDeletion]) -> Sequence[Answer | ScheddError | None]:
    return [_delete_one(transaction, deletion) for deletion in deletions]


DELETE_UNREADABLE: Operation[UnreadableDeletion, Answer | None] = Operation(run=_delete)
"""Gives the answer of an earlier call with the deletion's mark, if there was one: nothing is changed then."""


def _delete_one(transaction: Transaction, deletion: UnreadableDeletion) -> Answer | ScheddError | None:
    schedule, row = deletion.schedule, deletion.schedule.row
    requests = Requests.of(transaction, (deletion.request,))
    if (first := requests.answer(deletion.request)) is not None:
        return first
    values = (row, schedule.uid, schedule.generation, deletion.deleted_us)
    found: Any = transaction.connection.execute(_DELETE, values).fetchall()
    if not found:
        if transaction.connection.execute(_THERE, values[:2]).fetchone() is None:
            return NotFoundError("schedule", str(schedule.name))
        return ConflictError("schedule", str(schedule.name), reason="ETAG_MISMATCH", description="changed meanwhile; read it again")
    _drop_unreadable_labels(transaction, row, found[0][0])
    transaction.connection.execute(timers.DELETE, (codec.encode([row]),))
    transaction.connection.execute(_DELETE_USES, (row,))
    backfills.end_all(transaction, deletion.ended)
    for entry in deletion.entries:
        transaction.journal(entry, row)
    requests.add(deletion.request, (schedule.uid,), time_us=deletion.deleted_us)
    requests.write(transaction)
    return None


def _drop_unreadable_labels(transaction: Transaction, row: int, text: str) -> None:
    """Labels that cannot be read would keep retention from removing the row."""
    try:
        rows.stored_labels(row, text)
    except StoredDataError:
        transaction.connection.execute(_FORGET_LABELS, (row,))
        transaction.connection.execute(_DELETE_LABELS, (row,))
