"""HTTP targets, against real servers on loopback and on unix sockets."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import HttpTarget, Payload, ProcessTarget, StatusRange
from schedd.targets.http.limits import HttpLimits
from schedd.targets.http.target import HttpTargets
from tests.conformance.target import NOMINAL_US, Subject, TargetSuite, delivery


class StoppedClock:
    """The time that the deliveries of these tests were made."""

    def now_us(self) -> int:
        return NOMINAL_US


class Receiver:
    """A server that keeps what it got and answers what it was told to."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.connections: set[object] = set()
        self.hanging = 0
        self.change = asyncio.Condition()
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        self.connections.add(request.transport)
        self.bodies.append(await request.read())
        handlers: dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = {
            "hang": self._hang,
            "endless": self._endless,
            "broken": self._broken,
            "gzip": self._gzip,
            "circle": self._circle,
        }
        if request.path.strip("/") in handlers:
            return await handlers[request.path.strip("/")](request)
        query = request.query
        headers = {name.removeprefix("header-"): value for name, value in query.items() if name.startswith("header-")}
        return web.Response(status=int(query.get("status", 200)), body=b"x" * int(query.get("size", 0)) or b"fine", headers=headers)

    async def _hang(self, request: web.BaseRequest) -> web.StreamResponse:
        await self._count(1)
        try:
            await asyncio.Event().wait()
        finally:
            await self._count(-1)
        raise AssertionError

    async def _count(self, step: int) -> None:
        async with self.change:
            self.hanging += step
            self.change.notify_all()

    async def wait_for(self, hanging: int) -> None:
        async with self.change:
            await self.change.wait_for(lambda: self.hanging == hanging)

    async def _endless(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 4096)
        except ConnectionError:
            return response

    async def _broken(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"only this")
        assert request.transport is not None
        request.transport.close()
        return response

    async def _circle(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "/circle"})

    async def _gzip(self, request: web.BaseRequest) -> web.StreamResponse:
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=b"plain")
        return web.Response(body=gzip.compress(b"unpacked"), headers={"Content-Encoding": "gzip"})


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.answer, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    await web.UnixSite(runner, str(tmp_path / "app.sock")).start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}"
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def targets() -> AsyncIterator[HttpTargets]:
    targets = HttpTargets(StoppedClock())
    yield targets
    await targets.aclose()


async def unused_port() -> int:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


class TestPort(TargetSuite):
    @pytest.fixture
    async def subject(self, targets: HttpTargets, receiver: Receiver) -> Subject:
        return Subject(
            target=targets,
            succeeding=HttpTarget(url=receiver.url),
            failing=HttpTarget(url=f"{receiver.url}/?status=500"),
            unreachable=HttpTarget(url=f"http://127.0.0.1:{await unused_port()}/"),
            hanging=HttpTarget(url=f"{receiver.url}/hang"),
            with_unknown_label=HttpTarget(url=f"{receiver.url}/{{{{ labels.owner }}}}"),
            of_another_kind=ProcessTarget(argv=("true",)),
            printing_1000_bytes_kept_100=HttpTarget(url=f"{receiver.url}/?size=1000", output_limit_bytes=100),
            started=lambda: receiver.wait_for(1),
            gone=lambda: receiver.wait_for(0),
        )


async def test_request_carries_the_facts(targets: HttpTargets, receiver: Receiver) -> None:
    result = await targets.deliver(delivery(HttpTarget(url=f"{receiver.url}/hook?a=b", payload=Payload(content=b'{"a": 1}'))))
    assert (result.code, result.output, result.output_truncated) == (200, b"fine", False)
    (request,) = receiver.requests
    assert (request.method, request.path_qs, receiver.bodies) == ("POST", "/hook?a=b", [b'{"a": 1}'])
    headers = dict(request.headers)
    assert headers.pop("User-Agent").startswith("schedd/")
    del headers["Host"]
    assert headers == {
        "Accept": "*/*",
        "Content-Length": "8",
        "Content-Type": "application/json",
        "Idempotency-Key": "0000000000007:2026-01-01T09:00:00Z",
        "Schedd-Attempt": "1",
        "Schedd-Cause": "SCHEDULE",
        "Schedd-Delivery-Key": "0000000000007:2026-01-01T09:00:00Z",
        "Schedd-Due-Time": "2026-01-01T09:00:01.500000Z",
        "Schedd-Execution": "000000000001a",
        "Schedd-Nominal-Time": "2026-01-01T09:00:00Z",
        "Schedd-Previous-Success-Time": "2025-12-31T09:00:00Z",
        "Schedd-Schedule": "groups/reports/schedules/daily",
    }


