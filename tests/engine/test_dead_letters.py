"""Dead letters: what is kept of an execution that failed for good, and how it is taken up again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from schedd.core.model.execution import ExecutionState
from schedd.core.model.policy import Overlap, Policies, Retry
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.reason import Outcome
from schedd.service.asking import Asking
from tests.engine.rig import BROKEN, HandClock, HandTarget, Rig, running

ONCE = Policies(retry=Retry(max_attempts=1))


async def letters(rig: Rig) -> list[tuple[int, int | None]]:
    found = await rig.store.find_dead_letters((), descending=True, page=PageRequest(size=10))
    return [(letter.execution.attempt, letter.redelivered_us) for letter in found.items]


async def test_redeliver_success_keeps_the_key_goes_on_counting_and_ends_the_dead_letter(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock, answers=[BROKEN])
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        execution = await rig.engine.trigger(await rig.create("@yearly", policies=ONCE), actor="test")
        await rig.settle()
        assert await letters(rig) == [(1, None)]
        await rig.engine.redeliver(execution, actor="test")
        await rig.settle()
        ended = await rig.store.execution(execution.id)
        assert (ended.outcome, ended.attempt, await letters(rig)) == (Outcome.SUCCEEDED, 2, [])
        assert [request.nominal_us for _, request in target.requests] == [execution.nominal_us] * 2


async def test_redelivered_failure_is_retried_by_a_new_series_after_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    policies = Policies(retry=Retry(max_attempts=2, jitter=0))
    async with running(tmp_path / "db", clock=clock, target=HandTarget(clock, answers=[BROKEN] * 3)) as rig:
        execution = await rig.engine.trigger(await rig.create("@yearly", policies=policies), actor="test")
        await rig.run_until(5)
        assert await letters(rig) == [(2, None)]
        await rig.engine.redeliver(execution, actor="test")
        await rig.settle()
        waiting = await rig.store.execution(execution.id)
        assert (waiting.state, waiting.attempt) == (ExecutionState.WAITING_RETRY, 3)
    async with running(tmp_path / "db", clock=clock, target=HandTarget(clock, answers=[BROKEN])) as rig:
        assert (await rig.store.execution(execution.id)).next_attempt_us == waiting.next_attempt_us
        await rig.run_until(9)
        assert (await rig.store.execution(execution.id)).attempt == 3
        await rig.run_until(10)
        ended = await rig.store.execution(execution.id)
        assert (ended.outcome, ended.attempt, ended.attempts_before) == (Outcome.FAILED, 4, 2)
        assert await letters(rig) == [(4, waiting.redelivered_us)]


async def test_redelivery_is_no_further_run_of_a_schedule_with_a_limit(tmp_path: Path) -> None:
    clock = HandClock()
    policies = Policies(retry=Retry(max_attempts=1), max_runs=2)
    async with running(tmp_path / "db", clock=clock, target=HandTarget(clock, answers=[BROKEN])) as rig:
        await rig.create("rate(1 minute)", policies=policies)
        await rig.run_until(60)
        page = await rig.store.find_dead_letters((), descending=True, page=PageRequest(size=10))
        await rig.engine.redeliver(page.items[0].execution, actor="test")
        await rig.run_until(300)
        assert rig.target.nominal_s() == [60, 60, 120]


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.BUFFER_ONE, Overlap.BUFFER_ALL, Overlap.CANCEL_OTHER])
async def test_redelivered_executions_that_were_skipped_are_not_in_their_own_way(tmp_path: Path, overlap: Overlap) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        schedule = await rig.create("rate(1 minute)")
        await rig.run_until(125)
        rig.target.hold.set()
        await rig.schedules.update(schedule.name, lambda before: replace(before, policies=Policies(overlap=overlap)), Asking(actor="test"))
        await rig.settle()
        ran, skipped = (await rig.store.find_executions((), Order(field="execution"), PageRequest(size=10))).items
        assert (ran.outcome, skipped.outcome) == (Outcome.SUCCEEDED, Outcome.SKIPPED)
        await rig.engine.redeliver(skipped, actor="test")
        await rig.settle()
        assert (await rig.store.execution(skipped.id)).outcome is Outcome.SUCCEEDED
