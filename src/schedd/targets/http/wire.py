"""The short way of a plain HTTP/1.1 call: one protocol object a connection, httptools for the answer, nothing else in between.

aiohttp spends 60 to 110 µs on a request, most of it on what a schedule's call does not use; this spends a fifth of that. It takes calls
to `http://` without redirects, user names or odd headers; the rest goes through aiohttp (`sessions.py`; `call.py` decides).
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import aiohappyeyeballs
import httptools

from schedd.core.permissions import Permissions
from schedd.targets.http.doors import OPEN, check_host, reachable

_HEAD_LIMIT_BYTES: Final = 65_536
_LINES_MAX: Final = 1024
_HAPPY_EYEBALLS_DELAY_S: Final = 0.25
_REPEATABLE: Final = frozenset(("GET", "PUT", "DELETE", "OPTIONS", "TRACE"))
"""The idempotent methods, RFC 9110, 9.2.2."""


class WireError(OSError):
    """A call that got no whole answer; its text says why."""


class UnansweredError(WireError):
    """The connection ended before the first byte of an answer."""


class ConnectError(WireError):
    """There is no connection to the host."""


class Place(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


class Answer(NamedTuple):
    """What a server said. The names of `headers` are lower case; `body` is cut at the limit that was given."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    truncated: bool


class Wire:
    """Connections by place, kept for `keepalive_s` after an answer, at most `connections` to a place."""

    def __init__(self, *, connections: int, keepalive_s: float, dns_cache_s: float, permissions: Permissions = OPEN) -> None:
        self._loop = asyncio.get_running_loop()
        self._permissions = permissions
        self._connections = connections
        self._keepalive_s = keepalive_s
        self._dns_cache_s = dns_cache_s
        self._lines: dict[Place, _Line] = {}

    async def call(self, place: Place, method: str, message: bytes, *, body_limit: int, timeout_s: float | None) -> Answer:
        """Send one request and give its answer. A cancelled call closes its connection.

        An idempotent one that a kept connection did not answer, since the server had just closed it, is sent once more.
        Raises: TimeoutError; WireError; DeniedError; OSError.
        """
        until = None if timeout_s is None else self._loop.time() + timeout_s
        line = self._lines.get(place) or self._new_line(place)
        connection = line.take() or await self._connect(line, until)
        kept = connection.answers > 0
        try:
            return await self._exchange(line, connection, message, body_limit, until)
        except UnansweredError:
            if not kept or method not in _REPEATABLE:
                raise
        return await self._exchange(line, await self._connect(line, until), message, body_limit, until)

    def _new_line(self, place: Place) -> _Line:
        if len(self._lines) >= _LINES_MAX:
            self._lines = {known: line for known, line in self._lines.items() if not line.is_idle}
        line = self._lines[place] = _Line(place, self._connections, self._keepalive_s, self._dns_cache_s, self._permissions)
        return line

    async def _connect(self, line: _Line, until: float | None) -> _Connection:
        async with asyncio.timeout_at(until):
            return await line.connect()

    async def _exchange(self, line: _Line, connection: _Connection, message: bytes, body_limit: int, until: float | None) -> Answer:
        timer = None if until is None else self._loop.call_at(until, connection.end, TimeoutError())
        try:
            return await connection.exchange(message, body_limit)
        finally:
            if timer is not None:
                timer.cancel()
            line.give_back(connection)

    def permit(self, permissions: Permissions) -> None:
        """Let these decide about connections from now on; those that there are end with the calls that use them."""
        self._permissions = permissions
        for line in self._lines.values():
            line.permit(permissions)

    def close(self) -> None:
        """Close every connection; calls that are under way fail."""
        for line in self._lines.values():
            line.close()


