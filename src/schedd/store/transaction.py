"""One transaction of the writer: its connection, the journal entries it will append, and the places it has given out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from schedd.core.model.journal import JournalEntry
from schedd.store import codec, rows
from schedd.store.statements import insertion

_INSERT_JOURNAL = insertion("journal", rows.JOURNAL_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What the next transaction begins with: the newest sequence number, the highest row, and the free places below it."""

    sequence: int
    highest_row: int
    free_rows: tuple[int, ...] = ()
    """Ascending."""
    given: int = 0
    """How many of `free_rows` are in use again."""


@dataclass(slots=True, kw_only=True)
class Transaction:
    """One transaction, from BEGIN to COMMIT. When it is rolled back it is thrown away, and nothing has happened."""

    connection: sqlite3.Connection
    counters: Counters
    entries: list[JournalEntry] = field(default_factory=list)
    """What it appended to the journal so far, numbered."""
    freed: list[int] = field(default_factory=list)
    """Places that are free once it has committed."""

    def journal(self, entry: JournalEntry, schedule_row: int) -> None:
        """Append an entry, with the row of its schedule."""
        self.journal_all([entry._replace(schedule_row=schedule_row)])

    def journal_all(self, entries: Iterable[JournalEntry]) -> None:
        """Append entries that know their schedules' rows."""
        first = self.counters.sequence + len(self.entries) + 1
        # `_replace` would take twice as long.
        self.entries += [JournalEntry._make((*entry[:-1], sequence)) for sequence, entry in enumerate(entries, first)]

    def take_rows(self, count: int) -> list[int]:
        """The lowest free places for `count` new schedules, ascending."""
        state = self.counters
        reused = state.free_rows[state.given : state.given + count]
        added = count - len(reused)
        if reused:
            self.connection.execute("DELETE FROM free_rows WHERE row IN (SELECT value FROM json_each(?))", (codec.encode(reused),))
        self.counters = replace(state, given=state.given + len(reused), highest_row=state.highest_row + added)
        return [*reused, *range(state.highest_row + 1, state.highest_row + 1 + added)]

    def free_row(self, row: int) -> None:
        """Give a place back."""
        self.freed.append(row)

    def write_journal(self) -> None:
        """Insert the journal entries: the last thing before COMMIT."""
        _INSERT_JOURNAL.run(self.connection, [rows.journal_values(entry) for entry in self.entries])

    def counters_after(self) -> Counters:
        """What the next transaction begins with, if this one commits."""
        state = replace(self.counters, sequence=self.counters.sequence + len(self.entries))
        if not self.freed:
            return state
        return replace(state, free_rows=tuple(sorted([*state.free_rows[state.given :], *self.freed])), given=0)


def stored_counters(connection: sqlite3.Connection) -> Counters:
    """The counters of a database that has just been opened."""
    (sequence,) = connection.execute("SELECT coalesce(max(sequence), 0) FROM journal").fetchone()
    (highest_row,) = connection.execute(
        "SELECT max((SELECT coalesce(max(row), 0) FROM schedules), (SELECT coalesce(max(row), 0) FROM free_rows))"
    ).fetchone()
    free = connection.execute("SELECT row FROM free_rows ORDER BY row").fetchall()
    return Counters(sequence=sequence, highest_row=highest_row, free_rows=tuple(row for (row,) in free))
