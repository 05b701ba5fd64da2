"""What the configuration lets schedules call: from its words to `Permissions`."""

from __future__ import annotations

from schedd.core.permissions import Permissions, parse_listed
from schedd.daemon.config import Config


def permissions_of(config: Config) -> Permissions:
    """The permissions that a checked configuration gives."""
    http = config.http
    return Permissions(
        denied=parse_listed(http.deny),
        allowed=parse_listed(http.allow),
        global_only=http.global_only,
        commands=config.process.enabled,
        secrets=frozenset(config.secrets),
    )


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
