"""HTTP targets with credentials, against a real server: what is sent, what cannot be had, and that nothing of a secret is seen."""

from __future__ import annotations

import os
import resource
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from schedd.core.model.execution import AttemptResult
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import AuthScheme, HttpAuth, HttpTarget, StatusRange
from schedd.targets.http.secrets import SECRET_MOST_BYTES, SecretError, SecretFiles
from schedd.targets.http.target import HttpTargets
from tests.conformance.target import NOMINAL_US, delivery

TOKEN = "t0ken-of-the-pager"
BEARER = HttpAuth(scheme=AuthScheme.BEARER, secret="pager")
BASIC = HttpAuth(scheme=AuthScheme.BASIC, secret="pager", username="jörg")
ENCODED = b64encode(f"jörg:{TOKEN}".encode()).decode()

both_ways = pytest.mark.parametrize("long_way", [False, True], ids=["short", "long"])


class StoppedClock:
    def now_us(self) -> int:
        return NOMINAL_US


class Server:
    """Keeps the Authorization headers that it got; `/?status=` answers with that, `/echo` says what it got, `/to?url=` redirects."""

    def __init__(self) -> None:
        self.got: list[str | None] = []
        self.port = 0

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.got.append(request.headers.get("Authorization"))
        if request.path == "/to":
            return web.Response(status=307, headers={"Location": request.query["url"]})
        if request.path == "/broken":
            assert request.transport is not None
            request.transport.write(f"HTTP/1.1 200 OK\r\n{self.got[-1]}\r\n\r\n".encode())
        if request.path == "/echo":
            text = f"you are {self.got[-1]}, {TOKEN}"
            return web.Response(status=500, reason=f"no {TOKEN}", text=text)
        return web.Response(status=int(request.query.get("status", 200)))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    runner = web.ServerRunner(web.Server(server.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    await web.TCPSite(runner, "127.0.0.2", server.port).start()
    yield server
    await runner.cleanup()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pager"
    path.touch(mode=0o600)
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
async def targets(file: Path) -> AsyncIterator[HttpTargets]:
    targets = HttpTargets(StoppedClock(), secrets=SecretFiles({"pager": file}))
    yield targets
    await targets.aclose()


async def call(targets: HttpTargets, target: HttpTarget) -> AttemptResult:
    return await targets.deliver(delivery(target))


@both_ways
@pytest.mark.parametrize(("auth", "sent"), [(BEARER, f"Bearer {TOKEN}"), (BASIC, f"Basic {ENCODED}"), (None, None)])
async def test_request_carries_the_credentials_that_its_target_names(
    targets: HttpTargets, server: Server, auth: HttpAuth | None, sent: str | None, long_way: bool
) -> None:
    result = await call(targets, HttpTarget(url=server.url(), auth=auth, follow_redirects=long_way))
    assert (result.outcome, server.got) == (Outcome.SUCCEEDED, [sent])


@both_ways
async def test_secret_that_is_changed_is_sent_as_it_is_now(targets: HttpTargets, server: Server, file: Path, long_way: bool) -> None:
    target = HttpTarget(url=server.url(), auth=BEARER, follow_redirects=long_way)
    await call(targets, target)
    file.write_text("another")
    await call(targets, target)
    new = file.with_name("new")
    new.touch(mode=0o600)
    new.write_text("renamed")
    new.rename(file)
    await call(targets, target)
    assert server.got == [f"Bearer {TOKEN}", "Bearer another", "Bearer renamed"]


@both_ways
@pytest.mark.parametrize(
    ("status", "reason"), [(401, Reason.AUTHENTICATION), (407, Reason.AUTHENTICATION), (403, Reason.HTTP_STATUS), (500, Reason.HTTP_STATUS)]
)
async def test_target_that_refuses_the_credentials_is_told_from_other_answers(
    targets: HttpTargets, server: Server, status: int, reason: Reason, long_way: bool
) -> None:
    target = HttpTarget(url=server.url(f"/?status={status}"), auth=BEARER, follow_redirects=long_way)
    result = await call(targets, target)
    assert (result.outcome, result.reason, result.code) == (Outcome.FAILED, reason, status)
    assert ("to the secret pager" in result.message) == (reason is Reason.AUTHENTICATION)
    assert (await call(targets, replace(target, auth=None))).reason is Reason.HTTP_STATUS
    assert (await call(targets, replace(target, expected_status=(StatusRange(first=400, last=599),)))).outcome is Outcome.SUCCEEDED


@both_ways
@pytest.mark.parametrize("auth", [BEARER, BASIC])
async def test_answer_that_repeats_the_credentials_is_kept_without_them(
    targets: HttpTargets, server: Server, auth: HttpAuth, long_way: bool
) -> None:
    result = await call(targets, HttpTarget(url=server.url("/echo"), auth=auth, follow_redirects=long_way))
    scheme = "Bearer" if auth is BEARER else "Basic"
    assert (result.output, result.message) == (f"you are {scheme} ***, ***".encode(), "answered 500 no ***")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"/to?url=http://{TOKEN.upper()}.invalid/", "the name ***.invalid does not resolve: "),
        (f"/to?url=http://[{TOKEN}/", "http://[***/ cannot be called"),
        ("/broken", "the answer is not valid HTTP: "),
    ],
)
async def test_call_that_fails_by_what_a_server_repeats_of_the_credentials_tells_it_without_them(
    targets: HttpTargets, server: Server, path: str, told: str
) -> None:
    result = await call(targets, HttpTarget(url=server.url(path), auth=BEARER, follow_redirects=True))
    assert (result.outcome, TOKEN in result.message.lower()) == (Outcome.FAILED, False)
    assert told in result.message


