"""The use cases of operators: how the daemon is."""

from __future__ import annotations

from dataclasses import dataclass

from schedd.core.model.batch import StoreStatus
from schedd.core.model.schedule import ScheduleState
from schedd.core.ports import Clock, Store
from schedd.core.triggers import zone_data_version
from schedd.engine.engine import Engine, EngineStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The daemon's figures as of `now_us`; it was started at `started_us`. `warnings` are for people."""

    version: str
    started_us: int
    now_us: int
    zone_data_version: str
    engine: EngineStatus
    store: StoreStatus

    @property
    def warnings(self) -> tuple[str, ...]:
        """What wants an operator's attention."""
        found: list[str] = []
        if disabled := self.store.schedules.get(ScheduleState.DISABLED, 0):
            verb = "schedule was" if disabled == 1 else "schedules were"
            found.append(f"{disabled} {verb} taken out of service; state = DISABLED finds what, and state_reason says why")
        if moved := self.engine.moved.count:
            whose = "1 schedule" if moved == 1 else f"{moved} schedules"
            found.append(f"new time zone data moved coming occurrences of {whose}; kind = OCCURRENCES_MOVED in the journal says which")
        return tuple(found)


class Admin:
    """The use cases of operators."""

    def __init__(self, *, store: Store, engine: Engine, clock: Clock, version: str) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock
        self._version = version
        self._started_us = clock.now_us()

    async def status(self) -> Status:
        """The daemon's figures."""
        return Status(
            version=self._version,
            started_us=self._started_us,
            now_us=self._clock.now_us(),
            zone_data_version=zone_data_version(),
            engine=self._engine.status(),
            store=await self._store.status(),
        )
