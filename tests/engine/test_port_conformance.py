"""The stand-ins of ports keep what their suites ask: the engine's own, for what is not there, and those that the tests build on."""

from __future__ import annotations

import asyncio

import pytest

from schedd.core.model.execution import Survivor
from schedd.core.model.target import ProcessTarget
from schedd.engine.adoption import NoSurvivors
from schedd.engine.almanac import NoHolidays
from tests.conformance.holidays import HolidaysSuite
from tests.conformance.survivors import Subject, SurvivorsSuite
from tests.conformance.target import delivery
from tests.engine.test_adoption import HandSurvivors

REQUEST = delivery(ProcessTarget(argv=("true",)))


class TestHandSurvivors(SurvivorsSuite):
    @pytest.fixture
    def subject(self) -> Subject:
        found = Survivor(REQUEST.execution_id, REQUEST.attempt, 17, 5)
        survivors = HandSurvivors(found=[found])

        async def gone() -> None:
            assert survivors.cancelled or survivors.ended or survivors.discarded

        return Subject(survivors=survivors, request=REQUEST, let_end=survivors.go.set, gone=gone, dies=survivors.go.set)


class TestNoHolidays(HolidaysSuite):
    @pytest.fixture
    def holidays(self) -> NoHolidays:
        return NoHolidays()


async def test_no_survivors_are_found_and_none_can_be_adopted() -> None:
    nobody = NoSurvivors()
    assert await nobody.survivors([(1, 1)]) == ()
    with pytest.raises(LookupError):
        await asyncio.wait_for(nobody.adopt(REQUEST), 1)
