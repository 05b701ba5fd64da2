"""The gRPC server: the services behind their interceptors, on a unix socket and, where configured, on TCP."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from schedd.api.admin import AdminServicer
from schedd.api.calendars import CalendarServicer
from schedd.api.executions import ExecutionServicer
from schedd.api.interceptors import ErrorInterceptor, TokenInterceptor
from schedd.api.schedules import ScheduleServicer
from schedd.api.turns import Turns
from schedd.api.watch import RING, WATCHERS, Feed
from schedd.core.ports import Clock
from schedd.service.admin import Admin
from schedd.service.backfills import Backfills
from schedd.service.batches import Batches
from schedd.service.calendars import CalendarUseCases
from schedd.service.deadletters import DeadLetters
from schedd.service.executions import Executions
from schedd.service.explanations import Explanations
from schedd.service.journal import Journal
from schedd.service.pauses import Pauses
from schedd.service.previews import Previews
from schedd.service.schedules import Schedules
from schedd.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    calendar_service_pb2,
    calendar_service_pb2_grpc,
    execution_service_pb2,
    execution_service_pb2_grpc,
    schedule_service_pb2,
    schedule_service_pb2_grpc,
)

MESSAGE_LIMIT_BYTES = 16 * 1024 * 1024
"""Room for a batch of a thousand schedules; a schedule's own fields have their own bounds."""

CALLS = WATCHERS + 1000
"""How many calls of one listener are under way at once, watches among them; further ones are refused with RESOURCE_EXHAUSTED."""

_SERVICES = (
    schedule_service_pb2.DESCRIPTOR.services_by_name["ScheduleService"].full_name,
    execution_service_pb2.DESCRIPTOR.services_by_name["ExecutionService"].full_name,
    calendar_service_pb2.DESCRIPTOR.services_by_name["CalendarService"].full_name,
    admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name,
)
SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),  # Else a second daemon would share the address in silence.
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", -1),
    # Clients that watch ping every 20 s; gRPC's own default, five minutes, would cut off a quiet stream for that.
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
)
"""The channel options of a listener; gRPC passes over in silence what it does not know."""
_WATCH = "WatchExecutions"


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """What the services call."""

    schedules: Schedules
    pauses: Pauses
    previews: Previews
    backfills: Backfills
    batches: Batches
    executions: Executions
    explanations: Explanations
    letters: DeadLetters
    calendars: CalendarUseCases
    journal: Journal
    admin: Admin
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpListener:
    """A checked TCP address. Without `credentials` and `tokens` it is an open loopback address."""

    address: str
    credentials: grpc.ServerCredentials | None = None
    tokens: Callable[[], Sequence[str]] | None = None


class ApiServer:
    """One server for the unix socket, one for TCP if there is a listener; both speak for the same use cases."""

    def __init__(
        self,
        use_cases: UseCases,
        *,
        socket: Path,
        tcp: TcpListener | None = None,
        with_reflection: bool = False,
        watch_ring: int = RING,
        most_calls: int = CALLS,
    ) -> None:
        self._most_calls = most_calls
        self._feed = Feed(use_cases.journal, ring=watch_ring)
        self._health = health.aio.HealthServicer()
        self._addresses = [f"unix:{socket}"]
        admin = AdminServicer(use_cases.admin, use_cases.journal, self._feed, self._addresses)
        self._servicers = (
            ScheduleServicer(
                schedules=use_cases.schedules,
                pauses=use_cases.pauses,
                previews=use_cases.previews,
                backfills=use_cases.backfills,
                batches=use_cases.batches,
                clock=use_cases.clock,
            ),
            ExecutionServicer(use_cases.executions, use_cases.explanations, use_cases.letters, use_cases.batches, self._feed),
            admin,
        )
        self._calendars = CalendarServicer(use_cases.calendars)
        self._with_reflection = with_reflection
        self._turns = Turns()
        self._servers = [self._server(())]
        with _nobody_else():
            self._servers[0].add_insecure_port(f"unix:{socket}")
        self.tcp_port = 0
        if tcp is not None:
            self._add_tcp(tcp)

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return self._feed.watchers

    async def start(self) -> None:
        """Answer calls; health says SERVING."""
        for server in self._servers:
            await server.start()
        await self.set_serving(True)

    async def set_serving(self, serving: bool) -> None:
        """Tell health checks whether the daemon does its work."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *_SERVICES):
            await self._health.set(service, status)

    async def stop(self, grace_s: float) -> None:
        """Take no new calls; let those under way end for `grace_s`, then end them."""
        await self._health.enter_graceful_shutdown()
        for server in self._servers:
            await server.stop(grace_s)
        self._feed.close()

    def _add_tcp(self, tcp: TcpListener) -> None:
        server = self._server((TokenInterceptor(tcp.tokens),) if tcp.tokens is not None else ())
        if tcp.credentials is None:
            self.tcp_port = server.add_insecure_port(tcp.address)
        else:
            self.tcp_port = server.add_secure_port(tcp.address, tcp.credentials)
        host, _, _ = tcp.address.rpartition(":")
        self._addresses.append(f"tcp:{host}:{self.tcp_port}")
        self._servers.append(server)

    def _server(self, first: Sequence[grpc.aio.ServerInterceptor]) -> grpc.aio.Server:
        # Limits and audit go between the two.
        interceptors = [*first, ErrorInterceptor(self._turns)]
        server = grpc.aio.server(interceptors=interceptors, options=SERVER_OPTIONS, maximum_concurrent_rpcs=self._most_calls)
        schedules, executions, admin = self._servicers
        methods: Any = _Methods(server)
        schedule_service_pb2_grpc.add_ScheduleServiceServicer_to_server(schedules, methods)
        execution_service_pb2_grpc.add_ExecutionServiceServicer_to_server(executions, methods)
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(admin, methods)
        calendar_service_pb2_grpc.add_CalendarServiceServicer_to_server(self._calendars, methods)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, methods)
        if self._with_reflection:
            reflection.enable_server_reflection((*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        return server


@contextmanager
def _nobody_else() -> Iterator[None]:
    """What is made meanwhile is for its owner alone: whoever starts the daemon opens its socket to others, once it is ready."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


class _Methods:
    """Takes the services in for a server.

    Each is added as a generic handler alone: a server waits for a call of each registered method on its own, and looks through all of
    them at every call. The messages of a watch are encoded when they are yielded: its serializer passes them on.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Nothing: `add_registered_method_handlers` is told of the same methods."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Add the methods of one service."""
        if (watch := handlers.get(_WATCH)) is not None:
            encoded: Any = grpc.unary_stream_rpc_method_handler(watch.unary_stream, watch.request_deserializer, None)
            handlers = {**handlers, _WATCH: encoded}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
