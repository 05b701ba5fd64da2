"""Concurrency: what becomes of executions that are due when a limit is reached, of a key, of a host, or of everything."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from schedd.core.breaker import BreakerPolicy
from schedd.core.model.execution import ExecutionState
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import Concurrency, Hold, Overlap, Policies, Retry
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import ScheduleState
from schedd.engine import gatekeeper
from schedd.engine.engine import EngineSettings
from schedd.engine.limits import AttemptLimits
from schedd.service.asking import Asking
from tests.engine.hosts import Hosts, executions, queued, told
from tests.engine.rig import BROKEN, SECOND, HandClock, Rig, running

URL = "http://slow/"
OTHER = "http://other/"
WAITS = (ExecutionState.QUEUED, None, Reason.CONCURRENCY)
RUNS = (ExecutionState.RUNNING, None, Reason.NONE)
DONE = (ExecutionState.FINISHED, Outcome.SUCCEEDED, Reason.COMPLETED)
SKIPPED = (ExecutionState.FINISHED, Outcome.SKIPPED, Reason.CONCURRENCY)

ONE_AT_A_TIME = EngineSettings(limits=AttemptLimits(running=1))


def keyed(limit: int = 1, when_full: Hold = Hold.WAIT, **others: object) -> Policies:
    return replace(Policies(concurrency=Concurrency(key="db", limit=limit, when_full=when_full)), **others)  # type: ignore[arg-type]


def hanging(clock: HandClock) -> Hosts:
    return Hosts(clock, hung={URL})


async def let_go(rig: Rig) -> None:
    assert isinstance(rig.target, Hosts)
    rig.target.let_go()
    await rig.settle()


async def test_key_at_its_limit_makes_others_wait_and_they_run_when_it_has_room(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=hanging(clock)) as rig:
        for name in "abc":
            await rig.create(name=name, policies=keyed(2), url=URL)
        await rig.run_until(61)
        assert await told(rig) == [("a", *RUNS), ("b", *RUNS), ("c", *WAITS)]
        (entry,) = await queued(rig)
        assert (entry.reason, entry.evidence) == (Reason.CONCURRENCY, {"limited_by": "key", "key": "db", "limit": 2, "running": 2})
        await let_go(rig)
        assert await told(rig) == [("a", *DONE), ("b", *DONE), ("c", *RUNS)]
        assert len(await queued(rig)) == 1


async def test_key_at_its_limit_skips_where_the_policy_says_so(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=hanging(clock)) as rig:
        for name in "abc":
            await rig.create(name=name, policies=keyed(1, Hold.SKIP), url=URL)
        await rig.run_until(61)
        assert await told(rig) == [("a", *RUNS), ("b", *SKIPPED), ("c", *SKIPPED)]
        await let_go(rig)
        await rig.run_until(121)
        ends = await rig.journal(JournalKind.EXECUTION_FINISHED)
        evidence = [entry.evidence for entry in ends if entry.outcome is Outcome.SKIPPED]
        assert evidence == [{"limited_by": "key", "key": "db", "limit": 1, "running": 1}] * 4


async def test_skip_holds_also_while_everything_is_taken(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=hanging(clock), settings=ONE_AT_A_TIME) as rig:
        await rig.create(name="a", policies=keyed(1, Hold.SKIP), url=URL)
        await rig.create("cron(1 * * * ? *)", name="b", policies=keyed(1, Hold.SKIP), url=OTHER)
        await rig.run_until(61)
        assert await told(rig) == [("a", *RUNS), ("b", *SKIPPED)]


async def test_buffered_ones_of_a_schedule_that_skips_are_skipped_in_turn(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=hanging(clock)) as rig:
        await rig.create("rate(1 hour)", name="holder", policies=keyed(2, priority=9), url=URL)
        await rig.create("rate(10 minutes)", name="z", policies=keyed(2, Hold.SKIP, overlap=Overlap.BUFFER_ALL), url=URL)
        await rig.run_until(3605)
        assert (await told(rig)).count(("z", ExecutionState.QUEUED, None, Reason.OVERLAP)) == 5
        await rig.create("rate(30 days)", name="lower", policies=keyed(1), url=URL)
        first = next(run for run in await executions(rig) if run.schedule.schedule == "z")
        await rig.engine.cancel(first.id, actor="ann")
        await rig.settle()
        assert (await told(rig)).count(("z", *SKIPPED)) == 5


async def test_lowest_limit_of_a_key_holds_and_follows_changes_and_deletion(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=hanging(clock)) as rig:
        for name in "abcd":
            await rig.create(name=name, policies=keyed(3), url=URL)
        low = await rig.create("rate(30 days)", name="low", policies=keyed(1), url=URL)
        await rig.run_until(61)
        assert [each[1:] for each in await told(rig)].count(RUNS) == 1
        wider = await rig.engine.registry.change(low, replace(low, policies=keyed(2)))
        await rig.settle()
        assert [each[1:] for each in await told(rig)].count(RUNS) == 2
        await rig.engine.registry.change(wider, replace(wider, state=ScheduleState.DELETED, deleted_us=clock.now_us()))
        await rig.settle()
        assert [each[1:] for each in await told(rig)].count(RUNS) == 3


async def test_lowest_limit_of_a_key_holds_after_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        for name in "abc":
            await rig.create(name=name, policies=keyed(3), url=URL)
        await rig.create("rate(30 days)", name="low", policies=keyed(1), url=URL)
    async with running(tmp_path / "db", clock=clock, target=hanging(clock)) as rig:
        await rig.run_until(61)
        assert [each[1:] for each in await told(rig)] == [RUNS, WAITS, WAITS]


async def test_waiting_executions_are_admitted_anew_after_a_restart_in_order_and_told_of_once(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=hanging(clock)) as rig:
        for name, priority in (("a", 9), ("b", 5), ("c", 8), ("d", 1)):
            await rig.create("rate(1 hour)", name=name, policies=keyed(1, priority=priority), url=URL)
        await rig.run_until(3601)
        assert await told(rig) == [("a", *RUNS), ("b", *WAITS), ("c", *WAITS), ("d", *WAITS)]
    async with running(tmp_path / "db", clock=clock, target=hanging(clock)) as rig:
        await rig.settle()
        assert await told(rig) == [("a", *RUNS), ("b", *WAITS), ("c", *WAITS), ("d", *WAITS)]
        assert len(await queued(rig)) == 3
        for _ in range(4):
            await let_go(rig)
        assert isinstance(rig.target, Hosts)
        assert rig.target.called() == ["a", "c", "b", "d"]
        assert [each[1:] for each in await told(rig)] == [DONE] * 4


async def test_host_at_its_limit_holds_up_no_other_host(tmp_path: Path) -> None:
    clock = HandClock()
    settings = EngineSettings(limits=AttemptLimits(running=4, per_host=2))
    async with running(tmp_path / "db", clock=clock, target=hanging(clock), settings=settings) as rig:
        for name in ("a1", "a2", "a3", "a4", "a5"):
            await rig.create(name=name, policies=Policies(priority=9), url=URL)
        await rig.create(name="b", policies=Policies(priority=0), url=OTHER)
        await rig.run_until(60.5)
        assert (await told(rig))[5] == ("b", *DONE)
        assert [entry.schedule for entry in await queued(rig)] == [], "a second has not passed"
        await rig.run_until(61.5)
        assert [each[1:] for each in await told(rig)] == [RUNS, RUNS, WAITS, WAITS, WAITS, DONE]
        assert {tuple(entry.evidence.items()) for entry in await queued(rig)} == {
            (("limited_by", "host"), ("limit", 2), ("running", 2), ("host", "http://slow:80"))
        }


@pytest.mark.parametrize(("running_most", "per_host", "of_host"), [(256, 64, 64), (64, 64, 48), (4, 64, 3), (1, 64, 1), (256, 1, 1)])
def test_host_may_never_take_more_than_three_quarters_of_all_slots(running_most: int, per_host: int, of_host: int) -> None:
    assert AttemptLimits(running=running_most, per_host=per_host).of_host == of_host


async def test_global_limit_makes_wait_and_says_so(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, hung={URL, OTHER})
    async with running(tmp_path / "db", clock=clock, target=target, settings=ONE_AT_A_TIME) as rig:
        await rig.create(name="a", url=URL)
        await rig.create(name="b", url=OTHER)
        await rig.run_until(62)
        assert await told(rig) == [("a", *RUNS), ("b", *WAITS)]
        (entry,) = await queued(rig)
        assert entry.evidence == {"limited_by": "global", "limit": 1, "running": 1}


async def test_priority_decides_who_goes_first_and_age_outweighs_it(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, hung={URL})
    async with running(tmp_path / "db", clock=clock, target=target, settings=ONE_AT_A_TIME) as rig:
        await rig.create("cron(1 0 * * ? *)", name="holder", url=URL)
        for minute, name, priority in ((2, "old", 0), (3, "mid", 9), (4, "new", 9), (4, "low", 0)):
            await rig.create(f"cron({minute} 0 * * ? *)", name=name, policies=Policies(priority=priority), url=OTHER)
        await rig.run_until(245)
        target.let_go()
        await rig.settle()
        # A level is worth 10 s: "mid" came 60 s after "old" and is nine levels above it, "new" came 120 s after it.
        assert target.called() == ["holder", "mid", "old", "new", "low"]


async def test_retry_gives_its_slot_back_while_it_waits_for_its_time(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: BROKEN})
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        retry = Retry(max_attempts=2, min_backoff=timedelta(seconds=40), jitter=0)
        await rig.create("rate(1 hour)", name="a", policies=keyed(1, retry=retry), url=URL)
        await rig.create("rate(1 hour)", name="b", policies=keyed(1), url=OTHER)
        await rig.run_until(3601)
        assert target.called() == ["a", "b"]
        assert [each[1] for each in await told(rig)] == [ExecutionState.WAITING_RETRY, ExecutionState.FINISHED]


async def test_retry_waits_for_its_key_whatever_the_policy_says_of_occurrences(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: BROKEN}, hung={OTHER})
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        retry = Retry(max_attempts=2, min_backoff=timedelta(seconds=40), jitter=0)
        await rig.create("rate(1 hour)", name="a", policies=keyed(1, Hold.SKIP, retry=retry), url=URL)
        await rig.create("rate(1 hour)", name="b", policies=keyed(1), url=OTHER)
        await rig.run_until(3645)
        assert await told(rig) == [("a", *WAITS), ("b", *RUNS)]
        await let_go(rig)
        assert target.called() == ["a", "b", "a"]


async def test_retry_that_waits_is_taken_up_as_a_retry_after_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    retry = Retry(max_attempts=2, min_backoff=timedelta(seconds=40), jitter=0)
    async with running(tmp_path / "db", clock=clock, target=Hosts(clock, says={URL: BROKEN}, hung={OTHER})) as rig:
        await rig.create("rate(1 hour)", name="a", policies=keyed(1, Hold.SKIP, retry=retry), url=URL)
        await rig.create("rate(1 hour)", name="b", policies=keyed(1), url=OTHER)
        await rig.run_until(3645)
    target = Hosts(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.run_until(3700)
        assert [each[1:] for each in await told(rig)] == [DONE, DONE]
        assert {(request.schedule.schedule, request.attempt) for _, request in target.requests} == {("a", 2), ("b", 2)}


@pytest.mark.parametrize(
    ("fails", "end"),
    [
        (False, (ExecutionState.FINISHED, Outcome.SKIPPED, Reason.CONCURRENCY)),
        (True, (ExecutionState.FINISHED, Outcome.FAILED, Reason.RETRY_MAX_AGE)),
    ],
)
async def test_execution_held_past_its_max_age_ends(tmp_path: Path, fails: bool, end: tuple[object, ...]) -> None:
    clock = HandClock()
    target = Hosts(clock, hung={OTHER}, says={URL: BROKEN} if fails else {})
    retry = Retry(max_attempts=3, min_backoff=timedelta(seconds=5), max_age=timedelta(minutes=2), jitter=0)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        first, second = ("a", "b") if fails else ("b", "a")
        for name in (first, second):
            await rig.create(
                "rate(1 hour)",
                name=name,
                policies=keyed(1, retry=retry, priority=9 if name == first else 1),
                url=URL if name == "a" else OTHER,
            )
        await rig.run_until(3600 + 119)
        assert (await told(rig))[0] == ("a", *WAITS)
        await rig.run_until(3600 + 121)
        assert (await told(rig))[0] == ("a", *end)
        finish = (await rig.journal(JournalKind.EXECUTION_FINISHED))[-1]
        assert finish.evidence == {"limited_by": "key", "key": "db", "limit": 1, "running": 1}


async def test_catch_up_window_does_not_end_what_was_taken_up_in_time(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=hanging(clock)) as rig:
        await rig.create("rate(1 hour)", name="a", policies=keyed(), url=URL)
        await rig.create("rate(1 hour)", name="b", policies=keyed(), url=URL)
        await rig.run_until(3601)
        assert await told(rig) == [("a", *RUNS), ("b", *WAITS)]
    clock.move(10 * 3_600_000_000)  # A window of two periods has long passed; the first attempt's max_age of 24 h has not.
    async with running(tmp_path / "db", clock=clock, target=hanging(clock)) as rig:
        await rig.settle()
        held = next(run for run in await executions(rig) if run.schedule.schedule == "b")
        assert (held.state, held.outcome) == (ExecutionState.RUNNING, None)


async def test_execution_cancelled_while_it_waits_leaves_its_place(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=hanging(clock)) as rig:
        for name in "abc":
            await rig.create("rate(1 hour)", name=name, policies=keyed(), url=URL)
        await rig.run_until(3601)
        await rig.engine.cancel((await executions(rig))[1].id, actor="ann")
        await let_go(rig)
        assert await told(rig) == [("a", *DONE), ("b", ExecutionState.FINISHED, Outcome.CANCELLED, Reason.CANCELLED), ("c", *RUNS)]


async def test_execution_cancelled_between_its_turn_and_its_first_step_gives_its_slot_back(tmp_path: Path) -> None:
    clock = HandClock()
    target = hanging(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        for name in "abc":
            await rig.create("rate(1 hour)", name=name, policies=keyed(), url=URL)
        await rig.run_until(3601)
        second = next(run for run in rig.engine.runs if run.execution.schedule.schedule == "b")
        target.let_go()
        for _ in range(50):
            if second.task is None:
                await asyncio.sleep(0)
        assert second.state is ExecutionState.QUEUED
        await rig.engine.cancel(second.id, actor="ann")
        await rig.settle()
        assert await told(rig) == [("a", *DONE), ("b", ExecutionState.FINISHED, Outcome.CANCELLED, Reason.CANCELLED), ("c", *RUNS)]
        assert rig.engine.dispatcher.running == 1


async def test_executions_held_aside_do_not_keep_the_planner_from_arming(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=hanging(clock)) as rig:
        for n in range(30):
            await rig.create("rate(1 hour)", name=f"s{n}", policies=keyed(1), url=URL)
        await rig.run_until(3601)
        assert rig.engine.dispatcher.gates.aside == 29
        assert rig.engine.dispatcher.waiting == 0


@pytest.mark.timeout(20)  # What never yields to the loop cannot be told from outside.
async def test_drain_while_one_waits_for_a_slot_lets_the_loop_rest(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=hanging(clock), settings=ONE_AT_A_TIME) as rig, asyncio.TaskGroup() as tasks:
        await rig.create(name="a", url=URL)
        await rig.create(name="b", url=OTHER)
        await rig.run_until(60.5)
        drained = tasks.create_task(rig.engine.drain(timedelta(minutes=1)))
        await rig.run_until(63)  # By now the journal would tell that b waits.
        assert not drained.done()
        await let_go(rig)
        await drained
        assert await told(rig) == [("a", *DONE), ("b", ExecutionState.ARMED, None, Reason.NONE)]


async def many_waiting(rig: Rig, count: int, policies: Policies) -> None:
    """One execution that hangs, and so many behind it that have just come due and not been told of."""
    job = await rig.create("@yearly", name="many", policies=replace(policies, overlap=Overlap.ALLOW_ALL), url=URL)
    for _ in range(count + 1):
        await rig.schedules.trigger(job.name, Asking(actor="ann"))
        rig.clock.move(1)
    await rig.settle()
    assert rig.engine.dispatcher.gates.waiting == count


async def test_many_that_wait_are_told_of_and_ended_in_portions(tmp_path: Path) -> None:
    clock, most = HandClock(), 300
    settings = EngineSettings(limits=AttemptLimits(per_host=1))
    async with running(tmp_path / "db", clock=clock, target=hanging(clock), settings=settings) as rig:
        await many_waiting(rig, most, Policies(retry=Retry(max_attempts=1, max_age=timedelta(minutes=1))))
        gates, now = rig.engine.dispatcher.gates, rig.engine.recorder
        rig.clock.move(2 * SECOND)
        gates.look(rig.clock.now_us())
        assert now.backlog == gatekeeper.AT_ONCE
        await rig.settle()
        assert len(await queued(rig)) == most
        rig.clock.move(60 * SECOND)
        gates.look(rig.clock.now_us())
        assert now.backlog == gatekeeper.AT_ONCE
        await rig.settle()
        assert gates.waiting == 0


async def test_many_that_a_circuit_skips_are_ended_in_portions(tmp_path: Path) -> None:
    clock, most = HandClock(), 300
    settings = EngineSettings(limits=AttemptLimits(per_host=1), breaker=BreakerPolicy(min_calls=1))
    async with running(tmp_path / "db", clock=clock, target=hanging(clock), settings=settings) as rig:
        assert isinstance(rig.target, Hosts)
        rig.target.says[URL] = BROKEN
        await many_waiting(rig, most, Policies(retry=Retry(max_attempts=1), circuit_open=Hold.SKIP))
        gates, left = rig.engine.dispatcher.gates, [most]
        rig.target.let_go()
        while gates.waiting:
            await asyncio.sleep(0)
            left.append(gates.waiting)
        assert max(before - after for before, after in pairwise(left)) < gatekeeper.AT_ONCE
