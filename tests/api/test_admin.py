"""GetStatus, health, reflection, and what is designed and not built yet."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.schedule import ScheduleName
from schedd.v1 import admin_service_pb2, execution_service_pb2
from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.admin_service_pb2 import DaemonState, GetStatusRequest, GetStatusResponse, ListJournalRequest
from schedd.v1.journal_pb2 import JournalKind as KindNumber
from schedd.v1.reason_pb2 import Reason
from schedd.v1.schedule_pb2 import ScheduleState
from tests.api.served import Api, full_name, http, refused, serving
from tests.engine.rig import BROKEN, SECOND, START_US, HandClock, HandTarget
from tests.zonedata import reading, write_zones


async def status(api: Api) -> GetStatusResponse:
    return await api.admin.GetStatus(GetStatusRequest())


async def test_status_of_a_new_daemon_is_empty_and_says_where_it_is(api: Api, tmp_path: Path) -> None:
    told = await status(api)
    assert (told.version, told.state) == ("1.2.3", DaemonState.DAEMON_STATE_RUNNING)
    assert list(told.listen_addresses) == [f"unix:{tmp_path}/s"]
    assert told.store.path == str(tmp_path / "schedd.db")
    assert told.current_time.seconds == told.start_time.seconds == START_US // SECOND
    assert (told.first_sequence, told.store.last_sequence) == (1, 1)
    assert not told.HasField("lateness_p99")
    assert not told.HasField("next_time")
    assert told.time_zone_data_version[:2] == "20"
    assert list(told.warnings) == []


async def test_status_counts_schedules_by_state_and_names_what_wants_attention(api: Api) -> None:
    for name in "abcdef":
        await api.create(name)
    await api.create("past", "at(2026-01-01T00:01:00)")
    await api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=full_name("a")))
    await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=full_name("b")))
    row = (await api.rig.store.schedule(ScheduleName(group="default", schedule="c"))).row
    await api.rig.store.quarantine(row, JournalEntry(time_us=START_US, kind=JournalKind.SCHEDULE_DISABLED, schedule_row=row))
    await api.rig.run_until(120)
    told = await status(api)
    counts = {ScheduleState.Name(one.state).removeprefix("SCHEDULE_STATE_"): one.count for one in told.schedule_counts}
    assert counts == {"ENABLED": 3, "PAUSED": 1, "DELETED": 1, "DISABLED": 1, "COMPLETED": 1}
    assert told.store.schedule_count == 7
    assert [warning.split()[0] for warning in told.warnings] == ["1"]


async def test_status_counts_executions_by_state(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock, answers=[BROKEN])
    async with serving(tmp_path, clock=clock, target=target) as api:
        await api.create("retried")
        await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=full_name("retried")))
        await api.rig.settle()
        target.hold = asyncio.Event()
        schedules = [http(f"s{index}") for index in range(260)]
        requests = [pb.CreateScheduleRequest(schedule=schedule) for schedule in schedules]
        await api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=requests))
        names = [schedule.name for schedule in schedules]
        await api.schedules.BatchOperateSchedules(pb.BatchOperateSchedulesRequest(operation=pb.SCHEDULE_OPERATION_TRIGGER, names=names))
        await api.create("soon", "at(2026-01-01T00:00:01)")
        clock.move(SECOND // 2)
        await api.rig.settle()
        told = await status(api)
    assert (told.armed_count, told.queued_count, told.running_count, told.waiting_retry_count) == (1, 196, 64, 1)
    assert told.store.unfinished_count == 262


async def test_status_shows_a_circuit_that_is_not_closed_and_the_journal_when_it_opened(tmp_path: Path) -> None:
    clock = HandClock()
    async with serving(tmp_path, clock=clock, target=HandTarget(clock, answers=[BROKEN] * 20)) as api:
        schedules = [http(f"s{index}") for index in range(20)]
        requests = [pb.CreateScheduleRequest(schedule=schedule) for schedule in schedules]
        await api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=requests))
        names = [schedule.name for schedule in schedules]
        await api.schedules.BatchOperateSchedules(pb.BatchOperateSchedulesRequest(operation=pb.SCHEDULE_OPERATION_TRIGGER, names=names))
        await api.rig.settle()
        clock.move(1)
        await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=full_name("s0")))
        clock.move(10 * SECOND)
        await api.rig.settle()
        (circuit,) = (await status(api)).circuits
        kinds = [KindNumber.JOURNAL_KIND_CIRCUIT_OPENED]
        (opened,) = (await api.admin.ListJournal(ListJournalRequest(kinds=kinds))).entries
    assert (circuit.host, circuit.half_open, circuit.failure_rate) == ("http://localhost:80", False, 1.0)
    assert circuit.probe_time.ToMicroseconds() - circuit.open_time.ToMicroseconds() == 30 * SECOND
    assert circuit.held_count > 0
    assert opened.evidence["host"] == "http://localhost:80"


async def test_status_tells_how_late_fires_have_started(api: Api) -> None:
    await api.create("a", "rate(1 minute)")
    await api.rig.run_until(59.9)
    api.rig.clock.move(150_000)
    await api.rig.settle()
    assert (await status(api)).lateness_p99.ToMicroseconds() == 50_000


async def test_status_names_the_schedules_that_new_time_zone_data_moved(tmp_path: Path) -> None:
    zones, clock = tmp_path / "zoneinfo", HandClock()
    zones.mkdir()
    write_zones(zones, {"Test/Town": "TST-1"}, version="2026a")
    with reading(zones):
        async with serving(tmp_path, clock=clock) as api:
            await api.create("daily", "0 9 * * *", time_zone="Test/Town")
            await api.create("hourly", time_zone="Test/Town")
    write_zones(zones, {"Test/Town": "TST-2"}, version="2026b")
    with reading(zones):
        async with serving(tmp_path, clock=clock) as api:
            told = await status(api)
            [entry] = (await api.admin.ListJournal(ListJournalRequest(filter="kind = OCCURRENCES_MOVED"))).entries
    assert told.time_zone_data_version == "2026b"
    assert list(told.moved_schedules) == [full_name("daily")]
    assert [warning.partition(";")[0] for warning in told.warnings] == ["new time zone data moved coming occurrences of 1 schedule"]
    assert (entry.schedule, Reason.Name(entry.reason)) == (full_name("daily"), "REASON_TIME_ZONE_DATA")
    assert entry.evidence["time_zone"] == "Test/Town"


async def test_status_of_a_draining_daemon_says_so_and_changes_are_unavailable(api: Api) -> None:
    await api.create()
    await api.rig.engine.drain(timedelta(seconds=1))
    assert (await status(api)).state == DaemonState.DAEMON_STATE_DRAINING
    refusal = await refused(api.create("other"))
    assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert (await api.schedules.GetSchedule(pb.GetScheduleRequest(name=full_name("job")))).name == full_name("job")


SERVICES = ["", "schedd.v1.ScheduleService", "schedd.v1.ExecutionService", "schedd.v1.CalendarService", "schedd.v1.AdminService"]


@pytest.mark.parametrize("service", SERVICES)
async def test_health_says_serving_until_it_is_told_otherwise(api: Api, service: str) -> None:
    request = HealthCheckRequest(service=service)
    assert (await api.health.Check(request)).status == HealthCheckResponse.SERVING
    watch = api.health.Watch(request)
    assert (await watch.read()).status == HealthCheckResponse.SERVING
    await api.server.set_serving(False)
    assert (await watch.read()).status == HealthCheckResponse.NOT_SERVING
    assert (await api.health.Check(request)).status == HealthCheckResponse.NOT_SERVING


async def test_health_of_an_unknown_service_is_not_found(api: Api) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.health.Check(HealthCheckRequest(service="nobody"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def _reflect(api: Api, **values: Any) -> Any:
    untyped: Any = api.channel
    stub: Any = ServerReflectionStub(untyped)
    call = stub.ServerReflectionInfo()
    await call.write(ServerReflectionRequest(**values))
    await call.done_writing()
    return await call.read()


async def test_reflection_lists_and_describes_the_services_where_it_is_configured(tmp_path: Path) -> None:
    async with serving(tmp_path, with_reflection=True) as api:
        listed = await _reflect(api, list_services="")
        names = {service.name for service in listed.list_services_response.service}
        assert names >= {*SERVICES[1:], "grpc.health.v1.Health"}
        described = await _reflect(api, file_containing_symbol="schedd.v1.ScheduleService")
        files = [descriptor_pb2.FileDescriptorProto.FromString(raw) for raw in described.file_descriptor_response.file_descriptor_proto]
        assert any(service.name == "ScheduleService" for file in files for service in file.service)


async def test_reflection_is_not_there_by_default(api: Api) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _reflect(api, list_services="")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


_OF_EXECUTIONS = [
    "TailOutput",
    "GetExecutionStats",
]
UNBUILT: dict[str, Any] = {
    "executions": (execution_service_pb2, _OF_EXECUTIONS),
    "admin": (admin_service_pb2, ["Drain", "Backup", "RunMaintenance", "GetConfig", "GetLimits"]),
}
METHODS = [(stub, module, method) for stub, (module, methods) in UNBUILT.items() for method in methods]


@pytest.mark.parametrize(("stub", "module", "method"), METHODS, ids=[method for _, _, method in METHODS])
async def test_method_that_is_not_built_says_what_it_will_do(api: Api, stub: str, module: Any, method: str) -> None:
    answer = getattr(getattr(api, stub), method)(getattr(module, f"{method}Request")())
    refusal = await refused(answer.read() if isinstance(answer, grpc.aio.UnaryStreamCall) else answer)
    assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_BUILT_YET")
    assert any(word in refusal.message for word in ("will", "later release"))
