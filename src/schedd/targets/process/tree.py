"""Which processes belong to a job, whatever they did to get away.

A process belongs to a job if a process of the job is its ancestor, or if it carries the job's tag. The spawner is a subreaper, so
whoever loses its parent becomes the spawner's child, and is told apart by its tag: the soft limit RLIMIT_RTTIME, a number in the range
of 2**60 microseconds that nothing else uses. Like every resource limit it outlives fork, exec, setsid and a cleaned environment, needs no
privilege, and can be read in /proc/PID/limits. (It bounds the time that a real-time process may compute without blocking: 36,000 years.)
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

TAG_BASE = 1 << 60
_LIMIT_LINE = b"Max realtime timeout"
_PAGE_BYTES = 4096


class Process(NamedTuple):
    """One process in a snapshot. `started` (in clock ticks since boot) tells it from a later one with the same id."""

    pid: int
    parent: int
    started: int
    dead: bool


Snapshot = Mapping[int, Process]


def snapshot() -> Snapshot:
    """Every process of the host, zombies included."""
    processes = (process_of(int(name)) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 (pathlib is not worth its memory here)
    return {process.pid: process for process in processes if process is not None}


def process_of(pid: int) -> Process | None:
    """The process of that id, as it is now; None: there is none."""
    content = _read(f"/proc/{pid}/stat")
    if not content:
        return None
    fields = content[content.rindex(b")") + 2 :].split(b" ", 20)
    return Process(pid, int(fields[1]), int(fields[19]), fields[0] in (b"Z", b"X"))


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
    try:
        return os.read(descriptor, _PAGE_BYTES)
    except (ProcessLookupError, PermissionError):
        return b""
    finally:
        os.close(descriptor)


def tag(pid: int) -> int:
    """The process's tag; 0 if it has none."""
    limits = _read(f"/proc/{pid}/limits")
    start = limits.find(_LIMIT_LINE)
    value = limits[start + len(_LIMIT_LINE) :].split(None, 1)[0] if start >= 0 else b""
    return int(value) if value.isdigit() and int(value) >= TAG_BASE else 0


def tagged(processes: Snapshot, parent: int | None) -> dict[int, list[Process]]:
    """The processes that carry a tag, by tag: among the children of `parent`, or (None) among all."""
    found: dict[int, list[Process]] = {}
    for process in processes.values():
        if not process.dead and (parent is None or process.parent == parent) and (mark := tag(process.pid)):
            found.setdefault(mark, []).append(process)
    return found


def descendants(processes: Snapshot, roots: Iterable[Process]) -> set[Process]:
    """These processes and all below them, as far as they live."""
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    found: set[Process] = set()
    pending = list(roots)
    while pending:
        process = pending.pop()
        if process not in found:
            found.add(process)
            pending.extend(children.get(process.pid, ()))
    return {process for process in found if not process.dead}


def still(processes: Snapshot, known: Collection[tuple[int, int]]) -> list[Process]:
    """Those of the known (pid, started) that are there still."""
    return [process for pid, started in known if (process := processes.get(pid)) is not None and process.started == started]


def send(process: Process, number: signal.Signals) -> None:
    """Signal exactly this process, and nobody who got its id since. One that is gone, or out of our reach, is left."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        now = process_of(process.pid)
        if now is not None and now.started == process.started:
            signal.pidfd_send_signal(handle, number)
    except OSError:
        pass
    finally:
        os.close(handle)
