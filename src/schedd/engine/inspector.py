"""The inspector: looks once, after the start, whether every stored schedule can be read, so that one that cannot shows before it is due."""

from __future__ import annotations

from datetime import timedelta

import structlog

from schedd.core.errors import UnavailableError
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.reason import Reason
from schedd.core.model.unreadable import UnreadableSchedule
from schedd.core.ports import Clock, Store
from schedd.engine.keeper import Keeper

_PORTION = 200
_BETWEEN_PORTIONS = timedelta(milliseconds=100)
"""Slow on purpose: a million schedules take ten minutes, and nobody waits for them."""

log = structlog.get_logger(__name__)


class Inspector:
    """Reads all schedules portion by portion, and has those that cannot be read taken out of service."""

    def __init__(self, store: Store, clock: Clock, keeper: Keeper) -> None:
        self._store = store
        self._clock = clock
        self._keeper = keeper
        self._after: tuple[str | int, ...] = ()

    async def run(self) -> None:
        """Look at all of them, then return."""
        try:
            while await self.run_once():
                await self._clock.sleep(_BETWEEN_PORTIONS)
        except UnavailableError as error:
            log.error("inspection_refused", reason=error.reason, detail=str(error))

    async def run_once(self) -> bool:
        """Look at one portion; whether there are more."""
        page = await self._store.find_stored_schedules((), Order(field="name"), PageRequest(size=_PORTION, after=self._after))
        for schedule in page.items:
            if isinstance(schedule, UnreadableSchedule) and not schedule.quarantined:
                self._keeper.quarantine(schedule.row, Reason.STORED_DATA, schedule.state_reason)
        self._after = page.after
        return bool(page.after)
