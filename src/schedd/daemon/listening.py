"""Where the daemon may listen: a unix socket always; TCP with TLS and a token, or openly on a loopback address only, as metrics do."""

from __future__ import annotations

import errno
import grp
import ipaddress
import os
import socket
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

from schedd.daemon.config import Config, Listen, Tcp
from schedd.daemon.errors import SocketError

SOCKET_PATH_LIMIT_BYTES = 100
"""Some bytes under the kernel's 107, so that names beside it fit too."""
TOKEN_LEAST_CHARACTERS = 16

_OPEN_RIGHT = "listen on 127.0.0.1 or ::1, or set tls_certificate, tls_key and token_files instead"
_METRICS_RIGHT = "listen on 127.0.0.1 or ::1, or on a unix socket, and have a proxy or an agent on this host pass them on"
_LONG_PATH = f"is longer than {SOCKET_PATH_LIMIT_BYTES} bytes, the most that a socket's path can have"
_SECURE_RIGHT = "on a loopback address insecure_loopback = true does without both"

_PORT_FAULTS = {
    errno.EADDRINUSE: "something else listens there. Stop it, or set {key} to another port",
    errno.EADDRNOTAVAIL: "this host has no such address. Set {key} to one that it has",
    errno.EACCES: "ports below 1024 are for root. Set {key} to a higher one, or give the unit CAP_NET_BIND_SERVICE",
}

Reasons = list[tuple[str, str]]
"""Dotted keys and what is wrong with their values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A TCP address in its parts."""

    host: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.host.version == 6 else f"{self.host}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """`192.0.2.10:7420` or `[::1]:7420` in its parts. Raises: ValueError that says what would be right."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        address = ipaddress.ip_address(host)
        number = int(port)
    except ValueError as exc:
        raise ValueError(f'{text!r} is no IP address and port: write "127.0.0.1:7420" or "[::1]:7420", say') from exc
    if not 0 <= number <= 65_535:
        raise ValueError(f"{text!r}: a port is at most 65535")
    return Endpoint(host=address, port=number)


def listening_faults(listen: Listen) -> Reasons:
    """Everything that forbids to listen as configured; empty if nothing does."""
    return [*_socket_faults(listen), *_tcp_faults(listen.tcp)]


def metrics_faults(config: Config) -> Reasons:
    """What forbids to answer scrapes where it is configured; empty if nothing does."""
    place = config.metrics.listen
    if place is None:
        return []
    fault = _path_fault(place, config.listen) if Path(place).is_absolute() else _open_port_fault(place)
    return [("metrics.listen", fault)] if fault else []


def _path_fault(path: str, listen: Listen) -> str:
    if path == listen.socket:
        return "is listen.socket too, where the API is: write another path"
    return _LONG_PATH if len(os.fsencode(path)) > SOCKET_PATH_LIMIT_BYTES else ""


def _open_port_fault(address: str) -> str:
    try:
        endpoint = parse_endpoint(address)
    except ValueError as exc:
        return f"{exc}, or the absolute path of a unix socket"
    if endpoint.host.is_loopback:
        return ""
    return f"{endpoint} is no loopback address, and metrics have no password, so everybody who reaches it could read them: {_METRICS_RIGHT}"


def _socket_faults(listen: Listen) -> Reasons:
    faults = []
    if not Path(listen.socket).is_absolute():
        faults.append(("listen.socket", f"{listen.socket} is not absolute: write {Path(listen.socket).absolute()}"))
    if len(os.fsencode(listen.socket)) > SOCKET_PATH_LIMIT_BYTES:
        faults.append(("listen.socket", _LONG_PATH))
    if listen.socket_group is not None and not _group_exists(listen.socket_group):
        faults.append(("listen.socket_group", f"there is no group {listen.socket_group} on this host"))
    return faults


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _tcp_faults(tcp: Tcp) -> Reasons:
    if tcp.address is None:
        unset = "is unset, so the other keys of listen.tcp do nothing: set it, or leave them out"
        return [] if tcp == Tcp() else [("listen.tcp.address", unset)]
    try:
        endpoint = parse_endpoint(tcp.address)
    except ValueError as exc:
        return [("listen.tcp.address", str(exc))]
    return _open_faults(tcp, endpoint) if tcp.insecure_loopback else _secure_faults(tcp)


def _open_faults(tcp: Tcp, endpoint: Endpoint) -> Reasons:
    faults = []
    if not endpoint.host.is_loopback:
        faults.append(f"{endpoint} is no loopback address, so everybody who reaches it could do everything: {_OPEN_RIGHT}")
    if tcp.tls_certificate or tcp.tls_key or tcp.tls_client_ca or tcp.token_files:
        faults.append("means without TLS and without a token: leave it out, or leave out the tls_ keys and token_files")
    return [("listen.tcp.insecure_loopback", fault) for fault in faults]


