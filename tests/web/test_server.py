"""The HTTP server itself: where it answers, and what it answers when the daemon is not well."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from tests.engine.rig import running
from tests.web.scraping import Scrape, scraped, web_server


async def test_health_check_says_whether_the_daemon_serves(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig, scraped(rig) as web:
        assert await web.get("/healthz") == (503, "NOT_SERVING\n")
        web.server.serving = True
        assert await web.get("/healthz") == (200, "SERVING\n")


async def test_server_on_a_unix_socket_answers_there(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        server = web_server(rig)
        await server.start_on_socket(tmp_path / "m.sock", lambda: 0)
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(tmp_path / "m.sock"))) as session,
            session.get("http://localhost/metrics") as answer,
        ):
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert Scrape(await answer.text()).value("schedd_watchers") == 0
        await server.stop()


async def test_metrics_of_a_store_that_cannot_be_read_are_unavailable_and_the_server_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig, scraped(rig) as web:
        web.server.serving = True
        await rig.store.aclose()
        status, text = await web.get("/metrics")
        assert status == 503
        assert "the store cannot be read" in text
        assert (await web.get("/healthz"))[0] == 200


async def test_stopped_server_answers_no_more(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        async with scraped(rig) as web:
            base = web.base
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(f"{base}/healthz")


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/metrics", 405), ("DELETE", "/healthz", 405), ("GET", "/", 404)])
async def test_server_answers_nothing_else(tmp_path: Path, method: str, path: str, status: int) -> None:
    async with running(tmp_path / "db") as rig, scraped(rig) as web, web.session.request(method, web.base + path) as answer:
        assert answer.status == status
