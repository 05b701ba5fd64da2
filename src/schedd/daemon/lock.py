"""One daemon on one database: a lock on a file beside it, which the kernel releases however the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from schedd.daemon.errors import LockedError, StartError

_PID_LIMIT_BYTES = 20


class DataLock:
    """The lock on the database at `database`; held from `acquire` until `release`. The file itself stays: removing it would race."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and write this process's id into it; makes the directory if need be. Raises: LockedError, StartError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StartError(f"cannot make {self.path}: {error.strerror}; give storage.path a directory that can be written") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.read(descriptor, _PID_LIMIT_BYTES)
            os.close(descriptor)
            raise LockedError(str(self.path), int(holder) if holder.strip().isdigit() else None) from exc
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        if self._descriptor is not None:
            os.truncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> DataLock:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()
