"""What the configuration lets schedules call: from its words to `Permissions`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from schedd.core.permissions import SOCKET_PREFIX, Listed, Permissions, parse_listed, socket_host
from schedd.daemon.config import Config


def permissions_of(config: Config) -> Permissions:
    """The permissions that a checked configuration gives."""
    http = config.http
    return Permissions(
        denied=_listed(http.deny),
        allowed=_listed(http.allow),
        metadata_denied=http.deny_metadata,
        global_only=http.global_only,
        commands=config.process.enabled,
        secrets=frozenset(config.secrets),
    )


def _listed(entries: Sequence[str]) -> Listed:
    """What the entries name; sockets also by the paths that theirs lead to: /var/run is a link on most hosts."""
    sockets = (entry.removeprefix(SOCKET_PREFIX) for entry in entries if entry.startswith(SOCKET_PREFIX))
    return parse_listed([*entries, *(socket_host(os.path.realpath(path)) for path in sockets)])


def permitting_faults(config: Config) -> list[tuple[str, str]]:
    """Dotted keys and what is wrong with their values."""
    faults = []
    for name, entries in (("deny", config.http.deny), ("allow", config.http.allow)):
        for entry in entries:
            try:
                parse_listed([entry])
            except ValueError as error:
                faults.append((f"http.{name}", str(error)))
    return faults
