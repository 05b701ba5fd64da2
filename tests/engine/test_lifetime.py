"""The life of a schedule: it ends after so many runs, and is paused after so many failures in a row."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import AfterLastRun, CatchUp, CatchUpMode, Delivery, Overlap, Policies, Retry
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.service.asking import Asking
from tests.engine.rig import BROKEN, DONE, SECOND, START_US, HandClock, Rig, running

ONCE = Retry(max_attempts=1)


async def stands(rig: Rig, schedule: Schedule) -> Schedule:
    return await rig.schedules.readable(schedule.name)


@pytest.mark.parametrize(
    ("after", "state", "kind"),
    [
        (AfterLastRun.KEEP, ScheduleState.COMPLETED, JournalKind.SCHEDULE_COMPLETED),
        (AfterLastRun.DELETE, ScheduleState.DELETED, JournalKind.SCHEDULE_DELETED),
    ],
)
async def test_schedule_with_max_runs_ends_after_the_last(
    tmp_path: Path, after: AfterLastRun, state: ScheduleState, kind: JournalKind
) -> None:
    async with running(tmp_path / "db") as rig:
        schedule = await rig.create(policies=Policies(max_runs=2, after_last_run=after))
        await rig.run_until(600)
        assert rig.target.nominal_s() == [60, 120]
        assert (await stands(rig, schedule)).state is state
        assert [entry.reason for entry in await rig.journal(kind)] == [Reason.MAX_RUNS]


async def test_max_runs_are_counted_over_a_crash(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        schedule = await rig.create(policies=Policies(max_runs=3))
        await rig.run_until(125)
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(600)
        assert rig.target.nominal_s() == [180]
        assert (await rig.schedules.get(schedule.name)).run_count == 3


async def test_schedule_whose_last_run_a_crash_cut_off_is_completed_at_the_next_start(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.target.hold = asyncio.Event()
        schedule = await rig.create(policies=Policies(max_runs=1, delivery=Delivery.AT_MOST_ONCE))
        await rig.run_until(61)
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(62)
        assert (await stands(rig, schedule)).state is ScheduleState.COMPLETED
        (entry,) = await rig.journal(JournalKind.SCHEDULE_COMPLETED)
        assert entry.reason is Reason.MAX_RUNS


async def test_manual_and_skipped_ones_do_not_count_as_runs(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        schedule = await rig.create(policies=Policies(max_runs=2, overlap=Overlap.SKIP))
        await rig.run_until(190)
        rig.target.hold.set()
        await rig.schedules.trigger(schedule.name, Asking(actor="ann"))
        await rig.run_until(600)
        view = await rig.schedules.get(schedule.name)
        assert (view.run_count, view.schedule.state) == (2, ScheduleState.COMPLETED)
        assert rig.target.nominal_s() == [60, 190, 240]


async def test_occurrence_while_the_last_run_is_unfinished_is_skipped_for_the_limit(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await rig.create(policies=Policies(max_runs=1, overlap=Overlap.ALLOW_ALL))
        await rig.run_until(130)
        assert rig.target.nominal_s() == [60]
        (entry,) = await rig.journal(JournalKind.OCCURRENCES_MISSED, JournalKind.OCCURRENCES_SKIPPED)
        assert (entry.kind, entry.outcome, entry.reason) == (JournalKind.OCCURRENCES_SKIPPED, Outcome.SKIPPED, Reason.MAX_RUNS)


async def test_what_the_limit_leaves_out_is_told_without_what_catch_up_left_out_between(tmp_path: Path) -> None:
    """The earliest misfire and the one on time are beyond the limit; those between them stand for nothing."""
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.target.hold = asyncio.Event()
        earliest = CatchUp(mode=CatchUpMode.EARLIEST, window=timedelta(hours=1))
        await rig.create(policies=Policies(max_runs=1, overlap=Overlap.ALLOW_ALL, catch_up=earliest))
        await rig.run_until(70)
        clock.suspend(230 * SECOND)
        await rig.settle()
        told = await rig.journal(JournalKind.OCCURRENCES_MISSED, JournalKind.OCCURRENCES_SKIPPED)
    ranges = sorted((int(entry.evidence["first_us"]) - START_US, int(entry.evidence["last_us"]) - START_US, entry.reason) for entry in told)
    assert [(first // SECOND, last // SECOND, reason) for first, last, reason in ranges] == [
        (120, 120, Reason.MAX_RUNS),
        (180, 240, Reason.CATCH_UP_SUPERSEDED),
        (300, 300, Reason.MAX_RUNS),
    ]


async def test_failures_in_a_row_pause_the_schedule(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.answers = [BROKEN, DONE, BROKEN, BROKEN]
        schedule = await rig.create(policies=Policies(pause_after_failures=2, retry=ONCE))
        await rig.run_until(600)
        found = await stands(rig, schedule)
        assert rig.target.nominal_s() == [60, 120, 180, 240]
        assert found.pause is not None
        assert (found.state, found.pause.actor) == (ScheduleState.PAUSED, "schedd")
        (entry,) = await rig.journal(JournalKind.SCHEDULE_PAUSED)
        assert entry.reason is Reason.CONSECUTIVE_FAILURES


async def test_failures_are_counted_over_a_crash_and_anew_after_a_resumption(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.target.answers = [BROKEN]
        schedule = await rig.create(policies=Policies(pause_after_failures=2, retry=ONCE))
        await rig.run_until(65)
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.target.answers = [BROKEN, BROKEN]
        await rig.run_until(130)
        assert (await stands(rig, schedule)).state is ScheduleState.PAUSED
        await rig.pauses.resume(schedule.name, Asking(actor="ann"))
        await rig.run_until(190)
        assert (await stands(rig, schedule)).state is ScheduleState.ENABLED


async def test_run_that_a_restart_cancels_since_its_schedule_is_deleted_counts(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.target.hold = asyncio.Event()
        rig.target.answers = [BROKEN]
        schedule = await rig.create(policies=Policies(max_runs=2))
        await rig.run_until(61)
        await rig.schedules.delete(schedule.name, Asking(actor="ann"))
        rig.target.hold.set()
        await rig.settle()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.settle()
        assert rig.engine.endings.ran(schedule.uid) == 1
