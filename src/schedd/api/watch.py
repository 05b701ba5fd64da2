"""The feed behind Watch: each committed entry is encoded once, and every watcher reads from its own cursor.

A watcher first reads the stored journal up to the newest entry that the feed has seen, and then the feed's ring of the latest entries. One
that falls out of the ring is ended with an error that says where to resume: nothing is skipped in silence, and the engine never waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from schedd.api.convert.basics import invalid
from schedd.api.convert.execution import entry as entry_message
from schedd.core.errors import ExpiredError, QuotaError, ResumableError
from schedd.core.model.journal import JournalEntry
from schedd.service.journal import Journal
from schedd.v1 import execution_service_pb2 as pb

RING = 20_000
"""How many entries a watcher may lag behind."""

WATCHERS = 1000
"""How many watch at the same time at most: each is woken at every commit."""

EVENTS_A_MESSAGE = 100

_EVENTS_TAG = bytes([pb.WatchExecutionsResponse.EVENTS_FIELD_NUMBER << 3 | 2])

Matches = Callable[[JournalEntry], bool]


class Feed:
    """The latest entries of the journal, in memory, for all watchers of one daemon."""

    def __init__(self, journal: Journal, *, ring: int = RING, watchers: int = WATCHERS) -> None:
        self._journal = journal
        self._ring: deque[tuple[JournalEntry, list[bytes]]] = deque(maxlen=ring)
        self._bells: set[asyncio.Event] = set()
        self._most = watchers
        self._last = 0
        self._stop_listening = journal.listen(self._take)

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return len(self._bells)

    def close(self) -> None:
        """Take nothing more."""
        self._stop_listening()

    async def messages(self, *, after: int | None, matches: Matches, heartbeat_s: float | None = None) -> AsyncIterator[bytes]:
        """Encoded WatchExecutionsResponse messages of the entries after `after` (None: from now on) that match.

        A message without events comes at the start, and whenever nothing else did for `heartbeat_s`.
        Raises: ResumableError (WATCHER_TOO_SLOW); ExpiredError (SEQUENCE_EXPIRED); InvalidError (after_sequence); QuotaError.
        """
        if len(self._bells) >= self._most:
            description = f"{self._most} watch already; end one of them, or try again later"
            raise QuotaError(subject="watchers", limit=self._most, description=description)
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            oldest, newest = await self._journal.bounds()
            newest = max(newest, self._last)
            cursor = newest if after is None else after
            _check_cursor(cursor, oldest, newest)
            yield _message([], cursor)
            while cursor < newest:
                page = await self._journal.read(after=cursor, limit=EVENTS_A_MESSAGE, through=newest)
                # Retention may have taken what follows the cursor while this watcher did not read.
                _check_cursor(cursor, (await self._journal.bounds())[0], newest)
                cursor = newest if page.is_last else page.last_read
                yield _message([_encoded(entry) for entry in page.entries if matches(entry)], cursor)
            while True:
                bell.clear()
                while self._last > cursor:
                    events, cursor = self._live(cursor, matches)
                    if events:
                        yield _message(events, cursor)
                try:
                    async with asyncio.timeout(heartbeat_s):
                        await bell.wait()
                except TimeoutError:
                    yield _message([], cursor)
        finally:
            self._bells.discard(bell)

    def _take(self, entries: Sequence[JournalEntry]) -> None:
        """The journal's listener: in the engine's path, so it only keeps the entries and rings."""
        for entry in entries:
            self._ring.append((entry, []))
        if entries:
            self._last = entries[-1].sequence
        for bell in self._bells:
            bell.set()

    def _live(self, cursor: int, matches: Matches) -> tuple[list[bytes], int]:
        """The next events of the ring, one message's at most, and the cursor behind them."""
        following = self._after(cursor)
        if len(following) == self._ring.maxlen:
            raise ResumableError(
                sequence=cursor,
                reason="WATCHER_TOO_SLOW",
                description=f"more than {self._ring.maxlen} events came while this watcher did not read; resume after {cursor}",
            )
        events: list[bytes] = []
        for entry, encoded in following:
            cursor = entry.sequence
            if matches(entry):
                if not encoded:
                    encoded.append(_encoded(entry))
                events.append(encoded[0])
                if len(events) == EVENTS_A_MESSAGE:
                    break
        return events, cursor

    def _after(self, cursor: int) -> list[tuple[JournalEntry, list[bytes]]]:
        """The ring's entries after the cursor, oldest first."""
        found: list[tuple[JournalEntry, list[bytes]]] = []
        for item in reversed(self._ring):
            if item[0].sequence <= cursor:
                break
            found.append(item)
        found.reverse()
        return found


def _check_cursor(cursor: int, oldest: int, newest: int) -> None:
    """Raises: ExpiredError for a cursor before what is kept; InvalidError for one that this journal never gave."""
    if 0 < cursor < oldest - 1:
        raise ExpiredError(
            reason="SEQUENCE_EXPIRED",
            description=f"{cursor} is no longer kept: the journal begins at {oldest}; resume after {oldest - 1}, or list executions anew",
        )
    if not 0 <= cursor <= newest:
        description = f"{cursor} is no sequence of this journal, which ends at {newest}: it may have been restored from a backup"
        raise invalid("after_sequence", "OUT_OF_RANGE", description)


def _encoded(entry: JournalEntry) -> bytes:
    return bytes(entry_message(entry).SerializeToString())


def _message(events: list[bytes], cursor: int) -> bytes:
    """A WatchExecutionsResponse put together from encoded events: a repeated field is its encoded items in a row."""
    parts = [_EVENTS_TAG + _varint(len(event)) + event for event in events]
    parts.append(bytes(pb.WatchExecutionsResponse(resume_sequence=cursor).SerializeToString()))
    return b"".join(parts)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
