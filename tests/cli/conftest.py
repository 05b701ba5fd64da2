"""A real daemon for each module that wants one, and schedctl's way to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons import RealDaemon, real_daemon


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDaemon]:
    with real_daemon(tmp_path_factory.mktemp("d")) as made:
        yield made


@pytest.fixture
def at_the_daemon(daemon: RealDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let schedctl talk to the daemon, and to no configuration of whoever runs the tests."""
    monkeypatch.setenv("SCHEDD_SERVER", daemon.socket)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
