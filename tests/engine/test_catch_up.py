"""Catch-up: what was missed goes by the policy on every way of missing it, in the background, bounded, and each occurrence once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from schedd.core.model.batch import NewSchedule
from schedd.core.model.execution import Cause, Execution, ExecutionState
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.policy import CatchUp, CatchUpMode, Overlap, Policies, Retry
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import AfterCompletion, Expression, When
from schedd.engine.engine import EngineSettings
from schedd.engine.limits import AttemptLimits
from schedd.engine.planner import Pace
from schedd.service.asking import Asking
from tests.engine.rig import SECOND, START_US, HandClock, HandTarget, Rig, running

JOB = ScheduleName(group="default", schedule="job")
ASKING = Asking(actor="ann")
MINUTE = 60
DAY = 86_400
WINDOW = timedelta(hours=1)

FEW = EngineSettings(limits=AttemptLimits(running=16), pace=Pace(late_at_once=20, late_in_memory=40))
"""A small daemon: 12 of its 16 slots are one host's, and 9 of those the background's."""

SLOW = EngineSettings(limits=AttemptLimits(running=16), pace=Pace(late_at_once=5, late_in_memory=40))
"""And one that decides little at a time."""

Way = Callable[[Rig, int], Awaitable[None]]


def policies(mode: CatchUpMode, *, overlap: Overlap = Overlap.SKIP, max_runs: int = 100, window: timedelta | None = WINDOW) -> Policies:
    return Policies(overlap=overlap, catch_up=CatchUp(mode=mode, window=window, max_runs=max_runs), retry=Retry(max_attempts=1))


async def down(rig: Rig, away_s: int) -> None:
    """Nothing: leaving the rig is a crash, and the test starts another one later."""


async def suspended(rig: Rig, away_s: int) -> None:
    rig.clock.move(away_s * SECOND)


async def stepped(rig: Rig, away_s: int) -> None:
    rig.clock.step(away_s * SECOND)


@asynccontextmanager
async def after(path: Path, way: Way, chosen: Policies, away_s: int) -> AsyncIterator[Rig]:
    """A rig with one minutely schedule that has not been served for so long, on one of the ways."""
    clock = HandClock()
    if way is down:
        async with running(path, clock=clock) as rig:
            await rig.create("* * * * *", policies=chosen)
            await rig.run_until(0.1)
        clock.move(away_s * SECOND)
    async with running(path, clock=clock) as rig:
        if way is not down:
            await rig.create("* * * * *", policies=chosen)
            await rig.run_until(0.1)
            await way(rig, away_s)
        await rig.settle()
        yield rig


async def work_off(rig: Rig, seconds: float = 3) -> None:
    await rig.run_until((rig.clock.now_us() - START_US) / SECOND + seconds)


async def executions(rig: Rig) -> list[Execution]:
    found: list[Execution] = []
    page = PageRequest(size=1000)
    while True:
        portion = await rig.store.find_executions((), Order(field="nominal_time"), page)
        found += portion.items
        if not portion.after:
            return found
        page = PageRequest(size=1000, after=portion.after)


def missed(entries: list[JournalEntry]) -> list[tuple[Reason, int]]:
    return [(entry.reason, int(entry.evidence["count"])) for entry in entries]


WAYS = pytest.mark.parametrize("way", [down, suspended, stepped])
"""A pause is none: what becomes of its backlog is said when it ends (test_resumption.py)."""


@WAYS
@pytest.mark.parametrize(
    ("mode", "fired", "left_out"),
    [
        (CatchUpMode.NONE, [600], [(Reason.MISFIRE, 9)]),
        (CatchUpMode.LATEST, [540, 600], [(Reason.CATCH_UP_SUPERSEDED, 8)]),
        (CatchUpMode.EARLIEST, [60, 600], [(Reason.CATCH_UP_SUPERSEDED, 8)]),
        (CatchUpMode.ALL, [*range(60, 601, 60)], []),
    ],
)
async def test_what_was_missed_goes_by_the_policy_on_every_way(
    tmp_path: Path,
    way: Way,
    mode: CatchUpMode,
    fired: list[float],
    left_out: list[tuple[Reason, int]],
) -> None:
    async with after(tmp_path / "db", way, policies(mode), 610) as rig:
        await work_off(rig)
        assert sorted(rig.target.nominal_s()) == fired
        assert missed(await rig.journal(JournalKind.OCCURRENCES_MISSED)) == left_out
        assert {run.outcome for run in await executions(rig)} == {Outcome.SUCCEEDED}


@WAYS
async def test_what_is_older_than_the_window_is_left_out_on_every_way(tmp_path: Path, way: Way) -> None:
    async with after(tmp_path / "db", way, policies(CatchUpMode.ALL, window=timedelta(minutes=5)), 3610) as rig:
        await work_off(rig)
        assert sorted(rig.target.nominal_s()) == [3360, 3420, 3480, 3540, 3600]
        assert missed(await rig.journal(JournalKind.OCCURRENCES_MISSED)) == [(Reason.CATCH_UP_WINDOW, 55)]


async def test_all_of_more_than_a_plan_fires_run_in_order_up_to_max_runs(tmp_path: Path) -> None:
    chosen = policies(CatchUpMode.ALL, max_runs=300, window=timedelta(days=2))
    async with after(tmp_path / "db", down, chosen, 500 * MINUTE + 10) as rig:
        await work_off(rig, 20)
        late = [at for at in rig.target.nominal_s() if at < 500 * MINUTE]
        assert late == [MINUTE * n for n in range(1, 301)]
        assert missed(await journal(rig)) == [(Reason.CATCH_UP_MAX_RUNS, 199)]
        assert not await rig.store.running_backfills()


async def test_backlog_goes_on_after_a_restart_with_each_occurrence_once(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    chosen = policies(CatchUpMode.ALL, max_runs=100_000, window=timedelta(days=2))
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create("* * * * *", policies=chosen)
        await rig.run_until(0.1)
    clock.move((150 * MINUTE + 10) * SECOND)
    for restart in range(3):
        clock.move(SECOND)  # Else the ids of this daemon would be those of the one before.
        async with running(tmp_path / "db", clock=clock, target=target) as rig:
            for _ in range(40 * (restart + 1)):
                await asyncio.sleep(0)
    clock.move(SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await work_off(rig, 10)
        runs = await executions(rig)
        assert [(run.nominal_us - START_US) // SECOND for run in runs] == [MINUTE * n for n in range(1, 151)]
        assert {run.outcome for run in runs} == {Outcome.SUCCEEDED}
        assert {run.cause for run in runs} == {Cause.SCHEDULE}
        assert not await journal(rig)


async def test_backlog_waits_while_its_schedule_is_paused_and_ends_with_a_changed_rule(tmp_path: Path) -> None:
    chosen = policies(CatchUpMode.ALL, max_runs=1000, window=timedelta(days=2))
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.create("* * * * *", policies=chosen)
        await rig.run_until(0.1)
    clock.move((200 * MINUTE + 10) * SECOND)
    target = HandTarget(clock, hold=asyncio.Event())
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.settle()
        await rig.pauses.pause(JOB, ASKING)
        assert target.hold is not None
        target.hold.set()
        await work_off(rig, 5)
        armed = len(await executions(rig))
        assert armed < 50
        await rig.pauses.resume(JOB, ASKING)
        rig.target.hold = asyncio.Event()
        await work_off(rig, 1)
        before = len(await executions(rig))
        assert before > armed
        await rig.schedules.update(JOB, lambda old: rule(old, "30 3 * * *"), ASKING)
        await work_off(rig, 5)
        (rest,) = [entry for entry in await rig.journal(JournalKind.OCCURRENCES_SKIPPED) if entry.reason is Reason.SCHEDULE_CHANGED]
        assert (rest.outcome, int(rest.evidence["count"])) == (Outcome.SKIPPED, 199 - (before - 1))
        assert not await rig.store.running_backfills()


@pytest.mark.parametrize("way", ["changed", "deleted"])
async def test_crash_right_after_a_change_that_ends_a_backlog_leaves_nothing_of_it_open(tmp_path: Path, way: str) -> None:
    chosen = policies(CatchUpMode.ALL, max_runs=1000, window=timedelta(days=2))
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.create("* * * * *", policies=chosen)
        await rig.run_until(0.1)
    clock.move((200 * MINUTE + 10) * SECOND)
    async with running(tmp_path / "db", clock=clock, target=HandTarget(clock, hold=asyncio.Event())) as rig:
        await rig.settle()
        if way == "changed":
            await rig.schedules.update(JOB, lambda old: rule(old, "30 3 * * *"), ASKING)
        else:
            await rig.schedules.delete(JOB, ASKING)
    clock.move(SECOND)
    async with running(tmp_path / "db", clock=clock) as rig:
        await work_off(rig)
        (rest,) = await rig.journal(JournalKind.OCCURRENCES_SKIPPED)
        assert rest.reason is (Reason.SCHEDULE_CHANGED if way == "changed" else Reason.DELETED)
        armed = [run for run in await executions(rig) if run.nominal_us < START_US + 200 * MINUTE * SECOND]
        assert len(armed) + int(rest.evidence["count"]) == 199
        assert not await rig.store.running_backfills()


async def test_crash_right_after_a_resumption_decides_what_the_pause_held_back_once(tmp_path: Path) -> None:
    clock = HandClock()
    chosen = policies(CatchUpMode.LATEST)
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.create("* * * * *", policies=chosen)
        await rig.create("* * * * *", name="other", policies=policies(CatchUpMode.NONE))
        await rig.pauses.pause(JOB, ASKING)
        await rig.run_until(610)
        rig.engine.planner.stop()
        await rig.pauses.resume(JOB, ASKING, backlog=CatchUpMode.LATEST)
    for _ in range(2):
        clock.move(SECOND)
        async with running(tmp_path / "db", clock=clock) as rig:
            await work_off(rig, 1)
            assert [run.nominal_us for run in await executions(rig) if run.schedule == JOB] == [START_US + n * SECOND for n in (600,)]
            assert missed(await rig.journal(JournalKind.OCCURRENCES_SKIPPED)) == [(Reason.CATCH_UP_SUPERSEDED, 9)]


async def test_what_all_has_taken_up_runs_also_when_the_window_has_passed_at_the_next_start(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        chosen = policies(CatchUpMode.ALL, window=timedelta(minutes=20), overlap=Overlap.ALLOW_ALL)
        await rig.create("* * * * *", policies=chosen)
        await rig.run_until(0.1)
    clock.move(635 * SECOND)
    one = EngineSettings(limits=AttemptLimits(running=1))
    async with running(tmp_path / "db", clock=clock, target=HandTarget(clock, hold=asyncio.Event()), settings=one) as rig:
        await work_off(rig, 0.5)
        assert Counter(run.state for run in await executions(rig)) == {ExecutionState.RUNNING: 1, ExecutionState.ARMED: 9}
    clock.move(1800 * SECOND)
    async with running(tmp_path / "db", clock=clock) as rig:
        await work_off(rig, 5)
        first = [run for run in await executions(rig) if run.nominal_us <= START_US + 600 * SECOND]
        assert [run.outcome for run in first] == [Outcome.SUCCEEDED] * 10


async def test_what_was_taken_up_late_is_a_misfire_again_only_when_the_daemon_is_away_too_long(tmp_path: Path) -> None:
    one = EngineSettings(limits=AttemptLimits(running=1))
    for away_s, outcome in ((20, Outcome.SUCCEEDED), (31, Outcome.MISSED)):
        clock = HandClock()
        path = tmp_path / str(away_s)
        async with running(path, clock=clock) as rig:
            for name in ("first", "job"):
                await rig.create("*/10 * * * *", name=name, policies=policies(CatchUpMode.LATEST, window=timedelta(seconds=50)))
            await rig.run_until(0.1)
        clock.move(635 * SECOND)
        async with running(path, clock=clock, target=HandTarget(clock, hold=asyncio.Event()), settings=one) as rig:
            await work_off(rig, 0.5)
            assert [run.state for run in await executions(rig)] == [ExecutionState.RUNNING, ExecutionState.ARMED]
        clock.move(away_s * SECOND)
        async with running(path, clock=clock) as rig:
            await work_off(rig)
            assert [run.outcome for run in await executions(rig)] == [Outcome.SUCCEEDED, outcome]


async def test_delay_decided_while_the_mark_is_held_back_goes_on_after_a_crash(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await overdue(rig, 200)
    clock.move(2 * 3600 * SECOND)
    target = HandTarget(clock, hold=asyncio.Event())
    async with running(tmp_path / "db", clock=clock, target=target, settings=SLOW) as rig:
        delay = AfterCompletion(delay=timedelta(seconds=1))
        draft = Schedule(name=JOB, when=When(triggers=(delay, Expression(text="* * * * *"))), target=HttpTarget(url="http://localhost/"))
        await rig.schedules.create(draft, ASKING)
        await work_off(rig, 1.1)
        assert rig.engine.planner.planned_through_us < START_US + 3600 * SECOND
        assert [run.nominal_us for run in await executions(rig) if run.schedule == JOB] == [clock.now_us() // SECOND * SECOND]
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target, settings=SLOW) as rig:
        await work_off(rig, 5)
        assert len([request for _, request in target.requests if request.schedule == JOB]) >= 4


def rule(schedule: Schedule, text: str) -> Schedule:
    return replace(schedule, when=When(triggers=(Expression(text=text),)))


@pytest.mark.parametrize("second", [10, 45])
async def test_year_of_downtime_leaves_one_range_and_runs_the_latest(tmp_path: Path, second: int) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.create("* * * * *")
        await rig.run_until(0.1)
    clock.move((365 * DAY + second) * SECOND)
    async with running(tmp_path / "db", clock=clock) as rig:
        await work_off(rig)
        first = 365 * DAY - (MINUTE if second < 30 else 0)
        assert sorted(rig.target.nominal_s()) == [first, 365 * DAY][-2 if second < 30 else -1 :]
        (range_,) = await rig.journal(JournalKind.OCCURRENCES_MISSED)
        assert range_.reason is Reason.CATCH_UP_SUPERSEDED
        assert range_.evidence == {
            "first_us": START_US + MINUTE * SECOND,
            "last_us": START_US + (first - MINUTE) * SECOND,
            "count": 1000,
            "counted": False,
        }


async def test_caught_up_execution_is_skipped_while_one_on_time_runs_under_skip(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.create("* * * * *", policies=policies(CatchUpMode.LATEST))
        await rig.run_until(0.1)
    clock.move(600 * SECOND - 100_000)
    async with running(tmp_path / "db", clock=clock, target=HandTarget(clock, hold=asyncio.Event())) as rig:
        await work_off(rig, 1)
        late, live = await executions(rig)
        assert (late.outcome, late.reason, live.state) == (Outcome.SKIPPED, Reason.OVERLAP, ExecutionState.RUNNING)


async def test_late_execution_tells_its_policy_and_how_late_it_is(tmp_path: Path) -> None:
    async with after(tmp_path / "db", down, policies(CatchUpMode.LATEST), 610) as rig:
        await work_off(rig)
        late, live = await rig.journal(JournalKind.EXECUTION_ARMED)
        assert late.evidence == {"catch_up": "LATEST", "lateness_us": 70_100_000}
        assert live.evidence == {"catch_up": "LATEST", "lateness_us": 10_100_000}


async def overdue(rig: Rig, count: int) -> None:
    """So many hourly schedules, which are served no more once they are created."""
    now_us = rig.clock.now_us()
    drafts = [
        NewSchedule(
            schedule=Schedule(
                name=ScheduleName(group="late", schedule=f"s{number}"),
                when=When(triggers=(Expression(text="0 * * * *"),)),
                target=HttpTarget(url="http://localhost/"),
                policies=policies(CatchUpMode.LATEST, window=timedelta(days=1)),
                uid=10**15 + number,
                created_us=now_us,
                updated_us=now_us,
                planned_from_us=now_us,
            ),
            next_us=START_US + 3600 * SECOND,
        )
        for number in range(count)
    ]
    entries = [
        JournalEntry(time_us=now_us, kind=JournalKind.SCHEDULE_CREATED, schedule=each.schedule.name, schedule_uid=each.schedule.uid)
        for each in drafts
    ]
    await rig.store.create_schedules(drafts, entries)


async def test_live_fires_are_on_time_while_thousands_are_overdue_and_hang(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await overdue(rig, 200)
        await rig.create("* * * * *", name="live", policies=policies(CatchUpMode.NONE, overlap=Overlap.ALLOW_ALL))
    clock.move((5400 - 30) * SECOND)
    target = HandTarget(clock, hold=asyncio.Event())
    async with running(tmp_path / "db", clock=clock, target=target, settings=FEW) as rig:
        await work_off(rig, 60)
        assert rig.engine.dispatcher.gates.waiting <= 60
        live = [(at_us, request) for at_us, request in target.requests if request.schedule.schedule == "live"]
        assert [at_us - request.due_us for at_us, request in live if request.due_us >= START_US + 5400 * SECOND] == [0]
        assert len(target.requests) - len(live) == 9
        assert rig.engine.status().lateness_p99_us == 0
        assert target.hold is not None
        target.hold.set()
        await work_off(rig, 20)
        late = Counter(request.schedule.schedule for _, request in target.requests if request.schedule.group == "late")
        assert len(late) == 200
        assert {run.outcome for run in await executions(rig)} == {Outcome.SUCCEEDED}


async def test_crash_while_the_overdue_are_worked_off_decides_none_twice(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await overdue(rig, 200)
        await rig.create("* * * * *", name="live", policies=policies(CatchUpMode.LATEST))
        await rig.run_until(0.1)
    clock.move((3 * 3600 + 10) * SECOND)
    target = HandTarget(clock, hold=asyncio.Event())
    async with running(tmp_path / "db", clock=clock, target=target, settings=SLOW) as rig:
        await work_off(rig, 0.5)
        assert rig.engine.planner.planned_through_us < START_US + 3600 * SECOND
    clock.move(3600 * SECOND)
    async with running(tmp_path / "db", clock=clock, settings=FEW) as rig:
        await work_off(rig, 20)
        ranges = [entry for entry in await journal(rig) if entry.schedule is not None and entry.schedule.group == "late"]
        decided: Counter[str] = Counter()
        for entry in ranges:
            assert entry.schedule is not None
            decided[entry.schedule.schedule] += int(entry.evidence["count"])
        runs = Counter(run.schedule.schedule for run in await executions(rig) if run.schedule.group == "late")
        assert {runs[name] + decided[name] for name in runs} == {4}
        live = [entry for entry in await journal(rig) if entry.schedule is not None and entry.schedule.schedule == "live"]
        spans = sorted((int(entry.evidence["first_us"]), int(entry.evidence["last_us"])) for entry in live)
        assert all(earlier[1] < later[0] for earlier, later in pairwise(spans))


async def journal(rig: Rig) -> list[JournalEntry]:
    found: list[JournalEntry] = []
    while True:
        after = found[-1].sequence if found else 0
        portion = await rig.store.journal(after=after, limit=1000, kinds=[JournalKind.OCCURRENCES_MISSED])
        found += portion
        if not portion:
            return found


async def test_catch_up_of_all_runs_one_after_the_other_unless_they_may_overlap(tmp_path: Path) -> None:
    for overlap, running_at_once in ((Overlap.SKIP, 1), (Overlap.TERMINATE_OTHER, 1), (Overlap.ALLOW_ALL, 10)):
        clock = HandClock()
        path = tmp_path / overlap
        async with running(path, clock=clock) as rig:
            await rig.create("* * * * *", policies=policies(CatchUpMode.ALL, overlap=overlap))
            await rig.run_until(0.1)
        clock.move(635 * SECOND)
        target = HandTarget(clock, hold=asyncio.Event())
        async with running(path, clock=clock, target=target) as rig:
            await work_off(rig)
            assert rig.engine.dispatcher.running == running_at_once
            assert target.hold is not None
            target.hold.set()
            await work_off(rig)
            assert [run.state for run in await executions(rig)] == [ExecutionState.FINISHED] * 10
            assert target.nominal_s() == [MINUTE * n for n in range(1, 11)]
            assert not target.forced


async def test_schedule_that_ended_meanwhile_is_completed_after_its_backlog(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.create("* * * * *", policies=policies(CatchUpMode.ALL))
        await rig.schedules.update(JOB, lambda old: ending(old, 5 * MINUTE + 1), ASKING)
        await rig.run_until(0.1)
    clock.move(3600 * SECOND)
    target = HandTarget(clock, hold=asyncio.Event())
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await work_off(rig)
        assert (await rig.store.schedule(JOB)).state is ScheduleState.ENABLED
        assert target.hold is not None
        target.hold.set()
        await work_off(rig)
        assert target.nominal_s() == [MINUTE * n for n in range(1, 6)]
        assert (await rig.store.schedule(JOB)).state is ScheduleState.COMPLETED


def ending(schedule: Schedule, second: int) -> Schedule:
    return replace(schedule, when=replace(schedule.when, end_us=START_US + second * SECOND))


async def test_crash_after_the_first_of_two_rounds_for_a_schedule_loses_nothing_of_the_second(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    chosen = Policies(overlap=Overlap.ALLOW_ALL, catch_up=CatchUp(grace=timedelta(minutes=5)))
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create("* * * * * *", policies=chosen)
        await rig.run_until(0.1)
    clock.move(150 * SECOND)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.settle()  # The next round would come a little later.
        assert len(await executions(rig)) < 150
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(153)
        assert sorted(set(target.nominal_s())) == list(range(1, 154))
