"""The background: due executions that make way for those that are on time (caught up ones and backfills), and wait here meanwhile."""

from __future__ import annotations

import heapq
import itertools

from schedd.core.admission import background_limit
from schedd.engine.runs import Run


class Background:
    """A queue, the highest priority and then the earliest first. Its runs are not admitted before there is a slot for them.

    At most `background_limit` of the `slots` are given to it. Where there are some to spare it has one at any time, so that it is not
    starved either.
    """

    def __init__(self, slots: int) -> None:
        self._limit = background_limit(slots)
        self._keeps_one = self._limit < slots
        self._queue: list[tuple[int, int, int, Run]] = []
        self._order = itertools.count()
        self._parked: dict[int, list[Run]] = {}
        self.running = 0

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, run: Run) -> None:
        """A run is due."""
        heapq.heappush(self._queue, (-run.definition.schedule.policies.priority, run.wake_us, next(self._order), run))

    def may_start(self, *, live_waits: bool) -> bool:
        """Whether the next slot goes to the background."""
        if not self._queue or self.running >= self._limit:
            return False
        return not live_waits or (self._keeps_one and self.running == 0)

    def next(self) -> Run:
        """Take the first one out."""
        return heapq.heappop(self._queue)[3]

    def parked(self, row: int) -> int:
        """How many of a schedule wait until nothing else of it is under way."""
        return len(self._parked.get(row, ()))

    def park(self, run: Run) -> None:
        """Let it wait until something of its schedule has ended."""
        self._parked.setdefault(run.row, []).append(run)

    def release(self, row: int) -> bool:
        """Something of the schedule has ended: its parked ones line up again, in their order. Whether there are any."""
        parked = self._parked.pop(row, ())
        for run in parked:
            self.add(run)
        return bool(parked)
