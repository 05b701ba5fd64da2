"""Follow-ups: what an execution's end sets going, over crashes too."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schedd.core.errors import UnavailableError
from schedd.core.model.batch import RecordBatch
from schedd.core.model.execution import Cause, Execution, ExecutionState, Parent
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import AfterLastRun, FollowUp, Notify, Overlap, Policies, Retry, TriggerSchedule
from schedd.core.model.query import Comparison, Operator, Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget, Payload
from schedd.engine import notifier
from schedd.service.asking import Asking
from tests.engine.rig import BROKEN, DONE, SECOND, START_US, HandClock, HandTarget, Rig, running

ANN = Asking(actor="ann")
HOOK = HttpTarget(url="http://localhost:7000/hook")
ONCE = Retry(max_attempts=1)


def name_of(name: str) -> str:
    return f"groups/default/schedules/{name}"


def then(*names: str) -> tuple[FollowUp, ...]:
    return tuple(TriggerSchedule(schedule=name_of(name)) for name in names)


def following(success: tuple[FollowUp, ...] = (), failure: tuple[FollowUp, ...] = (), **others: Any) -> Policies:
    return Policies(on_success=success, on_failure=failure, retry=ONCE, **others)


async def follower(rig: Rig, name: str = "after", policies: Policies | None = None) -> Schedule:
    return await rig.create("@yearly", name=name, policies=policies)


async def runs_of(rig: Rig, name: str = "after") -> list[Execution]:
    where = (Comparison(field="schedule", operator=Operator.EQUAL, value=name_of(name)),)
    return list((await rig.store.find_executions(where, Order(field="execution"), PageRequest(size=1000))).items)


def called(rig: Rig) -> list[str]:
    """The schedules that were called, in order; notices with the port of their hook."""
    return [
        request.schedule.schedule + (":7000" if request.target == HOOK or "7000" in _url(request.target) else "")
        for _, request in rig.target.requests
    ]


def _url(target: object) -> str:
    return target.url if isinstance(target, HttpTarget) else ""


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(DONE, ["job", "good"]), (BROKEN, ["job", "bad"])],
)
async def test_success_and_failure_are_followed_each_by_its_own(tmp_path: Path, answer: Any, expected: list[str]) -> None:
    async with running(tmp_path / "db") as rig:
        await follower(rig, "good")
        await follower(rig, "bad")
        rig.target.answers = [answer]
        await rig.create("rate(1 minute)", policies=following(then("good"), then("bad")))
        await rig.run_until(70)
        assert called(rig) == expected


async def test_execution_that_follows_names_its_parent_and_runs_at_its_end(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await follower(rig)
        parent = await rig.create("rate(1 minute)", policies=following(then("after")))
        await rig.run_until(70)
        (first,) = await runs_of(rig, "job")
        (run,) = await runs_of(rig)
        assert (run.cause, run.outcome, run.nominal_us) == (Cause.FOLLOW_UP, Outcome.SUCCEEDED, first.finished_us)
        assert run.origin is not None
        assert run.origin.parent == Parent(parent.name, first.id)
        armed = [entry for entry in await rig.journal(JournalKind.EXECUTION_ARMED) if entry.schedule == run.schedule]
        assert [entry.evidence for entry in armed] == [{"parent_execution": first.id}]


async def test_failure_is_followed_after_the_last_attempt_alone(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await follower(rig)
        rig.target.answers = [BROKEN, BROKEN, BROKEN]
        job = await rig.create("@yearly", policies=replace(following((), then("after")), retry=Retry(max_attempts=3, jitter=0)))
        await rig.schedules.trigger(job.name, ANN)
        await rig.run_until(60)
        assert called(rig) == ["job", "job", "job", "after"]


async def test_what_did_not_run_or_was_cancelled_is_not_followed(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await follower(rig)
        rig.target.hold = asyncio.Event()
        await rig.create("rate(1 minute)", policies=following(then("after"), then("after")))
        await rig.run_until(130)
        cancelled, skipped = await runs_of(rig, "job")
        assert skipped.outcome is Outcome.SKIPPED
        await rig.engine.cancel(cancelled.id, actor="ann")
        await rig.settle()
        assert await runs_of(rig) == []


async def test_chain_of_follow_ups_runs_to_its_end(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await follower(rig, "c")
        await follower(rig, "b", following(then("c")))
        await rig.create("rate(1 minute)", name="a", policies=following(then("b")))
        await rig.run_until(70)
        assert called(rig) == ["a", "b", "c"]


async def test_ends_in_one_instant_are_each_followed_by_an_execution_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await follower(rig, policies=Policies(overlap=Overlap.BUFFER_ALL))
        for name in ("a", "b", "c"):
            await rig.create("rate(1 minute)", name=name, policies=following(then("after")))
        await rig.run_until(61)
        runs = await runs_of(rig)
        assert [run.nominal_us - START_US - 60 * SECOND for run in runs] == [0, 1, 2]
        assert len({run.delivery_key for run in runs}) == 3
        assert {run.outcome for run in runs} == {Outcome.SUCCEEDED}


async def test_schedule_that_follows_goes_by_its_own_overlap_policy(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await follower(rig)
        await rig.create("rate(1 minute)", policies=following(then("after", "after")))
        rig.target.hold = hold = asyncio.Event()
        await rig.run_until(60)
        rig.target.hold = asyncio.Event()
        hold.set()
        await rig.run_until(70)
        first, second = await runs_of(rig)
        assert (first.state, second.outcome, second.reason) == (ExecutionState.RUNNING, Outcome.SKIPPED, Reason.OVERLAP)


async def test_paused_disabled_and_completed_schedules_follow_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        paused = await follower(rig, "paused")
        await rig.pauses.pause(paused.name, ANN)
        disabled = await follower(rig, "disabled")
        rig.engine.keeper.quarantine(disabled.row, Reason.UNFORESEEN, "broken")
        await rig.create("at(2026-01-01T00:00:10)", name="completed", policies=Policies(max_runs=1))
        await rig.create("rate(1 minute)", policies=following(then("paused", "disabled", "completed")))
        await rig.run_until(70)
        assert called(rig) == ["completed", "job", "paused", "disabled", "completed"]


async def test_deleted_and_missing_schedules_are_left_out_with_the_reason_in_the_journal(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        gone = await follower(rig, "gone")
        await rig.create("rate(1 minute)", policies=following(then("gone")))
        await rig.schedules.delete(gone.name, ANN)
        await rig.run_until(70)
        (first,) = await runs_of(rig, "job")
        (entry,) = await rig.journal(JournalKind.EXECUTION_FOLLOWED_UP)
        assert (entry.reason, entry.outcome, entry.execution and entry.execution.id) == (Reason.DELETED, None, first.id)
        assert entry.evidence == {"follow_up": "on_success[0]", "schedule": name_of("gone")}


async def test_schedule_that_ends_with_this_run_is_followed(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await follower(rig)
        ending = following(then("after"), max_runs=1, after_last_run=AfterLastRun.DELETE)
        await rig.create("rate(1 minute)", policies=ending)
        await rig.run_until(130)
        assert called(rig) == ["job", "after"]


async def test_manual_run_is_followed_too(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await follower(rig)
        job = await rig.create("@yearly", policies=following(then("after")))
        await rig.schedules.trigger(job.name, ANN)
        await rig.settle()
        assert called(rig) == ["job", "after"]


async def test_redelivered_end_is_followed_anew(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await follower(rig, "good")
        await follower(rig, "bad")
        rig.target.answers = [BROKEN]
        job = await rig.create("@yearly", policies=following(then("good"), then("bad")))
        await rig.schedules.trigger(job.name, ANN)
        await rig.settle()
        (first,) = await runs_of(rig, "job")
        await rig.engine.redeliver(first, actor="ann")
        await rig.settle()
        assert called(rig) == ["job", "bad", "job", "good"]


async def test_schedule_without_follow_ups_has_its_ends_not_looked_at(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        plain, followed = await follower(rig, "plain"), await follower(rig, "followed", following(then("plain")))
        definitions: Any = await rig.engine.definitions.load([plain.row, followed.row])
        assert [definitions[row].ends_count for row in (plain.row, followed.row)] == [False, True]


class Crash(Exception):
    """The process is gone."""


@pytest.mark.parametrize("after_commit", [False, True])
async def test_crash_at_the_commit_neither_loses_nor_doubles_what_follows(tmp_path: Path, after_commit: bool) -> None:
    """Before the commit nothing has happened, and the attempt is made again; after it, what follows is armed and runs at the next start."""
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await follower(rig)
        await rig.create("@yearly", name="job", policies=following(then("after"), (), overlap=Overlap.ALLOW_ALL))
        record = rig.store.record

        async def dying(batch: RecordBatch) -> frozenset[int]:
            if batch.followed:
                if after_commit:
                    await record(batch)
                await asyncio.Event().wait()  # The process is gone here: nothing further happens in it.
            return await record(batch)

        rig.store.record = dying  # type: ignore[method-assign]
        await rig.schedules.trigger(ScheduleName(group="default", schedule="job"), ANN)
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert called(rig) == ["job"]
    clock.move(SECOND)
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.settle()
        assert called(rig) == (["after"] if after_commit else ["job", "after"])
        assert [run.outcome for run in await runs_of(rig)] == [Outcome.SUCCEEDED]


async def test_follow_up_armed_before_a_restart_survives_a_change_of_its_schedule(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        after = await follower(rig)
        job = await rig.create("@yearly", policies=following(then("after")))
        rig.target.hold = asyncio.Event()
        await rig.schedules.trigger(job.name, ANN)
        await rig.settle()
        draining = asyncio.get_running_loop().create_task(rig.engine.dispatcher.drain())
        await asyncio.sleep(0)
        rig.target.hold.set()
        await draining
        await rig.settle()
        assert [run.state for run in await runs_of(rig)] == [ExecutionState.ARMED]
        await rig.schedules.update(after.name, lambda before: replace(before, description="changed"), ANN)
        await rig.settle()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.settle()
        assert called(rig) == ["after"]


async def test_store_that_refuses_for_a_while_loses_nothing_that_follows(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await follower(rig)
        await rig.create("rate(1 minute)", policies=following(then("after")))
        record, read, refusals = rig.store.record, rig.store.schedule, [1, 2]

        async def refusing(batch: RecordBatch) -> frozenset[int]:
            if batch.followed and refusals:
                refusals.pop()
                raise UnavailableError(reason="STORE_FULL", description="the disk is full")
            return await record(batch)

        async def unreadable(name: ScheduleName) -> Schedule:
            if len(refusals) == 2:
                refusals.append(3)
                raise UnavailableError(reason="STORE_CANNOT_READ", description="no")
            return await read(name)

        rig.store.record, rig.store.schedule = refusing, unreadable  # type: ignore[method-assign]
        await rig.run_until(70)
        assert (called(rig), refusals) == (["job", "after"], [])


# Notices


async def test_notice_has_the_execution_as_payload_and_keys_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.answers = [BROKEN]
        await rig.create("rate(1 minute)", policies=following((), (Notify(target=HOOK),)))
        await rig.run_until(70)
        (first,) = await runs_of(rig, "job")
        _, (_, request) = rig.target.requests
        assert isinstance(request.target, HttpTarget)
        told = json.loads(request.target.payload.content)
        assert (told["outcome"], told["reason"], told["attempts"][0]["code"]) == ("OUTCOME_FAILED", "REASON_HTTP_STATUS", 500)
        assert told["delivery_key"] == first.delivery_key
        assert (request.execution_id, request.cause, request.attempt) == (first.id, Cause.FOLLOW_UP, 1)
        assert dict(request.target.headers)["Idempotency-Key"] == "{{ delivery_key }}/on_failure[0]/{{ attempt }}"


async def test_notice_with_a_body_of_its_own_sends_that(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        own = replace(HOOK, payload=Payload(content=b"{{ schedule }} is through"))
        await rig.create("rate(1 minute)", policies=following((Notify(target=own),)))
        await rig.run_until(70)
        assert [request.target.payload for _, request in rig.target.requests[1:] if isinstance(request.target, HttpTarget)] == [own.payload]


@pytest.mark.parametrize(
    ("answer", "reason"), [(DONE, Reason.COMPLETED), (BROKEN, Reason.HTTP_STATUS), (ValueError("x"), Reason.TARGET_ERROR)]
)
async def test_notice_is_made_once_whatever_is_answered_and_the_journal_says_what(tmp_path: Path, answer: Any, reason: Reason) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.answers = [DONE, answer]
        job = await rig.create("@yearly", policies=following((Notify(target=HOOK),)))
        await rig.schedules.trigger(job.name, ANN)
        await rig.run_until(120)
        assert called(rig) == ["job", "job:7000"]
        (entry,) = await rig.journal(JournalKind.EXECUTION_FOLLOWED_UP)
        assert (entry.reason, entry.outcome) == (reason, None)
        assert (entry.evidence["follow_up"], entry.evidence["host"]) == ("on_success[0]", "http://localhost:7000")
        assert await rig.store.notices() == ()


async def hold_the_second(rig: Rig, job: Schedule) -> None:
    """Run a schedule; its call is answered, and the one after it hangs."""
    deliver = rig.target.deliver

    async def delivering(request: Any) -> Any:
        if rig.target.requests:
            rig.target.hold = asyncio.Event()
        return await deliver(request)

    rig.target.deliver = delivering  # type: ignore[method-assign]
    await rig.schedules.trigger(job.name, ANN)
    await rig.settle()


async def test_notice_cut_off_by_a_crash_is_made_again_with_the_same_keys(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        job = await rig.create("@yearly", policies=following((Notify(target=HOOK),)))
        release = rig.target.deliver
        await hold_the_second(rig, job)
        target.deliver = release  # type: ignore[method-assign]
        assert called(rig) == ["job", "job:7000"]
    target.hold = None
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.settle()
        assert called(rig) == ["job", "job:7000", "job:7000"]
        assert target.requests[1][1] == target.requests[2][1]
        assert await rig.store.notices() == ()
    async with running(tmp_path / "db", clock=clock, target=target) as rig:
        await rig.settle()
        assert len(target.requests) == 3


async def test_hook_that_hangs_keeps_other_hooks_and_runs_from_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        hanging = replace(HOOK, url="http://localhost:6000/")
        deliver = rig.target.deliver
        begun: list[str] = []

        async def hang(request: Any) -> Any:
            begun.append(request.target.url)
            if request.target.url == hanging.url:
                await asyncio.Event().wait()
            return await deliver(request)

        rig.target.deliver = hang  # type: ignore[method-assign]
        policies = following((Notify(target=hanging), Notify(target=HOOK)), overlap=Overlap.SKIP)
        await rig.create("rate(1 minute)", policies=policies)
        await rig.run_until(10 * 60 + 1)
        assert begun.count("http://localhost/") == begun.count(HOOK.url) == 10
        assert begun.count(hanging.url) == notifier.CALLS_MOST_TO_HOST


async def test_hook_with_many_notices_takes_turns_with_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "CALLS_MOST", notifier.CALLS_MOST_TO_HOST)
    async with running(tmp_path / "db") as rig:
        slow = replace(HOOK, url="http://localhost:6000/")
        deliver, turns, begun = rig.target.deliver, asyncio.Semaphore(0), list[str]()

        async def take_turns(request: Any) -> Any:
            begun.append(request.target.url)
            if request.target.url == slow.url:
                await turns.acquire()
            return await deliver(request)

        rig.target.deliver = take_turns  # type: ignore[method-assign]
        busy = await rig.create("@yearly", name="busy", policies=following((Notify(target=slow),), overlap=Overlap.ALLOW_ALL))
        calm = await rig.create("@yearly", name="calm", policies=following((Notify(target=HOOK),)))
        for _ in range(20):
            await rig.schedules.trigger(busy.name, ANN)
            rig.clock.move(1)
        await rig.schedules.trigger(calm.name, ANN)
        await rig.settle()
        assert (begun.count(slow.url), begun.count(HOOK.url)) == (notifier.CALLS_MOST_TO_HOST, 0)
        for _ in range(2):
            turns.release()
            await rig.settle()
        assert begun.count(HOOK.url) == 1


async def test_notices_beyond_what_may_wait_are_left_out_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "WAITING_MOST", 1)
    async with running(tmp_path / "db") as rig:
        await rig.create("rate(1 minute)", policies=following((Notify(target=HOOK), Notify(target=HOOK))))
        await rig.run_until(70)
        entries = [entry for entry in await rig.journal(JournalKind.EXECUTION_FOLLOWED_UP) if entry.reason is Reason.CONCURRENCY]
        assert [entry.evidence for entry in entries] == [{"follow_up": "on_success[1]", "limit": 1}]
        assert called(rig) == ["job", "job:7000"]
