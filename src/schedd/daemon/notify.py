"""Tells systemd how the daemon fares: sd_notify(3). Does nothing where systemd does not listen."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends states to the socket at `address`, which may be abstract (`@name`); without one, every call does nothing.

    `watchdog_us` is how often systemd wants to hear of the daemon, None if it does not.
    """

    def __init__(self, address: str | None, *, watchdog_us: int | None = None) -> None:
        self._address = address
        self.watchdog_us = watchdog_us

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, pid: int) -> Notifier:
        """The notifier that NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID ask for; a watchdog for another process is not ours."""
        address = environ.get("NOTIFY_SOCKET") or None
        interval = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        return cls(address, watchdog_us=int(interval) if address and ours and interval.isdigit() and int(interval) > 0 else None)

    def ready(self, status: str) -> bool:
        """The start, or a reload, is done."""
        return self._send("READY=1", f"STATUS={status}")

    def reloading(self, monotonic_us: int) -> bool:
        """A reload has begun; `ready` ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_us}")

    def stopping(self, status: str) -> bool:
        """The daemon drains and ends."""
        return self._send("STOPPING=1", f"STATUS={status}")

    def status(self, status: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(f"STATUS={status}")

    def watchdog(self) -> bool:
        """The daemon is alive."""
        return self._send("WATCHDOG=1")

    def _send(self, *states: str) -> bool:
        """Whether systemd took it. A lost message is no reason to fail: systemd draws its own conclusions."""
        if self._address is None:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)
                channel.sendto(os.fsencode("\n".join(state.replace("\n", " ") for state in states)), address)
        except OSError:
            return False
        return True
