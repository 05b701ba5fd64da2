"""What went wrong in an HTTP call, in words for people."""

from __future__ import annotations

import aiohttp
from aiohttp.client_exceptions import UnixClientConnectorError

from schedd.targets.http.wire import WireError


def connection_message(error: aiohttp.ClientError | OSError) -> str:
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
        case WireError():
            return str(error)
        case OSError():
            return f"the connection broke: {_os_text(error)}"
    return f"{type(error).__name__}: {error}"


def _connector_message(error: aiohttp.ClientConnectorError) -> str:
    match error:
        case UnixClientConnectorError():
            return f"cannot connect to the socket {error.path}: {_os_text(error.os_error)}"
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} does not resolve: {_os_text(error.os_error)}"
        case aiohttp.ClientSSLError():
            return f"no TLS connection to {error.host} port {error.port}: {_os_text(error.os_error)}"
    return f"cannot connect to {error.host} port {error.port}: {_os_text(error.os_error)}"


def _os_text(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
