"""BatchOperateSchedules as messages: what is done, to which schedules, and what became of each."""

from __future__ import annotations

from datetime import timedelta

from google.rpc.status_pb2 import Status

from schedd.api import filters
from schedd.api.convert import schedule as convert
from schedd.api.convert.execution import execution as execution_message
from schedd.api.convert.pause import backlog_of, until_us_of
from schedd.api.errors import status_of
from schedd.api.names import ANY, STAND_IN, below_group, group_name
from schedd.api.reading import Reading
from schedd.core.model.query import Comparison, Filter, Operator
from schedd.core.model.schedule import ScheduleName, ScheduleState
from schedd.service.batches import BatchOperation, Operation, OperationResult
from schedd.service.schedules import BATCH_MAX
from schedd.v1 import schedule_service_pb2 as pb

_OPERATIONS = {
    pb.SCHEDULE_OPERATION_PAUSE: Operation.PAUSE,
    pb.SCHEDULE_OPERATION_RESUME: Operation.RESUME,
    pb.SCHEDULE_OPERATION_DELETE: Operation.DELETE,
    pb.SCHEDULE_OPERATION_UNDELETE: Operation.UNDELETE,
    pb.SCHEDULE_OPERATION_TRIGGER: Operation.TRIGGER,
}
_ONLY_FOR = {"reason": Operation.PAUSE, "until_time": Operation.PAUSE, "backlog": Operation.RESUME}
_EVERYTHING = "*"
_ALL: Filter = ()
_DELETED = Comparison(field="state", operator=Operator.EQUAL, value=ScheduleState.DELETED)


def read_operation(request: pb.BatchOperateSchedulesRequest, reading: Reading) -> BatchOperation:
    """What is done to each schedule."""
    operation = _OPERATIONS.get(request.operation)
    if operation is None:
        reading.note("operation", "INVALID_ENUM", f"is one of {', '.join(_OPERATIONS.values())}")
    else:
        _refuse_idle_fields(request, operation, reading)
    return BatchOperation(
        operation=operation or Operation.RESUME,
        reason=request.reason,
        until_us=until_us_of(request, reading),
        backlog=backlog_of(request, reading),
    )


def _refuse_idle_fields(request: pb.BatchOperateSchedulesRequest, operation: Operation, reading: Reading) -> None:
    """Refuse what would be said in vain."""
    for present, _ in request.ListFields():
        wanted = _ONLY_FOR.get(present.name, operation)
        if wanted is not operation:
            reading.note(present.name, "NOT_ALLOWED", f"is for {wanted} alone, and this is {operation}; leave it unset")
        if present.name in ("page_size", "page_token") and request.names:
            reading.note(present.name, "NOT_ALLOWED", "goes with a filter, and names are given; leave it unset")


def read_names(request: pb.BatchOperateSchedulesRequest, reading: Reading) -> list[ScheduleName]:
    """The schedules that are named, all of them below `parent`."""
    if bool(request.names) == bool(request.filter):
        reading.note("names", "REQUIRED", "give either names or a filter")
    if len(request.names) > BATCH_MAX:
        reading.note("names", "TOO_MANY", f"{len(request.names)} names; 1 to {BATCH_MAX} are allowed")
    group = reading.of(lambda: group_name(request.parent), ANY) if request.parent else ANY
    named = []
    for index, text in enumerate(request.names[:BATCH_MAX]):
        field = f"names[{index}]"
        name = reading.name(text, field)
        if group not in (ANY, name.group) and name is not STAND_IN:
            reading.note(field, "MISMATCH", f"{text} does not lie in {request.parent}")
        named.append(name)
    return named


def read_choice(request: pb.BatchOperateSchedulesRequest, reading: Reading) -> Filter:
    """What the schedules match that are not named."""
    where = reading.of(lambda: below_group(request.parent), _ALL)
    if request.filter != _EVERYTHING:
        where += reading.of(lambda: filters.parse_filter(request.filter, filters.SCHEDULES), _ALL)
    return (*where, _DELETED) if request.operation == pb.SCHEDULE_OPERATION_UNDELETE else where


def operation_result(result: OperationResult, kept: timedelta) -> pb.ScheduleOperationResult:
    """The message of what became of one schedule; `kept` is how long deleted ones are."""
    return pb.ScheduleOperationResult(
        name=str(result.name),
        status=status_of(result.error) if result.error is not None else Status(),
        schedule=convert.schedule(result.schedule, kept=kept) if result.schedule is not None else None,
        execution=execution_message(result.execution) if result.execution is not None else None,
    )
