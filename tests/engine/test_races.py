"""What happens between two steps: a caller that leaves, a change while the planner arms, an end of the daemon right after a commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from schedd.core.model.backfill import BackfillState
from schedd.core.model.execution import Cause
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import CatchUp, CatchUpMode, Overlap, Policies, Retry
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.engine.engine import EngineSettings
from schedd.engine.limits import AttemptLimits
from schedd.engine.planner import Pace
from schedd.service.asking import Asking
from schedd.service.backfills import BackfillDraft
from tests.engine.rig import BROKEN, SECOND, START_US, HandClock, Rig, running

ANN = Asking(actor="ann")


@contextmanager
def nobody_can_write(path: Path) -> Iterator[None]:
    """Another program holds SQLite's lock: what is to be written waits, and reads go on."""
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


def as_it_is(path: Path) -> Path:
    """What the next daemon would find if this one were killed now."""
    copy = path.with_name("copy")
    with sqlite3.connect(path) as here, sqlite3.connect(copy) as there:
        here.backup(there)
    here.close()
    there.close()
    return copy


async def hand_in(rig: Rig) -> None:
    """Let everybody come as far as the store, which may not write now."""
    for _ in range(8):
        await rig.store.planned_through_us()
        await asyncio.sleep(0)


async def left(rig: Rig, call: asyncio.Task[object]) -> None:
    """The caller leaves while its change is being committed."""
    await hand_in(rig)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def described(schedule: Schedule) -> Schedule:
    return replace(schedule, description="other")


async def test_creation_whose_caller_leaves_meanwhile_fires_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create("rate(1 hour)", name="first")
        with nobody_can_write(tmp_path / "db"):
            await left(rig, asyncio.ensure_future(rig.create("rate(1 minute)")))
        await rig.run_until(130)
        assert rig.target.nominal_s() == [60, 120]


async def test_pause_whose_caller_leaves_meanwhile_holds_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 minute)")
        with nobody_can_write(tmp_path / "db"):
            await left(rig, asyncio.ensure_future(rig.pauses.pause(job.name, ANN)))
        await rig.run_until(130)
        assert rig.target.nominal_s() == []


async def test_trigger_whose_caller_leaves_meanwhile_runs_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 hour)")
        with nobody_can_write(tmp_path / "db"):
            await left(rig, asyncio.ensure_future(rig.schedules.trigger(job.name, ANN)))
        await rig.settle()
        assert [request.cause for _, request in rig.target.requests] == [Cause.MANUAL]


async def test_backfill_whose_caller_leaves_meanwhile_runs_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("0 * * * *")
        three_hours = BackfillDraft(start_us=START_US - 3 * 3600 * SECOND, end_us=START_US, overlap=Overlap.ALLOW_ALL, rate_per_second=10)
        with nobody_can_write(tmp_path / "db"):
            await left(rig, asyncio.ensure_future(rig.backfills.start(job.name, three_hours, ANN)))
        await rig.run_until(3)
        assert rig.target.nominal_s() == [-10800, -7200, -3600]


async def test_cancellation_of_a_backfill_whose_caller_leaves_meanwhile_ends_it_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("0 * * * *")
        day = BackfillDraft(start_us=START_US - 24 * 3600 * SECOND, end_us=START_US, overlap=Overlap.ALLOW_ALL, rate_per_second=1)
        made = await rig.backfills.start(job.name, day, ANN)
        await rig.run_until(3)
        ran = len(rig.target.requests)
        with nobody_can_write(tmp_path / "db"):
            await left(rig, asyncio.ensure_future(rig.backfills.cancel(job.name, made.id, actor="ann")))
        await rig.run_until(30)
        assert len(rig.target.requests) <= ran + 1
        assert (await rig.backfills.get(job.name, made.id)).state is BackfillState.CANCELLED


async def test_pause_while_the_planner_arms_lets_nothing_of_it_fire(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 minute)")
        await rig.run_until(59.4)
        with nobody_can_write(tmp_path / "db"):
            rig.clock.move(200_000)
            await hand_in(rig)
            pausing = asyncio.ensure_future(rig.pauses.pause(job.name, ANN))
            await hand_in(rig)
        await pausing
        await rig.run_until(130)
        assert rig.target.nominal_s() == []


async def test_update_while_the_planner_arms_fires_the_new_definition_once(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 minute)")
        await rig.run_until(59.4)
        with nobody_can_write(tmp_path / "db"):
            rig.clock.move(200_000)
            await hand_in(rig)
            changing = asyncio.ensure_future(rig.schedules.update(job.name, lambda stored: replace(stored, labels={"is": "new"}), ANN))
            await hand_in(rig)
        await changing
        await rig.run_until(130)
        assert [(request.nominal_us - START_US, request.labels) for _, request in rig.target.requests] == [
            (60 * SECOND, {"is": "new"}),
            (120 * SECOND, {"is": "new"}),
        ]


