"""A thousand schedules on the real clock and real sockets, a hundred of them at a host that takes calls and never answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from schedd.core.model.execution import ExecutionState
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.policy import Overlap, Policies
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import Interval, When
from schedd.engine.clock import SystemClock
from schedd.engine.engine import Engine, EngineSettings
from schedd.engine.ids import TimeIds
from schedd.service.asking import Asking
from schedd.service.schedules import Schedules
from schedd.store.sqlite import SqliteStore
from schedd.targets.http.target import HttpTargets

SCHEDULES = 1000
HUNG = 100
PERIOD = timedelta(seconds=2)
PERIODS = 4
LATENESS_P99_MOST_US = 1_000_000


class Answering(asyncio.Protocol):
    """Answers each request at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n" * data.count(b"\r\n\r\n"))


@asynccontextmanager
async def serving(protocol: type[asyncio.Protocol]) -> AsyncIterator[str]:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


@asynccontextmanager
async def real_engine(path: Path) -> AsyncIterator[tuple[Engine, Schedules]]:
    clock = SystemClock()
    store = await SqliteStore.open(path)
    target = HttpTargets(clock)
    ids = TimeIds(clock)
    engine = Engine(store=store, clock=clock, ids=ids, targets={HttpTarget: target}, settings=EngineSettings())
    await engine.recover()
    agents = asyncio.get_running_loop().create_task(engine.run())
    try:
        yield engine, Schedules(store=store, engine=engine, clock=clock, ids=ids)
    finally:
        agents.cancel()
        await asyncio.gather(agents, return_exceptions=True)
        await target.aclose()
        await store.aclose()


def draft(number: int, url: str) -> Schedule:
    return Schedule(
        name=ScheduleName(group="default", schedule=f"s{number}"),
        when=When(triggers=(Interval(every=PERIOD, anchor_us=number * (PERIOD // SCHEDULES // timedelta(microseconds=1))),)),
        target=HttpTarget(url=url),
        policies=Policies(overlap=Overlap.ALLOW_ALL),
    )


class Booking:
    """How late the fires at the other hosts started, until there are enough."""

    def __init__(self) -> None:
        self.late_us: list[int] = []
        self.enough = asyncio.Event()

    def __call__(self, entries: Sequence[JournalEntry]) -> None:
        for entry in entries:
            if entry.kind is JournalKind.EXECUTION_STARTED and entry.schedule is not None and int(entry.schedule.schedule[1:]) >= HUNG:
                self.late_us.append(int(entry.evidence["lateness_us"]))
        if len(self.late_us) >= PERIODS * (SCHEDULES - HUNG):
            self.enough.set()


async def test_host_that_never_answers_leaves_the_others_on_time(tmp_path: Path) -> None:
    async with serving(asyncio.Protocol) as hole, serving(Answering) as well, real_engine(tmp_path / "db") as (engine, schedules):
        booking = Booking()
        engine.listen(booking)
        await schedules.create_many([draft(n, hole if n < HUNG else well) for n in range(SCHEDULES)], Asking(actor="test"))
        await asyncio.wait_for(booking.enough.wait(), 60)
        late_us = sorted(booking.late_us)
        assert late_us[len(late_us) * 99 // 100] < LATENESS_P99_MOST_US
        status = engine.status()
        assert status.executions[ExecutionState.QUEUED] > 256 - 64, "as many wait for the host as would have filled every slot"
        assert status.executions[ExecutionState.RUNNING] >= 64
