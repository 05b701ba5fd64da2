"""Process targets: deliveries become jobs of the spawner, the helper process that `schedd.targets.process.spawner` is."""

from __future__ import annotations

import asyncio
import secrets
import signal
from dataclasses import dataclass

from schedd.core.errors import TemplateError
from schedd.core.model.execution import AttemptResult, DeliveryRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import KEPT_BYTES, RenderedProcess, without_secret
from schedd.core.model.target import ProcessTarget
from schedd.core.template import VARIABLES, Template
from schedd.targets.payload import render_payload
from schedd.targets.process.frames import End, Message, Result, Start, Sweep
from schedd.targets.process.line import Line

_DEATHS_MAX = 3


@dataclass(slots=True)
class _Pending:
    """A delivery that the helper holds. `watch` is what happens if the helper does not answer in time."""

    execution_id: int
    result: asyncio.Future[Result]
    grace_s: float
    watch: asyncio.TimerHandle | None = None


class ProcessTargets:
    """The `Target` port for `ProcessTarget`.

    The helper is started by the first delivery, or by `start` while the daemon is small. If it dies, another one ends what it left
    behind before the deliveries that it held fail. If it does not answer `overdue_s` after a process has to be gone (it may hang on a file
    system that does not answer), it is replaced.
    """

    def __init__(self, *, overdue_s: float = 30) -> None:
        self._overdue_s = overdue_s
        self._line: Line | None = None
        self._series = secrets.randbits(27)
        self._last_job = 0
        self._pending: dict[int, _Pending] = {}
        self._deaths = 0
        self._closed = False

    def start(self) -> None:
        """Start the helper now. Raises: OSError."""
        if self._line is None:
            self._line = Line.open(self._series, self._receive, self._died)

    async def deliver(self, request: DeliveryRequest) -> AttemptResult:
        """Run the process once; every end is a value. When the call is cancelled, the process's whole tree is gone before it ends."""
        if self._closed:
            return _failure(Reason.INTERRUPTED, "the daemon is ending")
        try:
            return await self._deliver(request)
        except TemplateError as error:
            return _failure(Reason.TEMPLATE, str(error))
        except OSError as error:
            return _failure(Reason.SPAWN, f"cannot start the process helper: {error.strerror or error}")
        except Exception as error:  # noqa: BLE001 (a failing target is a value)
            return _failure(Reason.TARGET_ERROR, f"{type(error).__name__}: {error}")

    def rendered(self, request: DeliveryRequest) -> RenderedProcess | None:
        """What `deliver` starts for this request, credentials left out; None if it cannot be rendered."""
        if not isinstance(request.target, ProcessTarget):
            return None
        try:
            message = _start_message(0, request.target, request)
        except TemplateError:
            return None
        return RenderedProcess(
            argv=message.argv,
            env={name: without_secret(name, value) for name, value in message.env.items()},
            working_directory=message.working_directory,
            stdin=message.stdin[:KEPT_BYTES],
        )

    def force(self, execution_id: int) -> None:
        """End the process of this execution at once, and its whole tree: SIGKILL."""
        for job, pending in self._pending.items():
            if pending.execution_id == execution_id:
                self._send(End(job, by_force=True))

    async def aclose(self) -> None:
        """End every process that still runs, tree by tree, then the helper."""
        self._closed = True
        for job in self._pending:
            self._end(job)
        if self._pending:
            await asyncio.wait([pending.result for pending in self._pending.values()])
        line, self._line = self._line, None
        if line is not None:
            await line.aclose()

    async def _deliver(self, request: DeliveryRequest) -> AttemptResult:
        target = request.target
        if not isinstance(target, ProcessTarget):
            raise TypeError(f"a process target is wanted, not {type(target).__name__}")
        self._last_job += 1
        message = _start_message(self._last_job, target, request)
        self.start()
        pending = _Pending(request.execution_id, asyncio.get_running_loop().create_future(), message.grace_s)
        self._pending[message.job] = pending
        self._send(message)
        if message.timeout_s >= 0:
            self._expect(message.job, message.timeout_s)
        return _attempt_result(target, request, await self._result(message.job, pending.result))

    async def _result(self, job: int, future: asyncio.Future[Result]) -> Result:
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self._end(job)
            while not future.done():
                try:
                    await asyncio.wait((future,))
                except asyncio.CancelledError:
                    continue  # the tree has to be gone first, however often the call is cancelled
            raise

    def _receive(self, result: Result) -> None:
        self._deaths = 0
        pending = self._pending.pop(result.job, None)
        if pending is None:
            return
        if pending.watch is not None:
            pending.watch.cancel()
        if not pending.result.done():
            pending.result.set_result(result)

    def _end(self, job: int) -> None:
        self._send(End(job, by_force=False))
        self._expect(job, 0)

    def _expect(self, job: int, within_s: float) -> None:
        """Replace the helper if the job's result is not there in time."""
        pending = self._pending.get(job)
        if pending is None:
            return
        if pending.watch is not None:
            pending.watch.cancel()
        bound_s = within_s + pending.grace_s + self._overdue_s
        pending.watch = asyncio.get_running_loop().call_later(bound_s, self._overdue, job)

    def _overdue(self, job: int) -> None:
        if self._line is not None:
            self._line.kill()
        self._expect(job, 0)

    def _died(self) -> None:
        """The helper is dead: let a new one end what the jobs left behind, then they fail."""
        self._line = None
        self._deaths += 1
        if not self._pending:
            return
        try:
            if self._deaths > _DEATHS_MAX:
                raise OSError("the process helper dies again and again")
            self.start()
        except OSError:
            for job in list(self._pending):
                self._receive(Result(job, "LOST", 0, "what it left behind may still run", b"", b"", False))
            return
        for job in self._pending:
            self._send(Sweep(job))

    def _send(self, message: Message) -> None:
        """Hand the message to the helper; if that is dead, `_died` settles what was pending."""
        if self._line is not None:
            self._line.send(message)


