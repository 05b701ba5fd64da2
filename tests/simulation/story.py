"""Carries out a plan: life after life of the daemon, calls of clients, troubles of the host, and a calm end that brings all home."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from schedd.core.errors import NotFoundError, ScheddError
from schedd.core.model.batch import RequestMark
from schedd.core.model.execution import Execution, ExecutionState
from schedd.core.model.policy import CatchUpMode
from schedd.core.model.query import Comparison, Operator, Order, PageRequest
from schedd.core.model.reason import Outcome
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.service.asking import Asking
from schedd.service.backfills import BackfillDraft
from schedd.simulation.clock import VirtualClock
from schedd.simulation.loop import VirtualLoop
from tests.simulation.drawing import CALENDAR, MINUTE, SECOND, Action, Deed, Fate, Plan, Trouble
from tests.simulation.life import Life, tell_steps
from tests.simulation.world import Ledger, Told, World

CLIENT = Asking(actor="client")

_CALM_US = 2 * MINUTE
_SETTLING_S = 70.0
_LOOK_EVERY_S = 5.0
_LOOKS = 6000
_RESTART_S = 0.1
_EVERY_NAME = Order(field="name")


class Story:
    """One seed's history in the making."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._life: Life | None = None
        self._lives = 0

    async def tell(self) -> None:
        """From the first start to the last stop."""
        world = self._world
        tell_steps(world.loop, self._step, self._made)
        async with asyncio.TaskGroup() as around:
            clients = around.create_task(self._act())
            nature = around.create_task(self._move_clock())
            for fate in world.plan.fates:
                await self._live(fate, Life.fate)
                await asyncio.sleep(fate.down_us / SECOND)
            await self._live(None, self._last)
            clients.cancel()
            nature.cancel()

    async def _live(self, fate: Fate | None, story: Callable[[Life], Awaitable[None]]) -> None:
        """Start a daemon; one that does not come up is started again, as systemd does."""
        began = False
        while not began:
            self._life = Life(self._world, self._lives, fate)
            self._lives += 1
            await self._life.live(story)
            began = self._life.began or fate is not None or bool(self._world.faults)
            self._life = None
            await asyncio.sleep(_RESTART_S)

    def _step(self) -> None:
        if self._life is not None:
            self._life.step()

    def _made(self, task: asyncio.Task[Any]) -> None:
        if self._life is not None:
            self._life.tasks.add(task)

    async def _act(self) -> None:
        for action in self._world.plan.actions:
            await self._until(action.at_us)
            if self._life is not None and self._life.serves:
                self._life.call(_Client(self._world, self._life).do(action))

    async def _move_clock(self) -> None:
        for spell in sorted(self._world.plan.spells, key=lambda spell: spell.at_us):
            await self._until(spell.at_us)
            self._world.note(f"{spell.trouble}, {spell.for_us} us")
            self._world.look_at_clock()
            if spell.trouble is Trouble.STEP:
                self._world.clock.step(spell.for_us)
            elif spell.trouble is Trouble.STEP_BACK:
                self._world.set_back = True
                self._world.clock.step(-spell.for_us)
            elif spell.trouble is Trouble.SUSPEND:
                self._world.clock.suspend(spell.for_us)

    async def _until(self, at_us: int) -> None:
        await asyncio.sleep(max(0, at_us - self._world.loop.now_us) / SECOND)

    async def _last(self, life: Life) -> None:
        """The last life sees the story out; then nothing is wrong any more, and all that is unfinished has to come to its end."""
        world = self._world
        await self._until(max(world.plan.end_us, world.loop.now_us + _CALM_US))
        world.calm = True
        world.note("all is calm")
        await asyncio.sleep(_SETTLING_S)
        client = _Client(world, life)
        for schedule in await _all(life):
            if schedule.state is ScheduleState.PAUSED:
                await client.resume(schedule, _mode(schedule.created_us % 4 / 4))
        await asyncio.sleep(_SETTLING_S)
        for _ in range(_LOOKS):
            if not world.backlogs:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        world.horizon_us = world.clock.now_us() - int(_SETTLING_S * SECOND)
        for schedule in await _all(life):
            if schedule.state is ScheduleState.ENABLED:
                await client.pause(schedule)
        for _ in range(_LOOKS):
            if not len(life.engine.runs):
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        await life.engine.recorder.committed()
        gates = life.engine.dispatcher.gates
        if held := {
            "unfinished backlogs": world.backlogs,
            "unfinished": len(life.engine.runs),
            "running": gates.running,
            "waiting": gates.waiting,
            "aside": gates.aside,
        }:
            world.faults += [f"{count} {what} at the end" for what, count in held.items() if count]


