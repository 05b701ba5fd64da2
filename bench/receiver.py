"""The HTTP receiver, in a process of its own: answers every request at once, and books how late it came by Schedd-Due-Time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from typing import cast

from bench.pace import with_uvloop
from bench.side import Side, side

_DUE = b"Schedd-Due-Time: "
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_LOOK_S = 0.02


@dataclass(slots=True)
class Seen:
    """What arrived: for each request its arrival minus its due time in seconds, and when the first and the last arrived (UNIX time)."""

    late_s: list[float] = field(default_factory=list)
    first_s: float = 0.0
    last_s: float = 0.0

    def add(self, now_s: float, late_s: float) -> None:
        self.first_s = self.first_s or now_s
        self.last_s = now_s
        self.late_s.append(late_s)


class Receiver:
    """The receiver as a benchmark sees it."""

    def __init__(self, process: Side) -> None:
        self._process = process
        self.port = int(process.answer())
        self.url = f"http://127.0.0.1:{self.port}/"

    def seen(self) -> Seen:
        """What has arrived since it was asked last."""
        seen = self._process.ask()
        assert isinstance(seen, Seen)
        return seen

    def wait_for(self, count: int, timeout_s: float) -> Seen:
        """What arrives until there are `count`. Raises: TimeoutError."""
        all_ = Seen()
        until = time.monotonic() + timeout_s
        while True:
            seen = self.seen()
            all_.late_s += seen.late_s
            all_.first_s = all_.first_s or seen.first_s
            all_.last_s = seen.last_s or all_.last_s
            if len(all_.late_s) >= count:
                return all_
            if time.monotonic() > until:
                raise TimeoutError(f"{len(all_.late_s)} of {count} requests arrived within {timeout_s:g} s")
            time.sleep(_LOOK_S)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free loopback port."""
    with side(_receive) as process:
        yield Receiver(process)


class _Connection(asyncio.Protocol):
    """One connection; requests have an empty body or one of the length they say."""

    def __init__(self, books: list[Seen]) -> None:
        self._books = books
        self._rest = b""
        self._body = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        now_s = time.time()
        rest = self._rest + data
        while (end := rest.find(b"\r\n\r\n")) >= 0:
            head = rest[:end]
            length = _length(head)
            if len(rest) < end + 4 + length:
                break
            rest = rest[end + 4 + length :]
            due = head.partition(_DUE)[2].partition(b"\r")[0]
            self._books[0].add(now_s, now_s - datetime.fromisoformat(due.decode()).timestamp() if due else 0.0)
            self._transport.write(_OK)
        self._rest = rest


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].partition(b"\r")[0]) if at >= 0 else 0


def _receive(pipe: Connection) -> None:
    books = [Seen()]

    def answer() -> None:
        pipe.recv()
        pipe.send(books[0])
        books[0] = Seen()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(books), "127.0.0.1", 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        loop.add_reader(pipe.fileno(), answer)
        os.set_blocking(pipe.fileno(), True)  # uvloop has it not block, but a long answer has to go out whole.
        await asyncio.Event().wait()

    with_uvloop(serve())
