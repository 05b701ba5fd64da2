"""What goes wrong in schedctl: its own errors, and the one place where any error becomes a message and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from schedd.client import errors


class ExitCode(IntEnum):
    """What schedctl tells its caller."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    """Somebody else changed it, it exists already, or its state forbids it."""
    UNAVAILABLE = 5
    """Nobody answers, or not in time."""
    AUTH = 6
    EXECUTION_FAILED = 7
    """`--wait` was asked for, and the execution did not succeed."""
    INTERRUPTED = 130
    PIPE = 141
    """Who read the output has gone away, as a shell reports SIGPIPE."""


class CommandError(Exception):
    """A command cannot do what it was asked. `details` are further lines, one a fact."""

    def __init__(self, message: str, details: Sequence[str] = (), code: ExitCode = ExitCode.ERROR) -> None:
        super().__init__(message)
        self.details = tuple(details)
        self.code = code


class UsageFault(CommandError):
    """The command line asks for something that cannot be meant."""

    def __init__(self, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message, details, ExitCode.USAGE)


_CODES: tuple[tuple[type[errors.ClientError], ExitCode], ...] = (
    (errors.AddressError, ExitCode.USAGE),
    (errors.NotFoundError, ExitCode.NOT_FOUND),
    (errors.AlreadyExistsError, ExitCode.CONFLICT),
    (errors.ConflictError, ExitCode.CONFLICT),
    (errors.PreconditionError, ExitCode.CONFLICT),
    (errors.UnavailableError, ExitCode.UNAVAILABLE),
    (errors.DeadlineExceededError, ExitCode.UNAVAILABLE),
    (errors.UnauthenticatedError, ExitCode.AUTH),
    (errors.PermissionDeniedError, ExitCode.AUTH),
)


def exit_code(error: BaseException) -> ExitCode:
    """The exit code that stands for `error`."""
    if isinstance(error, CommandError):
        return error.code
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.ERROR


def message_lines(error: Exception, *, server: str) -> list[str]:
    """What a person should read about `error`: what was wrong, where, and what would be right."""
    match error:
        case CommandError():
            return [str(error), *_indented(error.details)]
        case errors.UnavailableError():
            return _unavailable_lines(error, server)
        case errors.DeadlineExceededError():
            return [f"no answer from {server} in time; --timeout gives it longer, and whether the call took effect is not known"]
        case errors.UnauthenticatedError():
            return [str(error), *_indented(("give a token with SCHEDD_TOKEN, or with `schedctl context add --token-file`",))]
        case errors.InvalidError() if error.violations:
            return _violation_lines(error.violations)
        case _:
            return [str(error) or type(error).__name__]


def _violation_lines(violations: Sequence[errors.FieldViolation]) -> list[str]:
    count = len(violations)
    lines = [f"the request is wrong in {'one field' if count == 1 else f'{count} fields'}:"]
    for violation in violations:
        first, *rest = violation.description.splitlines() or [""]
        lines.append(f"  {violation.field}: {first}" if violation.field else f"  {first}")
        lines.extend(f"      {line}" for line in rest)
    return lines


def _unavailable_lines(error: errors.UnavailableError, server: str) -> list[str]:
    if error.reason:
        return [str(error)]
    if "ermission denied" in error.message:
        return [f"this user may not connect to {server}", *_indented(("ask to be taken into the socket's group: ls -l says which",))]
    if not server.startswith("unix:"):
        hint = "are the address, the port and the context's certificate authority (--ca-file) right?"
        return [f"no schedd can be reached at {server}", *_indented((error.message, hint))]
    return [
        f"no schedd answers at {server}",
        *_indented(
            (
                "start one:  systemctl start schedd   (the system's)",
                "            schedd run               (your own, in this terminal)",
                "or say where it is:  --server ADDRESS, SCHEDD_SERVER, or `schedctl context use NAME`",
            )
        ),
    ]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