class _Client:
    """Calls the use cases, and keeps what it was told."""

    def __init__(self, world: World, life: Life) -> None:
        self._world = world
        self._life = life

    async def do(self, action: Action) -> None:
        """Make a call; what is refused was never promised."""
        self._world.note(f"client: {action.deed} {action.name.schedule}")
        self._world.asked.add((action.deed, action.name, action.request or str(action.at_us)))
        try:
            told = await self._call(action)
        except ScheddError as error:
            self._world.note(f"client: {action.deed} {action.name.schedule} is refused: {error}")
            return
        if told is not None and self._life.alive:
            self._world.note(f"client: {action.deed} {action.name.schedule} is done")
            self._world.told.append(told._replace(request=action.request))

    async def resume(self, schedule: Schedule, backlog: CatchUpMode) -> None:
        """End a pause."""
        self._tell(Deed.RESUME, await self._life.pauses.resume(schedule.name, CLIENT, backlog=backlog))

    async def pause(self, schedule: Schedule) -> None:
        """Begin a pause."""
        self._tell(Deed.PAUSE, await self._life.pauses.pause(schedule.name, CLIENT))

    def _tell(self, deed: Deed, schedule: Schedule) -> None:
        self._world.told.append(Told(deed, schedule.name, schedule))

    async def _call(self, action: Action) -> Told | None:
        asking = CLIENT
        if action.request:
            asking = replace(CLIENT, request=RequestMark(request_id=action.request, scope=action.deed, fingerprint=""))
        match action.deed:
            case Deed.TRIGGER:
                return Told(action.deed, action.name, execution_id=(await self._life.schedules.trigger(action.name, asking)).id)
            case Deed.CANCEL | Deed.REDELIVER:
                return await self._with_execution(action)
            case Deed.BACKFILL:
                return await self._backfill(action, asking)
            case Deed.CLOSE:
                return await self._close(action)
            case _:
                return Told(action.deed, action.name, await self._change(action, asking))

    async def _close(self, action: Action) -> Told:
        calendars = self._life.calendars
        try:
            await calendars.update(CALENDAR, lambda before: replace(before, entries=action.closed.entries), CLIENT)
        except NotFoundError:
            await calendars.create(action.closed, CLIENT)
        return Told(action.deed, action.name)

    async def _change(self, action: Action, asking: Asking) -> Schedule:
        schedules, name, draft = self._life.schedules, action.name, action.draft
        match action.deed:
            case Deed.CREATE:
                return await schedules.create(draft, asking)
            case Deed.UPDATE:
                return await schedules.update(name, lambda before: replace(before, policies=draft.policies), asking)
            case Deed.RETIME:
                return await schedules.update(name, lambda before: replace(before, when=draft.when), asking)
            case Deed.PAUSE:
                until_us = self._world.clock.now_us() + int(action.pick * 5 * MINUTE) + 1 if action.pick < 0.7 else None
                return await self._life.pauses.pause(name, asking, until_us=until_us)
            case Deed.RESUME:
                return await self._life.pauses.resume(name, asking, backlog=_mode(action.pick))
            case Deed.DELETE:
                deleted = await schedules.delete(name, asking)
                assert isinstance(deleted, Schedule), "the rows of a simulation can be read"
                return deleted
            case _:
                return await schedules.undelete(name, asking)

    async def _backfill(self, action: Action, asking: Asking) -> Told:
        self._world.backfilled.add(action.name)
        now_us = self._world.clock.now_us()
        start_us = now_us - 1 - int(action.pick * 5 * MINUTE)
        wanted = BackfillDraft(start_us=start_us, end_us=now_us, overlap=action.draft.policies.overlap, rate_per_second=1.0)
        await self._life.backfills.start(action.name, wanted, asking)
        return Told(action.deed, action.name)

    async def _with_execution(self, action: Action) -> Told | None:
        execution = await self._pick(action)
        if execution is None:
            return None
        if action.deed is Deed.CANCEL:
            await self._life.engine.cancel(execution.id, actor="client")
        else:
            self._world.redelivered.add(execution.id)
            await self._life.engine.redeliver(execution, actor="client")
        return Told(action.deed, action.name, execution_id=execution.id)

    async def _pick(self, action: Action) -> Execution | None:
        """An unfinished execution to cancel, a failed one to redeliver."""
        of_schedule = Comparison(field="schedule", operator=Operator.EQUAL, value=str(action.name))
        page = await self._life.store.find_executions((of_schedule,), Order(field="execution"), PageRequest(size=1000))
        if action.deed is Deed.CANCEL:
            found = [execution for execution in page.items if execution.state is not ExecutionState.FINISHED]
        else:
            found = [execution for execution in page.items if execution.outcome is Outcome.FAILED]
        return found[int(action.pick * len(found))] if found else None


def _mode(pick: float) -> CatchUpMode:
    modes = list(CatchUpMode)
    return modes[int(pick * len(modes))]


async def _all(life: Life) -> list[Schedule]:
    return list((await life.store.find_schedules((), _EVERY_NAME, PageRequest(size=1000))).items)


def live_through(plan: Plan) -> tuple[World, Ledger]:
    """The history of a plan, and what is durable at its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        world = World(plan=plan, loop=loop, clock=VirtualClock(loop, plan.start_us))

        async def through() -> Ledger:
            await asyncio.wait_for(Story(world).tell(), timedelta(days=30).total_seconds())
            return await world.ledger()

        return world, runner.run(through())
