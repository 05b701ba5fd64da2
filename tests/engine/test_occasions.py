"""What no clock fires, on a clock that is moved by hand: starts of the daemon and delays after completion, also across restarts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from schedd.core.errors import InvalidError
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import CatchUp, CatchUpMode, Delivery, Policies, Retry
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import AfterCompletion, AtStart, Cron, Expression, Interval, Once, Trigger, When
from schedd.service.asking import Asking
from tests.engine.rig import BROKEN, SECOND, START_US, HandClock, HandTarget, Rig, running

ANN = Asking(actor="ann")
MINUTE = AfterCompletion(delay=timedelta(minutes=1))
ONCE_TRIED = Policies(retry=Retry(max_attempts=1))


async def create(rig: Rig, *triggers: Trigger, policies: Policies = ONCE_TRIED, name: str = "job", when: When | None = None) -> Schedule:
    draft = Schedule(
        name=ScheduleName(group="default", schedule=name),
        when=when or When(triggers=triggers),
        target=HttpTarget(url="http://localhost/"),
        policies=policies,
    )
    return await rig.schedules.create(draft, ANN)


async def ends(rig: Rig) -> list[tuple[float, Outcome | None]]:
    page = await rig.store.find_executions((), Order(field="nominal_time"), PageRequest(size=1000))
    return [((run.nominal_us - START_US) / SECOND, run.outcome) for run in page.items]


async def state(rig: Rig, schedule: Schedule) -> ScheduleState:
    return (await rig.store.schedule(schedule.name)).state


async def test_reboot_fires_once_at_each_start_with_the_start_as_its_nominal_time(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        job = await rig.create("@reboot")
        await rig.run_until(100)
        assert target.requests == []
        assert await state(rig, job) is ScheduleState.ENABLED
    for start in (100, 200):
        async with running(tmp_path / "db", clock=clock, target=target) as rig:
            await rig.run_until(start + 100)
            assert await state(rig, job) is ScheduleState.ENABLED
    assert target.nominal_s() == [100, 200]
    assert len({request.nominal_us for _, request in target.requests}) == 2


async def test_reboot_joins_the_clocks_occurrences(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await create(rig, Expression(text="@reboot"), Interval(every=timedelta(minutes=1)))
        await rig.run_until(90)
        assert target.nominal_s() == [60]
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(125)
        assert target.nominal_s() == [60, 90, 120]


async def test_reboot_right_after_the_last_decision_fires_all_the_same(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await create(rig, AtStart(), name="start")
        await create(rig, Interval(every=timedelta(minutes=1)), name="minutely")
        await rig.run_until(59.6)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(65)
        assert sorted(request.schedule.schedule for _, request in target.requests) == ["minutely", "start"]
        assert all(at_us >= request.due_us for at_us, request in target.requests)


async def test_start_that_is_excluded_or_past_the_end_does_not_fire_and_completes_in_the_end(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        out = When(triggers=(AtStart(),), exclusions=(Cron(text="0 0 1 1 *"),))
        over = When(triggers=(AtStart(),), end_us=START_US + 50 * SECOND)
        excluded = await create(rig, when=out, name="excluded")
        ended = await create(rig, when=over, name="ended")
        await rig.run_until(100)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(200)
        assert target.requests == []
        assert await state(rig, excluded) is ScheduleState.ENABLED
        assert await state(rig, ended) is ScheduleState.COMPLETED


async def test_start_while_paused_is_held_back_and_caught_up_on_request(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        job = await rig.create("@reboot")
        await rig.pauses.pause(job.name, ANN)
        await rig.run_until(10)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(20)
        await rig.pauses.resume(job.name, ANN, backlog=CatchUpMode.LATEST)
        await rig.run_until(30)
        assert target.nominal_s() == [10]


async def test_delay_counts_from_creation_and_then_from_each_completion(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await create(rig, MINUTE)
        assert (await rig.schedules.get(job.name)).next_us == START_US + 60 * SECOND
        rig.target.hold = asyncio.Event()
        await rig.run_until(100)
        assert rig.target.nominal_s() == [60]
        assert (await rig.schedules.get(job.name)).next_us is None
        rig.target.hold.set()
        await rig.run_until(281)
        assert rig.target.nominal_s() == [60, 160, 220, 280]
        assert await state(rig, job) is ScheduleState.ENABLED
        assert await rig.store.schedule(job.name) == job


async def test_delay_counts_after_a_failure_and_a_cancel_too(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.answers = [BROKEN]
        await create(rig, MINUTE)
        await rig.run_until(61)
        rig.target.hold = asyncio.Event()
        await rig.run_until(130)
        [run] = rig.engine.runs
        await rig.engine.cancel(run.id, actor="ann")
        rig.target.hold = None
        await rig.run_until(200)
        assert await ends(rig) == [(60, Outcome.FAILED), (120, Outcome.CANCELLED), (190, Outcome.SUCCEEDED)]


async def test_delay_shorter_than_the_horizon_never_fires_early_nor_ends(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await create(rig, AfterCompletion(delay=timedelta(milliseconds=1)))
        await rig.run_until(3)
        first = len(target.requests)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(6)
    assert first >= 3
    assert len(target.requests) >= first + 3
    assert all(at_us >= request.due_us for at_us, request in target.requests)


async def test_delay_survives_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await create(rig, MINUTE)
        await create(rig, AfterCompletion(delay=timedelta(seconds=100)), name="first")
        await rig.run_until(80)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(125)
        assert target.nominal_s() == [60, 100, 120]


async def test_delay_that_passed_while_the_daemon_was_away_is_caught_up(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await create(rig, MINUTE)
        await rig.run_until(61)
    clock.move(3600 * SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(3600 + 125)
        assert target.nominal_s() == [60, 120, 3721]


@pytest.mark.parametrize("away_s", [3600, 3 * 86400])
async def test_delay_left_out_by_catch_up_counts_as_completed(tmp_path: Path, away_s: int) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    policies = Policies(catch_up=CatchUp(mode=CatchUpMode.NONE if away_s == 3600 else CatchUpMode.LATEST))
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await create(rig, MINUTE, policies=policies)
        await rig.run_until(61)
    clock.move(away_s * SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(away_s + 125)
        [missed] = await rig.journal(JournalKind.OCCURRENCES_MISSED)
        assert missed.evidence["first_us"] == START_US + 120 * SECOND
        assert target.nominal_s() == [60, away_s + 61 + 60]


async def test_delay_armed_before_a_crash_and_missed_after_it_counts_from_then(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    policies = Policies(catch_up=CatchUp(mode=CatchUpMode.NONE))
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await create(rig, MINUTE, policies=policies)
        await rig.run_until(59.7)
        assert rig.engine.dispatcher.waiting == 1
    clock.move(3600 * SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(3750)
        assert await ends(rig) == [(60, Outcome.MISSED), (3719.7, Outcome.SUCCEEDED)]


@pytest.mark.parametrize(("delivery", "nominal"), [(Delivery.AT_LEAST_ONCE, [60, 60, 140]), (Delivery.AT_MOST_ONCE, [60, 140])])
async def test_delay_counts_from_the_end_of_an_execution_that_a_crash_cut_off(
    tmp_path: Path, delivery: Delivery, nominal: list[float]
) -> None:
    clock = HandClock()
    target = HandTarget(clock, hold=asyncio.Event())
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await create(rig, MINUTE, policies=Policies(delivery=delivery))
        await rig.run_until(80)
    target.hold = None
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(150)
        assert target.nominal_s() == nominal


async def test_delay_joins_the_clock_and_counts_from_the_last_completion(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await create(rig, AfterCompletion(delay=timedelta(seconds=40)), Once(times_us=(START_US + 50 * SECOND, START_US + 200 * SECOND)))
        await rig.run_until(215)
        assert rig.target.nominal_s() == [40, 50, 90, 130, 170, 200]


async def test_run_by_hand_moves_the_delay_and_what_it_blocks_counts_from_its_end(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await create(rig, MINUTE)
        await rig.run_until(30)
        await rig.schedules.trigger(job.name, ANN)
        await rig.run_until(85)
        assert await ends(rig) == [(30, Outcome.SUCCEEDED)]
        rig.target.hold = asyncio.Event()
        await rig.schedules.trigger(job.name, ANN)
        await rig.run_until(100)
        rig.target.hold.set()
        await rig.run_until(161)
        assert await ends(rig) == [(30, Outcome.SUCCEEDED), (85, Outcome.SUCCEEDED), (90, Outcome.SKIPPED), (160, Outcome.SUCCEEDED)]


async def test_delay_past_the_end_completes_the_schedule(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await create(rig, when=When(triggers=(MINUTE,), end_us=START_US + 100 * SECOND))
        rig.target.hold = asyncio.Event()
        await rig.run_until(61)
        assert await state(rig, job) is ScheduleState.ENABLED
        rig.target.hold.set()
        await rig.run_until(62)
        assert await state(rig, job) is ScheduleState.COMPLETED
        assert rig.target.nominal_s() == [60]


async def test_delay_into_excluded_time_waits_for_its_end(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        out = When(triggers=(MINUTE,), exclusions=(Once(times_us=tuple(START_US + at for at in (60 * SECOND, 60 * SECOND + 1))),))
        await create(rig, when=out)
        await rig.run_until(70)
        assert rig.target.nominal_s() == [60.000002]


async def test_start_time_holds_the_first_delay(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await create(rig, when=When(triggers=(MINUTE,), start_us=START_US + 300 * SECOND))
        await rig.run_until(365)
        assert rig.target.nominal_s() == [300, 360]


async def test_change_of_a_label_leaves_the_delay_and_a_new_delay_counts_from_the_same_completion(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await create(rig, MINUTE)
        await rig.run_until(80)
        await rig.schedules.update(job.name, lambda old: replace(old, description="new"), ANN)
        await rig.run_until(125)
        assert rig.target.nominal_s() == [60, 120]
        longer = When(triggers=(AfterCompletion(delay=timedelta(seconds=90)),))
        await rig.schedules.update(job.name, lambda old: replace(old, when=longer), ANN)
        await rig.run_until(215)
        assert rig.target.nominal_s() == [60, 120, 210]


async def test_change_inside_the_horizon_loses_no_occurrence_of_the_delay(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await create(rig, MINUTE)
        await rig.run_until(59.7)
        assert rig.engine.dispatcher.waiting == 1
        await rig.schedules.update(job.name, lambda old: replace(old, description="new"), ANN)
        await rig.run_until(62)
        [(at_us, request)] = rig.target.requests
        assert at_us >= request.due_us >= START_US + 60 * SECOND


async def test_change_while_running_waits_for_the_completion(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await create(rig, MINUTE)
        rig.target.hold = asyncio.Event()
        await rig.run_until(61)
        await rig.schedules.update(job.name, lambda old: replace(old, description="new"), ANN)
        await rig.run_until(100)
        rig.target.hold.set()
        await rig.run_until(161)
        assert rig.target.nominal_s() == [60, 160]


async def test_resume_counts_the_delay_anew(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await create(rig, MINUTE)
        await rig.run_until(61)
        await rig.pauses.pause(job.name, ANN)
        await rig.run_until(300)
        await rig.pauses.resume(job.name, ANN)
        await rig.run_until(361)
        assert rig.target.nominal_s() == [60, 360]


async def test_schedule_that_loses_its_occasions_goes_on_by_the_clock(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await create(rig, MINUTE)
        await rig.run_until(61)
        clocked = When(triggers=(Once(times_us=(START_US + 90 * SECOND,)),))
        await rig.schedules.update(job.name, lambda old: replace(old, when=clocked), ANN)
        await rig.run_until(200)
        assert rig.target.nominal_s() == [60, 90]
        assert await state(rig, job) is ScheduleState.COMPLETED


@pytest.mark.parametrize("trigger", [MINUTE, AtStart(), Expression(text="@reboot")])
async def test_exclusion_that_no_clock_fires_is_refused(tmp_path: Path, trigger: Trigger) -> None:
    async with running(tmp_path / "db") as rig:
        with pytest.raises(InvalidError) as caught:
            await create(rig, when=When(triggers=(Expression(text="@daily"),), exclusions=(trigger,)))
        assert [violation.field for violation in caught.value.violations] == ["schedule.exclusions[0]"]


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(days=4000)])
async def test_delay_out_of_bounds_is_refused(tmp_path: Path, delay: timedelta) -> None:
    async with running(tmp_path / "db") as rig:
        with pytest.raises(InvalidError) as caught:
            await create(rig, AfterCompletion(delay=delay))
        [violation] = caught.value.violations
        assert violation.field == "schedule.triggers[0].after_completion.delay"
        assert Reason.NONE not in violation.description
        assert "1ms to 3660d is" in violation.description
