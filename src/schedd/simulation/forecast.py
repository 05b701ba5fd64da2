"""A forecast: a file's schedules run for days of virtual time through the real engine, at targets that take as long as they are said to."""

from __future__ import annotations

import asyncio
import logging
import random
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from schedd.api.convert.calendar import calendar_of
from schedd.api.drafts import read_named_draft, refuse_faults
from schedd.api.names import calendar_name, schedule_name
from schedd.core.errors import InvalidError
from schedd.core.model.batch import Retention
from schedd.core.model.execution import AttemptResult, DeliveryRequest
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import Rendering
from schedd.core.model.target import HttpTarget, ProcessTarget
from schedd.core.ports import Holidays
from schedd.engine.engine import Engine, EngineSettings
from schedd.engine.ids import TimeIds
from schedd.engine.planner import Pace
from schedd.service.asking import Asking
from schedd.service.calendars import CalendarUseCases
from schedd.service.schedules import BATCH_MAX, Schedules
from schedd.simulation.clock import VirtualClock
from schedd.simulation.loop import VirtualLoop
from schedd.store.memory import MemoryDatabase
from schedd.v1.calendar_pb2 import Calendar
from schedd.v1.schedule_pb2 import Schedule

FIRES_MAX: Final = 2_000_000
"""A forecast of more than so many fires is given up: each is an execution in memory."""

_SETTINGS: Final = EngineSettings(
    pace=Pace(horizon=timedelta(minutes=10), interval=timedelta(seconds=1), runs_in_memory=FIRES_MAX),
    retention=Retention(history=timedelta(hours=1), journal=timedelta(hours=1)),
    record_linger=timedelta(minutes=1),
)
"""The engine's own, but that it arms and records in greater portions, and forgets what has been counted."""

_DONE: Final = AttemptResult(outcome=Outcome.SUCCEEDED, reason=Reason.COMPLETED)
_TIMED_OUT: Final = AttemptResult(outcome=Outcome.FAILED, reason=Reason.TIMEOUT)
_ASKING: Final = Asking(actor="forecast")


class TooManyFiresError(Exception):
    """The forecast would be of more than FIRES_MAX fires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be foreseen: schedules and calendars as a client would send them, from `start_us` on for `span`.

    Each run of a schedule takes as long as `durations` has for its resource name, or else `duration`.
    """

    schedules: Sequence[Schedule]
    calendars: Sequence[Calendar] = ()
    start_us: int
    span: timedelta
    duration: timedelta
    durations: Mapping[str, timedelta] = field(default_factory=dict)
    holidays: Holidays | None = None

    @property
    def end_us(self) -> int:
        """What is due then is not foreseen any more."""
        return self.start_us + self.span // timedelta(microseconds=1)


def _longs() -> array[int]:
    return array("q")


@dataclass(slots=True, kw_only=True)
class Runs:
    """A schedule's runs: when each attempt began and ended, in UTC microseconds, in the order of their beginnings.

    `fires` is how many executions ran, `skipped` how many did not; `timed_out` attempts would have taken longer than they may.
    `latest_us` is how long after its due time the latest of all began.
    """

    name: str
    begins_us: array[int] = field(default_factory=_longs)
    ends_us: array[int] = field(default_factory=_longs)
    fires: int = 0
    skipped: int = 0
    timed_out: int = 0
    latest_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is foreseen: the runs of every schedule, in the question's order, from `start_us` to `end_us`."""

    start_us: int
    end_us: int
    schedules: tuple[Runs, ...]


