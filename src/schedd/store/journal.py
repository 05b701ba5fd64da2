"""The journal: appended to and read."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from schedd.core.errors import ScheddError
from schedd.core.model.journal import JournalEntry, JournalKind, JournalPage
from schedd.core.model.query import Filter
from schedd.store import codec, rows, search
from schedd.store.committer import Operation
from schedd.store.reader import Reader, readable
from schedd.store.transaction import Transaction

_FOUND = f"""
    SELECT {", ".join("j." + column for column in rows.JOURNAL_COLUMNS)}, coalesce(s.group_name, p.group_name), coalesce(s.name, p.name)
    FROM journal AS j
    LEFT JOIN schedules AS s ON s.row = j.schedule_row AND s.uid = j.schedule_uid
    LEFT JOIN purged_schedules AS p ON p.uid = j.schedule_uid
"""
_BOUNDS = "SELECT coalesce((SELECT min(sequence) FROM journal), 0), coalesce((SELECT max(sequence) FROM journal), 0)"


def _append(transaction: Transaction, portions: Sequence[Sequence[JournalEntry]]) -> Sequence[ScheddError | None]:
    for entries in portions:
        transaction.journal_all(entries)
    return [None] * len(portions)


APPEND: Operation[Sequence[JournalEntry], None] = Operation(run=_append)


async def page(
    reader: Reader, *, after: int, through: int | None, limit: int, where: Filter, kinds: Collection[JournalKind], descending: bool
) -> JournalPage:
    """See `Store.journal_page`. Raises: InvalidError."""
    conditions = [
        search.conditions(where, search.JOURNAL_FIELDS, labels=True),
        search.Condition(text="j.sequence > ?", values=(after,)),
    ]
    if through is not None:
        conditions.append(search.Condition(text="j.sequence <= ?", values=(through,)))
    if kinds:
        conditions.append(search.Condition(text="j.kind IN (SELECT value FROM json_each(?))", values=(codec.encode(list(kinds)),)))
    matching = search.joined(conditions)
    direction = "DESC" if descending else "ASC"
    statement = f"{_FOUND} WHERE {matching.text} ORDER BY j.sequence {direction} LIMIT ?"
    found = await reader.all(statement, (*matching.values, limit))
    entries = tuple(await readable(found, rows.journal_entry_of))
    return JournalPage(entries=entries, last_read=found[-1][0] if found else 0, is_last=len(found) < limit)


async def bounds(reader: Reader) -> tuple[int, int]:
    """The oldest and the newest sequence number, (0, 0) for an empty journal."""
    oldest, newest = await reader.one(_BOUNDS)
    return oldest, newest
