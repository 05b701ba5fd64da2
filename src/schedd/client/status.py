"""The one place where a gRPC status becomes an error of `schedd.client.errors`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from schedd.client.errors import (
    AlreadyExistsError,
    CallCancelledError,
    CallError,
    ConflictError,
    DeadlineExceededError,
    Fault,
    FieldViolation,
    InternalError,
    InvalidError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    QuotaError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)

_DETAILS_KEY = "grpc-status-details-bin"

_KINDS: Final[dict[grpc.StatusCode, type[CallError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.ABORTED: ConflictError,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: QuotaError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.UNIMPLEMENTED: UnimplementedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.CANCELLED: CallCancelledError,
}


def error_of(failure: grpc.RpcError) -> CallError:
    """The error that a failed call stands for; the call may be of either kind, blocking or asyncio."""
    # Both kinds of error are calls too and have these methods, but the type they share does not say so.
    call: Any = failure
    code: grpc.StatusCode = call.code()
    return _KINDS.get(code, InternalError)(_fault(call.details() or code.name, call.trailing_metadata()))


def error_of_status(status: status_pb2.Status) -> CallError:
    """The error that a `google.rpc.Status`, such as that of one item of a batch, stands for."""
    kind = next((kind for code, kind in _KINDS.items() if code.value[0] == status.code), InternalError)
    return kind(_fault_of_details(status.message, status.details))


def _fault(message: str, metadata: Any) -> Fault:
    for key, value in metadata or ():
        if key == _DETAILS_KEY:
            status = status_pb2.Status()
            try:
                status.ParseFromString(value)
            except DecodeError:
                break
            return _fault_of_details(message, status.details)
    return Fault(message=message)


def _fault_of_details(message: str, details: Sequence[Any]) -> Fault:
    info = error_details_pb2.ErrorInfo()
    resource = error_details_pb2.ResourceInfo()
    request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in details:
        for part in (info, resource, request, retry):
            detail.Unpack(part)
    return Fault(
        message=message,
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(_violation(item) for item in request.field_violations),
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
        retry_delay_s=retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
    )


def _violation(violation: error_details_pb2.BadRequest.FieldViolation) -> FieldViolation:
    return FieldViolation(field=violation.field, reason=violation.reason, description=violation.description)
