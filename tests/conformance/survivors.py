"""What every implementation of the port `schedd.core.ports.Survivors` has to keep.

A test module subclasses `SurvivorsSuite` and gives it a fixture `subject`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from schedd.core.model.execution import DeliveryRequest, Survivor
from schedd.core.model.reason import Outcome, Reason
from schedd.core.ports import Survivors


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One implementation that finds one survivor: the attempt of `request`, which runs until `let_end` and then succeeds.

    `dies` lets it be gone that was told to end, where the test has to; `gone` returns once nothing of it is left.
    """

    survivors: Survivors
    request: DeliveryRequest
    let_end: Callable[[], None]
    gone: Callable[[], Awaitable[None]]
    dies: Callable[[], None] = lambda: None

    async def found(self) -> Survivor:
        """The survivor."""
        (found,) = await self.survivors.survivors([(self.request.execution_id, self.request.attempt)])
        return found


class SurvivorsSuite:
    """The suite."""

    async def test_survivor_is_told_with_its_attempt_and_age(self, subject: Subject) -> None:
        found = await subject.found()
        assert (found.execution_id, found.attempt) == (subject.request.execution_id, subject.request.attempt)
        assert not found.ended
        assert found.age_us >= 0

    async def test_adoption_waits_for_the_end_and_tells_the_result(self, subject: Subject) -> None:
        await subject.found()
        adopted = asyncio.ensure_future(subject.survivors.adopt(subject.request))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not adopted.done()
        subject.let_end()
        result = await adopted
        assert (result.outcome, result.reason) == (Outcome.SUCCEEDED, Reason.COMPLETED)

    async def test_cancelled_adoption_ends_it_before_it_returns(self, subject: Subject) -> None:
        await subject.found()
        adopted = asyncio.ensure_future(subject.survivors.adopt(subject.request))
        await asyncio.sleep(0)
        adopted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adopted
        await asyncio.wait_for(subject.gone(), 0.5)

    async def test_survivor_that_is_ended_is_adopted_as_interrupted(self, subject: Subject) -> None:
        found = await subject.found()
        subject.survivors.end(found)
        subject.dies()
        result = await subject.survivors.adopt(subject.request)
        assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.INTERRUPTED)
        await asyncio.wait_for(subject.gone(), 0.5)

    async def test_survivor_that_is_discarded_is_ended_and_nobody_can_adopt_it(self, subject: Subject) -> None:
        found = await subject.found()
        subject.survivors.discard(found)
        await subject.gone()
        with pytest.raises(LookupError):
            await subject.survivors.adopt(subject.request)

    async def test_adoption_of_what_was_not_found_is_refused(self, subject: Subject) -> None:
        await subject.found()
        with pytest.raises(LookupError):
            await subject.survivors.adopt(subject.request._replace(attempt=99))
