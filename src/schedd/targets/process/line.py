"""The daemon's end of the line to its spawner: starts it, or takes over that of an earlier daemon, sends, receives, notices its death."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from schedd.targets.process.frames import Message, Result, Unpacker, pack
from schedd.targets.process.reunion import Elder, Reunion

_SOURCE = str(Path(__file__).parents[3])
_PROGRAM = "import sys; sys.path.append(sys.argv.pop()); from schedd.targets.process.spawner import main; main()"
_EXIT_TIMEOUT_S = 10
_READ_BYTES = 1 << 18


class Terms(NamedTuple):
    """On which terms a spawner works: where its door is ("": it has none), its salt, and how long it waits alone for the next daemon."""

    home: str
    salt: int
    patience_s: float


class Line:
    """A running spawner and the socket to it. Messages of one turn of the loop go out together."""

    def __init__(
        self,
        process: subprocess.Popen[bytes] | Elder,
        end: socket.socket,
        received: Callable[[Result], None],
        died: Callable[[], None],
        unpacker: Unpacker | None = None,
    ) -> None:
        self._process = process
        self._socket = end
        self._received = received
        self._died = died
        self._unpacker = Unpacker() if unpacker is None else unpacker
        self._outgoing = bytearray()
        self._flush_due = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(end.fileno(), self._receive)

    @classmethod
    def open(cls, terms: Terms, received: Callable[[Result], None], died: Callable[[], None]) -> Line:
        """Start a spawner; `died` is called once if it ends before `aclose`. Raises: OSError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        command = (sys.executable, "-I", "-S", "-X", "utf8", "-c", _PROGRAM, terms.home, str(terms.salt), str(terms.patience_s), _SOURCE)
        env = {name: os.environ[name] for name in ("LANG", "TZ") if name in os.environ}
        try:
            with theirs:
                process = subprocess.Popen(
                    command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=env, cwd="/", start_new_session=True
                )
        except OSError:
            ours.close()
            raise
        return cls(process, ours, received, died)

    @classmethod
    def again(cls, reunion: Reunion, received: Callable[[Result], None], died: Callable[[], None]) -> Line:
        """The line to a spawner that was found again."""
        return cls(reunion.elder, reunion.end, received, died, reunion.unpacker)

    @property
    def pid(self) -> int:
        """The spawner's process id."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Send the message soon; to a dead spawner it is lost, and `died` will tell."""
        self._outgoing += pack(message)
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def kill(self) -> None:
        """Kill the spawner, which does not answer; `died` will tell."""
        self._process.kill()

    async def aclose(self) -> None:
        """Close the line, which ends the spawner, and wait until it is gone."""
        self._flush()
        self._close()
        await self._loop.run_in_executor(None, self._wait)

    def _flush(self) -> None:
        self._flush_due = False
        if self._socket.fileno() < 0 or not self._outgoing:
            return
        try:
            sent = self._socket.send(self._outgoing)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(self._outgoing)  # the reader sees the end of the line as well, and tells
        del self._outgoing[:sent]
        if self._outgoing:
            self._flush_due = True
            self._loop.add_writer(self._socket.fileno(), self._continue)

    def _continue(self) -> None:
        self._loop.remove_writer(self._socket.fileno())
        self._flush()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        for message in self._unpacker.feed(data):
            if isinstance(message, Result):
                self._received(message)
        if not data:
            self._close()
            self._process.kill()
            self._process.wait()
            self._died()

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _wait(self) -> None:
        try:
            self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
