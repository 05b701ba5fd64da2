"""A real daemon for tests: `schedd run` in a directory of its own, on a unix socket, ended by its process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from schedd.client import CallError, Patience, SyncClient


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
        patience = Patience(max_attempts=1000, first_wait=timedelta(milliseconds=20), longest_wait=timedelta(milliseconds=100))
        with SyncClient(self.socket, timeout=timedelta(seconds=20), patience=patience) as client:
            try:
                client.get_status()
            except CallError as error:
                raise AssertionError((self.directory / "log").read_text()) from error

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
