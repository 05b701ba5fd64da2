"""Every error that the client raises on purpose. Fields, not prose: the message is the server's, the fields are for programs.

ClientError
├── AddressError                 the server's address or the way to reach it makes no sense; nothing was sent
└── CallError                    a call ended without its answer
    ├── InvalidError             the request is wrong; `violations` names every wrong field at once
    ├── NotFoundError            no such resource
    ├── AlreadyExistsError       a resource of that name exists
    ├── ConflictError            the resource changed since it was read, or a request id was used for something else
    ├── PreconditionError        the resource's state forbids it
    ├── QuotaError               a limit would be passed
    ├── UnauthenticatedError     the server wants a token, or does not know this one
    ├── PermissionDeniedError    this caller may not do that
    ├── UnimplementedError       the server does not do that (yet)
    ├── UnavailableError         nobody answers there, or the daemon is draining
    ├── DeadlineExceededError    no answer in time; whether the call took effect is unknown
    ├── CallCancelledError       the call was cancelled
    └── InternalError            the server failed in a way that it did not foresee
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """One wrong field of a request: its path in proto spelling, an UPPER_SNAKE code (may be empty), and what would be right."""

    field: str
    reason: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a server said about a call that failed.

    `reason` is ErrorInfo's UPPER_SNAKE code, `metadata` its facts. `resource_type` and `resource_name` are empty where the error is not
    about one resource. `retry_delay_s` is the server's wish, None if it has none.
    """

    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[FieldViolation, ...] = ()
    resource_type: str = ""
    resource_name: str = ""
    retry_delay_s: float | None = None


class ClientError(Exception):
    """The root of the tree."""


class AddressError(ClientError):
    """The server's address or the way to reach it makes no sense; nothing was sent."""


class CallError(ClientError):
    """A call ended without its answer; `fault` has what the server said."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)  # What it is made of, so that it can be pickled.
        self.fault = fault

    def __str__(self) -> str:
        return self.fault.message

    @property
    def message(self) -> str:
        """The server's words."""
        return self.fault.message

    @property
    def reason(self) -> str:
        """The UPPER_SNAKE code of what went wrong, empty if the server gave none."""
        return self.fault.reason

    @property
    def violations(self) -> tuple[FieldViolation, ...]:
        """Every wrong field of the request; empty for other errors than `InvalidError`."""
        return self.fault.violations

    @property
    def resume_after(self) -> int | None:
        """The journal sequence after which an ended stream goes on, None if this is not such an end."""
        text = self.fault.metadata.get("sequence", "")
        return int(text) if text.isdecimal() else None


class InvalidError(CallError):
    """The request is wrong in one field or in several; `violations` names them all."""


class NotFoundError(CallError):
    """No such resource."""


class AlreadyExistsError(CallError):
    """A resource of that name exists."""


class ConflictError(CallError):
    """The resource changed since it was read (etag), or a request id was used for another request."""


class PreconditionError(CallError):
    """The resource's state forbids it."""


class QuotaError(CallError):
    """A limit would be passed."""


class UnauthenticatedError(CallError):
    """The server wants a token, or does not know this one."""


class PermissionDeniedError(CallError):
    """This caller may not do that."""


class UnimplementedError(CallError):
    """The server does not do that (yet)."""


class UnavailableError(CallError):
    """Nobody answers there, or the daemon is draining."""


class DeadlineExceededError(CallError):
    """No answer in time; whether the call took effect is unknown, so repeat it with the same request id."""


class CallCancelledError(CallError):
    """The call was cancelled."""


class InternalError(CallError):
    """The server failed in a way that it did not foresee."""
