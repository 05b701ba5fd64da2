"""Backfills through the API: asked for, looked at, listed, cancelled; and what is refused."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.execution_pb2 import Cause
from schedd.v1.execution_service_pb2 import ListExecutionsRequest
from schedd.v1.policy_pb2 import Overlap
from schedd.v1.schedule_pb2 import Backfill, BackfillState
from tests.api.served import Api, full_name, refused
from tests.engine.rig import SECOND, START_US

JOB = full_name("job")
START_S = START_US // SECOND
NOBODY = f"{JOB}/backfills/1kdvdnaz80000"


def asked(hours: int = 3, **values: Any) -> pb.BackfillScheduleRequest:
    range_: dict[str, Any] = {"start_time": Timestamp(seconds=START_S - 3600 * hours), "end_time": Timestamp(seconds=START_S)}
    return pb.BackfillScheduleRequest(**{"name": JOB, **range_, **values})


async def test_backfill_has_the_defaults_and_its_progress(api: Api) -> None:
    await api.create()
    made = await api.schedules.BackfillSchedule(asked())
    assert (made.state, made.total_count, made.overlap) == (BackfillState.BACKFILL_STATE_RUNNING, 3, Overlap.OVERLAP_BUFFER_ALL)
    assert (made.rate_per_second, made.start_time.seconds, made.end_time.seconds) == (10, START_S - 3 * 3600, START_S)
    await api.rig.run_until(3)
    done = await api.schedules.GetBackfill(pb.GetBackfillRequest(name=made.name))
    assert (done.state, done.done_count, done.succeeded_count) == (BackfillState.BACKFILL_STATE_FINISHED, 3, 3)
    assert done.HasField("finish_time")
    ran = (await api.executions.ListExecutions(ListExecutionsRequest(parent=JOB))).executions
    assert [(run.cause, run.backfill) for run in ran] == [(Cause.CAUSE_BACKFILL, made.name)] * 3


async def test_backfill_asked_for_twice_with_one_request_is_one(api: Api) -> None:
    await api.create()
    first = await api.schedules.BackfillSchedule(asked(request_id="x"))
    await api.rig.run_until(3)
    again = await api.schedules.BackfillSchedule(asked(request_id="x"))
    assert (again.name, again.state) == (first.name, BackfillState.BACKFILL_STATE_FINISHED)
    refusal = await refused(api.schedules.BackfillSchedule(asked(4, request_id="x")))
    assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.ABORTED, "REQUEST_ID_REUSED")


async def test_backfill_checked_only_is_counted_and_not_there(api: Api) -> None:
    await api.create()
    assert (await api.schedules.BackfillSchedule(asked(7, validate_only=True))).total_count == 7
    assert not (await api.schedules.ListBackfills(pb.ListBackfillsRequest(parent=JOB))).backfills


async def test_backfill_cancelled_says_so_and_stays(api: Api) -> None:
    await api.create()
    made = await api.schedules.BackfillSchedule(asked(100, rate_per_second=1))
    await api.rig.run_until(2)
    ended = await api.schedules.CancelBackfill(pb.CancelBackfillRequest(name=made.name))
    assert ended.state == BackfillState.BACKFILL_STATE_CANCELLED
    assert 0 < ended.succeeded_count <= ended.done_count < 10
    assert await api.schedules.CancelBackfill(pb.CancelBackfillRequest(name=made.name)) == ended


async def test_backfill_that_is_finished_cannot_be_cancelled(api: Api) -> None:
    await api.create()
    made = await api.schedules.BackfillSchedule(asked(1))
    await api.rig.run_until(2)
    refusal = await refused(api.schedules.CancelBackfill(pb.CancelBackfillRequest(name=made.name)))
    assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FINISHED")
    assert (refusal.resource.resource_type, refusal.resource.resource_name) == ("schedd.v1/Backfill", made.name)


async def test_backfills_are_listed_newest_first_in_pages_and_below_their_parent(api: Api) -> None:
    made: list[Backfill] = []
    for name in ("job", "other", "groups/ops/schedules/job"):
        await api.create(name)
        made.append(await api.schedules.BackfillSchedule(asked(name=full_name(name))))
        await api.rig.run_until(len(made))

    async def listed(parent: str) -> list[str]:
        names: list[str] = []
        request = pb.ListBackfillsRequest(parent=parent, page_size=1)
        while True:
            answer = await api.schedules.ListBackfills(request)
            names += [each.name for each in answer.backfills]
            if not answer.next_page_token:
                return names
            request.page_token = answer.next_page_token

    names = [each.name for each in reversed(made)]
    assert await listed("groups/-/schedules/-") == names
    assert await listed("groups/default/schedules/-") == names[1:]
    assert await listed("groups/-/schedules/job") == [names[0], names[2]]
    assert await listed(JOB) == [names[2]]


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (pb.BackfillScheduleRequest(name="x"), {"name": "INVALID_NAME", "start_time": "REQUIRED", "end_time": "REQUIRED"}),
        (asked(overlap=99, rate_per_second=1, request_id="x" * 200), {"overlap": "INVALID_ENUM", "request_id": "TOO_LONG"}),
        (
            asked(rate_per_second=1001, end_time=Timestamp(seconds=START_S + 3600)),
            {"rate_per_second": "OUT_OF_RANGE", "end_time": "OUT_OF_RANGE"},
        ),
        (asked(0, rate_per_second=-1), {"start_time": "OUT_OF_RANGE", "rate_per_second": "OUT_OF_RANGE"}),
        (asked(rate_per_second=float("nan")), {"rate_per_second": "OUT_OF_RANGE"}),
        (pb.GetBackfillRequest(name=JOB), {"name": "INVALID_NAME"}),
        (pb.CancelBackfillRequest(name=f"{JOB}/backfills/1"), {"name": "INVALID_NAME"}),
        (pb.ListBackfillsRequest(parent="groups/default"), {"parent": "INVALID_NAME"}),
    ],
)
async def test_request_that_is_wrong_names_its_fields(api: Api, request_: Any, fields: dict[str, str]) -> None:
    await api.create()
    method = getattr(api.schedules, type(request_).__name__.removesuffix("Request"))
    assert (await refused(method(request_))).fields == fields


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (asked(), ("schedd.v1/Schedule", JOB)),
        (pb.GetBackfillRequest(name=NOBODY), ("schedd.v1/Backfill", NOBODY)),
        (pb.CancelBackfillRequest(name=NOBODY), ("schedd.v1/Backfill", NOBODY)),
    ],
)
async def test_what_is_not_there_is_not_found_and_named(api: Api, request_: Any, named: tuple[str, str]) -> None:
    method = getattr(api.schedules, type(request_).__name__.removesuffix("Request"))
    refusal = await refused(method(request_))
    assert refusal.code == grpc.StatusCode.NOT_FOUND
    assert (refusal.resource.resource_type, refusal.resource.resource_name) == named
