"""AdminService: convert, call the use case, convert."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import grpc

from schedd.api import filters
from schedd.api.convert.basics import duration, timestamp
from schedd.api.convert.execution import entry, kinds_of
from schedd.api.convert.schedule import STATE
from schedd.api.pages import page_size, page_token, sequence_of
from schedd.api.watch import Feed
from schedd.core.breaker import CircuitStanding
from schedd.core.errors import UnimplementedError
from schedd.core.model.execution import ExecutionState
from schedd.service.admin import Admin
from schedd.service.journal import Journal
from schedd.v1 import admin_service_pb2 as pb
from schedd.v1 import admin_service_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    """The methods in the proto's order."""

    def __init__(self, admin: Admin, journal: Journal, feed: Feed, addresses: Sequence[str]) -> None:
        self._admin = admin
        self._journal = journal
        self._feed = feed
        self._addresses = addresses

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:
        status = await self._admin.status()
        engine, store = status.engine, status.store
        oldest, _ = await self._journal.bounds()
        message = pb.GetStatusResponse(
            version=status.version,
            state=pb.DAEMON_STATE_DRAINING if engine.draining else pb.DAEMON_STATE_RUNNING,
            start_time=timestamp(status.started_us),
            current_time=timestamp(status.now_us),
            host=socket.gethostname(),
            pid=os.getpid(),
            schedule_counts=[pb.ScheduleCount(state=STATE.number(state), count=count) for state, count in store.schedules.items()],
            armed_count=engine.executions.get(ExecutionState.ARMED, 0),
            queued_count=engine.executions.get(ExecutionState.QUEUED, 0),
            running_count=engine.executions.get(ExecutionState.RUNNING, 0),
            waiting_retry_count=engine.executions.get(ExecutionState.WAITING_RETRY, 0),
            planned_through_time=timestamp(engine.planned_through_us),
            watcher_count=self._feed.watchers,
            store=pb.StoreStatus(
                path=store.path,
                schema_version=store.schema_version,
                size_bytes=store.size_bytes,
                last_sequence=store.last_sequence,
                schedule_count=sum(store.schedules.values()),
                execution_count=store.executions,
                unfinished_count=store.unfinished,
            ),
            time_zone_data_version=status.zone_data_version,
            moved_schedules=engine.moved.names,
            warnings=status.warnings,
            circuits=[_circuit(each) for each in engine.circuits],
            listen_addresses=self._addresses,
            first_sequence=oldest,
        )
        if engine.lateness_p99_us is not None:
            message.lateness_p99.CopyFrom(duration(timedelta(microseconds=engine.lateness_p99_us)))
        if engine.next_nominal_us is not None:
            message.next_time.CopyFrom(timestamp(engine.next_nominal_us))
        return message

    async def ListJournal(self, request: pb.ListJournalRequest, context: Context) -> pb.ListJournalResponse:
        search = (request.filter, request.order_by, tuple(request.kinds))
        order = filters.parse_order(request.order_by or "sequence desc", ("sequence",))
        where = filters.parse_filter(request.filter, filters.JOURNAL)
        size = page_size(request.page_size)
        at = sequence_of(request.page_token, *search)
        page = await self._journal.read(
            after=0 if order.descending else at,
            through=at - 1 if order.descending and at else None,
            limit=size,
            where=where,
            kinds=kinds_of(request.kinds),
            descending=order.descending,
        )
        following = () if page.is_last else (page.last_read,)
        return pb.ListJournalResponse(entries=[entry(one) for one in page.entries], next_page_token=page_token(following, *search))

    async def Drain(self, request: pb.DrainRequest, context: Context) -> pb.DrainResponse:
        raise UnimplementedError("Drain will hold new work back until it is undone, or the daemon ends")

    async def Backup(self, request: pb.BackupRequest, context: Context) -> pb.BackupResponse:
        raise UnimplementedError("Backup will write a consistent copy of the database while the daemon runs")

    async def RunMaintenance(self, request: pb.RunMaintenanceRequest, context: Context) -> pb.RunMaintenanceResponse:
        raise UnimplementedError("RunMaintenance will apply retention, check and compact the database")

    async def GetConfig(self, request: pb.GetConfigRequest, context: Context) -> pb.GetConfigResponse:
        raise UnimplementedError("GetConfig will give the effective configuration; `schedd check-config` prints it today")

    async def GetLimits(self, request: pb.GetLimitsRequest, context: Context) -> pb.GetLimitsResponse:
        raise UnimplementedError("GetLimits will give the limits and what of them is used")


def _circuit(circuit: CircuitStanding) -> pb.CircuitStatus:
    return pb.CircuitStatus(
        host=circuit.host,
        half_open=circuit.half_open,
        open_time=timestamp(circuit.opened_us),
        probe_time=timestamp(circuit.probe_us),
        failure_rate=circuit.failure_rate,
        held_count=circuit.held,
    )
