"""Retention: what is too old goes, in portions small enough that nobody waits for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from schedd.core.errors import ScheddError
from schedd.core.model.batch import Retention
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.schedule import ScheduleName
from schedd.store import codec
from schedd.store.committer import Operation
from schedd.store.executions import delete_executions
from schedd.store.reader import Reader
from schedd.store.statements import insertion
from schedd.store.transaction import Transaction

PORTION = 500
"""Rows a transaction."""

REQUESTS_KEPT = timedelta(hours=24)

_SWEPT = 5_000
"""Schedules a statement that looks for too long histories."""

_MICROSECOND = timedelta(microseconds=1)

_NO_LETTER = "NOT EXISTS (SELECT 1 FROM dead_letters AS d WHERE d.execution_id = e.id)"
_OLD_EXECUTIONS = f"SELECT e.id FROM executions AS e WHERE e.finished_us < ? AND {_NO_LETTER} LIMIT {PORTION}"
_EXCESS_EXECUTIONS = f"""
    SELECT e.id FROM executions AS e
    WHERE e.schedule_uid = ? AND e.nominal_us <= ? AND e.state = 'FINISHED' AND {_NO_LETTER} LIMIT {PORTION}
"""
_OLD_LETTERS = f"""
    DELETE FROM dead_letters WHERE execution_id IN (SELECT execution_id FROM dead_letters WHERE created_us < ? LIMIT {PORTION})
"""
_EXECUTIONS_OF_DELETED = f"""
    SELECT e.id FROM schedules AS s CROSS JOIN executions AS e ON e.schedule_uid = s.uid
    WHERE s.deleted_us < ? AND e.state = 'FINISHED' LIMIT {PORTION}
"""
# Rows of a time that the clock was set back from stand in nobody's way: they stay until their time has come again.
_OLD_JOURNAL = f"""
    DELETE FROM journal WHERE sequence IN (
        SELECT sequence FROM (SELECT sequence, time_us FROM journal WHERE time_us <= ? ORDER BY sequence LIMIT {PORTION}) WHERE time_us < ?
    ) AND sequence < (SELECT max(sequence) FROM journal)
"""
_OLD_BACKFILLS = f"DELETE FROM backfills WHERE id IN (SELECT id FROM backfills WHERE finished_us < ? LIMIT {PORTION})"
_OLD_REQUESTS = f"""
    DELETE FROM requests WHERE (scope, request_id) IN (SELECT scope, request_id FROM requests WHERE time_us < ? LIMIT {PORTION})
"""
_FORGOTTEN_NAMES = f"""
    DELETE FROM purged_schedules WHERE uid IN (
        SELECT uid FROM purged_schedules AS p
        WHERE purged_us < ? AND NOT EXISTS (SELECT 1 FROM journal AS j WHERE j.schedule_uid <> 0 AND j.schedule_uid = p.uid) LIMIT {PORTION}
    )
"""
_DELETED_SCHEDULES = f"""
    SELECT s.row, s.uid, s.group_name, s.name FROM schedules AS s
    WHERE s.deleted_us < ? AND json_valid(s.labels) AND NOT EXISTS (SELECT 1 FROM executions AS e WHERE e.schedule_uid = s.uid)
    LIMIT {PORTION}
"""
_DELETE_LABELS = """
    DELETE FROM labels WHERE (key, value, row) IN (
        SELECT l.key, l.value, s.row FROM json_each(?) AS gone
        CROSS JOIN schedules AS s ON s.row = gone.value
        CROSS JOIN json_each(s.labels) AS l
    )
"""
_NEXT_SWEPT = f"SELECT max(uid) FROM (SELECT uid FROM schedules WHERE uid > ? ORDER BY uid LIMIT {_SWEPT})"
_TOO_LONG = f"""
    SELECT s.uid, (
        SELECT e.nominal_us FROM executions AS e WHERE e.schedule_uid = s.uid ORDER BY e.nominal_us DESC LIMIT 1 OFFSET ?
    ) AS newest_excess_us
    FROM schedules AS s
    WHERE s.uid > ? AND s.uid <= ? AND EXISTS (
        SELECT 1 FROM executions AS e WHERE e.schedule_uid = s.uid AND e.nominal_us <= newest_excess_us
            AND e.state = 'FINISHED' AND {_NO_LETTER}
    )
    ORDER BY s.uid LIMIT 1
