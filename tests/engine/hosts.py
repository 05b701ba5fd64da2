"""A target of many hosts, each of which answers in its own way, and what tests of limits ask of a rig."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from schedd.core.model.execution import AttemptResult, DeliveryRequest, Execution, ExecutionState
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import HttpTarget
from tests.engine.rig import DONE, HandTarget, Rig

Told = tuple[str, ExecutionState, Outcome | None, Reason]


@dataclass
class Hosts(HandTarget):
    """Answers by URL: `hung` ones not before `let_go`, the others with what `says` has for them, or DONE."""

    hung: set[str] = field(default_factory=set)
    says: dict[str, AttemptResult] = field(default_factory=dict)
    going: asyncio.Event = field(default_factory=asyncio.Event)

    async def deliver(self, request: DeliveryRequest) -> AttemptResult:
        self.requests.append((self.clock.now_us(), request))
        assert isinstance(request.target, HttpTarget)
        url = request.target.url
        if url in self.hung:
            await self.going.wait()
        return self.says.get(url, DONE)

    def let_go(self) -> None:
        """Answer all calls that hang now."""
        going, self.going = self.going, asyncio.Event()
        going.set()

    def called(self) -> list[str]:
        """The schedules that were delivered, in order."""
        return [request.schedule.schedule for _, request in self.requests]


async def executions(rig: Rig) -> list[Execution]:
    """All executions, in the order of arming."""
    return list((await rig.store.find_executions((), Order(field="execution"), PageRequest(size=1000))).items)


async def told(rig: Rig) -> list[Told]:
    """What the store says of each execution, by schedule."""
    return sorted((run.schedule.schedule, run.state, run.outcome, run.reason) for run in await executions(rig))


async def queued(rig: Rig) -> list[JournalEntry]:
    """The journal's entries about executions that wait."""
    return await rig.journal(JournalKind.EXECUTION_QUEUED)