class _Line:
    """The connections to one place: those that rest, the number of all, and who waits for one."""

    def __init__(self, place: Place, limit: int, keepalive_s: float, dns_cache_s: float, permissions: Permissions) -> None:
        self._loop = asyncio.get_running_loop()
        self._place = place
        self._permissions = permissions
        self._limit = limit
        self._keepalive_s = keepalive_s
        self._dns_cache_s = dns_cache_s
        self._resting: deque[_Connection] = deque()
        self._used: set[_Connection] = set()
        self._connecting = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._addresses: Sequence[aiohappyeyeballs.AddrInfoType] = ()
        self._addresses_until = 0.0
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether there is no connection to the place, and none wanted."""
        return not (self._resting or self._used or self._connecting or self._waiting)

    def take(self) -> _Connection | None:
        """A connection that rests, the one that was used last."""
        if not self._resting:
            return None
        connection = self._resting.pop()
        self._used.add(connection)
        return connection

    async def connect(self) -> _Connection:
        """A connection of the caller's own, as soon as there are fewer than the limit. Raises: ConnectError; DeniedError."""
        while len(self._used) + self._connecting >= self._limit:
            turn = self._loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._pass_on(turn)
                raise
            if (resting := self.take()) is not None:
                return resting
        self._connecting += 1
        try:
            connection = await self._open()
        except BaseException:
            self._wake_next()
            raise
        finally:
            self._connecting -= 1
        self._used.add(connection)
        return connection

    def give_back(self, connection: _Connection) -> None:
        """Let a connection rest, or let go of it if it cannot be used again."""
        self._used.discard(connection)
        if connection.is_reusable and not connection.is_last:
            connection.rests_until = self._loop.time() + self._keepalive_s
            self._resting.append(connection)
            if self._sweep is None:
                self._sweep = self._loop.call_at(connection.rests_until, self._close_old)
        else:
            connection.end(None)
        self._wake_next()

    def permit(self, permissions: Permissions) -> None:
        """Let these decide about connections from now on, and keep none that there is."""
        self._permissions = permissions
        for connection in self._used:
            connection.is_last = True
        for connection in self._resting:
            connection.end(None)
        self._resting.clear()

    def close(self) -> None:
        """Close every connection."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in (*self._resting, *self._used):
            connection.end(WireError("the daemon is ending"))
        self._resting.clear()

    async def _open(self) -> _Connection:
        check_host(self._permissions, self._place.host)
        addresses = reachable(self._permissions, self._place.host, await self._resolved())
        try:
            found = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY_S, loop=self._loop)
        except OSError as error:
            raise ConnectError(f"cannot connect to {self._place.host} port {self._place.port}: {_os_text(error)}") from error
        _, connection = await self._loop.create_connection(lambda: _Connection(self._loop), sock=found)
        return connection

    async def _resolved(self) -> Sequence[aiohappyeyeballs.AddrInfoType]:
        if self._loop.time() >= self._addresses_until:
            try:
                self._addresses = await self._loop.getaddrinfo(self._place.host, self._place.port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise ConnectError(f"the name {self._place.host} does not resolve: {_os_text(error)}") from error
            except UnicodeError as error:
                raise ConnectError(f"{self._place.host} is not a host's name: each part has 1 to 63 characters") from error
            self._addresses_until = self._loop.time() + self._dns_cache_s
        return self._addresses

    def _pass_on(self, turn: asyncio.Future[None]) -> None:
        """The waiter whose turn this is has gone: it is another one's."""
        if turn.done() and not turn.cancelled():
            self._wake_next()
        elif turn in self._waiting:
            self._waiting.remove(turn)

    def _wake_next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _close_old(self) -> None:
        now = self._loop.time()
        while self._resting and (self._resting[0].rests_until <= now or not self._resting[0].is_reusable):
            self._resting.popleft().end(None)
        self._sweep = self._loop.call_at(self._resting[0].rests_until, self._close_old) if self._resting else None