async def test_request_without_payload_and_previous_success_leaves_their_headers_out(targets: HttpTargets, receiver: Receiver) -> None:
    await targets.deliver(delivery(HttpTarget(url=receiver.url, method="GET"))._replace(previous_success_us=None))
    assert not {"Content-Type", "Schedd-Previous-Success-Time"} & set(receiver.requests[0].headers)


async def test_own_headers_win_and_may_repeat(targets: HttpTargets, receiver: Receiver) -> None:
    headers = (
        ("user-agent", "mine"),
        ("IDEMPOTENCY-KEY", "{{ attempt }}-{{ labels.team }}"),
        ("Content-Type", "text/csv"),
        ("X-Many", "1"),
        ("X-Many", "2"),
        ("Host", "other.example"),
    )
    await targets.deliver(delivery(HttpTarget(url=receiver.url, headers=headers, payload=Payload(content=b"a,b"))))
    got = receiver.requests[0].headers
    assert got.getall("User-Agent") == ["mine"]
    assert got.getall("Idempotency-Key") == ["1-data"]
    assert got.getall("Content-Type") == ["text/csv"]
    assert got.getall("X-Many") == ["1", "2"]
    assert got.getall("Host") == ["other.example"]


async def test_values_are_escaped_for_the_place_where_they_go(targets: HttpTargets, receiver: Receiver) -> None:
    target = HttpTarget(
        url=f"{receiver.url}/{{{{ labels.odd }}}}?t={{{{ nominal_time_local }}}}",
        payload=Payload(content=b'{"odd": "{{ labels.odd }}", "n": {{ attempt }}}'),
    )
    odd = 'a"b&c?d e'
    result = await targets.deliver(delivery(target)._replace(labels={"odd": odd}, time_zone="Europe/Berlin"))
    assert result.outcome is Outcome.SUCCEEDED, result.message
    assert receiver.requests[0].path == "/" + odd
    assert receiver.requests[0].query == {"t": "2026-01-01T10:00:00+01:00"}
    assert receiver.bodies == [b'{"odd": "a\\"b&c?d e", "n": 1}']


async def test_payload_of_another_type_and_raw_payload_stay_as_they_are(targets: HttpTargets, receiver: Receiver) -> None:
    text = Payload(content=b"{{ labels.odd }}", content_type="text/plain")
    raw = Payload(content=b"{{ attempt }}", template=False)
    for payload in (text, raw):
        await targets.deliver(delivery(HttpTarget(url=receiver.url, payload=payload))._replace(labels={"odd": 'a"b'}))
    assert receiver.bodies == [b'a"b', b"{{ attempt }}"]


@pytest.mark.parametrize(
    "target",
    [
        HttpTarget(url="http://localhost/", headers=(("X", "{{ labels.odd }}"),)),
        HttpTarget(url="http://localhost/", payload=Payload(content=b"{{ labels.odd }}" * 10_000)),
        HttpTarget(url="http://localhost:{{ labels.odd }}/"),
    ],
)
async def test_rendering_that_cannot_be_sent_fails_as_a_template(targets: HttpTargets, target: HttpTarget) -> None:
    result = await targets.deliver(delivery(target)._replace(labels={"odd": "line\nline" * 20}))
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.TEMPLATE)