def _start_message(job: int, target: ProcessTarget, request: DeliveryRequest) -> Start:
    """The rendered process. Raises: TemplateError."""
    env = {f"SCHEDD_{name.upper()}": value(request) for name, value in VARIABLES.items()}
    env.update((name, Template.parse(value).render(request)) for name, value in target.env.items())
    return Start(
        job=job,
        argv=tuple(Template.parse(argument).render(request) for argument in target.argv),
        env=env,
        working_directory=target.working_directory,
        stdin=render_payload(target.stdin, request),
        user=target.user,
        group=target.group,
        umask=target.umask,
        nice=target.nice,
        output_limit=target.output_limit_bytes,
        grace_s=target.kill_grace.total_seconds(),
        timeout_s=-1.0 if request.timeout is None else max(request.timeout.total_seconds(), 0.0),
    )


def _attempt_result(target: ProcessTarget, request: DeliveryRequest, result: Result) -> AttemptResult:
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
            return Outcome.FAILED, Reason.EXIT_CODE, result.code, f"exited with code {result.code}"
        case "EXIT":
            return Outcome.FAILED, Reason.SIGNAL, result.code, f"ended by signal {_signal_name(-result.code)}"
        case "SPAWN":
            return Outcome.FAILED, Reason.SPAWN, None, ""
        case "TIMEOUT":
            assert request.timeout is not None
            return Outcome.FAILED, Reason.TIMEOUT, result.code, f"still running after {request.timeout.total_seconds():g} s, and ended"
        case "ENDED":
            return Outcome.FAILED, Reason.INTERRUPTED, result.code, "ended together with the daemon"
        case _:
            return Outcome.FAILED, Reason.TARGET_ERROR, None, "the process helper died while it ran, and it was ended"


def _failure(reason: Reason, message: str) -> AttemptResult:
    return AttemptResult(outcome=Outcome.FAILED, reason=reason, message=message)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
