"""Backfills: stored, moved on with what is armed, counted with what finishes, ended and read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from schedd.core.errors import NotFoundError, ScheddError
from schedd.core.model.backfill import Backfill, BackfillEnd, BackfillStep
from schedd.core.model.batch import Answer, ArmBatch, RecordBatch, RequestMark
from schedd.core.model.execution import id_text
from schedd.core.model.journal import JournalEntry
from schedd.core.model.query import Filter, Order, Page, PageRequest
from schedd.core.model.reason import Outcome
from schedd.store import codec, rows, search
from schedd.store.committer import Operation
from schedd.store.reader import Reader
from schedd.store.requests import Requests
from schedd.store.statements import insertion, update
from schedd.store.transaction import Transaction

_INSERT = insertion("backfills", rows.BACKFILL_COLUMNS)
_STEP = update("backfills", "id", ("next_us", "left_count", "paced_us"))
_COUNT = """
    UPDATE backfills SET
        done_count = done_count + ?, succeeded_count = succeeded_count + ?,
        failed_count = failed_count + ?, skipped_count = skipped_count + ?
    WHERE id = ?
"""
_END = "UPDATE backfills SET state = ?, finished_us = ? WHERE id = ? AND cause = 'BACKFILL'"
_FORGET = "DELETE FROM backfills WHERE id = ? AND cause = 'SCHEDULE'"
_FORGET_DONE = "DELETE FROM backfills WHERE id IN (SELECT value FROM json_each(?)) AND cause = 'SCHEDULE'"
_COLUMNS = ", ".join(["b." + column for column in rows.BACKFILL_COLUMNS] + ["s.group_name", "s.name"])
_SOURCE = "FROM backfills AS b JOIN schedules AS s ON s.row = b.schedule_row AND s.uid = b.schedule_uid"
_BY_ID = f"SELECT {_COLUMNS} {_SOURCE} WHERE b.id = ? AND b.cause = 'BACKFILL'"
_RUNNING = f"SELECT {_COLUMNS} {_SOURCE} WHERE b.state = 'RUNNING' ORDER BY b.id"
_ASKED_FOR = search.Condition(text="b.cause = 'BACKFILL'")
_RUN = "SELECT nominal_us FROM executions WHERE schedule_uid = ? AND nominal_us BETWEEN ? AND ? AND cause = 'BACKFILL'"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBackfill:
    """A backfill to be stored, what is journaled about it, and the mark of who asks."""

    backfill: Backfill
    entry: JournalEntry
    request: RequestMark | None


def _create(transaction: Transaction, wanted: Sequence[NewBackfill]) -> Sequence[Answer | ScheddError | None]:
    requests = Requests.of(transaction, (each.request for each in wanted))
    answers: list[Answer | ScheddError | None] = []
    for each in wanted:
        first = requests.answer(each.request)
        answers.append(first)
        if first is None:
            insert(transaction, [each.backfill])
            transaction.journal(each.entry, each.backfill.schedule_row)
            requests.add(each.request, (each.backfill.id,), time_us=each.backfill.created_us)
    requests.write(transaction)
    return answers


CREATE: Operation[NewBackfill, Answer | None] = Operation(run=_create)
"""Gives the answer of an earlier call with the same mark, if there was one: nothing is stored then."""


def _end(transaction: Transaction, ends: Sequence[BackfillEnd]) -> Sequence[ScheddError | None]:
    end_all(transaction, ends)
    return [None] * len(ends)


END: Operation[BackfillEnd, None] = Operation(run=_end)


def end_all(transaction: Transaction, ends: Iterable[BackfillEnd]) -> None:
    """End ranges, and journal it."""
    for end in ends:
        transaction.connection.execute(_END, (end.state.value, end.finished_us, end.id))
        transaction.connection.execute(_FORGET, (end.id,))
        transaction.journal_all(end.entries)


def insert(transaction: Transaction, backfills: Sequence[Backfill]) -> None:
    """Store new ranges."""
    _INSERT.run(transaction.connection, [rows.backfill_values(backfill) for backfill in backfills])


def armed(transaction: Transaction, batches: Iterable[ArmBatch]) -> None:
    """Store what batches of arming say about ranges: new backlogs, and how far others are."""
    steps: dict[int, BackfillStep] = {}
    for batch in batches:
        insert(transaction, batch.backlogs)
        for step in batch.steps:
            steps[step.id] = step
            if step.skipped:
                _count(transaction, step.id, Counter({Outcome.SKIPPED: step.skipped}))
    _STEP.run(transaction.connection, [step[:4] for step in steps.values()])
    if done := [step.id for step in steps.values() if step.next_us is None]:
        transaction.connection.execute(_FORGET_DONE, (codec.encode(done),))


def recorded(transaction: Transaction, batches: Iterable[RecordBatch]) -> None:
    """Count what has finished."""
    ended: dict[int, Counter[Outcome]] = {}
    for batch in batches:
        for id_, outcome in batch.backfilled:
            ended.setdefault(id_, Counter())[outcome] += 1
    for id_, counted in ended.items():
        _count(transaction, id_, counted)


def _count(transaction: Transaction, id_: int, counted: Counter[Outcome]) -> None:
    numbers = (counted.total(), counted[Outcome.SUCCEEDED], counted[Outcome.FAILED], counted[Outcome.SKIPPED])
    transaction.connection.execute(_COUNT, (*numbers, id_))


async def backfill(reader: Reader, id_: int) -> Backfill:
    """Raises: NotFoundError; StoredDataError."""
    found = await reader.all(_BY_ID, (id_,))
    if not found:
        raise NotFoundError("backfill", id_text(id_))
    return rows.backfill_of(found[0])


async def running(reader: Reader) -> tuple[Backfill, ...]:
    """All ranges under way, in the order in which they began."""
    return tuple(await reader.readable(_RUNNING, (), rows.backfill_of))


async def find(reader: Reader, where: Filter, page: PageRequest) -> Page[Backfill]:
    """A page of those that were asked for, newest first. Raises: InvalidError."""
    matching = search.joined([search.conditions(where, search.BACKFILL_FIELDS), _ASKED_FOR])
    order = Order(field="backfill", descending=True)
    wanted = search.ordered(_COLUMNS, _SOURCE, matching, order=order, orders=search.BACKFILL_ORDERS, page=page)
    return await reader.page(wanted, rows.backfill_of)


async def run_before(reader: Reader, schedule_uid: int, first_us: int, last_us: int) -> frozenset[int]:
    """The nominal times of a range, both ends included, that backfills have armed."""
    found: list[Any] = await reader.all(_RUN, (schedule_uid, first_us, last_us))
    return frozenset(nominal_us for (nominal_us,) in found)
