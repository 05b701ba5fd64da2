"""Writing and reading on the loop's own thread, for a database in memory: the same calls in the same order give the same history."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from schedd.core.errors import UnavailableError
from schedd.core.ports import CommitListener
from schedd.store.committer import TRANSACTION_ROWS, Committer, Item, Operation, Result, Waiting, nobody

Turn = Callable[[Callable[[], None]], object]
"""Sees to it that something is done on the loop's thread, now or later: `loop.call_soon`, say. What it never does has not happened."""


class InlineWriter:
    """Carries changes out as `Writer` does, in turns of the loop: what waits when the turn comes shares a transaction."""

    def __init__(self, committer: Committer, turn: Turn) -> None:
        self._committer = committer
        self._turn = turn
        self._queue: deque[Waiting] = deque()
        self._closing = False
        self._listener: CommitListener = nobody

    def listen(self, listener: CommitListener) -> None:
        """Set the one commit listener."""
        self._listener = listener

    async def submit(self, operation: Operation[Item, Result], item: Item, *, rows: int) -> Result:
        """Carry out a change of about `rows` rows and give its result; also when the caller does not wait for it.

        Raises: UnavailableError; what the operation raises.
        """
        if self._closing:
            raise UnavailableError(reason="STORE_CLOSED", description="the store is closed")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append(Waiting(operation=operation, item=item, rows=rows, future=future))
        if len(self._queue) == 1:
            self._turn(self._carry_out)
        return await future

    async def aclose(self) -> None:
        """Finish what was submitted. The database stays."""
        self._closing = True
        if self._queue:
            await asyncio.wait([waiting.future for waiting in self._queue])

    def _carry_out(self) -> None:
        group: list[Waiting] = []
        rows = 0
        while self._queue and rows < TRANSACTION_ROWS:
            waiting = self._queue.popleft()
            rows += waiting.rows
            group.append(waiting)
        for committed in self._committer.carry_out(group):
            committed.tell(self._listener)
        if self._queue:
            self._turn(self._carry_out)


class InlineConnection:
    """Reads from a connection that others use too, each statement in a turn of its own. Closing it leaves the connection open."""

    def __init__(self, connection: sqlite3.Connection, turn: Turn) -> None:
        self._connection = connection
        self._turn = turn
        self._closed = False

    async def execute_fetchall(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """The rows that a statement gives. Raises: sqlite3.Error; ValueError once it is closed."""
        if self._closed:
            raise ValueError("the connection is closed")
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._turn(partial(self._read, sql, parameters, future))
        return await future

    async def close(self) -> None:
        """Read no more."""
        self._closed = True

    def _read(self, sql: str, parameters: Sequence[object], future: asyncio.Future[list[Any]]) -> None:
        if future.done():
            return
        try:
            future.set_result(self._connection.execute(sql, parameters).fetchall())
        except sqlite3.Error as exc:
            future.set_exception(exc)
