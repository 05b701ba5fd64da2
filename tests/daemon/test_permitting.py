"""Whom a daemon lets schedules call by its configuration, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from schedd.daemon.errors import ConfigError
from schedd.daemon.permitting import permissions_of
from schedd.daemon.places import Places
from schedd.daemon.sources import Request, load


def request(tmp_path: Path, *flags: str) -> Request:
    return Request(places=Places(state=tmp_path, runtime=tmp_path, configuration=tmp_path), environ={}, flags=flags)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "169.254.170.2", "fe80::a9fe:a9fe", "fd00:ec2::254", "100.100.100.200", "::ffff:169.254.1.1"]
)
def test_addresses_where_clouds_give_out_credentials_are_denied_by_default(tmp_path: Path, address: str) -> None:
    assert permissions_of(load(request(tmp_path)).config).address_fault(address, address) != ""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "fd12::1", "8.8.8.8"])
def test_other_addresses_of_this_host_and_of_private_networks_are_not(tmp_path: Path, address: str) -> None:
    assert permissions_of(load(request(tmp_path)).config).address_fault(address, address) == ""


def test_socket_is_meant_by_the_path_that_leads_to_it_and_by_its_own(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    permissions = permissions_of(load(request(tmp_path, f"http.deny=unix:{tmp_path}/link/app.sock")).config)
    assert permissions.denied.hosts == (f"unix:{tmp_path}/link/app.sock", f"unix:{tmp_path}/run/app.sock")


def test_own_entries_add_to_what_is_denied_by_default(tmp_path: Path) -> None:
    flags = ("http.deny=10.0.0.0/8", "http.deny_metadata=false")
    both, own = (permissions_of(load(request(tmp_path, *flags[:count])).config) for count in (1, 2))
    assert [both.address_fault("x", address) != "" for address in ("10.0.0.1", "169.254.169.254")] == [True, True]
    assert [own.address_fault("x", address) != "" for address in ("10.0.0.1", "169.254.169.254")] == [True, False]


def test_wrong_entries_are_named_with_their_keys(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(request(tmp_path, "http.deny=10.0.0.1/8,fine.example,a b", "http.allow=unix:app"))
    assert [(fault.key, fault.origin) for fault in caught.value.faults] == [
        ("http.deny", "flag --set"),
        ("http.deny", "flag --set"),
        ("http.allow", "flag --set"),
    ]
    assert "write 10.0.0.0/8" in str(caught.value)
