"""One life of a daemon on the host: the real engine, its use cases and its store, until it is stopped or crashes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from weakref import WeakSet

from schedd.core.errors import UnavailableError
from schedd.core.model.execution import AttemptResult, DeliveryRequest
from schedd.core.model.journal import JournalEntry
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import Rendering
from schedd.core.model.schedule import ScheduleName
from schedd.core.model.target import HttpTarget, ProcessTarget
from schedd.engine.engine import Engine
from schedd.engine.ids import TimeIds
from schedd.service.backfills import Backfills
from schedd.service.calendars import CalendarUseCases
from schedd.service.pauses import Pauses
from schedd.service.schedules import Schedules
from schedd.store.sqlite import SqliteStore
from tests.simulation.drawing import ASKS, NOTICES, SECOND, End, Fate
from tests.simulation.world import Delivery, Heard, World

DONE = AttemptResult(outcome=Outcome.SUCCEEDED, reason=Reason.COMPLETED, code=200)
BROKEN = AttemptResult(outcome=Outcome.FAILED, reason=Reason.HTTP_STATUS, code=503)
TIMED_OUT = AttemptResult(outcome=Outcome.FAILED, reason=Reason.TIMEOUT)

_DRAIN = timedelta(seconds=5)
_CALLS_GRACE_S = 2.0
_SETTING_OFF_S = 0.0005


class Life:
    """A daemon from its start to its end. Once it has crashed nothing that is left of it reaches the disk, the target or a client."""

    def __init__(self, world: World, number: int, fate: Fate | None) -> None:
        self.world = world
        self.number = number
        self.alive = True
        self.began = False
        self.serves = False
        self._fate = fate
        self._gone = asyncio.Event()
        self._steps = 0
        self._commits = 0
        self._last_read = 0.0
        self._calls: list[asyncio.Task[None]] = []
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        """All that were made in this life."""

    async def live(self, story: Callable[[Life], Awaitable[None]]) -> None:
        """Start, serve while `story` goes on, and stop in order; or crash on the way."""
        self.world.note(f"life {self.number} begins, {_fate_text(self._fate)}")
        main = self.world.loop.create_task(self._main(story))
        gone = self.world.loop.create_task(self._gone.wait())
        await asyncio.wait((main, gone), return_when=asyncio.FIRST_COMPLETED)
        if self.alive and (error := main.exception()) is not None:
            self._end_by(error)
        left = [task for task in self.tasks if not task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _end_by(self, error: BaseException) -> None:
        """A daemon may give up where it starts and stops while the disk is full; nothing else ends it."""
        text = f"life {self.number}: the daemon ended by itself: {_told(error)}"
        if isinstance(error, UnavailableError) and not self.serves:
            self.world.note(text)
        else:
            self.world.faults.append(text)
        self.crash()

    def crash(self) -> None:
        """From now on this life changes nothing."""
        if not self.alive:
            return
        self.world.note(f"life {self.number} crashes at step {self._steps}, after {self._commits} commits")
        self.alive = self.serves = False
        self._gone.set()
        for delivery in self.world.deliveries:
            if delivery.end is None:
                delivery.end, delivery.cut = self.world.moment(), True

    def call(self, doing: Coroutine[Any, Any, None]) -> None:
        """Have a client call."""
        self._calls.append(self.world.loop.create_task(doing))

    def step(self) -> None:
        """A task of this life is about to take a step."""
        self._steps += 1
        if self._meets(End.CRASH_AT_STEP, self._steps):
            self.crash()

    async def fate(self) -> None:
        """Wait for the end, if it does not come earlier."""
        assert self._fate is not None, "the last life has none"
        await asyncio.sleep(self._fate.after_us / SECOND)
        if self._fate.end is not End.STOP:
            self.crash()
            await self.world.loop.create_future()

    async def _main(self, story: Callable[[Life], Awaitable[None]]) -> None:
        world = self.world
        self.store: SqliteStore = world.database.store(writes=self._write, reads=self._read)
        ids = TimeIds(world.clock, last=(await self.store.status()).newest_id)
        endpoint = Endpoint(self)
        self.engine = Engine(
            store=self.store,
            clock=world.clock,
            ids=ids,
            targets={HttpTarget: endpoint, ProcessTarget: endpoint},
            settings=world.plan.settings,
            draw=random.Random(f"{world.plan.seed}/jitter/{self.number}"),
        )
        self.engine.listen(self._hear)
        await self.engine.recover()
        self.schedules = Schedules(store=self.store, engine=self.engine, clock=world.clock, ids=ids)
        self.pauses = Pauses(store=self.store, engine=self.engine, clock=world.clock)
        self.backfills = Backfills(store=self.store, engine=self.engine, clock=world.clock, ids=ids)
        self.calendars = CalendarUseCases(store=self.store, engine=self.engine, clock=world.clock, ids=ids)
        async with asyncio.TaskGroup() as tasks:
            agents = tasks.create_task(self.engine.run())
            self.began = self.serves = True
            await story(self)
            world.note(f"life {self.number} stops in order")
            await self.engine.drain(_DRAIN)
            agents.cancel()
            await asyncio.wait([agents])
        self.serves = False
        await self.engine.close()
        if self._calls:
            await asyncio.wait(self._calls, timeout=_CALLS_GRACE_S)
        await self.store.aclose()

    def _hear(self, entries: Sequence[JournalEntry]) -> None:
        self.world.heard.append(Heard(self.world.moment(), self.number, entries))

    def _write(self, carry_out: Callable[[], None]) -> None:
        self.world.loop.call_later(self.world.commit_delay_s(), self._commit, carry_out)

    def _commit(self, carry_out: Callable[[], None]) -> None:
        if not self.alive:
            return
        self._commits += 1
        if self._meets(End.CRASH_BEFORE_COMMIT, self._commits):
            self.crash()
            return
        self.world.spoil_disk()
        carry_out()
        self.world.mend_disk()
        if self._meets(End.CRASH_AFTER_COMMIT, self._commits):
            self.crash()

    def _read(self, read: Callable[[], None]) -> None:
        """Reads are answered in their order, as by a connection's thread."""
        self._last_read = max(self._last_read, self.world.loop.time()) + self.world.read_delay_s()
        self.world.loop.call_at(self._last_read, self._answer, read)

    def _answer(self, read: Callable[[], None]) -> None:
        if self.alive:
            read()

    def _meets(self, end: End, count: int) -> bool:
        return self.alive and self._fate is not None and self._fate.end is end and self._fate.count == count


