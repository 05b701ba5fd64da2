"""What came of a process: the spawner's result, judged by its target."""

from __future__ import annotations

import signal

from schedd.core.model.execution import AttemptResult, DeliveryRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import ProcessTarget, ResourceLimits
from schedd.targets.process.frames import Result

_NO_LIMITS = ResourceLimits()
_SHELL_SIGNAL = 128
"""What a shell adds to the number of the signal that ended its command, and exits with (POSIX, 2.8.2)."""


def attempt_result(target: ProcessTarget, request: DeliveryRequest, result: Result) -> AttemptResult:
    """The result as the target sees it."""
    outcome, reason, code, message = _verdict(target, request, result)
    return AttemptResult(
        outcome=outcome,
        reason=reason,
        code=code,
        message="; ".join(filter(None, (message, result.message))),
        output=result.output,
        error_output=result.error_output,
        output_truncated=result.truncated,
    )


def _verdict(target: ProcessTarget, request: DeliveryRequest, result: Result) -> tuple[Outcome, Reason, int | None, str]:
    match result.kind:
        case "EXIT" if result.code in target.success_exit_codes:
            return Outcome.SUCCEEDED, Reason.COMPLETED, result.code, ""
        case "EXIT" if result.code >= 0:
            return Outcome.FAILED, Reason.EXIT_CODE, result.code, f"exited with code {result.code}{_shells_hint(target, result.code)}"
        case "EXIT":
            passed = _passed_limit(target.resource_limits or _NO_LIMITS, result)
            reason = Reason.RESOURCE_LIMIT if passed else Reason.SIGNAL
            return Outcome.FAILED, reason, result.code, f"ended by signal {_signal_name(-result.code)}{passed}"
        case "SPAWN":
            return Outcome.FAILED, Reason.SPAWN, None, ""
        case "TIMEOUT":
            # A process of an earlier daemon was started under the timeout of then.
            after = f" after {request.timeout.total_seconds():g} s" if request.timeout is not None else ""
            return Outcome.FAILED, Reason.TIMEOUT, result.code, f"still running{after}, and ended"
        case "ENDED":
            return Outcome.FAILED, Reason.INTERRUPTED, result.code, "ended together with the daemon, or since it had outlived it"
        case _:
            return Outcome.FAILED, Reason.TARGET_ERROR, None, "the process helper died while it ran, and it was ended"


def _passed_limit(limits: ResourceLimits, result: Result) -> str:
    """Which resource limit the signal speaks of, in words; nothing if it speaks of none.

    SIGXCPU and SIGXFSZ mean nothing else, getrlimit(2). A process that goes on after SIGXCPU gets SIGKILL, which has other senders: it
    counts if the process had computed for as long as it may.
    """
    cpu_time_s = None if limits.cpu_time is None else limits.cpu_time.total_seconds()
    match -result.code:
        case signal.SIGXFSZ:
            bound = "as the daemon may" if limits.file_size_bytes is None else f"of {limits.file_size_bytes} bytes (file_size_bytes)"
            return f": it wrote a file beyond the size {bound}"
        case signal.SIGXCPU:
            bound = "as much CPU time as the daemon may" if cpu_time_s is None else f"{cpu_time_s:g} s of CPU time (cpu_time)"
            return f": it used {bound}"
        case signal.SIGKILL if cpu_time_s is not None and result.cpu_s >= cpu_time_s:
            return f" after it had used {result.cpu_s:.1f} s of CPU time, and it may use {cpu_time_s:g} s (cpu_time)"
    return ""


def _shells_hint(target: ProcessTarget, code: int) -> str:
    """What an exit code of a shell says of a limit that one of its commands passed."""
    if target.resource_limits is None or code - _SHELL_SIGNAL not in (signal.SIGXCPU, signal.SIGXFSZ):
        return ""
    return f", with which shells tell that signal {_signal_name(code - _SHELL_SIGNAL)} ended a command: it passed a resource limit"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
