"""A real daemon to be measured: `schedd run` in a scratch directory, ready when it says so, ended by its process id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.side import cpu_s, resident_bytes

_READY_S = 120
_END_S = 60


class Daemon:
    """One daemon on one database, which can be ended and started again."""

    def __init__(self, directory: Path) -> None:
        self.socket = str(directory / "s.sock")
        self.database = directory / "schedd.db"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it; how many seconds it took until it was ready, from its very beginning."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            path = self._directory / "notify"
            path.unlink(missing_ok=True)
            notices.bind(str(path))
            notices.settimeout(_READY_S)
            started = time.perf_counter()
            self._process = subprocess.Popen([Path(sys.executable).parent / "schedd", "run"], env=self._environment(path))
            while b"READY=1" not in notices.recv(4096):
                pass
            return time.perf_counter() - started

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for its end."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_END_S)
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def cpu_s(self) -> float:
        return cpu_s(self.pid)

    def resident_bytes(self) -> int:
        return resident_bytes(self.pid)

    def _environment(self, notify: Path) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if "__" not in key and not key.startswith("XDG_")}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)  # An installed daemon has its bytecode; without it each start compiles every module.
        return kept | {
            "NOTIFY_SOCKET": str(notify),
            "SCHEDD_LISTEN__SOCKET": self.socket,
            "SCHEDD_LOG__LEVEL": "error",
            "SCHEDD_STORAGE__PATH": str(self.database),
            "XDG_CONFIG_HOME": str(self._directory),
        }


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for a while, on the disk of the working directory: /tmp may be in memory, where a commit costs nothing."""
    Path("build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="build") as directory:
        yield Path(directory).resolve()


@contextmanager
def running() -> Iterator[Daemon]:
    """A daemon on an empty database."""
    with scratch() as directory:
        daemon = Daemon(directory)
        daemon.start()
        try:
            yield daemon
        finally:
            daemon.end(signal.SIGKILL)
