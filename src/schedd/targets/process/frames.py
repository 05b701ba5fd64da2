"""The messages between the daemon and its spawner: a length, then a marshalled tuple. Both ends speak alike: see `SPEECH`."""

from __future__ import annotations

import marshal
import struct
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

_LENGTH = struct.Struct("=I")

SPEECH = f"2.{marshal.version}.{sys.hexversion:x}"
"""Names these messages as this interpreter writes them. The number in front goes up with every change of a message."""


class Start(NamedTuple):
    """Start this process, for this attempt of this execution, and tag it with `mark`. `timeout_s` below 0: no bound.

    `limits` are the resource limits that it has from its first instruction on: the kernel's number of the resource, soft limit, hard limit.
    """

    job: int
    execution: int
    attempt: int
    mark: int
    argv: tuple[str, ...]
    env: dict[str, str]
    working_directory: str
    stdin: bytes
    user: str
    group: str
    umask: int
    nice: int
    output_limit: int
    grace_s: float
    timeout_s: float
    limits: tuple[tuple[int, int, int], ...] = ()


class End(NamedTuple):
    """End the process and its whole tree; by force: without any grace."""

    job: int
    by_force: bool


class Sweep(NamedTuple):
    """End whatever is left of a job that an earlier spawner, which is dead, had started: all that carries its mark."""

    job: int
    mark: int


class Stopping(NamedTuple):
    """The daemon stops, and is not to be waited for: end what is left when its end of the line is closed."""


class Result(NamedTuple):
    """How a job ended. `kind` is EXIT, SPAWN, TIMEOUT, ENDED or LOST; `code` the exit code, or minus the signal's number.

    `cpu_s` is what the process, and those below it that it has waited for, computed.
    """

    job: int
    kind: str
    code: int
    message: str
    output: bytes
    error_output: bytes
    truncated: bool
    cpu_s: float = 0.0


class Held(NamedTuple):
    """A job that the spawner holds for the next daemon, as of now: it runs, or its result follows.

    `pid` is 0 if it could not be started. `remaining_s` is what is left of its timeout, below 0: it has none.
    """

    job: int
    execution: int
    attempt: int
    pid: int
    age_s: float
    remaining_s: float
    grace_s: float


class Stock(NamedTuple):
    """The spawner has told of all that it holds. Jobs from now on have higher numbers than `last_job`."""

    last_job: int


_KINDS: tuple[type[Any], ...] = (Start, End, Sweep, Result, Stopping, Held, Stock)
Message = Start | End | Sweep | Result | Stopping | Held | Stock


def pack(message: Message) -> bytes:
    """The message as bytes."""
    body = marshal.dumps((_KINDS.index(type(message)), *message))
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Puts messages together again from the pieces in which they arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete with these bytes."""
        self._buffer += data
        start = 0
        while start + 4 <= len(self._buffer):
            end = start + 4 + _LENGTH.unpack_from(self._buffer, start)[0]
            if end > len(self._buffer):
                break
            kind, *fields = marshal.loads(memoryview(self._buffer)[start + 4 : end])
            start = end
            yield _KINDS[kind](*fields)
        del self._buffer[:start]
