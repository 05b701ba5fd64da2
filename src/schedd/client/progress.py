"""How far a watcher has come, and what it does when its stream ends. Pure: nothing lost, nothing twice, over any number of streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from schedd.client.errors import (
    CallCancelledError,
    CallError,
    ConflictError,
    DeadlineExceededError,
    InternalError,
    UnavailableError,
)
from schedd.client.patience import Patience
from schedd.v1.execution_service_pb2 import WatchExecutionsRequest, WatchExecutionsResponse
from schedd.v1.journal_pb2 import JournalEntry, JournalKind

_HEARTBEAT = Duration(seconds=15)
_BREAKS = (UnavailableError, InternalError, CallCancelledError, DeadlineExceededError)
"""What a broken connection, or a daemon that ends, looks like from here."""


@dataclass(slots=True)
class WatchProgress:
    """One watch, over all of its streams. `cursor`: everything up to that sequence has been handed on; None before the first answer."""

    filter: str
    kinds: tuple[JournalKind.ValueType, ...]
    cursor: int | None
    patience: Patience
    was_connected: bool = False
    failures: int = 0

    def request(self) -> WatchExecutionsRequest:
        """What the next stream is opened with."""
        request = WatchExecutionsRequest(filter=self.filter, kinds=self.kinds, heartbeat_interval=_HEARTBEAT)
        if self.cursor is not None:
            request.after_sequence = self.cursor
        return request

    def accept(self, answer: WatchExecutionsResponse) -> Sequence[JournalEntry]:
        """The events of a message that were not handed on before."""
        self.was_connected, self.failures = True, 0
        seen = -1 if self.cursor is None else self.cursor
        fresh = [event for event in answer.events if event.sequence > seen]
        self.cursor = max([seen, answer.resume_sequence, *(event.sequence for event in fresh)])
        return fresh

    def wait_after(self, error: CallError | None, draw: float) -> float | None:
        """Seconds to wait before the stream is opened again, None if `error` ends the watch. None for `error`: the server ended it.

        Before the first answer it gives up as patience says; later it goes on until the server is back, however long that takes.
        """
        self.failures += 1
        if isinstance(error, ConflictError) and error.resume_after is not None:
            if self.cursor is None:
                self.cursor = error.resume_after
        elif error is not None and not isinstance(error, _BREAKS):
            return None
        if not self.was_connected and self.failures >= self.patience.max_attempts:
            return None
        return self.patience.wait_s(self.failures, draw)
