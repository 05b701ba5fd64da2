"""Each overlap policy in each situation: what becomes of an occurrence while an earlier execution of its schedule is unfinished."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from schedd.core.model.execution import Execution, ExecutionState
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import CatchUpMode, Overlap, Policies, Retry
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.service.asking import Asking
from tests.engine.rig import BROKEN, SECOND, HandClock, HandTarget, Rig, running

ANN = Asking(actor="ann")
Standing = tuple[ExecutionState, Outcome | None, Reason]
RUNS: Standing = (ExecutionState.RUNNING, None, Reason.NONE)
WAITS: Standing = (ExecutionState.QUEUED, None, Reason.OVERLAP)
SKIPPED: Standing = (ExecutionState.FINISHED, Outcome.SKIPPED, Reason.OVERLAP)
NO_ROOM: Standing = (ExecutionState.FINISHED, Outcome.SKIPPED, Reason.BUFFER_FULL)
ENDED: Standing = (ExecutionState.FINISHED, Outcome.CANCELLED, Reason.OVERLAP_CANCELLED)

MET_LATE = [
    (Overlap.SKIP, [RUNS, SKIPPED]),
    (Overlap.BUFFER_ONE, [RUNS, WAITS]),
    (Overlap.BUFFER_ALL, [RUNS, WAITS]),
    (Overlap.CANCEL_OTHER, [RUNS, WAITS]),
    (Overlap.TERMINATE_OTHER, [RUNS, WAITS]),
    (Overlap.ALLOW_ALL, [RUNS, RUNS]),
]
"""What is met late runs in the background: it ends nothing that is on time, and is skipped for it only by SKIP."""


async def stand(rig: Rig) -> list[Standing]:
    """The standings of the executions, by nominal time."""
    found = await rig.store.find_executions((), Order(field="nominal_time"), PageRequest(size=100))
    executions: list[Execution] = list(found.items)
    return [(run.state, run.outcome, run.reason) for run in executions]


async def minutely(rig: Rig, overlap: Overlap) -> None:
    """One whose executions hang."""
    rig.target.hold = asyncio.Event()
    await rig.create("rate(1 minute)", policies=Policies(overlap=overlap, retry=Retry(max_attempts=2)))


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        (Overlap.SKIP, [RUNS, SKIPPED]),
        (Overlap.BUFFER_ONE, [RUNS, WAITS]),
        (Overlap.BUFFER_ALL, [RUNS, WAITS]),
        (Overlap.CANCEL_OTHER, [ENDED, RUNS]),
        (Overlap.TERMINATE_OTHER, [ENDED, RUNS]),
        (Overlap.ALLOW_ALL, [RUNS, RUNS]),
    ],
)
async def test_occurrence_on_time_while_an_earlier_one_runs(tmp_path: Path, overlap: Overlap, expected: list[Standing]) -> None:
    async with running(tmp_path / "db") as rig:
        await minutely(rig, overlap)
        await rig.run_until(121)
        assert await stand(rig) == expected


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        (Overlap.SKIP, [RUNS, SKIPPED, SKIPPED]),
        (Overlap.BUFFER_ONE, [RUNS, WAITS, NO_ROOM]),
        (Overlap.BUFFER_ALL, [RUNS, WAITS, WAITS]),
        (Overlap.CANCEL_OTHER, [ENDED, ENDED, RUNS]),
        (Overlap.TERMINATE_OTHER, [ENDED, ENDED, RUNS]),
        (Overlap.ALLOW_ALL, [RUNS, RUNS, RUNS]),
    ],
)
async def test_occurrence_on_time_while_others_run_and_wait(tmp_path: Path, overlap: Overlap, expected: list[Standing]) -> None:
    async with running(tmp_path / "db") as rig:
        await minutely(rig, overlap)
        await rig.run_until(181)
        assert await stand(rig) == expected


@pytest.mark.parametrize(("overlap", "expected"), MET_LATE)
async def test_occurrence_met_after_a_crash_while_an_earlier_one_is_made_again(
    tmp_path: Path, overlap: Overlap, expected: list[Standing]
) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await minutely(rig, overlap)
        await rig.run_until(61)
    clock.move(64 * SECOND)
    async with running(tmp_path / "db", clock=clock, target=HandTarget(clock, hold=asyncio.Event())) as rig:
        await rig.run_until(127)
        assert await stand(rig) == expected


@pytest.mark.parametrize("jump", [HandClock.step, HandClock.suspend])
@pytest.mark.parametrize(("overlap", "expected"), MET_LATE)
async def test_occurrence_that_a_jump_of_the_clock_makes_late_while_an_earlier_one_runs(
    tmp_path: Path, overlap: Overlap, expected: list[Standing], jump: Callable[[HandClock, int], None]
) -> None:
    async with running(tmp_path / "db") as rig:
        await minutely(rig, overlap)
        await rig.run_until(70)
        jump(rig.clock, 55 * SECOND)
        await rig.run_until(127)
        assert await stand(rig) == expected


@pytest.mark.parametrize("overlap", Overlap)
async def test_occurrence_that_a_pause_held_back_while_an_earlier_one_runs(tmp_path: Path, overlap: Overlap) -> None:
    async with running(tmp_path / "db") as rig:
        await minutely(rig, overlap)
        await rig.run_until(61)
        (run,) = rig.engine.runs
        await rig.pauses.pause(run.execution.schedule, ANN)
        await rig.run_until(130)
        await rig.pauses.resume(run.execution.schedule, ANN, backlog=CatchUpMode.ALL)
        await rig.run_until(131)
        assert await stand(rig) == [RUNS, RUNS if overlap is Overlap.ALLOW_ALL else WAITS]


@pytest.mark.parametrize("overlap", Overlap)
async def test_occurrence_that_a_pause_held_back_and_no_backlog_asks_for(tmp_path: Path, overlap: Overlap) -> None:
    async with running(tmp_path / "db") as rig:
        await minutely(rig, overlap)
        await rig.run_until(61)
        (run,) = rig.engine.runs
        await rig.pauses.pause(run.execution.schedule, ANN)
        await rig.run_until(130)
        await rig.pauses.resume(run.execution.schedule, ANN)
        await rig.run_until(131)
        assert await stand(rig) == [RUNS]
        (range_,) = await rig.journal(JournalKind.OCCURRENCES_SKIPPED)
        assert (range_.outcome, range_.reason, range_.evidence["count"]) == (Outcome.SKIPPED, Reason.PAUSED, 1)


@pytest.mark.parametrize("overlap", [Overlap.BUFFER_ONE, Overlap.BUFFER_ALL])
async def test_buffered_one_runs_although_its_schedule_is_paused_meanwhile(tmp_path: Path, overlap: Overlap) -> None:
    async with running(tmp_path / "db") as rig:
        await minutely(rig, overlap)
        await rig.run_until(121)
        hold, rig.target.hold = rig.target.hold, None
        assert hold is not None
        await rig.pauses.pause(next(iter(rig.engine.runs)).execution.schedule, ANN)
        hold.set()
        await rig.run_until(200)
        assert [end[1:] for end in await stand(rig)] == [(Outcome.SUCCEEDED, Reason.COMPLETED)] * 2


async def test_retry_is_made_although_its_schedule_is_paused_meanwhile(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.answers = [BROKEN]
        job = await rig.create("rate(1 minute)")
        await rig.run_until(61)
        await rig.pauses.pause(job.name, ANN)
        await rig.run_until(200)
        assert [request.attempt for _, request in rig.target.requests] == [1, 2]
        assert [end[1:] for end in await stand(rig)] == [(Outcome.SUCCEEDED, Reason.COMPLETED)]
