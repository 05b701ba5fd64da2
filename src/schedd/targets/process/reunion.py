"""How a daemon finds the spawner of an earlier one again, and proves that it is that one before it talks to it or ends it."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple

from schedd.targets.process.door import RECORD, SOCKET, Record, boot_id, peer_of, way
from schedd.targets.process.frames import SPEECH, Held, Result, Stock, Unpacker
from schedd.targets.process.tree import process_of

_RECORD_BYTES = 4096
_END_S = 2.0
_READ_BYTES = 1 << 18


class Elder:
    """A living process that is not our child, pinned by a pidfd: nobody who gets its id later is ever meant."""

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self._handle = handle

    def kill(self) -> None:
        """SIGKILL, if it still lives."""
        try:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def wait(self, timeout: float | None = None) -> int:
        """Return once it is gone; its exit code is its parent's to know, and 0 here. Raises: subprocess.TimeoutExpired (seconds)."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        if not poll.poll(None if timeout is None else timeout * 1000):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return 0

    def end(self) -> None:
        """SIGKILL, and wait a moment for the end; then let go of it."""
        self.kill()
        try:
            self.wait(_END_S)
        except subprocess.TimeoutExpired:
            pass  # It hangs in the kernel, and dies when that lets it.
        self.close()

    def close(self) -> None:
        """Let go of it."""
        os.close(self._handle)


class Reunion(NamedTuple):
    """A spawner that was found again: the line to it, what it holds, and the results that came already; the rest comes by the line."""

    elder: Elder
    end: socket.socket
    held: tuple[Held, ...]
    last_job: int
    results: tuple[Result, ...]
    unpacker: Unpacker


def records(home: Path) -> list[Record]:
    """The records in the directory, each that can be read."""
    found = [_record(path) for path in sorted(home.glob(f"*{RECORD}"))]
    return [record for record in found if record is not None]


def forget(home: Path, record: Record) -> None:
    """Remove the files of a spawner that is gone. Where that is not possible they stay: they prove nothing about any other process."""
    for ending in (RECORD, SOCKET):
        try:
            (home / f"{record.salt:x}{ending}").unlink(missing_ok=True)
        except OSError:
            continue


def is_of_this_boot(record: Record) -> bool:
    """Whether what it tells of can still be there."""
    try:
        return record.boot_id == boot_id()
    except OSError:
        return False


def proven(record: Record) -> Elder | None:
    """The process that the record is about; None: it is gone, whoever has its id now.

    First the pidfd, then the look: boot and start time are those of the process that the pidfd is bound to.
    """
    if not is_of_this_boot(record):
        return None
    try:
        handle = os.pidfd_open(record.pid)
    except OSError:
        return None
    process = process_of(record.pid)
    if process is None or process.dead or process.started != record.started:
        os.close(handle)
        return None
    return Elder(record.pid, handle)


async def meet(home: Path, record: Record, elder: Elder, *, within_s: float) -> Reunion:
    """Take over the spawner. Raises: OSError (nobody answers there, or in another way, or too late)."""
    if record.speech != SPEECH:
        raise ConnectionRefusedError("it speaks another version's messages")
    end = _knock(home, record)
    try:
        async with asyncio.timeout(within_s):
            return await _listen(elder, end)
    except BaseException:
        end.close()
        raise


async def _listen(elder: Elder, end: socket.socket) -> Reunion:
    unpacker = Unpacker()
    held: list[Held] = []
    results: list[Result] = []
    stock: Stock | None = None
    while stock is None:
        data = await asyncio.get_running_loop().sock_recv(end, _READ_BYTES)
        if not data:
            raise ConnectionResetError("it hung up")
        for message in unpacker.feed(data):
            match message:
                case Held():
                    held.append(message)
                case Stock():
                    stock = message
                case Result():
                    results.append(message)
    return Reunion(elder, end, tuple(held), stock.last_job, tuple(results), unpacker)


def _knock(home: Path, record: Record) -> socket.socket:
    """Connect to the spawner of this record; the kernel vouches that it is that process. Raises: OSError."""
    directory = os.open(home, os.O_PATH | os.O_DIRECTORY)
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        end.setblocking(False)
        end.connect(way(directory, record.salt))
        if peer_of(end).pid != record.pid:
            raise ConnectionRefusedError("another process listens there")
    except OSError:
        end.close()
        raise
    finally:
        os.close(directory)
    return end


def _record(path: Path) -> Record | None:
    try:
        with path.open("rb") as file:
            pid, started, boot, salt, speech = file.read(_RECORD_BYTES).decode().split(" ")
        return Record(int(pid), int(started), boot, int(salt), speech)
    except (OSError, ValueError):
        return None
