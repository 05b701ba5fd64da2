"""Executions and their attempts: armed, changed, taken back and read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from schedd.core.errors import ConflictError, NotFoundError, ScheddError
from schedd.core.model.batch import ArmBatch, RecordBatch
from schedd.core.model.execution import Attempt, Execution, id_text
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.query import Filter, Order, Page, PageRequest
from schedd.store import backfills, codec, notices, rows, search, timers
from schedd.store.committer import Operation
from schedd.store.reader import Reader
from schedd.store.requests import Requests
from schedd.store.statements import insertion, update
from schedd.store.transaction import Transaction

_INSERT_EXECUTIONS = insertion("executions", rows.EXECUTION_COLUMNS, "ON CONFLICT DO NOTHING RETURNING id")
_UPDATE_EXECUTIONS = update("executions", "id", rows.EXECUTION_STANDING)
_INSERT_ATTEMPTS = insertion("attempts", rows.ATTEMPT_COLUMNS, "ON CONFLICT DO NOTHING")
_DELETE_EXECUTIONS = "DELETE FROM executions WHERE id IN (SELECT value FROM json_each(?))"
_DELETE_ATTEMPTS = "DELETE FROM attempts WHERE execution_id IN (SELECT value FROM json_each(?))"
READ_COLUMNS = (*("e." + column for column in rows.EXECUTION_COLUMNS), "s.group_name", "s.name", "e.attempts_before", "e.redelivered_us")
WITH_SCHEDULE = "LEFT JOIN schedules AS s ON s.row = e.schedule_row AND s.uid = e.schedule_uid"
_COLUMNS = ", ".join(READ_COLUMNS)
_SOURCE = f"FROM executions AS e {WITH_SCHEDULE}"
_INSERT_LETTERS = insertion(
    "dead_letters",
    ("execution_id", "created_us", "request_kind", "request"),
    "ON CONFLICT DO UPDATE SET created_us = excluded.created_us, request_kind = excluded.request_kind, request = excluded.request",
)
_DELETE_LETTERS = "DELETE FROM dead_letters WHERE execution_id IN (SELECT value FROM json_each(?))"
_BY_ID = f"SELECT {_COLUMNS} {_SOURCE} WHERE e.id = ?"
_UNFINISHED = f"SELECT {_COLUMNS} {_SOURCE} WHERE e.state <> 'FINISHED' ORDER BY e.due_us, e.id"
_ATTEMPTS = f"SELECT {', '.join(rows.ATTEMPT_COLUMNS)} FROM attempts WHERE execution_id = ? ORDER BY number"
_COUNT_RUN = "INSERT INTO run_counts VALUES (?, 1) ON CONFLICT (uid) DO UPDATE SET count = count + 1"
_RUN_COUNTS = "SELECT uid, count FROM run_counts"
_SET_MARK = "UPDATE marks SET value = ? WHERE name = 'planned_through_us'"


def _arm(transaction: Transaction, batches: Sequence[ArmBatch]) -> Sequence[frozenset[int] | ScheddError]:
    requests = Requests.of(transaction, (batch.request for batch in batches))
    planned = _insert(transaction, [batch for batch in batches if batch.request is None])
    answers = [next(planned) if batch.request is None else _arm_requested(transaction, requests, batch) for batch in batches]
    requests.write(transaction)
    backfills.armed(transaction, batches)
    # The last one holds where two rounds of the planner share a transaction.
    timers.decided(transaction, list({timer.row: timer for batch in batches for timer in batch.decided}.values()))
    marks = [batch.planned_through_us for batch in batches if batch.planned_through_us is not None]
    if marks:
        transaction.connection.execute(_SET_MARK, (marks[-1],))
    return answers


def _arm_requested(transaction: Transaction, requests: Requests, batch: ArmBatch) -> frozenset[int] | ScheddError:
    """Arm what somebody asked for. One at a time: the same request may wait twice."""
    answer = requests.answer(batch.request)
    if isinstance(answer, ConflictError):
        return answer
    if answer is not None:
        return frozenset(map(int, answer))
    (armed,) = _insert(transaction, [batch])
    if armed:
        requests.add(batch.request, sorted(armed), time_us=batch.executions[0].armed_us)
    return armed


def _insert(transaction: Transaction, batches: Sequence[ArmBatch]) -> Iterator[frozenset[int]]:
    """Store the executions of all batches; for each batch the ids of those that were not there already."""
    stored = insert_executions(transaction, [execution for batch in batches for execution in batch.executions])
    for batch in batches:
        armed = frozenset(execution.id for execution in batch.executions if execution.id in stored)
        stored -= armed
        transaction.journal_all(entry for entry in batch.entries if not _left_out(entry, armed))
        yield armed


def _left_out(entry: JournalEntry, armed: frozenset[int]) -> bool:
    return entry.kind is JournalKind.EXECUTION_ARMED and entry.execution is not None and entry.execution.id not in armed


def _record(transaction: Transaction, batches: Sequence[RecordBatch]) -> Sequence[frozenset[int] | ScheddError]:
    last = {change.execution_id: change for batch in batches for change in batch.changes}
    _UPDATE_EXECUTIONS.run(transaction.connection, [rows.change_values(change) for change in last.values()])
    attempts = [rows.attempt_values(attempt) for batch in batches for attempt in batch.attempts]
    _INSERT_ATTEMPTS.run(transaction.connection, attempts)
    _INSERT_LETTERS.run(transaction.connection, [rows.letter_values(letter) for batch in batches for letter in batch.dead_letters])
    if settled := [execution_id for batch in batches for execution_id in batch.settled]:
        transaction.connection.execute(_DELETE_LETTERS, (codec.encode(settled),))
    delete_executions(transaction, [execution_id for batch in batches for execution_id in batch.disarmed])
    backfills.recorded(transaction, batches)
    notices.recorded(transaction, batches)
    stored = insert_executions(transaction, [execution for batch in batches for execution in batch.followed])
    answers = []
    for batch in batches:
        if batch.ran:
            transaction.connection.executemany(_COUNT_RUN, [(uid,) for uid in batch.ran])
        armed = frozenset(execution.id for execution in batch.followed if execution.id in stored)
        transaction.journal_all([entry for entry in batch.entries if not _left_out(entry, armed)] if batch.followed else batch.entries)
        answers.append(armed)
    return answers


def insert_executions(transaction: Transaction, executions: Sequence[Execution]) -> set[Any]:
    """Store executions; the ids of those that were not there already."""
    values = [rows.execution_values(execution) for execution in executions]
    return {row[0] for row in _INSERT_EXECUTIONS.returning(transaction.connection, values)}


def delete_executions(transaction: Transaction, ids: Sequence[int]) -> None:
    """Remove executions and their attempts."""
    if ids:
        transaction.connection.execute(_DELETE_EXECUTIONS, (codec.encode(ids),))
        transaction.connection.execute(_DELETE_ATTEMPTS, (codec.encode(ids),))
        transaction.connection.execute(_DELETE_LETTERS, (codec.encode(ids),))


ARM: Operation[ArmBatch, frozenset[int]] = Operation(run=_arm)
RECORD: Operation[RecordBatch, frozenset[int]] = Operation(run=_record)


async def execution(reader: Reader, execution_id: int) -> Execution:
    """Raises: NotFoundError; StoredDataError."""
    found = await reader.all(_BY_ID, (execution_id,))
    if not found:
        raise NotFoundError("execution", id_text(execution_id))
    return rows.execution_of(found[0])


async def attempts(reader: Reader, execution_id: int) -> tuple[Attempt, ...]:
    """The attempts of an execution, by number; those that cannot be read are left out."""
    return tuple(await reader.readable(_ATTEMPTS, (execution_id,), rows.attempt_of))


async def unfinished(reader: Reader) -> tuple[Execution, ...]:
    """All that are not FINISHED, by due time."""
    return tuple(await reader.readable(_UNFINISHED, (), rows.execution_of))


async def run_counts(reader: Reader) -> dict[int, int]:
    """How often each schedule with a limit has run, by uid."""
    return dict(await reader.all(_RUN_COUNTS, ()))


async def find(reader: Reader, where: Filter, order: Order, page: PageRequest) -> Page[Execution]:
    """A page of executions. Raises: InvalidError."""
    matching = search.conditions(where, search.EXECUTION_FIELDS)
    wanted = search.ordered(_COLUMNS, _SOURCE, matching, order=order, orders=search.EXECUTION_ORDERS, page=page)
    return await reader.page(wanted, rows.execution_of)
