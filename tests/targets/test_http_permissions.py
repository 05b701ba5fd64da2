"""Whom HTTP targets may call, against a real server: on both ways, by literal, by name, by what a name leads to, and after redirects."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from schedd.core.model.execution import AttemptResult
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import HttpTarget
from schedd.core.permissions import Permissions, parse_listed
from schedd.targets.http.doors import DeniedError, reachable
from schedd.targets.http.target import HttpTargets
from tests.conformance.target import NOMINAL_US, delivery

both_ways = pytest.mark.parametrize("long_way", [False, True], ids=["short", "long"])


class StoppedClock:
    def now_us(self) -> int:
        return NOMINAL_US


class Server:
    """Answers on 127.0.0.1 and 127.0.0.2; `/to?url=` redirects, `/slow` answers when it is let go."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.port = 0
        self.slow_began = asyncio.Event()
        self.let_go = asyncio.Event()

    def url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        self.hosts.append(str(request.transport.get_extra_info("sockname")))
        if request.path == "/to":
            return web.Response(status=307, headers={"Location": request.query["url"]})
        if request.path == "/slow":
            self.slow_began.set()
            await self.let_go.wait()
        return web.Response(text="fine")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server()
    runner = web.ServerRunner(web.Server(server.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    await web.TCPSite(runner, "127.0.0.2", server.port).start()
    await web.UnixSite(runner, str(tmp_path / "app.sock")).start()
    yield server
    await runner.cleanup()


def denying(*entries: str, allow: tuple[str, ...] = (), global_only: bool = False) -> Permissions:
    return Permissions(denied=parse_listed(entries), allowed=parse_listed(allow), global_only=global_only)


@asynccontextmanager
async def calling(permissions: Permissions, long_way: bool) -> AsyncIterator[Callable[[str], asyncio.Task[AttemptResult]]]:
    """Calls a URL; on the long way by a target that follows redirects."""
    targets = HttpTargets(StoppedClock(), permissions=permissions)
    async with asyncio.TaskGroup() as tasks:
        yield lambda url: tasks.create_task(targets.deliver(delivery(HttpTarget(url=url, follow_redirects=long_way))))
    await targets.aclose()


def is_denied(result: AttemptResult) -> bool:
    assert result.outcome is Outcome.FAILED
    return result.reason is Reason.TARGET_DENIED


@both_ways
@pytest.mark.parametrize(
    ("host", "permissions", "fault"),
    [
        ("127.0.0.1", denying("127.0.0.0/8"), "calls to 127.0.0.1: http.deny has 127.0.0.0/8"),
        ("localhost", denying("127.0.0.0/8", "::1"), "calls to localhost, which is "),
        ("localhost", denying("local*"), "calls to localhost: http.deny has local*"),
        ("LOCALHOST.", denying("localhost"), "http.deny has localhost"),
        ("127.0.0.1", denying(global_only=True), "http.global_only is true"),
        ("localhost", denying(global_only=True), "http.global_only is true"),
        ("[::ffff:127.0.0.1]", denying("127.0.0.1"), "http.deny has 127.0.0.1/32"),
        ("0.0.0.0", denying("127.0.0.0/8"), "http.deny has 127.0.0.0/8"),
        ("127.0.0.1", denying("127.0.0.*"), "http.deny has 127.0.0.*"),
    ],
)
async def test_denied_target_is_not_called_and_its_reason_says_why(
    server: Server, host: str, permissions: Permissions, fault: str, long_way: bool
) -> None:
    async with calling(permissions, long_way) as call:
        result = await call(server.url(host))
    assert is_denied(result)
    assert (result.code, result.message.startswith("the daemon's configuration denies calls to ")) == (None, True)
    assert fault in result.message
    assert server.hosts == []


@both_ways
@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001", "0177.0.0.1"])
async def test_address_in_an_old_form_leads_nowhere_that_is_denied(server: Server, host: str, long_way: bool) -> None:
    async with calling(denying("127.0.0.0/8"), long_way) as call:
        result = await call(server.url(host))
    assert result.outcome is Outcome.FAILED
    assert server.hosts == []


@both_ways
@pytest.mark.parametrize(
    ("host", "permissions"),
    [
        ("127.0.0.1", denying("10.0.0.0/8", "*.internal")),
        ("127.0.0.1", denying(global_only=True, allow=("127.0.0.1",))),
        ("localhost", denying(global_only=True, allow=("localhost",))),
        ("localhost", denying("127.0.0.0/8", "::1", allow=("local?ost",))),
    ],
)
async def test_target_that_is_not_denied_or_allowed_as_an_exception_is_called(
    server: Server, host: str, permissions: Permissions, long_way: bool
) -> None:
    async with calling(permissions, long_way) as call:
        result = await call(server.url(host))
    assert (result.outcome, len(server.hosts)) == (Outcome.SUCCEEDED, 1), result.message


@pytest.mark.parametrize("to", ["127.0.0.2", "localhost", "[::ffff:127.0.0.2]", "2130706434"])
async def test_redirect_to_a_denied_target_is_not_followed(server: Server, to: str) -> None:
    async with calling(denying("127.0.0.2", "localhost"), long_way=True) as call:
        result = await call(server.url("127.0.0.1", f"/to?url={quote(server.url(to))}"))
    assert result.outcome is Outcome.FAILED
    assert (result.reason is Reason.TARGET_DENIED) == (to != "2130706434"), result.message
    assert len(server.hosts) == 1


async def test_redirect_to_the_address_of_a_host_that_is_allowed_by_name_is_denied(server: Server) -> None:
    permissions = denying("127.0.0.0/8", "::1", allow=("localhost",))
    async with calling(permissions, long_way=True) as call:
        result = await call(server.url("localhost", f"/to?url={quote(server.url('127.0.0.1'))}"))
        assert (is_denied(result), len(server.hosts)) == (True, 1)


async def test_unix_socket_is_denied_by_its_path_and_by_what_it_links_to(server: Server, tmp_path: Path) -> None:
    (tmp_path / "link.sock").symlink_to(tmp_path / "app.sock")
    paths = [tmp_path / "app.sock", tmp_path / "link.sock", f"{tmp_path}/../{tmp_path.name}/app.sock"]
    urls = [f"http+unix://{quote(str(path), safe='')}/" for path in paths]
    async with calling(denying(f"unix:{tmp_path}/app.sock"), long_way=False) as call:
        assert [is_denied(await call(url)) for url in urls] == [True] * 3
    async with calling(denying(global_only=True), long_way=False) as call:
        assert is_denied(await call(urls[0]))
    allow = (f"unix:{tmp_path}/link.*",)
    async with calling(denying(f"unix:{tmp_path}/app.sock", allow=allow), long_way=False) as call:
        assert is_denied(await call(urls[1]))
    assert server.hosts == []
    async with calling(denying(global_only=True, allow=(f"unix:{tmp_path}/app.sock",)), long_way=False) as call:
        assert [(await call(url)).outcome for url in urls] == [Outcome.SUCCEEDED] * 3


def test_of_several_addresses_those_that_are_not_denied_remain() -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 80)) for text in ("10.0.0.1", "192.0.2.1", "10.0.0.2")]
    assert [each[4][0] for each in reachable(denying("10.0.0.0/8"), "host", found)] == ["192.0.2.1"]
    with pytest.raises(DeniedError, match=r"calls to host, which is 10\.0\.0\.1: http\.deny has 0\.0\.0\.0/0"):
        reachable(denying("0.0.0.0/0"), "host", found)


@both_ways
async def test_change_of_permissions_holds_for_kept_connections_too_and_ends_no_call(server: Server, long_way: bool) -> None:
    targets = HttpTargets(StoppedClock())

    async def call(path: str = "/") -> AttemptResult:
        return await targets.deliver(delivery(HttpTarget(url=server.url("127.0.0.1", path), follow_redirects=long_way)))

    async with asyncio.TaskGroup() as tasks:
        assert (await call()).outcome is Outcome.SUCCEEDED
        slow = tasks.create_task(call("/slow"))
        await server.slow_began.wait()
        await targets.permit(denying("127.0.0.1"))
        assert is_denied(await call())
        server.let_go.set()
        assert (await slow).outcome is Outcome.SUCCEEDED
        assert is_denied(await call())
        await targets.permit(Permissions())
        assert (await call()).outcome is Outcome.SUCCEEDED
    await targets.aclose()