def foresee(question: Question) -> Forecast:
    """Run the schedules through the engine.

    Raises: InvalidError naming `requests[i].schedule.…` or `calendars[i].…`; TooManyFiresError.
    """
    with _silence(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(_Foreseeing(question, loop).foresee())


@contextmanager
def _silence() -> Iterator[None]:
    """What an engine logs about itself is not what was asked for."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


class _Foreseeing:
    """One forecast in the making."""

    def __init__(self, question: Question, loop: VirtualLoop) -> None:
        self._question = question
        self._clock = VirtualClock(loop, question.start_us)
        self._runs = {message.name: Runs(name=message.name) for message in question.schedules}

    async def foresee(self) -> Forecast:
        question = self._question
        database = MemoryDatabase()
        store = database.store()
        target = _Supposed(self._clock, question, self._runs)
        ids = TimeIds(self._clock)
        engine = Engine(
            store=store,
            clock=self._clock,
            ids=ids,
            targets={HttpTarget: target, ProcessTarget: target},
            settings=_SETTINGS,
            holidays=question.holidays,
            draw=random.Random(0),
        )
        engine.listen(self._hear)
        await engine.recover()
        await self._create(
            CalendarUseCases(store=store, engine=engine, clock=self._clock, ids=ids),
            Schedules(store=store, engine=engine, clock=self._clock, ids=ids),
        )
        await self._let_pass(engine, target)
        database.close()
        return Forecast(start_us=question.start_us, end_us=question.end_us, schedules=tuple(self._runs.values()))

    async def _let_pass(self, engine: Engine, target: _Supposed) -> None:
        loop = asyncio.get_running_loop()
        agents, overrun = loop.create_task(engine.run()), loop.create_task(target.overrun.wait())
        await asyncio.wait((agents, overrun), timeout=self._question.span.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        if agents.done():
            await agents
        agents.cancel()
        overrun.cancel()
        await asyncio.gather(agents, overrun, return_exceptions=True)
        if target.overrun.is_set():
            raise TooManyFiresError

    async def _create(self, calendars: CalendarUseCases, schedules: Schedules) -> None:
        for index, message in enumerate(self._question.calendars):
            try:
                await calendars.create(calendar_of(message, calendar_name(message.name)), _ASKING)
            except InvalidError as error:
                raise InvalidError(tuple(violation.within(f"calendars[{index}]") for violation in error.violations)) from error
        now_us = self._clock.now_us()
        drafts = [read_named_draft(message, schedule_name(message.name), now_us) for message in self._question.schedules]
        refuse_faults(((f"requests[{index}]", draft) for index, draft in enumerate(drafts)), now_us, schedules.calendars)
        for first in range(0, len(drafts), BATCH_MAX):
            await schedules.create_many([draft.schedule for draft in drafts[first : first + BATCH_MAX]], _ASKING)

    def _hear(self, entries: Sequence[JournalEntry]) -> None:
        for entry in entries:
            if entry.kind is JournalKind.EXECUTION_FINISHED and entry.outcome is Outcome.SKIPPED:
                self._runs[str(entry.schedule)].skipped += 1


def _notifies(message: Schedule) -> bool:
    policies = message.policies
    return any(follow_up.HasField("notify") for follow_up in (*policies.on_success, *policies.on_failure))


class _Supposed:
    """A target that does nothing, for as long as it is supposed to."""

    def __init__(self, clock: VirtualClock, question: Question, runs: Mapping[str, Runs]) -> None:
        self._clock = clock
        self._question = question
        self._runs = runs
        self._fires = 0
        self._notifying = {message.name for message in question.schedules if _notifies(message)}
        self._made: set[tuple[int, int]] = set()
        self.overrun = asyncio.Event()

    async def deliver(self, request: DeliveryRequest) -> AttemptResult:
        """Note the run, and let its time pass; notices and the commands of conditions are no runs, and take none."""
        name = str(request.schedule)
        if self._is_beside(request, name):
            return _DONE
        takes = self._question.durations.get(name, self._question.duration)
        in_time = request.timeout is None or takes <= request.timeout
        takes = takes if request.timeout is None else min(takes, request.timeout)
        now_us = self._clock.now_us()
        if now_us < self._question.end_us:
            self._note(request, now_us, takes, in_time=in_time)
        await self._clock.sleep(takes)
        return _DONE if in_time else _TIMED_OUT

    def _is_beside(self, request: DeliveryRequest, name: str) -> bool:
        """Whether this is no attempt of an execution: a condition is asked before the first, a notice has the number of the last."""
        if request.attempt == 0:
            return True
        if name not in self._notifying:
            return False
        number = (request.execution_id, request.attempt)
        if number in self._made:
            return True
        self._made.add(number)
        return False

    def _note(self, request: DeliveryRequest, now_us: int, takes: timedelta, *, in_time: bool) -> None:
        runs = self._runs[str(request.schedule)]
        runs.begins_us.append(now_us)
        runs.ends_us.append(now_us + takes // timedelta(microseconds=1))
        runs.timed_out += not in_time
        if request.attempt == 1:
            runs.fires += 1
            runs.latest_us = max(runs.latest_us, now_us - request.due_us)
        self._fires += 1
        if self._fires > FIRES_MAX:
            self.overrun.set()

    def rendered(self, request: DeliveryRequest) -> Rendering | None:
        """Nothing is sent."""
        return None

    def force(self, execution_id: int) -> None:
        """Nothing is there to be ended."""

    async def aclose(self) -> None:
        """Nothing is held."""
