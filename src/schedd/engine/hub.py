"""The hub: hands each committed transaction's journal entries to everybody who listens, in commit order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schedd.core.model.journal import JournalEntry
from schedd.core.ports import CommitListener


class Hub:
    """The store's one commit listener. Listeners must be quick and must not raise: they copy what they want and wake themselves."""

    def __init__(self) -> None:
        self._listeners: list[CommitListener] = []
        self.last_sequence = 0

    def publish(self, entries: Sequence[JournalEntry]) -> None:
        """Pass on what has been committed."""
        if entries:
            self.last_sequence = entries[-1].sequence
        for listener in self._listeners:
            listener(entries)

    def listen(self, listener: CommitListener) -> Callable[[], None]:
        """Add a listener; the answer takes it away again."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
