"""The API on a unix socket: real server, real channel, real engine and file; the clock and the target are the test's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from schedd.api.server import CALLS, ApiServer, TcpListener, UseCases
from schedd.api.watch import RING
from schedd.service.admin import Admin
from schedd.service.batches import Batches
from schedd.service.deadletters import DeadLetters
from schedd.service.executions import Executions
from schedd.service.explanations import Explanations
from schedd.service.journal import Journal
from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.admin_service_pb2_grpc import AdminServiceStub
from schedd.v1.calendar_service_pb2_grpc import CalendarServiceStub
from schedd.v1.execution_service_pb2_grpc import ExecutionServiceStub
from schedd.v1.schedule_pb2 import Schedule
from schedd.v1.schedule_service_pb2_grpc import ScheduleServiceStub
from tests.engine.rig import HandClock, HandTarget, Rig, running

if TYPE_CHECKING:  # These are known to the type checker alone.
    from schedd.v1.admin_service_pb2_grpc import AdminServiceAsyncStub
    from schedd.v1.calendar_service_pb2_grpc import CalendarServiceAsyncStub
    from schedd.v1.execution_service_pb2_grpc import ExecutionServiceAsyncStub
    from schedd.v1.schedule_service_pb2_grpc import ScheduleServiceAsyncStub

HOURLY = "@hourly"


@dataclass
class Api:
    """The stubs of one channel, and the rig behind them."""

    rig: Rig
    server: ApiServer
    channel: grpc.aio.Channel
    schedules: ScheduleServiceAsyncStub
    executions: ExecutionServiceAsyncStub
    admin: AdminServiceAsyncStub
    calendars: CalendarServiceAsyncStub
    health: Any

    async def create(self, name: str = "job", expression: str = HOURLY, **values: Any) -> Schedule:
        """Create the schedule of that name in the group `default`, or of that full name."""
        return await self.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=http(name, expression, **values)))


def full_name(name: str) -> str:
    """The full name of a schedule in the group `default`; a full name as it is."""
    return name if "/" in name else f"groups/default/schedules/{name}"


def http(name: str = "job", expression: str = HOURLY, **values: Any) -> Schedule:
    """A schedule that calls a URL."""
    schedule = Schedule(name=full_name(name), **values)
    schedule.triggers.add(expression=expression)
    schedule.target.http.url = "http://localhost/"
    return schedule


@dataclass(frozen=True)
class Refusal:
    """An error as its caller sees it: the code, and the google.rpc details."""

    code: grpc.StatusCode
    message: str
    info: error_details_pb2.ErrorInfo
    request: error_details_pb2.BadRequest
    resource: error_details_pb2.ResourceInfo

    @property
    def fields(self) -> dict[str, str]:
        """The reasons of the wrong fields, by field."""
        return {wrong.field: wrong.reason for wrong in self.request.field_violations}


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """What an error says."""
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    status = status_pb2.Status.FromString(packed if isinstance(packed, bytes) else packed.encode())
    made = Refusal(
        error.code(), status.message, error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.ResourceInfo()
    )
    for detail in status.details:
        for message in (made.info, made.request, made.resource):
            detail.Unpack(message)
    return made


async def refused(call: Any) -> Refusal:
    """What a call is refused with; it fails the test if it is not."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return refusal_of(caught.value)


def over(channel: grpc.aio.Channel, rig: Rig, server: ApiServer) -> Api:
    """The stubs of a channel."""
    untyped: Any = channel
    return Api(
        rig=rig,
        server=server,
        channel=channel,
        schedules=ScheduleServiceStub(untyped),
        executions=ExecutionServiceStub(untyped),
        admin=AdminServiceStub(untyped),
        calendars=CalendarServiceStub(untyped),
        health=HealthStub(untyped),
    )


@asynccontextmanager
async def serving(
    directory: Path,
    *,
    clock: HandClock | None = None,
    target: HandTarget | None = None,
    tcp: TcpListener | None = None,
    with_reflection: bool = False,
    watch_ring: int = RING,
    most_calls: int = CALLS,
) -> AsyncIterator[Api]:
    """The API on the database in `directory`, and a channel to its unix socket."""
    async with running(directory / "schedd.db", clock=clock, target=target) as rig:
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
            admin=Admin(store=rig.store, engine=rig.engine, clock=rig.clock, version="1.2.3"),
            clock=rig.clock,
        )
        server = ApiServer(
            use_cases, socket=directory / "s", tcp=tcp, with_reflection=with_reflection, watch_ring=watch_ring, most_calls=most_calls
        )
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"unix:{directory / 's'}") as channel:
                yield over(channel, rig, server)
        finally:
            await server.stop(0)