async def test_unexpected_status_keeps_code_and_body(targets: HttpTargets, receiver: Receiver) -> None:
    result = await targets.deliver(delivery(HttpTarget(url=f"{receiver.url}/?status=404&size=9")))
    assert (result.reason, result.code, result.output, result.message) == (Reason.HTTP_STATUS, 404, b"x" * 9, "answered 404 Not Found")


async def test_expected_status_succeeds(targets: HttpTargets, receiver: Receiver) -> None:
    codes = (StatusRange(first=200, last=204), StatusRange(first=409, last=409))
    assert (await targets.deliver(delivery(HttpTarget(url=f"{receiver.url}/?status=409", expected_status=codes)))).code == 409
    assert (
        await targets.deliver(delivery(HttpTarget(url=f"{receiver.url}/?status=205", expected_status=codes)))
    ).reason is Reason.HTTP_STATUS


async def test_body_match_decides(targets: HttpTargets, receiver: Receiver) -> None:
    assert (await targets.deliver(delivery(HttpTarget(url=receiver.url, body_match="fin")))).outcome is Outcome.SUCCEEDED
    result = await targets.deliver(delivery(HttpTarget(url=receiver.url, body_match="done")))
    assert (result.outcome, result.reason, result.code, result.output) == (Outcome.FAILED, Reason.RESPONSE_MISMATCH, 200, b"fine")


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (429, "120", 120),
        (503, " 0 ", 0),
        (503, "Thu, 01 Jan 2026 09:01:30 GMT", 90),
        (503, "Thu, 01 Jan 2026 08:00:00 GMT", 0),
        (503, "99999999999", 7 * 86400),
        (503, "soon", None),
        (500, "120", None),
    ],
)
async def test_retry_after_is_understood(targets: HttpTargets, receiver: Receiver, status: int, value: str, seconds: int | None) -> None:
    result = await targets.deliver(delivery(HttpTarget(url=f"{receiver.url}/?status={status}&header-Retry-After={quote(value)}")))
    assert result.retry_after == (None if seconds is None else timedelta(seconds=seconds))


async def test_redirect_is_followed_only_on_request(targets: HttpTargets, receiver: Receiver) -> None:
    target = HttpTarget(url=f"{receiver.url}/?status=307&header-Location=/there")
    result = await targets.deliver(delivery(target))
    assert (result.reason, result.code) == (Reason.HTTP_STATUS, 307)
    result = await targets.deliver(delivery(replace(target, follow_redirects=True)))
    assert (result.outcome, receiver.requests[-1].path) == (Outcome.SUCCEEDED, "/there")


async def test_endless_redirect_ends(targets: HttpTargets, receiver: Receiver) -> None:
    result = await targets.deliver(delivery(HttpTarget(url=f"{receiver.url}/circle", follow_redirects=True)))
    assert (result.reason, result.message) == (Reason.CONNECTION, "the server redirected too many times")
    assert len(receiver.requests) == 10


async def test_endless_answer_is_cut_at_the_limit_and_its_connection_closed(targets: HttpTargets, receiver: Receiver) -> None:
    result = await asyncio.wait_for(targets.deliver(delivery(HttpTarget(url=f"{receiver.url}/endless", output_limit_bytes=10))), 10)
    assert (result.outcome, result.output, result.output_truncated) == (Outcome.SUCCEEDED, b"x" * 10, True)


@pytest.mark.parametrize("limit", [0, 99, 100])
async def test_output_limit_is_exact_and_small_answers_keep_the_connection(targets: HttpTargets, receiver: Receiver, limit: int) -> None:
    target = HttpTarget(url=f"{receiver.url}/?size=100", output_limit_bytes=limit)
    for _ in range(3):
        result = await targets.deliver(delivery(target))
        assert (len(result.output), result.output_truncated) == (limit, limit < 100)
    assert len(receiver.connections) == 1


async def test_connections_are_reused(targets: HttpTargets, receiver: Receiver) -> None:
    for _ in range(20):
        await targets.deliver(delivery(HttpTarget(url=receiver.url)))
    assert len(receiver.connections) == 1


