"""The short way of HTTP calls, against servers that say byte for byte what a test wants, on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from schedd.targets.http.wire import Answer, ConnectError, Place, UnansweredError, Wire, WireError

REQUEST = b"POST /hook HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"

Say = Callable[[int, int], bytes | None]
"""What the server says to request number `second` of connection number `first`, from 0; None: it closes the connection instead."""


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire(connections=2, keepalive_s=30, dns_cache_s=10)
    yield wire
    wire.close()


class Server:
    """Answers each request by the script; counts connections and requests."""

    def __init__(self, say: Say, *, closing: bool) -> None:
        self._say = say
        self._closing = closing
        self.requests: list[int] = []
        self.closed = 0
        self.change = asyncio.Condition()
        self.hold: asyncio.Event | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def end(self) -> None:
        """Drop what is still open, and return when all is gone."""
        for writer in self._writers:
            writer.transport.abort()
        await self.wait_for(lambda: self.closed == len(self.requests))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        connection = len(self.requests)
        self.requests.append(0)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests[connection] += 1
                await self._tell()
                if self.hold is not None:
                    await self.hold.wait()
                said = self._say(connection, self.requests[connection] - 1)
                if said is None:
                    break
                writer.write(said)
                await writer.drain()
                if self._closing:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        self.closed += 1
        await self._tell()

    async def _tell(self) -> None:
        async with self.change:
            self.change.notify_all()

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        async with self.change:
            await self.change.wait_for(condition)


@asynccontextmanager
async def server(say: Say, *, closing: bool = False) -> AsyncIterator[tuple[Server, Place]]:
    subject = Server(say, closing=closing)
    listening = await asyncio.start_server(subject.serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    try:
        yield subject, Place(host, port)
    finally:
        if subject.hold is not None:
            subject.hold.set()
        await subject.end()
        listening.close()


async def post(wire: Wire, place: Place, *, limit: int = 1000, timeout_s: float | None = 10, method: str = "POST") -> Answer:
    return await wire.call(place, method, REQUEST, body_limit=limit, timeout_s=timeout_s)


async def test_call_gets_status_reason_headers_and_body(wire: Wire) -> None:
    said = b"HTTP/1.1 503 Too Busy\r\nRetry-After: 7\r\nContent-Length: 3\r\n\r\nbye"
    async with server(lambda _connection, _request: said) as (_, place):
        assert await post(wire, place) == Answer(503, "Too Busy", {"retry-after": "7", "content-length": "3"}, b"bye", False)


async def test_calls_in_turn_share_a_connection(wire: Wire) -> None:
    async with server(lambda _connection, _request: FINE) as (subject, place):
        for _ in range(5):
            assert (await post(wire, place)).body == b"fine"
        assert subject.requests == [5]


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + FINE, b"fine"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nfine", b"fine"),
    ],
    ids=["chunked", "no content", "interim answers", "HTTP/1.0 kept"],
)
async def test_answer_in_any_framing_is_whole_and_the_connection_kept(wire: Wire, said: bytes, body: bytes) -> None:
    async with server(lambda _connection, _request: said) as (subject, place):
        assert (await post(wire, place)).body == body
        assert (await post(wire, place)).body == body
        assert subject.requests == [2]


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\nuntil the end",
    ],
    ids=["no length", "HTTP/1.0", "connection: close"],
)
async def test_answer_that_ends_the_connection_is_whole(wire: Wire, said: bytes) -> None:
    async with server(lambda _connection, _request: said, closing=True) as (subject, place):
        assert (await post(wire, place)).body == b"until the end"
        assert (await post(wire, place)).body == b"until the end"
        assert subject.requests == [1, 1]


async def test_body_past_the_limit_is_cut_and_not_waited_for(wire: Wire) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 50
    async with server(lambda _connection, _request: said) as (subject, place):
        answer = await post(wire, place, limit=10)
        assert (answer.body, answer.truncated) == (b"x" * 10, True)
        await subject.wait_for(lambda: subject.closed == 1)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"nonsense\r\n\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour", "before the answer was complete"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "before the answer was complete"),
        (
            b"HTTP/1.1 200 OK\r\n" + b"X-Filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 2000 + b"\r\n",
            "headers are longer",
        ),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "switched to another protocol"),
    ],
    ids=["no HTTP", "cut", "cut chunk", "endless headers", "upgrade"],
)
async def test_answer_that_is_none_says_why(wire: Wire, said: bytes, message: str) -> None:
    async with server(lambda _connection, _request: said, closing=True) as (_, place):
        with pytest.raises(WireError, match=message):
            await post(wire, place)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nX-Endless: " + b"a" * 2_000_000,
        b"HTTP/1.1 200 " + b"a" * 2_000_000,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 50_000,
    ],
    ids=["header", "reason phrase", "interim answers"],
)
async def test_head_without_an_end_is_cut_off(wire: Wire, said: bytes) -> None:
    async with server(lambda _connection, _request: said) as (_, place):
        with pytest.raises(WireError, match="headers are longer than 65536 bytes"):
            await wire.call(place, "POST", REQUEST, body_limit=100, timeout_s=5)


async def test_host_that_is_no_name_says_so(wire: Wire) -> None:
    with pytest.raises(ConnectError, match=r"^a\.\.b is not a host's name"):
        await wire.call(Place("a..b", 80), "POST", REQUEST, body_limit=100, timeout_s=5)


async def test_server_that_closes_without_an_answer_is_named(wire: Wire) -> None:
    async with server(lambda _connection, _request: None) as (_, place):
        with pytest.raises(UnansweredError, match="closed the connection without an answer"):
            await post(wire, place)


@pytest.mark.parametrize(("method", "sent_again"), [("GET", True), ("PUT", True), ("POST", False)])
async def test_kept_connection_that_was_just_closed_repeats_idempotent_calls_alone(wire: Wire, method: str, sent_again: bool) -> None:
    async with server(lambda connection, request: None if (connection, request) == (0, 1) else FINE) as (subject, place):
        await post(wire, place, method=method)
        if sent_again:
            assert (await post(wire, place, method=method)).body == b"fine"
            assert subject.requests == [2, 1]
        else:
            with pytest.raises(UnansweredError):
                await post(wire, place, method=method)
            assert subject.requests == [2]


async def test_bytes_that_nobody_asked_for_end_the_connection_and_reach_no_other_call(wire: Wire) -> None:
    forged = b"HTTP/1.1 500 Forged\r\nContent-Length: 0\r\n\r\n"
    async with server(lambda _connection, request: FINE + forged if request == 0 else FINE) as (subject, place):
        assert (await post(wire, place)).status == 200
        assert (await post(wire, place)).status == 200
        assert subject.requests == [1, 1]


async def test_calls_past_the_limit_wait_for_a_connection(wire: Wire) -> None:
    async with server(lambda _connection, _request: FINE) as (subject, place):
        subject.hold = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(post(wire, place)) for _ in range(6)]
            await subject.wait_for(lambda: sum(subject.requests) == 2)
            subject.hold.set()
        assert [call.result().status for call in calls] == [200] * 6
        assert len(subject.requests) == 2


async def test_call_that_times_out_while_it_waits_leaves_the_others_theirs(wire: Wire) -> None:
    async with server(lambda _connection, _request: FINE) as (subject, place):
        subject.hold = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(post(wire, place)) for _ in range(3)]
            await subject.wait_for(lambda: sum(subject.requests) == 2)
            with pytest.raises(TimeoutError):
                await post(wire, place, timeout_s=0.02)
            subject.hold.set()
        assert [call.result().status for call in calls] == [200] * 3


async def test_call_past_its_timeout_closes_its_connection(wire: Wire) -> None:
    async with server(lambda _connection, _request: FINE) as (subject, place):
        subject.hold = asyncio.Event()
        with pytest.raises(TimeoutError):
            await post(wire, place, timeout_s=0.02)
        subject.hold.set()
        await subject.wait_for(lambda: subject.closed == 1)


async def test_cancelled_call_closes_its_connection(wire: Wire) -> None:
    async with server(lambda _connection, _request: FINE) as (subject, place):
        subject.hold = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            call = group.create_task(post(wire, place))
            await subject.wait_for(lambda: sum(subject.requests) == 1)
            call.cancel()
        subject.hold.set()
        await subject.wait_for(lambda: subject.closed == 1)


async def test_connection_that_rests_too_long_is_closed() -> None:
    wire = Wire(connections=2, keepalive_s=0.02, dns_cache_s=10)
    async with server(lambda _connection, _request: FINE) as (subject, place):
        await post(wire, place)
        await subject.wait_for(lambda: subject.closed == 1)
        await post(wire, place)
        assert subject.requests == [1, 1]
    wire.close()


async def test_close_fails_calls_that_are_under_way(wire: Wire) -> None:
    async with server(lambda _connection, _request: FINE) as (subject, place):
        subject.hold = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            call = group.create_task(asyncio.wait_for(asyncio.shield(asyncio.gather(post(wire, place), return_exceptions=True)), 10))
            await subject.wait_for(lambda: sum(subject.requests) == 1)
            wire.close()
        (error,) = call.result()
        assert "the daemon is ending" in str(error)
        subject.hold.set()


async def test_place_without_a_server_says_so(wire: Wire) -> None:
    async with server(lambda _connection, _request: FINE) as (_, place):
        pass
    with pytest.raises(ConnectError, match=f"cannot connect to 127.0.0.1 port {place.port}: "):
        await post(wire, place)


async def test_name_that_does_not_resolve_says_so(wire: Wire) -> None:
    with pytest.raises(ConnectError, match=r"the name nowhere\.invalid does not resolve"):
        await post(wire, Place("nowhere.invalid", 80))
