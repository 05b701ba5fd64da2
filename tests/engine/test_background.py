"""The background at the gates: behind what is on time, within its share of each limit, in nobody's way where it is stuck, not starved."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from schedd.core.model.execution import Cause, ExecutionState
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import CatchUp, CatchUpMode, Concurrency, Hold, Overlap, Policies, Retry
from schedd.core.model.reason import Outcome
from schedd.core.model.schedule import ScheduleName
from schedd.engine.engine import EngineSettings
from schedd.engine.limits import AttemptLimits
from schedd.engine.planner import Pace
from schedd.service.asking import Asking
from schedd.service.backfills import BackfillDraft
from tests.engine.hosts import Hosts, executions
from tests.engine.rig import SECOND, START_US, HandClock, Rig, running

ASKING = Asking(actor="ann")
URL = "http://slow/"
OTHER = "http://other/"


def name(schedule: str) -> ScheduleName:
    return ScheduleName(group="default", schedule=schedule)


def minutes(count: int) -> BackfillDraft:
    """The last minutes before the start of the test, all at once."""
    return BackfillDraft(start_us=START_US - count * 60 * SECOND, end_us=START_US, overlap=Overlap.ALLOW_ALL, rate_per_second=1000)


def keyed(limit: int, when_full: Hold = Hold.WAIT) -> Policies:
    return Policies(concurrency=Concurrency(key="db", limit=limit, when_full=when_full), overlap=Overlap.ALLOW_ALL)


async def under_way(rig: Rig) -> list[str]:
    return [run.schedule.schedule for run in await executions(rig) if run.state is ExecutionState.RUNNING]


async def test_background_goes_behind_what_is_on_time_whatever_the_priorities(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, hung={URL})
    async with running(tmp_path / "db", clock=clock, target=target, settings=EngineSettings(limits=AttemptLimits(running=1))) as rig:
        await rig.create("* * * * *", name="holder", url=URL, policies=Policies(overlap=Overlap.SKIP))
        await rig.create("* * * * *", name="past", url=OTHER, policies=Policies(priority=9))
        await rig.run_until(60.5)
        await rig.pauses.pause(name("past"), ASKING)
        await rig.backfills.start(name("past"), minutes(2), ASKING)
        await rig.run_until(62)
        await rig.create("cron(3 0 * * ? *)", name="live", url=OTHER, policies=Policies(priority=0))
        await rig.run_until(181)
        target.hung.clear()
        target.let_go()
        await rig.settle()
        assert [each for each in target.called() if each != "holder"][-3:] == ["live", "past", "past"]


async def test_background_that_has_waited_long_enough_is_not_starved(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, hung={URL})
    async with running(tmp_path / "db", clock=clock, target=target, settings=EngineSettings(limits=AttemptLimits(running=1))) as rig:
        await rig.create("cron(1 0 * * ? *)", name="holder", url=URL)
        await rig.create("cron(0 23 * * ? *)", name="past", url=OTHER)
        await rig.run_until(61)
        hours = BackfillDraft(start_us=START_US - 2 * 3600 * SECOND, end_us=START_US, overlap=Overlap.ALLOW_ALL, rate_per_second=1000)
        await rig.backfills.start(name("past"), hours, ASKING)
        for minute in (10, 12):
            await rig.create(f"cron({minute} 0 * * ? *)", name=f"live-{minute}", url=OTHER)
        await rig.run_until(721)
        target.let_go()
        await rig.settle()
        assert target.called() == ["holder", "live-10", "past", "live-12"]


async def test_background_gets_its_share_of_a_key_and_follows_its_limit(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=Hosts(clock, hung={URL})) as rig:
        await rig.create("*/2 * * * *", name="past", url=URL, policies=keyed(4))
        await rig.create("* * * * *", name="live", url=URL, policies=keyed(4))
        await rig.backfills.start(name("past"), minutes(40), ASKING)
        await rig.run_until(5)
        assert await under_way(rig) == ["past"] * 3
        await rig.run_until(60)
        assert await under_way(rig) == [*["past"] * 3, "live"]
        for schedule in ("past", "live"):
            stored = await rig.store.schedule(name(schedule))
            await rig.engine.registry.change(stored, replace(stored, policies=keyed(12)))
        await rig.run_until(65)
        background = [run for run in await executions(rig) if run.cause is Cause.BACKFILL]
        assert sum(run.state is ExecutionState.RUNNING for run in background) == 9


async def test_background_waits_where_what_is_on_time_is_skipped(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, hung={URL})
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create("* * * * *", name="past", url=URL, policies=keyed(1, Hold.SKIP))
        await rig.backfills.start(name("past"), minutes(5), ASKING)
        await rig.run_until(10)
        assert [run.outcome for run in await executions(rig)] == [None] * 5
        target.hung.clear()
        target.let_go()
        await rig.run_until(20)
        assert [run.outcome for run in await executions(rig)] == [Outcome.SUCCEEDED] * 5


async def test_background_held_longer_than_its_max_age_runs_all_the_same(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, hung={URL})
    policies = replace(keyed(1), retry=Retry(max_age=timedelta(minutes=1)))
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.create("0 0 * * *", name="past", url=URL, policies=policies)
        days = BackfillDraft(start_us=START_US - 86_400 * 3 * SECOND, end_us=START_US, overlap=Overlap.ALLOW_ALL, rate_per_second=1000)
        await rig.backfills.start(name("past"), days, ASKING)
        await rig.run_until(130)
        target.hung.clear()
        target.let_go()
        await rig.run_until(140)
        assert [run.outcome for run in await executions(rig)] == [Outcome.SUCCEEDED] * 3


async def test_background_stuck_at_a_host_leaves_the_background_of_others_alone(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, hung={URL})
    async with running(tmp_path / "db", clock=clock) as rig:
        for number in range(60):
            await rig.create("* * * * *", name=f"stuck-{number}", url=URL)
        for number in range(20):
            await rig.create("* * * * *", name=f"well-{number}", url=OTHER)
        await rig.run_until(0.1)
    clock.move(95 * SECOND)
    settings = EngineSettings(limits=AttemptLimits(running=16), pace=Pace(late_at_once=5, late_in_memory=12))
    async with running(tmp_path / "db", clock=clock, target=target, settings=settings) as rig:
        await rig.run_until(115)
        assert sum(each.startswith("well") for each in target.called()) == 20
        assert sum(each.startswith("stuck") for each in target.called()) == 9
        assert rig.engine.dispatcher.gates.waiting <= 12
        target.hung.clear()
        target.let_go()
        await rig.run_until(119)
        assert len(set(target.called())) == 80
        assert not [entry for entry in await rig.journal(JournalKind.EXECUTION_FINISHED) if entry.outcome is not Outcome.SUCCEEDED]


async def test_late_ones_of_a_schedule_that_wait_in_another_order_than_theirs_all_run(tmp_path: Path) -> None:
    catch_up = CatchUp(mode=CatchUpMode.ALL, window=timedelta(hours=1))
    async with running(tmp_path / "db") as rig:
        await rig.create("*/30 * * * * *", policies=Policies(catch_up=catch_up, overlap=Overlap.BUFFER_ONE))
        rig.target.hold = asyncio.Event()
        await rig.run_until(31)
        rig.clock.suspend(144 * SECOND)  # The occurrence at 150 is late and no misfire: it is armed before those that are caught up.
        await rig.settle()
        rig.target.hold.set()
        await rig.run_until(176)
        assert sorted(rig.target.nominal_s()) == [30, 60, 90, 120, 150]
