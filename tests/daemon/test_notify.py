"""sd_notify over real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from schedd.daemon.notify import Notifier


@pytest.fixture(params=["file", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """systemd's end: the value of NOTIFY_SOCKET and the socket."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@schedd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("\0" + name[1:] if name.startswith("@") else name)
        channel.settimeout(5)
        yield name, channel


def test_notifier_sends_each_state_as_systemd_reads_it(listener: tuple[str, socket.socket]) -> None:
    name, channel = listener
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": name}, pid=1)
    assert notifier.ready("3 schedules\nno more")
    assert notifier.reloading(5)
    assert notifier.status("busy")
    assert notifier.watchdog()
    assert notifier.stopping("draining")
    assert [channel.recv(200) for _ in range(5)] == [
        b"READY=1\nSTATUS=3 schedules no more",
        b"RELOADING=1\nMONOTONIC_USEC=5",
        b"STATUS=busy",
        b"WATCHDOG=1",
        b"STOPPING=1\nSTATUS=draining",
    ]


def test_notifier_without_systemd_does_nothing() -> None:
    notifier = Notifier.from_environment({"WATCHDOG_USEC": "1000"}, pid=1)
    assert not notifier.ready("")
    assert notifier.watchdog_us is None


def test_notifier_whose_listener_is_gone_carries_on(tmp_path: Path) -> None:
    assert not Notifier(str(tmp_path / "gone")).ready("")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30_000_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30_000_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_notifier_watchdog_follows_the_environment(environ: dict[str, str], expected: int | None) -> None:
    assert Notifier.from_environment({"NOTIFY_SOCKET": "/x", **environ}, pid=7).watchdog_us == expected
