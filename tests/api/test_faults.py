"""What bad input gets: every wrong field at once, and errors about a resource that name it."""

from __future__ import annotations

from typing import Any, cast

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from schedd.core.triggers import LAST_US
from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.execution_service_pb2 import CancelExecutionRequest, GetExecutionRequest
from schedd.v1.policy_pb2 import CatchUpMode
from schedd.v1.schedule_pb2 import Schedule
from tests.api.served import Api, full_name, http, refused

JOB = full_name("job")
DELETE = pb.SCHEDULE_OPERATION_DELETE
PAUSE = pb.SCHEDULE_OPERATION_PAUSE
NEVER = Timestamp(seconds=2**60)
LATER = Timestamp(seconds=2**32)
FOREVER = Duration(seconds=2**60)


def wrong_everywhere() -> Schedule:
    """A schedule with a fault in every part that is checked: in reading, in the rule, in the target, in the policies."""
    schedule = Schedule(time_zone="Europe/Nowhere", labels={"UPPER": "x"}, description="x" * 5000)
    schedule.triggers.add(expression="0 9 * * *")
    schedule.triggers.add()
    schedule.target.http.url = "https://"
    schedule.target.http.payload.text = "x" * (256 * 1024 + 1)
    schedule.policies.attempt_timeout.seconds = -1
    schedule.policies.retry.max_backoff.seconds = -5
    schedule.policies.retry.max_age.CopyFrom(FOREVER)
    schedule.policies.overlap = 99  # type: ignore[assignment]
    schedule.policies.delivery = 99  # type: ignore[assignment]
    schedule.start_time.CopyFrom(NEVER)
    return schedule


EVERYWHERE = {
    "schedule.time_zone": "UNKNOWN_ZONE",
    "schedule.labels['UPPER']": "INVALID_LABEL",
    "schedule.description": "TOO_LONG",
    "schedule.triggers[1]": "REQUIRED",
    "schedule.target.http.url": "INVALID_URL",
    "schedule.target.http.payload.content": "TOO_LARGE",
    "schedule.policies.attempt_timeout": "OUT_OF_RANGE",
    "schedule.policies.retry.max_backoff": "OUT_OF_RANGE",
    "schedule.policies.retry.max_age": "OUT_OF_RANGE",
    "schedule.policies.overlap": "INVALID_ENUM",
    "schedule.policies.delivery": "INVALID_ENUM",
    "schedule.start_time": "OUT_OF_RANGE",
}


async def test_creation_wrong_everywhere_names_every_field_at_once(api: Api) -> None:
    request = pb.CreateScheduleRequest(parent="somewhere", schedule_id="-", schedule=wrong_everywhere(), request_id="x" * 200)
    refusal = await refused(api.schedules.CreateSchedule(request))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert (refusal.info.reason, refusal.info.domain) == ("INVALID_ARGUMENT", "schedd")
    assert refusal.fields == EVERYWHERE | {"parent": "INVALID_NAME", "schedule_id": "INVALID_NAME", "request_id": "TOO_LONG"}
    assert all(wrong.description for wrong in refusal.request.field_violations)


async def test_update_wrong_everywhere_names_every_field_at_once(api: Api) -> None:
    await api.create()
    schedule = wrong_everywhere()
    schedule.name = JOB
    refusal = await refused(api.schedules.UpdateSchedule(pb.UpdateScheduleRequest(schedule=schedule)))
    assert refusal.fields == EVERYWHERE


async def test_update_that_would_create_and_is_wrong_names_every_field_at_once(api: Api) -> None:
    schedule = wrong_everywhere()
    schedule.name = JOB
    refusal = await refused(api.schedules.UpdateSchedule(pb.UpdateScheduleRequest(schedule=schedule, allow_missing=True)))
    assert refusal.fields == EVERYWHERE


async def test_update_with_a_wrong_name_mask_and_etag_names_all_three(api: Api) -> None:
    request = pb.UpdateScheduleRequest(schedule=Schedule(name="job", etag="new"), update_mask=FieldMask(paths=["state", "target.http.uri"]))
    refusal = await refused(api.schedules.UpdateSchedule(request))
    assert refusal.fields == {"schedule.name": "INVALID_NAME", "update_mask": "INVALID_MASK", "etag": "INVALID_ETAG"}
    assert "state cannot be changed" in refusal.message
    assert "http has no field uri" in refusal.message


