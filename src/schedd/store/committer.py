"""Carries out operations on the connection that writes: a group of them in one transaction. It knows no loop and no thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from schedd.core.errors import ScheddError, UnavailableError
from schedd.core.model.journal import JournalEntry
from schedd.core.ports import CommitListener
from schedd.store.transaction import Transaction, stored_counters

Item = TypeVar("Item")
Result = TypeVar("Result")

TRANSACTION_ROWS = 5_000
"""A transaction takes waiting operations until they write about this many rows, so that none holds up the others for long."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation(Generic[Item, Result]):
    """A kind of change. `run` carries out those of its kind that share a transaction, in order, with few statements.

    It gives for each of them its result, or the error that its caller gets; it raises only what it did not foresee.
    """

    run: Callable[[Transaction, Sequence[Item]], Sequence[Result | ScheddError]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waiting:
    """An operation that somebody has asked for. `rows` is about how many rows it writes; `future` is what its caller waits for."""

    operation: Operation[Any, Any]
    item: Any
    rows: int
    future: asyncio.Future[Any]


class Answered(NamedTuple):
    """An operation that was carried out, and what came of it: its result, or the error for its caller."""

    waiting: Waiting
    answer: object

    def tell(self) -> None:
        """Answer the caller, if it still waits. To be called on the loop's thread."""
        if self.waiting.future.done():
            return
        if isinstance(self.answer, Exception):
            self.waiting.future.set_exception(self.answer)
        else:
            self.waiting.future.set_result(self.answer)


class Committed(NamedTuple):
    """What one transaction came to: its operations, and its journal."""

    answered: Sequence[Answered]
    entries: Sequence[JournalEntry] = ()

    def tell(self, listener: CommitListener) -> None:
        """Hand the journal on, then answer those who still wait. To be called on the loop's thread."""
        try:
            if self.entries:
                listener(self.entries)
        finally:
            for answered in self.answered:
                answered.tell()


class Committer:
    """Owns the connection that writes and checkpoints."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._counters = stored_counters(connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def carry_out(self, group: Sequence[Waiting]) -> Iterator[Committed]:
        """Carry out a group in one transaction; if one of them spoils it by something unforeseen, each in its own."""
        try:
            committed = self._transact(group)
        except sqlite3.OperationalError as exc:
            yield Committed([Answered(waiting, _refusal(exc)) for waiting in group])
        except Exception as exc:  # noqa: BLE001 (whatever it is belongs to a caller, and who carries out has to live on)
            if len(group) == 1:
                yield Committed([Answered(group[0], _refusal(exc) if isinstance(exc, sqlite3.Error) else exc)])
            else:
                for waiting in group:
                    yield from self.carry_out([waiting])
        else:
            yield committed

    def _transact(self, group: Sequence[Waiting]) -> Committed:
        if self._connection.in_transaction:  # an earlier ROLLBACK failed, on a full disk say
            self._connection.execute("ROLLBACK")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            transaction = Transaction(connection=self._connection, counters=self._counters)
            answered = _run(transaction, group)
            transaction.write_journal()
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._counters = transaction.counters_after()
        return Committed(answered, transaction.entries)


def _run(transaction: Transaction, group: Sequence[Waiting]) -> list[Answered]:
    """Run the group kind by kind, each kind in the order of its calls."""
    kinds: dict[Operation[Any, Any], list[Waiting]] = {}
    for waiting in group:
        kinds.setdefault(waiting.operation, []).append(waiting)
    answered: list[Answered] = []
    for operation, members in kinds.items():
        answers = operation.run(transaction, [member.item for member in members])
        answered += map(Answered._make, zip(members, answers, strict=True))
    return answered


def _refusal(exc: sqlite3.Error) -> UnavailableError:
    error = UnavailableError(
        reason="STORE_REFUSES_WRITES",
        description=f"the store refuses to write: {exc} ({getattr(exc, 'sqlite_errorname', type(exc).__name__)})",
    )
    error.__cause__ = exc
    return error


def nobody(entries: Sequence[JournalEntry]) -> None:
    """The commit listener before there is one."""
