"""TCP with TLS and tokens, on a real server with a certificate made for the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest

from schedd.api.server import TcpListener
from schedd.v1.admin_service_pb2 import GetStatusRequest
from schedd.v1.execution_service_pb2 import WatchExecutionsRequest
from schedd.v1.schedule_service_pb2 import CreateScheduleRequest, ListSchedulesRequest
from tests.api.served import Api, http, over, refused, serving
from tests.certificates import make_certificate

TOKEN = "0123456789abcdef"


@dataclass
class Tls:
    """A certificate for localhost and its key; the tokens can change while the server runs."""

    certificate: bytes
    key: bytes
    tokens: list[str] = field(default_factory=lambda: [TOKEN])

    def listener(self) -> TcpListener:
        credentials = grpc.ssl_server_credentials([(self.key, self.certificate)])
        return TcpListener(address="127.0.0.1:0", credentials=credentials, tokens=lambda: self.tokens)

    @asynccontextmanager
    async def channel(self, api: Api, *, roots: bytes | None = None) -> AsyncIterator[Api]:
        credentials = grpc.ssl_channel_credentials(roots or self.certificate)
        async with grpc.aio.secure_channel(f"localhost:{api.server.tcp_port}", credentials) as channel:
            yield over(channel, api.rig, api.server)


def certified(directory: Path) -> Tls:
    made = make_certificate(directory)
    return Tls(made.certificate.read_bytes(), made.key.read_bytes())


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return certified(tmp_path)


def bearing(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def test_call_over_tls_with_a_token_is_answered_and_its_actor_journaled(tls: Tls, tmp_path: Path) -> None:
    async with serving(tmp_path, tcp=tls.listener()) as api, tls.channel(api) as remote:
        made = await remote.schedules.CreateSchedule(CreateScheduleRequest(schedule=http()), metadata=bearing(TOKEN))
        told = await remote.admin.GetStatus(GetStatusRequest(), metadata=bearing(TOKEN))
        assert made.creator == "tcp ipv4:127.0.0.1"
        assert [address.partition(":")[0] for address in told.listen_addresses] == ["unix", "tcp"]
        assert [one.name for one in (await api.schedules.ListSchedules(ListSchedulesRequest())).schedules] == [made.name]


@pytest.mark.parametrize(
    "metadata",
    [(), bearing("wrong"), bearing(""), bearing(TOKEN[:-1]), (("authorization", TOKEN),), (("authorization", f"bearer {TOKEN}"),)],
    ids=["none", "wrong", "empty", "shorter", "without-scheme", "other-scheme"],
)
@pytest.mark.parametrize("stub", ["schedules", "executions", "health"])
async def test_call_over_tls_without_the_token_is_unauthenticated(tls: Tls, tmp_path: Path, metadata: Any, stub: str) -> None:
    async with serving(tmp_path, tcp=tls.listener()) as api, tls.channel(api) as remote:
        calls: dict[str, Any] = {
            "schedules": lambda: remote.schedules.CreateSchedule(CreateScheduleRequest(schedule=http()), metadata=metadata),
            "executions": lambda: remote.executions.WatchExecutions(WatchExecutionsRequest(), metadata=metadata).read(),
            "health": lambda: remote.health.Check(HealthCheckRequest(), metadata=metadata),
        }
        refusal = await refused(calls[stub]())
        assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REQUIRED")
        assert TOKEN not in refusal.message
        assert not (await api.schedules.ListSchedules(ListSchedulesRequest())).schedules


async def test_tokens_that_change_hold_from_the_next_call_on(tls: Tls, tmp_path: Path) -> None:
    async with serving(tmp_path, tcp=tls.listener()) as api, tls.channel(api) as remote:
        tls.tokens = ["another-token-0123", "a-second-token-0123"]
        assert (await refused(remote.admin.GetStatus(GetStatusRequest(), metadata=bearing(TOKEN)))).code == grpc.StatusCode.UNAUTHENTICATED
        for token in tls.tokens:
            await remote.admin.GetStatus(GetStatusRequest(), metadata=bearing(token))
        tls.tokens = []
        assert (await refused(remote.admin.GetStatus(GetStatusRequest(), metadata=bearing("")))).code == grpc.StatusCode.UNAUTHENTICATED


async def test_client_that_does_not_know_the_certificate_does_not_connect(tls: Tls, tmp_path: Path) -> None:
    other = certified(tmp_path / "other")
    async with serving(tmp_path, tcp=tls.listener()) as api, tls.channel(api, roots=other.certificate) as remote:
        refusal = await refused(remote.admin.GetStatus(GetStatusRequest(), metadata=bearing(TOKEN)))
        assert refusal.code == grpc.StatusCode.UNAVAILABLE


async def test_plain_connection_to_a_tls_port_is_not_answered(tls: Tls, tmp_path: Path) -> None:
    async with serving(tmp_path, tcp=tls.listener()) as api, grpc.aio.insecure_channel(f"localhost:{api.server.tcp_port}") as channel:
        refusal = await refused(over(channel, api.rig, api.server).admin.GetStatus(GetStatusRequest(), metadata=bearing(TOKEN)))
        assert refusal.code == grpc.StatusCode.UNAVAILABLE


async def test_unix_socket_wants_no_token_beside_a_tls_port(tls: Tls, tmp_path: Path) -> None:
    async with serving(tmp_path, tcp=tls.listener()) as api:
        assert (await api.admin.GetStatus(GetStatusRequest())).version == "1.2.3"


async def test_open_loopback_address_wants_no_token(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, tcp=TcpListener(address="127.0.0.1:0")) as api,
        grpc.aio.insecure_channel(f"localhost:{api.server.tcp_port}") as channel,
    ):
        assert (await over(channel, api.rig, api.server).admin.GetStatus(GetStatusRequest())).version == "1.2.3"
