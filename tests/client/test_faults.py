"""The clients against a network that breaks: an in-test servicer fails on purpose; what schedd itself does is not imitated here."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from schedd.client import (
    Client,
    ConflictError,
    DeadlineExceededError,
    InternalError,
    InvalidError,
    NotFoundError,
    Patience,
    SyncClient,
    UnavailableError,
)
from schedd.v1 import execution_service_pb2_grpc, schedule_service_pb2_grpc
from schedd.v1.execution_service_pb2 import WatchExecutionsRequest, WatchExecutionsResponse
from schedd.v1.journal_pb2 import JournalEntry
from schedd.v1.schedule_pb2 import Schedule
from schedd.v1.schedule_service_pb2 import CreateScheduleRequest, GetScheduleRequest

QUICK = Patience(max_attempts=5, first_wait=timedelta(milliseconds=1), longest_wait=timedelta(milliseconds=5))
LAST = 100


class Flaky(schedule_service_pb2_grpc.ScheduleServiceServicer, execution_service_pb2_grpc.ExecutionServiceServicer):
    """Fails as often as it is told to; streams the sequences up to LAST and breaks off every few."""

    def __init__(self) -> None:
        self.failures = 0
        self.code = grpc.StatusCode.UNAVAILABLE
        self.requests: list[CreateScheduleRequest] = []
        self.status: status_pb2.Status | None = None
        self.streams = 0
        self.hang = False

    async def CreateSchedule(self, request: CreateScheduleRequest, context: Any) -> Schedule:
        self.requests.append(request)
        if self.hang:
            await asyncio.Event().wait()
        if len(self.requests) <= self.failures:
            await context.abort(self.code, "not now")
        return request.schedule

    async def GetSchedule(self, request: GetScheduleRequest, context: Any) -> Schedule:
        assert self.status is not None
        await context.abort_with_status(rpc_status.to_status(self.status))
        raise AssertionError

    async def WatchExecutions(self, request: WatchExecutionsRequest, context: Any) -> AsyncIterator[WatchExecutionsResponse]:
        self.streams += 1
        yield WatchExecutionsResponse(resume_sequence=request.after_sequence)
        for sequence in range(request.after_sequence + 1, LAST + 1):
            yield WatchExecutionsResponse(events=[JournalEntry(sequence=sequence)], resume_sequence=sequence)
            if sequence % 7 == 0:
                await self._break_off(sequence, context)
        await asyncio.Event().wait()

    async def _break_off(self, sequence: int, context: Any) -> None:
        if sequence % 14 == 0:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "going down")
        info = error_details_pb2.ErrorInfo(reason="WATCHER_TOO_SLOW", domain="schedd", metadata={"sequence": str(sequence)})
        await context.abort_with_status(rpc_status.to_status(_status(grpc.StatusCode.ABORTED, info)))


def _status(code: grpc.StatusCode, *details: Any) -> status_pb2.Status:
    packed = []
    for detail in details:
        packed.append(AnyMessage())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code.value[0], message="as told", details=packed)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[Flaky, str]]:
    flaky = Flaky()  # type: ignore[abstract] # what it lacks is not called
    made = grpc.aio.server()
    schedule_service_pb2_grpc.add_ScheduleServiceServicer_to_server(flaky, made)
    execution_service_pb2_grpc.add_ExecutionServiceServicer_to_server(flaky, made)
    path = f"{tmp_path}/s.sock"
    made.add_insecure_port(f"unix://{path}")
    await made.start()
    yield flaky, path
    await made.stop(None)


async def test_call_is_made_again_with_the_same_request_id(server: tuple[Flaky, str]) -> None:
    flaky, path = server
    flaky.failures = 3
    async with Client(path, patience=QUICK) as client:
        made = await client.create_schedule(Schedule(name="groups/default/schedules/a"))

    assert made.name == "groups/default/schedules/a"
    assert len(flaky.requests) == 4
    assert len({request.request_id for request in flaky.requests}) == 1
    assert flaky.requests[0].request_id


async def test_two_calls_have_two_request_ids(server: tuple[Flaky, str]) -> None:
    flaky, path = server
    async with Client(path, patience=QUICK) as client:
        await client.create_schedule(Schedule())
        await client.create_schedule(Schedule())

    assert len({request.request_id for request in flaky.requests}) == 2


async def test_call_is_given_up_when_its_attempts_are_used_up(server: tuple[Flaky, str]) -> None:
    flaky, path = server
    flaky.failures = 100
    async with Client(path, patience=QUICK) as client:
        with pytest.raises(UnavailableError, match="not now"):
            await client.create_schedule(Schedule())

    assert len(flaky.requests) == QUICK.max_attempts


async def test_unforeseen_failure_is_not_tried_again(server: tuple[Flaky, str]) -> None:
    flaky, path = server
    flaky.failures, flaky.code = 100, grpc.StatusCode.INTERNAL
    async with Client(path, patience=QUICK) as client:
        with pytest.raises(InternalError):
            await client.create_schedule(Schedule())

    assert len(flaky.requests) == 1


async def test_deadline_ends_a_call_that_gets_no_answer(server: tuple[Flaky, str]) -> None:
    flaky, path = server
    flaky.hang = True
    async with Client(path, patience=QUICK, timeout=timedelta(milliseconds=50)) as client:
        with pytest.raises(DeadlineExceededError):
            await client.create_schedule(Schedule())


async def test_error_details_become_fields(server: tuple[Flaky, str]) -> None:
    flaky, path = server
    request = error_details_pb2.BadRequest()
    request.field_violations.add(field="schedule.time_zone", reason="UNKNOWN_ZONE", description="no such zone")
    flaky.status = _status(grpc.StatusCode.INVALID_ARGUMENT, error_details_pb2.ErrorInfo(reason="INVALID"), request)
    async with Client(path) as client:
        with pytest.raises(InvalidError) as caught:
            await client.get_schedule("x")

    assert caught.value.reason == "INVALID"
    assert [(item.field, item.reason, item.description) for item in caught.value.violations] == [
        ("schedule.time_zone", "UNKNOWN_ZONE", "no such zone")
    ]


@pytest.mark.parametrize(
    ("code", "kind"), [(grpc.StatusCode.NOT_FOUND, NotFoundError), (grpc.StatusCode.ABORTED, ConflictError)], ids=["absent", "conflict"]
)
async def test_blocking_client_raises_the_same_errors(server: tuple[Flaky, str], code: grpc.StatusCode, kind: type[Exception]) -> None:
    flaky, path = server
    flaky.status = _status(code, error_details_pb2.ResourceInfo(resource_type="schedule", resource_name="x"))

    def ask() -> None:
        with SyncClient(path) as client, pytest.raises(kind) as caught:
            client.get_schedule("x")
        assert caught.value.fault.resource_name == "x"  # type: ignore[attr-defined]

    await asyncio.to_thread(ask)


async def test_watch_over_many_breaks_loses_nothing_and_repeats_nothing(server: tuple[Flaky, str]) -> None:
    flaky, path = server
    seen: list[int] = []
    breaks: list[str] = []
    async with (
        Client(path, patience=QUICK) as client,
        aclosing(client.watch(after=0, on_break=lambda error: breaks.append(error.reason))) as events,
    ):
        async for event in events:
            seen.append(event.sequence)
            if event.sequence == LAST:
                break

    assert seen == list(range(1, LAST + 1))
    assert flaky.streams == len(breaks) + 1 == LAST // 7 + 1


async def test_blocking_watch_over_many_breaks_loses_nothing_and_repeats_nothing(server: tuple[Flaky, str]) -> None:
    _, path = server

    def follow() -> list[int]:
        seen: list[int] = []
        with SyncClient(path, patience=QUICK) as client, closing(client.watch(after=0)) as events:
            for event in events:
                seen.append(event.sequence)
                if event.sequence == LAST:
                    break
        return seen

    assert await asyncio.to_thread(follow) == list(range(1, LAST + 1))


async def test_closing_the_client_ends_a_watch(server: tuple[Flaky, str]) -> None:
    _, path = server
    reached = threading.Event()

    def follow(client: SyncClient) -> int:
        count = 0
        for event in client.watch(after=0):
            count += 1
            if event.sequence == LAST:
                reached.set()
        return count

    client = SyncClient(path, patience=QUICK)
    follower = asyncio.get_running_loop().run_in_executor(None, follow, client)
    await asyncio.to_thread(reached.wait, 20)
    client.close()

    assert await asyncio.wait_for(follower, 10) == LAST


async def test_watch_of_a_server_that_is_not_there_fails(tmp_path: Path) -> None:
    async with Client(f"{tmp_path}/none.sock", patience=QUICK) as client:
        with pytest.raises(UnavailableError):
            async with aclosing(client.watch()) as events:
                await anext(events)
