"""Dead letters: kept at failure, read, redelivered and removed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from schedd.core.errors import ConflictError, NotFoundError, PreconditionError, ScheddError
from schedd.core.model.deadletter import DeadLetter, Purge, Redelivery
from schedd.core.model.execution import id_text
from schedd.core.model.query import Filter, Order, Page, PageRequest
from schedd.core.model.rendering import Rendering
from schedd.store import codec, executions, rows, search
from schedd.store.committer import Operation
from schedd.store.reader import Reader
from schedd.store.requests import Requests
from schedd.store.transaction import Transaction

_log = logging.getLogger(__name__)

_REDELIVER = """
    UPDATE executions SET state = 'WAITING_RETRY', outcome = NULL, finished_us = NULL, next_attempt_us = ?2,
        attempts_before = attempt, redelivered_us = ?2
    WHERE id = ?1 AND state = 'FINISHED'
"""
_MARK = "UPDATE dead_letters SET redelivered_us = ?2 WHERE execution_id = ?1"
_PURGE = "DELETE FROM dead_letters WHERE execution_id = ? RETURNING execution_id"
_WIDTH = len(executions.READ_COLUMNS)
_COLUMNS = f"{', '.join(executions.READ_COLUMNS)}, d.created_us, d.redelivered_us, d.request_kind, d.request"
_SOURCE = f"FROM dead_letters AS d JOIN executions AS e ON e.id = d.execution_id {executions.WITH_SCHEDULE}"
_ORDERS = {"create_time": ("d.created_us", "d.execution_id")}
_LAST_ATTEMPT = f"SELECT {', '.join(rows.ATTEMPT_COLUMNS)} FROM attempts WHERE execution_id = ? ORDER BY number DESC LIMIT 1"


def _redeliver(transaction: Transaction, redeliveries: Sequence[Redelivery]) -> Sequence[bool | ScheddError]:
    requests = Requests.of(transaction, (redelivery.request for redelivery in redeliveries))
    answers = [_take_up(transaction, requests, redelivery) for redelivery in redeliveries]
    requests.write(transaction)
    return answers


REDELIVER: Operation[Redelivery, bool] = Operation(run=_redeliver)
"""Gives False for a request seen before: nothing is changed then."""


def _take_up(transaction: Transaction, requests: Requests, redelivery: Redelivery) -> bool | ScheddError:
    first = requests.answer(redelivery.request)
    if isinstance(first, ConflictError):
        return first
    if first is not None:
        return False
    values = (redelivery.execution_id, redelivery.now_us)
    if not transaction.connection.execute(_REDELIVER, values).rowcount:
        found = transaction.connection.execute("SELECT 1 FROM executions WHERE id = ?", values[:1]).fetchone()
        name = id_text(redelivery.execution_id)
        if found is None:
            return NotFoundError("execution", name)
        return PreconditionError("execution", name, reason="NOT_FINISHED", description="has not finished yet")
    transaction.connection.execute(_MARK, values)
    transaction.journal_all((redelivery.entry,))
    requests.add(redelivery.request, (redelivery.execution_id,), time_us=redelivery.now_us)
    return True


def _purge(transaction: Transaction, purges: Sequence[Purge]) -> Sequence[int | ScheddError]:
    return [sum(_remove(transaction, purge, execution_id) for execution_id in purge.entries) for purge in purges]


PURGE: Operation[Purge, int] = Operation(run=_purge)


def _remove(transaction: Transaction, purge: Purge, execution_id: int) -> bool:
    removed = transaction.connection.execute(_PURGE, (execution_id,)).fetchone() is not None
    if removed:
        transaction.journal_all((purge.entries[execution_id],))
    return removed


async def find(reader: Reader, where: Filter, *, descending: bool, page: PageRequest) -> Page[DeadLetter]:
    """A page of dead letters by time of creation. Raises: InvalidError."""
    matching = search.conditions(where, search.EXECUTION_FIELDS)
    order = Order(field="create_time", descending=descending)
    return await _with_attempts(
        reader, await reader.page(search.ordered(_COLUMNS, _SOURCE, matching, order=order, orders=_ORDERS, page=page), _letter)
    )


async def of_execution(reader: Reader, execution_id: int) -> DeadLetter:
    """The dead letter of an execution. Raises: NotFoundError."""
    found = await reader.all(f"SELECT {_COLUMNS} {_SOURCE} WHERE d.execution_id = ?", (execution_id,))
    if not found:
        raise NotFoundError("dead letter", id_text(execution_id))
    return _letter(found[0])


def _letter(row: Any) -> DeadLetter:
    execution = rows.execution_of(row[:_WIDTH])
    created_us, redelivered_us, kind, text = row[_WIDTH : _WIDTH + 4]
    return DeadLetter(
        execution=execution,
        request=_request(execution.id, kind, text),
        last_attempt=None,
        created_us=created_us,
        redelivered_us=redelivered_us,
    )


def _request(execution_id: int, kind: str | None, text: str) -> Rendering | None:
    """What was sent; None where it could not be rendered, or cannot be read."""
    if kind is None:
        return None
    try:
        return codec.decode_rendering(kind, text)
    except codec.DecodeError as exc:
        _log.warning("dead_letters row %s: the request cannot be read: %s", execution_id, exc)
        return None


async def _with_attempts(reader: Reader, page: Page[DeadLetter]) -> Page[DeadLetter]:
    items = []
    for letter in page.items:
        found = await reader.readable(_LAST_ATTEMPT, (letter.execution.id,), rows.attempt_of)
        items.append(replace(letter, last_attempt=found[0] if found else None))
    return replace(page, items=items)
