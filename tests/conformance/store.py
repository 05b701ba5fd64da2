"""What every implementation of the port `schedd.core.ports.Store` has to keep.

A test module subclasses `StoreSuite` and gives it a fixture `store`: an empty one, open, closed by the fixture.
"""

from __future__ import annotations

import asyncio
import threading
from array import array
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from schedd.core.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError, PreconditionError
from schedd.core.model.backfill import Backfill, BackfillEnd, BackfillState, BackfillStep, Progress
from schedd.core.model.batch import (
    NEVER_US,
    ArmBatch,
    CalendarChange,
    CalendarUse,
    Completion,
    ExecutionChange,
    NewDeadLetter,
    NewSchedule,
    RecordBatch,
    Replanned,
    RequestMark,
    Retention,
    ScheduleChange,
    SetBack,
    Timer,
    Timers,
)
from schedd.core.model.calendar import Calendar, DateEntry, HolidaysEntry, ICalendarEntry, RangeEntry, Weekday, WeeklyEntry
from schedd.core.model.deadletter import Purge, Redelivery
from schedd.core.model.execution import Attempt, AttemptResult, Cause, Execution, ExecutionState, Origin, Parent
from schedd.core.model.journal import ExecutionFacts, JournalEntry, JournalKind
from schedd.core.model.notice import Notice
from schedd.core.model.policy import (
    CommandHolds,
    Concurrency,
    Condition,
    DayFits,
    Hold,
    Notify,
    Overlap,
    Policies,
    Recovery,
    Retry,
    RetryOn,
    TriggerSchedule,
)
from schedd.core.model.query import Comparison, Filter, Operator, Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import RenderedHttp
from schedd.core.model.schedule import Pause, Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import HttpTarget, Payload, ProcessTarget, StatusRange
from schedd.core.model.when import CalendarShift, Cron, Expression, Interval, Spread, SpreadMode, When
from schedd.core.model.zonemark import ZoneMark
from schedd.core.ports import Store

SECOND = 1_000_000
DAY = 86_400 * SECOND
NOW_US = 1_767_258_000_000_000
"""2026-01-01T09:00:00Z."""


def schedule(uid: int, name: str | ScheduleName = "", **values: object) -> Schedule:
    """An hourly schedule in the group `default`; `values` replace fields of it."""
    plain = Schedule(
        name=name if isinstance(name, ScheduleName) else ScheduleName(group="default", schedule=name or f"job-{uid}"),
        when=When(triggers=(Expression(text="0 * * * *"),)),
        target=HttpTarget(url="http://localhost/"),
        uid=uid,
        creator="ann",
        created_us=NOW_US + uid,
        updated_us=NOW_US + uid,
        planned_from_us=NOW_US,
    )
    return replace(plain, **values)  # type: ignore[arg-type]


def draft(uid: int, name: str | ScheduleName = "", *, next_us: int | None = NOW_US + SECOND, **values: object) -> NewSchedule:
    """A draft of `schedule(…)`."""
    return NewSchedule(schedule=schedule(uid, name, **values), next_us=next_us)


def entry_of(subject: Schedule, kind: JournalKind = JournalKind.SCHEDULE_CREATED) -> JournalEntry:
    """What is journaled about a schedule."""
    return JournalEntry(
        time_us=subject.updated_us, kind=kind, actor="ann", schedule=subject.name, schedule_row=subject.row, schedule_uid=subject.uid
    )


async def create(store: Store, *drafts: NewSchedule, request: RequestMark | None = None) -> tuple[Schedule, ...]:
    """Store drafts with their entries."""
    return await store.create_schedules(drafts, [entry_of(each.schedule) for each in drafts], request=request)


def changed(before: Schedule, *, next_us: int | None = NOW_US + SECOND, **values: object) -> ScheduleChange:
    """The change to the next generation, with `values` replaced."""
    after = replace(before, generation=before.generation + 1, **values)  # type: ignore[arg-type]
    return ScheduleChange(schedule=after, next_us=next_us, entries=(entry_of(after, JournalKind.SCHEDULE_UPDATED),))


def completion(before: Schedule) -> Completion:
    """Its completion, at a later time than any other change."""
    after = replace(
        before,
        state=ScheduleState.COMPLETED,
        generation=before.generation + 1,
        updated_us=NOW_US + SECOND,
        planned_from_us=NOW_US + SECOND,
    )
    return Completion(after, (entry_of(after, JournalKind.SCHEDULE_COMPLETED),))


def execution(execution_id: int, of: Schedule, nominal_us: int = NOW_US, cause: Cause = Cause.SCHEDULE) -> Execution:
    """An armed execution of a schedule."""
    return Execution(
        id=execution_id,
        schedule=of.name,
        schedule_row=of.row,
        schedule_uid=of.uid,
        generation=of.generation,
        cause=cause,
        nominal_us=nominal_us,
        due_us=nominal_us + 5,
        armed_us=nominal_us - 7,
    )


def backfill(id_: int, of: Schedule, cause: Cause = Cause.BACKFILL) -> Backfill:
    """A range of a schedule that has just begun."""
    return Backfill(
        id=id_,
        schedule=of.name,
        schedule_row=of.row,
        schedule_uid=of.uid,
        cause=cause,
        start_us=NOW_US,
        end_us=NOW_US + SECOND,
        created_us=NOW_US,
        next_us=NOW_US,
        left=5,
        overlap=Overlap.CANCEL_OTHER,
        rate_per_second=0.25,
        total=4,
        actor="ann",
    )


def execution_entry(of: Execution, kind: JournalKind = JournalKind.EXECUTION_ARMED) -> JournalEntry:
    """What is journaled about an execution."""
    facts = ExecutionFacts(id=of.id, cause=of.cause, nominal_us=of.nominal_us, due_us=of.due_us)
    return JournalEntry(
        time_us=of.armed_us,
        kind=kind,
        schedule=of.schedule,
        schedule_row=of.schedule_row,
        schedule_uid=of.schedule_uid,
        execution=facts,
        attempt=of.attempt,
    )


def armed(*executions: Execution, planned_through_us: int | None = None) -> ArmBatch:
    """The batch that arms them."""
    entries = tuple(execution_entry(each) for each in executions)
    return ArmBatch(executions=executions, entries=entries, planned_through_us=planned_through_us)


def finish(of: Execution, *, finished_us: int, outcome: Outcome = Outcome.SUCCEEDED) -> ExecutionChange:
    """The change that finishes an execution after one attempt."""
    return ExecutionChange(
        execution_id=of.id,
        state=ExecutionState.FINISHED,
        attempt=1,
        outcome=outcome,
        reason=Reason.COMPLETED,
        started_us=finished_us - 3,
        finished_us=finished_us,
    )


def where(field: str, operator: str, value: str | int) -> Filter:
    """A filter of one comparison."""
    return (Comparison(field=field, operator=Operator(operator), value=value),)


BY_NAME = Order(field="name")
SENT = RenderedHttp(method="POST", url="http://localhost/", headers=(("A", "b"),), body=b"\x00")
MARK = RequestMark(request_id="r", scope="Change", fingerprint="f")


async def names(store: Store, matching: Filter = (), order: Order = BY_NAME, *, size: int = 1000, show_deleted: bool = False) -> list[str]:
    """The schedules' own names in all pages of a search."""
    found: list[str] = []
    after: tuple[str | int, ...] = ()
    while True:
        page = await store.find_schedules(matching, order, PageRequest(size=size, after=after), show_deleted=show_deleted)
        found += [each.name.schedule for each in page.items]
        after = page.after
        if not after:
            return found


async def ids(store: Store, matching: Filter = (), order: Order = Order(field="execution"), *, size: int = 1000) -> list[int]:
    """The ids in all pages of a search for executions."""
    found: list[int] = []
    after: tuple[str | int, ...] = ()
    while True:
        page = await store.find_executions(matching, order, PageRequest(size=size, after=after))
        found += [each.id for each in page.items]
        after = page.after
        if not after:
            return found


async def kinds(store: Store, matching: Filter = ()) -> list[JournalKind]:
    """The kinds of the matching journal entries."""
    return [entry.kind for entry in await store.journal(after=0, limit=1000, where=matching)]


