"""TCP with TLS and a token, set up as an operator does: a configuration file, and a daemon process; called by schedctl and the client."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from schedd.client import Client, Credentials, Patience, SyncClient, UnauthenticatedError, UnavailableError
from schedd.v1.journal_pb2 import JournalKind
from schedd.v1.schedule_pb2 import Schedule
from tests.certificates import Certificate, make_certificate

BIN = Path(sys.executable).parent
TOKEN = "0123456789abcdef0123456789abcdef"
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
ONCE = Patience(max_attempts=1)


@dataclass(frozen=True)
class Remote:
    """A daemon that listens on a port, and what its callers need to know."""

    directory: Path
    tls: Certificate
    port: int

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def client(self, *, token: str = TOKEN, authorities: Path | None = None, address: str = "") -> SyncClient:
        credentials = Credentials(token=token, authorities=(authorities or self.tls.certificate).read_bytes())
        return SyncClient(address or self.address, credentials=credentials, timeout=timedelta(seconds=10), patience=ONCE)

    def async_client(self, *, token: str = TOKEN, authorities: Path | None = None) -> Client:
        credentials = Credentials(token=token, authorities=(authorities or self.tls.certificate).read_bytes())
        return Client(self.address, credentials=credentials, timeout=timedelta(seconds=10), patience=ONCE)

    def schedctl(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {**ENVIRONMENT, "XDG_CONFIG_HOME": str(self.directory), **environment}
        return subprocess.run([BIN / "schedctl", *arguments], capture_output=True, text=True, env=variables, timeout=60, check=False)


def configuration(directory: Path, tls: Certificate, **changed: str) -> Path:
    """A configuration file for TCP with all it needs, some of its keys changed; `…=""` leaves a key out."""
    token = directory / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    keys = {
        "address": '"127.0.0.1:0"',
        "tls_certificate": f'"{tls.certificate}"',
        "tls_key": f'"{tls.key}"',
        "token_files": f'["{token}"]',
        **changed,
    }
    lines = [f"{key} = {value}" for key, value in keys.items() if value]
    file = directory / "schedd.toml"
    file.write_text(
        f'[storage]\npath = "{directory}/s.db"\n[listen]\nsocket = "{directory}/s.sock"\n[listen.tcp]\n' + "\n".join(lines) + "\n"
    )
    return file


@contextmanager
def started(file: Path) -> Iterator[int]:
    """A daemon with that configuration; its port."""
    process = subprocess.Popen([BIN / "schedd", "run", "--config", file], stderr=subprocess.PIPE, env=ENVIRONMENT, text=True)
    try:
        assert process.stderr is not None
        events = (json.loads(line) for line in process.stderr)
        yield next(int(event["tcp_port"]) for event in events if event["event"] == "ready")
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    directory = tmp_path_factory.mktemp("d")
    tls = make_certificate(directory)
    with started(configuration(directory, tls)) as port:
        yield Remote(directory, tls, port)


def test_client_with_the_token_and_the_authority_is_answered(remote: Remote) -> None:
    with remote.client() as client:
        assert client.get_status().listen_addresses[1] == f"tcp:127.0.0.1:{remote.port}"


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x"])
def test_client_without_the_token_is_unauthenticated(remote: Remote, token: str) -> None:
    with remote.client(token=token) as client, pytest.raises(UnauthenticatedError) as caught:
        client.get_status()
    assert TOKEN not in str(caught.value)


async def test_async_client_with_the_token_and_the_authority_is_answered_and_watches(remote: Remote) -> None:
    made = Schedule(name="groups/tls/schedules/job")
    made.triggers.add(expression="@yearly")
    made.target.process.argv.append("true")
    async with remote.async_client() as client:
        assert (await client.get_status()).listen_addresses[1] == f"tcp:127.0.0.1:{remote.port}"
        await client.create_schedule(made)
        async with asyncio.timeout(20), aclosing(client.watch(filter=f'schedule = "{made.name}"', after=0)) as watch:
            event = await anext(watch)
        assert event.kind == JournalKind.JOURNAL_KIND_SCHEDULE_CREATED
        await client.delete_schedule(made.name)


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_async_client_without_the_token_is_unauthenticated(remote: Remote, token: str) -> None:
    async with remote.async_client(token=token) as client:
        with pytest.raises(UnauthenticatedError) as caught:
            await client.get_status()
    assert TOKEN not in str(caught.value)


async def test_async_client_that_trusts_another_authority_does_not_connect(remote: Remote, tmp_path: Path) -> None:
    async with remote.async_client(authorities=make_certificate(tmp_path).certificate) as client:
        with pytest.raises(UnavailableError):
            await client.get_status()


def test_client_that_trusts_another_authority_does_not_connect(remote: Remote, tmp_path: Path) -> None:
    other = make_certificate(tmp_path)
    with remote.client(authorities=other.certificate) as client, pytest.raises(UnavailableError):
        client.get_status()


def test_client_in_plain_text_gets_no_answer_from_the_tls_port(remote: Remote) -> None:
    with remote.client(address=f"http://127.0.0.1:{remote.port}") as client, pytest.raises(UnavailableError):
        client.get_status()


def test_schedctl_uses_a_context_with_token_and_authority(remote: Remote) -> None:
    token = str(remote.directory / "token")
    files = ("--token-file", token, "--ca-file", str(remote.tls.certificate))
    assert remote.schedctl("context", "add", "far", "--server", remote.address, *files).returncode == 0
    told = remote.schedctl("server", "status", "--context", "far")
    assert (told.returncode, f"tcp:127.0.0.1:{remote.port}" in told.stdout) == (0, True)


def test_schedctl_without_the_token_says_how_to_give_one(remote: Remote) -> None:
    remote.schedctl("context", "add", "bare", "--server", remote.address, "--ca-file", str(remote.tls.certificate))
    told = remote.schedctl("list", "--context", "bare")
    assert (told.returncode, "SCHEDD_TOKEN" in told.stderr) == (6, True)
    wrong = remote.schedctl("list", "--context", "bare", SCHEDD_TOKEN="wrong")
    right = remote.schedctl("list", "--context", "bare", SCHEDD_TOKEN=TOKEN)
    assert (wrong.returncode, right.returncode, right.stderr) == (6, 0, "no schedules\n")


def test_schedctl_that_does_not_trust_the_certificate_says_what_to_look_at(remote: Remote) -> None:
    told = remote.schedctl("list", "--server", remote.address, "--timeout", "10s", SCHEDD_TOKEN=TOKEN)
    assert told.returncode == 5
    assert "--ca-file" in told.stderr


@pytest.mark.parametrize(
    ("changed", "key", "right"),
    [
        ({"tls_certificate": "", "tls_key": ""}, "address", "TCP needs TLS and a token, and tls_certificate, tls_key"),
        ({"token_files": ""}, "address", "token_files of listen.tcp is not set"),
        (
            {"address": '"0.0.0.0:0"', "insecure_loopback": "true"},
            "insecure_loopback",
            "listen on 127.0.0.1 or ::1, or set tls_certificate",
        ),
    ],
)
def test_daemon_refuses_to_listen_in_the_open_and_says_what_would_be_right(
    tmp_path: Path, changed: dict[str, str], key: str, right: str
) -> None:
    file = configuration(tmp_path, make_certificate(tmp_path), **changed)
    refuses(file, key, right)


def test_daemon_refuses_a_key_that_others_can_read_or_that_does_not_fit(tmp_path: Path) -> None:
    tls, other = make_certificate(tmp_path), make_certificate(tmp_path / "other")
    refuses(configuration(tmp_path, tls, tls_key=f'"{other.key}"'), "tls_key", "is not the private key of the first certificate")
    tls.key.chmod(0o604)
    refuses(configuration(tmp_path, tls), "tls_key", f"chmod o-rwx {tls.key}")


def refuses(file: Path, key: str, right: str) -> None:
    done = subprocess.run(
        [BIN / "schedd", "run", "--config", file], capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=False
    )
    assert done.returncode == 2
    assert f"listen.tcp.{key}: " in done.stderr
    assert right in done.stderr
    assert not (file.parent / "s.sock").exists()
