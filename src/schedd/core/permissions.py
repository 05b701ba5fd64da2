"""What the operator of a daemon lets schedules call: which addresses and hosts over HTTP, with which secrets, and whether commands at all.

An address is judged as everything that it leads to: the IPv4 address within an IPv4-mapped, 6to4, NAT64 or Teredo one, and this host
behind `0.0.0.0`. What is allowed by name is allowed wherever its name leads.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from posixpath import normpath
from urllib.parse import unquote, urlsplit

from schedd.core.errors import FieldViolation
from schedd.core.identity import ByIdentity
from schedd.core.model.policy import CommandHolds, FollowUp, Notify, Policies
from schedd.core.model.schedule import Schedule
from schedd.core.model.target import HttpTarget, Target
from schedd.core.target_rules import secret_field

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SOCKET_PREFIX = "unix:"
"""Before the path of a unix socket, where hosts are named."""
NO_COMMANDS = "this daemon runs no commands: process.enabled is false in its configuration"

_EMBEDDING = tuple(map(IPv6Network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")))
"""IPv6 networks whose addresses end with an IPv4 address: compatible and translated (RFC 4291, 2765), NAT64 (RFC 6052, 8215)."""
_THIS_HOST = IPv4Address("0.0.0.0")
_NOT_GLOBAL = tuple(map(IPv6Network, ("64:ff9b:1::/48", "fec0::/10")))
"""What `is_global` of some Pythons has for global: translation within a site, and addresses of a site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Hosts by pattern (lower case; `*` and `?`; sockets as `unix:/path`), and addresses by network."""

    hosts: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    def host(self, host: str) -> str:
        """The pattern that the host matches; empty if none."""
        name = host if host.startswith(SOCKET_PREFIX) else host.lower().rstrip(".")
        return next((pattern for pattern in self.hosts if fnmatchcase(name, pattern)), "")

    def address(self, address: Address) -> str:
        """The network that the address is in, as text; empty if none."""
        return next((str(network) for network in self.networks if network.version == address.version and address in network), "")


METADATA = Listed(
    networks=tuple(map(ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200"))),
)
"""Addresses of one link, among them those of most clouds' metadata services; then EC2's and GCE's over IPv6, and Alibaba Cloud's."""


class _AnyName:
    """Holds every name."""

    def __contains__(self, name: object) -> bool:
        return True


ANY_NAME: Container[str] = _AnyName()
"""Where there is no configuration that could name some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """Whom HTTP targets may call: all but `denied`, METADATA if `metadata_denied`, and, if `global_only`, what not everybody can reach.

    `allowed` has exceptions from all three.

    `commands`: whether process targets may run. `secrets`: the names of those that HTTP targets may use. The default forbids nothing.
    """

    denied: Listed = Listed()
    allowed: Listed = Listed()
    metadata_denied: bool = False
    global_only: bool = False
    commands: bool = True
    secrets: Container[str] = ANY_NAME

    @property
    def all_hosts(self) -> bool:
        """Whether every host may be called."""
        return not self.global_only and not self.metadata_denied and self.denied == Listed()

    def host_fault(self, host: str) -> str:
        """Why that host, by the name that it is called by, is not to be called; empty if its name does not forbid it."""
        if self.allowed.host(host):
            return ""
        if pattern := self.denied.host(host):
            return f"http.deny has {pattern}"
        if self.global_only and host.startswith(SOCKET_PREFIX):
            return "it is a socket of this host, and http.global_only is true"
        return ""

    def address_fault(self, host: str, address: str) -> str:
        """Why that address, to which the name `host` has led, is not to be called; empty if it may be."""
        if self.allowed.host(host):
            return ""
        for each in _leading_to(ip_address(address.partition("%")[0])):
            if self.allowed.address(each):
                continue
            if network := self.denied.address(each):
                return f"http.deny has {network}"
            if self.metadata_denied and METADATA.address(each):
                return "it is of one link, or gives out credentials of a cloud, and http.deny_metadata is true"
            if self.global_only and not _is_global(each):
                return "it is not reachable from everywhere, and http.global_only is true"
        return ""


def _leading_to(address: Address) -> Iterator[Address]:
    """The address, and those within it that calling it may lead to."""
    yield address
    if isinstance(address, IPv4Address):
        if address == _THIS_HOST:
            yield IPv4Address("127.0.0.1")  # Linux connects to this host.
        return
    if address == IPv6Address("::"):
        yield IPv6Address("::1")
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    inner += [IPv4Address(int(address) & 0xFFFF_FFFF) for network in _EMBEDDING if address in network and int(address) > 1]
    for each in inner:
        if each is not None:
            yield from _leading_to(each)


def _is_global(address: Address) -> bool:
    local = isinstance(address, IPv6Address) and any(address in network for network in _NOT_GLOBAL)
    return address.is_global and not address.is_multicast and not local


