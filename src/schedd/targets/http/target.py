"""HTTP targets: plain calls go the short way (`wire.py`), the others through aiohttp.

There is one aiohttp session that reuses connections, and one for each unix socket that is called.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Protocol

import aiohttp

from schedd.core.errors import TemplateError
from schedd.core.model.execution import AttemptResult, DeliveryRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import KEPT_BYTES, RenderedHttp, without_secret
from schedd.core.model.target import HttpTarget, StatusRange
from schedd.targets.http.call import COMMON_HEADERS, Outgoing, render
from schedd.targets.http.errors import connection_message
from schedd.targets.http.wire import Answer, Wire

_REDIRECTS_MAX = 10
_UNIX_SESSIONS_MAX = 32
_RETRY_AFTER_MAX_S = 7 * 86400
_NEVER_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How connections are kept.

    `keepalive_s` is short: servers close idle connections after 2 s (gunicorn) to 5 s (Node, uvicorn), and a request that
    meets that moment is lost, which a schedule that fires every 5 s would do each time. A backlog reuses its connections all the same.
    """

    connections_per_host: int = 128
    keepalive_s: float = 1.5
    dns_cache_s: int = 10


class WallClock(Protocol):
    """As much of the port `Clock` as a Retry-After date needs."""

    def now_us(self) -> int:
        """The wall clock: microseconds since 1970-01-01T00:00:00Z."""


class HttpTargets:
    """The `Target` port for `HttpTarget`."""

    def __init__(self, clock: WallClock, limits: HttpLimits = HttpLimits()) -> None:
        self._clock = clock
        self._limits = limits
        self._wire: Wire | None = None
        self._tcp: aiohttp.ClientSession | None = None
        self._unix: OrderedDict[str, _UnixSession] = OrderedDict()
        self._closed = False

    async def deliver(self, request: DeliveryRequest) -> AttemptResult:
        """Send the request once; every end is a value. A cancelled call closes its connection."""
        if self._closed:
            return _failure(Reason.INTERRUPTED, "the daemon is ending")
        try:
            return await self._deliver(request)
        except TemplateError as error:
            return _failure(Reason.TEMPLATE, str(error))
        except TimeoutError:
            return _failure(Reason.TIMEOUT, f"no answer within {_seconds(request.timeout)}")
        except (aiohttp.ClientError, OSError) as error:
            return _failure(Reason.CONNECTION, connection_message(error))
        except Exception as error:  # noqa: BLE001 (a failing target is a value)
            return _failure(Reason.TARGET_ERROR, f"{type(error).__name__}: {error}")

    def rendered(self, request: DeliveryRequest) -> RenderedHttp | None:
        """What `deliver` sends for this request, credentials left out; None if it cannot be rendered."""
        if not isinstance(request.target, HttpTarget):
            return None
        try:
            outgoing = render(request.target, request)
        except TemplateError:
            return None
        url = outgoing.address.url if outgoing.address.socket_path is not None else outgoing.address.url.with_user(None)
        return RenderedHttp(
            method=request.target.method,
            url=str(url),
            headers=tuple((name, without_secret(name, value)) for name, value in outgoing.headers),
            body=outgoing.body[:KEPT_BYTES],
        )

    def force(self, execution_id: int) -> None:
        """A cancelled call ends at once as it is."""

    async def aclose(self) -> None:
        """Close every connection; calls that are still under way fail."""
        self._closed = True
        if self._wire is not None:
            self._wire.close()
        sessions = [unix.session for unix in self._unix.values()]
        if self._tcp is not None:
            sessions.append(self._tcp)
        self._tcp = None
        self._unix.clear()
        for session in sessions:
            await session.close()

    async def _deliver(self, request: DeliveryRequest) -> AttemptResult:
        target = request.target
        if not isinstance(target, HttpTarget):
            raise TypeError(f"an HTTP target is wanted, not {type(target).__name__}")
        outgoing = render(target, request)
        answer = await (self._send_the_short_way(outgoing, request) if outgoing.message is not None else self._send(outgoing, request))
        return self._result(target, answer)

    async def _send_the_short_way(self, outgoing: Outgoing, request: DeliveryRequest) -> Answer:
        assert outgoing.message is not None, "the caller looked"
        assert outgoing.address.place is not None, "a message is made only for a place"
        target, limits = outgoing.target, self._limits
        if self._wire is None:
            self._wire = Wire(connections=limits.connections_per_host, keepalive_s=limits.keepalive_s, dns_cache_s=limits.dns_cache_s)
        return await self._wire.call(
            outgoing.address.place,
            target.method,
            outgoing.message,
            body_limit=target.output_limit_bytes,
            timeout_s=None if request.timeout is None else request.timeout.total_seconds(),
        )

    async def _send(self, outgoing: Outgoing, request: DeliveryRequest) -> Answer:
        if outgoing.address.socket_path is None:
            return await _send_by(self._tcp_session(), outgoing, request)
        unix = self._unix_session(outgoing.address.socket_path)
        unix.users += 1
        try:
            return await _send_by(unix.session, outgoing, request)
        finally:
            unix.users -= 1
            await self._drop_unused()

    def _result(self, target: HttpTarget, answer: Answer) -> AttemptResult:
        outcome, reason, message = Outcome.SUCCEEDED, Reason.COMPLETED, ""
        retry_after = None
        if not _expected(target.expected_status, answer.status):
            outcome, reason = Outcome.FAILED, Reason.HTTP_STATUS
            message = f"answered {answer.status} {answer.reason}".rstrip()
            retry_after = self._retry_after(answer)
        elif target.body_match and target.body_match.encode() not in answer.body:
            outcome, reason = Outcome.FAILED, Reason.RESPONSE_MISMATCH
            message = (
                f"answered {answer.status}, but without {target.body_match!r} in the first {target.output_limit_bytes} bytes of the body"
            )
        return AttemptResult(outcome, reason, answer.status, message, answer.body, b"", answer.truncated, retry_after)

    def _retry_after(self, answer: Answer) -> timedelta | None:
        """What the server asked for (RFC 9110, 10.2.3: seconds, or a date), at most 7 days."""
        value = answer.headers.get("retry-after") if answer.status in (429, 503) else None
        if value is None:
            return None
        value = value.strip()
        if value.isascii() and value.isdecimal():
            return timedelta(seconds=min(int(value[:9]), _RETRY_AFTER_MAX_S))
        try:
            wait_s = parsedate_to_datetime(value).timestamp() - self._clock.now_us() / 1e6
        except ValueError:
            return None
        return timedelta(seconds=min(max(wait_s, 0), _RETRY_AFTER_MAX_S))

    def _tcp_session(self) -> aiohttp.ClientSession:
        if self._tcp is None:
            self._tcp = _session(
                aiohttp.TCPConnector(
                    limit=0,
                    limit_per_host=self._limits.connections_per_host,
                    keepalive_timeout=self._limits.keepalive_s,
                    ttl_dns_cache=self._limits.dns_cache_s,
                )
            )
        return self._tcp

    def _unix_session(self, path: str) -> _UnixSession:
        unix = self._unix.get(path)
        if unix is None:
            limits = self._limits
            connector = aiohttp.UnixConnector(path, limit=limits.connections_per_host, keepalive_timeout=limits.keepalive_s)
            unix = self._unix[path] = _UnixSession(_session(connector))
        self._unix.move_to_end(path)
        return unix

    async def _drop_unused(self) -> None:
        """Keep the most recently used sockets' sessions, and all that are in use."""
        surplus = max(len(self._unix) - _UNIX_SESSIONS_MAX, 0)
        for path in [path for path, unix in self._unix.items() if not unix.users][:surplus]:
            await self._unix.pop(path).session.close()


