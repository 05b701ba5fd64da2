"""The client's retries against a real server whose answers get lost on the way: what is repeated is done once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from schedd.client import Client, Patience
from schedd.core.model.journal import JournalKind
from schedd.service.asking import Asking
from schedd.v1.schedule_pb2 import Schedule
from schedd.v1.schedule_service_pb2 import BatchOperateSchedulesRequest, ScheduleOperation
from tests.api.served import Api, full_name, http, serving

JOB = full_name("job")
ANN = Asking(actor="ann")
QUICK = Patience(first_wait=timedelta(milliseconds=1), longest_wait=timedelta(milliseconds=2))


class LossyProxy(grpc.GenericRpcHandler):
    """Passes unary calls on, and loses the first answer to each method: the server has done it, and the caller does not know."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.calls: list[str] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = str(handler_call_details.method)

        async def forward(request: bytes, context: Any) -> bytes:
            onward: Any = self._channel.unary_unary(method)
            answer: bytes = await onward(request)
            self.calls.append(method.rpartition("/")[2])
            if self.calls.count(self.calls[-1]) == 1:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
            return answer

        return grpc.unary_unary_rpc_method_handler(forward)


@asynccontextmanager
async def lossy(directory: Path) -> AsyncIterator[tuple[Api, LossyProxy, Client]]:
    async with serving(directory) as api:
        proxy = LossyProxy(api.channel)
        server = grpc.aio.server(handlers=(proxy,))
        server.add_insecure_port(f"unix:{directory}/lossy")
        await server.start()
        try:
            async with Client(f"{directory}/lossy", patience=QUICK) as client:
                yield api, proxy, client
        finally:
            await server.stop(0)


async def paused(api: Api) -> None:
    await api.rig.pauses.pause((await api.rig.create(name="job")).name, ANN)


async def deleted(api: Api) -> None:
    await api.rig.schedules.delete((await api.rig.create(name="job")).name, ANN)


async def created(api: Api) -> None:
    await api.rig.create(name="job")


async def nothing(api: Api) -> None:
    pass


def _everything(operation: str) -> BatchOperateSchedulesRequest:
    return BatchOperateSchedulesRequest(operation=ScheduleOperation.Value(f"SCHEDULE_OPERATION_{operation}"), filter="*")


@pytest.mark.parametrize(
    ("prepare", "call", "kind"),
    [
        pytest.param(nothing, lambda client: client.create_schedule(http()), JournalKind.SCHEDULE_CREATED, id="create"),
        pytest.param(nothing, lambda client: client.create_schedules([http()]), JournalKind.SCHEDULE_CREATED, id="create-many"),
        pytest.param(
            created, lambda client: client.update_schedule(Schedule(name=JOB, description="x")), JournalKind.SCHEDULE_UPDATED, id="update"
        ),
        pytest.param(created, lambda client: client.delete_schedule(JOB), JournalKind.SCHEDULE_DELETED, id="delete"),
        pytest.param(deleted, lambda client: client.undelete_schedule(JOB), JournalKind.SCHEDULE_UNDELETED, id="undelete"),
        pytest.param(created, lambda client: client.pause_schedule(JOB, "why"), JournalKind.SCHEDULE_PAUSED, id="pause"),
        pytest.param(paused, lambda client: client.resume_schedule(JOB), JournalKind.SCHEDULE_RESUMED, id="resume"),
        pytest.param(created, lambda client: client.trigger_schedule(JOB), JournalKind.EXECUTION_ARMED, id="trigger"),
        pytest.param(
            created, lambda client: client.operate_schedules(_everything("TRIGGER")), JournalKind.EXECUTION_ARMED, id="trigger-many"
        ),
        pytest.param(
            created, lambda client: client.operate_schedules(_everything("DELETE")), JournalKind.SCHEDULE_DELETED, id="delete-many"
        ),
    ],
)
async def test_change_whose_answer_is_lost_is_made_again_and_done_once(
    tmp_path: Path, prepare: Callable[[Api], Awaitable[None]], call: Callable[[Client], Awaitable[Any]], kind: JournalKind
) -> None:
    async with lossy(tmp_path) as (api, proxy, client):
        await prepare(api)
        answer = await call(client)
        assert len(proxy.calls) == 2
        assert len(await api.rig.journal(kind)) == 1
        results = getattr(answer, "results", None)
        assert results is None or [result.status.code for result in results] == [0]
