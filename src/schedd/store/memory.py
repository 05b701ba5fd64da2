"""A database in memory, with the same schema, statements and transactions as one in a file."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import cache
from pathlib import Path

from schedd.store import database
from schedd.store.committer import Committer
from schedd.store.inline import InlineConnection, InlineWriter, Turn
from schedd.store.reader import Reader
from schedd.store.sqlite import SqliteStore

_NOWHERE = Path(":memory:")


class MemoryDatabase:
    """A database that lives as long as this object: stores on it come and go, as daemons do on a file, one at a time.

    `connection` is the only one there is, of the class `made_as`. Whoever looks at it directly does so between two turns of the loop.
    """

    def __init__(self, made_as: type[sqlite3.Connection] = sqlite3.Connection) -> None:
        self.connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=1024, factory=made_as
        )
        _template().backup(self.connection)

    def store(self, *, writes: Turn | None = None, reads: Turn | None = None) -> SqliteStore:
        """A store on what is committed, for the running loop. `writes` and `reads` say when something is done; the default is soon."""
        soon: Turn = asyncio.get_running_loop().call_soon
        reader = Reader(InlineConnection(self.connection, reads or soon))
        return SqliteStore(_NOWHERE, InlineWriter(Committer(self.connection), writes or soon), reader, reader, size_bytes=self._size_bytes)

    def _size_bytes(self) -> int:
        (size,) = self.connection.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
        return int(size)

    def close(self) -> None:
        """Let go of all that is in it."""
        self.connection.close()


@cache
def _template() -> sqlite3.Connection:
    """An empty database of this version's schema. Copying it is a hundred times faster than migrating."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    database.bring_up(connection)
    return connection