@dataclass(slots=True)
class _UnixSession:
    session: aiohttp.ClientSession
    users: int = 0


def _session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=COMMON_HEADERS,
        # Uncompressed answers cost the server little and spare us the bombs.
        skip_auto_headers=("Accept-Encoding", "Content-Type"),
    )


@lru_cache(maxsize=256)
def _timeout(timeout: timedelta | None) -> aiohttp.ClientTimeout:
    """A bound for the whole call, exact (aiohttp rounds those over `ceil_threshold` seconds up to whole ones)."""
    total = None if timeout is None else max(timeout.total_seconds(), 1e-6)
    return aiohttp.ClientTimeout(total=total, ceil_threshold=_NEVER_S)


async def _send_by(session: aiohttp.ClientSession, outgoing: Outgoing, request: DeliveryRequest) -> Answer:
    target = outgoing.target
    response = await session.request(
        target.method,
        outgoing.address.url,
        headers=outgoing.headers,
        data=outgoing.body or None,
        timeout=_timeout(request.timeout),
        allow_redirects=target.follow_redirects,
        max_redirects=_REDIRECTS_MAX,
    )
    try:
        output, truncated = await _read(response, target.output_limit_bytes)
    except BaseException:
        response.close()
        raise
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, response.reason or "", headers, output, truncated)


async def _read(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """The first `limit` bytes of the body, and whether there was more; then the connection is closed rather than read on."""
    content = response.content
    body = await content.readany()
    if not content.at_eof():
        chunks, size = [body], len(body)
        while size <= limit and (chunk := await content.readany()):
            chunks.append(chunk)
            size += len(chunk)
        body = b"".join(chunks)
    if len(body) <= limit:
        return body, False
    if not content.is_eof():
        response.close()
    return body[:limit], True


def _expected(ranges: tuple[StatusRange, ...], status: int) -> bool:
    return any(codes.first <= status <= codes.last for codes in ranges)


def _failure(reason: Reason, message: str) -> AttemptResult:
    return AttemptResult(outcome=Outcome.FAILED, reason=reason, message=message)


def _seconds(timeout: timedelta | None) -> str:
    return "the connection's own time limit" if timeout is None else f"{timeout.total_seconds():g} s"