async def test_connections_per_host_are_bounded(receiver: Receiver) -> None:
    targets = HttpTargets(StoppedClock(), HttpLimits(connections_per_host=3))
    await asyncio.gather(*(targets.deliver(delivery(HttpTarget(url=receiver.url))) for _ in range(30)))
    await targets.aclose()
    assert len(receiver.connections) <= 3


async def test_broken_answer_is_a_connection_failure(targets: HttpTargets, receiver: Receiver) -> None:
    result = await targets.deliver(delivery(HttpTarget(url=f"{receiver.url}/broken")))
    assert (result.reason, result.message) == (Reason.CONNECTION, "the connection broke before the answer was complete")


@pytest.mark.parametrize(
    ("answer", "part"),
    [(b"", "closed the connection without an answer"), (b"not HTTP at all\r\n\r\n", "not valid HTTP")],
)
async def test_server_that_speaks_no_http_is_a_connection_failure(targets: HttpTargets, answer: bytes, part: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        result = await targets.deliver(delivery(HttpTarget(url=f"http://127.0.0.1:{port}/")))
    assert result.reason is Reason.CONNECTION
    assert part in result.message


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://127.0.0.1:{port}/", "cannot connect to 127.0.0.1 port {port}: "),
        ("https://nowhere.invalid/", "the name nowhere.invalid does not resolve: "),
        ("http+unix://%2Fnonexistent.sock/", "cannot connect to the socket /nonexistent.sock: No such file"),
    ],
)
async def test_unreachable_server_is_a_connection_failure(targets: HttpTargets, url: str, part: str) -> None:
    port = str(await unused_port())
    result = await targets.deliver(delivery(HttpTarget(url=url.replace("{port}", port))))
    assert result.reason is Reason.CONNECTION
    assert result.message.startswith(part.replace("{port}", port))


async def test_tls_to_a_plain_server_is_a_connection_failure(targets: HttpTargets, receiver: Receiver) -> None:
    result = await targets.deliver(delivery(HttpTarget(url=receiver.url.replace("http:", "https:"))))
    assert result.reason is Reason.CONNECTION
    assert "no TLS connection" in result.message


async def test_unix_socket_is_reached_and_its_session_kept(targets: HttpTargets, receiver: Receiver, tmp_path: Path) -> None:
    url = f"http+unix://{quote(str(tmp_path / 'app.sock'), safe='')}/path?status=201"
    for _ in range(3):
        assert (await targets.deliver(delivery(HttpTarget(url=url)))).code == 201
    assert receiver.requests[0].path == "/path"
    assert len(receiver.connections) == 1


async def test_many_unix_sockets_leave_few_sessions(targets: HttpTargets, tmp_path: Path) -> None:
    for number in range(40):
        path = quote(str(tmp_path / f"{number}.sock"), safe="")
        assert (await targets.deliver(delivery(HttpTarget(url=f"http+unix://{path}/")))).reason is Reason.CONNECTION
    assert targets._sessions is not None
    assert len(targets._sessions._unix) == 32


async def test_compressed_answer_is_not_asked_for_but_understood(targets: HttpTargets, receiver: Receiver) -> None:
    assert (await targets.deliver(delivery(HttpTarget(url=f"{receiver.url}/gzip")))).output == b"plain"
    target = HttpTarget(url=f"{receiver.url}/gzip", headers=(("Accept-Encoding", "gzip"),))
    assert (await targets.deliver(delivery(target))).output == b"unpacked"


async def test_timeout_names_its_length_and_is_exact(targets: HttpTargets, receiver: Receiver) -> None:
    request = delivery(HttpTarget(url=f"{receiver.url}/hang"))._replace(timeout=timedelta(milliseconds=50))
    result = await targets.deliver(request)
    assert (result.reason, result.message) == (Reason.TIMEOUT, "no answer within 0.05 s")
