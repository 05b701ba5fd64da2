"""A consistent copy of the database, made while it is in use."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

import aiosqlite

from schedd.core.errors import AlreadyExistsError, UnavailableError
from schedd.store.reader import read_only_uri


async def write(source: str, path: str) -> None:
    """Copy the database `source` to `path`, readable by its owner only, and see it onto the disk.

    Raises: AlreadyExistsError; UnavailableError.
    """
    await asyncio.to_thread(_create, path)
    try:
        async with aiosqlite.connect(read_only_uri(source), uri=True, isolation_level=None) as connection:
            await connection.execute_fetchall("VACUUM INTO ?", (path,))
        await asyncio.to_thread(_sync, path)
    except (OSError, sqlite3.Error) as exc:
        await asyncio.to_thread(_remove, path)
        raise _cannot_write(path, exc) from exc


def _create(path: str) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError as exc:
        raise AlreadyExistsError("backup", path) from exc
    except OSError as exc:
        raise _cannot_write(path, exc) from exc


def _remove(path: str) -> None:
    with suppress(OSError):
        Path(path).unlink()


def _sync(path: str) -> None:
    for place in (path, Path(path).parent):
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _cannot_write(path: str, exc: Exception) -> UnavailableError:
    return UnavailableError(reason="BACKUP_FAILED", description=f"cannot write the backup {path}: {exc}")
