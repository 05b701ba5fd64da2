"""Steps of the clock, both ways, and suspends: nothing stalls, nothing is run twice, nothing is lost without a row."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from schedd.core.model.batch import Retention
from schedd.core.model.execution import Execution, ExecutionState
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import AfterLastRun, CatchUp, CatchUpMode, Concurrency, Overlap, Policies, Retry
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Pause, Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import AfterCompletion, Cron, When
from schedd.engine.definitions import Definition
from schedd.engine.engine import EngineSettings
from schedd.service.asking import Asking
from tests.engine.rig import BROKEN, SECOND, START_US, HandClock, HandTarget, Rig, running

Jump = Callable[[Rig, float], Awaitable[None]]
K = JournalKind
ANN = Asking(actor="ann")
HOUR = 3600
YEAR = 366 * 24 * HOUR
MINUTELY = "* * * * *"
RARELY = "0 0 1 7 *"
"""Its occurrences play no part: it is triggered by hand."""
SIDE_BY_SIDE = Policies(overlap=Overlap.ALLOW_ALL)
BOTH_WAYS = pytest.mark.parametrize("step_s", [HOUR, -HOUR], ids=["ahead", "back"])


async def executions(rig: Rig) -> list[Execution]:
    return list((await rig.store.find_executions((), Order(field="nominal_time"), PageRequest(size=1000))).items)


async def told(rig: Rig) -> list[tuple[float, Outcome | None, Reason]]:
    return [((run.nominal_us - START_US) / SECOND, run.outcome, run.reason) for run in await executions(rig)]


def started_s(rig: Rig) -> list[float]:
    """When the target was called, by the monotonic clock."""
    return [(at_us - START_US) / SECOND for at_us, _ in rig.target.requests]


async def step(rig: Rig, by_s: float) -> None:
    rig.clock.step(int(by_s * SECOND))
    await rig.settle()


async def suspend(rig: Rig, for_s: float) -> None:
    rig.clock.suspend(int(for_s * SECOND))
    await rig.settle()


async def go_on(rig: Rig, for_s: float) -> None:
    """Let that much time pass, whatever the wall clock says."""
    await rig.run_until((rig.clock.now_us() - START_US) / SECOND + for_s)


async def let_go(rig: Rig) -> None:
    assert rig.target.hold is not None
    hold, rig.target.hold = rig.target.hold, asyncio.Event()
    hold.set()
    await rig.settle()


async def state(rig: Rig, schedule: Schedule) -> ScheduleState:
    return (await rig.store.schedule(schedule.name)).state


# Ahead, and suspends


@pytest.mark.parametrize(
    ("jump", "kind", "reason", "fact"),
    [(step, K.CLOCK_STEPPED, Reason.CLOCK_STEP, "step_us"), (suspend, K.HOST_SUSPENDED, Reason.SUSPEND, "suspended_us")],
)
async def test_jump_ahead_is_caught_up_on_as_downtime_is_and_the_misfires_name_it(
    tmp_path: Path, jump: Jump, kind: JournalKind, reason: Reason, fact: str
) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create(MINUTELY, policies=SIDE_BY_SIDE)
        await rig.run_until(30)
        await jump(rig, 600)
        assert rig.target.nominal_s() == [540, 600]
        (jumped,) = await rig.journal(K.CLOCK_STEPPED, K.HOST_SUSPENDED)
        assert (jumped.kind, jumped.reason, jumped.evidence) == (kind, reason, {fact: 600 * SECOND})
        (missed,) = await rig.journal(K.OCCURRENCES_MISSED)
        assert (missed.reason, missed.evidence[fact], missed.evidence["count"]) == (Reason.CATCH_UP_SUPERSEDED, 600 * SECOND, 8)
        await rig.run_until(665)
        assert rig.target.nominal_s() == [540, 600, 660]


async def test_misfires_of_another_time_do_not_name_the_jump(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.create(MINUTELY, policies=Policies(catch_up=CatchUp(mode=CatchUpMode.NONE)))
        await rig.run_until(30)
        await suspend(rig, 300)
        await rig.pauses.pause(ScheduleName(group="default", schedule="job"), ANN)
        await rig.run_until(900)
        await rig.pauses.resume(ScheduleName(group="default", schedule="job"), ANN)
        clock.move(600 * SECOND)
        await rig.settle()
        first, *others = await rig.journal(K.OCCURRENCES_MISSED)
        assert first.evidence["suspended_us"] == 300 * SECOND
        assert others
        assert all("suspended_us" not in each.evidence for each in others)


@pytest.mark.parametrize("jump", [step, suspend])
async def test_armed_one_that_a_jump_passes_over_goes_by_the_catch_up_policy(tmp_path: Path, jump: Jump) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create(MINUTELY, policies=SIDE_BY_SIDE)
        await rig.run_until(59.7)
        assert [run.state for run in rig.engine.runs] == [ExecutionState.ARMED]
        await jump(rig, 600)
        fact = "step_us" if jump is step else "suspended_us"
        (passed,) = [entry for entry in await rig.journal(K.EXECUTION_FINISHED) if entry.outcome is Outcome.MISSED]
        assert (passed.reason, passed.evidence) == (Reason.CATCH_UP_WINDOW, {fact: 600 * SECOND})
        assert rig.target.nominal_s() == [600]
        assert (await told(rig))[0] == (60, Outcome.MISSED, Reason.CATCH_UP_WINDOW)


async def test_armed_one_within_its_grace_is_run_after_a_jump(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create(MINUTELY)
        await rig.run_until(59.7)
        await step(rig, 25)
        assert rig.target.nominal_s() == [60]


async def test_retry_that_came_due_during_a_suspend_is_made_at_the_wake(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create(RARELY, policies=Policies(retry=Retry(jitter=0)))
        rig.target.answers = [BROKEN]
        await rig.schedules.trigger(job.name, ANN)
        await rig.settle()
        await suspend(rig, 60)
        assert started_s(rig) == [0, 60]


# Both ways: how long


@BOTH_WAYS
async def test_retry_is_as_far_away_after_a_step_as_before(tmp_path: Path, step_s: int) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        job = await rig.create(RARELY, policies=Policies(retry=Retry(jitter=0)))
        target.answers = [BROKEN, BROKEN]
        await rig.run_until(10)
        await rig.schedules.trigger(job.name, ANN)
        await rig.run_until(12)
        await step(rig, step_s)
        await go_on(rig, 2.9)
        assert len(target.requests) == 1
        await go_on(rig, 0.2)
        assert len(target.requests) == 2
    clock.move(SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await go_on(rig, 8.8)
        assert len(target.requests) == 2
        await go_on(rig, 0.2)
        assert len(target.requests) == 3


@BOTH_WAYS
async def test_retry_keeps_its_new_time_over_a_restart(tmp_path: Path, step_s: int) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        job = await rig.create(RARELY, policies=Policies(retry=Retry(jitter=0)))
        target.answers = [BROKEN]
        await rig.schedules.trigger(job.name, ANN)
        await rig.run_until(2)
        await step(rig, step_s)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await go_on(rig, 2.9)
        assert len(target.requests) == 1
        await go_on(rig, 0.2)
        assert len(target.requests) == 2


@BOTH_WAYS
async def test_attempt_under_way_goes_on_and_took_as_long_as_it_took(tmp_path: Path, step_s: int) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        job = await rig.create(RARELY)
        run = await rig.schedules.trigger(job.name, ANN)
        await rig.run_until(10)
        await step(rig, step_s)
        await go_on(rig, 5)
        await let_go(rig)
        (attempt,) = await rig.store.attempts(run.id)
        assert attempt.finished_us - attempt.started_us == 15 * SECOND
        stored = await rig.store.execution(run.id)
        assert stored.started_us is not None
        assert stored.finished_us is not None
        assert (stored.outcome, stored.finished_us - stored.started_us) == (Outcome.SUCCEEDED, 15 * SECOND)


@BOTH_WAYS
async def test_buffered_one_waits_on_over_a_step_and_runs_in_its_turn(tmp_path: Path, step_s: int) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await rig.create(MINUTELY, policies=Policies(overlap=Overlap.BUFFER_ONE, retry=Retry(max_attempts=1)))
        await rig.run_until(130)
        await step(rig, step_s)
        assert rig.target.nominal_s() == [60]
        await let_go(rig)
        assert rig.target.nominal_s() == [60, 120]


@BOTH_WAYS
async def test_wait_for_a_limit_ends_after_the_same_time(tmp_path: Path, step_s: int) -> None:
    policies = Policies(retry=Retry(max_age=timedelta(minutes=10)), concurrency=Concurrency(key="k", limit=1))
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        jobs = [await rig.create(RARELY, name=name, policies=policies) for name in ("one", "two")]
        _, waits = [await rig.schedules.trigger(job.name, ANN) for job in jobs]
        await rig.run_until(10)
        await step(rig, step_s)
        await go_on(rig, 585)
        assert (await rig.store.execution(waits.id)).state is ExecutionState.QUEUED
        await go_on(rig, 10)
        ended = await rig.store.execution(waits.id)
        assert (ended.outcome, ended.reason) == (Outcome.SKIPPED, Reason.CONCURRENCY)


@BOTH_WAYS
async def test_those_that_wait_keep_their_order_over_a_step(tmp_path: Path, step_s: int) -> None:
    policies = Policies(concurrency=Concurrency(key="k", limit=1))
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        jobs = [await rig.create(RARELY, name=name, policies=policies) for name in ("a", "b", "c")]
        for job in jobs[:2]:
            await rig.schedules.trigger(job.name, ANN)
        await rig.run_until(5)
        await step(rig, step_s)
        await rig.schedules.trigger(jobs[2].name, ANN)
        await go_on(rig, 5)
        for _ in range(2):
            await let_go(rig)
        assert [request.schedule.schedule for _, request in rig.target.requests] == ["a", "b", "c"]


@BOTH_WAYS
async def test_delay_after_completion_is_as_long_over_a_step(tmp_path: Path, step_s: int) -> None:
    draft = Schedule(
        name=ScheduleName(group="default", schedule="job"),
        when=When(triggers=(AfterCompletion(delay=timedelta(minutes=1)),)),
        target=HttpTarget(url="http://localhost/"),
    )
    async with running(tmp_path / "db") as rig:
        await rig.schedules.create(draft, ANN)
        await rig.run_until(100)
        assert rig.target.nominal_s() == [60]
        await step(rig, step_s)
        await go_on(rig, 19)
        assert rig.target.nominal_s() == [60]
        await go_on(rig, 2)
        assert rig.target.nominal_s() == [60, 120 + step_s]
        await go_on(rig, 60)
        assert rig.target.nominal_s() == [60, 120 + step_s, 180 + step_s]


async def test_delay_whose_occurrence_was_armed_when_the_clock_was_set_back_is_not_lost(tmp_path: Path) -> None:
    draft = Schedule(
        name=ScheduleName(group="default", schedule="job"),
        when=When(triggers=(AfterCompletion(delay=timedelta(minutes=1)),)),
        target=HttpTarget(url="http://localhost/"),
    )
    async with running(tmp_path / "db") as rig:
        await rig.schedules.create(draft, ANN)
        await rig.run_until(59.8)
        assert [run.state for run in rig.engine.runs] == [ExecutionState.ARMED]
        await step(rig, -HOUR)
        await go_on(rig, 0.3)
        assert rig.target.nominal_s() == [60 - HOUR]


# Both ways: when


@pytest.mark.parametrize(("at_s", "step_s", "ends_after_s"), [(300, 900, 0), (300, -200, 500), (300, 100, 200)])
async def test_pause_ends_when_the_clock_says_so(tmp_path: Path, at_s: int, step_s: int, ends_after_s: int) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create(MINUTELY)
        await rig.pauses.pause(job.name, ANN, until_us=START_US + 600 * SECOND)
        await rig.run_until(at_s)
        await step(rig, step_s)
        if ends_after_s:
            await go_on(rig, ends_after_s - 1)
            assert await state(rig, job) is ScheduleState.PAUSED
        await go_on(rig, 1)
        assert await state(rig, job) is ScheduleState.ENABLED


async def test_instants_that_come_again_are_run_if_they_were_not_and_not_if_they_were(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create(MINUTELY)
        await rig.run_until(130)
        await step(rig, -100)
        (stepped,) = await rig.journal(K.CLOCK_STEPPED)
        assert (stepped.reason, stepped.evidence) == (Reason.CLOCK_STEP, {"step_us": -100 * SECOND})
        await rig.run_until(250)
        assert rig.target.nominal_s() == [60, 120, 180, 240]
        assert all(at_us >= request.nominal_us for at_us, request in rig.target.requests)
        assert await told(rig) == [(at, Outcome.SUCCEEDED, Reason.COMPLETED) for at in (60, 120, 180, 240)]


async def test_what_a_step_ahead_left_out_is_run_when_its_time_comes_after_all(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create(MINUTELY, policies=SIDE_BY_SIDE)
        await rig.run_until(30)
        await step(rig, HOUR)
        assert rig.target.nominal_s() == [HOUR - 60, HOUR]
        await step(rig, -HOUR)
        await rig.run_until(185)
        assert rig.target.nominal_s() == [HOUR - 60, HOUR, 60, 120, 180]
        kinds = [entry.kind for entry in await rig.journal(K.CLOCK_STEPPED, K.OCCURRENCES_MISSED)]
        assert kinds == [K.CLOCK_STEPPED, K.OCCURRENCES_MISSED, K.CLOCK_STEPPED]


async def test_armed_one_is_taken_back_when_the_clock_is_set_back_and_runs_at_its_instant(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create(MINUTELY)
        await rig.run_until(59.7)
        await step(rig, -30)
        (disarmed,) = await rig.journal(K.EXECUTION_DISARMED)
        assert disarmed.reason is Reason.CLOCK_STEP
        assert len(rig.engine.runs) == 0
        await rig.run_until(59.9)
        assert rig.target.requests == []
        await rig.run_until(60)
        assert rig.target.nominal_s() == [60]


async def test_small_step_back_only_makes_things_due_later(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create(MINUTELY)
        await rig.run_until(59.7)
        await step(rig, -0.4)
        await rig.run_until(59.99)
        assert rig.target.requests == []
        await rig.run_until(125)
        assert rig.target.nominal_s() == [60, 120]
        assert await rig.journal(K.CLOCK_STEPPED, K.EXECUTION_DISARMED) == []


async def test_interval_created_while_the_clock_was_ahead_goes_on_at_its_pace(tmp_path: Path) -> None:
    clock = HandClock()
    clock.step(10 * YEAR * SECOND)
    async with running(tmp_path / "db", clock=clock) as rig:
        job = await rig.create("rate(1 minute)")
        await go_on(rig, 90)
        assert rig.target.nominal_s() == [10 * YEAR + 60]
        await step(rig, -10 * YEAR)
        assert (await rig.store.schedule(job.name)).created_us == START_US
        assert (await rig.schedules.get(job.name)).next_us == START_US + 120 * SECOND
        await rig.run_until(185)
        assert rig.target.nominal_s() == [10 * YEAR + 60, 120, 180]


async def test_start_of_the_daemon_is_no_occurrence_again(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create("@reboot")
        await rig.run_until(10)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(100)
        assert len(target.requests) == 1
        await step(rig, -HOUR)
        job = await rig.create("@reboot", name="another")
        assert (await rig.schedules.get(job.name)).next_us is None
        await go_on(rig, 2 * HOUR)
        assert len(target.requests) == 1


async def test_paused_schedule_is_resumed_from_the_new_time_on(tmp_path: Path) -> None:
    clock = HandClock()
    clock.step(10 * YEAR * SECOND)
    async with running(tmp_path / "db", clock=clock) as rig:
        job = await rig.create(MINUTELY)
        await rig.pauses.pause(job.name, ANN)
        await step(rig, -10 * YEAR)
        await rig.run_until(130)
        await rig.pauses.resume(job.name, ANN)
        await rig.run_until(185)
        assert rig.target.nominal_s() == [180]
        (skipped,) = await rig.journal(K.OCCURRENCES_SKIPPED)
        assert (skipped.reason, skipped.evidence["count"]) == (Reason.PAUSED, 2)


async def test_change_under_way_at_a_step_back_does_not_make_its_schedule_wait(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        for name in ("one", "two", "three"):
            await rig.create(MINUTELY, name=name)
        await rig.run_until(30)
        async with asyncio.TaskGroup() as group:
            for name in ("one", "two", "three"):
                group.create_task(rig.pauses.pause(ScheduleName(group="default", schedule=name), ANN))
            group.create_task(rig.schedules.create(_minutely("four"), ANN))
            for _ in range(2):
                await asyncio.sleep(0)
            rig.clock.step(-HOUR * SECOND)
        await rig.settle()
        for name in ("one", "two", "three"):
            await rig.pauses.resume(ScheduleName(group="default", schedule=name), ANN)
        await go_on(rig, 35)
        assert sorted(request.schedule.schedule for _, request in rig.target.requests) == ["four", "one", "three", "two"]


def _minutely(name: str) -> Schedule:
    return Schedule(
        name=ScheduleName(group="default", schedule=name),
        when=When(triggers=(Cron(text=MINUTELY),)),
        target=HttpTarget(url="http://localhost/"),
    )


# A host that starts with its clock in the future


@pytest.mark.parametrize("while_down", [False, True])
async def test_pause_that_a_wrong_clock_had_ended_holds_back_until_its_end(tmp_path: Path, while_down: bool) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        job = await rig.create(MINUTELY)
        await rig.pauses.pause(job.name, ANN, reason="moving house", until_us=START_US + HOUR * SECOND)
        await rig.run_until(5)
        await step(rig, 10 * YEAR)
        assert await state(rig, job) is ScheduleState.ENABLED
        if not while_down:
            await step(rig, -10 * YEAR)
    if while_down:
        clock.step(-10 * YEAR * SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.settle()
        stored = await rig.store.schedule(job.name)
        assert stored.pause == Pause(actor="ann", since_us=START_US, reason="moving house", until_us=START_US + HOUR * SECOND)
        (_, again) = await rig.journal(K.SCHEDULE_PAUSED)
        assert (again.actor, again.reason) == ("schedd", Reason.CLOCK_STEP)
        target.requests.clear()
        await rig.run_until(HOUR + 61)
        assert target.nominal_s() == [HOUR, HOUR + 60]


async def test_pause_that_somebody_ended_while_the_clock_was_ahead_stays_ended(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create(MINUTELY)
        await rig.pauses.pause(job.name, ANN, until_us=START_US + 2 * HOUR * SECOND)
        await rig.run_until(5)
        await step(rig, HOUR)
        await rig.pauses.resume(job.name, ANN)
        await step(rig, -HOUR)
        await rig.run_until(61)
        assert await state(rig, job) is ScheduleState.ENABLED


async def test_pause_of_a_time_that_a_wrong_clock_told_stays_ended(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create(MINUTELY)
        await step(rig, HOUR)
        await rig.pauses.pause(job.name, ANN, until_us=START_US + (HOUR + 90) * SECOND)
        await rig.run_until(HOUR + 100)
        assert await state(rig, job) is ScheduleState.ENABLED
        await step(rig, -HOUR)
        await rig.run_until(161)
        assert await state(rig, job) is ScheduleState.ENABLED


@pytest.mark.parametrize("while_down", [False, True], ids=["set right while running", "set right while down"])
async def test_clock_that_was_years_ahead_leaves_no_schedule_waiting(tmp_path: Path, while_down: bool) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create(MINUTELY, name="minutely")
        await rig.create("rate(1 minute)", name="every-minute")
        await rig.run_until(5)
    clock.step(10 * YEAR * SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create(MINUTELY, name="created-then")
        await go_on(rig, 90)
        if not while_down:
            await step(rig, -10 * YEAR)
    if while_down:
        clock.step(-10 * YEAR * SECOND)
    target.requests.clear()
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(185)
        assert sorted(target.nominal_s()) == [120] * 3 + [180] * 3
        (stepped,) = [entry for entry in await rig.journal(K.CLOCK_STEPPED) if entry.evidence["step_us"] != 10 * YEAR * SECOND]
        assert ("while_down" in stepped.evidence) is while_down


@pytest.mark.parametrize("while_down", [False, True], ids=["set right while running", "set right while down"])
@pytest.mark.parametrize("after_last_run", AfterLastRun)
async def test_single_time_that_a_wrong_clock_had_missed_is_run_after_all(
    tmp_path: Path, while_down: bool, after_last_run: AfterLastRun
) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    policies = Policies(after_last_run=after_last_run)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        job = await rig.create("at(2026-01-01T01:00:00)", policies=policies)
        await rig.run_until(5)
    clock.step(10 * YEAR * SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await go_on(rig, 5)
        ended = ScheduleState.DELETED if after_last_run is AfterLastRun.DELETE else ScheduleState.COMPLETED
        assert await state(rig, job) is ended
        if not while_down:
            await step(rig, -10 * YEAR)
    if while_down:
        clock.step(-10 * YEAR * SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        assert await state(rig, job) is ScheduleState.ENABLED
        assert target.requests == []
        await rig.run_until(HOUR + 5)
        assert target.nominal_s() == [HOUR]
        assert await state(rig, job) is ended


@pytest.mark.parametrize("while_down", [False, True], ids=["while running", "while down"])
async def test_what_ended_rightly_is_not_revived_by_a_step_back(tmp_path: Path, while_down: bool) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        ran = await rig.create("at(2026-01-01T00:01:00)", name="ran")
        limited = await rig.create(MINUTELY, name="limited", policies=Policies(max_runs=1))
        deleted = await rig.create(MINUTELY, name="deleted")
        await rig.run_until(100)
        await rig.schedules.delete(deleted.name, ANN)
        if not while_down:
            await step(rig, -90)
    if while_down:
        clock.step(-90 * SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(200)
        assert [await state(rig, each) for each in (ran, limited, deleted)] == [
            ScheduleState.COMPLETED,
            ScheduleState.COMPLETED,
            ScheduleState.DELETED,
        ]
        assert sorted(target.nominal_s()) == [60, 60, 60]


async def test_unfinished_ones_do_not_wait_for_the_old_time_after_a_step_back_while_down(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        job = await rig.create(RARELY, policies=Policies(retry=Retry(jitter=0)))
        target.answers = [BROKEN]
        retries = await rig.schedules.trigger(job.name, ANN)
        await rig.run_until(1)
        target.hold = asyncio.Event()
        key = Concurrency(key="k", limit=1)
        runs, waits = [await rig.create(RARELY, name=name, policies=Policies(concurrency=key)) for name in ("runs", "waits")]
        cut_off = await rig.schedules.trigger(runs.name, ANN)
        waiting = await rig.schedules.trigger(waits.name, ANN)
        await rig.create(MINUTELY, name="armed")
        await rig.run_until(3)
    clock.step(-HOUR * SECOND)
    target.hold = None
    target.requests.clear()
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await go_on(rig, 4.8)
        assert [request.execution_id for _, request in target.requests] == [cut_off.id, waiting.id]
        await go_on(rig, 0.4)
        assert [request.execution_id for _, request in target.requests] == [cut_off.id, waiting.id, retries.id]
        attempts = await rig.store.attempts(cut_off.id)
        assert all(attempt.finished_us >= attempt.started_us for attempt in attempts)


async def test_armed_one_is_taken_back_after_a_step_back_while_down(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.create(MINUTELY)
        await rig.run_until(59.7)
    clock.step(-30 * SECOND)
    async with running(tmp_path / "db", clock=clock) as rig:
        (disarmed,) = await rig.journal(K.EXECUTION_DISARMED)
        assert disarmed.reason is Reason.CLOCK_STEP
        await rig.run_until(65)
        assert rig.target.nominal_s() == [60]
        assert await told(rig) == [(60, Outcome.SUCCEEDED, Reason.COMPLETED)]


async def test_step_back_that_has_been_followed_is_not_found_again_at_the_next_start(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.create(MINUTELY)
        await rig.run_until(100)
        await step(rig, -HOUR)
    async with running(tmp_path / "db", clock=clock) as rig:
        assert len(await rig.journal(K.CLOCK_STEPPED)) == 1


async def test_history_outlasts_a_clock_that_is_ahead_for_less_than_an_hour(tmp_path: Path) -> None:
    clock = HandClock()
    settings = EngineSettings(retention=Retention(history=timedelta(days=1)))
    async with running(tmp_path / "db", clock=clock, settings=settings) as rig:
        await rig.create(MINUTELY)
        await rig.run_until(65)
        await step(rig, 2 * 24 * HOUR)
        assert await rig.engine.housekeeper.run_once(clock.now_us()) == 0
    clock.step(3 * 24 * HOUR * SECOND)
    async with running(tmp_path / "db", clock=clock, settings=settings) as rig:
        assert await rig.engine.housekeeper.run_once(clock.now_us()) == 0
        await step(rig, -5 * 24 * HOUR)
        assert (60, Outcome.SUCCEEDED, Reason.COMPLETED) in await told(rig)
        await step(rig, 5 * 24 * HOUR)
        clock.move(HOUR * SECOND)
        assert await rig.engine.housekeeper.run_once(clock.now_us()) > 0


async def test_buffered_ones_that_were_met_late_keep_their_order_over_a_step_ahead(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await rig.create(MINUTELY, policies=Policies(overlap=Overlap.BUFFER_ALL))
        await rig.run_until(70)
        await step(rig, 55)
        await step(rig, 600)
        rig.target.hold.set()
        await go_on(rig, 1)
        assert rig.target.nominal_s() == [60, 120, 660, 720]


class _Broken:
    """A rule that fails in a way that nobody has foreseen."""

    def next_after(self, t_us: int) -> int | None:
        raise RuntimeError("boom")

    def prev_before(self, t_us: int) -> int | None:
        raise RuntimeError("boom")


async def test_armed_one_whose_rule_fails_unforeseen_at_a_step_stops_no_other(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create(MINUTELY)
        other = await rig.create(MINUTELY, name="other")
        await rig.run_until(59.8)
        definition = (await rig.engine.definitions.load([job.row]))[job.row]
        assert isinstance(definition, Definition)
        definition.rule = _Broken()
        await step(rig, 200)
        await rig.run_until(310)
        assert [request.schedule for _, request in rig.target.requests].count(other.name) >= 2
        assert await state(rig, job) is ScheduleState.DISABLED
