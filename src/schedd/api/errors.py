"""The one place where schedd's errors become gRPC statuses, always with google.rpc details.

A status travels in an answer's trailing metadata, of which clients take 8 KiB: with more, they see RESOURCE_EXHAUSTED and no word of it.
So what statuses repeat of a request is cut, and of very many faults the first ones are named.
"""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from schedd.core.errors import (
    AlreadyExistsError,
    ConflictError,
    ExpiredError,
    ExpressionError,
    FieldViolation,
    InvalidError,
    NotFoundError,
    PreconditionError,
    QuotaError,
    ResourceError,
    ResumableError,
    ScheddError,
    StoredDataError,
    UnavailableError,
    UnimplementedError,
)
from schedd.core.triggers import described

DOMAIN = "schedd"

TEXT_MOST_BYTES = 1200
"""A status's text goes out twice, once with each byte outside of ASCII written as three."""
FAULTS_MOST_BYTES = 2000
_WORD_MOST_BYTES = 500


class UnauthenticatedError(ScheddError):
    """The caller did not say who it is, or not rightly."""


_CODES: dict[type[ScheddError], int] = {
    NotFoundError: code_pb2.NOT_FOUND,
    AlreadyExistsError: code_pb2.ALREADY_EXISTS,
    ConflictError: code_pb2.ABORTED,
    PreconditionError: code_pb2.FAILED_PRECONDITION,
}
_OTHERS: dict[type[ScheddError], tuple[int, str]] = {
    UnimplementedError: (code_pb2.UNIMPLEMENTED, "NOT_BUILT_YET"),
    UnauthenticatedError: (code_pb2.UNAUTHENTICATED, "TOKEN_REQUIRED"),
    StoredDataError: (code_pb2.DATA_LOSS, "STORED_DATA"),
}


def status_of(error: ScheddError) -> status_pb2.Status:
    """The status of an error that schedd raised on purpose."""
    match error:
        case InvalidError():
            return _invalid(error.violations)
        case ExpressionError():
            return _invalid((FieldViolation(field=error.part, reason="INVALID_EXPRESSION", description=described(error)),))
        case ConflictError() | PreconditionError():
            return _resource(_CODES[type(error)], error.reason, error)
        case ResourceError():
            code = _CODES[type(error)]
            return _resource(code, code_pb2.Code.Name(code), error)
        case QuotaError():
            violation = error_details_pb2.QuotaFailure.Violation(subject=error.subject, description=error.description)
            quota = error_details_pb2.QuotaFailure(violations=[violation])
            return _status(code_pb2.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", str(error), quota)
        case ResumableError():
            stream = error_details_pb2.ResourceInfo(resource_type="schedd.v1/JournalEntry", resource_name=str(error.sequence))
            return _status(code_pb2.ABORTED, error.reason, str(error), stream, metadata={"sequence": str(error.sequence)})
        case ExpiredError():
            return _status(code_pb2.OUT_OF_RANGE, error.reason, str(error))
        case UnavailableError():
            return _status(code_pb2.UNAVAILABLE, error.reason, str(error))
        case _:
            code, reason = _OTHERS.get(type(error), (code_pb2.INTERNAL, "INTERNAL"))
            return _status(code, reason, str(error))


def unforeseen(correlation_id: str) -> status_pb2.Status:
    """The status of an error that nobody foresaw: it says where to look, and nothing of the exception."""
    text = f"an unforeseen error; the daemon's log has it under the correlation id {correlation_id}"
    return _status(code_pb2.INTERNAL, "UNFORESEEN", text, metadata={"correlation_id": correlation_id})


def _invalid(violations: tuple[FieldViolation, ...]) -> status_pb2.Status:
    named = _as_fit(violations)
    wrong = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=violation.field, reason=violation.reason, description=violation.description)
            for violation in named
        ]
    )
    text = "; ".join(f"{violation.field}: {violation.description}" for violation in named)
    return _status(code_pb2.INVALID_ARGUMENT, "INVALID_ARGUMENT", text, wrong)


def _resource(code: int, reason: str, error: ResourceError) -> status_pb2.Status:
    info = error_details_pb2.ResourceInfo(
        resource_type=f"schedd.v1/{error.resource_type.capitalize()}",
        resource_name=_cut(error.name, _WORD_MOST_BYTES),
        description=_cut(error.description, _WORD_MOST_BYTES),
    )
    return _status(code, reason, str(error), info)


def _status(code: int, reason: str, text: str, *details: Message, metadata: dict[str, str] | None = None) -> status_pb2.Status:
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata or {})
    packed = [Any() for _ in range(1 + len(details))]
    for place, detail in zip(packed, (info, *details), strict=True):
        place.Pack(detail)
    return status_pb2.Status(code=code, message=_cut(text, TEXT_MOST_BYTES), details=packed)


def _as_fit(violations: tuple[FieldViolation, ...]) -> list[FieldViolation]:
    """The violations as far as there is room; after them, how many more there are, at the field of the first of those."""
    named: list[FieldViolation] = []
    room = FAULTS_MOST_BYTES
    for violation in violations:
        cut = FieldViolation(
            field=_cut(violation.field, _WORD_MOST_BYTES),
            reason=violation.reason,
            description=_cut(violation.description, FAULTS_MOST_BYTES // 2),
        )
        room -= len(cut.field.encode()) + len(cut.reason) + len(cut.description.encode())
        if room < 0 and named:
            more = len(violations) - len(named)
            named.append(FieldViolation(field=cut.field, reason="MORE", description=f"is wrong too, and {more - 1} more are"))
            break
        named.append(cut)
    return named


def _cut(text: str, most_bytes: int) -> str:
    encoded = text.encode()
    return text if len(encoded) <= most_bytes else encoded[:most_bytes].decode(errors="ignore") + " …"
