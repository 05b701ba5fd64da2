"""The HTTP side as it is configured: a server of web/ in its place, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from schedd.daemon.config import Config, Metrics
from schedd.daemon.listening import Endpoint, check_port, clear_socket, open_socket, parse_endpoint, remove_socket, socket_error
from schedd.service.admin import Admin
from schedd.service.journal import Journal

if TYPE_CHECKING:
    from schedd.web.server import WebServer

_KEY = "metrics.listen"


def make_way(metrics: Metrics) -> None:
    """Make the configured place free. Raises: SocketError if it cannot be listened on."""
    if metrics.listen is None:
        return
    if Path(metrics.listen).is_absolute():
        clear_socket(Path(metrics.listen), key=_KEY)
    else:
        check_port(metrics.listen, key=_KEY)


class HttpSide:
    """The metrics and the health check; without `metrics.listen` nothing is loaded, and each call does nothing."""

    def __init__(self, config: Config, admin: Admin, journal: Journal) -> None:
        self.address: str | None = None
        """Where it answers; None: nowhere."""
        self._place = config.metrics.listen
        self._listen = config.listen
        self._server = None if self._place is None else _server(admin, journal)

    async def start(self, watchers: Callable[[], int]) -> None:
        """Answer calls; `watchers` tells how many watch. Raises: SocketError."""
        if self._place is None or self._server is None:
            return
        try:
            self.address = await self._start(self._server, self._place, watchers)
        except OSError as exc:
            raise socket_error(self._place, exc, key=_KEY) from exc

    def set_serving(self, serving: bool) -> None:
        """Tell health checks whether the daemon does its work."""
        if self._server is not None:
            self._server.serving = serving

    async def stop(self) -> None:
        """Answer no more, and leave no socket behind."""
        if self._place is None or self._server is None:
            return
        await self._server.stop()
        if Path(self._place).is_absolute():
            remove_socket(Path(self._place))

    async def _start(self, server: WebServer, place: str, watchers: Callable[[], int]) -> str:
        if Path(place).is_absolute():
            await server.start_on_socket(Path(place), watchers)
            open_socket(Path(place), self._listen)
            return place
        endpoint = parse_endpoint(place)
        port = await server.start_on_port(str(endpoint.host), endpoint.port, watchers)
        return str(Endpoint(host=endpoint.host, port=port))


def _server(admin: Admin, journal: Journal) -> WebServer:
    from schedd.web.server import WebServer  # Imports aiohttp, a tenth of a second and ten megabytes.

    return WebServer(admin, journal)