@pytest.mark.parametrize(("limit", "kept"), [(15 + 10, b"you are Bearer ***"), (15 + 2, b"you are Bearer t0"), (15, b"you are Bearer ")])
async def test_answer_cut_within_a_secret_is_kept_without_its_beginning(
    targets: HttpTargets, server: Server, limit: int, kept: bytes
) -> None:
    result = await call(targets, HttpTarget(url=server.url("/echo"), auth=BEARER, output_limit_bytes=limit))
    assert (result.output_truncated, result.output) == (True, kept)


@pytest.mark.parametrize("auth", [BEARER, BASIC])
def test_rendered_delivery_hides_the_credentials_and_needs_none(auth: HttpAuth) -> None:
    rendered = HttpTargets(StoppedClock()).rendered(delivery(HttpTarget(url="http://localhost/", auth=auth)))
    assert rendered is not None
    assert dict(rendered.headers)["Authorization"] == "***"


async def test_redirect_takes_the_credentials_along_to_the_same_place_alone(targets: HttpTargets, server: Server) -> None:
    for host in ("127.0.0.1", "127.0.0.2"):
        url = server.url(f"/to?url={quote(server.url('/', host))}")
        await call(targets, HttpTarget(url=url, auth=BEARER, follow_redirects=True))
    assert server.got == [f"Bearer {TOKEN}"] * 3 + [None]


async def test_secret_that_is_not_there_fails_the_delivery_for_good_and_calls_nobody(
    targets: HttpTargets, server: Server, file: Path
) -> None:
    file.unlink()
    target = HttpTarget(url=server.url(), auth=BEARER)
    missing = await call(targets, target)
    targets.secrets = SecretFiles({})
    unknown = await call(targets, target)
    for result, words in ((missing, "cannot be read: "), (unknown, "there is no secret pager in [secrets]")):
        assert (result.outcome, result.reason, result.code, result.retry_after) == (Outcome.FAILED, Reason.AUTHENTICATION, None, None)
        assert words in result.message
    assert server.got == []


async def test_secret_whose_file_is_opened_to_everybody_is_not_sent_any_more(targets: HttpTargets, server: Server, file: Path) -> None:
    target = HttpTarget(url=server.url(), auth=BEARER)
    assert (await call(targets, target)).outcome is Outcome.SUCCEEDED
    file.chmod(0o604)
    result = await call(targets, target)
    assert (result.reason, len(server.got)) == (Reason.AUTHENTICATION, 1)
    assert "is open to everybody on this host: chmod o-rwx" in result.message


@pytest.mark.parametrize(
    ("content", "auth", "words"),
    [
        (b"", BEARER, "is empty"),
        (b" \n", BASIC, "is empty"),
        (b"a\nb", BEARER, "is not one line"),
        (b"a\x00b", BASIC, "is not one line"),
        (b"\xff\xfe", BASIC, "is not UTF-8"),
        (b"a" * (SECRET_MOST_BYTES + 1), BASIC, "is longer than"),
        (b"a b", BEARER, "is no bearer token"),
        ("ä".encode(), BEARER, "is no bearer token"),
    ],
)
async def test_secret_that_cannot_be_sent_fails_the_delivery_and_says_why_without_it(
    targets: HttpTargets, server: Server, file: Path, content: bytes, auth: HttpAuth, words: str
) -> None:
    file.write_bytes(content)
    result = await call(targets, HttpTarget(url=server.url(), auth=auth))
    assert (result.reason, server.got) == (Reason.AUTHENTICATION, [])
    assert words in result.message
    assert (result.retry_after == timedelta(0)) == (words == "is empty")


def test_secret_in_a_pipe_is_refused_and_waits_for_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SecretError, match="is not in a file"):
        SecretFiles({"pager": tmp_path / "pipe"}).text("pager")


def test_secret_that_cannot_be_read_for_the_moment_is_worth_another_try(file: Path) -> None:
    secrets = SecretFiles({"pager": file})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(SecretError, match="Too many open files") as caught:
            secrets.text("pager")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.retry_after == timedelta(0)
    assert secrets.text("pager") == TOKEN