"""
_INSERT_PURGED = insertion("purged_schedules", ("uid", "group_name", "name", "purged_us"))
_INSERT_FREE = insertion("free_rows", ("row",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """The finished executions of a schedule with a nominal time up to this one are more than are kept."""

    schedule_uid: int
    nominal_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """The instants before which things are too old, in UTC microseconds."""

    now_us: int
    retention: Retention

    def before_us(self, age: timedelta) -> int:
        """The instant that lies `age` back."""
        return self.now_us - age // _MICROSECOND


class Sweep:
    """Looks for schedules with too long histories, round and round by uid."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._uid = 0

    async def next(self, per_schedule: int) -> Excess | None:
        """The next schedule of which executions beyond the newest `per_schedule` can go; None after a whole round without any."""
        while True:
            began = self._uid
            found = await self._rest_of_round(per_schedule)
            if found is not None or began == 0:
                return found

    async def _rest_of_round(self, per_schedule: int) -> Excess | None:
        while (last := (await self._reader.one(_NEXT_SWEPT, (self._uid,)))[0]) is not None:
            for uid, nominal_us in await self._reader.all(_TOO_LONG, (per_schedule, self._uid, last)):
                self._uid = uid - 1  # it may need another portion
                return Excess(schedule_uid=uid, nominal_us=nominal_us)
            self._uid = last
        self._uid = 0
        return None


def _prune(transaction: Transaction, portions: Sequence[Portion]) -> Sequence[int | ScheddError]:
    return [next((removed for step in _STEPS if (removed := step(transaction, portion))), 0) for portion in portions]


def _executions(transaction: Transaction, portion: Portion) -> int:
    return _delete_found(transaction, _OLD_EXECUTIONS, (portion.before_us(portion.retention.history),))


def _executions_of_deleted(transaction: Transaction, portion: Portion) -> int:
    return _delete_found(transaction, _EXECUTIONS_OF_DELETED, (portion.before_us(portion.retention.deleted),))


def _delete_found(transaction: Transaction, statement: str, values: Sequence[int]) -> int:
    ids = [execution_id for (execution_id,) in transaction.connection.execute(statement, values)]
    delete_executions(transaction, ids)
    return len(ids)


def _dead_letters(transaction: Transaction, portion: Portion) -> int:
    return transaction.connection.execute(_OLD_LETTERS, (portion.before_us(portion.retention.dead_letters),)).rowcount


def _journal(transaction: Transaction, portion: Portion) -> int:
    values = (portion.now_us, portion.before_us(portion.retention.journal))
    return transaction.connection.execute(_OLD_JOURNAL, values).rowcount


def _requests(transaction: Transaction, portion: Portion) -> int:
    return transaction.connection.execute(_OLD_REQUESTS, (portion.before_us(REQUESTS_KEPT),)).rowcount


def _backfills(transaction: Transaction, portion: Portion) -> int:
    return transaction.connection.execute(_OLD_BACKFILLS, (portion.before_us(portion.retention.history),)).rowcount


def _names(transaction: Transaction, portion: Portion) -> int:
    return transaction.connection.execute(_FORGOTTEN_NAMES, (portion.before_us(portion.retention.journal),)).rowcount


def _schedules(transaction: Transaction, portion: Portion) -> int:
    """Purge schedules that were deleted long ago and have no executions any more; their rows are free for others."""
    connection = transaction.connection
    found: list[Any] = connection.execute(_DELETED_SCHEDULES, (portion.before_us(portion.retention.deleted),)).fetchall()
    if not found:
        return 0
    places = codec.encode([row for row, *_ in found])
    connection.execute(_DELETE_LABELS, (places,))
    connection.execute("DELETE FROM schedules WHERE row IN (SELECT value FROM json_each(?))", (places,))
    _INSERT_PURGED.run(connection, [(uid, group, name, portion.now_us) for _, uid, group, name in found])
    _INSERT_FREE.run(connection, [(row,) for row, *_ in found])
    for row, uid, group, name in found:
        transaction.free_row(row)
        schedule = ScheduleName(group=group, schedule=name)
        transaction.journal(
            JournalEntry(time_us=portion.now_us, kind=JournalKind.SCHEDULE_PURGED, schedule=schedule, schedule_uid=uid), row
        )
    return len(found)


_STEPS: Sequence[Callable[[Transaction, Portion], int]] = (
    _dead_letters,
    _executions,
    _journal,
    _executions_of_deleted,
    _schedules,
    _requests,
    _names,
    _backfills,
)

PRUNE: Operation[Portion, int] = Operation(run=_prune)


def _prune_excess(transaction: Transaction, found: Sequence[Excess]) -> Sequence[int | ScheddError]:
    return [_delete_found(transaction, _EXCESS_EXECUTIONS, (excess.schedule_uid, excess.nominal_us)) for excess in found]


PRUNE_EXCESS: Operation[Excess, int] = Operation(run=_prune_excess)