async def test_backlog_of_a_pause_is_caught_up_after_an_end_right_after_the_resumption(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.create("rate(1 minute)", name="other")
        job = await rig.create("rate(1 hour)", policies=Policies(catch_up=CatchUp(mode=CatchUpMode.LATEST)))
        await rig.pauses.pause(job.name, ANN)
        await rig.run_until(5430)
        await rig.pauses.resume(job.name, ANN, backlog=CatchUpMode.LATEST)
        copy = as_it_is(tmp_path / "db")
    async with running(copy, clock=clock) as rig:
        await rig.run_until(5440)
        assert [request.nominal_us - START_US for _, request in rig.target.requests if request.schedule == job.name] == [3600 * SECOND]


BUSY = EngineSettings(limits=AttemptLimits(running=1))


async def one_waits_for_the_slot(rig: Rig, *, manual: bool) -> Schedule:
    """Everything is taken by a run that hangs; another one is due, and nothing but its arming is stored."""
    rig.target.hold = asyncio.Event()
    hog = await rig.create("rate(1 hour)", name="hog")
    job = await rig.create("rate(1 minute)")
    await rig.schedules.trigger(hog.name, ANN)
    await rig.run_until(59.9)
    if manual:
        await rig.schedules.trigger(job.name, ANN)
    else:
        await rig.run_until(60)
    return await rig.schedules.update(job.name, described, ANN)


@pytest.mark.parametrize(("manual", "expected"), [(True, [59.9, 60]), (False, [60])])
async def test_run_that_waited_while_its_schedule_changed_is_made_after_a_restart(
    tmp_path: Path, manual: bool, expected: list[float]
) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, settings=BUSY) as rig:
        job = await one_waits_for_the_slot(rig, manual=manual)
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(61)
        assert (
            sorted((request.nominal_us - START_US) / SECOND for _, request in rig.target.requests if request.schedule == job.name)
            == expected
        )


async def test_deleted_schedules_retry_is_not_made_after_an_end_right_after_the_deletion(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.target.answers = [BROKEN]
        job = await rig.create("rate(1 minute)")
        await rig.run_until(61)
        await rig.schedules.delete(job.name, ANN)
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(90)
        assert rig.target.requests == []
        (entry,) = await rig.journal(JournalKind.EXECUTION_FINISHED)
        assert entry.reason is Reason.DELETED


async def test_attempt_cut_off_after_its_schedules_deletion_is_not_made_again(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.target.hold = asyncio.Event()
        job = await rig.create("rate(1 minute)")
        await rig.run_until(61)
        await rig.schedules.delete(job.name, ANN)
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(90)
        assert rig.target.requests == []
        (entry,) = await rig.journal(JournalKind.EXECUTION_FINISHED)
        assert (entry.outcome, entry.reason) == (Outcome.CANCELLED, Reason.DELETED)


async def test_attempt_that_fails_after_its_schedules_deletion_is_the_last(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.answers, rig.target.hold = [BROKEN], asyncio.Event()
        job = await rig.create("rate(1 minute)")
        await rig.run_until(61)
        await rig.schedules.delete(job.name, ANN)
        rig.target.hold.set()
        await rig.run_until(600)
        assert len(rig.target.requests) == 1
        (entry,) = await rig.journal(JournalKind.EXECUTION_FINISHED)
        assert (entry.outcome, entry.reason) == (Outcome.FAILED, BROKEN.reason)


async def test_runs_that_wait_for_a_retry_keep_no_other_schedule_from_firing(tmp_path: Path) -> None:
    settings = EngineSettings(pace=Pace(runs_in_memory=3))
    async with running(tmp_path / "db", settings=settings) as rig:
        rig.target.answers = [BROKEN] * 4
        patient = Policies(retry=Retry(min_backoff=timedelta(hours=1), max_backoff=timedelta(hours=1), jitter=0))
        for index in range(4):
            await rig.create("rate(1 minute)", name=f"broken{index}", policies=patient)
        await rig.run_until(61)
        await rig.create("rate(1 minute)", name="live")
        await rig.run_until(130)
        assert [str(request.schedule) for _, request in rig.target.requests][4:] == ["groups/default/schedules/live"]


async def test_retries_that_were_cancelled_take_no_room_from_other_schedules(tmp_path: Path) -> None:
    async with running(tmp_path / "db", settings=EngineSettings(pace=Pace(runs_ahead=3))) as rig:
        rig.target.answers = [BROKEN] * 4
        patient = Policies(retry=Retry(min_backoff=timedelta(hours=1), max_backoff=timedelta(hours=1), jitter=0))
        broken = [await rig.create("rate(1 minute)", name=f"broken{index}", policies=patient) for index in range(4)]
        await rig.run_until(61)
        for schedule in broken:
            await rig.schedules.delete(schedule.name, ANN)
        await rig.create("rate(1 minute)", name="live")
        await rig.run_until(130)
        assert [str(request.schedule) for _, request in rig.target.requests][4:] == ["groups/default/schedules/live"]


async def test_pause_that_ends_on_a_rule_that_cannot_be_compiled_disables_its_schedule_alone(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create("rate(1 minute)", name="other")
        job = await rig.create("rate(7 minutes)")
        await rig.pauses.pause(job.name, ANN, until_us=START_US + 100 * SECOND)
        with sqlite3.connect(tmp_path / "db") as other:
            other.execute("UPDATE schedules SET when_json = replace(when_json, 'rate(7 minutes)', 'rate(7 fortnights)')")
        other.close()
        await rig.run_until(130)
        assert rig.target.nominal_s() == [60, 120]
        stored = await rig.store.schedule(job.name)
        assert stored.state is ScheduleState.DISABLED
        assert "a rate is a whole number" in stored.state_reason


async def test_stored_rule_that_cannot_be_compiled_disables_its_schedule_alone_at_the_next_start(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.create("rate(1 minute)", name="other")
        job = await rig.create("rate(7 minutes)")
    with sqlite3.connect(tmp_path / "db") as other:
        other.execute("UPDATE schedules SET when_json = replace(when_json, 'rate(7 minutes)', 'rate(7 fortnights)')")
        other.execute("UPDATE timers SET next_us = 1 WHERE row = ?", (job.row,))
    other.close()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(130)
        assert rig.target.nominal_s() == [60, 120]
        stored = await rig.store.schedule(job.name)
        assert stored.state is ScheduleState.DISABLED
        assert "a rate is a whole number" in stored.state_reason
