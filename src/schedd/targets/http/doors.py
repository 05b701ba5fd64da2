"""The doors: every connection of an HTTP target passes here, before and after its name is looked up, and none that is denied is made."""

from __future__ import annotations

import os
from collections.abc import Sequence

import aiohappyeyeballs

from schedd.core.permissions import Permissions, denied_text, socket_host

OPEN = Permissions()


class DeniedError(OSError):
    """The configuration forbids this connection; the text says why."""


def check_host(permissions: Permissions, host: str) -> None:
    """Judge a host by its name, before that is looked up. Raises: DeniedError."""
    if not permissions.all_hosts:
        _refuse(host, permissions.host_fault(host))


def reachable(
    permissions: Permissions, host: str, addresses: Sequence[aiohappyeyeballs.AddrInfoType]
) -> Sequence[aiohappyeyeballs.AddrInfoType]:
    """Those of a host's resolved addresses that may be called. Raises: DeniedError if there is none."""
    if permissions.all_hosts:
        return addresses
    faults = [permissions.address_fault(host, str(address[4][0])) for address in addresses]
    found = [address for address, fault in zip(addresses, faults, strict=True) if not fault]
    if not found and faults:
        text = str(addresses[0][4][0])
        _refuse(host if host == text else f"{host}, which is {text}", faults[0])
    return found


def check_address(permissions: Permissions, text: str) -> None:
    """Judge the address of a URL that names it. Raises: DeniedError."""
    _refuse(text, permissions.host_fault(text) or permissions.address_fault(text, text))


def check_socket(permissions: Permissions, path: str) -> None:
    """Judge a unix socket by the path that its own leads to, and by its own unless that is allowed. Raises: DeniedError."""
    if permissions.all_hosts:
        return
    real = socket_host(os.path.realpath(path))
    if not permissions.allowed.host(real):
        for host in (real, socket_host(path)):
            _refuse(host, permissions.host_fault(host))


def _refuse(host: str, fault: str) -> None:
    if fault:
        raise DeniedError(denied_text(host, fault))
