"""The database file: created, brought to this version's schema, and opened for writing."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from schedd.core.errors import UnavailableError

APPLICATION_ID = int.from_bytes(b"schd", "big")
"""Marks the file as schedd's, in SQLite's header."""

_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA cache_size = -65536",
    "PRAGMA temp_store = MEMORY",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """The statements that lead from the schema before `version` to it."""

    version: int
    script: str


def migrations() -> tuple[Migration, ...]:
    """All of them, ascending; the last one's version is this schedd's schema."""
    files = resources.files("schedd.store").joinpath("migrations").iterdir()
    found = [Migration(version=int(file.name[:4]), script=file.read_text()) for file in files if re.fullmatch(r"\d{4}_\w+\.sql", file.name)]
    return tuple(sorted(found, key=lambda migration: migration.version))


def open_for_writing(path: Path) -> sqlite3.Connection:
    """The connection that writes and checkpoints, on a database with this version's schema.

    A file that is not there is created, readable by its owner only.
    Raises: UnavailableError with reason STORE_CANNOT_OPEN, STORE_FOREIGN (another program's database) or STORE_NEWER (a newer schedd's).
    """
    _create_file(path)
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=1024)
    except sqlite3.Error as exc:
        raise _cannot_open(path, str(exc)) from exc
    try:
        prepare(connection, path)
    except sqlite3.Error as exc:
        connection.close()
        raise _cannot_open(path, str(exc)) from exc
    except BaseException:
        connection.close()
        raise
    return connection


def _create_file(path: Path) -> None:
    if not path.parent.is_dir():
        raise _cannot_open(path, f"there is no directory {path.parent}")
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as exc:
        raise _cannot_open(path, exc.strerror or str(exc)) from exc


def _cannot_open(path: Path, cause: str) -> UnavailableError:
    return UnavailableError(reason="STORE_CANNOT_OPEN", description=f"cannot open the database {path}: {cause}")


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a connection, and the schema of its database, to where this version wants them. Raises: UnavailableError; sqlite3.Error."""
    _check_owner(connection, path, newest=migrations()[-1].version)
    (journal_mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if journal_mode != "wal":
        raise _cannot_open(path, "SQLite can keep no write-ahead log there, as on a network file system; give it a local disk")
    bring_up(connection)


def bring_up(connection: sqlite3.Connection) -> None:
    """Set a connection up, and bring the schema of its database to this version's. Raises: sqlite3.Error."""
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    for migration in migrations():
        if migration.version > _version(connection):
            _migrate(connection, migration)


def _check_owner(connection: sqlite3.Connection, path: Path, *, newest: int) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and tables:
        raise UnavailableError(reason="STORE_FOREIGN", description=f"{path} is another program's database; give schedd a file of its own")
    if (version := _version(connection)) > newest:
        raise UnavailableError(
            reason="STORE_NEWER",
            description=f"{path} has schema {version}, this schedd knows up to {newest}: start the schedd that wrote it, or a newer one",
        )


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _migrate(connection: sqlite3.Connection, migration: Migration) -> None:
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE; {migration.script}\n; PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {migration.version}; COMMIT;"
        )
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def size_bytes(path: Path) -> int:
    """What the database and its write-ahead log take on disk."""
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)
