"""Notices: written with the end that they tell of, removed with what their delivery came to."""

from __future__ import annotations

from collections.abc import Sequence

from schedd.core.model.batch import RecordBatch
from schedd.core.model.notice import Notice
from schedd.store import codec, rows
from schedd.store.reader import Reader
from schedd.store.statements import insertion
from schedd.store.transaction import Transaction

_INSERT = insertion("notices", ("id", "notice"))
_DELETE = "DELETE FROM notices WHERE id IN (SELECT value FROM json_each(?))"
_ALL = "SELECT id, notice FROM notices ORDER BY id"


def recorded(transaction: Transaction, batches: Sequence[RecordBatch]) -> None:
    """Keep the notices of these batches, and let go of those that have been delivered."""
    _INSERT.run(transaction.connection, [rows.notice_values(notice) for batch in batches for notice in batch.notices])
    if notified := [notice_id for batch in batches for notice_id in batch.notified]:
        transaction.connection.execute(_DELETE, (codec.encode(notified),))


async def undelivered(reader: Reader) -> tuple[Notice, ...]:
    """All that are kept, oldest first."""
    return tuple(await reader.readable(_ALL, (), rows.notice_of))
