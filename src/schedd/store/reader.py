"""A connection that only reads: never writes, never checkpoints."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import aiosqlite

from schedd.core.errors import StoredDataError, UnavailableError
from schedd.core.model.query import Page
from schedd.store.search import Search
from schedd.store.statements import Row

T = TypeVar("T")

_log = logging.getLogger(__name__)

DECODED_ON_THE_LOOP = 32
"""More rows than this are decoded on a thread, so that the loop does not wait for them."""


def read_only_uri(path: str | Path) -> str:
    """The name under which SQLite opens a file for reading only."""
    return f"file:{quote(os.fspath(path))}?mode=ro"


class Connection(Protocol):
    """What a reader asks of a connection: that of aiosqlite is one."""

    async def execute_fetchall(self, sql: str, parameters: Sequence[object] = ...) -> Iterable[Any]:
        """The rows that a statement gives."""

    async def close(self) -> None:
        """Close it."""


class Reader:
    """Reads, on a thread of its own if it was opened; every statement sees all that was committed before it was called."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, path: Path) -> Reader:
        """Open a database that exists."""
        connection = await aiosqlite.connect(read_only_uri(path), uri=True, isolation_level=None)
        await connection.execute_fetchall("PRAGMA query_only = ON")
        return cls(connection)

    async def all(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """The rows that a statement gives. Raises: UnavailableError."""
        try:
            return list(await self._connection.execute_fetchall(statement, values))
        except (sqlite3.Error, ValueError) as exc:  # aiosqlite's ValueError: the connection is closed
            raise UnavailableError(reason="STORE_CANNOT_READ", description=f"the store cannot be read: {exc}") from exc

    async def one(self, statement: str, values: Sequence[object] = ()) -> Any:
        """The one row that a statement gives. Raises: UnavailableError."""
        (row,) = await self.all(statement, values)
        return row

    async def decoded(self, statement: str, values: Sequence[object], decode: Callable[[Row], T]) -> list[T]:
        """What `decode` makes of each row. Raises: UnavailableError; StoredDataError."""
        return await _decoded(await self.all(statement, values), lambda found: [decode(row) for row in found])

    async def readable(self, statement: str, values: Sequence[object], decode: Callable[[Row], T]) -> list[T]:
        """The same for the rows that can be read; the others are left out. Raises: UnavailableError."""
        return await readable(await self.all(statement, values), decode)

    async def page(self, search: Search, decode: Callable[[Row], T]) -> Page[T]:
        """A page of what is searched for; rows that cannot be read are left out of it. Raises: UnavailableError."""
        found = await self.all(search.statement, search.values)
        shown = found[: search.size]
        items = await readable(shown, decode)
        return Page(items=items, after=search.position(shown[-1]) if len(found) > search.size else ())

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.close()


async def readable(found: list[Row], decode: Callable[[Row], T]) -> list[T]:
    """What `decode` makes of each row that can be read; the others are left out."""
    return await _decoded(found, lambda found: _readable(found, decode))


async def _decoded(found: list[Row], decode: Callable[[list[Row]], list[T]]) -> list[T]:
    if len(found) <= DECODED_ON_THE_LOOP:
        return decode(found)
    return await asyncio.to_thread(decode, found)


def _readable(found: Iterable[Row], decode: Callable[[Row], T]) -> list[T]:
    decoded = []
    for row in found:
        try:
            decoded.append(decode(row))
        except StoredDataError as exc:
            _log.warning("%s", exc)
    return decoded
