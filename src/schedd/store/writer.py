"""The one thread that writes: it carries out all operations that wait in one transaction, and answers their callers together."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

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
class _Waiting:
    operation: Operation[Any, Any]
    item: Any
    rows: int
    future: asyncio.Future[Any]


_Answer = tuple[_Waiting, object]


class Writer:
    """Owns the connection that writes and checkpoints. Its methods are called on the loop's thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._counters = stored_counters(connection)
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._ended = self._loop.create_future()
        self._closing = False
        self._listener: CommitListener = _nobody
        self._thread = threading.Thread(target=self._serve, name="schedd-writer", daemon=True)
        self._thread.start()

    def listen(self, listener: CommitListener) -> None:
        """Set the one commit listener."""
        self._listener = listener

    async def submit(self, operation: Operation[Item, Result], item: Item, *, rows: int) -> Result:
        """Carry out a change of about `rows` rows and give its result once it is durable; also when the caller does not wait for it.

        Raises: UnavailableError; what the operation raises.
        """
        if self._closing:
            raise UnavailableError(reason="STORE_CLOSED", description="the store is closed")
        future: asyncio.Future[Result] = self._loop.create_future()
        self._queue.put(_Waiting(operation=operation, item=item, rows=rows, future=future))
        return await future

    async def aclose(self) -> None:
        """Finish what was submitted, checkpoint, and close the connection."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    # On the writer's thread

    def _serve(self) -> None:
        open_ = True
        while open_:
            group, open_ = self._next_group()
            if group:
                self._carry_out(group)
        self._connection.close()
        self._call(lambda: self._ended.set_result(None))

    def _next_group(self) -> tuple[list[_Waiting], bool]:
        """Wait for an operation and take what else is there; False with the last group before the end."""
        group: list[_Waiting] = []
        rows = 0
        waiting = self._queue.get()
        while waiting is not None:
            group.append(waiting)
            rows += waiting.rows
            if rows >= TRANSACTION_ROWS:
                return group, True
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _carry_out(self, group: Sequence[_Waiting]) -> None:
        """Carry out a group in one transaction; if one of them spoils it by something unforeseen, each in its own."""
        try:
            answers, entries = self._transact(group)
        except sqlite3.OperationalError as exc:
            self._answer([(waiting, _refusal(exc)) for waiting in group], ())
        except Exception as exc:  # noqa: BLE001 (whatever it is belongs to a caller, and the thread has to live on)
            if len(group) == 1:
                self._answer([(group[0], _refusal(exc) if isinstance(exc, sqlite3.Error) else exc)], ())
            else:
                for waiting in group:
                    self._carry_out([waiting])
        else:
            self._answer(answers, entries)

    def _transact(self, group: Sequence[_Waiting]) -> tuple[list[_Answer], Sequence[JournalEntry]]:
        if self._connection.in_transaction:  # an earlier ROLLBACK failed, on a full disk say
            self._connection.execute("ROLLBACK")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            transaction = Transaction(connection=self._connection, counters=self._counters)
            answers = _run(transaction, group)
            transaction.write_journal()
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._counters = transaction.counters_after()
        return answers, transaction.entries

    def _answer(self, answers: Sequence[_Answer], entries: Sequence[JournalEntry]) -> None:
        self._call(lambda: self._resolve(answers, entries))

    def _call(self, callback: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told, and what is committed stays so
            self._loop.call_soon_threadsafe(callback)

    # On the loop's thread again

    def _resolve(self, answers: Sequence[_Answer], entries: Sequence[JournalEntry]) -> None:
        try:
            if entries:
                self._listener(entries)
        finally:
            for waiting, answer in answers:
                if waiting.future.done():
                    continue
                if isinstance(answer, Exception):
                    waiting.future.set_exception(answer)
                else:
                    waiting.future.set_result(answer)


def _run(transaction: Transaction, group: Sequence[_Waiting]) -> list[_Answer]:
    """Run the group kind by kind, each kind in the order of its calls."""
    kinds: dict[Operation[Any, Any], list[_Waiting]] = {}
    for waiting in group:
        kinds.setdefault(waiting.operation, []).append(waiting)
    answers: list[_Answer] = []
    for operation, members in kinds.items():
        answers += zip(members, operation.run(transaction, [member.item for member in members]), strict=True)
    return answers


def _refusal(exc: sqlite3.Error) -> UnavailableError:
    error = UnavailableError(
        reason="STORE_REFUSES_WRITES",
        description=f"the store refuses to write: {exc} ({getattr(exc, 'sqlite_errorname', type(exc).__name__)})",
    )
    error.__cause__ = exc
    return error


def _nobody(entries: Sequence[JournalEntry]) -> None:
    """The commit listener before there is one."""
