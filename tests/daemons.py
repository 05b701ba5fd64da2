"""A real daemon for tests: `schedd run` in a directory of its own, on a unix socket, ended by its process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from schedd.client import CallError, SyncClient


@dataclass
class RealDaemon:
    """One daemon that can be ended and started again on the same data."""

    directory: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        return str(self.directory / "s.sock")

    def start(self) -> None:
        environment = {key: value for key, value in os.environ.items() if "__" not in key and not key.startswith("XDG_")}
        environment |= {
            "SCHEDD_STORAGE__PATH": str(self.directory / "schedd.db"),
            "SCHEDD_LISTEN__SOCKET": self.socket,
            "XDG_CONFIG_HOME": str(self.directory),
        }
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).parent / "schedd", "run"], env=environment, cwd=self.directory, stdout=log, stderr=log
            )
        self._until_it_answers()

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + 20
        with SyncClient(self.socket, timeout=timedelta(seconds=2)) as client:
            while True:
                try:
                    client.get_status()
                except CallError:
                    assert self.process is not None
                    assert self.process.poll() is None, (self.directory / "log").read_text()
                    assert time.monotonic() < deadline, (self.directory / "log").read_text()
                    time.sleep(0.05)
                else:
                    return

    def end(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(5)


@contextmanager
def real_daemon(directory: Path) -> Iterator[RealDaemon]:
    made = RealDaemon(directory)
    made.start()
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.end()