class Endpoint:
    """The target, as one life of the daemon reaches it."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._forced: set[int] = set()

    async def deliver(self, request: DeliveryRequest) -> AttemptResult:
        """Answer as the schedule's conduct has it, and write down what was asked and what came of it."""
        world = self._life.world
        if not self._life.alive:
            await world.loop.create_future()
        if isinstance(request.target, ProcessTarget) and request.target.argv == (ASKS,):
            return await self._say(request)
        if isinstance(request.target, HttpTarget) and request.target.url == NOTICES:
            world.notices[request.execution_id] += 1
            return DONE
        delivery = Delivery(
            life=self._life.number,
            begin=world.moment(),
            wall_us=world.clock.now_us(),
            reached_us=world.look_at_clock(),
            request=request,
        )
        world.deliveries.append(delivery)
        try:
            delivery.result = await self._answer(request)
        except asyncio.CancelledError:
            await self._let_go(request)
            delivery.cut = True
            raise
        finally:
            if self._life.alive:
                delivery.end = world.moment()
        return delivery.result

    def rendered(self, request: DeliveryRequest) -> Rendering | None:
        """Nothing worth keeping."""
        return None

    def force(self, execution_id: int) -> None:
        """The call that is about to be cancelled gets no grace."""
        self._forced.add(execution_id)

    async def aclose(self) -> None:
        """Nothing is held."""

    async def _answer(self, request: DeliveryRequest) -> AttemptResult:
        conduct = self._life.world.plan.conducts[request.schedule]
        chance = random.Random(f"{self._life.world.plan.seed}/{request.schedule.schedule}/{request.nominal_us}/{request.attempt}")
        takes_s = conduct.slow_s * chance.random() if chance.random() < conduct.slow else chance.uniform(0.001, 0.3)
        at_most_s = request.timeout.total_seconds() if request.timeout is not None else 600.0
        if chance.random() < conduct.hangs or takes_s > at_most_s:
            await asyncio.sleep(at_most_s)
            return TIMED_OUT
        await asyncio.sleep(takes_s)
        if chance.random() < conduct.raises:
            raise ArithmeticError("nobody has foreseen this")
        return BROKEN if chance.random() < conduct.fails else DONE

    async def _say(self, request: DeliveryRequest) -> AttemptResult:
        await asyncio.sleep(random.Random(request.execution_id).uniform(0.001, 2))
        return DONE if holds(self._life.world.plan.seed, request.schedule, request.nominal_us) else BROKEN

    async def _let_go(self, request: DeliveryRequest) -> None:
        grace_s = self._life.world.plan.conducts[request.schedule].grace_s
        if grace_s and self._life.alive and request.execution_id not in self._forced:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(grace_s)


def holds(seed: int, name: ScheduleName, nominal_us: int) -> bool:
    """What a condition's command says of an occurrence."""
    return random.Random(f"{seed}/{name.schedule}/{nominal_us}/condition").random() < 0.5


class Stepped(Coroutine[Any, Any, Any]):
    """A coroutine that tells before each of its steps: what lies between two of them is what a crash leaves whole."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], before: Callable[[], None]) -> None:
        self._coroutine = coroutine
        self._before = before

    def send(self, value: Any) -> Any:
        self._before()
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        self._before()
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        return self._coroutine.__await__()


def tell_steps(loop: asyncio.AbstractEventLoop, before: Callable[[], None], made: Callable[[asyncio.Task[Any]], None]) -> None:
    """Tell of each task that the loop makes from now on, and before each of its steps."""
    make = loop.get_task_factory()
    assert make is not None, "a virtual loop has one"

    def stepped(loop: asyncio.AbstractEventLoop, coroutine: Any, **settings: Any) -> Any:
        task: Any = make(loop, Stepped(coroutine, before), **settings)
        made(task)
        return task

    loop.set_task_factory(partial(stepped))


def _fate_text(fate: Fate | None) -> str:
    return "the last" if fate is None else f"{fate.end} (n = {fate.count}, {fate.after_us} us at most), down for {fate.down_us} us"


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_told(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"
