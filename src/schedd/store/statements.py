"""Statements over many rows at once: one step of SQLite a portion, so that the writer does not ask for the GIL at every row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain

Row = tuple[object, ...]

LARGEST = 256
STEP = 32
"""A statement has up to STEP rows, or a multiple of it up to LARGEST: few statements for any number of rows, few texts to prepare."""


class ManyRows:
    """A statement with a VALUES list of any length.

    `text` has `{rows}` where the list of `columns` columns goes; columns are called column1, column2, … where they need a name.
    """

    def __init__(self, text: str, *, columns: int) -> None:
        self._text = text
        self._row = f"({','.join('?' * columns)})"
        self._texts: dict[int, str] = {}

    def run(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Execute it for all rows; how many it changed."""
        return sum(connection.execute(text, values).rowcount for text, values in self._portions(rows))

    def returning(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> list[Row]:
        """Execute it for all rows; the rows it returns."""
        found: list[Row] = []
        for text, values in self._portions(rows):
            found += connection.execute(text, values).fetchall()
        return found

    def _portions(self, rows: Sequence[Row]) -> Iterator[tuple[str, list[object]]]:
        start = 0
        while left := len(rows) - start:
            size = left if left < STEP else min(LARGEST, left - left % STEP)
            yield self._statement(size), list(chain.from_iterable(rows[start : start + size]))
            start += size

    def _statement(self, size: int) -> str:
        text = self._texts.get(size)
        if text is None:
            text = self._texts[size] = self._text.format(rows=",".join([self._row] * size))
        return text


def insertion(table: str, columns: Sequence[str], conflict: str = "") -> ManyRows:
    """`INSERT INTO table (columns) VALUES …`, with what is to happen on a conflict."""
    return ManyRows(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {{rows}} {conflict}", columns=len(columns))


def update(table: str, key: str, columns: Sequence[str], condition: str = "TRUE", *, returning: str = "") -> ManyRows:
    """`UPDATE table SET columns …` by key; each row is the key and the columns' values; `returning` is for those that it changes."""
    assignments = ", ".join(f"{column} = new.column{number}" for number, column in enumerate(columns, start=2))
    return ManyRows(
        f"UPDATE {table} SET {assignments} FROM (VALUES {{rows}}) AS new WHERE {table}.{key} = new.column1 AND {condition}"
        + (f" RETURNING {returning}" if returning else ""),
        columns=len(columns) + 1,
    )
