"""What the spawner remembers of ended jobs, so that no result is lost with a daemon that dies before it has recorded it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from schedd.targets.process.frames import Held

_KEPT_S = 60.0
"""A daemon records a result within some 20 ms. This is longer than one whose loop hangs lives: systemd's watchdog ends it after 30 s."""
_KEPT_BYTES = 8 << 20
_ENTRY_BYTES = 600
"""What an ended job takes in memory beside its result, about."""


class Ended(NamedTuple):
    """An ended job: when that was in monotonic seconds, what it was, and its packed result."""

    at: float
    job: Held
    result: bytes


class Memory:
    """The newest results. Nothing is dropped while no daemon is there to take it."""

    def __init__(self) -> None:
        self._ended: deque[Ended] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._ended)

    def __iter__(self) -> Iterator[Ended]:
        return iter(self._ended)

    def add(self, ended: Ended) -> None:
        """Remember one more."""
        self._ended.append(ended)
        self._bytes += len(ended.result) + _ENTRY_BYTES

    def trim(self, now: float) -> None:
        """Drop what a living daemon, to which all was sent, has surely recorded, and the oldest beyond 8 MiB."""
        ended = self._ended
        while ended and (ended[0].at + _KEPT_S <= now or self._bytes > _KEPT_BYTES):
            self._bytes -= len(ended.popleft().result) + _ENTRY_BYTES

    def renew(self, now: float) -> None:
        """Another daemon comes: what it is told of is as old as it is now, and it gets the time to record it."""
        aged = ((ended, ended.job.age_s + now - ended.at) for ended in self._ended)
        self._ended = deque(ended._replace(at=now, job=ended.job._replace(age_s=age_s)) for ended, age_s in aged)
