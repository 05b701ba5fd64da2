"""Backfills: a past range is worked off at its rate, in the background, once, over restarts and beside what is on time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from schedd.core.errors import InvalidError, PreconditionError, QuotaError
from schedd.core.model.backfill import Backfill, BackfillState, Progress
from schedd.core.model.execution import Cause, Execution, ExecutionState, id_text
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import Overlap, Policies, Retry
from schedd.core.model.query import Comparison, Operator, Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import ScheduleName, ScheduleState
from schedd.core.model.when import Expression, When
from schedd.engine.definitions import Definition
from schedd.engine.engine import EngineSettings
from schedd.engine.limits import AttemptLimits
from schedd.service import backfills
from schedd.service.asking import Asking
from schedd.service.backfills import BackfillDraft
from tests.engine.rig import BROKEN, DONE, SECOND, START_US, HandClock, HandTarget, Rig, running

JOB = ScheduleName(group="default", schedule="job")
ASKING = Asking(actor="ann")
HOUR = 3600
ONE_TRY = Retry(max_attempts=1)


def draft(hours: int, *, overlap: Overlap = Overlap.BUFFER_ALL, rate: float = 10.0) -> BackfillDraft:
    """The last whole `hours` before the start of the test: as many occurrences of an hourly schedule."""
    return BackfillDraft(start_us=START_US - hours * HOUR * SECOND, end_us=START_US, overlap=overlap, rate_per_second=rate)


async def executions(rig: Rig, cause: Cause = Cause.BACKFILL) -> list[Execution]:
    where = (Comparison(field="cause", operator=Operator.EQUAL, value=cause.value),)
    return list((await rig.store.find_executions(where, Order(field="nominal_time"), PageRequest(size=1000))).items)


async def hourly(rig: Rig, overlap: Overlap = Overlap.SKIP) -> None:
    await rig.create("0 * * * *", policies=Policies(overlap=overlap, retry=ONE_TRY))


async def stands(rig: Rig, backfill: Backfill) -> tuple[BackfillState, Progress]:
    now = await rig.backfills.get(JOB, backfill.id)
    return now.state, now.progress


async def test_backfill_runs_the_range_in_order_marked_and_at_its_rate(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await hourly(rig)
        made = await rig.backfills.start(JOB, draft(20, rate=2), ASKING)
        assert (made.total, made.state) == (20, BackfillState.RUNNING)
        await rig.run_until(5)
        assert len(rig.target.requests) == pytest.approx(10, abs=1)
        await rig.run_until(12)
        assert rig.target.nominal_s() == [-HOUR * n for n in range(20, 0, -1)]
        starts = [at_us for at_us, _ in rig.target.requests]
        assert all(later - earlier >= SECOND / 2 for earlier, later in pairwise(starts))
        assert {(run.cause, run.backfill, run.outcome) for run in await executions(rig)} == {(Cause.BACKFILL, made.id, Outcome.SUCCEEDED)}
        assert await stands(rig, made) == (BackfillState.FINISHED, Progress(done=20, succeeded=20))
        started, finished = await rig.journal(JournalKind.BACKFILL_STARTED, JournalKind.BACKFILL_FINISHED)
        assert (started.actor, started.reason, started.evidence["total_count"]) == ("ann", Reason.REQUESTED, 20)
        assert (finished.actor, finished.reason) == ("schedd", Reason.ENDED)


async def test_backfill_has_delivery_keys_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create("* * * * *", policies=Policies(retry=ONE_TRY))
        await rig.run_until(61)
        minute = BackfillDraft(start_us=START_US + 60 * SECOND, end_us=START_US + 61 * SECOND, overlap=Overlap.SKIP, rate_per_second=10)
        made = await rig.backfills.start(JOB, minute, ASKING)
        await rig.run_until(63)
        live, again = (request.delivery_key for _, request in rig.target.requests)
        assert again == f"{live}/{id_text(made.id)}"
        assert [run.delivery_key for run in await executions(rig)] == [again]


async def test_backfill_is_exempt_from_the_catch_up_window(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await hourly(rig)
        made = await rig.backfills.start(JOB, draft(24 * 10, rate=1000), ASKING)
        await rig.run_until(3)
        assert await stands(rig, made) == (BackfillState.FINISHED, Progress(done=240, succeeded=240))


async def test_backfill_counts_what_failed(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", target=HandTarget(clock, answers=[BROKEN, DONE, BROKEN]), clock=clock) as rig:
        await hourly(rig)
        made = await rig.backfills.start(JOB, draft(4), ASKING)
        await rig.run_until(3)
        assert await stands(rig, made) == (BackfillState.FINISHED, Progress(done=4, succeeded=2, failed=2))


@pytest.mark.parametrize(
    ("overlap", "started", "skipped"),
    [(Overlap.BUFFER_ALL, 1, 0), (Overlap.SKIP, 1, 5), (Overlap.BUFFER_ONE, 1, 4), (Overlap.ALLOW_ALL, 6, 0)],
)
async def test_backfill_goes_by_its_own_overlap_policy(tmp_path: Path, overlap: Overlap, started: int, skipped: int) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await hourly(rig, Overlap.TERMINATE_OTHER)
        made = await rig.backfills.start(JOB, draft(6, overlap=overlap), ASKING)
        await rig.run_until(3)
        assert len(rig.target.requests) == started
        assert (await stands(rig, made))[1].skipped == skipped
        rig.target.hold.set()
        await rig.run_until(5)
        assert await stands(rig, made) == (BackfillState.FINISHED, Progress(done=6, succeeded=6 - skipped, skipped=skipped))


@pytest.mark.parametrize("overlap", [Overlap.CANCEL_OTHER, Overlap.TERMINATE_OTHER])
async def test_backfill_that_ends_others_ends_with_its_last_one(tmp_path: Path, overlap: Overlap) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await hourly(rig)
        made = await rig.backfills.start(JOB, draft(4, overlap=overlap), ASKING)
        await rig.run_until(3)
        rig.target.hold.set()
        await rig.run_until(4)
        assert await stands(rig, made) == (BackfillState.FINISHED, Progress(done=4, succeeded=1))


async def test_backfill_has_few_unfinished_at_a_time(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await hourly(rig)
        await rig.backfills.start(JOB, draft(200, overlap=Overlap.ALLOW_ALL, rate=1000), ASKING)
        await rig.run_until(10)
        assert len(await executions(rig)) == len(rig.engine.runs) == 32


async def test_backfill_goes_on_right_where_it_was_after_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await hourly(rig)
        made = await rig.backfills.start(JOB, draft(30, rate=2), ASKING)
        await rig.run_until(5.2)
        first = rig.target.nominal_s()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(20)
        assert first + rig.target.nominal_s() == [-HOUR * n for n in range(30, 0, -1)]
        starts = [at_us for at_us, _ in rig.target.requests]
        assert all(later - earlier >= SECOND / 2 for earlier, later in pairwise(starts))
        assert await stands(rig, made) == (BackfillState.FINISHED, Progress(done=30, succeeded=30))


async def test_backfill_keeps_its_overlap_policy_after_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.target.hold = asyncio.Event()
        await hourly(rig)
        made = await rig.backfills.start(JOB, draft(8), ASKING)
        await rig.run_until(3)
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(6)
        assert await stands(rig, made) == (BackfillState.FINISHED, Progress(done=8, succeeded=8))


async def test_backfill_cancelled_runs_nothing_more_and_says_what_is_left(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        await hourly(rig)
        made = await rig.backfills.start(JOB, draft(100), ASKING)
        await rig.run_until(2)
        ended = await rig.backfills.cancel(JOB, made.id, actor="bob")
        assert (ended.state, ended.finished_us) == (BackfillState.CANCELLED, rig.clock.now_us())
        rig.target.hold.set()
        await rig.run_until(30)
        assert len(rig.target.requests) == 1
        runs = await executions(rig)
        assert [run.outcome for run in runs] == [Outcome.SUCCEEDED, *[Outcome.CANCELLED] * (len(runs) - 1)]
        (rest,) = await rig.journal(JournalKind.OCCURRENCES_SKIPPED)
        assert (rest.actor, rest.outcome, rest.reason) == ("bob", Outcome.CANCELLED, Reason.CANCELLED)
        assert rest.evidence["count"] == 100 - len(runs)
        assert (await stands(rig, made))[1] == Progress(done=len(runs), succeeded=1)
        assert (await rig.backfills.cancel(JOB, made.id, actor="bob")).finished_us == ended.finished_us


async def test_backfill_that_is_finished_cannot_be_cancelled(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await hourly(rig)
        made = await rig.backfills.start(JOB, draft(1), ASKING)
        await rig.run_until(3)
        with pytest.raises(PreconditionError, match="finished"):
            await rig.backfills.cancel(JOB, made.id, actor="bob")


async def test_backfill_over_another_one_skips_what_was_run_and_says_so(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await hourly(rig)
        await rig.backfills.start(JOB, draft(5), ASKING)
        await rig.run_until(3)
        made = await rig.backfills.start(JOB, draft(8), ASKING)
        await rig.run_until(6)
        assert await stands(rig, made) == (BackfillState.FINISHED, Progress(done=8, succeeded=3, skipped=5))
        skipped = await rig.journal(JournalKind.OCCURRENCES_SKIPPED)
        assert {(entry.outcome, entry.reason) for entry in skipped} == {(Outcome.SKIPPED, Reason.REQUESTED)}
        assert sum(int(entry.evidence["count"]) for entry in skipped) == 5


async def test_backfill_of_an_empty_range_is_finished_at_once(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await hourly(rig)
        range_ = BackfillDraft(start_us=START_US - 60 * SECOND, end_us=START_US, overlap=Overlap.SKIP, rate_per_second=1)
        made = await rig.backfills.start(JOB, range_, ASKING)
        await rig.settle()
        assert await stands(rig, made) == (BackfillState.FINISHED, Progress())


@pytest.mark.parametrize(
    ("overlap", "live", "past"),
    [
        (Overlap.SKIP, ExecutionState.QUEUED, None),
        (Overlap.BUFFER_ONE, ExecutionState.QUEUED, None),
        (Overlap.BUFFER_ALL, ExecutionState.QUEUED, None),
        (Overlap.CANCEL_OTHER, ExecutionState.RUNNING, Outcome.CANCELLED),
        (Overlap.TERMINATE_OTHER, ExecutionState.RUNNING, Outcome.CANCELLED),
        (Overlap.ALLOW_ALL, ExecutionState.RUNNING, None),
    ],
)
async def test_live_occurrence_during_a_backfills_execution_goes_by_its_own_policy(
    tmp_path: Path, overlap: Overlap, live: ExecutionState, past: Outcome | None
) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create("* * * * *", policies=Policies(overlap=overlap, retry=ONE_TRY))
        await rig.run_until(58)
        rig.target.hold = asyncio.Event()
        await rig.backfills.start(JOB, draft(24, rate=1), ASKING)
        await rig.run_until(60.5)
        (scheduled,) = await executions(rig, Cause.SCHEDULE)
        assert scheduled.state is live
        assert (await executions(rig))[0].outcome is past
        rig.target.hold.set()
        await rig.settle()
        assert [run.outcome for run in await executions(rig, Cause.SCHEDULE)] == [Outcome.SUCCEEDED]


async def test_second_live_occurrence_during_one_execution_of_a_backfill_is_skipped_with_its_reason(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create("* * * * *", policies=Policies(overlap=Overlap.SKIP, retry=ONE_TRY))
        rig.target.hold = asyncio.Event()
        await rig.backfills.start(JOB, draft(24), ASKING)
        await rig.run_until(121)
        first, second = await executions(rig, Cause.SCHEDULE)
        assert (first.state, first.reason) == (ExecutionState.QUEUED, Reason.OVERLAP)
        assert (second.outcome, second.reason) == (Outcome.SKIPPED, Reason.OVERLAP)


@pytest.mark.parametrize(
    ("overlap", "state", "reason"),
    [
        (Overlap.SKIP, ExecutionState.FINISHED, Reason.OVERLAP),
        (Overlap.BUFFER_ONE, ExecutionState.QUEUED, Reason.OVERLAP),
        (Overlap.BUFFER_ALL, ExecutionState.QUEUED, Reason.OVERLAP),
        (Overlap.CANCEL_OTHER, ExecutionState.QUEUED, Reason.OVERLAP),
        (Overlap.TERMINATE_OTHER, ExecutionState.QUEUED, Reason.OVERLAP),
        (Overlap.ALLOW_ALL, ExecutionState.RUNNING, Reason.NONE),
    ],
)
async def test_backfill_during_a_live_execution_goes_by_its_own_policy_and_never_ends_it(
    tmp_path: Path, overlap: Overlap, state: ExecutionState, reason: Reason
) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create("* * * * *", policies=Policies(retry=ONE_TRY))
        rig.target.hold = asyncio.Event()
        await rig.run_until(61)
        minute = BackfillDraft(start_us=START_US - 60 * SECOND, end_us=START_US, overlap=overlap, rate_per_second=10)
        await rig.backfills.start(JOB, minute, ASKING)
        await rig.run_until(63)
        (past,) = await executions(rig)
        assert (past.state, past.reason) == (state, reason)
        assert [run.state for run in await executions(rig, Cause.SCHEDULE)] == [ExecutionState.RUNNING]
        rig.target.hold.set()
        await rig.settle()
        assert not rig.target.forced
        assert [run.outcome for run in await executions(rig, Cause.SCHEDULE)] == [Outcome.SUCCEEDED]
        assert (await executions(rig))[0].outcome is (Outcome.SKIPPED if overlap is Overlap.SKIP else Outcome.SUCCEEDED)


async def test_live_occurrence_does_not_wait_for_what_of_the_background_has_not_begun(tmp_path: Path) -> None:
    settings = EngineSettings(limits=AttemptLimits(running=4))
    async with running(tmp_path / "db", settings=settings) as rig:
        rig.target.hold = asyncio.Event()
        await rig.create("0 * * * *", name="holder")
        await rig.create("* * * * *", policies=Policies(overlap=Overlap.SKIP))
        await rig.backfills.start(ScheduleName(group="default", schedule="holder"), draft(10, overlap=Overlap.ALLOW_ALL), ASKING)
        await rig.run_until(5)
        assert len(rig.target.requests) == 2, "the background has what it may have of the three slots of the host"
        await rig.backfills.start(JOB, draft(1), ASKING)
        await rig.run_until(60)
        (live,) = await executions(rig, Cause.SCHEDULE)
        assert live.state is ExecutionState.RUNNING
        past = [run for run in await executions(rig) if run.schedule == JOB]
        assert {(run.state, run.reason) for run in past} == {(ExecutionState.QUEUED, Reason.CONCURRENCY)}
        held = [entry for entry in await rig.journal(JournalKind.EXECUTION_QUEUED) if entry.schedule == JOB]
        assert held[0].evidence == {"limited_by": "background", "limit": 2, "running": 2, "background": "host http://localhost:80"}


async def test_live_occurrence_waits_for_the_backfill_instead_of_being_skipped(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create("* * * * *", policies=Policies(overlap=Overlap.SKIP, retry=ONE_TRY))
        await rig.run_until(58)
        rig.target.hold = asyncio.Event()
        await rig.backfills.start(JOB, draft(24, rate=1000), ASKING)
        await rig.run_until(61)
        (live,) = await executions(rig, Cause.SCHEDULE)
        assert (live.state, live.reason) == (ExecutionState.QUEUED, Reason.OVERLAP)
        hold, rig.target.hold = rig.target.hold, None
        hold.set()
        await rig.settle()
        assert [request.cause for _, request in rig.target.requests[:3]] == [Cause.BACKFILL, Cause.SCHEDULE, Cause.BACKFILL]


@pytest.mark.parametrize(("hosts", "taken"), [(10, 192), (1, 48)])
async def test_live_occurrences_find_a_slot_however_many_backfills_hang(tmp_path: Path, hosts: int, taken: int) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.hold = asyncio.Event()
        for number in range(10):
            await rig.create("0 * * * *", name=f"past-{number}", url=f"http://h{number % hosts}/")
            name = ScheduleName(group="default", schedule=f"past-{number}")
            await rig.backfills.start(name, draft(100, overlap=Overlap.ALLOW_ALL, rate=1000), ASKING)
        await rig.create("* * * * *", name="live", url="http://h0/")
        await rig.run_until(59)
        assert rig.engine.dispatcher.running == taken
        await rig.run_until(60.01)
        assert [request.schedule.schedule for _, request in rig.target.requests[taken:]] == ["live"]


async def test_backfill_runs_while_its_schedule_is_paused(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await hourly(rig)
        await rig.pauses.pause(JOB, ASKING)
        made = await rig.backfills.start(JOB, draft(3), ASKING)
        await rig.run_until(3)
        assert (await stands(rig, made))[0] is BackfillState.FINISHED


async def test_backfill_ends_with_its_schedule(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await hourly(rig)
        made = await rig.backfills.start(JOB, draft(100, rate=1), ASKING)
        await rig.run_until(3)
        await rig.schedules.delete(JOB, ASKING)
        await rig.run_until(10)
        assert (await stands(rig, made))[0] is BackfillState.CANCELLED
        (finished,) = await rig.journal(JournalKind.BACKFILL_FINISHED)
        assert finished.reason is Reason.DELETED
        assert len(rig.target.requests) <= 5


async def test_backfill_ends_when_the_rule_is_another(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await hourly(rig)
        made = await rig.backfills.start(JOB, draft(100, rate=1), ASKING)
        await rig.run_until(3)
        daily = When(triggers=(Expression(text="0 4 * * *"),))
        await rig.schedules.update(JOB, lambda old: replace(old, when=daily), ASKING)
        await rig.run_until(10)
        assert (await stands(rig, made))[0] is BackfillState.CANCELLED
        (rest,) = await rig.journal(JournalKind.OCCURRENCES_SKIPPED)
        assert (rest.reason, rest.evidence["count"]) == (Reason.SCHEDULE_CHANGED, 100 - len(await executions(rig)))


async def test_schedule_that_has_ended_is_completed_after_its_backfill(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create("rate(1 minute)", policies=Policies(retry=ONE_TRY))
        await rig.schedules.delete(JOB, ASKING)
        await rig.create("at(2026-01-01T00:00:02)")
        range_ = BackfillDraft(start_us=START_US, end_us=START_US + 3 * SECOND, overlap=Overlap.SKIP, rate_per_second=0.1)
        await rig.run_until(3)
        assert (await rig.store.schedule(JOB)).state is ScheduleState.COMPLETED
        made = await rig.backfills.start(JOB, range_, ASKING)
        await rig.run_until(20)
        assert await stands(rig, made) == (BackfillState.FINISHED, Progress(done=1, succeeded=1))


async def test_backfill_that_is_checked_only_is_counted_and_not_stored(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await hourly(rig)
        counted = await rig.backfills.start(JOB, draft(100), Asking(actor="ann", validate_only=True))
        await rig.run_until(3)
        assert counted.total == 100
        assert not (await rig.backfills.find((), PageRequest(size=10))).items
        assert not rig.target.requests


async def test_backfill_of_too_many_occurrences_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create("* * * * *")
        with pytest.raises(InvalidError, match="more than 100000"):
            await rig.backfills.start(JOB, draft(24 * 70), ASKING)


async def test_backfills_beyond_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfills, "RUNNING_MAX", 1)
    async with running(tmp_path / "db") as rig:
        await hourly(rig)
        await rig.backfills.start(JOB, draft(100, rate=0.1), ASKING)
        with pytest.raises(QuotaError, match="1 backfills"):
            await rig.backfills.start(JOB, draft(100), ASKING)


class _Broken:
    """A rule that fails in a way that nobody has foreseen."""

    def next_after(self, t_us: int) -> int | None:
        raise RuntimeError("boom")

    def prev_before(self, t_us: int) -> int | None:
        raise RuntimeError("boom")


async def test_backfill_whose_rule_fails_unforeseen_disables_its_schedule_and_stops_no_other(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await hourly(rig)
        other = await rig.create("0 * * * *", name="other", policies=Policies(retry=ONE_TRY))
        made = await rig.backfills.start(JOB, draft(50), ASKING)
        definition = (await rig.engine.definitions.load([made.schedule_row]))[made.schedule_row]
        assert isinstance(definition, Definition)
        definition.rule = _Broken()
        fine = await rig.backfills.start(other.name, draft(3), ASKING)
        await rig.run_until(3)
        assert (await rig.backfills.get(other.name, fine.id)).state is BackfillState.FINISHED
        (entry,) = await rig.journal(JournalKind.SCHEDULE_DISABLED)
        assert (entry.schedule, entry.reason) == (JOB, Reason.UNFORESEEN)
        assert (await stands(rig, made))[0] is BackfillState.CANCELLED
        assert [entry.reason for entry in await rig.journal(JournalKind.BACKFILL_FINISHED)] == [Reason.UNFORESEEN, Reason.ENDED]


async def test_two_backfills_of_the_same_range_at_once_run_each_occurrence_once_and_count_all(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await hourly(rig)
        first, second = await asyncio.gather(*(rig.backfills.start(JOB, draft(6), ASKING) for _ in range(2)))
        await rig.run_until(6)
        assert rig.target.nominal_s() == [-HOUR * n for n in range(6, 0, -1)]
        assert await stands(rig, first) == (BackfillState.FINISHED, Progress(done=6, succeeded=6))
        assert await stands(rig, second) == (BackfillState.FINISHED, Progress(done=6, skipped=6))
        skipped = await rig.journal(JournalKind.OCCURRENCES_SKIPPED)
        assert sum(int(entry.evidence["count"]) for entry in skipped) == 6
