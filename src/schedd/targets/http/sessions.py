"""The long way: calls through aiohttp, for https, unix sockets, redirects and odd headers.

There is one aiohttp session that reuses connections, and one for each unix socket that is called.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import aiohappyeyeballs
import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_exceptions import UnixClientConnectorError

from schedd.core.permissions import Permissions
from schedd.targets.http.call import COMMON_HEADERS, Outgoing
from schedd.targets.http.doors import DeniedError, check_address, check_host, check_socket, reachable
from schedd.targets.http.errors import os_text
from schedd.targets.http.limits import HttpLimits
from schedd.targets.http.wire import Answer, WireError

_REDIRECTS_MAX = 10
_UNIX_SESSIONS_MAX = 32
_NEVER_S = 1e9


class Sessions:
    """The aiohttp sessions of one `HttpTargets`, as long as the same permissions hold."""

    def __init__(self, limits: HttpLimits, permissions: Permissions) -> None:
        self._limits = limits
        self._permissions = permissions
        self._calls = 0
        self._retired = False
        self._tcp: aiohttp.ClientSession | None = None
        self._unix: OrderedDict[str, _UnixSession] = OrderedDict()

    async def send(self, outgoing: Outgoing, timeout: timedelta | None) -> Answer:
        """Send a request once. A cancelled call closes its connection. Raises: OSError (WireError, DeniedError, TimeoutError)."""
        self._calls += 1
        try:
            return await self._send(outgoing, timeout)
        except TimeoutError:
            raise
        except aiohttp.ClientError as error:
            if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, DeniedError):
                raise error.os_error from error
            raise WireError(_message(error)) from error
        finally:
            self._calls -= 1
            if self._retired:
                await self.retire()

    @property
    def is_closed(self) -> bool:
        """Whether it was retired, and its last call has ended."""
        return self._retired and not self._calls

    async def retire(self) -> None:
        """Close every connection once no call is under way any more; there will be no others."""
        self._retired = True
        if not self._calls:
            await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; calls that are still under way fail."""
        sessions = [unix.session for unix in self._unix.values()]
        if self._tcp is not None:
            sessions.append(self._tcp)
        self._tcp = None
        self._unix.clear()
        for session in sessions:
            await session.close()

    async def _send(self, outgoing: Outgoing, timeout: timedelta | None) -> Answer:
        if outgoing.address.socket_path is None:
            return await _send_by(self._tcp_session(), outgoing, timeout)
        unix = self._unix_session(outgoing.address.socket_path)
        unix.users += 1
        try:
            return await _send_by(unix.session, outgoing, timeout)
        finally:
            unix.users -= 1
            await self._drop_unused()

    def _tcp_session(self) -> aiohttp.ClientSession:
        if self._tcp is None:
            self._tcp = _session(
                aiohttp.TCPConnector(
                    limit=0,
                    limit_per_host=self._limits.connections_per_host,
                    keepalive_timeout=self._limits.keepalive_s,
                    ttl_dns_cache=self._limits.dns_cache_s,
                    **({} if self._permissions.all_hosts else _guarded(self._permissions)),
                )
            )
        return self._tcp

    def _unix_session(self, path: str) -> _UnixSession:
        unix = self._unix.get(path)
        if unix is None:
            check_socket(self._permissions, path)
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


class _Permitted(str):
    """An address that was judged together with the name which led to it; as a string it passes through aiohttp as it is."""

    __slots__ = ()


class _Resolver(AbstractResolver):
    """Resolves names, and leaves out what may not be called. Addresses in URLs do not come here: `_guarded` sees to those."""

    def __init__(self, permissions: Permissions) -> None:
        self._permissions = permissions
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """See AbstractResolver. Raises: OSError, DeniedError among them."""
        check_host(self._permissions, host)
        found = await self._resolver.resolve(host, port, family)
        infos = [(each["family"], socket.SOCK_STREAM, 0, "", (each["host"], each["port"])) for each in found]
        permitted = {info[4][0] for info in reachable(self._permissions, host, infos)}
        return [ResolveResult(**{**each, "host": _Permitted(each["host"])}) for each in found if each["host"] in permitted]

    async def close(self) -> None:
        """See AbstractResolver."""
        await self._resolver.close()


def _guarded(permissions: Permissions) -> dict[str, Any]:
    """What has a connector make no connection that is not permitted, after redirects neither."""

    def make(address: aiohappyeyeballs.AddrInfoType) -> socket.socket:
        host = address[4][0]
        if not isinstance(host, _Permitted):
            check_address(permissions, str(host))
        return socket.socket(*address[:3])

    return {"resolver": _Resolver(permissions), "socket_factory": make}


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


async def _send_by(session: aiohttp.ClientSession, outgoing: Outgoing, timeout: timedelta | None) -> Answer:
    target = outgoing.target
    response = await session.request(
        target.method,
        outgoing.address.url,
        headers=outgoing.headers,
        data=outgoing.body or None,
        timeout=_timeout(timeout),
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


def _message(error: aiohttp.ClientError) -> str:
    """One calm sentence about a call that got no whole answer."""
    match error:
        case aiohttp.ClientConnectorError():
            return _connector_message(error)
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without an answer"
        case aiohttp.TooManyRedirects():
            return "the server redirected too many times"
        case aiohttp.ClientPayloadError():
            return "the connection broke before the answer was complete"
        case aiohttp.ClientResponseError():
            return f"the answer is not valid HTTP: {error.message}"
        case aiohttp.InvalidURL():
            return f"{error.url} cannot be called"
        case OSError():
            return f"the connection broke: {os_text(error)}"
    return f"{type(error).__name__}: {error}"


def _connector_message(error: aiohttp.ClientConnectorError) -> str:
    match error:
        case UnixClientConnectorError():
            return f"cannot connect to the socket {error.path}: {os_text(error.os_error)}"
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} does not resolve: {os_text(error.os_error)}"
        case aiohttp.ClientSSLError():
            return f"no TLS connection to {error.host} port {error.port}: {os_text(error.os_error)}"
    return f"cannot connect to {error.host} port {error.port}: {os_text(error.os_error)}"