def parse_listed(entries: Sequence[str]) -> Listed:
    """What the entries name: `10.0.0.0/8`, `192.0.2.1`, `*.internal`, `unix:/run/a.sock`. Raises: ValueError for the first wrong one."""
    hosts: list[str] = []
    networks: list[Network] = []
    for entry in entries:
        network = _network(entry)
        if network is not None:
            networks.append(network)
        else:
            hosts.append(_pattern(entry))
    return Listed(hosts=tuple(hosts), networks=tuple(networks))


def _network(entry: str) -> Network | None:
    """The network that the entry names; None: it names hosts. Raises: ValueError."""
    if entry.startswith(SOCKET_PREFIX):
        return None
    try:
        return ip_network(entry.strip("[]"))
    except ValueError as error:
        if "has host bits set" in str(error):
            raise ValueError(f"{entry} has bits beyond its network: write {ip_network(entry, strict=False)}") from error
        if "/" in entry:
            raise ValueError(f"{entry} is not a network: write 10.0.0.0/8 or fc00::/7, say") from error
        return None


def _pattern(entry: str) -> str:
    if entry.startswith(SOCKET_PREFIX):
        if not entry.startswith(f"{SOCKET_PREFIX}/"):
            raise ValueError(f"{entry} is not a socket: write unix:/run/docker.sock, say")
        return entry
    pattern = entry.lower().rstrip(".")
    if not pattern or not all(character.isascii() and (character.isalnum() or character in "*?.-_") for character in pattern):
        raise ValueError(
            f"{entry!r} is neither an address, a network nor a host's name: write 10.0.0.0/8, 192.0.2.1, *.internal "
            "(international names as xn--…) or unix:/run/docker.sock, say"
        )
    return pattern


class Forbidding:
    """Checks schedules against one set of permissions; of parts that several of them share it finds out once."""

    def __init__(self, permissions: Permissions) -> None:
        self.permissions = permissions
        self._of_target: ByIdentity[Target, tuple[FieldViolation, ...]] = ByIdentity(
            lambda target: tuple(_target(permissions, target)), capacity=256
        )
        self._of_policies: ByIdentity[Policies, tuple[FieldViolation, ...]] = ByIdentity(
            lambda policies: tuple(_policies(permissions, policies)), capacity=256
        )

    def check(self, schedule: Schedule) -> tuple[FieldViolation, ...]:
        """What is forbidden of what stands in a schedule. Hosts that are templates, and where names lead, are seen at a fire."""
        return (*self._of_target(schedule.target), *self._of_policies(schedule.policies))


def _policies(permissions: Permissions, policies: Policies) -> Iterator[FieldViolation]:
    for name, follow_ups in (("on_success", policies.on_success), ("on_failure", policies.on_failure)):
        yield from _follow_ups(permissions, f"policies.{name}", follow_ups)
    if isinstance(policies.condition, CommandHolds) and not permissions.commands:
        yield _denied("policies.condition.command", NO_COMMANDS)


def _follow_ups(permissions: Permissions, field: str, follow_ups: Sequence[FollowUp]) -> Iterator[FieldViolation]:
    for index, each in enumerate(follow_ups):
        if isinstance(each, Notify):
            yield from _http(permissions, f"{field}[{index}].notify", each.target)


def _target(permissions: Permissions, target: Target) -> Iterator[FieldViolation]:
    if isinstance(target, HttpTarget):
        yield from _http(permissions, "target.http", target)
    elif not permissions.commands:
        yield _denied("target.process", NO_COMMANDS)


def _http(permissions: Permissions, field: str, target: HttpTarget) -> Iterator[FieldViolation]:
    if fault := _url_fault(permissions, target.url):
        yield _denied(f"{field}.url", fault)
    if target.auth is not None and target.auth.secret not in permissions.secrets:
        description = f"there is no secret {target.auth.secret} in [secrets] of the daemon's configuration"
        yield FieldViolation(field=f"{field}.{secret_field(target.auth)}", reason="UNKNOWN_SECRET", description=description)


def _url_fault(permissions: Permissions, url: str) -> str:
    """Why a URL is not to be called, as far as its own text tells; empty if it may be, or if its host is a template."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0]
    if "{{" in authority or permissions.all_hosts:
        return ""
    if scheme.lower() == "http+unix":
        host = socket_host(unquote(authority))
    else:
        host = urlsplit(f"//{authority}").hostname or ""
    fault = permissions.host_fault(host)
    if not fault:
        try:
            fault = permissions.address_fault(host, host)
        except ValueError:
            return ""
    return fault and denied_text(host, fault)


def socket_host(path: str) -> str:
    """How a unix socket is named among hosts."""
    return f"{SOCKET_PREFIX}{normpath(path)}"


def denied_text(host: str, fault: str) -> str:
    """What is to be said of a host that is denied for that reason."""
    return f"the daemon's configuration denies calls to {host}: {fault}; http.allow can make an exception"


def _denied(field: str, description: str) -> FieldViolation:
    return FieldViolation(field=field, reason="TARGET_DENIED", description=description)
