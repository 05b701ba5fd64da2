"""A real server over a real engine, asked over HTTP; what it answers is read by Prometheus's own parser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from schedd.service.admin import Admin
from schedd.service.journal import Journal
from schedd.web.server import WebServer
from tests.engine.rig import Rig


@dataclass(frozen=True)
class Scrape:
    """One answer to a scrape."""

    text: str

    @property
    def families(self) -> list[Metric]:
        return list(text_string_to_metric_families(self.text))

    def series(self, name: str) -> dict[tuple[str, ...], float]:
        """The values of all samples of that name, by the values of their labels."""
        return {tuple(each.labels.values()): each.value for family in self.families for each in family.samples if each.name == name}

    def counted(self, name: str) -> dict[tuple[str, ...], float]:
        """The same without those that are 0."""
        return {labels: value for labels, value in self.series(name).items() if value}

    def value(self, name: str) -> float:
        """The value of the one sample of that name."""
        (value,) = self.series(name).values()
        return value


@dataclass
class Web:
    """A served engine."""

    server: WebServer
    session: aiohttp.ClientSession
    base: str

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.base + path) as answer:
            return answer.status, await answer.text()

    async def scrape(self) -> Scrape:
        status, text = await self.get("/metrics")
        assert status == 200
        return Scrape(text)


def web_server(rig: Rig) -> WebServer:
    admin = Admin(store=rig.store, engine=rig.engine, clock=rig.clock, version="1.2.3")
    return WebServer(admin, Journal(store=rig.store, engine=rig.engine))


@asynccontextmanager
async def scraped(rig: Rig) -> AsyncIterator[Web]:
    """The engine's metrics on a free loopback port."""
    server = web_server(rig)
    port = await server.start_on_port("127.0.0.1", 0, lambda: 3)
    try:
        async with aiohttp.ClientSession() as session:
            yield Web(server, session, f"http://127.0.0.1:{port}")
    finally:
        await server.stop()