class _Connection(asyncio.Protocol):
    """One connection: one exchange at a time. Its methods named `on_…` are httptools' callbacks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[Answer] | None = None
        self._began = False
        self._body_limit = 0
        self._head_bytes = 0
        self._begin_answer()
        self.answers = 0
        self.is_last = False
        """Whether it is not to rest after the exchange that it is used for."""
        self.rests_until = 0.0

    @property
    def is_reusable(self) -> bool:
        """Whether another exchange can follow."""
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, message: bytes, body_limit: int) -> Answer:
        """Send a request and give the answer. Raises: WireError; whatever `end` was called with."""
        if self._transport is None or not self.is_reusable:
            raise UnansweredError("the server closed the connection without an answer")
        self._begin_answer()
        self._began = False
        self._head_bytes = 0
        self._body_limit = body_limit
        self._answered = self._loop.create_future()
        self._transport.write(message)
        try:
            return await self._answered
        except BaseException:
            self.end(None)
            raise
        finally:
            self._answered = None

    def end(self, error: Exception | None) -> None:
        """Close the connection now; an exchange that is under way fails with `error`."""
        if error is not None and self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it.

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol. Bytes that nobody asked for end the connection."""
        if self._answered is None or self._answered.done():
            self.end(None)
            return
        self._began = True
        try:
            self._parser.feed_data(data)
            if not self._headers_complete:
                self._count_head(len(data))
        except httptools.HttpParserUpgrade:
            self.end(WireError("the server switched to another protocol, which nobody asked for"))
        except WireError as error:
            self.end(error)
        except httptools.HttpParserError as error:
            cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
            if not self._answered.done():
                self.end(cause if isinstance(cause, WireError) else WireError(f"the answer is not valid HTTP: {error}"))
        if self._body_bytes > self._body_limit:
            self._finish(keep=False)  # The rest is not waited for.

    def eof_received(self) -> None:
        """See asyncio.Protocol; the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol. The end of the connection is the end of an answer that does not say its length."""
        self._transport = None
        if self._answered is None or self._answered.done():
            return
        if self._headers_complete and exc is None and not ({"content-length", "transfer-encoding"} & self._headers.keys()):
            self._finish(keep=False)
        elif not self._began:
            self._answered.set_exception(UnansweredError("the server closed the connection without an answer"))
        else:
            self._answered.set_exception(WireError("the connection broke before the answer was complete"))

    def on_message_begin(self) -> None:
        """An answer begins; one that nobody asked for ends the connection."""
        if self._answered is None or self._answered.done():
            self.end(None)

    def on_status(self, status: bytes) -> None:
        """The reason phrase, or a part of it."""
        self._count_head(len(status))
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. Of those that repeat the last one counts, which is all the same for what is looked at."""
        self._count_head(len(name) + len(value))
        self._headers[name.lower().decode("latin-1")] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The body follows."""
        self._headers_complete = True

    def on_body(self, body: bytes) -> None:
        """A part of the body; of what is past the limit nothing is kept."""
        if self._body_bytes <= self._body_limit:
            self._body.append(body)
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        """The answer is there, unless it was an interim one (RFC 9110, 15.2)."""
        if 100 <= self._parser.get_status_code() < 200:
            self._begin_answer()
        else:
            self.answers += 1
            self._finish(keep=self._parser.should_keep_alive())

    def _count_head(self, size: int) -> None:
        """Bound what is kept of an answer before its body. Raises: WireError.

        Bytes of a head that did not end with them count as they come, since the parser keeps a header to itself until it is whole; so do
        those of interim answers, of which there could be any number.
        """
        self._head_bytes += size
        if self._head_bytes > _HEAD_LIMIT_BYTES:
            raise WireError(f"the answer's headers are longer than {_HEAD_LIMIT_BYTES} bytes")

    def _finish(self, *, keep: bool) -> None:
        if self._answered is None or self._answered.done():
            return
        limit = self._body_limit
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        status, reason = self._parser.get_status_code(), self._reason.decode("latin-1")
        self._answered.set_result(Answer(status, reason, self._headers, body[:limit], self._body_bytes > limit))
        if not keep:
            self.end(None)

    def _begin_answer(self) -> None:
        self._reason = b""
        self._headers: dict[str, str] = {}
        self._headers_complete = False
        self._body: list[bytes] = []
        self._body_bytes = 0


def _os_text(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
