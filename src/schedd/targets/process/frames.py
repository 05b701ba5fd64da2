"""The messages between the daemon and its spawner: a length, then a marshalled tuple. Both ends are the same interpreter."""

from __future__ import annotations

import marshal
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

_LENGTH = struct.Struct("=I")


class Start(NamedTuple):
    """Start this process. `timeout_s` below 0: no bound."""

    job: int
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


class End(NamedTuple):
    """End the process and its whole tree; by force: without any grace."""

    job: int
    by_force: bool


class Sweep(NamedTuple):
    """End whatever is left of a job that an earlier spawner, which is dead, had started."""

    job: int


class Result(NamedTuple):
    """How a job ended. `kind` is EXIT, SPAWN, TIMEOUT, ENDED or LOST; `code` the exit code, or minus the signal's number."""

    job: int
    kind: str
    code: int
    message: str
    output: bytes
    error_output: bytes
    truncated: bool


_KINDS: tuple[type[Any], ...] = (Start, End, Sweep, Result)
Message = Start | End | Sweep | Result


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
