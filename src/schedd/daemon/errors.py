"""Why the daemon does not start. Each ends `schedd` with a message and an exit status, never with a traceback.

ScheddError
└── StartError              the daemon cannot start; `exit_status` says how `schedd` ends
    ├── ConfigError         the configuration is wrong; carries every fault at once
    ├── LockedError         another daemon holds the data
    └── SocketError         a unix socket or a port cannot be used: somebody else listens there, or it is no socket
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from schedd.core.errors import ScheddError


class StartError(ScheddError):
    """The daemon cannot start. `exit_status` is what `schedd` ends with."""

    exit_status: ClassVar[int] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFault:
    """One fault of the configuration: where it stands, which key, what is wrong and what would be right."""

    origin: str
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.key}: {self.reason}" if self.key else f"{self.origin}: {self.reason}"


class ConfigError(StartError):
    """The configuration is wrong; `faults` has every fault that could be found."""

    exit_status = 2

    def __init__(self, faults: tuple[ConfigFault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class LockedError(StartError):
    """Another daemon holds the lock at `path`; `pid` is its process id, None if it did not write it yet."""

    def __init__(self, path: str, pid: int | None) -> None:
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(
            f"another schedd runs on this data: {holder} holds {path}. "
            "Stop it first, or give this one its own storage.path and listen.socket"
        )
        self.path = path
        self.pid = pid


class SocketError(StartError):
    """The unix socket or the TCP address `path` cannot be used, for the reason given."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot listen on {path}: {reason}")
        self.path = path
        self.reason = reason