async def test_batch_creation_names_the_wrong_fields_of_all_requests(api: Api) -> None:
    unread, unruly = http("unread"), http("unruly", "61 * * * *")
    unread.ClearField("target")
    unread.triggers[0].expression = "* * *"
    own = pb.CreateScheduleRequest(schedule=http("own"), request_id="x", validate_only=True)
    requests = [pb.CreateScheduleRequest(schedule=schedule) for schedule in (http("right"), unread, unruly)]
    refusal = await refused(api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=[*requests, own])))
    assert refusal.fields == {
        "requests[1].schedule.target": "REQUIRED",
        "requests[1].schedule.triggers[0].expression": "INVALID_EXPRESSION",
        "requests[2].schedule.triggers[0].expression": "INVALID_EXPRESSION",
        "requests[3].request_id": "NOT_ALLOWED",
        "requests[3].validate_only": "NOT_ALLOWED",
    }
    assert not (await api.schedules.ListSchedules(pb.ListSchedulesRequest())).schedules


async def test_batch_creation_names_the_fault_of_a_definition_for_all_that_have_it(api: Api) -> None:
    schedules = [http("a"), http("b"), http("right")]
    for schedule in schedules[:2]:
        schedule.target.http.url = ""
        schedule.policies.retry.max_age.seconds = 10**12
    requests = [pb.CreateScheduleRequest(schedule=schedule) for schedule in schedules]
    refusal = await refused(api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=requests)))
    fields = {"target.http.url": "INVALID_URL", "policies.retry.max_age": "OUT_OF_RANGE"}
    assert refusal.fields == {f"requests[{index}].schedule.{field}": reason for index in (0, 1) for field, reason in fields.items()}


@pytest.mark.parametrize("count", [0, 1001])
async def test_batch_of_too_few_or_too_many_is_refused(api: Api, count: int) -> None:
    requests = [pb.CreateScheduleRequest(schedule=http(f"s{index}")) for index in range(count)]
    refusal = await refused(api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=requests)))
    assert refusal.fields == {"requests": "OUT_OF_RANGE"}


@pytest.mark.parametrize(
    ("expression", "zone", "field", "said"),
    [
        ("0 0 30 2 *", "", "schedule.triggers[0].expression", "30"),
        ("every day", "", "schedule.triggers[0].expression", "every day"),
        ("@hourly", "Europe/Berlim", "schedule.time_zone", "Europe/Berlin"),
        ("at(2020-01-01T00:00:00)", "", "schedule.triggers", "future"),
    ],
)
async def test_rule_that_cannot_be_is_refused_with_what_would_be_right(api: Api, expression: str, zone: str, field: str, said: str) -> None:
    refusal = await refused(api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=http("job", expression, time_zone=zone))))
    assert list(refusal.fields) == [field]
    assert said in refusal.request.field_violations[0].description


async def test_process_without_a_command_is_refused(api: Api) -> None:
    schedule = http()
    schedule.target.process.SetInParent()
    refusal = await refused(api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule)))
    assert refusal.fields == {"schedule.target.process.argv": "REQUIRED"}


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (pb.CreateScheduleRequest(schedule_id="a b", schedule=http()), {"schedule_id": "INVALID_NAME"}),
        (pb.CreateScheduleRequest(schedule=http("groups/default/schedules/-")), {"schedule.name": "INVALID_NAME"}),
        (pb.CreateScheduleRequest(schedule=http("default/job")), {"schedule.name": "INVALID_NAME"}),
        (pb.CreateScheduleRequest(schedule=http("groups/-/schedules/job")), {"schedule.name": "INVALID_NAME"}),
        (pb.CreateScheduleRequest(schedule_id="other", schedule=http()), {"schedule.name": "MISMATCH"}),
        (pb.CreateScheduleRequest(parent="groups/other", schedule=http()), {"schedule.name": "MISMATCH"}),
        (pb.CreateScheduleRequest(schedule=Schedule(target=http().target, triggers=http().triggers)), {"schedule_id": "REQUIRED"}),
    ],
)
async def test_name_that_is_wrong_is_refused(api: Api, request_: pb.CreateScheduleRequest, fields: dict[str, str]) -> None:
    assert (await refused(api.schedules.CreateSchedule(request_))).fields == fields


