"""Where a daemon listens: addresses as people write them, and where to look when nobody says."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schedd.client.errors import AddressError

SYSTEM_SOCKET = "/run/schedd/schedd.sock"
SERVER_VARIABLE = "SCHEDD_SERVER"
TOKEN_VARIABLE = "SCHEDD_TOKEN"

_FORMS = "write a socket's path, unix:///run/schedd/schedd.sock, HOST:PORT (TLS), https://HOST:PORT or http://LOOPBACK:PORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One place to dial. `dial` is what gRPC takes; `socket` is the path of a unix socket, None for TCP; `tls` holds for TCP only."""

    dial: str
    socket: Path | None = None
    tls: bool = False

    def __str__(self) -> str:
        return f"unix://{self.socket}" if self.socket is not None else f"{'https' if self.tls else 'http'}://{self.dial}"


def parse_address(text: str) -> Address:
    """The address that `text` means: a unix socket's path or `unix:` URL, or `HOST:PORT`, which is dialled with TLS.

    `http://` asks for plain text and is taken for loopback hosts alone. Raises: AddressError.
    """
    if not text.strip():
        raise AddressError(f"the server's address is empty: {_FORMS}")
    if text.startswith("unix:"):
        return _socket_address(text.removeprefix("unix:").removeprefix("//"))
    if text.startswith(("/", ".", "~")):
        return _socket_address(text)
    scheme, _, rest = text.rpartition("://")
    if scheme not in ("", "http", "https"):
        raise AddressError(f"{text!r} is not a server's address: {_FORMS}")
    host, port = _host_port(rest.rstrip("/"), text)
    tls = scheme != "http"
    if not tls and not _is_loopback(host):
        raise AddressError(f"{text!r} would go over the network as plain text: write https://{rest}")
    return Address(dial=f"[{host}]:{port}" if ":" in host else f"{host}:{port}", tls=tls)


def discover(environment: Mapping[str, str] | None = None) -> Address:
    """The daemon of this machine: $SCHEDD_SERVER, else the system's socket if it is there, else the user's own.

    Raises: AddressError if $SCHEDD_SERVER makes no sense.
    """
    variables = os.environ if environment is None else environment
    if named := variables.get(SERVER_VARIABLE):
        return parse_address(named)
    own = _own_sockets(variables)
    found = next((path for path in (SYSTEM_SOCKET, *own) if Path(path).exists()), own[0])
    return _socket_address(found)


def _own_sockets(variables: Mapping[str, str]) -> list[str]:
    """Where a daemon that a user runs puts its socket: the runtime directory, or, where there is none, beside its database."""
    state = variables.get("XDG_STATE_HOME") or str(Path(variables.get("HOME", "/")) / ".local" / "state")
    homes = [home for home in (variables.get("XDG_RUNTIME_DIR"), state) if home]
    return [str(Path(home) / "schedd" / "schedd.sock") for home in homes]


def _socket_address(path: str) -> Address:
    if not path:
        raise AddressError(f"a unix address needs the socket's path: {_FORMS}")
    absolute = Path(path).expanduser().absolute()
    return Address(dial=f"unix://{absolute}", socket=absolute)


def _host_port(text: str, whole: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not separator or not host or (":" in host and not bracketed):
        raise AddressError(f"{whole!r} is not a server's address: {_FORMS}")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise AddressError(f"{whole!r} has no port from 1 to 65535: {_FORMS}")
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
