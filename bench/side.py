"""Processes beside a benchmark: what serves, drives or stands for another program, with a pipe to it; and what a process has used."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_SPAWN = multiprocessing.get_context("spawn")
_ANSWER_S = 180


class Side:
    """One such process. It answers what it is asked by sending something back."""

    def __init__(self, pid: int, pipe: Connection) -> None:
        self.pid = pid
        self._pipe = pipe

    def ask(self, message: Any = None) -> Any:
        """Send the message and wait for the answer."""
        self._pipe.send(message)
        return self.answer()

    def tell(self, message: Any = None) -> None:
        """Send the message."""
        self._pipe.send(message)

    def answer(self, timeout_s: float | None = _ANSWER_S) -> Any:
        """Wait for what it sends. Raises: TimeoutError; EOFError if it ended instead."""
        if not self._pipe.poll(timeout_s):
            raise TimeoutError(f"process {self.pid} said nothing for {timeout_s} s")
        return self._pipe.recv()


class SideError(Exception):
    """What was to be done apart has failed; the text says how."""


@contextmanager
def side(serve: Callable[..., None], *arguments: object) -> Iterator[Side]:
    """A fresh process that runs `serve(pipe, *arguments)`; it is ended at the end."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=serve, args=(theirs, *arguments))
    process.start()
    theirs.close()
    assert process.pid is not None
    try:
        yield Side(process.pid, ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def apart(function: Callable[..., Any], *arguments: object) -> Any:
    """What the function gives in a fresh process. Raises: SideError."""
    with side(_send, function, *arguments) as process:
        found, failure = process.answer(timeout_s=None)
    if failure:
        raise SideError(failure)
    return found


def _send(pipe: Connection, function: Callable[..., Any], *arguments: object) -> None:
    try:
        pipe.send((function(*arguments), ""))
    except Exception:  # noqa: BLE001 (not every exception can be sent; its text can)
        pipe.send((None, traceback.format_exc()))


def cpu_s(pid: int) -> float:
    """The CPU time that the process has used, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """What of the process is in memory and its own: shared libraries do not count."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"process {pid} has no figure of private memory")
