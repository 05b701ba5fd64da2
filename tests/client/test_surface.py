"""What the clients offer: the same to both kinds of caller, and each call true to the contract."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable

import pytest
from grpc_health.v1 import health_pb2

from schedd.client import Client, SyncClient, calls, errors
from schedd.v1 import admin_service_pb2, calendar_service_pb2, execution_service_pb2, schedule_service_pb2
from schedd.v1.schedule_pb2 import Schedule
from schedd.v1.schedule_service_pb2 import BatchOperateSchedulesRequest, ScheduleOperation

SERVICES = {
    service.name: service
    for module in (admin_service_pb2, calendar_service_pb2, execution_service_pb2, schedule_service_pb2, health_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
}
METHODS = [value for value in vars(calls).values() if isinstance(value, calls.Method)]


def test_both_clients_have_the_same_public_methods() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(Client) == public(SyncClient)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_method_is_in_the_contract_with_that_answer(method: calls.Method[object]) -> None:
    service = SERVICES[str(getattr(method.stub, "__name__", "")).removesuffix("Stub")]

    assert service.methods_by_name[method.name].output_type.full_name == method.answer.DESCRIPTOR.full_name  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("call", "repeatable"),
    [
        (calls.create_schedule(Schedule()), True),
        (calls.trigger_schedule("x"), True),
        (calls.get_schedule("x"), True),
        (calls.cancel_execution("x"), False),
        (calls.operate_schedules(BatchOperateSchedulesRequest(operation=ScheduleOperation.SCHEDULE_OPERATION_PAUSE)), True),
        (calls.operate_schedules(BatchOperateSchedulesRequest(operation=ScheduleOperation.SCHEDULE_OPERATION_TRIGGER)), True),
        (calls.undelete_schedule("x"), True),
        (calls.redeliver_execution("x"), True),
        (calls.redeliver_dead_letters(["x"]), True),
        (calls.purge_dead_letters(["x"]), False),
    ],
    ids=["create", "trigger", "get", "cancel", "pause-many", "trigger-many", "undelete", "redeliver", "redeliver-many", "purge"],
)
def test_call_is_repeated_only_where_that_is_safe(call: calls.Call[object], repeatable: bool) -> None:
    assert call.repeatable is repeatable


@pytest.mark.parametrize(
    "build",
    [
        lambda **named: calls.create_schedule(Schedule(), **named),
        lambda **named: calls.create_schedules([Schedule()], **named),
        lambda **named: calls.update_schedule(Schedule(), **named),
        lambda **named: calls.delete_schedule("x", **named),
        lambda **named: calls.undelete_schedule("x", **named),
        lambda **named: calls.pause_schedule("x", **named),
        lambda **named: calls.resume_schedule("x", **named),
        lambda **named: calls.trigger_schedule("x", **named),
        lambda **named: calls.redeliver_execution("x", **named),
        lambda **named: calls.redeliver_dead_letters(["x"], **named),
        lambda **named: calls.operate_schedules(BatchOperateSchedulesRequest(**named)),
    ],
    ids=["create", "create-many", "update", "delete", "undelete", "pause", "resume", "trigger", "redeliver", "redeliver-many", "operate"],
)
def test_changing_call_has_a_request_id_of_its_own_or_the_callers(build: Callable[..., calls.Call[object]]) -> None:
    ids = {build().request.request_id for _ in range(3)}  # type: ignore[attr-defined]

    assert len(ids) == 3
    assert all(ids)
    assert build(request_id="mine").request.request_id == "mine"  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", ["schedd", "schedd.client"])
def test_importing_the_client_loads_neither_grpc_nor_protobuf(module: str) -> None:
    script = f"import sys, {module}; print(*(m for m in sys.modules if m.startswith(('grpc', 'google.protobuf'))))"
    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30)

    assert answer.stdout.strip() == ""


def test_unknown_name_in_the_package_is_an_attribute_error() -> None:
    import schedd.client

    with pytest.raises(AttributeError, match="Klient"):
        _ = schedd.client.Klient


@pytest.mark.parametrize("kind", [errors.InvalidError, errors.NotFoundError, errors.UnavailableError])
def test_error_survives_pickling_with_all_it_says(kind: type[errors.CallError]) -> None:
    wrong = errors.FieldViolation(field="name", reason="INVALID_NAME", description="is wrong")
    error = kind(errors.Fault(message="no", reason="WHY", metadata={"sequence": "7"}, violations=(wrong,)))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.fault, str(again), again.resume_after) == (kind, error.fault, "no", 7)
