from __future__ import annotations

from pathlib import Path

import pytest

from schedd.client import AddressError, discover, parse_address


@pytest.mark.parametrize(
    ("text", "dial", "tls"),
    [
        ("unix:///run/schedd/schedd.sock", "unix:///run/schedd/schedd.sock", False),
        ("unix:/run/schedd/schedd.sock", "unix:///run/schedd/schedd.sock", False),
        ("/run/schedd/schedd.sock", "unix:///run/schedd/schedd.sock", False),
        ("sched.example.com:7420", "sched.example.com:7420", True),
        ("https://sched.example.com:7420/", "sched.example.com:7420", True),
        ("http://127.0.0.1:7420", "127.0.0.1:7420", False),
        ("http://localhost:7420", "localhost:7420", False),
        ("http://[::1]:7420", "[::1]:7420", False),
    ],
)
def test_address_in_a_known_form_is_understood(text: str, dial: str, tls: bool) -> None:
    address = parse_address(text)

    assert (address.dial, address.tls) == (dial, tls)


@pytest.mark.parametrize(
    "text", ["", "  ", "unix:", "ftp://host:1", "host", "host:0", "host:65536", "host:port", "::1:7420", "http://192.0.2.1:7420"]
)
def test_address_that_makes_no_sense_is_refused_with_the_known_forms(text: str) -> None:
    with pytest.raises(AddressError, match=r"HOST:PORT|https://"):
        parse_address(text)


def test_relative_socket_path_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    assert parse_address("./schedd.sock").socket == tmp_path / "schedd.sock"


def test_discovery_prefers_the_variable(tmp_path: Path) -> None:
    found = discover({"SCHEDD_SERVER": "sched.example.com:7420", "XDG_RUNTIME_DIR": str(tmp_path)})

    assert found.dial == "sched.example.com:7420"


def test_discovery_without_a_running_daemon_names_the_users_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schedd.client.address.SYSTEM_SOCKET", str(tmp_path / "none"))

    assert discover({"XDG_RUNTIME_DIR": str(tmp_path)}).socket == tmp_path / "schedd" / "schedd.sock"


def test_discovery_without_a_runtime_directory_looks_beside_the_users_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schedd.client.address.SYSTEM_SOCKET", str(tmp_path / "none"))

    assert discover({"HOME": str(tmp_path)}).socket == tmp_path / ".local" / "state" / "schedd" / "schedd.sock"


def test_discovery_prefers_the_systems_socket_where_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "system.sock"
    system.touch()
    monkeypatch.setattr("schedd.client.address.SYSTEM_SOCKET", str(system))

    assert discover({"XDG_RUNTIME_DIR": str(tmp_path)}).socket == system
