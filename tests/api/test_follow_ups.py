"""Follow-ups on a real server: refused with the field when they are wrong, shown when they are right, and run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from schedd.core.model.target import HttpTarget
from schedd.v1 import execution_pb2, schedule_pb2
from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.execution_service_pb2 import GetExecutionRequest, ListExecutionsRequest
from schedd.v1.target_pb2 import HttpAuth, OAuth2Auth
from tests.api.served import Api, full_name, http, refused, serving
from tests.engine.rig import BROKEN

HOOK = "http://localhost:7000/hook"


def followed(name: str, *success: str, failure: tuple[str, ...] = ()) -> schedule_pb2.Schedule:
    schedule = http(name, "@yearly")
    for each in success:
        schedule.policies.on_success.add(schedule=full_name(each))
    for each in failure:
        schedule.policies.on_failure.add(schedule=full_name(each))
    schedule.policies.retry.max_attempts = 1
    return schedule


async def create(api: Api, schedule: schedule_pb2.Schedule, **values: Any) -> schedule_pb2.Schedule:
    return await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule, **values))


async def update(api: Api, schedule: schedule_pb2.Schedule, mask: str = "policies") -> schedule_pb2.Schedule:
    request = pb.UpdateScheduleRequest(schedule=schedule)
    request.update_mask.paths.append(mask)
    return await api.schedules.UpdateSchedule(request)


async def executions(api: Api, name: str) -> list[execution_pb2.Execution]:
    return list((await api.executions.ListExecutions(ListExecutionsRequest(parent=full_name(name), order_by="execution"))).executions)


async def trigger(api: Api, name: str) -> execution_pb2.Execution:
    execution = (await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=full_name(name)))).execution
    await api.rig.settle()
    return execution


async def test_follow_up_runs_and_shows_its_parent(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.create("after", "@yearly")
        made = await create(api, followed("job", "after"))
        assert [each.schedule for each in made.policies.on_success] == [full_name("after")]
        parent = await trigger(api, "job")
        assert (parent.actor, parent.parent_execution) == ("unix", "")
        (run,) = await executions(api, "after")
        assert (run.cause, run.parent_execution, run.actor) == (execution_pb2.CAUSE_FOLLOW_UP, parent.name, "")


async def test_notice_is_the_execution_as_the_api_gives_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        api.rig.target.answers = [BROKEN]
        schedule = followed("job")
        schedule.policies.on_failure.add().notify.url = HOOK
        await create(api, schedule)
        name = (await trigger(api, "job")).name
        target = api.rig.target.requests[1][1].target
        assert isinstance(target, HttpTarget)
        told = json_format.Parse(target.payload.content, execution_pb2.Execution())
        assert told == await api.executions.GetExecution(GetExecutionRequest(name=name))


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        (("nobody",), {"schedule.policies.on_success[0].schedule": "NOT_FOUND"}),
        (("after", "gone"), {"schedule.policies.on_success[1].schedule": "NOT_FOUND"}),
        (("job",), {"schedule.policies.on_success[0].schedule": "FOLLOW_UP_CIRCLE"}),
        (("not a name",), {"schedule.policies.on_success[0].schedule": "INVALID_NAME"}),
        (("after",) * 9, {"schedule.policies.on_success": "TOO_MANY"}),
    ],
)
async def test_wrong_follow_up_is_refused_by_field_also_when_checked_only(
    tmp_path: Path, names: tuple[str, ...], fields: dict[str, str]
) -> None:
    async with serving(tmp_path) as api:
        await api.create("after", "@yearly")
        await api.create("gone", "@yearly")
        await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=full_name("gone")))
        for checked_only in (True, False):
            assert (await refused(create(api, followed("job", *names), validate_only=checked_only))).fields == fields


async def test_circle_is_refused_naming_it_however_it_would_come_about(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for schedule in (followed("c"), followed("b", failure=("c",)), followed("a", "b")):
            await create(api, schedule)
        error = await refused(update(api, followed("c", "a")))
        assert error.fields == {"schedule.policies.on_success[0].schedule": "FOLLOW_UP_CIRCLE"}
        circle = " -> ".join(map(full_name, ("c", "a", "b", "c")))
        assert circle in error.request.field_violations[0].description
        # Through one that is deleted: it goes round only when that is restored.
        await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=full_name("b")))
        await update(api, followed("c", "a"))
        undelete = pb.UndeleteScheduleRequest(name=full_name("b"))
        restored = await refused(api.schedules.UndeleteSchedule(undelete))
        assert (restored.code, restored.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FOLLOW_UP_CIRCLE")
        # And in the stead of it.
        assert (await refused(create(api, followed("b", "c")))).fields == error.fields


async def test_circle_of_two_updates_at_once_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await create(api, followed("a"))
        await create(api, followed("b"))
        done = await asyncio.gather(update(api, followed("a", "b")), update(api, followed("b", "a")), return_exceptions=True)
        assert sum(isinstance(one, grpc.aio.AioRpcError) for one in done) == 1


async def test_batch_may_name_its_own_schedules_and_makes_no_circle_among_them(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:

        async def batch(*schedules: schedule_pb2.Schedule) -> pb.BatchCreateSchedulesResponse:
            requests = [pb.CreateScheduleRequest(schedule=schedule) for schedule in schedules]
            return await api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=requests))

        refusal = await refused(batch(followed("a", "b"), followed("b", "a")))
        assert refusal.fields == {
            "requests[0].schedule.policies.on_success[0].schedule": "FOLLOW_UP_CIRCLE",
            "requests[1].schedule.policies.on_success[0].schedule": "FOLLOW_UP_CIRCLE",
        }
        assert len((await batch(followed("a", "b"), followed("b"))).schedules) == 2


async def test_follow_up_that_is_gone_stands_in_the_way_of_no_other_change(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.create("after", "@yearly")
        await create(api, followed("job", "after"))
        await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=full_name("after")))
        schedule = followed("job", "after")
        schedule.description = "changed"
        assert (await update(api, schedule, "description")).description == "changed"
        assert (await update(api, followed("job", "after", "after"))).generation == 3


async def test_what_is_not_built_of_a_notified_target_is_refused_by_field(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        schedule = http("job")
        notify = schedule.policies.on_failure.add().notify
        notify.url = HOOK
        notify.auth.CopyFrom(HttpAuth(oauth2=OAuth2Auth()))
        assert (await refused(create(api, schedule))).fields == {"schedule.policies.on_failure[0].notify.auth.oauth2": "NOT_BUILT_YET"}
