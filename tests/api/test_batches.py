"""BatchCreateSchedules and BatchOperateSchedules on a real server."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2

from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.policy_pb2 import CatchUpMode
from schedd.v1.schedule_pb2 import ScheduleState
from tests.api.served import Api, full_name, http, refused
from tests.engine.rig import SECOND, START_US

NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]


async def operate(api: Api, operation: str, **values: Any) -> pb.BatchOperateSchedulesResponse:
    number = pb.ScheduleOperation.Value(f"SCHEDULE_OPERATION_{operation}")
    return await api.schedules.BatchOperateSchedules(pb.BatchOperateSchedulesRequest(operation=number, **values))


async def states(api: Api, **values: Any) -> dict[str, str]:
    answer = await api.schedules.ListSchedules(pb.ListSchedulesRequest(show_deleted=True, **values))
    return {one.name.rpartition("/")[2]: ScheduleState.Name(one.state).removeprefix("SCHEDULE_STATE_") for one in answer.schedules}


@pytest.fixture
async def three(api: Api) -> Api:
    """The schedules a, b and c."""
    for name in "abc":
        await api.create(name, labels={"even": "yes"} if name == "b" else {})
    return api


async def test_batch_creation_creates_all_in_order_and_one_journal_entry_each(api: Api) -> None:
    requests = [pb.CreateScheduleRequest(schedule=http(name)) for name in ("b", "a", "c")]
    created = await api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=requests))
    assert [one.name for one in created.schedules] == [full_name(name) for name in ("b", "a", "c")]
    assert len(await api.rig.journal()) == 1 + 3


async def test_batch_creation_answers_each_what_reading_it_answers(api: Api) -> None:
    schedules = [http(name) for name in "abcdef"]
    schedules[1].description = "another"
    schedules[2].labels["team"] = "pay"
    schedules[3].target.http.method = "PUT"
    schedules[4].policies.priority = 9
    requests = [pb.CreateScheduleRequest(schedule=schedule) for schedule in schedules]
    created = await api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=requests))
    stored = [await api.schedules.GetSchedule(pb.GetScheduleRequest(name=full_name(name))) for name in "abcdef"]
    for one in stored:
        one.ClearField("next_time")
    assert list(created.schedules) == stored
    assert [one.target.http.method for one in stored] == ["POST", "POST", "POST", "PUT", "POST", "POST"]


async def test_batch_creation_with_a_taken_name_creates_none(three: Api) -> None:
    requests = [pb.CreateScheduleRequest(schedule=http(name)) for name in ("new", "a")]
    refusal = await refused(three.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=requests)))
    assert (refusal.code, refusal.resource.resource_name) == (grpc.StatusCode.ALREADY_EXISTS, full_name("a"))
    assert set(await states(three)) == {"a", "b", "c"}


async def test_batch_creation_takes_the_parent_for_all_that_name_none(api: Api) -> None:
    one, other = http("x"), http("y")
    one.name = other.name = ""
    requests = [
        pb.CreateScheduleRequest(schedule_id="x", schedule=one),
        pb.CreateScheduleRequest(parent="groups/ops", schedule_id="y", schedule=other),
    ]
    created = await api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(parent="groups/ops", requests=requests))
    assert [made.name for made in created.schedules] == ["groups/ops/schedules/x", "groups/ops/schedules/y"]
    requests[1].parent = "groups/else"
    refusal = await refused(api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(parent="groups/ops", requests=requests)))
    assert refusal.fields == {"requests[1].parent": "MISMATCH"}


async def test_checked_batch_creation_creates_none(api: Api) -> None:
    requests = [pb.CreateScheduleRequest(schedule=http())]
    created = await api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=requests, validate_only=True))
    assert [one.name for one in created.schedules] == [full_name("job")]
    assert await states(api) == {}


async def test_batch_gives_each_schedule_its_own_result_in_order(three: Api) -> None:
    answer = await operate(three, "PAUSE", names=[full_name(name) for name in ("c", "nobody", "a")], reason="why")
    assert [result.name for result in answer.results] == [full_name(name) for name in ("c", "nobody", "a")]
    assert [result.status.code for result in answer.results] == [0, NOT_FOUND, 0]
    assert [result.schedule.pause.reason for result in answer.results] == ["why", "", "why"]
    info = error_details_pb2.ResourceInfo()
    assert any(detail.Unpack(info) for detail in answer.results[1].status.details)
    assert info.resource_name == full_name("nobody")
    assert await states(three) == {"a": "PAUSED", "b": "ENABLED", "c": "PAUSED"}


async def test_batch_goes_through_every_operation(three: Api) -> None:
    for operation, state in [("PAUSE", "PAUSED"), ("RESUME", "ENABLED"), ("DELETE", "DELETED"), ("UNDELETE", "ENABLED")]:
        answer = await operate(three, operation, names=[full_name("a"), full_name("b")])
        assert [result.status.code for result in answer.results] == [0, 0]
        assert await states(three) == {"a": state, "b": state, "c": "ENABLED"}
    triggered = await operate(three, "TRIGGER", names=[full_name("a"), full_name("b")])
    await three.rig.settle()
    assert [bool(result.execution.name) for result in triggered.results] == [True, True]
    assert len(three.rig.target.requests) == 2


@pytest.mark.parametrize(
    ("filter_", "chosen"),
    [("*", "abc"), ("labels.even:*", "b"), ("labels.even != yes", "ac"), ("state = PAUSED", "")],
)
async def test_batch_by_filter_acts_on_what_matches(three: Api, filter_: str, chosen: str) -> None:
    answer = await operate(three, "DELETE", filter=filter_)
    assert "".join(result.name[-1] for result in answer.results) == chosen
    assert {name for name, state in (await states(three)).items() if state == "DELETED"} == set(chosen)


async def test_batch_by_filter_restores_deleted_ones_only(three: Api) -> None:
    await operate(three, "DELETE", names=[full_name("b")])
    answer = await operate(three, "UNDELETE", filter="*")
    assert [(result.name, result.status.code) for result in answer.results] == [(full_name("b"), 0)]


async def test_batch_by_filter_stays_within_its_parent(three: Api) -> None:
    await three.create("groups/ops/schedules/d")
    answer = await operate(three, "PAUSE", filter="*", parent="groups/ops")
    assert [result.name for result in answer.results] == ["groups/ops/schedules/d"]


async def test_batch_by_filter_goes_on_by_token_while_it_deletes(three: Api) -> None:
    done, token = [], ""
    while True:
        answer = await operate(three, "DELETE", filter="state = ENABLED", page_size=2, page_token=token)
        done.append([result.name[-1] for result in answer.results])
        token = answer.next_page_token
        if not token:
            break
    assert done == [["a", "b"], ["c"]]


@pytest.mark.parametrize("operation", ["PAUSE", "DELETE", "RESUME"])
async def test_checked_batch_answers_as_it_would_and_changes_nothing(three: Api, operation: str) -> None:
    answer = await operate(three, operation, names=[full_name("a"), full_name("nobody")], validate_only=True)
    assert [result.status.code for result in answer.results] == [0, NOT_FOUND]
    assert set((await states(three)).values()) == {"ENABLED"}


async def test_checked_batch_of_triggers_runs_nothing(three: Api) -> None:
    answer = await operate(three, "TRIGGER", names=[full_name("a")], validate_only=True)
    await three.rig.settle()
    assert [result.status.code for result in answer.results] == [0]
    assert not answer.results[0].HasField("execution")
    assert three.rig.target.requests == []


async def test_batch_pauses_until_its_end_and_resumes_with_the_backlog(api: Api) -> None:
    await api.create("a", "rate(1 minute)")
    until = Timestamp(seconds=START_US // SECOND + 3600)
    paused = await operate(api, "PAUSE", names=[full_name("a")], until_time=until)
    assert paused.results[0].schedule.pause.until_time == until
    await api.rig.run_until(170)
    await operate(api, "RESUME", names=[full_name("a")], backlog=CatchUpMode.CATCH_UP_MODE_LATEST)
    await api.rig.run_until(171)
    assert api.rig.target.nominal_s() == [120]
