"""What hostile or unlucky callers get: never an INTERNAL error, never a gap."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from schedd.api.executions import FULL_MOST
from schedd.api.pages import _mark
from schedd.api.watch import EVENTS_A_MESSAGE, Feed
from schedd.core.errors import ExpiredError, QuotaError
from schedd.core.model.batch import Retention
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.service.journal import Journal
from schedd.v1 import admin_service_pb2
from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.admin_service_pb2 import GetStatusRequest
from schedd.v1.execution_pb2 import ExecutionView
from schedd.v1.execution_service_pb2 import ListExecutionsRequest, WatchExecutionsRequest
from tests.api.served import Api, full_name, http, refused, serving
from tests.engine.rig import START_US, HandClock, running

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def token(search: tuple[object, ...], *after: Any) -> str:
    """A page token as the server would make it, with something else in it."""
    return base64.urlsafe_b64encode(json.dumps([_mark(search), *after]).encode()).decode()


ANY = ("", "", "", False)


def listing(page_token: str) -> Callable[[Api], Any]:
    return lambda api: api.schedules.ListSchedules(pb.ListSchedulesRequest(page_token=page_token))


def listing_of(text: str) -> Callable[[Api], Any]:
    return lambda api: api.schedules.ListSchedules(pb.ListSchedulesRequest(filter=text))


CALLS: dict[str, Callable[[Api], Any]] = {
    "null in a token": lambda api: api.schedules.ListSchedules(
        pb.ListSchedulesRequest(page_token=token(("", "", "", False), None, None, 1))
    ),
    "list in a token": listing(token(ANY, [], {}, 1)),
    "float in a token": lambda api: api.schedules.ListSchedules(
        pb.ListSchedulesRequest(page_token=token(("", "", "", False), 1.5, "a", 1))
    ),
    "number as a token": listing(base64.b64encode(b"7").decode()),
    "text as a sequence": lambda api: api.admin.ListJournal(admin_service_pb2.ListJournalRequest(page_token=token(("", "", ()), "abc"))),
    "huge sequence": lambda api: api.admin.ListJournal(admin_service_pb2.ListJournalRequest(page_token=token(("", "", ()), 2**70))),
    "year one": lambda api: api.schedules.ListSchedules(pb.ListSchedulesRequest(filter='create_time > "0001-01-01T00:00:00+14:00"')),
    "endless etag": lambda api: api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=full_name("job"), etag="9" * 5000)),
    "endless name": lambda api: api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=full_name("ü" * 50_000))),
    "endless filter": listing_of("ü" * 50_000),
    "huge etag": lambda api: api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=full_name("job"), etag="9" * 30)),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_nonsense_is_refused_by_the_name_of_its_field(tmp_path: Path, call: Callable[[Api], Any]) -> None:
    async with serving(tmp_path) as api:
        await api.create()
        refusal = await refused(call(api))
        assert refusal.code in (INVALID, grpc.StatusCode.ABORTED, grpc.StatusCode.NOT_FOUND), refusal
        assert refusal.info.domain == "schedd"


async def test_call_that_passes_its_deadline_in_the_commit_takes_effect(tmp_path: Path) -> None:
    clock = HandClock()
    async with serving(tmp_path, clock=clock) as api:
        await api.create("first")
        other = sqlite3.connect(tmp_path / "schedd.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        request = pb.CreateScheduleRequest(schedule=http("job", "rate(1 minute)"), request_id="once")
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await api.schedules.CreateSchedule(request, timeout=0.3)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        other.close()
        again = await api.schedules.CreateSchedule(request)
        assert again.name == full_name("job")
        await api.rig.run_until(61)
        assert api.rig.target.nominal_s() == [60]


async def test_watcher_is_told_of_a_gap_that_retention_makes_while_it_catches_up(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        note = JournalEntry(time_us=START_US, kind=JournalKind.DAEMON_STARTED)
        await rig.store.append([note] * 5 * EVENTS_A_MESSAGE)
        feed = Feed(Journal(store=rig.store, engine=rig.engine))
        messages = feed.messages(after=1, matches=lambda _: True)
        for _ in range(2):
            await anext(messages)
        rig.clock.move(3_600_000_000)
        await rig.store.append([note._replace(time_us=rig.clock.now_us())])
        while await rig.store.prune(Retention(journal=timedelta(minutes=1)), now_us=rig.clock.now_us()):
            pass
        with pytest.raises(ExpiredError):
            await anext(messages)


async def test_watchers_have_a_bound(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        feed = Feed(Journal(store=rig.store, engine=rig.engine), watchers=1)
        first = feed.messages(after=None, matches=lambda _: True)
        await anext(first)
        with pytest.raises(QuotaError):
            await anext(feed.messages(after=None, matches=lambda _: True))
        assert isinstance(first, AsyncGenerator)
        await first.aclose()
        await anext(feed.messages(after=None, matches=lambda _: True))


async def test_socket_is_for_its_owner_alone_until_the_daemon_opens_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with serving(tmp_path):
            assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
            assert os.umask(0) == 0
    finally:
        os.umask(before)


async def test_many_faults_fit_into_one_answer(tmp_path: Path) -> None:
    wrong = [pb.CreateScheduleRequest(schedule=http(f"job{n}", "61 * * * *", time_zone="Europe/Nowhere")) for n in range(500)]
    async with serving(tmp_path) as api:
        refusal = await refused(api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=wrong)))
        assert refusal.code is INVALID
        assert "requests[0].schedule.time_zone" in refusal.fields
        assert refusal.request.field_violations[-1].reason == "MORE"


async def test_creation_repeated_after_its_schedule_was_purged_is_not_found(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        request = pb.CreateScheduleRequest(schedule=http("job"), request_id="once")
        await api.schedules.CreateSchedule(request)
        await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=full_name("job")))
        api.rig.clock.move(60_000_000)
        while await api.rig.store.prune(Retention(deleted=timedelta(seconds=1)), now_us=api.rig.clock.now_us()):
            pass
        assert (await refused(api.schedules.CreateSchedule(request))).code is grpc.StatusCode.NOT_FOUND


async def test_page_of_executions_with_their_attempts_is_short(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.create("job", "rate(1 minute)")
        name = full_name("job")
        for _ in range(FULL_MOST + 1):
            await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=name))
            api.rig.clock.move(1)
        await api.rig.settle()
        request = ListExecutionsRequest(page_size=1000, view=ExecutionView.EXECUTION_VIEW_FULL)
        page = await api.executions.ListExecutions(request)
        assert len(page.executions) == FULL_MOST
        request.page_token = page.next_page_token
        assert len((await api.executions.ListExecutions(request)).executions) == 1


async def test_dry_run_of_a_creation_is_refused_for_a_name_that_is_taken(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.create("job")
        request = pb.CreateScheduleRequest(schedule=http("job"), validate_only=True)
        assert (await refused(api.schedules.CreateSchedule(request))).code is grpc.StatusCode.ALREADY_EXISTS
        twice = [pb.CreateScheduleRequest(schedule=http("new")) for _ in range(2)]
        batch = pb.BatchCreateSchedulesRequest(requests=twice, validate_only=True)
        assert (await refused(api.schedules.BatchCreateSchedules(batch))).code is grpc.StatusCode.ALREADY_EXISTS
        batch = pb.BatchCreateSchedulesRequest(requests=twice[:1], validate_only=True)
        assert len((await api.schedules.BatchCreateSchedules(batch)).schedules) == 1


async def test_calls_beyond_the_most_are_refused_and_taken_again_when_others_have_ended(tmp_path: Path) -> None:
    async with serving(tmp_path, most_calls=2) as api:
        watches: list[Any] = [api.executions.WatchExecutions(WatchExecutionsRequest()) for _ in range(2)]
        for watch in watches:
            await watch.read()
        assert (await refused(api.admin.GetStatus(GetStatusRequest()))).code is grpc.StatusCode.RESOURCE_EXHAUSTED
        watches[0].cancel()
        async with asyncio.timeout(20):
            while await is_refused(api.admin.GetStatus(GetStatusRequest())):
                pass
        watches[1].cancel()


async def is_refused(call: Any) -> bool:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return False