async def test_name_of_parent_and_id_is_that_of_the_schedule(api: Api) -> None:
    unnamed = http()
    unnamed.name = ""
    made = await api.schedules.CreateSchedule(pb.CreateScheduleRequest(parent="groups/ops", schedule_id="x", schedule=unnamed))
    assert made.name == "groups/ops/schedules/x"


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (pb.PauseScheduleRequest(name="x", until_time=NEVER, etag="y"), ["name", "until_time", "etag"]),
        (pb.PauseScheduleRequest(name=JOB, until_time=Timestamp(seconds=1), reason="x" * 1025), ["until_time", "reason"]),
        (pb.ResumeScheduleRequest(name="x", backlog=cast("Any", 9)), ["name", "backlog"]),
        (pb.TriggerScheduleRequest(name="x", validate_only=True, overlap=cast("Any", 9)), ["name", "overlap"]),
        (pb.DeleteScheduleRequest(name="x", etag="y"), ["name", "etag"]),
        (pb.UndeleteScheduleRequest(name="x", etag="y"), ["name", "etag"]),
        (pb.PreviewScheduleRequest(name="x", after_time=NEVER, before_time=NEVER), ["name", "after_time", "before_time"]),
        (pb.PreviewScheduleRequest(name=JOB, count=1001), ["count"]),
        (pb.PreviewScheduleRequest(name=JOB, after_time=LATER, before_time=Timestamp(seconds=1)), ["before_time"]),
        (pb.PreviewScheduleRequest(), ["subject"]),
        (pb.ListSchedulesRequest(page_size=-1), ["page_size"]),
        (
            pb.BatchOperateSchedulesRequest(names=["x"], filter="y", until_time=NEVER),
            ["operation", "names", "names[0]", "filter", "until_time"],
        ),
        (pb.BatchOperateSchedulesRequest(operation=PAUSE, reason="x" * 1025, names=[JOB]), ["reason"]),
        (pb.BatchOperateSchedulesRequest(operation=DELETE, reason="why", until_time=LATER, names=[JOB]), ["reason", "until_time"]),
        (pb.BatchOperateSchedulesRequest(operation=PAUSE, backlog=CatchUpMode.CATCH_UP_MODE_NONE, names=[JOB]), ["backlog"]),
        (pb.BatchOperateSchedulesRequest(operation=DELETE, page_size=5, page_token="x", names=[JOB]), ["page_size", "page_token"]),
        (pb.BatchOperateSchedulesRequest(operation=DELETE), ["names"]),
        (pb.BatchOperateSchedulesRequest(operation=DELETE, parent="groups/other", names=[JOB]), ["names[0]"]),
        (pb.BatchOperateSchedulesRequest(operation=DELETE, names=[JOB] * 1001), ["names"]),
    ],
)
async def test_request_that_is_wrong_names_every_field_at_once(api: Api, request_: Any, fields: list[str]) -> None:
    await api.create()
    method = getattr(api.schedules, type(request_).__name__.removesuffix("Request"))
    refusal = await refused(method(request_))
    assert (refusal.code, set(refusal.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, set(fields))


async def test_preview_of_a_wrong_proposal_names_every_field_at_once(api: Api) -> None:
    proposed = wrong_everywhere()
    proposed.triggers[0].expression = "61 * * * *"
    proposed.time_zone = "UTC"
    refusal = await refused(api.schedules.PreviewSchedule(pb.PreviewScheduleRequest(schedule=proposed)))
    assert set(refusal.fields) == {"schedule.triggers[0].expression", "schedule.triggers[1]", "schedule.start_time"}


@pytest.mark.parametrize("seconds", [-62_135_596_800, LAST_US // 1_000_000 - 1])
async def test_instants_at_the_ends_of_time_are_answered_rightly(api: Api, seconds: int) -> None:
    """The first and the last instant that is accepted: as a bound of a schedule, and as a start of a preview."""
    stamp = Timestamp(seconds=seconds)
    schedule = http(start_time=stamp) if seconds < 0 else http(end_time=stamp)
    made = await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule))
    assert stamp in (made.start_time, made.end_time)
    shown = await api.schedules.PreviewSchedule(pb.PreviewScheduleRequest(name=JOB, after_time=stamp, count=1))
    assert len(shown.occurrences) == (seconds < 0)


@pytest.mark.parametrize("stamp", [Timestamp(seconds=LAST_US // 1_000_000), Timestamp(seconds=1, nanos=-1), Timestamp(seconds=-(2**62))])
async def test_instant_outside_of_time_is_refused(api: Api, stamp: Timestamp) -> None:
    await api.create()
    refusal = await refused(api.schedules.PreviewSchedule(pb.PreviewScheduleRequest(name=JOB, after_time=stamp)))
    assert refusal.fields == {"after_time": "OUT_OF_RANGE"}


EXECUTION = f"{JOB}/executions/1kdvdnaz80000"


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("GetSchedule", pb.GetScheduleRequest(name=JOB)),
        ("UpdateSchedule", pb.UpdateScheduleRequest(schedule=Schedule(name=JOB, description="x"))),
        ("DeleteSchedule", pb.DeleteScheduleRequest(name=JOB)),
        ("UndeleteSchedule", pb.UndeleteScheduleRequest(name=JOB)),
        ("PauseSchedule", pb.PauseScheduleRequest(name=JOB)),
        ("ResumeSchedule", pb.ResumeScheduleRequest(name=JOB)),
        ("TriggerSchedule", pb.TriggerScheduleRequest(name=JOB)),
        ("PreviewSchedule", pb.PreviewScheduleRequest(name=JOB)),
        ("GetExecution", GetExecutionRequest(name=EXECUTION)),
        ("CancelExecution", CancelExecutionRequest(name=EXECUTION)),
    ],
)
async def test_what_is_not_there_is_not_found_and_named(api: Api, method: str, request_: Any) -> None:
    stub = api.executions if "Execution" in method else api.schedules
    refusal = await refused(getattr(stub, method)(request_))
    assert (refusal.code, refusal.info.reason, refusal.info.domain) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "schedd")
    kind, name = ("Execution", EXECUTION) if "Execution" in method else ("Schedule", JOB)
    assert (refusal.resource.resource_type, refusal.resource.resource_name) == (f"schedd.v1/{kind}", name)


async def test_taken_name_already_exists_and_is_named(api: Api) -> None:
    await api.create()
    refusal = await refused(api.create())
    assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    assert (refusal.resource.resource_type, refusal.resource.resource_name) == ("schedd.v1/Schedule", JOB)


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("UpdateSchedule", pb.UpdateScheduleRequest(schedule=Schedule(name=JOB, etag='"9"', description="x"))),
        ("DeleteSchedule", pb.DeleteScheduleRequest(name=JOB, etag='"9"')),
        ("PauseSchedule", pb.PauseScheduleRequest(name=JOB, etag='"9"')),
        ("ResumeSchedule", pb.ResumeScheduleRequest(name=JOB, etag='"9"')),
    ],
)
@pytest.mark.parametrize("validate_only", [False, True], ids=["", "checked"])
async def test_change_with_an_old_etag_is_aborted_and_changes_nothing(api: Api, method: str, request_: Any, validate_only: bool) -> None:
    made = await api.create()
    request_.validate_only = validate_only
    refusal = await refused(getattr(api.schedules, method)(request_))
    assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert (refusal.resource.resource_type, refusal.resource.resource_name) == ("schedd.v1/Schedule", JOB)
    assert made.etag in refusal.resource.description
    assert (await api.schedules.GetSchedule(pb.GetScheduleRequest(name=JOB))).etag == made.etag


async def test_cancellation_with_too_long_a_reason_is_refused(api: Api) -> None:
    await api.create()
    triggered = await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=JOB))
    refusal = await refused(api.executions.CancelExecution(CancelExecutionRequest(name=triggered.execution.name, reason="x" * 1025)))
    assert refusal.fields == {"reason": "TOO_LONG"}


@pytest.mark.parametrize("every", [0, -1, 3661 * 86_400])
async def test_interval_out_of_its_bounds_is_refused_and_the_bounds_are_told(api: Api, every: int) -> None:
    schedule = http()
    del schedule.triggers[:]
    schedule.triggers.add().interval.every.seconds = every
    schedule.triggers.add().after_completion.delay.seconds = every
    refusal = await refused(api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule)))
    assert refusal.fields == {
        "schedule.triggers[0].interval.every": "OUT_OF_RANGE",
        "schedule.triggers[1].after_completion.delay": "OUT_OF_RANGE",
    }
    assert all("1ms to 3660d is, such as 90s" in wrong.description for wrong in refusal.request.field_violations)
