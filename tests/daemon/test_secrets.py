"""Secrets of the configuration: where they come from, what is refused at the start, and that a daemon shows nothing of them."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from schedd.client import CallError, SyncClient
from schedd.daemon.errors import ConfigError
from schedd.daemon.places import Places, default_places
from schedd.daemon.sources import Loaded, Request, load
from schedd.v1.reason_pb2 import Reason
from schedd.v1.schedule_pb2 import Schedule
from schedd.v1.when_pb2 import Trigger
from tests.daemons import real_daemon

TOKEN = "t0ken-that-nobody-is-to-see"


def secret(path: Path, text: str = TOKEN, mode: int = 0o600) -> Path:
    path.touch(mode=0o600)
    path.write_text(f"{text}\n")
    path.chmod(mode)
    return path


def loaded(
    tmp_path: Path, *flags: str, environ: Mapping[str, str] | None = None, credentials: Path | None = None, checking: bool = False
) -> Loaded:
    places = Places(state=tmp_path, runtime=tmp_path, configuration=tmp_path, credentials=credentials)
    return load(Request(places=places, environ=environ or {}, flags=flags, checking=checking))


def test_secrets_of_all_sources_come_together(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    paths = {name: str(secret(tmp_path / name)) for name in ("a", "b.c", "d", "e", "f")}
    (tmp_path / "schedd.toml").write_text(f'[secrets]\na = "/nonexistent"\n"b.c" = "{paths["b.c"]}"\n')
    (tmp_path / "conf.d/1.toml").write_text(f'[secrets]\na = "{paths["a"]}"\nd = "{paths["d"]}"\n')
    found = loaded(tmp_path, f"secrets.e={paths['e']}", environ={"SCHEDD_SECRETS__F": paths["f"]})
    assert found.config.secrets == paths


def test_credential_of_systemd_is_found_where_systemd_puts_it(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    secret(credentials / "pager.cred")
    found = loaded(tmp_path, "secrets.pager=pager.cred", credentials=credentials)
    assert found.config.secrets == {"pager": f"{credentials}/pager.cred"}
    given = default_places({"CREDENTIALS_DIRECTORY": str(credentials)}, root=True)
    assert (given.credentials, default_places({}, root=True).credentials) == (credentials, None)


def test_credential_without_systemd_is_refused_but_for_a_check(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"secrets\.pager: 'pager\.cred' is the name of a systemd credential, .* add LoadCredential="):
        loaded(tmp_path, "secrets.pager=pager.cred")
    assert loaded(tmp_path, "secrets.pager=pager.cred", checking=True).config.secrets == {"pager": "pager.cred"}


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644])
def test_secret_that_everybody_can_read_or_write_is_refused_at_the_start(tmp_path: Path, mode: int) -> None:
    path = secret(tmp_path / "pager", mode=mode)
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"secrets.pager={path}")
    assert str(caught.value) == f"flag --set: secrets.pager: the secret pager is open to everybody on this host: chmod o-rwx {path}"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("pager", "/nonexistent/pager", "cannot be read: No such file"),
        ("pager", "relative/pager", "is neither an absolute path"),
        ("a pager", "/x", "is not a secret's name"),
    ],
)
def test_secret_that_cannot_be_had_is_refused_at_the_start(tmp_path: Path, name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"secrets.{name}={value}")
    assert [(fault.key, words in fault.reason) for fault in caught.value.faults] == [(f"secrets.{name}", True)]
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("text", ['secrets = "x"', "[secrets]\npager = 5", "[secrets.pager]\npath = '/x'"])
def test_secrets_of_another_form_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "schedd.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path)
    assert [fault.key for fault in caught.value.faults] == ["secrets"]
    assert 'write {"pager-token" = ' in str(caught.value)


@contextmanager
def receiver(got: list[str | None]) -> Iterator[str]:
    """A server that repeats what it gets, and refuses all but the token."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.headers["Authorization"])
            body = f"{self.headers['Authorization']}".encode()
            self.send_response(200 if got[-1] == f"Bearer {TOKEN}" else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def run(client: SyncClient, name: str) -> str:
    return Reason.Name(client.wait_execution(client.trigger_schedule(name).execution.name).reason)


def test_daemon_sends_a_secret_and_shows_and_stores_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[str | None] = []
    path = secret(tmp_path / "pager")
    (tmp_path / "schedd.toml").write_text(f'[secrets]\npager = "{path}"\n')
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    with receiver(got) as url, real_daemon(tmp_path) as daemon:
        with SyncClient(daemon.socket) as client:
            schedule = Schedule(name="groups/default/schedules/told", triggers=[Trigger(expression="@yearly")])
            schedule.policies.retry.max_attempts = 1
            schedule.target.http.url = url
            schedule.target.http.auth.bearer.token.name = "pager"
            name = client.create_schedule(schedule).name
            assert run(client, name) == "REASON_COMPLETED"
            path.write_text(f"{TOKEN}-replaced")
            assert run(client, name) == "REASON_AUTHENTICATION"
            path.unlink()
            assert run(client, name) == "REASON_AUTHENTICATION"
            seen = [client.get_schedule(name), *client.list_executions(parent=name), *client.list_journal(), *client.list_dead_letters()]
            schedule.name = "groups/default/schedules/other"
            schedule.target.http.auth.bearer.token.name = "unknown"
            with pytest.raises(CallError, match="there is no secret unknown") as refused:
                client.create_schedule(schedule)
        assert daemon.end(signal.SIGTERM) == 0
    assert got == [f"Bearer {TOKEN}", f"Bearer {TOKEN}-replaced"]
    assert TOKEN not in f"{seen}{refused.value}"
    written = [each.read_bytes() for each in tmp_path.iterdir() if each.is_file() and each != path]
    assert len(written) >= 3
    assert not [content for content in written if TOKEN.encode() in content]
