"""Overlap: what becomes of an occurrence that comes due while earlier executions of its schedule are unfinished."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from schedd.core.model.execution import Execution, ExecutionState
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import Overlap, Policies, Retry
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from tests.engine.rig import BROKEN, SECOND, START_US, HandClock, Rig, running

Told = tuple[int, ExecutionState, Outcome | None, Reason]


async def executions(rig: Rig) -> list[Execution]:
    return list((await rig.store.find_executions((), Order(field="nominal_time"), PageRequest(size=1000))).items)


async def told(rig: Rig) -> list[Told]:
    return [((run.nominal_us - START_US) // SECOND, run.state, run.outcome, run.reason) for run in await executions(rig)]


def minutely(overlap: Overlap) -> Policies:
    return Policies(overlap=overlap, retry=Retry(max_attempts=1))


async def let_go(rig: Rig) -> None:
    assert rig.target.hold is not None
    hold, rig.target.hold = rig.target.hold, asyncio.Event()
    hold.set()
    await rig.settle()


DONE = (ExecutionState.FINISHED, Outcome.SUCCEEDED, Reason.COMPLETED)
UNDER_WAY = (ExecutionState.RUNNING, None, Reason.NONE)
WAITS = (ExecutionState.QUEUED, None, Reason.OVERLAP)
FULL = (ExecutionState.FINISHED, Outcome.SKIPPED, Reason.BUFFER_FULL)
PUSHED_OUT = (ExecutionState.FINISHED, Outcome.CANCELLED, Reason.OVERLAP_CANCELLED)


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        (Overlap.SKIP, [(60, *UNDER_WAY)] + [(at, ExecutionState.FINISHED, Outcome.SKIPPED, Reason.OVERLAP) for at in (120, 180, 240)]),
        (Overlap.BUFFER_ONE, [(60, *UNDER_WAY), (120, *WAITS), (180, *FULL), (240, *FULL)]),
        (Overlap.BUFFER_ALL, [(60, *UNDER_WAY), (120, *WAITS), (180, *WAITS), (240, *WAITS)]),
        (Overlap.CANCEL_OTHER, [(60, *PUSHED_OUT), (120, *PUSHED_OUT), (180, *PUSHED_OUT), (240, *UNDER_WAY)]),
        (Overlap.TERMINATE_OTHER, [(60, *PUSHED_OUT), (120, *PUSHED_OUT), (180, *PUSHED_OUT), (240, *UNDER_WAY)]),
        (Overlap.ALLOW_ALL, [(at, *UNDER_WAY) for at in (60, 120, 180, 240)]),
    ],
)
async def test_occurrence_during_an_earlier_one_goes_by_the_policy(tmp_path: Path, overlap: Overlap, expected: list[Told]) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await rig.create("rate(1 minute)", policies=minutely(overlap))
        await rig.run_until(250)
        assert await told(rig) == expected
        assert len(rig.target.forced) == (3 if overlap is Overlap.TERMINATE_OTHER else 0)


async def test_buffered_ones_run_one_after_the_other_in_order(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await rig.create("rate(1 minute)", policies=minutely(Overlap.BUFFER_ALL))
        await rig.run_until(190)
        assert rig.target.nominal_s() == [60]
        await let_go(rig)
        assert await told(rig) == [(60, *DONE), (120, *UNDER_WAY), (180, *WAITS)]
        await let_go(rig)
        assert await told(rig) == [(60, *DONE), (120, *DONE), (180, *UNDER_WAY)]
        assert rig.target.nominal_s() == [60, 120, 180]


async def test_buffered_one_waits_for_the_retries_of_the_earlier(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.answers = [BROKEN]
        policies = Policies(overlap=Overlap.BUFFER_ONE, retry=Retry(max_attempts=2, jitter=0, min_backoff=Retry().max_backoff))
        await rig.create("rate(1 minute)", policies=policies)
        await rig.run_until(130)
        assert (await told(rig))[1] == (120, *WAITS)
        await rig.run_until(365)
        assert rig.target.nominal_s() == [60, 60, 120]


async def test_buffered_one_that_is_cancelled_makes_room(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await rig.create("rate(1 minute)", policies=minutely(Overlap.BUFFER_ONE))
        await rig.run_until(130)
        await rig.engine.cancel((await executions(rig))[1].id, actor="ann")
        await rig.run_until(190)
        assert await told(rig) == [
            (60, *UNDER_WAY),
            (120, ExecutionState.FINISHED, Outcome.CANCELLED, Reason.CANCELLED),
            (180, *WAITS),
        ]


async def test_journal_of_a_buffered_one_names_what_it_waits_for(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await rig.create("rate(1 minute)", policies=minutely(Overlap.BUFFER_ONE))
        await rig.run_until(130)
        (entry,) = await rig.journal(JournalKind.EXECUTION_QUEUED)
        assert (entry.reason, entry.evidence) == (Reason.OVERLAP, {"blocking_execution": (await executions(rig))[0].id})


@pytest.mark.parametrize(("overlap", "waiting"), [(Overlap.BUFFER_ONE, 1), (Overlap.BUFFER_ALL, 2)])
async def test_buffer_is_counted_and_kept_in_order_after_a_restart(tmp_path: Path, overlap: Overlap, waiting: int) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.target.hold = asyncio.Event()
        await rig.create("rate(1 minute)", policies=minutely(overlap))
        await rig.run_until(190)
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.target.hold = asyncio.Event()
        await rig.run_until(250)
        states = [run.state for run in await executions(rig)]
        assert states.count(ExecutionState.RUNNING) == 1
        assert states.count(ExecutionState.QUEUED) == (1 if overlap is Overlap.BUFFER_ONE else 3)
        for _ in range(waiting):
            await let_go(rig)
        assert rig.target.nominal_s() == [60, *[60 * (2 + n) for n in range(waiting)]]


async def test_recovered_execution_that_has_ended_blocks_nothing(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.target.hold = asyncio.Event()
        await rig.create("rate(1 minute)", policies=minutely(Overlap.SKIP))
        await rig.run_until(90)
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(190)
        assert await told(rig) == [(60, *DONE), (120, *DONE), (180, *DONE)]
        assert len(rig.engine.runs) == 0
