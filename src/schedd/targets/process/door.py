"""The door of a spawner: a socket by which the next daemon finds it again, and a record that proves who is behind it.

Both are files in one directory, which only the daemon's account can enter, named by the spawner's salt. They are written once a spawner,
never for a job: what it holds, the spawner tells itself. The record is good for the boot it names, and for that process alone.
"""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from schedd.targets.process.frames import SPEECH
from schedd.targets.process.tree import process_of

RECORD = ".spawner"
SOCKET = ".sock"


class Record(NamedTuple):
    """Who a spawner is. `started` (clock ticks since boot) and `boot_id` tell the process from any later one with the same id.

    `salt` is what the tags of its jobs are made of; `speech` names the messages that it understands.
    """

    pid: int
    started: int
    boot_id: str
    salt: int
    speech: str


class Door:
    """The spawner's side: open it, and let somebody in when there is room."""

    def __init__(self, home: str, salt: int) -> None:
        """Open a door in the directory `home`. Raises: OSError."""
        self._home = os.open(home, os.O_PATH | os.O_DIRECTORY)
        self._salt = salt
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._forget()
            self._listener.setblocking(False)
            self._listener.bind(way(self._home, salt))
            self._listener.listen(1)
            self._write()
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """The listening descriptor."""
        return self._listener.fileno()

    def accept(self) -> socket.socket | None:
        """The socket to whoever knocked, if it is an account that may."""
        try:
            guest, _ = self._listener.accept()
        except OSError:
            return None
        if peer_of(guest).uid in (0, os.geteuid()):
            guest.setblocking(False)
            return guest
        guest.close()
        return None

    def close(self) -> None:
        """Shut it for good: nobody finds the spawner any more."""
        self._listener.close()
        self._forget()
        os.close(self._home)

    def _write(self) -> None:
        own = process_of(os.getpid())
        assert own is not None, "this process lives"
        record = Record(own.pid, own.started, boot_id(), self._salt, SPEECH)
        name = f"{self._salt:x}{RECORD}"
        descriptor = os.open(f"{name}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=self._home)
        try:
            os.write(descriptor, " ".join(map(str, record)).encode())
        finally:
            os.close(descriptor)
        os.rename(f"{name}.new", name, src_dir_fd=self._home, dst_dir_fd=self._home)

    def _forget(self) -> None:
        for ending in (RECORD, SOCKET):
            try:
                os.unlink(f"{self._salt:x}{ending}", dir_fd=self._home)
            except OSError:
                continue  # It is gone, or the directory cannot be written: then what is left proves nothing once we are gone.


class Peer(NamedTuple):
    """The process at the other end of a socket, as the kernel saw it connect or listen."""

    pid: int
    uid: int


def peer_of(end: socket.socket) -> Peer:
    """Who is at the other end. Raises: OSError."""
    content = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return Peer(int.from_bytes(content[:4], "little"), int.from_bytes(content[4:8], "little"))


def boot_id() -> str:
    """The id of this boot of the host. Raises: OSError."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 (pathlib is not worth its memory here)
        return file.read().strip()


def way(directory: int, salt: int) -> str:
    """The socket's path, short however long the directory's is: a socket's path has 107 bytes at most."""
    return f"/proc/self/fd/{directory}/{salt:x}{SOCKET}"
