"""The HTTP server: GET /metrics and GET /healthz, on a loopback port or on a unix socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from schedd.core.errors import UnavailableError
from schedd.service.admin import Admin
from schedd.service.journal import Journal
from schedd.web.exposition import CONTENT_TYPE, Exposition
from schedd.web.tally import HostLabels, Tally


class WebServer:
    """Counts from when it is made; answers between `start` and `stop`. What it tells has no password: the caller sees to who reaches it."""

    def __init__(self, admin: Admin, journal: Journal) -> None:
        self.serving = False
        """Whether the daemon does its work; the health check tells it."""
        self._admin = admin
        self._hosts = HostLabels()
        self._tally = Tally(self._hosts)
        self._stop_listening = journal.listen(self._tally.take)
        self._watchers: Callable[[], int] = lambda: 0
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)

    async def start_on_port(self, host: str, port: int, watchers: Callable[[], int]) -> int:
        """Answer on a TCP port, 0 being any free one; the port. `watchers` tells how many watch. Raises: OSError."""
        await self._start(watchers)
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def start_on_socket(self, path: Path, watchers: Callable[[], int]) -> None:
        """Answer on a unix socket that is not there yet. `watchers` tells how many watch. Raises: OSError."""
        await self._start(watchers)
        await web.UnixSite(self._runner, path).start()

    async def stop(self) -> None:
        """Answer no more, and count no more."""
        self._stop_listening()
        await self._runner.cleanup()

    async def _start(self, watchers: Callable[[], int]) -> None:
        self._watchers = watchers
        await self._runner.setup()

    async def _metrics(self, _: web.Request) -> web.Response:
        try:
            status = await self._admin.status()
        except UnavailableError as error:
            return web.Response(status=503, text=f"{error}\n")
        answer = Exposition(status=status, watchers=self._watchers(), tally=self._tally, hosts=self._hosts)
        return web.Response(body=answer.encoded(), headers={"Content-Type": CONTENT_TYPE})

    async def _health(self, _: web.Request) -> web.Response:
        if self.serving:
            return web.Response(text="SERVING\n")
        return web.Response(status=503, text="NOT_SERVING\n")
