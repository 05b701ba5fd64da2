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

_END_OF_TIME = 2**63 - 1

_ROW_BITS = 32
_ROW_MASK = (1 << _ROW_BITS) - 1
_PRUNE_FLOOR = 1024


class Timeline:
    """A priority queue of (nominal time, row), at most one entry a row. Rows are small and not negative, times positive microseconds."""

    def __init__(self) -> None:
        self._heap: list[int] = []
        self._aside: list[int] = []
        """A heap as well: what `set_aside` has taken out of the other."""
        self._until: dict[int, int] = {}
        """By row, until when what is postponed waits."""
        self._postponed: list[tuple[int, int]] = []
        """A heap of (until, row): what `postpone` has put there."""
        self._undecided: list[int] = []
        """A heap of the same as the first two are: of what is postponed, the nominal times."""
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
        if self._current[row] == nominal_us and row not in self._until:
            return
        self._until.pop(row, None)
        if self._current[row] == NEVER:
            self._live += 1
        self._current[row] = nominal_us
        heapq.heappush(self._heap, nominal_us << _ROW_BITS | row)
        self._prune()

    def remove(self, row: int) -> None:
        """Leave the row without an entry; nothing happens if it has none."""
        if self.next_of(row) == NEVER:
            return
        self._until.pop(row, None)
        self._current[row] = NEVER
        self._live -= 1
        self._prune()

    def postpone(self, row: int, nominal_us: int, until_us: int) -> None:
        """Make `nominal_us` the row's one entry, a row that has none; only `pop_postponed` takes it out, from `until_us` on."""
        self._grow(row)
        self._current[row] = nominal_us
        self._live += 1
        self._until[row] = until_us
        heapq.heappush(self._postponed, (until_us, row))
        heapq.heappush(self._undecided, nominal_us << _ROW_BITS | row)
        self._prune_postponed()

    def pop_postponed(self, through_us: int, count: int) -> list[tuple[int, int]]:
        """Take out at most `count` of the entries that are postponed until `through_us` or before."""
        taken: list[tuple[int, int]] = []
        while self._postponed and len(taken) < count and self._postponed[0][0] <= through_us:
            until_us, row = heapq.heappop(self._postponed)
            if self._until.get(row) == until_us:
                del self._until[row]
                taken.append((self._current[row], row))
                self._current[row] = NEVER
        self._live -= len(taken)
        return taken

    def next_of(self, row: int) -> int:
        """The row's nominal time, or NEVER."""
        return self._current[row] if row < len(self._current) else NEVER

    def peek_us(self) -> int:
        """The earliest nominal time, or NEVER."""
        first = [heap[0] >> _ROW_BITS for heap in (self._heap, self._aside, self._undecided) if self._clean(heap)]
        return min(first, default=NEVER)

    def set_aside(self, before_us: int, count: int) -> None:
        """Let at most `count` entries with nominal time < `before_us` stand aside: only `pop_aside` takes them out."""
        heap = self._heap
        while heap and count > 0 and heap[0] >> _ROW_BITS < before_us:
            entry = heapq.heappop(heap)
            while heap and heap[0] == entry:  # A row that was moved away and back has left the same entry twice.
                heapq.heappop(heap)
            if self._current[entry & _ROW_MASK] == entry >> _ROW_BITS and entry & _ROW_MASK not in self._until:
                heapq.heappush(self._aside, entry)
                count -= 1

    def pop_aside(self, count: int) -> list[tuple[int, int]]:
        """Take out at most `count` of the entries that stand aside, earliest first."""
        return self._pop(self._aside, _END_OF_TIME, count)

    def pop_through(self, limit_us: int, count: int) -> list[tuple[int, int]]:
        """Take out at most `count` entries with nominal time <= `limit_us`, earliest first, as (nominal_us, row): none that stand aside."""
        return self._pop(self._heap, limit_us, count)

    def _pop(self, heap: list[int], limit_us: int, count: int) -> list[tuple[int, int]]:
        taken: list[tuple[int, int]] = []
        current = self._current
        while heap and len(taken) < count and heap[0] >> _ROW_BITS <= limit_us:
            entry = heapq.heappop(heap)
            nominal_us, row = entry >> _ROW_BITS, entry & _ROW_MASK
            if current[row] == nominal_us and row not in self._until:
                current[row] = NEVER
                taken.append((nominal_us, row))
        self._live -= len(taken)
        return taken

    def _clean(self, heap: list[int]) -> bool:
        """Drop the stale entries at the head; whether there is another one."""
        while heap and self._current[heap[0] & _ROW_MASK] != heap[0] >> _ROW_BITS:
            heapq.heappop(heap)
        return bool(heap)

    def _grow(self, row: int) -> None:
        missing = row + 1 - len(self._current)
        if missing > 0:
            self._current.extend([NEVER] * max(missing, len(self._current) >> 3))

    def _prune_postponed(self) -> None:
        most = 2 * len(self._until) + _PRUNE_FLOOR
        if len(self._postponed) > most:
            self._postponed = [(until_us, row) for until_us, row in self._postponed if self._until.get(row) == until_us]
            heapq.heapify(self._postponed)
        if len(self._undecided) > most:
            self._undecided = [self._current[row] << _ROW_BITS | row for row in self._until]
            heapq.heapify(self._undecided)

    def _prune(self) -> None:
        if len(self._heap) + len(self._aside) > 2 * self._live + _PRUNE_FLOOR:
            current = self._current
            live = {entry for entry in (*self._heap, *self._aside) if current[entry & _ROW_MASK] == entry >> _ROW_BITS}
            self._heap = [entry for entry in live if entry & _ROW_MASK not in self._until]
            self._aside = []
            heapq.heapify(self._heap)
