"""The one thread that writes: it carries out all operations that wait in one transaction, and then answers their callers."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from schedd.core.errors import UnavailableError
from schedd.core.ports import CommitListener
from schedd.store.committer import TRANSACTION_ROWS, Answered, Committed, Committer, Item, Operation, Result, Waiting, nobody

_LINGER_S = 0.001
_LINGERS = 8
"""While several ask, a transaction waits for more as long as each wait brings some: one of few operations costs as much as one of many."""

_ANSWERS_A_TURN = 4
"""How many callers go on in one turn of the loop: what comes due is never behind all those of a large transaction."""


class Writer:
    """Has a thread of its own carry changes out. Its methods are called on the loop's thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._committer = Committer(connection)
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._ended = self._loop.create_future()
        self._closing = False
        self._crowded = False
        self._hurry = threading.Event()
        self._answered: deque[Answered] = deque()
        self._listener: CommitListener = nobody
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
        self._queue.put(Waiting(operation=operation, item=item, rows=rows, future=future))
        return await future

    async def aclose(self) -> None:
        """Finish what was submitted, checkpoint, and close the connection."""
        if not self._closing:
            self._closing = True
            self._hurry.set()
            self._queue.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    def _tell(self, committed: Committed) -> None:
        """Hand the journal on, then answer the callers, some a turn, in the order of their commits."""
        idle = not self._answered
        self._answered += committed.answered
        try:
            if committed.entries:
                self._listener(committed.entries)
        finally:
            if idle:
                self._answer_some()

    def _answer_some(self) -> None:
        for _ in range(min(_ANSWERS_A_TURN, len(self._answered))):
            self._answered.popleft().tell()
        if self._answered:
            self._loop.call_soon(self._answer_some)

    def _end(self) -> None:
        if self._answered:
            self._loop.call_soon(self._end)
        else:
            self._ended.set_result(None)

    # On the writer's thread

    def _serve(self) -> None:
        last = False
        while not last:
            group = self._next_group()
            last = group.last
            if group.members:
                for committed in self._committer.carry_out(group.members):
                    self._call(partial(self._tell, committed))
        self._committer.close()
        self._call(self._end)

    def _next_group(self) -> _Group:
        """Wait for an operation and take what else is there, or is about to be."""
        group = _Group()
        group.add(self._queue.get())
        group.take_from(self._queue)
        lingers = _LINGERS if self._crowded else 0
        while lingers and not group.is_full:
            before = len(group.members)
            self._hurry.wait(_LINGER_S)
            group.take_from(self._queue)
            lingers = lingers - 1 if len(group.members) > before else 0
        self._crowded = len(group.members) > 1
        return group

    def _call(self, callback: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told, and what is committed stays so
            self._loop.call_soon_threadsafe(callback)


class _Group:
    """The operations of one transaction; the `last` one before the end has nothing after it."""

    def __init__(self) -> None:
        self.members: list[Waiting] = []
        self.last = False
        self._rows = 0

    @property
    def is_full(self) -> bool:
        return self.last or self._rows >= TRANSACTION_ROWS

    def add(self, waiting: Waiting | None) -> None:
        """Take one in; None is the end."""
        if waiting is None:
            self.last = True
        else:
            self.members.append(waiting)
            self._rows += waiting.rows

    def take_from(self, queue: SimpleQueue[Waiting | None]) -> None:
        """Take what is there, as far as there is room."""
        with suppress(Empty):
            while not self.is_full:
                self.add(queue.get_nowait())
