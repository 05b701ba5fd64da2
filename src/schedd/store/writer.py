"""The one thread that writes: it carries out all operations that wait in one transaction, and answers their callers together."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from schedd.core.errors import UnavailableError
from schedd.core.ports import CommitListener
from schedd.store.committer import TRANSACTION_ROWS, Committed, Committer, Item, Operation, Result, Waiting, nobody


class Writer:
    """Has a thread of its own carry changes out. Its methods are called on the loop's thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._committer = Committer(connection)
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._ended = self._loop.create_future()
        self._closing = False
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
            self._queue.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    # On the writer's thread

    def _serve(self) -> None:
        open_ = True
        while open_:
            group, open_ = self._next_group()
            if group:
                for committed in self._committer.carry_out(group):
                    self._call(partial(self._tell, committed))
        self._committer.close()
        self._call(lambda: self._ended.set_result(None))

    def _next_group(self) -> tuple[list[Waiting], bool]:
        """Wait for an operation and take what else is there; False with the last group before the end."""
        group: list[Waiting] = []
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

    def _tell(self, committed: Committed) -> None:
        committed.tell(self._listener)

    def _call(self, callback: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told, and what is committed stays so
            self._loop.call_soon_threadsafe(callback)