class StoreSuite:
    """The suite."""

    # Schedules

    async def test_create_gives_the_lowest_rows_and_reads_back_whole(self, store: Store) -> None:
        first, second = await create(store, draft(1), draft(2))
        assert (first.row, second.row) == (1, 2)
        assert await store.schedule(first.name) == first
        assert await store.schedules([2, 1, 99]) == {1: first, 2: second}

    @pytest.mark.parametrize("condition", [DayFits(days=Cron(text="0 0 * * 1-5")), CommandHolds(command=ProcessTarget(argv=("true",)))])
    async def test_schedule_with_every_field_set_reads_back_whole(self, store: Store, condition: Condition) -> None:
        everything = schedule(
            1,
            when=When(
                triggers=(Cron(text="0 6 * * *"), Interval(every=timedelta(microseconds=1_000_001), anchor_us=5)),
                exclusions=(Expression(text="@yearly"),),
                exclude_calendars=("holidays",),
                calendar_shift=CalendarShift.NEXT_DAY,
                time_zone="America/New_York",
                start_us=1,
                end_us=2,
                spread=Spread(mode=SpreadMode.STABLE, window=timedelta(seconds=1)),
            ),
            target=ProcessTarget(argv=("a", "é\0"), env={"K": "v"}, stdin=Payload(content=b"\x00\xff", template=False)),
            policies=Policies(
                overlap=Overlap.BUFFER_ALL,
                retry=Retry(retry_on=RetryOn(reasons=(Reason.TIMEOUT,), http_status=(StatusRange(first=500, last=599),), exit_codes=(75,))),
                attempt_timeout=timedelta(minutes=1),
                buffer_limit=7,
                concurrency=Concurrency(key="database", limit=2, when_full=Hold.SKIP),
                pause_after_failures=3,
                max_runs=9,
                on_success=(TriggerSchedule(schedule="groups/default/schedules/next"),),
                on_failure=(
                    Notify(target=HttpTarget(url="http://localhost/alarm")),
                    TriggerSchedule(schedule="groups/default/schedules/b"),
                ),
                condition=condition,
                circuit_open=Hold.SKIP,
                recovery=Recovery.END,
            ),
            description="what\nfor",
            labels={"team": "pay", "a": ""},
            state=ScheduleState.PAUSED,
            state_reason="why",
            pause=Pause(actor="bob", since_us=3, reason="r", until_us=4),
        )
        await store.create_calendar(calendar(2, "holidays"), calendar_entry())
        (stored,) = await create(store, NewSchedule(schedule=everything, next_us=None))
        assert await store.schedule(everything.name) == replace(everything, row=1) == stored

    async def test_create_with_a_taken_name_stores_nothing(self, store: Store) -> None:
        await create(store, draft(1, "taken"))
        with pytest.raises(AlreadyExistsError) as caught:
            await create(store, draft(2, "free"), draft(3, "taken"))
        assert caught.value.name == "groups/default/schedules/taken"
        assert await names(store) == ["taken"]
        assert await kinds(store) == [JournalKind.SCHEDULE_CREATED]

    async def test_create_with_one_name_twice_stores_nothing(self, store: Store) -> None:
        with pytest.raises(AlreadyExistsError):
            await create(store, draft(1, "twin"), draft(2, "twin"))
        assert await names(store) == []

    async def test_create_of_one_name_by_many_at_once_succeeds_once(self, store: Store) -> None:
        answers = await asyncio.gather(*(create(store, draft(uid, "wanted")) for uid in range(1, 9)), return_exceptions=True)
        assert sum(isinstance(answer, tuple) for answer in answers) == 1
        assert sum(isinstance(answer, AlreadyExistsError) for answer in answers) == 7

    async def test_create_repeated_with_its_request_gives_what_stands_now(self, store: Store) -> None:
        mark = RequestMark(request_id="r", scope="Create", fingerprint="f")
        (stored,) = await create(store, draft(1), request=mark)
        await store.change_schedule(changed(stored, description="new"))
        (again,) = await create(store, draft(2), request=mark)
        assert (again.uid, again.description) == (1, "new")
        assert await names(store) == ["job-1"]

    async def test_create_twice_at_once_with_one_request_stores_once(self, store: Store) -> None:
        mark = RequestMark(request_id="r", scope="Create", fingerprint="f")
        answers = await asyncio.gather(*(create(store, draft(uid), request=mark) for uid in (1, 2, 3)))
        assert [answer[0].uid for answer in answers] == [1, 1, 1]

    async def test_create_with_a_request_id_of_another_request_conflicts(self, store: Store) -> None:
        await create(store, draft(1), request=RequestMark(request_id="r", scope="Create", fingerprint="f"))
        with pytest.raises(ConflictError) as caught:
            await create(store, draft(2), request=RequestMark(request_id="r", scope="Create", fingerprint="g"))
        assert caught.value.reason == "REQUEST_ID_REUSED"

    async def test_change_replaces_the_generation_before_only(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        await store.change_schedule(changed(stored, description="new"))
        assert (await store.schedule(stored.name)).description == "new"
        with pytest.raises(ConflictError) as caught:
            await store.change_schedule(changed(stored, description="late"))
        assert caught.value.reason == "ETAG_MISMATCH"
        assert (await store.schedule(stored.name)).description == "new"

    async def test_change_arms_what_it_decides_but_for_what_is_there_already(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        there, twin, other = execution(10, stored), execution(11, stored), execution(12, stored, NOW_US + SECOND)
        await store.arm(armed(there))
        await store.change_schedule(replace(changed(stored), armed=(twin, other)))
        assert await ids(store) == [10, 12]
        assert await store.execution(12) == other

    async def test_entries_of_a_new_schedule_follow_that_of_its_creation(self, store: Store) -> None:
        new = draft(1)
        paused = entry_of(new.schedule, JournalKind.SCHEDULE_PAUSED)
        stored, _ = await create(store, replace(new, entries=(paused,)), draft(2))
        found = await store.journal(after=0, limit=9)
        assert [(entry.kind, entry.schedule_uid) for entry in found] == [
            (JournalKind.SCHEDULE_CREATED, 1),
            (JournalKind.SCHEDULE_PAUSED, 1),
            (JournalKind.SCHEDULE_CREATED, 2),
        ]
        assert found[1].schedule_row == stored.row

    async def test_change_by_many_at_once_succeeds_once(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        answers = await asyncio.gather(*(store.change_schedule(changed(stored)) for _ in range(5)), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["ConflictError"] * 4 + ["Schedule"]

    async def test_change_of_an_unknown_schedule_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFoundError):
            await store.change_schedule(changed(schedule(1, row=1)))

    async def test_change_takes_executions_back_in_the_same_step(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        await store.arm(armed(execution(10, stored)))
        await store.change_schedule(replace(changed(stored), disarmed=(10,)))
        with pytest.raises(NotFoundError):
            await store.execution(10)

    async def test_delete_frees_the_name_and_undelete_needs_it(self, store: Store) -> None:
        (old,) = await create(store, draft(1, "name"))
        await store.change_schedule(changed(old, state=ScheduleState.DELETED, deleted_us=NOW_US))
        assert (await store.schedule(old.name)).uid == 1
        await create(store, draft(2, "name"))
        assert (await store.schedule(old.name)).uid == 2
        deleted = (await store.schedules([old.row]))[old.row]
        assert isinstance(deleted, Schedule)
        with pytest.raises(AlreadyExistsError):
            await store.change_schedule(changed(deleted, state=ScheduleState.ENABLED, deleted_us=None))
        newer = await store.schedule(old.name)
        await store.change_schedule(changed(newer, state=ScheduleState.DELETED, deleted_us=NOW_US + 1))
        await store.change_schedule(changed(deleted, state=ScheduleState.ENABLED, deleted_us=None))
        assert (await store.schedule(old.name)).uid == 1
        assert await names(store) == ["name"]
        assert await names(store, show_deleted=True) == ["name", "name"]

    async def test_name_of_schedules_deleted_at_the_same_instant_is_that_of_the_newest(self, store: Store) -> None:
        for uid in (1, 2):
            (stored,) = await create(store, draft(uid, "name"))
            await store.change_schedule(changed(stored, state=ScheduleState.DELETED, deleted_us=NOW_US))
            assert (await store.schedule(stored.name)).uid == uid

    async def test_change_repeated_with_its_request_changes_nothing_and_gives_what_stands_now(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        paused = replace(changed(stored, state=ScheduleState.PAUSED), request=MARK)
        assert await store.change_schedule(paused) == paused.schedule
        await store.change_schedule(changed(paused.schedule, state=ScheduleState.ENABLED))
        again = await store.change_schedule(replace(changed(stored, state=ScheduleState.PAUSED), request=MARK))
        assert (again.state, again.generation) == (ScheduleState.ENABLED, 3)
        assert await kinds(store, where("kind", "=", "SCHEDULE_UPDATED")) == [JournalKind.SCHEDULE_UPDATED] * 2

    async def test_change_twice_at_once_with_one_request_changes_once(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        change = replace(changed(stored, description="new"), request=MARK)
        answers = await asyncio.gather(*(store.change_schedule(change) for _ in range(3)))
        assert [answer.generation for answer in answers] == [2, 2, 2]

    async def test_change_with_a_request_id_of_another_request_conflicts(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        await store.change_schedule(replace(changed(stored), request=MARK))
        with pytest.raises(ConflictError) as caught:
            await store.change_schedule(replace(changed(stored), request=replace(MARK, fingerprint="g")))
        assert caught.value.reason == "REQUEST_ID_REUSED"

    async def test_change_that_is_refused_keeps_no_answer(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        await store.change_schedule(changed(stored))
        with pytest.raises(ConflictError):
            await store.change_schedule(replace(changed(stored), request=MARK))
        assert await store.answered(MARK) is None

    async def test_answer_of_a_change_is_there_once_the_change_is(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        assert await store.answered(MARK) is None
        await store.change_schedule(replace(changed(stored), request=MARK))
        assert list(await store.answered(MARK) or ()) == [1]
        with pytest.raises(ConflictError):
            await store.answered(replace(MARK, fingerprint="g"))

    async def test_answer_kept_by_many_at_once_is_that_of_the_first(self, store: Store) -> None:
        answers = await asyncio.gather(*(store.keep_answer(MARK, (str(at), at), now_us=NOW_US) for at in range(5)))
        assert [list(answer) for answer in answers] == [["0", 0]] * 5
        assert list(await store.answered(MARK) or ()) == ["0", 0]
        with pytest.raises(ConflictError):
            await store.keep_answer(replace(MARK, fingerprint="g"), (), now_us=NOW_US)

    async def test_answer_is_kept_for_a_day(self, store: Store) -> None:
        await store.keep_answer(MARK, ("one",), now_us=NOW_US)
        await prune_all(store, Retention(), NOW_US + DAY)
        assert await store.answered(MARK) is not None
        await prune_all(store, Retention(), NOW_US + DAY + 1)
        assert await store.answered(MARK) is None

    async def test_schedules_by_uid_come_in_order_and_deleted_ones_too(self, store: Store) -> None:
        one, two = await create(store, draft(1), draft(2))
        gone = await store.change_schedule(changed(one, state=ScheduleState.DELETED, deleted_us=NOW_US))
        assert await store.schedules_by_uid([2, 99, 1]) == (two, gone)

    async def test_complete_leaves_all_but_the_standing_and_takes_the_timers(self, store: Store) -> None:
        full, plain, other = await create(store, draft(1, labels={"team": "pay"}), draft(2), draft(3))
        completed = [completion(full), completion(plain)]
        assert set(await store.complete_schedules(completed)) == {full.row, plain.row}
        assert [await store.schedule(each.schedule.name) for each in completed] == [each.schedule for each in completed]
        assert list((await store.timers()).rows) == [other.row]
        assert (await kinds(store))[-2:] == [JournalKind.SCHEDULE_COMPLETED] * 2
        assert await names(store, where("labels.team", "=", "pay")) == ["job-1"]

    async def test_complete_leaves_alone_what_is_not_as_it_was_and_journals_nothing_of_it(self, store: Store) -> None:
        updated, paused, gone, fine = await create(store, draft(1), draft(2), draft(3), draft(4))
        await store.change_schedule(changed(updated, description="new"))
        held = changed(paused, state=ScheduleState.PAUSED, pause=Pause(actor="ann", since_us=NOW_US))
        await store.change_schedule(held)
        stranger = replace(gone, uid=99)
        unknown = replace(gone, row=77)
        again = await store.complete_schedules([completion(each) for each in (updated, paused, held.schedule, stranger, unknown, fine)])
        assert set(again) == {fine.row}
        assert set(await store.complete_schedules([completion(fine)])) == set()
        assert (await kinds(store)).count(JournalKind.SCHEDULE_COMPLETED) == 1
        assert set((await store.timers()).rows) >= {updated.row, gone.row}

    async def test_quarantine_disables_and_journals_once(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        entry = JournalEntry(time_us=NOW_US, kind=JournalKind.SCHEDULE_DISABLED, schedule_row=1, evidence={"detail": "garbage"})
        await store.quarantine(1, entry)
        await store.quarantine(1, entry)
        await store.quarantine(99, entry)
        disabled = await store.schedule(stored.name)
        assert (disabled.state, disabled.state_reason, disabled.generation) == (ScheduleState.DISABLED, "garbage", 2)
        assert len(await store.timers()) == 0
        assert await kinds(store, where("kind", "=", "SCHEDULE_DISABLED")) == [JournalKind.SCHEDULE_DISABLED]

    async def test_quarantine_of_a_generation_leaves_a_later_one_alone(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        entry = JournalEntry(time_us=NOW_US, kind=JournalKind.SCHEDULE_DISABLED, schedule_row=1)
        later = await store.change_schedule(changed(stored))
        await store.quarantine(1, entry, seen=stored.generation)
        assert await store.schedule(stored.name) == later
        await store.quarantine(1, entry, seen=later.generation)
        assert (await store.schedule(stored.name)).state is ScheduleState.DISABLED

    async def test_stored_schedules_that_can_be_read_are_schedules(self, store: Store) -> None:
        one, two = await create(store, draft(1), draft(2))
        assert await store.stored_schedule(one.name) == one
        assert (await store.find_stored_schedules((), BY_NAME, PageRequest(size=10))).items == [one, two]
        with pytest.raises(NotFoundError):
            await store.stored_schedule(ScheduleName(group="default", schedule="nobody"))

    async def test_restoring_timers_that_are_all_there_changes_nothing(self, store: Store) -> None:
        one, two = await create(store, draft(1), draft(2))
        await store.change_schedule(changed(two, next_us=None, state=ScheduleState.DELETED, deleted_us=NOW_US))
        _, newest = await store.journal_bounds()
        assert await store.restore_timers(JournalEntry(time_us=NOW_US, kind=JournalKind.SCHEDULE_UPDATED)) == 0
        assert (list((await store.timers()).rows), (await store.journal_bounds())[1]) == ([one.row], newest)

    async def test_shared_limits_are_those_of_schedules_that_have_a_key_and_are_not_deleted(self, store: Store) -> None:
        shared = Concurrency(key='"concurrency":{', limit=3, when_full=Hold.SKIP)
        _, one, two = await create(
            store, draft(1), draft(2, policies=Policies(concurrency=shared)), draft(3, policies=Policies(concurrency=shared))
        )
        assert await store.shared_limits() == {one.row: shared, two.row: shared}
        await store.change_schedule(changed(two, next_us=None, state=ScheduleState.DELETED, deleted_us=NOW_US))
        assert await store.shared_limits() == {one.row: shared}

    async def test_last_finishes_gives_the_latest_end_also_of_what_did_not_run(self, store: Store) -> None:
        one, two, three = await create(store, draft(1), draft(2), draft(3))
        runs = [execution(10 + number, one, NOW_US + number) for number in range(3)]
        await store.arm(armed(*runs, execution(20, two, NOW_US)))
        skipped = ExecutionChange(
            execution_id=11,
            state=ExecutionState.FINISHED,
            attempt=0,
            outcome=Outcome.SKIPPED,
            reason=Reason.OVERLAP,
            finished_us=NOW_US + 9,
        )
        await store.record(RecordBatch(changes=(finish(runs[0], finished_us=NOW_US + 30), skipped)))
        assert await store.last_finishes([one.row, two.row, three.row]) == {one.row: NOW_US + 30}
        assert await store.last_finishes([]) == {}

    @pytest.mark.parametrize(
        ("matching", "found"),
        [
            (where("state", "=", "PAUSED"), ["b"]),
            (where("state", "!=", "PAUSED"), ["a", "c"]),
            (where("name", "=", "groups/default/schedules/b"), ["b"]),
            (where("name", ":", "schedules/b"), ["b"]),
            (where("schedule", ">=", "b"), ["b", "c"]),
            (where("labels.team", "=", "pay"), ["a"]),
            (where("labels.team", "!=", "pay"), ["b", "c"]),
            (where("labels.team", ":", "*"), ["a", "b"]),
            (where("create_time", ">", NOW_US + 1), ["b", "c"]),
            (where("labels.team", ":", "*") + where("state", "=", "ENABLED"), ["a"]),
            (where("description", ":", "%"), ["c"]),
            (where("uid", "=", 3), ["c"]),
            (where("group", "=", "other"), []),
        ],
    )
    async def test_find_schedules_by_filter(self, store: Store, matching: Filter, found: list[str]) -> None:
        await create(
            store,
            draft(1, "a", labels={"team": "pay"}),
            draft(2, "b", labels={"team": "ops"}, state=ScheduleState.PAUSED),
            draft(3, "c", description="100%"),
        )
        assert await names(store, matching) == found

    async def test_find_schedules_by_a_changed_label(self, store: Store) -> None:
        (stored,) = await create(store, draft(1, "a", labels={"team": "pay", "env": "x"}))
        await store.change_schedule(changed(stored, labels={"team": "ops"}))
        assert await names(store, where("labels.team", "=", "pay")) == []
        assert await names(store, where("labels.env", ":", "*")) == []
        assert await names(store, where("labels.team", "=", "ops")) == ["a"]

    @pytest.mark.parametrize(
        "matching",
        [where("colour", "=", "red"), where("uid", ":", 3), where("state", "=", 3), where("uid", "=", "x"), where("uid", "=", 2**63)],
    )
    async def test_find_schedules_by_a_wrong_filter_names_it(self, store: Store, matching: Filter) -> None:
        with pytest.raises(InvalidError) as caught:
            await store.find_schedules(matching, BY_NAME, PageRequest(size=10))
        assert [violation.field for violation in caught.value.violations] == ["filter"]

    @pytest.mark.parametrize("after", [("a",), (2**63, 1, 1), ("a", "b", "c", "d")])
    async def test_find_schedules_with_a_foreign_page_token_names_it(self, store: Store, after: tuple[str | int, ...]) -> None:
        with pytest.raises(InvalidError) as caught:
            await store.find_schedules((), BY_NAME, PageRequest(size=10, after=after))
        assert [violation.field for violation in caught.value.violations] == ["page_token"]

    @pytest.mark.parametrize("order", ["name", "create_time", "update_time"])
    async def test_find_schedules_pages_stay_right_while_rows_change(self, store: Store, order: str) -> None:
        await create(store, *(draft(uid, f"n{uid:02}") for uid in range(1, 8)))
        first = await store.find_schedules((), Order(field=order), PageRequest(size=3))
        assert [each.uid for each in first.items] == [1, 2, 3]
        await store.change_schedule(changed(first.items[2], state=ScheduleState.DELETED, deleted_us=NOW_US, updated_us=NOW_US + 3))
        await create(store, draft(8, "n00", created_us=1, updated_us=1))
        second = await store.find_schedules((), Order(field=order), PageRequest(size=3, after=first.after))
        third = await store.find_schedules((), Order(field=order), PageRequest(size=3, after=second.after))
        assert [each.uid for each in (*second.items, *third.items)] == [4, 5, 6, 7]
        assert third.after == ()
        whole = await store.find_schedules((), Order(field=order), PageRequest(size=7))
        assert (len(whole.items), whole.after) == (7, ())

    async def test_find_schedules_pages_run_through_groups_and_within_one(self, store: Store) -> None:
        groups = ("b", "a-b", "a")
        drafts = [draft(uid, name=ScheduleName(group=groups[uid % 3], schedule=f"n{uid % 4}")) for uid in range(1, 13)]
        await create(store, *drafts)
        everything = sorted(each.schedule.name for each in drafts)
        for descending in (False, True):
            order = Order(field="name", descending=descending)
            expected = [name.schedule for name in sorted(everything, reverse=descending)]
            assert await names(store, order=order, size=5) == expected
            within = [name.schedule for name in sorted(everything, reverse=descending) if name.group == "a"]
            assert await names(store, where("group", "=", "a"), order, size=1) == within

    # Executions

    async def test_arm_stores_and_journals_only_what_is_new(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        one, two = execution(10, stored), execution(11, stored, NOW_US + SECOND)
        assert await store.arm(armed(one, planned_through_us=5)) == {10}
        twin = execution(12, stored)
        assert await store.arm(armed(twin, two)) == {11}
        assert await store.arm(armed(one, two)) == frozenset()
        assert await store.execution(10) == one
        with pytest.raises(NotFoundError):
            await store.execution(12)
        assert await kinds(store, where("kind", "=", "EXECUTION_ARMED")) == [JournalKind.EXECUTION_ARMED] * 2
        assert await store.planned_through_us() == 5

    async def test_arm_of_one_occurrence_by_two_at_once_stores_one(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        answers = await asyncio.gather(*(store.arm(armed(execution(number, stored))) for number in (10, 11)))
        assert sorted(map(len, answers)) == [0, 1]

    async def test_arm_of_one_execution_twice_at_once_is_answered_once(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        answers = await asyncio.gather(*(store.arm(armed(execution(10, stored))) for _ in range(2)))
        assert sorted(map(len, answers)) == [0, 1]
        assert await kinds(store, where("kind", "=", "EXECUTION_ARMED")) == [JournalKind.EXECUTION_ARMED]

    async def test_arm_of_one_instant_with_other_causes_stores_each(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        assert await store.arm(armed(execution(10, stored), execution(11, stored, cause=Cause.MANUAL))) == {10, 11}

    async def test_arm_repeated_with_its_request_gives_the_first_id(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        mark = RequestMark(request_id="r", scope="Trigger", fingerprint="f")
        batches = [replace(armed(execution(number, stored, NOW_US + number)), request=mark) for number in (10, 11, 12)]
        assert await asyncio.gather(*map(store.arm, batches[:2])) == [{10}, {10}]
        assert await store.arm(batches[2]) == {10}
        with pytest.raises(ConflictError):
            await store.arm(replace(batches[2], request=replace(mark, fingerprint="g")))
        assert await ids(store) == [10]

    async def test_record_changes_adds_attempts_and_takes_back(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        one, two = execution(10, stored), execution(11, stored, NOW_US + SECOND)
        await store.arm(armed(one, two))
        result = AttemptResult(
            outcome=Outcome.FAILED,
            reason=Reason.EXIT_CODE,
            code=-9,
            message="m",
            output=b"\x00o",
            error_output=b"e",
            output_truncated=True,
            retry_after=timedelta(microseconds=7),
        )
        attempt = Attempt(execution_id=10, number=1, started_us=1, finished_us=2, result=result)
        gone = execution_entry(two, JournalKind.EXECUTION_DISARMED)
        await store.record(
            RecordBatch(changes=(finish(one, finished_us=NOW_US + 9),), attempts=(attempt,), entries=(gone,), disarmed=(11,))
        )
        after = await store.execution(10)
        assert (after.state, after.outcome, after.finished_us) == (ExecutionState.FINISHED, Outcome.SUCCEEDED, NOW_US + 9)
        assert await store.attempts(10) == (attempt,)
        with pytest.raises(NotFoundError):
            await store.execution(11)
        [entry] = await store.journal(after=0, limit=9, where=where("kind", "=", "EXECUTION_DISARMED"))
        assert entry._replace(sequence=0) == gone

    async def test_record_arms_what_follows_and_leaves_out_what_is_there_already(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        parent, there = execution(10, stored), execution(11, stored, cause=Cause.FOLLOW_UP)
        await store.arm(armed(parent, there))
        origin = Origin(parent=Parent(stored.name, 10), overlap=Overlap.ALLOW_ALL, payload=Payload(content=b"\x00", template=False))
        following = execution(12, stored, NOW_US + 1, Cause.FOLLOW_UP)._replace(origin=origin)
        twin = execution(13, stored, cause=Cause.FOLLOW_UP)
        batch = RecordBatch(
            changes=(finish(parent, finished_us=NOW_US),), entries=armed(following, twin).entries, followed=(following, twin)
        )
        assert await store.record(batch) == {12}
        assert await store.execution(12) == following
        assert [entry.execution and entry.execution.id for entry in await store.journal(after=3, limit=9)] == [12]
        assert await store.record(RecordBatch(changes=(finish(following, finished_us=NOW_US),))) == frozenset()

    async def test_notices_are_kept_whole_until_they_are_delivered(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        facts = ExecutionFacts(id=9, cause=Cause.BACKFILL, nominal_us=1, due_us=2)
        target = HttpTarget(url="http://localhost/", headers=(("A", "b"),), payload=Payload(content=b"\x00", template=False))
        notices = tuple(
            Notice(
                id=number,
                follow_up="on_failure[0]",
                target=target,
                schedule=stored.name,
                schedule_row=stored.row,
                schedule_uid=1,
                execution=facts,
                attempt=3,
                time_zone="Europe/Berlin",
                labels={"a": "b"},
                previous_success_us=5,
            )
            for number in (21, 20)
        )
        await store.record(RecordBatch(notices=notices))
        assert await store.notices() == (notices[1], notices[0])
        await store.record(RecordBatch(notified=(20, 99)))
        assert await store.notices() == (notices[0],)

    async def test_unfinished_gives_what_is_not_finished_by_due_time(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        runs = [execution(number, stored, NOW_US - number) for number in (10, 11, 12)]
        await store.arm(armed(*runs))
        await store.record(RecordBatch(changes=(finish(runs[1], finished_us=NOW_US),)))
        assert await store.unfinished() == (runs[2], runs[0])

    async def test_last_runs_gives_the_newest_that_ran_and_the_newest_success(self, store: Store) -> None:
        one, two = await create(store, draft(1), draft(2))
        runs = [execution(10 + number, one, NOW_US + number) for number in range(4)]
        await store.arm(armed(*runs))
        skipped = ExecutionChange(
            execution_id=13, state=ExecutionState.FINISHED, attempt=0, outcome=Outcome.SKIPPED, reason=Reason.OVERLAP, finished_us=NOW_US
        )
        succeeded, failed = finish(runs[0], finished_us=NOW_US), finish(runs[1], finished_us=NOW_US, outcome=Outcome.FAILED)
        await store.record(RecordBatch(changes=(succeeded, failed, skipped)))
        found = await store.last_runs([one.row, two.row])
        assert set(found) == {one.row}
        assert (found[one.row].execution.id, found[one.row].previous_success_us) == (11, NOW_US)

    @pytest.mark.parametrize(
        ("matching", "found"),
        [
            (where("schedule", "=", "groups/default/schedules/a"), [10, 12]),
            (where("schedule", "!=", "groups/default/schedules/a"), [11]),
            (where("schedule_uid", "=", 2), [11]),
            (where("state", "=", "ARMED"), [11, 12]),
            (where("outcome", "!=", "FAILED"), [10, 11, 12]),
            (where("outcome", "=", "SUCCEEDED"), [10]),
            (where("nominal_time", "<=", NOW_US + 1), [10, 11]),
            (where("finish_time", ">", 0), [10]),
            (where("cause", "=", "MANUAL"), []),
        ],
    )
    async def test_find_executions_by_filter(self, store: Store, matching: Filter, found: list[int]) -> None:
        one, two = await create(store, draft(1, "a"), draft(2, "b"))
        runs = [execution(10, one, NOW_US), execution(11, two, NOW_US + 1), execution(12, one, NOW_US + 2)]
        await store.arm(armed(*runs))
        await store.record(RecordBatch(changes=(finish(runs[0], finished_us=NOW_US),)))
        assert await ids(store, matching) == found

    @pytest.mark.parametrize("order", ["execution", "nominal_time", "due_time"])
    async def test_find_executions_pages_in_both_directions(self, store: Store, order: str) -> None:
        stored = await create(store, *(draft(uid) for uid in range(1, 8)))
        await store.arm(armed(*(execution(10 + each.uid, each, NOW_US + each.uid // 3) for each in stored)))
        assert await ids(store, order=Order(field=order), size=2) == list(range(11, 18))
        assert await ids(store, order=Order(field=order, descending=True), size=2) == list(range(17, 10, -1))

    # Journal, timers, upkeep

    async def test_backfill_reads_back_whole_and_moves_with_its_steps(self, store: Store) -> None:
        (of,) = await create(store, draft(1))
        made = backfill(7, of)
        assert await store.create_backfill(made, entry_of(of, JournalKind.BACKFILL_STARTED)) == made
        assert await store.backfill(7) == made
        assert await store.running_backfills() == (made,)
        runs = [execution(10 + n, of, NOW_US + n, Cause.BACKFILL)._replace(backfill=7) for n in range(3)]
        step = BackfillStep(7, NOW_US + 3, 2, NOW_US + 9, 1)
        await store.arm(ArmBatch(executions=tuple(runs), steps=(step,)))
        assert (await store.execution(11)).backfill == 7
        assert await store.backfilled(of.uid, first_us=NOW_US + 1, last_us=NOW_US + 9) == {NOW_US + 1, NOW_US + 2}
        await store.record(RecordBatch(backfilled=((7, Outcome.SUCCEEDED), (7, Outcome.FAILED), (7, Outcome.CANCELLED))))
        moved = replace(made, next_us=NOW_US + 3, left=2, paced_us=NOW_US + 9, progress=Progress(done=4, succeeded=1, failed=1, skipped=1))
        assert await store.backfill(7) == moved
        end = BackfillEnd(id=7, state=BackfillState.FINISHED, finished_us=NOW_US, entries=(entry_of(of, JournalKind.BACKFILL_FINISHED),))
        await store.end_backfill(end)
        assert await store.backfill(7) == replace(moved, state=BackfillState.FINISHED, finished_us=NOW_US)
        assert await store.running_backfills() == ()
        assert (await kinds(store))[-2:] == [JournalKind.BACKFILL_STARTED, JournalKind.BACKFILL_FINISHED]

    async def test_backfill_asked_for_twice_at_once_with_one_request_is_stored_once(self, store: Store) -> None:
        (of,) = await create(store, draft(1))
        mark = RequestMark(request_id="x", scope="BackfillSchedule", fingerprint="y")
        entry = entry_of(of, JournalKind.BACKFILL_STARTED)
        found = await asyncio.gather(*(store.create_backfill(backfill(id_, of), entry, request=mark) for id_ in (7, 8)))
        assert [each.id for each in found] == [7, 7]
        assert [each.id for each in (await store.find_backfills((), PageRequest(size=9))).items] == [7]
        with pytest.raises(ConflictError):
            await store.create_backfill(backfill(9, of), entry, request=replace(mark, fingerprint="z"))

    async def test_backlog_of_a_change_is_there_with_it_and_not_without(self, store: Store) -> None:
        (of,) = await create(store, draft(1))
        await store.change_schedule(replace(changed(of), backlogs=(backfill(7, of, Cause.SCHEDULE),)))
        with pytest.raises(ConflictError):
            await store.change_schedule(replace(changed(of), backlogs=(backfill(8, of, Cause.SCHEDULE),)))
        assert [each.id for each in await store.running_backfills()] == [7]

    async def test_backlog_of_a_catch_up_is_no_backfill_and_goes_with_its_last_step(self, store: Store) -> None:
        (of,) = await create(store, draft(1))
        await store.arm(ArmBatch(executions=(), backlogs=(backfill(7, of, Cause.SCHEDULE), backfill(8, of, Cause.SCHEDULE))))
        assert [each.id for each in await store.running_backfills()] == [7, 8]
        assert not (await store.find_backfills((), PageRequest(size=9))).items
        with pytest.raises(NotFoundError):
            await store.backfill(7)
        await store.arm(ArmBatch(executions=(), steps=(BackfillStep(7, None, 3, 0), BackfillStep(8, NOW_US + 1, 3, 0))))
        assert [(each.id, each.next_us) for each in await store.running_backfills()] == [(8, NOW_US + 1)]
        await store.end_backfill(BackfillEnd(id=8, state=BackfillState.FINISHED, finished_us=NOW_US, entries=()))
        assert await store.running_backfills() == ()

    async def test_find_backfills_pages_newest_first_below_a_group_or_a_name(self, store: Store) -> None:
        schedules = await create(store, draft(1), draft(2, ScheduleName(group="ops", schedule="job-1")))
        for id_ in range(6):
            of = schedules[id_ % 2]
            await store.create_backfill(backfill(10 + id_, of), entry_of(of, JournalKind.BACKFILL_STARTED))
        first = await store.find_backfills((), PageRequest(size=4))
        assert [each.id for each in first.items] == [15, 14, 13, 12]
        assert [each.id for each in (await store.find_backfills((), PageRequest(size=4, after=first.after))).items] == [11, 10]
        for field, value, found in (("group", "ops", [15, 13, 11]), ("schedule_name", "job-1", [15, 14, 13, 12, 11, 10])):
            where = (Comparison(field=field, operator=Operator.EQUAL, value=value),)
            assert [each.id for each in (await store.find_backfills(where, PageRequest(size=9))).items] == found

    async def test_arm_stores_how_far_schedules_are_decided_of_that_generation(self, store: Store) -> None:
        one, two = await create(store, draft(1), draft(2))
        decided = (Timer(one.row, 1, NOW_US + 9, NOW_US + 8), Timer(two.row, 2, NOW_US + 9, NOW_US + 8))
        await store.arm(ArmBatch(executions=(), decided=decided))
        timers = await store.timers()
        assert list(timers.next_us) == [NOW_US + 9, NOW_US + SECOND]
        assert list(timers.planned_from_us) == [NOW_US + 8, NOW_US]

    async def test_prune_removes_ended_backfills_with_the_history(self, store: Store) -> None:
        (of,) = await create(store, draft(1))
        for id_ in (7, 8):
            await store.create_backfill(backfill(id_, of), entry_of(of, JournalKind.BACKFILL_STARTED))
        await store.end_backfill(BackfillEnd(id=7, state=BackfillState.CANCELLED, finished_us=NOW_US, entries=()))
        while await store.prune(Retention(history=timedelta(days=1)), now_us=NOW_US + 2 * DAY):
            pass
        assert [each.id for each in (await store.find_backfills((), PageRequest(size=9))).items] == [8]

    async def test_listener_hears_each_entry_numbered_before_its_caller_resumes(self, store: Store) -> None:
        heard: list[JournalEntry] = []

        def listen(entries: Sequence[JournalEntry]) -> None:
            heard.extend(entries)

        store.listen(listen)
        stored = await create(store, draft(1), draft(2))
        assert [entry.schedule_row for entry in heard] == [each.row for each in stored]
        await asyncio.gather(*(store.append([JournalEntry(time_us=number, kind=JournalKind.CLOCK_STEPPED)]) for number in range(5)))
        assert len(heard) == 7
        assert [entry.sequence for entry in heard] == sorted({entry.sequence for entry in heard})
        assert list(await store.journal(after=0, limit=100)) == heard

    async def test_listener_hears_every_kind_of_change_whole_and_in_order_on_the_loops_thread(self, store: Store) -> None:
        heard: list[tuple[JournalEntry, ...]] = []
        threads: set[int] = set()

        def listen(entries: Sequence[JournalEntry]) -> None:
            threads.add(threading.get_ident())
            heard.append(tuple(entries))

        def last_kind() -> JournalKind:
            return heard[-1][-1].kind

        (stored,) = await create(store, draft(1))
        store.listen(listen)
        run = execution(10, stored)
        await store.arm(armed(run))
        assert last_kind() is JournalKind.EXECUTION_ARMED
        finished = execution_entry(run, JournalKind.EXECUTION_FINISHED)
        await store.record(RecordBatch(changes=(finish(run, finished_us=NOW_US),), entries=(finished,)))
        assert last_kind() is JournalKind.EXECUTION_FINISHED
        await store.change_schedule(changed(stored))
        assert last_kind() is JournalKind.SCHEDULE_UPDATED
        await store.quarantine(stored.row, entry_of(stored, JournalKind.SCHEDULE_DISABLED))
        assert last_kind() is JournalKind.SCHEDULE_DISABLED
        with pytest.raises(AlreadyExistsError):
            await create(store, draft(2), draft(1))
        await asyncio.gather(*(self._append_and_find(store, number, heard) for number in range(40)))
        assert threads == {threading.get_ident()}
        sequences = [entry.sequence for entries in heard for entry in entries]
        assert sequences == sorted(set(sequences))
        assert [entry for entries in heard for entry in entries] == list(await store.journal(after=sequences[0] - 1, limit=1000))

    @staticmethod
    async def _append_and_find(store: Store, number: int, heard: Sequence[Sequence[JournalEntry]]) -> None:
        """Append two entries; they have been heard, next to each other, when the call returns."""
        await store.append([JournalEntry(time_us=number, kind=JournalKind.CLOCK_STEPPED, evidence={"half": half}) for half in (1, 2)])
        found = [entry for entries in heard for entry in entries if entry.kind is JournalKind.CLOCK_STEPPED and entry.time_us == number]
        assert [entry.evidence["half"] for entry in found] == [1, 2]
        assert found[1].sequence == found[0].sequence + 1

    async def test_journal_gives_ranges_in_both_directions(self, store: Store) -> None:
        await store.append([JournalEntry(time_us=number, kind=JournalKind.CLOCK_STEPPED, evidence={"n": number}) for number in range(10)])
        oldest, newest = await store.journal_bounds()
        assert newest - oldest == 9
        middle = await store.journal(after=oldest + 2, through=oldest + 5, limit=2)
        assert [entry.sequence for entry in middle] == [oldest + 3, oldest + 4]
        back = await store.journal(after=oldest + 2, through=oldest + 5, limit=2, descending=True)
        assert [entry.sequence for entry in back] == [oldest + 5, oldest + 4]

    @pytest.mark.parametrize(
        ("matching", "count"),
        [
            (where("schedule", "=", "groups/default/schedules/a"), 2),
            (where("schedule", ":", "les/a"), 2),
            (where("group", "=", "default"), 4),
            (where("execution", "=", 10), 1),
            (where("actor", "=", "ann"), 2),
            (where("labels.team", "=", "pay"), 2),
            (where("cause", "=", "SCHEDULE"), 2),
            (where("kind", "=", "CLOCK_STEPPED"), 1),
            (where("schedule_uid", "=", 0), 1),
            (where("schedule_uid", "=", 1), 2),
            (where("schedule_uid", "!=", 1), 3),
            (where("nominal_time", "=", NOW_US), 2),
            (where("nominal_time", ">", NOW_US), 0),
            (where("time", "<", 5), 1),
        ],
    )
    async def test_journal_by_filter(self, store: Store, matching: Filter, count: int) -> None:
        one, two = await create(store, draft(1, "a", labels={"team": "pay"}), draft(2, "b"))
        await store.arm(armed(execution(10, one), execution(11, two)))
        await store.append([JournalEntry(time_us=1, kind=JournalKind.CLOCK_STEPPED)])
        assert len(await store.journal(after=0, limit=100, where=matching)) == count

    async def test_journal_page_tells_how_far_was_read_and_whether_more_follows(self, store: Store) -> None:
        await store.append([JournalEntry(time_us=1, kind=JournalKind.DAEMON_STARTED)] * 3)
        pages = [await store.journal_page(after=after, limit=2) for after in (0, 2, 3)]
        assert [(len(page.entries), page.last_read, page.is_last) for page in pages] == [(2, 2, False), (1, 3, True), (0, 0, True)]
        back = await store.journal_page(after=0, limit=3, descending=True)
        assert (back.last_read, back.is_last) == (1, False)

    async def test_journal_by_kinds(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        await store.arm(armed(execution(10, stored)))
        await store.change_schedule(changed(stored))
        wanted = {JournalKind.SCHEDULE_CREATED, JournalKind.SCHEDULE_UPDATED}
        found = await store.journal(after=0, limit=100, kinds=wanted)
        assert [entry.kind for entry in found] == [JournalKind.SCHEDULE_CREATED, JournalKind.SCHEDULE_UPDATED]

    async def test_timers_hold_every_enabled_schedule(self, store: Store) -> None:
        one, _, three = await create(store, draft(1), draft(2, state=ScheduleState.PAUSED), draft(3, next_us=None))
        assert await store.timers() == Timers(
            rows=array("q", [1, 3]),
            generations=array("q", [1, 1]),
            next_us=array("q", [NOW_US + SECOND, NEVER_US]),
            planned_from_us=array("q", [NOW_US, NOW_US]),
        )
        await store.change_schedule(changed(one, next_us=None, state=ScheduleState.PAUSED))
        await store.change_schedule(changed(three, next_us=77))
        found = await store.timers()
        assert (list(found.rows), list(found.generations), list(found.next_us)) == ([3], [2], [77])

    async def test_save_timers_passes_over_other_generations(self, store: Store) -> None:
        await create(store, draft(1), draft(2))
        saved = Timers(
            rows=array("q", [1, 2]), generations=array("q", [1, 9]), next_us=array("q", [5, 6]), planned_from_us=array("q", [0, 0])
        )
        await store.save_timers(saved)
        assert list((await store.timers()).next_us) == [5, NOW_US + SECOND]

    async def test_set_back_leaves_no_mark_in_the_future(self, store: Store) -> None:
        now_us = NOW_US + DAY
        late = now_us + 5 * SECOND
        old, _, _, _ = await create(
            store,
            draft(1),
            draft(2, state=ScheduleState.PAUSED, created_us=late, planned_from_us=late),
            draft(3, created_us=late, planned_from_us=late),
            draft(4, planned_from_us=late),
        )
        runs = (execution(10, old, now_us + 20), execution(11, old, now_us + 30))
        await store.arm(ArmBatch(executions=runs, planned_through_us=now_us + 40))
        entry = JournalEntry(time_us=now_us, kind=JournalKind.CLOCK_STEPPED)
        change = SetBack(now_us=now_us, by_us=60 * SECOND, mark_us=now_us - 1, entries=(entry,), disarmed=(10,))
        assert await store.set_back(change) == (2, 3, 4)
        assert await store.planned_through_us() == now_us - 1
        assert [run.id for run in await store.unfinished()] == [11]
        timers = await store.timers()
        assert (list(timers.next_us), list(timers.planned_from_us)) == ([1, 1, 1], [NOW_US, now_us, now_us])
        found = [await store.schedule(ScheduleName(group="default", schedule=f"job-{uid}")) for uid in (1, 2, 3, 4)]
        assert [each.planned_from_us for each in found] == [NOW_US, now_us, now_us, now_us]
        assert [each.created_us for each in found] == [NOW_US + 1, now_us - 55 * SECOND, now_us - 55 * SECOND, NOW_US + 4]
        assert (await store.journal(after=0, limit=1, descending=True))[0].kind is JournalKind.CLOCK_STEPPED
        await store.save_timers(replace(timers, next_us=array("q", [5, 6, 7])))
        later = replace(change, now_us=now_us + DAY, mark_us=now_us + DAY, disarmed=(), stale=frozenset([3]))
        assert await store.set_back(later) == ()
        assert list((await store.timers()).next_us) == [5, 1, 7]
        assert await store.planned_through_us() == now_us - 1

    async def test_set_back_by_less_than_a_creation_is_ahead_makes_it_now(self, store: Store) -> None:
        (stored,) = await create(store, draft(1, created_us=NOW_US + DAY))
        await store.set_back(SetBack(now_us=NOW_US, by_us=SECOND, mark_us=NOW_US))
        assert (await store.schedule(stored.name)).created_us == NOW_US

    async def test_prune_of_the_journal_is_not_held_up_by_rows_of_a_time_to_come(self, store: Store) -> None:
        await store.append([JournalEntry(time_us=NOW_US + 900 * DAY, kind=JournalKind.CLOCK_STEPPED)] * 600)
        await store.append([JournalEntry(time_us=NOW_US, kind=JournalKind.CLOCK_STEPPED)] * 3)
        assert await prune_all(store, Retention(), NOW_US + 91 * DAY) == 2
        assert len(await store.journal(after=0, limit=1000)) == 601

    async def test_arm_moves_the_timers_of_what_it_has_decided_but_not_of_other_generations(self, store: Store) -> None:
        one, two = await create(store, draft(1), draft(2))
        decided = (Timer(one.row, 1, 5, 4), Timer(two.row, 9, 6, 5))
        await store.arm(ArmBatch(executions=(), decided=decided))
        found = await store.timers()
        assert (list(found.next_us), list(found.planned_from_us)) == ([5, NOW_US + SECOND], [4, NOW_US])

    async def test_zone_marks_are_kept_by_name_until_they_are_gone(self, store: Store) -> None:
        berlin = ZoneMark(name="Europe/Berlin", version="2025a", from_us=5, until_us=9, offsets=((5, 3_600_000_000), (7, -1)))
        kiev = replace(berlin, name="Europe/Kiev", offsets=((5, 0),))
        await store.keep_zones([kiev, berlin])
        assert await store.zone_marks() == (berlin, kiev)
        newer = replace(berlin, version="2025b", until_us=10)
        await store.keep_zones([newer], gone=["Europe/Kiev", "Europe/Nowhere"])
        assert await store.zone_marks() == (newer,)

    async def test_timers_naming_a_text_are_those_of_the_schedules_in_whose_rule_it_stands(self, store: Store) -> None:
        rules = [
            When(triggers=(Cron(text="0 9 * * *"),), time_zone="Europe/Kiev"),
            When(triggers=(Expression(text="09:00 Europe/Kiev"),)),
            When(triggers=(Cron(text="0 9 * * *"),), time_zone="Europe/Berlin"),
            When(triggers=(Cron(text="0 9 * * *"),), time_zone="Europe/Kiev"),
        ]
        await create(store, *(draft(uid, when=when) for uid, when in enumerate(rules, 1)))
        await store.change_schedule(changed(await store.schedule(schedule(4).name), next_us=None, state=ScheduleState.PAUSED))
        found = await store.timers_naming(["Europe/Kiev", "Asia/Saigon"])
        assert (list(found.rows), list(found.next_us)) == ([1, 2], [NOW_US + SECOND] * 2)
        assert list((await store.timers_naming(["Asia/Saigon"])).rows) == []

    async def test_prune_removes_old_history_and_keeps_what_is_unfinished(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        runs = [execution(10 + number, stored, NOW_US + number) for number in range(4)]
        await store.arm(armed(*runs))
        await store.record(RecordBatch(changes=(finish(runs[0], finished_us=NOW_US), finish(runs[1], finished_us=NOW_US + 31 * DAY))))
        assert await prune_all(store, Retention(), NOW_US + 32 * DAY) == 1
        assert await ids(store) == [11, 12, 13]

    async def test_prune_keeps_the_newest_of_each_schedule(self, store: Store) -> None:
        one, two = await create(store, draft(1), draft(2))
        runs = [execution(10 + number, one, NOW_US + number) for number in range(6)]
        await store.arm(armed(*runs, execution(20, two)))
        await store.record(RecordBatch(changes=tuple(finish(each, finished_us=NOW_US) for each in runs)))
        assert await prune_all(store, Retention(per_schedule=2), NOW_US) == 4
        assert await ids(store) == [14, 15, 20]

    async def test_prune_keeps_what_is_unfinished_however_many(self, store: Store) -> None:
        (stored,) = await create(store, draft(1))
        await store.arm(armed(*(execution(10 + number, stored, NOW_US + number) for number in range(5))))
        assert await prune_all(store, Retention(per_schedule=2), NOW_US) == 0
        assert len(await store.unfinished()) == 5

    async def test_rows_of_purged_schedules_are_given_out_once_each(self, store: Store) -> None:
        old = await create(store, *(draft(uid) for uid in range(1, 5)))
        for each in old[1:]:
            await store.change_schedule(changed(each, state=ScheduleState.DELETED, deleted_us=NOW_US))
        assert await prune_all(store, Retention(journal=timedelta(days=900)), NOW_US + 91 * DAY) == 3
        found = [(await create(store, draft(uid)))[0].row for uid in range(10, 15)]
        assert found == [2, 3, 4, 5, 6]

    async def test_prune_purges_deleted_schedules_and_their_rows_are_used_again(self, store: Store) -> None:
        one, two = await create(store, draft(1, "old", labels={"team": "pay"}), draft(2))
        await store.arm(armed(run := execution(10, one)))
        await store.record(RecordBatch(changes=(finish(run, finished_us=NOW_US + 100 * DAY),)))
        await store.change_schedule(changed(one, state=ScheduleState.DELETED, deleted_us=NOW_US))
        assert await prune_all(store, Retention(journal=timedelta(days=900)), NOW_US + 91 * DAY) == 2
        assert await names(store, show_deleted=True) == [two.name.schedule]
        assert await store.schedules([one.row]) == {}
        assert (await create(store, draft(3), draft(4)))[0].row == one.row
        assert await names(store, where("labels.team", ":", "*")) == []
        found = await store.journal(after=0, limit=100, where=where("schedule", "=", "groups/default/schedules/old"))
        assert [entry.kind for entry in found][-1] is JournalKind.SCHEDULE_PURGED
        assert {entry.schedule for entry in found} == {one.name}

    async def test_prune_moves_the_journals_oldest_and_never_its_newest(self, store: Store) -> None:
        await store.append([JournalEntry(time_us=NOW_US, kind=JournalKind.CLOCK_STEPPED)] * 1200)
        _, newest = await store.journal_bounds()
        assert await store.prune(Retention(), now_us=NOW_US + 91 * DAY) <= 500
        await prune_all(store, Retention(), NOW_US + 91 * DAY)
        assert await store.journal_bounds() == (newest, newest)
        await store.append([JournalEntry(time_us=NOW_US, kind=JournalKind.CLOCK_STEPPED)])
        assert await store.journal_bounds() == (newest, newest + 1)

    async def test_status_counts(self, store: Store) -> None:
        stored, gone = await create(store, draft(1), draft(2))
        await store.change_schedule(changed(gone, state=ScheduleState.DELETED, deleted_us=NOW_US))
        await store.arm(armed(one := execution(10, stored), execution(11, stored, NOW_US + 1)))
        await store.record(RecordBatch(changes=(finish(one, finished_us=NOW_US),)))
        status = await store.status()
        assert status.schedules == {ScheduleState.ENABLED: 1, ScheduleState.DELETED: 1}
        assert (status.executions, status.unfinished, status.newest_id) == (2, 1, 11)
        assert status.last_sequence == (await store.journal_bounds())[1]
        assert status.size_bytes > 0

    async def test_cancelled_change_takes_effect_all_the_same(self, store: Store) -> None:
        task = asyncio.ensure_future(create(store, draft(1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await store.append([])
        assert await names(store) == ["job-1"]

    # Calendars

    async def test_dead_letter_is_kept_whole_with_the_finish(self, store: Store) -> None:
        runs = await buried(store, 2)
        page = await store.find_dead_letters((), descending=True, page=PageRequest(size=10))
        assert [letter.execution.id for letter in page.items] == [runs[1].id, runs[0].id]
        oldest = page.items[1]
        assert (oldest.request, oldest.created_us, oldest.redelivered_us) == (SENT, NOW_US, None)
        assert oldest.last_attempt is not None
        assert oldest.last_attempt.number == 1
        assert (await store.dead_letter(runs[0].id)).execution == oldest.execution
        with pytest.raises(NotFoundError):
            await store.dead_letter(99)

    async def test_dead_letters_come_in_pages_both_ways_and_by_filter(self, store: Store) -> None:
        runs = await buried(store, 3)
        for descending in (False, True):
            found: list[int] = []
            after: tuple[str | int, ...] = ()
            while True:
                page = await store.find_dead_letters((), descending=descending, page=PageRequest(size=2, after=after))
                found += [letter.execution.id for letter in page.items]
                if not (after := page.after):
                    break
            assert found == sorted([run.id for run in runs], reverse=descending)
        matching = where("nominal_time", ">", runs[1].nominal_us)
        page = await store.find_dead_letters(matching, descending=False, page=PageRequest(size=2))
        assert [letter.execution.id for letter in page.items] == [runs[2].id]

    async def test_redeliver_takes_up_what_has_finished_once_a_request(self, store: Store) -> None:
        (run,) = await buried(store, 1)
        redelivery = Redelivery(
            execution_id=run.id, now_us=NOW_US + 9, entry=execution_entry(run, JournalKind.EXECUTION_REDELIVERED), request=MARK
        )
        assert await store.redeliver(redelivery)
        assert not await store.redeliver(redelivery)
        taken_up = await store.execution(run.id)
        assert (taken_up.state, taken_up.outcome, taken_up.finished_us) == (ExecutionState.WAITING_RETRY, None, None)
        assert (taken_up.next_attempt_us, taken_up.attempts_before, taken_up.redelivered_us) == (NOW_US + 9, 1, NOW_US + 9)
        assert (await store.dead_letter(run.id)).redelivered_us == NOW_US + 9
        assert await kinds(store, where("kind", "=", "EXECUTION_REDELIVERED")) == [JournalKind.EXECUTION_REDELIVERED]
        with pytest.raises(PreconditionError):
            await store.redeliver(replace(redelivery, request=None))
        with pytest.raises(NotFoundError):
            await store.redeliver(replace(redelivery, execution_id=99, request=None))
        with pytest.raises(ConflictError):
            await store.redeliver(replace(redelivery, request=replace(MARK, fingerprint="other")))

    async def test_redelivered_execution_that_succeeds_is_no_dead_letter_any_more(self, store: Store) -> None:
        (run,) = await buried(store, 1)
        await store.redeliver(Redelivery(execution_id=run.id, now_us=NOW_US, entry=execution_entry(run, JournalKind.EXECUTION_REDELIVERED)))
        await store.record(RecordBatch(changes=(finish(run, finished_us=NOW_US + 1),), settled=(run.id,)))
        with pytest.raises(NotFoundError):
            await store.dead_letter(run.id)

    async def test_purge_removes_and_journals_those_that_are_there_and_leaves_executions(self, store: Store) -> None:
        one, two = await buried(store, 2)
        entry = execution_entry(one, JournalKind.DEAD_LETTERS_PURGED)
        assert await store.purge_dead_letters(Purge(entries={one.id: entry, 99: entry})) == 1
        assert await store.purge_dead_letters(Purge(entries={one.id: entry})) == 0
        page = await store.find_dead_letters((), descending=False, page=PageRequest(size=10))
        assert [letter.execution.id for letter in page.items] == [two.id]
        assert await kinds(store, where("kind", "=", "DEAD_LETTERS_PURGED")) == [JournalKind.DEAD_LETTERS_PURGED]
        assert await ids(store) == [one.id, two.id]

    async def test_prune_keeps_a_dead_letters_execution_until_the_letter_goes(self, store: Store) -> None:
        (run,) = await buried(store, 1)
        retention = Retention(dead_letters=timedelta(days=60))
        await prune_all(store, retention, NOW_US + 59 * DAY)
        assert (await ids(store), len(await store.attempts(run.id))) == ([run.id], 1)
        await prune_all(store, retention, NOW_US + 61 * DAY)
        with pytest.raises(NotFoundError):
            await store.dead_letter(run.id)
        assert await ids(store) == []

    async def test_calendar_comes_back_as_it_was_stored(self, store: Store) -> None:
        stored = calendar(
            7,
            "all",
            entries=(
                DateEntry(date="12-25", description="Christmas"),
                RangeEntry(first="2026-01-01", last="2026-01-06"),
                WeeklyEntry(days=(Weekday.SATURDAY, Weekday.SUNDAY), start="22:00", end="04:00"),
                HolidaysEntry(country="DE", subdivision="BY"),
                ICalendarEntry(text="BEGIN:VCALENDAR\nEND:VCALENDAR\n"),
            ),
            time_zone="Europe/Berlin",
            labels={"a": "b"},
            description="free",
        )
        assert await store.create_calendar(stored, calendar_entry()) == stored
        assert await store.calendar("all") == stored
        assert await store.calendars() == {"all": stored}
        assert [entry.kind for entry in await store.journal(after=0, limit=10)] == [JournalKind.CALENDAR_CREATED]
        with pytest.raises(NotFoundError):
            await store.calendar("none")

    async def test_calendar_name_is_held_by_one_and_a_repeated_request_stores_nothing(self, store: Store) -> None:
        mark = RequestMark(request_id="r", scope="s", fingerprint="f")
        first = await store.create_calendar(calendar(1), calendar_entry(), request=mark)
        assert await store.create_calendar(calendar(2), calendar_entry(), request=mark) == first
        with pytest.raises(AlreadyExistsError):
            await store.create_calendar(calendar(3), calendar_entry())
        with pytest.raises(ConflictError):
            await store.create_calendar(calendar(4, "other"), calendar_entry(), request=replace(mark, fingerprint="g"))
        assert list(await store.calendars()) == ["days"]

    async def test_change_of_a_calendar_replaces_the_generation_that_was_seen(self, store: Store) -> None:
        first = await store.create_calendar(calendar(1), calendar_entry())
        (user,) = await create(store, draft(5, when=using("days")))
        await store.arm(armed(execution(9, user)))
        mark = RequestMark(request_id="r", scope="s", fingerprint="f")
        change = CalendarChange(
            calendar=replace(first, generation=2, entries=(DateEntry(date="01-01"),)),
            seen=1,
            entries=(calendar_entry(JournalKind.CALENDAR_UPDATED),),
            disarmed=(9,),
            replanned=(Replanned(row=user.row, planned_from_us=NOW_US + 5, next_us=None),),
            request=mark,
        )
        assert await store.change_calendar(change) == change.calendar
        assert await store.change_calendar(replace(change, seen=7)) == change.calendar
        assert await store.calendar("days") == change.calendar
        assert await store.unfinished() == ()
        timers = await store.timers()
        assert (list(timers.next_us), list(timers.planned_from_us)) == ([NEVER_US], [NOW_US + 5])
        assert (await store.schedule(user.name)).planned_from_us == NOW_US + 5
        with pytest.raises(ConflictError, match="has changed since it was read"):
            await store.change_calendar(replace(change, request=None))
        with pytest.raises(ConflictError, match="another request"):
            await store.change_calendar(replace(change, request=replace(mark, fingerprint="g")))
        with pytest.raises(NotFoundError):
            await store.change_calendar(replace(change, calendar=calendar(1, "none"), request=None))

    async def test_calendar_in_use_cannot_be_deleted(self, store: Store) -> None:
        await store.create_calendar(calendar(1), calendar_entry())
        (user,) = await create(store, draft(5, when=using("days")))
        assert list(await store.calendar_uses()) == [CalendarUse(calendar="days", row=user.row)]
        assert list(await store.calendar_users("days", limit=10)) == [user.name]
        assert list(await store.calendar_users("days", limit=0)) == []
        with pytest.raises(PreconditionError, match="job-5"):
            await store.delete_calendar("days", calendar_entry(), seen=None)
        deleted = changed(user, next_us=None, state=ScheduleState.DELETED, deleted_us=NOW_US)
        await store.change_schedule(deleted)
        assert list(await store.calendar_uses()) == []
        with pytest.raises(ConflictError):
            await store.delete_calendar("days", calendar_entry(), seen=2)
        await store.delete_calendar("days", calendar_entry(JournalKind.CALENDAR_DELETED), seen=1)
        with pytest.raises(NotFoundError):
            await store.delete_calendar("days", calendar_entry(), seen=None)

    async def test_schedule_cannot_be_stored_with_a_calendar_that_is_not_there(self, store: Store) -> None:
        with pytest.raises(NotFoundError, match="calendars/none"):
            await create(store, draft(5, when=using("none")))
        (made,) = await create(store, draft(6))
        with pytest.raises(NotFoundError, match="calendars/none"):
            await store.change_schedule(changed(made, when=using("none")))
        await store.create_calendar(calendar(1, "none"), calendar_entry())
        await store.change_schedule(changed(made, when=using("none")))
        assert [use.calendar for use in await store.calendar_uses()] == ["none"]
        await store.change_schedule(changed(replace(made, generation=2), when=made.when))
        assert list(await store.calendar_uses()) == []

    async def test_calendars_come_in_pages_by_name_and_filter(self, store: Store) -> None:
        for uid, name in enumerate(("b", "a", "c"), start=1):
            labels = {"team": name} if name != "c" else {}
            await store.create_calendar(calendar(uid, name, labels=labels), calendar_entry())
        first = await store.find_calendars((), PageRequest(size=2))
        rest = await store.find_calendars((), PageRequest(size=2, after=first.after))
        assert [[found.name for found in page.items] for page in (first, rest)] == [["a", "b"], ["c"]]
        assert rest.after == ()
        for matching, expected in (
            (where("labels.team", "=", "b"), ["b"]),
            (where("labels.team", "!=", "b"), ["a", "c"]),
            (where("labels.team", ":", "*"), ["a", "b"]),
            (where("name", "=", "calendars/c"), ["c"]),
        ):
            assert [found.name for found in (await store.find_calendars(matching, PageRequest(size=9))).items] == expected
        with pytest.raises(InvalidError):
            await store.find_calendars(where("state", "=", "x"), PageRequest(size=9))


async def buried(store: Store, count: int) -> list[Execution]:
    """Executions of one schedule that have failed for good after one attempt, a microsecond apart, and are dead letters."""
    (stored,) = await create(store, draft(1))
    runs = [execution(10 + number, stored, NOW_US + number) for number in range(count)]
    await store.arm(armed(*runs))
    result = AttemptResult(outcome=Outcome.FAILED, reason=Reason.HTTP_STATUS, code=500)
    ends = [NOW_US + number for number in range(count)]
    await store.record(
        RecordBatch(
            changes=tuple(finish(run, finished_us=end, outcome=Outcome.FAILED) for run, end in zip(runs, ends, strict=True)),
            attempts=tuple(
                Attempt(execution_id=run.id, number=1, started_us=end - 3, finished_us=end, result=result)
                for run, end in zip(runs, ends, strict=True)
            ),
            dead_letters=tuple(NewDeadLetter(run.id, end, SENT) for run, end in zip(runs, ends, strict=True)),
        )
    )
    return runs


async def prune_all(store: Store, retention: Retention, now_us: int) -> int:
    """Prune until nothing is left to do; rows removed."""
    total = 0
    while removed := await store.prune(retention, now_us=now_us):
        total += removed
    return total


def calendar(uid: int, name: str = "days", **values: object) -> Calendar:
    """A calendar of one day; `values` replace fields of it."""
    plain = Calendar(name=name, uid=uid, entries=(DateEntry(date="12-25"),), creator="ann", created_us=NOW_US, updated_us=NOW_US)
    return replace(plain, **values)  # type: ignore[arg-type]


def calendar_entry(kind: JournalKind = JournalKind.CALENDAR_CREATED) -> JournalEntry:
    """What is journaled about a calendar."""
    return JournalEntry(time_us=NOW_US, kind=kind, actor="ann", evidence={"calendar": "calendars/days"})


def using(*calendars: str) -> When:
    """An hourly rule without the days of these calendars."""
    return When(triggers=(Expression(text="0 * * * *"),), exclude_calendars=calendars)
