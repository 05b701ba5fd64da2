"""What is kept of a process's output: the beginning and the end, in bounded memory."""

from __future__ import annotations


class Capture:
    """Keeps at most `limit` bytes of all that is added: the first half and the last half."""

    def __init__(self, limit: int) -> None:
        self._head_limit = limit - limit // 2
        self._tail_limit = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = False

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        room = self._head_limit - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return
        self._tail += data
        if len(self._tail) > 2 * self._tail_limit:
            self._trim()

    def content(self) -> bytes:
        """What was kept."""
        self._trim()
        return bytes(self._head + self._tail)

    @property
    def truncated(self) -> bool:
        """Whether something was left out."""
        return self._dropped or len(self._tail) > self._tail_limit

    def _trim(self) -> None:
        surplus = len(self._tail) - self._tail_limit
        if surplus > 0:
            del self._tail[:surplus]
            self._dropped = True
