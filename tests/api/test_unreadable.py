"""Stored rows that cannot be read: shown, deleted, replaced; and they are a fault for nobody else."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.reason import Reason
from schedd.v1 import admin_service_pb2, calendar_service_pb2, execution_service_pb2
from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.calendar_pb2 import Calendar
from schedd.v1.execution_pb2 import ExecutionView
from schedd.v1.schedule_pb2 import Schedule, ScheduleState
from tests.api.served import Api, full_name, http, refused, serving
from tests.engine.rig import BROKEN, SECOND, HandClock, HandTarget, running

BAD, GOOD = full_name("bad"), full_name("good")
DAMAGES = {
    "when_json": "when_json = '{'",
    "target": "target = 'null'",
    "target_kind": "target_kind = 'FTP'",
    "policies": 'policies = \'{"priority":"high"}\'',
    "labels": "labels = '[1]'",
    "state": "state = 'ASLEEP'",
}


def tamper(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / "schedd.db")) as connection, connection:
        assert connection.execute(statement).rowcount > 0


@asynccontextmanager
async def damaged(directory: Path, damage: str) -> AsyncIterator[Api]:
    """A daemon that has just started on a database in which one of two schedules was damaged meanwhile."""
    clock = HandClock()
    async with serving(directory, clock=clock) as api:
        await api.create("bad", labels={"team": "pay"}, description="Nightly")
        await api.create("good")
    clock.move(SECOND)
    tamper(directory, f"UPDATE schedules SET {damage} WHERE name = 'bad'")
    async with serving(directory, clock=clock) as api:
        await api.rig.settle()
        yield api


async def listed(api: Api, where: str = "") -> dict[str, Schedule]:
    found = await api.schedules.ListSchedules(pb.ListSchedulesRequest(filter=where))
    return {schedule.name: schedule for schedule in found.schedules}


async def get(api: Api, name: str) -> Schedule:
    return await api.schedules.GetSchedule(pb.GetScheduleRequest(name=name))


@pytest.mark.parametrize("part", DAMAGES)
async def test_unreadable_schedule_is_listed_and_shown_with_what_is_readable(tmp_path: Path, part: str) -> None:
    async with damaged(tmp_path, DAMAGES[part]) as api:
        for shown in ((await listed(api))[BAD], await get(api, BAD), (await listed(api, where="state = DISABLED"))[BAD]):
            assert shown.state == ScheduleState.SCHEDULE_STATE_DISABLED
            assert "its stored row cannot be read" in shown.state_reason
            assert part.removesuffix("_kind") in shown.state_reason
            assert (shown.description, shown.etag, bool(shown.uid)) == ("Nightly", '"2"', True)
            assert bool(shown.triggers) is (part != "when_json")
            assert shown.HasField("target") is not part.startswith("target")
            assert shown.HasField("policies") is (part != "policies")
            assert dict(shown.labels) == ({} if part == "labels" else {"team": "pay"})
            assert not shown.HasField("next_time")


@pytest.mark.parametrize("part", DAMAGES)
async def test_unreadable_schedule_is_deleted_and_its_name_is_free_again(tmp_path: Path, part: str) -> None:
    async with damaged(tmp_path, DAMAGES[part]) as api:
        request = pb.DeleteScheduleRequest(name=BAD, etag='"2"', request_id="r")
        gone = await api.schedules.DeleteSchedule(request)
        assert (gone.state, gone.etag, gone.HasField("delete_time")) == (ScheduleState.SCHEDULE_STATE_DELETED, '"3"', True)
        assert await api.schedules.DeleteSchedule(request) == gone
        assert list(await listed(api)) == [GOOD]
        made = await api.create("bad", labels={"team": "new"})
        assert list(await listed(api, where="labels.team:*")) == [made.name]
        assert (await api.rig.journal(JournalKind.SCHEDULE_DELETED))[0].reason is Reason.REQUESTED


@pytest.mark.parametrize("part", DAMAGES)
async def test_unreadable_schedule_is_replaced_by_a_whole_definition_and_runs_again(tmp_path: Path, part: str) -> None:
    async with damaged(tmp_path, DAMAGES[part]) as api:
        whole = http("bad", "* * * * *", labels={"team": "ops"}, etag='"2"')
        updated = await api.schedules.UpdateSchedule(pb.UpdateScheduleRequest(schedule=whole, update_mask=FieldMask(paths=["*"])))
        assert (updated.state, updated.state_reason, updated.etag) == (ScheduleState.SCHEDULE_STATE_ENABLED, "", '"3"')
        assert list(await listed(api, where='labels.team = "ops"')) == [BAD]
        assert not await listed(api, where='labels.team = "pay"')
        await api.rig.run_until(60)
        assert [str(request.schedule) for _, request in api.rig.target.requests] == [BAD]


async def test_unreadable_schedule_refuses_what_needs_its_definition_and_says_what_would_be_right(tmp_path: Path) -> None:
    async with damaged(tmp_path, DAMAGES["when_json"]) as api:
        part = pb.UpdateScheduleRequest(schedule=http("bad"), update_mask=FieldMask(paths=["target"]))
        calls = [
            api.schedules.UpdateSchedule(part),
            api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=BAD)),
            api.schedules.ResumeSchedule(pb.ResumeScheduleRequest(name=BAD)),
            api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=BAD)),
            api.schedules.PreviewSchedule(pb.PreviewScheduleRequest(name=BAD)),
        ]
        for call in calls:
            refusal = await refused(call)
            assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UNREADABLE")
            assert "replace it by a whole new definition, or delete it" in refusal.message
        wrong = http("bad", "61 * * * *")
        refusal = await refused(api.schedules.UpdateSchedule(pb.UpdateScheduleRequest(schedule=wrong, update_mask=FieldMask(paths=["*"]))))
        assert refusal.fields == {"schedule.triggers[0].expression": "INVALID_EXPRESSION"}


async def test_deletion_and_replacement_of_an_unreadable_schedule_can_be_checked_only(tmp_path: Path) -> None:
    async with damaged(tmp_path, DAMAGES["when_json"]) as api:
        gone = await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=BAD, validate_only=True))
        whole = pb.UpdateScheduleRequest(schedule=http("bad"), update_mask=FieldMask(paths=["*"]), validate_only=True)
        assert gone.state == ScheduleState.SCHEDULE_STATE_DELETED
        assert (await api.schedules.UpdateSchedule(whole)).triggers
        assert (await get(api, BAD)).etag == '"2"'


async def test_deletion_of_an_unreadable_schedule_that_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    async with damaged(tmp_path, DAMAGES["when_json"]) as api:
        refusal = await refused(api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=BAD, etag='"1"')))
        assert refusal.info.reason == "ETAG_MISMATCH"


async def test_deleted_unreadable_schedule_is_shown_as_such_and_cannot_be_restored(tmp_path: Path) -> None:
    async with damaged(tmp_path, DAMAGES["when_json"]) as api:
        await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=BAD))
        everything = await api.schedules.ListSchedules(pb.ListSchedulesRequest(show_deleted=True))
        assert [each.state for each in everything.schedules if each.name == BAD] == [ScheduleState.SCHEDULE_STATE_DELETED]
        refusal = await refused(api.schedules.UndeleteSchedule(pb.UndeleteScheduleRequest(name=BAD)))
        assert refusal.info.reason == "UNREADABLE"


async def test_batch_deletes_an_unreadable_schedule_and_tells_what_it_cannot_do(tmp_path: Path) -> None:
    async with damaged(tmp_path, DAMAGES["target"]) as api:
        both = [BAD, GOOD]
        paused = await api.schedules.BatchOperateSchedules(
            pb.BatchOperateSchedulesRequest(names=both, operation=pb.SCHEDULE_OPERATION_PAUSE)
        )
        assert [result.status.code for result in paused.results] == [grpc.StatusCode.FAILED_PRECONDITION.value[0], 0]
        gone = await api.schedules.BatchOperateSchedules(
            pb.BatchOperateSchedulesRequest(filter="state = DISABLED", operation=pb.SCHEDULE_OPERATION_DELETE)
        )
        assert [(result.name, result.status.code) for result in gone.results] == [(BAD, 0)]


async def test_status_counts_an_unreadable_schedule_right_after_the_start_and_the_others_run(tmp_path: Path) -> None:
    async with damaged(tmp_path, DAMAGES["when_json"]) as api:
        told = await api.admin.GetStatus(admin_service_pb2.GetStatusRequest())
        counts = {one.state: one.count for one in told.schedule_counts}
        assert counts[ScheduleState.SCHEDULE_STATE_DISABLED] == 1
        assert told.warnings[0].startswith("1 schedule was taken out of service")
        (entry,) = await api.rig.journal(JournalKind.SCHEDULE_DISABLED)
        assert (str(entry.schedule), entry.reason) == (BAD, Reason.STORED_DATA)
        await api.rig.run_until(3600)
        assert [str(request.schedule) for _, request in api.rig.target.requests] == [GOOD]


async def test_schedule_damaged_while_the_daemon_runs_stops_once_somebody_looks(api: Api, tmp_path: Path) -> None:
    await api.create("bad", "* * * * *")
    await api.rig.run_until(60)
    tamper(tmp_path, "UPDATE schedules SET when_json = '{' WHERE name = 'bad'")
    assert (await get(api, BAD)).state == ScheduleState.SCHEDULE_STATE_DISABLED
    await api.rig.run_until(300)
    assert len(api.rig.target.requests) == 1
    assert (await api.rig.journal(JournalKind.SCHEDULE_DISABLED))[0].reason is Reason.STORED_DATA


async def test_deletion_of_an_unreadable_schedule_cancels_what_waits(tmp_path: Path) -> None:
    clock = HandClock()
    async with serving(tmp_path, clock=clock, target=HandTarget(clock, answers=[BROKEN])) as api:
        await api.create("bad")
        await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=BAD))
        await api.rig.settle()
        tamper(tmp_path, "UPDATE schedules SET target = '{' WHERE name = 'bad'")
        await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=BAD))
        await api.rig.settle()
        (ended,) = await api.rig.journal(JournalKind.EXECUTION_FINISHED)
        assert ended.reason is Reason.DELETED


async def test_unreadable_rows_of_history_are_left_out_of_their_lists_alone(tmp_path: Path) -> None:
    clock = HandClock()
    async with serving(tmp_path, clock=clock, target=HandTarget(clock, answers=[BROKEN] * 12)) as api:
        for name in ("one", "two", "three"):
            await api.create(name)
            await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=full_name(name)))
        await api.rig.run_until(300)
        schedule_of = "(SELECT id FROM executions JOIN schedules ON uid = schedule_uid WHERE name = '{}')"
        tamper(tmp_path, f"UPDATE executions SET cause = 'BOREDOM' WHERE id = {schedule_of.format('one')}")
        tamper(tmp_path, f"UPDATE attempts SET outcome = 'SOSO' WHERE execution_id = {schedule_of.format('two')} AND number = 4")
        tamper(tmp_path, f"UPDATE dead_letters SET request = '{{' WHERE execution_id = {schedule_of.format('two')}")
        full = execution_service_pb2.ListExecutionsRequest(view=ExecutionView.EXECUTION_VIEW_FULL)
        executions = (await api.executions.ListExecutions(full)).executions
        letters = (await api.executions.ListDeadLetters(execution_service_pb2.ListDeadLettersRequest())).dead_letters
        assert sorted((each.name.split("/")[3], len(each.attempts)) for each in executions) == [("three", 4), ("two", 3)]
        told = {each.execution.name.split("/")[3]: (each.HasField("request"), each.HasField("last_attempt")) for each in letters}
        assert told == {"two": (False, False), "three": (True, True)}


async def test_unreadable_calendar_is_left_out_of_the_list_also_when_it_is_filtered_by_label(api: Api, tmp_path: Path) -> None:
    for name in ("bad", "good"):
        calendar = Calendar(labels={"a": "b"}, time_zone="UTC")
        calendar.entries.add(date="2026-12-25")
        await api.calendars.CreateCalendar(calendar_service_pb2.CreateCalendarRequest(calendar_id=name, calendar=calendar))
    tamper(tmp_path, "UPDATE calendars SET labels = '{' WHERE name = 'bad'")
    for filter_ in ("", 'labels.a = "b"'):
        found = await api.calendars.ListCalendars(calendar_service_pb2.ListCalendarsRequest(filter=filter_))
        assert [each.name for each in found.calendars] == ["calendars/good"]


async def test_timer_that_is_missing_at_the_start_is_found_anew_and_journaled(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "schedd.db", clock=clock) as rig:
        await rig.create(name="lost")
        await rig.create(name="kept")
    tamper(tmp_path, "DELETE FROM timers WHERE row = 1")
    async with running(tmp_path / "schedd.db", clock=clock) as rig:
        await rig.run_until(60)
        assert sorted(request.schedule.schedule for _, request in rig.target.requests) == ["kept", "lost"]
        (entry,) = await rig.journal(JournalKind.SCHEDULE_UPDATED)
        assert (entry.schedule and entry.schedule.schedule, entry.reason, entry.actor) == ("lost", Reason.STORED_DATA, "schedd")
        assert "timer was missing" in str(entry.evidence["detail"])
    async with running(tmp_path / "schedd.db", clock=clock) as rig:
        assert len(await rig.journal(JournalKind.SCHEDULE_UPDATED)) == 1


async def test_watcher_is_told_what_follows_more_unreadable_entries_than_a_message_holds(api: Api, tmp_path: Path) -> None:
    await api.create("job")
    await api.rig.store.append([JournalEntry(time_us=1, kind=JournalKind.DAEMON_STARTED)] * 120)
    tamper(tmp_path, "UPDATE journal SET reason = 'WHIM' WHERE sequence > 1")
    await api.create("next")
    watch: Any = api.executions.WatchExecutions(execution_service_pb2.WatchExecutionsRequest(after_sequence=0))
    told: list[str] = []
    async with asyncio.timeout(20):
        while full_name("next") not in told:
            told += [event.schedule for event in (await watch.read()).events]
    assert told == ["", full_name("next")]


@pytest.mark.parametrize("order", ["sequence", "sequence desc"])
async def test_pages_of_the_journal_go_on_after_entries_that_cannot_be_read(api: Api, tmp_path: Path, order: str) -> None:
    await api.rig.store.append([JournalEntry(time_us=1, kind=JournalKind.DAEMON_STARTED)] * 9)
    tamper(tmp_path, "UPDATE journal SET kind = 'WHIM' WHERE sequence IN (3, 5, 6, 7, 8, 10)")
    request = admin_service_pb2.ListJournalRequest(page_size=2, order_by=order)
    found: list[int] = []
    while True:
        page = await api.admin.ListJournal(request)
        found += [entry.sequence for entry in page.entries]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == sorted([1, 2, 4, 9], reverse=order.endswith("desc"))


@pytest.mark.parametrize("damage", ["entries = '{'", "labels = '[1]'"])
async def test_unreadable_calendar_in_use_is_replaced_and_its_schedules_run_again(tmp_path: Path, damage: str) -> None:
    clock = HandClock()
    calendar = Calendar(name="calendars/days", description="Old", time_zone="UTC")
    calendar.entries.add(date="2026-01-02")
    async with serving(tmp_path, clock=clock) as api:
        await api.calendars.CreateCalendar(calendar_service_pb2.CreateCalendarRequest(calendar_id="days", calendar=calendar))
        await api.create("job", exclude_calendars=["calendars/days"])
    tamper(tmp_path, f"UPDATE calendars SET {damage} WHERE name = 'days'")
    async with serving(tmp_path, clock=clock) as api:
        part = calendar_service_pb2.UpdateCalendarRequest(calendar=calendar, update_mask=FieldMask(paths=["description"]))
        refusal = await refused(api.calendars.UpdateCalendar(part))
        assert (refusal.info.reason, "update_mask *" in refusal.message) == ("UNREADABLE", True)
        calendar.etag = '"2"'
        whole = calendar_service_pb2.UpdateCalendarRequest(calendar=calendar, update_mask=FieldMask(paths=["*"]))
        assert (await refused(api.calendars.UpdateCalendar(whole))).info.reason == "ETAG_MISMATCH"
        whole.calendar.etag = ""
        await api.calendars.UpdateCalendar(whole)
        shown = await api.calendars.GetCalendar(calendar_service_pb2.GetCalendarRequest(name="calendars/days"))
        assert (list(shown.entries), shown.etag, list(shown.used_by)) == (list(calendar.entries), '"2"', [full_name("job")])
        assert (await get(api, full_name("job"))).state == ScheduleState.SCHEDULE_STATE_DISABLED
        await api.schedules.ResumeSchedule(pb.ResumeScheduleRequest(name=full_name("job")))
        await api.rig.run_until(3601)
        assert len(api.rig.target.requests) == 1
