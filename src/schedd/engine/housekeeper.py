"""The housekeeper: removes history that is past its retention, in small portions, and keeps the stored timers fresh for the next start."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import timedelta

import structlog

from schedd.core.errors import UnavailableError
from schedd.core.model.batch import Retention, Timers
from schedd.core.ports import Clock, Store
from schedd.core.timeline import Timeline

_NO_TIME = timedelta(0)
_EVERY = timedelta(minutes=5)
_BETWEEN_PORTIONS = timedelta(milliseconds=200)
_WHILE_A_LOT = timedelta(milliseconds=40)
"""Between portions once there were _A_LOT: what is removed must not fall behind what a busy daemon adds, some 5 rows a fire."""
_A_LOT = 50
_TIMERS_AT_ONCE = 500
_WORTH_KEEPING_US = 600_000_000
_LEAP_US = 86_400_000_000
_WAIT_AFTER_LEAP_US = 3_600_000_000

log = structlog.get_logger(__name__)


class Housekeeper:
    """Works every five minutes, and once more at the end for the timers."""

    def __init__(self, store: Store, clock: Clock, timeline: Timeline, retention: Retention) -> None:
        self._store = store
        self._clock = clock
        self._timeline = timeline
        self.retention = retention
        self._moved: dict[int, int] = {}
        self._prune_from_us = 0

    def time_leapt(self, by_us: int) -> None:
        """The wall clock is ahead by so much, for no known cause: it may be wrong, and be set right soon.

        What it makes look too old is not removed before an hour of it has passed, if it is a day or more.
        """
        if by_us >= _LEAP_US:
            self._prune_from_us = self._clock.monotonic_us() + _WAIT_AFTER_LEAP_US

    def timer_moved(self, row: int, generation: int) -> None:
        """The schedule's next nominal time is another than the one stored with this generation."""
        self._moved[row] = generation

    async def run(self) -> None:
        """Keep house until cancelled."""
        while True:
            await self._clock.sleep(_EVERY)
            try:
                await self.run_once(self._clock.now_us())
            except UnavailableError as error:
                log.error("housekeeping_refused", reason=error.reason, detail=str(error))

    async def run_once(self, now_us: int) -> int:
        """Save the timers that will last and prune what is too old; how many rows were removed."""
        await self.save_timers(lasting_from_us=now_us + _WORTH_KEEPING_US)
        removed = portions = 0
        while self._clock.monotonic_us() >= self._prune_from_us and (portion := await self._store.prune(self.retention, now_us=now_us)):
            removed += portion
            portions += 1
            await self._clock.sleep(_BETWEEN_PORTIONS if portions < _A_LOT else _WHILE_A_LOT)
        return removed

    async def save_timers(self, *, lasting_from_us: int = 0) -> None:
        """Store the moved timers whose next nominal time is at or after `lasting_from_us`; the others would be out of date at once."""
        moved, self._moved = self._moved, {}
        rows = sorted(moved)
        for start in range(0, len(rows), _TIMERS_AT_ONCE):
            portion = [
                (row, moved[row], next_us)
                for row in rows[start : start + _TIMERS_AT_ONCE]
                if (next_us := self._timeline.next_of(row)) >= max(lasting_from_us, 1)
            ]
            if portion:
                await self._store.save_timers(_timers(portion))
            else:
                await self._clock.sleep(_NO_TIME)  # There may be hundreds of thousands; the loop has more to do.


def _timers(portion: Sequence[tuple[int, int, int]]) -> Timers:
    rows, generations, next_us = (array("q", column) for column in zip(*portion, strict=True))
    return Timers(rows=rows, generations=generations, next_us=next_us, planned_from_us=array("q", bytes(8 * len(rows))))
