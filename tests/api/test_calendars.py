"""CalendarService as a client sees it: a real server on a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import grpc
import pytest

from schedd.api.server import ApiServer, UseCases
from schedd.client import Client, errors
from schedd.service.admin import Admin
from schedd.service.batches import Batches
from schedd.service.deadletters import DeadLetters
from schedd.service.executions import Executions
from schedd.service.explanations import Explanations
from schedd.service.journal import Journal
from schedd.v1.calendar_pb2 import Calendar, CalendarEntry, DateRange, Weekday, WeeklyWindow
from schedd.v1.calendar_service_pb2 import CreateCalendarRequest, UpdateCalendarRequest
from schedd.v1.calendar_service_pb2_grpc import CalendarServiceStub
from schedd.v1.journal_pb2 import JournalKind
from schedd.v1.schedule_pb2 import Schedule
from schedd.v1.schedule_service_pb2 import PreviewEffect
from schedd.v1.when_pb2 import CalendarShift
from tests.engine.rig import Rig, running

SATURDAYS = CalendarEntry(weekly=WeeklyWindow(days=[Weekday.WEEKDAY_SATURDAY], start="22:00", end="04:00"))


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[Client, Rig]]:
    async with running(path / "s.db") as rig:
        use_cases = UseCases(
            schedules=rig.schedules,
            pauses=rig.pauses,
            previews=rig.previews,
            backfills=rig.backfills,
            batches=Batches(store=rig.store, schedules=rig.schedules, pauses=rig.pauses, clock=rig.clock),
            executions=Executions(store=rig.store, engine=rig.engine),
            explanations=Explanations(store=rig.store, engine=rig.engine, clock=rig.clock),
            letters=DeadLetters(store=rig.store, engine=rig.engine, clock=rig.clock),
            calendars=rig.calendars,
            journal=Journal(store=rig.store, engine=rig.engine),
            admin=Admin(store=rig.store, engine=rig.engine, clock=rig.clock, version=version("schedd")),
            clock=rig.clock,
        )
        server = ApiServer(use_cases, socket=path / "s.sock")
        await server.start()
        try:
            async with Client(str(path / "s.sock")) as client:
                yield client, rig
        finally:
            await server.stop(0)


def calendar(*entries: CalendarEntry, name: str = "calendars/days", **values: str) -> Calendar:
    return Calendar(name=name, entries=entries or [CalendarEntry(date="2026-01-02")], **values)  # type: ignore[arg-type]


def schedule(**values: object) -> Schedule:
    made = Schedule(name="groups/default/schedules/job", time_zone="UTC", **values)  # type: ignore[arg-type]
    made.triggers.add(expression="0 9 * * *")
    made.target.http.url = "http://localhost/"
    return made


async def test_calendar_comes_back_as_it_was_given_with_what_the_server_adds(tmp_path: Path) -> None:
    entries = [
        CalendarEntry(date="12-25", description="Christmas"),
        CalendarEntry(range=DateRange(first="2026-12-28", last="2026-12-31")),
        SATURDAYS,
        CalendarEntry(icalendar="BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20260501\nEND:VEVENT\nEND:VCALENDAR\n"),
    ]
    async with serving(tmp_path) as (client, _):
        made = await client.create_calendar(calendar(*entries, time_zone="Europe/Berlin", description="free"))
        assert list(made.entries) == entries
        assert (made.name, made.etag, made.time_zone, made.creator) == ("calendars/days", '"1"', "Europe/Berlin", "unix")
        assert len(made.uid) == 13
        assert await client.get_calendar("calendars/days") == made
        assert [found.name async for found in client.list_calendars(filter='description : "fre"')] == ["calendars/days"]
        kinds = [JournalKind.JOURNAL_KIND_CALENDAR_CREATED]
        [entry] = [found async for found in client.list_journal(kinds=kinds)]
        assert (entry.actor, dict(entry.evidence)) == ("unix", {"calendar": "calendars/days"})


async def test_update_replaces_the_fields_of_its_mask_alone(tmp_path: Path) -> None:
    async with serving(tmp_path) as (client, _):
        await client.create_calendar(calendar(description="before"))
        kept = await client.update_calendar(Calendar(name="calendars/days", description="after"))
        assert (kept.description, [entry.date for entry in kept.entries], kept.etag) == ("after", ["2026-01-02"], '"2"')
        cleared = await client.update_calendar(Calendar(name="calendars/days"), update_mask=["description"])
        assert cleared.description == ""
        whole = await client.update_calendar(calendar(SATURDAYS), update_mask=["*"])
        assert list(whole.entries) == [SATURDAYS]
        made = await client.update_calendar(calendar(name="calendars/new"), allow_missing=True)
        assert made.etag == '"1"'
        with pytest.raises(errors.ConflictError):
            await client.update_calendar(calendar(etag='"1"'), update_mask=["entries"])
        with pytest.raises(errors.NotFoundError):
            await client.update_calendar(calendar(name="calendars/none"))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (calendar(name="days"), "calendar.name"),
        (calendar(name=""), "calendar_id"),
        (calendar(CalendarEntry()), "calendar.entries[0]"),
        (calendar(CalendarEntry(weekly=WeeklyWindow(days=[Weekday.WEEKDAY_UNSPECIFIED]))), "calendar.entries[0].weekly.days[0]"),
        (calendar(CalendarEntry(date="2026-02-30")), "calendar.entries[0].date"),
        (calendar(time_zone="Mars/X"), "calendar.time_zone"),
    ],
)
async def test_wrong_calendar_is_refused_with_its_field(tmp_path: Path, wrong: Calendar, field: str) -> None:
    async with serving(tmp_path) as (client, _):
        with pytest.raises(errors.InvalidError) as refused:
            await client.create_calendar(wrong)
        assert [violation.field for violation in refused.value.violations] == [field]


async def test_calendar_id_names_and_wrong_masks_etags_and_request_ids_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as (client, _), grpc.aio.insecure_channel(f"unix:{tmp_path / 's.sock'}") as channel:
        stub = CalendarServiceStub(channel)
        made = await stub.CreateCalendar(CreateCalendarRequest(calendar_id="days", calendar=calendar(name="")))
        assert made.name == "calendars/days"
        with pytest.raises(grpc.aio.AioRpcError, match=r"calendar\.name: is calendars/one, and calendar_id says two"):
            await stub.CreateCalendar(CreateCalendarRequest(calendar_id="two", calendar=calendar(name="calendars/one")))
        with pytest.raises(errors.InvalidError, match="update_mask"):
            await client.update_calendar(calendar(), update_mask=["uid"])
        with pytest.raises(errors.InvalidError, match="etag"):
            await client.delete_calendar("calendars/days", etag="x")
        with pytest.raises(errors.InvalidError, match="request_id"):
            await client.update_calendar(calendar(), request_id="x" * 129)
        unmarked = await stub.UpdateCalendar(UpdateCalendarRequest(calendar=calendar(SATURDAYS)))
        assert unmarked.etag == '"2"'


async def test_deleting_a_calendar_in_use_is_refused_and_who_uses_it_is_shown(tmp_path: Path) -> None:
    async with serving(tmp_path) as (client, _):
        await client.create_calendar(calendar())
        made = await client.create_schedule(schedule(exclude_calendars=["calendars/days"]))
        assert list(made.exclude_calendars) == ["calendars/days"]
        found = await client.get_calendar("calendars/days")
        assert (found.used_by_count, list(found.used_by)) == (1, ["groups/default/schedules/job"])
        [listed] = [one async for one in client.list_calendars()]
        assert (listed.used_by_count, list(listed.used_by)) == (1, [])
        with pytest.raises(errors.PreconditionError, match="groups/default/schedules/job") as refused:
            await client.delete_calendar("calendars/days")
        assert refused.value.reason == "CALENDAR_IN_USE"
        await client.delete_schedule("groups/default/schedules/job")
        await client.delete_calendar("calendars/days", etag='"1"')
        with pytest.raises(errors.NotFoundError):
            await client.delete_calendar("calendars/days")
        await client.delete_calendar("calendars/days", allow_missing=True)


async def test_schedule_with_wrong_calendars_is_refused_with_their_fields(tmp_path: Path) -> None:
    async with serving(tmp_path) as (client, _):
        await client.create_calendar(calendar())
        with pytest.raises(errors.InvalidError) as unknown:
            await client.create_schedule(schedule(include_calendars=["calendars/day"]))
        [violation] = unknown.value.violations
        assert (violation.field, violation.reason) == ("schedule.include_calendars[0]", "UNKNOWN_CALENDAR")
        assert "did you mean `days`?" in violation.description
        with pytest.raises(errors.InvalidError, match=r"calendars/\{calendar\}"):
            await client.create_schedule(schedule(exclude_calendars=["days"]))


async def test_preview_marks_calendar_effects(tmp_path: Path) -> None:
    async with serving(tmp_path) as (client, _):
        await client.create_calendar(calendar(CalendarEntry(weekly=WeeklyWindow(days=[Weekday.WEEKDAY_FRIDAY]))))
        moved = schedule(exclude_calendars=["calendars/days"], calendar_shift=CalendarShift.CALENDAR_SHIFT_NEXT_DAY)
        moved.triggers[0].expression = "0 9 * * FRI"
        made = await client.create_schedule(moved)
        assert made.calendar_shift == CalendarShift.CALENDAR_SHIFT_NEXT_DAY
        answer = await client.preview_schedule(made.name, count=2, show_excluded=True)
        assert [(one.local_time, list(one.effects), one.note) for one in answer.occurrences] == [
            ("2026-01-02T09:00:00+00:00", [PreviewEffect.PREVIEW_EFFECT_EXCLUDED], "left out by the calendar days"),
            ("2026-01-03T09:00:00+00:00", [PreviewEffect.PREVIEW_EFFECT_CALENDAR_SHIFTED], "moved here by a calendar"),
        ]
        assert [one.local_time[:10] for one in (await client.preview_schedule(made.name, count=2)).occurrences] == [
            "2026-01-03",
            "2026-01-10",
        ]
