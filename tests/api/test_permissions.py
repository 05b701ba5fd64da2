"""What the configuration forbids is refused by field when a schedule is created or changed; what was there before may stay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from schedd.core.permissions import Permissions, parse_listed
from schedd.v1 import schedule_service_pb2 as pb
from tests.api.served import Api, full_name, http, refused, serving

STRICT = Permissions(denied=parse_listed(["169.254.0.0/16", "*.internal"]), commands=False)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path) as api:
        yield api


async def test_denied_url_is_refused_by_field_at_creation(api: Api) -> None:
    api.rig.schedules.permit(STRICT)
    schedule = http()
    schedule.target.http.url = "http://169.254.169.254/latest/meta-data"
    refusal = await refused(api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule)))
    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, {"schedule.target.http.url": "TARGET_DENIED"})
    assert "http.deny has 169.254.0.0/16" in refusal.message


async def test_secret_that_is_not_configured_is_refused_by_field_and_one_that_is_comes_back(api: Api) -> None:
    api.rig.schedules.permit(Permissions(secrets=frozenset({"known"})))
    schedule = http()
    schedule.target.http.auth.basic.username = "me"
    schedule.target.http.auth.basic.password.name = "unknown"
    refusal = await refused(api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule)))
    assert refusal.fields == {"schedule.target.http.auth.basic.password.name": "UNKNOWN_SECRET"}
    schedule.target.http.auth.basic.password.name = "known"
    made = await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule))
    assert made.target.http.auth == schedule.target.http.auth


async def test_denied_parts_of_a_batch_are_refused_by_field(api: Api) -> None:
    api.rig.schedules.permit(STRICT)
    command, told = http("a"), http("b")
    command.target.process.argv.append("true")
    told.policies.on_failure.add().notify.url = "http://pager.internal/"
    told.policies.condition.command.argv.append("true")
    requests = [pb.CreateScheduleRequest(schedule=schedule) for schedule in (http("fine"), command, told)]
    refusal = await refused(api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=requests)))
    assert refusal.fields == {
        "requests[1].schedule.target.process": "TARGET_DENIED",
        "requests[2].schedule.policies.on_failure[0].notify.url": "TARGET_DENIED",
        "requests[2].schedule.policies.condition.command": "TARGET_DENIED",
    }


async def test_target_that_was_there_before_it_was_denied_stands_in_the_way_of_no_other_change(api: Api) -> None:
    schedule = http()
    schedule.target.http.url = "http://db.internal/"
    await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule))
    api.rig.schedules.permit(STRICT)
    schedule.description = "changed"
    mask = FieldMask(paths=["description", "target"])
    changed = await api.schedules.UpdateSchedule(pb.UpdateScheduleRequest(schedule=schedule, update_mask=mask))
    assert (changed.name, changed.description) == (full_name("job"), "changed")
    schedule.target.http.url = "http://other.internal/"
    refusal = await refused(api.schedules.UpdateSchedule(pb.UpdateScheduleRequest(schedule=schedule, update_mask=mask)))
    assert refusal.fields == {"schedule.target.http.url": "TARGET_DENIED"}
