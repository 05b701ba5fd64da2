"""Races that seeds of the simulation have found, each told by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from schedd.core.model.execution import Cause
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import CatchUpMode
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import Expression, Once, When
from schedd.core.ports import Target
from schedd.engine.engine import Engine, EngineSettings
from schedd.engine.ids import TimeIds
from schedd.service.asking import Asking
from schedd.service.pauses import Pauses
from schedd.service.schedules import Schedules
from schedd.simulation.clock import VirtualClock
from schedd.simulation.loop import VirtualLoop
from schedd.store.memory import MemoryDatabase
from tests.engine.rig import START_US, HandClock, HandTarget

NAME = ScheduleName(group="default", schedule="job")
CLIENT = Asking(actor="test")


@dataclass
class Daemon:
    """An engine on virtual time whose disk takes a second for each commit."""

    schedules: Schedules
    pauses: Pauses
    target: HandTarget
    database: MemoryDatabase

    async def until(self, second: float) -> None:
        await asyncio.sleep(second - asyncio.get_running_loop().time())

    async def journal(self) -> list[tuple[JournalKind, float | None]]:
        entries = await self.database.store().journal(after=0, limit=100)
        return [(entry.kind, (entry.execution.nominal_us - START_US) / 1e6 if entry.execution else None) for entry in entries]


def on_a_slow_disk(story: Callable[[Daemon], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        clock = VirtualClock(loop, START_US)

        async def told() -> None:
            database, target = MemoryDatabase(), HandTarget(HandClock())
            store = database.store(writes=lambda carry_out: loop.call_later(1, carry_out))
            ids = TimeIds(clock)
            targets: dict[type, Target] = {HttpTarget: target}
            engine = Engine(store=store, clock=clock, ids=ids, targets=targets, settings=EngineSettings(), draw=random.Random(1))
            await engine.recover()
            schedules = Schedules(store=store, engine=engine, clock=clock, ids=ids)
            agents = loop.create_task(engine.run())
            draft = Schedule(name=NAME, when=When(triggers=(Expression(text="* * * * *"),)), target=HttpTarget(url="http://localhost/"))
            await schedules.create(draft, CLIENT)
            await story(Daemon(schedules, Pauses(store=store, engine=engine, clock=clock), target, database))
            agents.cancel()
            await asyncio.gather(agents, return_exceptions=True)

        runner.run(told())


def test_execution_armed_in_the_transaction_of_a_pause_is_taken_back_and_its_occurrence_caught_up() -> None:
    async def story(daemon: Daemon) -> None:
        await daemon.until(59.7)  # The occurrence at 60 is being armed: the pause shares its transaction.
        await daemon.pauses.pause(NAME, CLIENT)
        await daemon.until(75)
        assert daemon.target.requests == []
        assert (await daemon.journal())[-1] == (JournalKind.EXECUTION_DISARMED, 60)
        await daemon.pauses.resume(NAME, CLIENT, backlog=CatchUpMode.ALL)
        await daemon.until(90)
        assert [request.nominal_us for _, request in daemon.target.requests] == [START_US + 60_000_000]

    on_a_slow_disk(story)


def test_schedule_whose_last_execution_has_ended_is_completed_after_that_end_is_durable() -> None:
    async def story(daemon: Daemon) -> None:
        once = When(triggers=(Once(times_us=(START_US + 10_000_000,)),))
        await daemon.schedules.update(NAME, lambda schedule: replace(schedule, when=once), CLIENT)
        await daemon.until(20)
        assert (await daemon.journal())[-2:] == [(JournalKind.EXECUTION_FINISHED, 10), (JournalKind.SCHEDULE_COMPLETED, None)]

    on_a_slow_disk(story)


def test_execution_taken_back_while_the_recorder_is_busy_is_gone_before_its_occurrence_is_armed_again() -> None:
    async def story(daemon: Daemon) -> None:
        async with asyncio.TaskGroup() as calls:
            await daemon.until(58.9)
            calls.create_task(daemon.schedules.trigger(NAME, CLIENT))  # Its end is being recorded when the other is taken back.
            await daemon.until(59.7)
            calls.create_task(daemon.schedules.update(NAME, lambda schedule: replace(schedule, description="another"), CLIENT))
        await daemon.until(75)
        assert (JournalKind.EXECUTION_DISARMED, 60) in await daemon.journal()
        nominal_us = [request.nominal_us for _, request in daemon.target.requests if request.cause is Cause.SCHEDULE]
        assert nominal_us == [START_US + 60_000_000]

    on_a_slow_disk(story)
