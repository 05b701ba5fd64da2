"""The timers table: the hot columns of every enabled schedule."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from schedd.core.errors import ScheddError
from schedd.core.model.batch import NEVER_US, NewSchedule, ScheduleChange, Timer, Timers
from schedd.core.model.journal import JournalEntry
from schedd.core.model.schedule import ScheduleName, ScheduleState
from schedd.store.committer import Operation
from schedd.store.statements import Row, insertion, update
from schedd.store.transaction import Transaction

RESTORED_AT_ONCE = 500
"""Timers a transaction."""

READ = "SELECT row, generation, next_us, planned_from_us FROM timers WHERE row > ? ORDER BY row LIMIT ?"
READ_NAMING = """
    SELECT t.row, t.generation, t.next_us, t.planned_from_us
    FROM timers AS t JOIN schedules AS s ON s.row = t.row
    WHERE EXISTS (SELECT 1 FROM json_each(?) AS wanted WHERE s.time_zone = wanted.value OR instr(s.when_json, wanted.value))
    ORDER BY t.row
"""
_LOST = f"""
    SELECT s.row, s.generation, 1, s.planned_from_us, s.uid, s.group_name, s.name FROM schedules AS s
    WHERE s.state = 'ENABLED' AND NOT EXISTS (SELECT 1 FROM timers AS t WHERE t.row = s.row)
    ORDER BY s.row LIMIT {RESTORED_AT_ONCE}
"""
_COUNTS = """
    SELECT (SELECT count(*) FROM schedules) - (SELECT count(*) FROM schedules WHERE state <> 'ENABLED'), (SELECT count(*) FROM timers)
"""

INSERT = insertion("timers", ("row", "generation", "next_us", "planned_from_us"))
REPLACE = insertion(
    "timers",
    ("row", "generation", "next_us", "planned_from_us"),
    "ON CONFLICT DO UPDATE SET generation = excluded.generation, next_us = excluded.next_us, planned_from_us = excluded.planned_from_us",
)
DELETE = "DELETE FROM timers WHERE row IN (SELECT value FROM json_each(?))"

_SAVE = update("timers", "row", ("generation", "next_us"), condition="timers.generation = new.column2 AND timers.next_us <> new.column3")


_DECIDED = update("timers", "row", ("generation", "next_us", "planned_from_us"), condition="timers.generation = new.column2")


def decided(transaction: Transaction, found: Sequence[Timer]) -> None:
    """Store how far schedules are decided, of those that are still of that generation."""
    _DECIDED.run(transaction.connection, found)


def has_timer(stored: NewSchedule | ScheduleChange) -> bool:
    """Whether the schedule is one that the timeline holds."""
    return stored.schedule.state is ScheduleState.ENABLED


def values(row: int, stored: NewSchedule | ScheduleChange) -> Row:
    """The values of a schedule's timer."""
    next_us = NEVER_US if stored.next_us is None else stored.next_us
    return (row, stored.schedule.generation, next_us, stored.schedule.planned_from_us)


def _save(transaction: Transaction, portions: Sequence[Timers]) -> Sequence[ScheddError | None]:
    for timers in portions:
        _SAVE.run(transaction.connection, list(zip(timers.rows, timers.generations, timers.next_us, strict=True)))
    return [None] * len(portions)


SAVE: Operation[Timers, None] = Operation(run=_save)


def _restore(transaction: Transaction, entries: Sequence[JournalEntry]) -> Sequence[int | ScheddError]:
    return [_restore_lost(transaction, entry) for entry in entries]


RESTORE: Operation[JournalEntry, int] = Operation(run=_restore)
"""Stores a portion of the timers that enabled schedules should have and have not, and gives how many; journals the entry about each."""


def _restore_lost(transaction: Transaction, entry: JournalEntry) -> int:
    enabled, there = transaction.connection.execute(_COUNTS).fetchone()
    if enabled == there:
        return 0  # Looking at each schedule would take long where there are many.
    found = transaction.connection.execute(_LOST).fetchall()
    REPLACE.run(transaction.connection, [row[:4] for row in found])
    for row, _, _, _, uid, group, name in found:
        transaction.journal(entry._replace(schedule=ScheduleName(group=group, schedule=name), schedule_uid=uid), row)
    return len(found)


def portions(timers: Timers, size: int) -> Sequence[Timers]:
    """The timers in portions of at most `size`, one transaction each."""
    return [
        Timers(
            rows=timers.rows[start : start + size],
            generations=timers.generations[start : start + size],
            next_us=timers.next_us[start : start + size],
        )
        for start in range(0, len(timers), size)
    ]


def extend(timers: Timers, read: Sequence[Sequence[int]]) -> None:
    """Append rows that READ gave."""
    if read:
        columns = zip(*read, strict=True)
        for target, column in zip((timers.rows, timers.generations, timers.next_us, timers.planned_from_us), columns, strict=True):
            target.extend(array("q", column))  # An array takes in another one much faster than a tuple.
