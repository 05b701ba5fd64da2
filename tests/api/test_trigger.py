"""TriggerSchedule with what is its own, and schedules that begin paused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from schedd.core.model.target import HttpTarget, Payload
from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.execution_service_pb2 import ListExecutionsRequest
from schedd.v1.policy_pb2 import CatchUpMode, Overlap
from schedd.v1.reason_pb2 import Outcome
from schedd.v1.schedule_pb2 import Pause, ScheduleState
from schedd.v1.target_pb2 import Payload as PayloadMessage
from tests.api.served import Api, full_name, http, refused, serving
from tests.engine.rig import SECOND, START_US

JOB = full_name("job")


async def trigger(api: Api, **values: Any) -> pb.TriggerScheduleResponse:
    return await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=JOB, **values))


def sent(api: Api) -> list[Payload]:
    return [request.target.payload for _, request in api.rig.target.requests if isinstance(request.target, HttpTarget)]


async def test_payload_is_sent_once_with_the_schedules_own_type(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        schedule = http("job")
        schedule.target.http.payload.text = "own"
        schedule.target.http.payload.content_type = "text/plain"
        await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule))
        await trigger(api, payload=PayloadMessage(text="{{ cause }}"))
        await api.rig.settle()
        api.rig.clock.move(SECOND)
        await trigger(api, payload=PayloadMessage(data=b"\x00", content_type="application/x-own"))
        await api.rig.settle()
        api.rig.clock.move(SECOND)
        await trigger(api)
        await api.rig.settle()
        assert sent(api) == [
            Payload(content=b"{{ cause }}", content_type="text/plain"),
            Payload(content=b"\x00", content_type="application/x-own", template=False),
            Payload(content=b"own", content_type="text/plain"),
        ]


async def test_overlap_policy_is_that_of_this_run(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.create()
        await trigger(api)
        api.rig.clock.move(1)
        await trigger(api, overlap=Overlap.OVERLAP_BUFFER_ONE)
        api.rig.clock.move(1)
        await trigger(api)
        await api.rig.settle()
        found = (await api.executions.ListExecutions(ListExecutionsRequest(parent=JOB, order_by="execution"))).executions
        assert Outcome.OUTCOME_SUCCEEDED in {one.outcome for one in found}
        assert len(api.rig.target.requests) >= 2


async def test_rehearsal_gives_what_would_be_sent_and_runs_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.create()
        answer = await trigger(api, validate_only=True, payload=PayloadMessage(text="x"), overlap=Overlap.OVERLAP_SKIP)
        assert (answer.rendered.http.method, answer.HasField("execution")) == ("POST", False)
        assert ("Schedd-Attempt", "1") in [(header.name, header.value) for header in answer.rendered.http.headers]
        await api.rig.settle()
        assert api.rig.target.requests == []


async def test_rehearsal_of_what_cannot_be_rendered_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.create()
        api.rig.target.rendered = lambda request: None  # type: ignore[method-assign]
        refusal = await refused(trigger(api, validate_only=True))
        assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_RENDERED")


@pytest.mark.parametrize(
    ("payload", "field", "reason"),
    [
        (PayloadMessage(text="{{ nothing }}"), "payload.text", "INVALID_TEMPLATE"),
        (PayloadMessage(text="{{ labels.nothing }}"), "payload.text", "INVALID_TEMPLATE"),
        (PayloadMessage(data=b"x" * (256 * 1024 + 1)), "payload.data", "TOO_LARGE"),
        (PayloadMessage(text="x", content_type="a\nb"), "payload.content_type", "INVALID_HEADER"),
    ],
)
@pytest.mark.parametrize("validate_only", [False, True])
async def test_wrong_payload_is_refused_by_field(
    tmp_path: Path, payload: PayloadMessage, field: str, reason: str, validate_only: bool
) -> None:
    async with serving(tmp_path) as api:
        await api.create()
        assert (await refused(trigger(api, payload=payload, validate_only=validate_only))).fields == {field: reason}


async def test_schedule_is_created_paused_alone_and_in_a_batch(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        until = Timestamp(seconds=START_US // SECOND + 100)
        pause = Pause(reason="why", until_time=until)
        alone = await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=http("a", "@every 60s"), pause=pause))
        requests = [pb.CreateScheduleRequest(schedule=http("b"), pause=pause), pb.CreateScheduleRequest(schedule=http("c"))]
        batch = (await api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=requests))).schedules
        paused, enabled = ScheduleState.SCHEDULE_STATE_PAUSED, ScheduleState.SCHEDULE_STATE_ENABLED
        assert [each.state for each in (alone, *batch)] == [paused, paused, enabled]
        assert (alone.pause.actor, alone.pause.reason, alone.pause.until_time) == ("unix", "why", until)
        await api.rig.run_until(130)
        assert api.rig.target.nominal_s() == [120]


async def test_wrong_pause_of_a_new_schedule_is_refused_by_field(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        pause = Pause(reason="x" * 1025, until_time=Timestamp(seconds=1))
        request = pb.CreateScheduleRequest(schedule=http("a"), pause=pause)
        refusal = await refused(api.schedules.CreateSchedule(request))
        assert refusal.fields == {"pause.reason": "TOO_LONG", "pause.until_time": "OUT_OF_RANGE"}
        batch = pb.BatchCreateSchedulesRequest(requests=[pb.CreateScheduleRequest(schedule=http("b")), request])
        assert set((await refused(api.schedules.BatchCreateSchedules(batch))).fields) == {
            "requests[1].pause.reason",
            "requests[1].pause.until_time",
        }


@pytest.mark.parametrize(
    ("backlog", "fired"),
    [
        (CatchUpMode.CATCH_UP_MODE_EARLIEST, [60]),
        (CatchUpMode.CATCH_UP_MODE_ALL, [60, 120, 180]),
    ],
)
async def test_resumption_takes_each_mode(tmp_path: Path, backlog: CatchUpMode.ValueType, fired: list[float]) -> None:
    async with serving(tmp_path) as api:
        schedule = http("job", "rate(1 minute)")
        schedule.policies.catch_up.window.FromSeconds(3600)
        await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule, pause=Pause()))
        await api.rig.run_until(190)
        await api.schedules.ResumeSchedule(pb.ResumeScheduleRequest(name=JOB, backlog=backlog))
        await api.rig.run_until(191)
        assert api.rig.target.nominal_s() == fired
