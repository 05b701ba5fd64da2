"""The housekeeper: removes history that is past its retention, in small portions, and keeps the stored timers fresh for the next start."""

from __future__ import annotations

from array import array
from datetime import timedelta

import structlog

from schedd.core.errors import UnavailableError
from schedd.core.model.batch import Retention, Timers
from schedd.core.ports import Clock, Store
from schedd.core.timeline import Timeline

_EVERY = timedelta(minutes=5)
_BETWEEN_PORTIONS = timedelta(milliseconds=200)
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
        """Prune what is too old and save the timers that will last; how many rows were removed."""
        removed = 0
        while self._clock.monotonic_us() >= self._prune_from_us and (portion := await self._store.prune(self.retention, now_us=now_us)):
            removed += portion
            await self._clock.sleep(_BETWEEN_PORTIONS)
        await self.save_timers(lasting_from_us=now_us + _WORTH_KEEPING_US)
        return removed

    async def save_timers(self, *, lasting_from_us: int = 0) -> None:
        """Store the moved timers whose next nominal time is at or after `lasting_from_us`; the others would be out of date at once."""
        lasting = [
            (row, generation, self._timeline.next_of(row))
            for row, generation in sorted(self._moved.items())
            if self._timeline.next_of(row) >= max(lasting_from_us, 1)
        ]
        self._moved.clear()
        for start in range(0, len(lasting), _TIMERS_AT_ONCE):
            portion = lasting[start : start + _TIMERS_AT_ONCE]
            await self._store.save_timers(
                Timers(
                    rows=array("q", [row for row, _, _ in portion]),
                    generations=array("q", [generation for _, generation, _ in portion]),
                    next_us=array("q", [next_us for _, _, next_us in portion]),
                    planned_from_us=array("q", bytes(8 * len(portion))),
                )
            )
