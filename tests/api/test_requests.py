"""Request ids: a call that is made again changes nothing, and is answered as the first one was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.schedule_pb2 import Schedule, ScheduleState
from tests.api.served import Api, full_name, http, refused, serving
from tests.engine.rig import SECOND, HandClock

JOB = full_name("job")
ID = "7d6f"


async def kinds(api: Api) -> list[str]:
    """What was journaled about schedules and executions, in order."""
    entries = await api.rig.journal()
    return [entry.kind for entry in entries if entry.kind.startswith(("SCHEDULE_", "EXECUTION_ARMED"))]


async def updated(api: Api, description: str) -> Schedule:
    request = pb.UpdateScheduleRequest(
        schedule=Schedule(name=JOB, description=description), update_mask=FieldMask(paths=["description"]), request_id=ID
    )
    return await api.schedules.UpdateSchedule(request)


async def deleted(api: Api, etag: str) -> Schedule:
    return await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=JOB, etag=etag, request_id=ID))


async def paused(api: Api, reason: str) -> Schedule:
    return await api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=JOB, reason=reason, request_id=ID))


async def resumed(api: Api, etag: str) -> Schedule:
    return await api.schedules.ResumeSchedule(pb.ResumeScheduleRequest(name=JOB, etag=etag, request_id=ID))


async def undeleted(api: Api, etag: str) -> Schedule:
    return await api.schedules.UndeleteSchedule(pb.UndeleteScheduleRequest(name=JOB, etag=etag, request_id=ID))


async def plain_pause(api: Api) -> None:
    await api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=JOB))


async def plain_resume(api: Api) -> None:
    await api.schedules.ResumeSchedule(pb.ResumeScheduleRequest(name=JOB))


async def plain_delete(api: Api) -> None:
    await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=JOB))


async def nothing(api: Api) -> None:
    pass


Changing = Callable[[Api, str], Awaitable[Schedule]]
CHANGES = [
    pytest.param(nothing, updated, ("a", "b"), "SCHEDULE_UPDATED", id="update"),
    pytest.param(nothing, deleted, ('"1"', ""), "SCHEDULE_DELETED", id="delete"),
    pytest.param(nothing, paused, ("a", "b"), "SCHEDULE_PAUSED", id="pause"),
    pytest.param(plain_pause, resumed, ('"2"', ""), "SCHEDULE_RESUMED", id="resume"),
    pytest.param(plain_delete, undeleted, ('"2"', ""), "SCHEDULE_UNDELETED", id="undelete"),
]


@pytest.mark.parametrize(("prepare", "change", "said", "kind"), CHANGES)
async def test_change_repeated_with_its_id_changes_once(
    api: Api, prepare: Callable[[Api], Awaitable[None]], change: Changing, said: tuple[str, str], kind: str
) -> None:
    await api.create()
    await prepare(api)
    first = await change(api, said[0])
    again = await change(api, said[0])
    assert (again.uid, again.generation, again.state) == (first.uid, first.generation, first.state)
    assert (await kinds(api)).count(kind) == 1


@pytest.mark.parametrize(("prepare", "change", "said", "kind"), CHANGES)
async def test_change_with_an_id_of_another_request_is_aborted(
    api: Api, prepare: Callable[[Api], Awaitable[None]], change: Changing, said: tuple[str, str], kind: str
) -> None:
    await api.create()
    await prepare(api)
    await change(api, said[0])
    refusal = await refused(change(api, said[1]))
    assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.ABORTED, "REQUEST_ID_REUSED")
    assert refusal.resource.resource_name == ID
    assert (await kinds(api)).count(kind) == 1


@pytest.mark.parametrize(("prepare", "change", "said", "kind"), CHANGES)
async def test_change_repeated_at_the_same_time_changes_once(
    api: Api, prepare: Callable[[Api], Awaitable[None]], change: Changing, said: tuple[str, str], kind: str
) -> None:
    await api.create()
    await prepare(api)
    answers = await asyncio.gather(*(change(api, said[0]) for _ in range(5)))
    assert len({answer.generation for answer in answers}) == 1
    assert (await kinds(api)).count(kind) == 1


@pytest.mark.parametrize(("prepare", "change", "said", "kind"), CHANGES)
async def test_change_repeated_after_a_crash_changes_once(
    tmp_path: Path, prepare: Callable[[Api], Awaitable[None]], change: Changing, said: tuple[str, str], kind: str
) -> None:
    clock = HandClock()
    async with serving(tmp_path, clock=clock) as before:
        await before.create()
        await prepare(before)
        first = await change(before, said[0])
    async with serving(tmp_path, clock=clock) as after:
        again = await change(after, said[0])
        assert (again.uid, again.generation) == (first.uid, first.generation)
        assert (await kinds(after)).count(kind) == 1


async def test_change_repeated_after_another_one_is_answered_with_what_stands_now(api: Api) -> None:
    await api.create()
    await paused(api, "why")
    await plain_resume(api)
    again = await paused(api, "why")
    assert (again.state, again.generation) == (ScheduleState.SCHEDULE_STATE_ENABLED, 3)


async def test_resumption_of_an_enabled_schedule_repeated_after_a_pause_does_not_end_it(api: Api) -> None:
    await api.create()
    await resumed(api, "")
    await plain_pause(api)
    assert (await resumed(api, "")).state == ScheduleState.SCHEDULE_STATE_PAUSED


async def test_update_that_changed_nothing_repeated_later_changes_nothing(api: Api) -> None:
    await api.create(description="a")
    await updated(api, "a")
    other = pb.UpdateScheduleRequest(schedule=Schedule(name=JOB, description="b"), update_mask=FieldMask(paths=["description"]))
    await api.schedules.UpdateSchedule(other)
    assert (await updated(api, "a")).description == "b"


async def test_allowed_deletion_of_nothing_repeated_later_deletes_nothing(api: Api) -> None:
    request = pb.DeleteScheduleRequest(name=JOB, allow_missing=True, request_id=ID)
    assert await api.schedules.DeleteSchedule(request) == Schedule(name=JOB)
    await api.create()
    assert await api.schedules.DeleteSchedule(request) == Schedule(name=JOB)
    assert (await api.schedules.GetSchedule(pb.GetScheduleRequest(name=JOB))).state == ScheduleState.SCHEDULE_STATE_ENABLED


async def test_creation_repeated_with_its_id_creates_once(api: Api) -> None:
    request = pb.CreateScheduleRequest(schedule=http(), request_id=ID)
    first, again = await api.schedules.CreateSchedule(request), await api.schedules.CreateSchedule(request)
    assert first.uid == again.uid
    refusal = await refused(api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=http("other"), request_id=ID)))
    assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.ABORTED, "REQUEST_ID_REUSED")


async def test_creation_repeated_when_its_time_has_passed_is_answered_as_before(api: Api) -> None:
    once = http(expression="at(2026-01-01T00:01:00)")
    request = pb.CreateScheduleRequest(schedule=once, request_id=ID)
    first = await api.schedules.CreateSchedule(request)
    await api.rig.run_until(120)
    assert (await api.schedules.CreateSchedule(request)).uid == first.uid
    refusal = await refused(api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=once)))
    assert refusal.fields == {"schedule.triggers": "NEVER_FIRES"}


async def test_batch_creation_repeated_with_its_id_creates_once(api: Api) -> None:
    requests = [pb.CreateScheduleRequest(schedule=http(name)) for name in ("b", "a")]
    request = pb.BatchCreateSchedulesRequest(requests=requests, request_id=ID)
    first, again = await api.schedules.BatchCreateSchedules(request), await api.schedules.BatchCreateSchedules(request)
    assert [one.uid for one in first.schedules] == [one.uid for one in again.schedules]
    assert [one.name for one in again.schedules] == [full_name("b"), full_name("a")]


async def test_update_that_creates_repeated_with_its_id_creates_once(api: Api) -> None:
    request = pb.UpdateScheduleRequest(schedule=http(), allow_missing=True, request_id=ID)
    first, again = await api.schedules.UpdateSchedule(request), await api.schedules.UpdateSchedule(request)
    assert (first.uid, again.generation) == (again.uid, 1)


async def test_trigger_repeated_with_its_id_runs_once_even_if_the_schedule_is_gone(api: Api) -> None:
    await api.create()
    request = pb.TriggerScheduleRequest(name=JOB, request_id=ID)
    first = await api.schedules.TriggerSchedule(request)
    await plain_delete(api)
    again = await api.schedules.TriggerSchedule(request)
    assert first.execution.name == again.execution.name
    assert (await kinds(api)).count("EXECUTION_ARMED") == 1


async def test_check_only_leaves_the_id_free(api: Api) -> None:
    await api.create()
    await api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=JOB, request_id=ID, validate_only=True))
    assert (await paused(api, "why")).state == ScheduleState.SCHEDULE_STATE_PAUSED


async def test_id_that_is_too_long_is_refused(api: Api) -> None:
    refusal = await refused(api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=JOB, request_id="x" * 129)))
    assert refusal.fields == {"request_id": "TOO_LONG"}


def batch(operation: str, **values: Any) -> pb.BatchOperateSchedulesRequest:
    return pb.BatchOperateSchedulesRequest(operation=f"SCHEDULE_OPERATION_{operation}", request_id=ID, **values)  # type: ignore[arg-type]


async def test_batch_trigger_repeated_with_its_id_runs_each_once_and_tries_what_failed_again(api: Api) -> None:
    await api.create("a")
    await api.create("b")
    request = batch("TRIGGER", names=[full_name("a"), full_name("late"), full_name("b")])
    first = await api.schedules.BatchOperateSchedules(request)
    await api.rig.run_until(1)
    await api.create("late")
    again = await api.schedules.BatchOperateSchedules(request)
    assert [result.status.code for result in first.results] == [0, grpc.StatusCode.NOT_FOUND.value[0], 0]
    assert [result.status.code for result in again.results] == [0, 0, 0]
    assert [result.execution.name for result in again.results[::2]] == [result.execution.name for result in first.results[::2]]
    assert (await kinds(api)).count("EXECUTION_ARMED") == 3


async def test_batch_by_filter_repeated_with_its_id_acts_on_those_of_the_first_call(api: Api) -> None:
    for name in ("a", "b", "c", "d"):
        await api.create(name)
    request = batch("PAUSE", filter="state = ENABLED", page_size=2, reason="why")
    first = await api.schedules.BatchOperateSchedules(request)
    again = await api.schedules.BatchOperateSchedules(request)
    assert [result.name for result in again.results] == [full_name("a"), full_name("b")] == [result.name for result in first.results]
    assert first.next_page_token == again.next_page_token != ""
    assert [result.schedule.generation for result in again.results] == [2, 2]


async def test_batch_cut_off_by_a_crash_is_finished_by_its_repetition(tmp_path: Path) -> None:
    clock = HandClock()
    request = batch("PAUSE", names=[full_name(name) for name in "abc"])
    async with serving(tmp_path, clock=clock) as before:
        for name in "abc":
            await before.create(name)
        one_is_done = asyncio.Event()
        before.rig.engine.listen(lambda entries: one_is_done.set() if entries[0].kind == "SCHEDULE_PAUSED" else None)
        under_way: Any = before.schedules.BatchOperateSchedules(request)
        await one_is_done.wait()
        under_way.cancel()
    async with serving(tmp_path, clock=clock) as after:
        results = (await after.schedules.BatchOperateSchedules(request)).results
        assert [(result.status.code, result.schedule.generation) for result in results] == [(0, 2)] * 3
        assert (await kinds(after)).count("SCHEDULE_PAUSED") == 3


async def test_batch_with_an_id_of_another_request_is_aborted(api: Api) -> None:
    await api.create()
    await api.schedules.BatchOperateSchedules(batch("PAUSE", names=[JOB]))
    refusal = await refused(api.schedules.BatchOperateSchedules(batch("RESUME", names=[JOB])))
    assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.ABORTED, "REQUEST_ID_REUSED")


async def test_repetition_that_comes_late_leaves_what_is_armed_armed(api: Api) -> None:
    await api.create(expression="rate(1 minute)")
    await paused(api, "why")
    await plain_resume(api)
    api.rig.clock.move(60 * SECOND - 400_000)
    await api.rig.settle()
    assert api.rig.engine.status().executions == {"ARMED": 1}
    await paused(api, "why")
    await api.rig.run_until(61)
    assert api.rig.target.nominal_s() == [60]