def _secure_faults(tcp: Tcp) -> Reasons:
    missing = [name for name in ("tls_certificate", "tls_key", "token_files") if not getattr(tcp, name)]
    if missing:
        unset = f"{', '.join(missing)} of listen.tcp {'are' if len(missing) > 1 else 'is'} not set"
        return [("listen.tcp.address", f"TCP needs TLS and a token, and {unset}; {_SECURE_RIGHT}")]
    pems = [("tls_certificate", tcp.tls_certificate), ("tls_key", tcp.tls_key), ("tls_client_ca", tcp.tls_client_ca)]
    faults = [(f"listen.tcp.{name}", fault) for name, path in pems if path and (fault := _file_fault(Path(path)))]
    faults = faults or _tls_faults(tcp)
    return faults + [("listen.tcp.token_files", fault) for path in tcp.token_files if (fault := _token_fault(Path(path)))]


def _tls_faults(tcp: Tcp) -> Reasons:
    """What forbids to use these files together, all of which can be read."""
    faults = []
    if tcp.tls_key and (fault := _openness_fault(Path(tcp.tls_key))):
        faults.append(("listen.tcp.tls_key", fault))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # gRPC would take the files as they are, listen, and end every handshake.
        context.load_cert_chain(str(tcp.tls_certificate), str(tcp.tls_key), password="")
    except (ssl.SSLError, ValueError) as exc:
        faults.append(_pair_fault(tcp, exc))
    if tcp.tls_client_ca:
        try:
            context.load_verify_locations(tcp.tls_client_ca)
        except ssl.SSLError:
            faults.append(("listen.tcp.tls_client_ca", f"{tcp.tls_client_ca} has no certificate in PEM (-----BEGIN CERTIFICATE-----)"))
    return faults


def _pair_fault(tcp: Tcp, error: ssl.SSLError | ValueError) -> tuple[str, str]:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        text = f"{tcp.tls_key} is not the private key of the first certificate in {tcp.tls_certificate}: name the two that belong together"
        return "listen.tcp.tls_key", text
    if "-----BEGIN CERTIFICATE" not in Path(str(tcp.tls_certificate)).read_text(encoding="latin-1"):
        return "listen.tcp.tls_certificate", f"{tcp.tls_certificate} has no certificate in PEM (-----BEGIN CERTIFICATE-----)"
    text = f"{tcp.tls_key} has no private key in PEM without a passphrase (-----BEGIN PRIVATE KEY), or {tcp.tls_certificate} is damaged"
    return "listen.tcp.tls_key", text


def _file_fault(path: Path) -> str:
    """Why the file is of no use, or an empty text."""
    try:
        return "" if path.read_bytes() else f"{path} is empty"
    except OSError as exc:
        return f"{path} cannot be read: {exc.strerror}"


def _openness_fault(path: Path) -> str:
    return f"{path} is open to everybody on this host: chmod o-rwx {path}" if path.stat().st_mode & stat.S_IRWXO else ""


def _token_fault(path: Path) -> str:
    if fault := _file_fault(path):
        return fault
    if fault := _openness_fault(path):
        return fault
    if len(read_token(path)) < TOKEN_LEAST_CHARACTERS:
        return f"{path} holds less than {TOKEN_LEAST_CHARACTERS} characters: openssl rand -hex 32 makes a good token"
    return ""


def read_token(path: Path) -> str:
    """The bearer token in a file, without the white space around it."""
    return path.read_text(encoding="utf-8", errors="replace").strip()


def clear_socket(path: Path, *, key: str = "listen.socket") -> None:
    """Make the place of the unix socket free: make its directory, and remove a socket that nobody answers any more.

    Raises: SocketError if somebody answers, if something else is there, or if its directory cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise SocketError(str(path), f"its directory cannot be made: {exc.strerror}; set {key} to another path") from exc
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketError(str(path), f"something that is not a socket is there; move it away, or set {key} to another path")
    if _answers(path):
        raise SocketError(str(path), f"another daemon answers there. Stop it first, or give this one its own {key}")
    path.unlink()


def open_socket(path: Path, listen: Listen) -> None:
    """Give a unix socket the configured mode and group."""
    if listen.socket_group is not None:
        os.chown(path, -1, grp.getgrnam(listen.socket_group).gr_gid)
    path.chmod(int(listen.socket_mode, 8))


def remove_socket(path: Path) -> None:
    """Leave no unix socket behind."""
    path.unlink(missing_ok=True)


def check_port(address: str, *, key: str = "listen.tcp.address") -> None:
    """Raises: SocketError if the TCP address cannot be listened on now, with what would be right."""
    endpoint = parse_endpoint(address)
    family = socket.AF_INET6 if endpoint.host.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(endpoint.host), endpoint.port))
            probe.listen()
        except OSError as exc:
            raise socket_error(address, exc, key=key) from exc


def socket_error(place: str, error: OSError, *, key: str) -> SocketError:
    """Why nobody can listen there, with what would be right."""
    return SocketError(place, _PORT_FAULTS.get(error.errno or 0, f"{error.strerror}; see {{key}}").format(key=key))


def _answers(path: Path) -> bool:
    """Whether somebody accepts connections; when in doubt, somebody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True
