"""The engine end to end on a clock that is moved by hand: what fires when, what is recorded, what a restart makes of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from schedd.core.model.execution import Cause, DeliveryRequest, ExecutionState
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import AfterLastRun, CatchUp, CatchUpMode, Delivery, Overlap, Policies, Retry
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import Rendering
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import Expression, Spread, SpreadMode, When
from schedd.engine.engine import EngineSettings
from schedd.engine.limits import AttemptLimits
from schedd.engine.planner import Pace
from schedd.service.asking import Asking
from tests.engine.rig import BROKEN, SECOND, START_US, HandClock, HandTarget, Rig, running

K = JournalKind
ANN = Asking(actor="ann")


async def finished(rig: Rig) -> list[tuple[float, Outcome | None, Reason]]:
    page = await rig.store.find_executions((), Order(field="nominal_time"), PageRequest(size=1000))
    return [((run.nominal_us - START_US) / SECOND, run.outcome, run.reason) for run in page.items]


async def test_schedule_fires_at_each_occurrence_and_never_early(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create("rate(1 minute)")
        await rig.run_until(200)
        assert rig.target.nominal_s() == [60, 120, 180]
        assert all(at_us >= request.due_us for at_us, request in rig.target.requests)
        assert await finished(rig) == [(second, Outcome.SUCCEEDED, Reason.COMPLETED) for second in (60, 120, 180)]


async def test_execution_journal_tells_its_whole_life_in_order(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.answers = [BROKEN]
        await rig.create("rate(1 hour)", policies=Policies(retry=Retry(jitter=0)))
        await rig.run_until(3610)
        entries = [entry for entry in await rig.journal() if entry.execution is not None]
        assert [entry.kind for entry in entries] == [
            K.EXECUTION_ARMED,
            K.EXECUTION_STARTED,
            K.EXECUTION_RETRYING,
            K.EXECUTION_STARTED,
            K.EXECUTION_FINISHED,
        ]
        assert [entry.attempt for entry in entries if entry.execution] == [0, 1, 1, 2, 2]
        assert entries[0].time_us < START_US + 3600 * SECOND
        assert entries[-1].outcome is Outcome.SUCCEEDED


async def test_retries_end_after_the_last_attempt_with_its_reason(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.answers = [BROKEN] * 3
        await rig.create("rate(1 hour)", policies=Policies(retry=Retry(max_attempts=3, jitter=0)))
        await rig.run_until(3700)
        assert await finished(rig) == [(3600, Outcome.FAILED, Reason.HTTP_STATUS)]
        times = [(at_us - START_US) / SECOND for at_us, _ in rig.target.requests]
        assert times == [3600, 3605, 3615]
        keys = {(request.schedule_uid, request.nominal_us) for _, request in rig.target.requests}
        assert len(keys) == 1


async def test_overlap_skip_skips_with_the_blocking_execution(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await rig.create("rate(1 minute)")
        await rig.run_until(130)
        rig.target.hold.set()
        await rig.run_until(181)
        assert await finished(rig) == [
            (60, Outcome.SUCCEEDED, Reason.COMPLETED),
            (120, Outcome.SKIPPED, Reason.OVERLAP),
            (180, Outcome.SUCCEEDED, Reason.COMPLETED),
        ]
        [skipped] = [entry for entry in await rig.journal(K.EXECUTION_FINISHED) if entry.outcome is Outcome.SKIPPED]
        [first] = [e for e in await rig.journal(K.EXECUTION_FINISHED) if e.execution and e.execution.nominal_us == START_US + 60 * SECOND]
        assert first.execution is not None
        assert skipped.evidence["blocking_execution"] == first.execution.id


async def test_overlap_allow_all_runs_side_by_side(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await rig.create("rate(1 minute)", policies=Policies(overlap=Overlap.ALLOW_ALL))
        await rig.run_until(190)
        assert rig.engine.dispatcher.running == 3
        rig.target.hold.set()
        await rig.settle()
        assert {outcome for _, outcome, _ in await finished(rig)} == {Outcome.SUCCEEDED}


async def test_once_completes_the_schedule_after_its_run(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("at(2026-01-01T00:00:30)")
        await rig.run_until(40)
        assert rig.target.nominal_s() == [30]
        view = await rig.schedules.get(job.name)
        assert view.schedule.state is ScheduleState.COMPLETED
        assert len(await rig.journal(K.SCHEDULE_COMPLETED)) == 1


async def test_once_with_delete_is_gone_after_its_run(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("at(2026-01-01T00:00:30)", policies=Policies(after_last_run=AfterLastRun.DELETE))
        await rig.run_until(40)
        assert (await rig.store.schedule(job.name)).state is ScheduleState.DELETED


async def test_trigger_runs_now_once_per_request(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 hour)")
        execution = await rig.schedules.trigger(job.name, ANN)
        await rig.run_until(1)
        assert rig.target.nominal_s() == [0]
        assert execution.cause is Cause.MANUAL
        stored = await rig.store.execution(execution.id)
        assert stored.state is ExecutionState.FINISHED


async def test_pause_holds_back_and_resume_records_what_was_skipped(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 minute)")
        await rig.run_until(70)
        await rig.pauses.pause(job.name, ANN, reason="holiday")
        await rig.run_until(250)
        await rig.pauses.resume(job.name, ANN)
        await rig.run_until(310)
        assert rig.target.nominal_s() == [60, 300]
        [range_] = await rig.journal(K.OCCURRENCES_SKIPPED)
        assert range_.reason is Reason.PAUSED
        assert range_.evidence["count"] == 3


async def test_resume_with_catch_up_runs_the_latest_that_was_held_back(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 minute)")
        await rig.run_until(70)
        await rig.pauses.pause(job.name, ANN)
        await rig.run_until(290)
        await rig.pauses.resume(job.name, ANN, backlog=CatchUpMode.LATEST)
        await rig.run_until(310)
        assert rig.target.nominal_s() == [60, 240, 300]
        assert [(entry.reason, entry.evidence["count"]) for entry in await rig.journal(K.OCCURRENCES_SKIPPED)] == [
            (Reason.CATCH_UP_SUPERSEDED, 2)
        ]


async def test_pause_with_an_end_resumes_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 minute)")
        await rig.run_until(70)
        await rig.pauses.pause(job.name, ANN, until_us=START_US + 200 * SECOND)
        await rig.run_until(250)
        assert rig.target.nominal_s()[-1] == 240
        assert (await rig.schedules.get(job.name)).schedule.state is ScheduleState.ENABLED


async def test_change_inside_the_horizon_takes_back_and_arms_anew(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 minute)")
        await rig.run_until(59.7)
        assert rig.engine.dispatcher.waiting == 1

        changed = When(triggers=(Expression(text="rate(2 minutes)"),))
        await rig.schedules.update(job.name, lambda old: replace(old, when=changed), ANN)
        await rig.run_until(121)
        assert rig.target.nominal_s() == [120]
        assert [entry.kind for entry in await rig.journal(K.EXECUTION_DISARMED)] == [K.EXECUTION_DISARMED]


async def test_change_of_labels_inside_the_horizon_loses_no_occurrence(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 minute)")
        await rig.run_until(59.7)
        await rig.schedules.update(job.name, lambda old: replace(old, description="new"), ANN)
        await rig.run_until(61)
        assert rig.target.nominal_s() == [60]


async def test_deleted_schedule_does_not_fire_even_when_armed(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 minute)")
        await rig.run_until(59.7)
        await rig.schedules.delete(job.name, ANN)
        await rig.run_until(200)
        assert rig.target.requests == []


async def test_cancel_of_a_running_execution_is_durable_when_it_returns(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        job = await rig.create("rate(1 hour)")
        execution = await rig.schedules.trigger(job.name, ANN)
        await rig.settle()
        assert await rig.engine.cancel(execution.id, actor="bob")
        stored = await rig.store.execution(execution.id)
        assert (stored.outcome, stored.reason) == (Outcome.CANCELLED, Reason.CANCELLED)
        assert not await rig.engine.cancel(execution.id, actor="bob")


async def test_target_that_raises_disables_its_schedule_and_no_other(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        bad = await rig.create("rate(1 minute)", name="bad", policies=Policies(retry=Retry(max_attempts=1)))
        rig.target.answers = [RuntimeError("unforeseen")]
        await rig.run_until(61)
        good = await rig.create("rate(1 minute)", name="good")
        await rig.run_until(200)
        assert (await rig.schedules.get(bad.name)).schedule.state is ScheduleState.DISABLED
        assert rig.target.nominal_s() == [60, 121, 181]
        assert (await rig.schedules.get(good.name)).schedule.state is ScheduleState.ENABLED


async def test_restart_within_grace_fires_all_that_came_due_meanwhile(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create("rate(1 minute)", policies=Policies(overlap=Overlap.ALLOW_ALL, catch_up=CatchUp(grace=timedelta(minutes=5))))
        await rig.run_until(65)
    clock.move(120 * SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(245)
        assert target.nominal_s() == [60, 120, 180, 240]


async def test_restart_with_an_armed_execution_blocks_no_later_one(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create("rate(1 minute)", policies=Policies(overlap=Overlap.SKIP))
        await rig.run_until(59.7)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(185)
        assert target.nominal_s() == [60, 120, 180]


async def test_restart_after_long_downtime_runs_the_latest_and_journals_one_range(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create("rate(1 minute)")
        await rig.run_until(65)
    clock.move(365 * 86400 * SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.settle()
        missed = await rig.journal(K.OCCURRENCES_MISSED)
        assert len(missed) == 1
        assert missed[0].reason is Reason.CATCH_UP_SUPERSEDED
        year = 365 * 86400
        assert target.nominal_s() == [60, year, year + 60]


async def test_restart_with_catch_up_none_runs_nothing_late(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create("rate(1 minute)", policies=Policies(catch_up=CatchUp(mode=CatchUpMode.NONE)))
        await rig.run_until(65)
    clock.move(600 * SECOND - 10)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.settle()
        [missed] = await rig.journal(K.OCCURRENCES_MISSED)
        assert (missed.reason, missed.outcome) == (Reason.MISFIRE, Outcome.MISSED)


async def test_attempt_cut_off_by_a_crash_is_made_again_with_the_same_key(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock, hold=asyncio.Event())
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create("rate(1 minute)", policies=Policies(retry=Retry(max_attempts=1)))
        await rig.run_until(61)
    target.hold = None
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.settle()
        assert target.nominal_s() == [60, 60]
        assert [request.attempt for _, request in target.requests] == [1, 2]
        assert await finished(rig) == [(60, Outcome.SUCCEEDED, Reason.COMPLETED)]


async def test_attempt_cut_off_under_at_most_once_ends_unknown(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock, hold=asyncio.Event())
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create("rate(1 minute)", policies=Policies(delivery=Delivery.AT_MOST_ONCE))
        await rig.run_until(61)
    target.hold = None
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.settle()
        assert target.nominal_s() == [60]
        assert await finished(rig) == [(60, Outcome.UNKNOWN, Reason.INTERRUPTED)]


async def test_clock_step_forward_is_journaled_and_what_was_due_is_found(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create("rate(1 minute)")
        await rig.run_until(30)
        rig.clock.step(35 * SECOND)
        await rig.settle()
        assert rig.target.nominal_s() == [60]
        [stepped] = await rig.journal(K.CLOCK_STEPPED)
        assert stepped.evidence["step_us"] == 35 * SECOND


async def test_occurrences_that_a_pause_held_back_are_told_of_when_the_rule_changes_meanwhile(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 minute)")
        await rig.pauses.pause(job.name, ANN)
        await rig.run_until(150)
        await rig.schedules.update(job.name, lambda stored: replace(stored, when=When(triggers=(Expression(text="rate(1 hour)"),))), ANN)
        (entry,) = await rig.journal(K.OCCURRENCES_SKIPPED)
        assert (entry.reason, entry.outcome) == (Reason.PAUSED, Outcome.SKIPPED)
        assert (entry.evidence["first_us"], entry.evidence["last_us"]) == (START_US + 60 * SECOND, START_US + 120 * SECOND)
        await rig.run_until(200)
        await rig.pauses.resume(job.name, ANN)
        assert len(await rig.journal(K.OCCURRENCES_SKIPPED)) == 1


async def test_occurrences_that_a_quarantine_held_back_are_told_of_when_it_ends(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.answers = [RuntimeError("unforeseen")]
        job = await rig.create("rate(1 minute)", policies=Policies(retry=Retry(max_attempts=1)))
        await rig.run_until(190)
        assert (await rig.store.schedule(job.name)).state is ScheduleState.DISABLED
        await rig.pauses.resume(job.name, ANN, backlog=CatchUpMode.LATEST)
        (entry,) = await rig.journal(K.OCCURRENCES_SKIPPED)
        assert (entry.reason, entry.outcome) == (Reason.DISABLED, Outcome.SKIPPED)
        assert (entry.evidence["first_us"], entry.evidence["last_us"]) == (START_US + 120 * SECOND, START_US + 180 * SECOND)
        await rig.run_until(245)
        assert rig.target.nominal_s() == [60, 240]


class Unrenderable(HandTarget):
    """Cannot tell what it sends."""

    def rendered(self, request: DeliveryRequest) -> Rendering | None:
        raise RuntimeError("unforeseen")


async def test_failure_whose_request_cannot_be_told_is_a_dead_letter_without_it(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=Unrenderable(clock, answers=[BROKEN])) as rig:
        await rig.create("rate(1 minute)", policies=Policies(retry=Retry(max_attempts=1)))
        await rig.run_until(121)
        assert await finished(rig) == [(60, Outcome.FAILED, Reason.HTTP_STATUS), (120, Outcome.SUCCEEDED, Reason.COMPLETED)]
        (letter,) = (await rig.store.find_dead_letters((), descending=False, page=PageRequest(size=10))).items
        assert letter.request is None


async def test_many_due_at_one_instant_leave_the_loop_its_turns_between_them(tmp_path: Path) -> None:
    async with running(tmp_path / "db", settings=EngineSettings(limits=AttemptLimits(running=2000, per_host=1500))) as rig:
        every_minute = When(triggers=(Expression(text="* * * * *"),))
        drafts = [
            Schedule(
                name=ScheduleName(group="default", schedule=f"s{index}"), when=every_minute, target=HttpTarget(url="http://localhost/")
            )
            for index in range(1000)
        ]
        await rig.schedules.create_many(drafts, Asking(actor="test"))
        await rig.run_until(59.9)
        rig.target.hold = asyncio.Event()
        seen = [0]

        def count() -> None:
            seen.append(len(rig.target.requests))
            if seen[-1] < len(drafts):
                asyncio.get_running_loop().call_soon(count)

        asyncio.get_running_loop().call_soon(count)
        await rig.run_until(60)
        rig.target.hold.set()
        assert max(after - before for before, after in pairwise(seen)) <= 50
        assert seen[-1] == len(drafts)


async def test_success_of_a_run_that_began_before_its_schedule_was_changed_is_told_to_the_next(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 minute)")
        rig.target.hold = asyncio.Event()
        await rig.run_until(61)
        await rig.schedules.update(job.name, lambda before: replace(before, description="new"), ANN)
        rig.target.hold.set()
        await rig.run_until(125)
        assert [request.previous_success_us for _, request in rig.target.requests] == [None, START_US + 60 * SECOND]


async def create_spread(rig: Rig, count: int) -> None:
    spread = Spread(mode=SpreadMode.STABLE, window=timedelta(seconds=20))
    when = When(triggers=(Expression(text="1 0 * * *"),), spread=spread)
    drafts = [
        Schedule(name=ScheduleName(group="spread", schedule=f"s{index}"), when=when, target=HttpTarget(url="http://localhost/"))
        for index in range(count)
    ]
    await rig.schedules.create_many(drafts, Asking(actor="test"))


@pytest.mark.parametrize("restarts_s", [[], [59.8, 63, 70]])
async def test_more_spread_over_one_instant_than_wait_in_memory_stall_nothing_and_come_when_they_are_due(
    tmp_path: Path, restarts_s: list[float]
) -> None:
    clock, settings = HandClock(), EngineSettings(pace=Pace(runs_ahead=20))
    target = HandTarget(clock)
    for index, until_s in enumerate([*restarts_s, 85]):
        async with running(tmp_path / "db", clock=clock, target=target, settings=settings) as rig:
            if index == 0:
                await create_spread(rig, 40)
                await rig.create("*/10 * * * * *", name="punctual")
            await rig.run_until(until_s)
            assert rig.engine.dispatcher.ahead <= 11
    assert sorted(str(request.schedule.group) for _, request in target.requests) == ["default"] * 8 + ["spread"] * 40
    assert len({request.schedule for _, request in target.requests}) == 41
    assert all(at_us - request.due_us <= 0 for at_us, request in target.requests)


async def test_spread_that_is_postponed_follows_a_change_of_its_schedule(tmp_path: Path) -> None:
    async with running(tmp_path / "db", settings=EngineSettings(pace=Pace(runs_ahead=1))) as rig:
        await create_spread(rig, 3)
        names = [ScheduleName(group="spread", schedule=f"s{index}") for index in range(3)]
        await rig.run_until(59.9)
        await rig.schedules.update(names[0], lambda before: replace(before, when=replace(before.when, spread=Spread())), ANN)
        await rig.pauses.pause(names[1], ANN)
        await rig.run_until(60)
        assert [request.schedule for _, request in rig.target.requests] == [names[0]]
        await rig.run_until(85)
        assert {request.schedule for _, request in rig.target.requests} == {names[0], names[2]}
