"""The timeline: every enabled schedule's next nominal time in memory, as a heap of packed integers.

An entry is `nominal_us << 32 | row`: 56 bytes with its place in the heap, ordered by time and then by row. Replacing or removing one leaves
the old one in the heap; it is stale, since the row's current time (an integer in an array) differs, and is dropped when it comes up,
or when stale entries outnumber live ones.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Sequence

NEVER = -1
"""The current time of a row that has no entry."""

_ROW_BITS = 32
_ROW_MASK = (1 << _ROW_BITS) - 1
_PRUNE_FLOOR = 1024


class Timeline:
    """A priority queue of (nominal time, row), at most one entry a row. Rows are small and not negative, times positive microseconds."""

    def __init__(self) -> None:
        self._heap: list[int] = []
        self._current = array("q")
        self._live = 0

    def __len__(self) -> int:
        return self._live

    def load(self, rows: Sequence[int], nominal_us: Sequence[int]) -> None:
        """Take in many rows with their times at once, of rows that have no entry yet: one heapify instead of a push each."""
        self._grow(max(rows, default=-1))
        current = self._current
        for row, time_us in zip(rows, nominal_us, strict=True):
            current[row] = time_us
        self._heap += [time_us << _ROW_BITS | row for row, time_us in zip(rows, nominal_us, strict=True)]
        self._live += len(rows)
        heapq.heapify(self._heap)

    def set(self, row: int, nominal_us: int) -> None:
        """Make `nominal_us` the row's one entry."""
        self._grow(row)
        if self._current[row] == nominal_us:
            return
        if self._current[row] == NEVER:
            self._live += 1
        self._current[row] = nominal_us
        heapq.heappush(self._heap, nominal_us << _ROW_BITS | row)
        self._prune()

    def remove(self, row: int) -> None:
        """Leave the row without an entry; nothing happens if it has none."""
        if self.next_of(row) == NEVER:
            return
        self._current[row] = NEVER
        self._live -= 1
        self._prune()

    def next_of(self, row: int) -> int:
        """The row's nominal time, or NEVER."""
        return self._current[row] if row < len(self._current) else NEVER

    def peek_us(self) -> int:
        """The earliest nominal time, or NEVER."""
        while self._heap:
            nominal_us, row = self._heap[0] >> _ROW_BITS, self._heap[0] & _ROW_MASK
            if self._current[row] == nominal_us:
                return nominal_us
            heapq.heappop(self._heap)
        return NEVER

    def pop_through(self, limit_us: int, count: int) -> list[tuple[int, int]]:
        """Take out at most `count` entries with nominal time <= `limit_us`, earliest first, as (nominal_us, row)."""
        taken: list[tuple[int, int]] = []
        heap, current = self._heap, self._current
        while heap and len(taken) < count and heap[0] >> _ROW_BITS <= limit_us:
            entry = heapq.heappop(heap)
            nominal_us, row = entry >> _ROW_BITS, entry & _ROW_MASK
            if current[row] == nominal_us:
                current[row] = NEVER
                taken.append((nominal_us, row))
        self._live -= len(taken)
        return taken

    def _grow(self, row: int) -> None:
        missing = row + 1 - len(self._current)
        if missing > 0:
            self._current.extend([NEVER] * max(missing, len(self._current) >> 3))

    def _prune(self) -> None:
        if len(self._heap) > 2 * self._live + _PRUNE_FLOOR:
            current = self._current
            self._heap = list({entry for entry in self._heap if current[entry & _ROW_MASK] == entry >> _ROW_BITS})
            heapq.heapify(self._heap)
