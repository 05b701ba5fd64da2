"""A whole engine on a clock that the test moves, a real SQLite file, and a target that the test answers for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from schedd.core.model.execution import AttemptResult, DeliveryRequest
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.policy import Policies
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import RenderedHttp, Rendering
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget, ProcessTarget
from schedd.core.model.when import Expression, When
from schedd.core.ports import Alarm, Holidays, Survivors
from schedd.engine.engine import Engine, EngineSettings
from schedd.engine.ids import TimeIds
from schedd.service.asking import Asking
from schedd.service.backfills import Backfills
from schedd.service.calendars import CalendarUseCases
from schedd.service.pauses import Pauses
from schedd.service.previews import Previews
from schedd.service.schedules import Schedules
from schedd.store.sqlite import SqliteStore

SECOND = 1_000_000
START_US = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z"""

DONE = AttemptResult(outcome=Outcome.SUCCEEDED, reason=Reason.COMPLETED, code=200)
BROKEN = AttemptResult(outcome=Outcome.FAILED, reason=Reason.HTTP_STATUS, code=500)


class HandClock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self._now_us = START_US
        self._monotonic_us = 0
        self._boot_us = 0
        self._alarms: list[HandAlarm] = []

    def now_us(self) -> int:
        return self._now_us

    def monotonic_us(self) -> int:
        return self._monotonic_us

    def boot_us(self) -> int:
        return self._boot_us

    def alarm(self) -> Alarm:
        alarm = HandAlarm(self)
        self._alarms.append(alarm)
        return alarm

    async def sleep(self, duration: timedelta) -> None:
        """The time that agents linger passes at once; what an agent does by the hour does not happen by itself."""
        if duration > timedelta(minutes=1):
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    def move(self, by_us: int) -> None:
        self._now_us += by_us
        self._monotonic_us += by_us
        self._boot_us += by_us
        for alarm in self._alarms:
            alarm.look()

    def step(self, by_us: int) -> None:
        """Set the wall clock, as an administrator would."""
        self._now_us += by_us
        for alarm in self._alarms:
            alarm.ring()

    def suspend(self, for_us: int) -> None:
        """Let the host sleep: real time goes on, and nothing runs."""
        self._boot_us += for_us
        self.step(for_us)

    def next_us(self) -> int | None:
        return min((alarm.due_us for alarm in self._alarms if alarm.due_us is not None), default=None)


class HandAlarm:
    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._bell = asyncio.Event()
        self.due_us: int | None = None

    def set(self, due_us: int | None) -> None:
        self.due_us = due_us
        self.look()

    def look(self) -> None:
        if self.due_us is not None and self.due_us <= self._clock.now_us():
            self.due_us = None
            self._bell.set()

    def ring(self) -> None:
        self._bell.set()

    async def wait(self) -> None:
        await self._bell.wait()
        self._bell.clear()

    def close(self) -> None:
        self.due_us = None


@dataclass
class HandTarget:
    """Keeps what it is asked to deliver; answers at once with the next of `answers`, or DONE, or when `hold` is set, when it is let go."""

    clock: HandClock
    answers: list[AttemptResult | Exception] = field(default_factory=list)
    requests: list[tuple[int, DeliveryRequest]] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    hold: asyncio.Event | None = None

    async def deliver(self, request: DeliveryRequest) -> AttemptResult:
        self.requests.append((self.clock.now_us(), request))
        if self.hold is not None:
            await self.hold.wait()
        answer = self.answers.pop(0) if self.answers else DONE
        if isinstance(answer, Exception):
            raise answer
        return answer

    def rendered(self, request: DeliveryRequest) -> Rendering | None:
        return RenderedHttp(method="POST", url=str(request.schedule), headers=(("Schedd-Attempt", str(request.attempt)),), body=b"\x00sent")

    def force(self, execution_id: int) -> None:
        self.forced.append(execution_id)

    async def aclose(self) -> None:
        pass

    def nominal_s(self) -> list[float]:
        """The nominal times delivered, in seconds after the start."""
        return [(request.nominal_us - START_US) / SECOND for _, request in self.requests]


@dataclass
class Rig:
    """The engine and its use cases, running."""

    clock: HandClock
    target: HandTarget
    store: SqliteStore
    engine: Engine
    schedules: Schedules
    backfills: Backfills
    commands: HandTarget
    """Runs what conditions ask."""

    @property
    def pauses(self) -> Pauses:
        return Pauses(store=self.store, engine=self.engine, clock=self.clock)

    @property
    def previews(self) -> Previews:
        return Previews(store=self.store, engine=self.engine, clock=self.clock)

    @property
    def calendars(self) -> CalendarUseCases:
        return CalendarUseCases(store=self.store, engine=self.engine, clock=self.clock, ids=self.engine.ids)

    async def create(
        self, text: str = "rate(1 minute)", *, name: str = "job", policies: Policies | None = None, url: str = "http://localhost/"
    ) -> Schedule:
        draft = Schedule(
            name=ScheduleName(group="default", schedule=name),
            when=When(triggers=(Expression(text=text),)),
            target=HttpTarget(url=url),
            policies=policies or Policies(),
        )
        return await self.schedules.create(draft, Asking(actor="test"))

    async def settle(self) -> None:
        """Let every agent do what it can do now, until nothing of it waits to be committed."""
        for _ in range(12):
            await self.engine.recorder.committed()
            # The store works in order: when these answer, so has all that was asked before.
            await self.store.append([])
            await self.store.planned_through_us()
            await self.store.unfinished()
            for _ in range(5):
                await asyncio.sleep(0)

    async def run_until(self, second: float) -> None:
        """Move the clock from alarm to alarm up to `second` seconds after the start."""
        end_us = START_US + int(second * SECOND)
        await self.settle()
        while (next_us := self.clock.next_us()) is not None and next_us <= end_us:
            self.clock.move(max(0, next_us - self.clock.now_us()))
            await self.settle()
        self.clock.move(end_us - self.clock.now_us())
        await self.settle()

    async def journal(self, *kinds: JournalKind) -> list[JournalEntry]:
        entries = await self.store.journal(after=0, limit=1000)
        return [entry for entry in entries if not kinds or entry.kind in kinds]


@asynccontextmanager
async def running(
    path: Path,
    *,
    clock: HandClock | None = None,
    target: HandTarget | None = None,
    commands: HandTarget | None = None,
    holidays: Holidays | None = None,
    settings: EngineSettings | None = None,
    survivors: Survivors | None = None,
) -> AsyncIterator[Rig]:
    """A running engine on the database at `path`. Leaving it is like a crash: nothing is drained."""
    clock = clock or HandClock()
    target = target or HandTarget(clock)
    commands = commands or HandTarget(clock)
    store = await SqliteStore.open(path)
    ids = TimeIds(clock, last=(await store.status()).newest_id)
    engine = Engine(
        store=store,
        clock=clock,
        ids=ids,
        targets={HttpTarget: target, ProcessTarget: commands},
        settings=settings or EngineSettings(),
        holidays=holidays,
        survivors=survivors,
    )
    await engine.recover()
    agents = asyncio.get_running_loop().create_task(engine.run())
    try:
        schedules = Schedules(store=store, engine=engine, clock=clock, ids=ids)
        backfills = Backfills(store=store, engine=engine, clock=clock, ids=ids)
        yield Rig(clock, target, store, engine, schedules, backfills, commands)
    finally:
        agents.cancel()
        await asyncio.gather(agents, return_exceptions=True)
        await store.aclose()
