"""Process targets: deliveries become jobs of the spawner, the helper process that `schedd.targets.process.spawner` is."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import structlog

from schedd.core.errors import TemplateError
from schedd.core.model.execution import AttemptResult, DeliveryRequest, Survivor
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import KEPT_BYTES, RenderedProcess, without_secret
from schedd.core.model.target import ProcessTarget
from schedd.core.permissions import NO_COMMANDS
from schedd.core.template import VARIABLES, Template
from schedd.targets.payload import render_payload
from schedd.targets.process.door import Record
from schedd.targets.process.frames import End, Held, Message, Result, Start, Stopping, Sweep
from schedd.targets.process.limits import kernel_limits
from schedd.targets.process.line import Line, Terms
from schedd.targets.process.reunion import Reunion, forget, is_of_this_boot, meet, proven, records
from schedd.targets.process.tree import TAG_BASE, snapshot, tagged
from schedd.targets.process.verdict import attempt_result

_DEATHS_MAX = 3
_REUNION_S = 10.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Pending:
    """A delivery that the helper holds. `watch` is what happens if the helper does not answer in time."""

    execution_id: int
    mark: int
    result: asyncio.Future[Result]
    grace_s: float
    watch: asyncio.TimerHandle | None = None


class ProcessTargets:
    """The `Target` port for `ProcessTarget`.

    The helper is started by the first delivery, or by `start` while the daemon is small. If it dies, another one ends what it left
    behind before the deliveries that it held fail. If it does not answer `overdue_s` after a process has to be gone (it may hang on a file
    system that does not answer), it is replaced.

    With a directory `home`, the helper outlives a daemon that dies: it waits `patience_s` for the next one, which takes it over by
    `reunite`, and is the `Survivors` port to what it holds.

    While it is not `enabled`, deliveries are denied; what runs already goes on.
    """

    def __init__(self, *, home: Path | None = None, overdue_s: float = 30, patience_s: float = 300, enabled: bool = True) -> None:
        self.enabled = enabled
        self._home = home
        self._overdue_s = overdue_s
        self._patience_s = patience_s
        self._line: Line | None = None
        self._salt = secrets.randbits(60)
        self._last_job = 0
        self._pending: dict[int, _Pending] = {}
        self._survivors: dict[tuple[int, int], tuple[Held, asyncio.Future[Result]]] = {}
        self._gone: list[Record] = []
        self._deaths = 0
        self._closed = False

    def start(self) -> None:
        """Start the helper now. Raises: OSError."""
        if self._line is None:
            terms = Terms(str(self._home or ""), self._salt, self._patience_s)
            self._line = Line.open(terms, self._receive, self._died)

    async def reunite(self) -> None:
        """Take over the helper of an earlier daemon if there is one and it answers, else start one if it is enabled. Raises: OSError."""
        if self._home is not None:
            try:
                self._home.mkdir(mode=0o700, exist_ok=True)
                await self._look_for_elders(self._home)
            except OSError as error:
                log.warning("processes_not_kept", directory=str(self._home), detail=error.strerror)
                self._home = None
        if self.enabled:
            self.start()

    async def survivors(self, expected: Collection[tuple[int, int]]) -> Sequence[Survivor]:
        """What the helper of an earlier daemon holds. Of `expected` (execution, attempt), what it left behind if it is gone is ended."""
        ended = await self._end_leftovers(expected) if self._gone else []
        held = [Survivor(each.execution, each.attempt, each.pid, int(each.age_s * 1e6)) for each, _ in self._survivors.values()]
        return ended + held

    async def adopt(self, request: DeliveryRequest) -> AttemptResult:
        """Wait for what came of this request, which an earlier daemon has delivered; as `deliver`, but nothing is started."""
        held, future = self._survivors.pop((request.execution_id, request.attempt))
        result = await self._result(held.job, future)
        # The schedule may call something else by now; then its process was judged as processes are by default.
        target = request.target if isinstance(request.target, ProcessTarget) else ProcessTarget(argv=("true",))
        return attempt_result(target, request, result)

    def end(self, survivor: Survivor) -> None:
        """End its tree, with the grace that it was started with; `adopt` tells when it is gone."""
        held, _ = self._survivors[survivor.execution_id, survivor.attempt]
        self._end(held.job)

    def discard(self, survivor: Survivor) -> None:
        """End its tree; nobody waits for what comes of it."""
        self.end(survivor)
        del self._survivors[survivor.execution_id, survivor.attempt]

    def stopping(self) -> None:
        """The daemon stops: however it ends from now on, its processes end with it."""
        self._send(Stopping())

    async def deliver(self, request: DeliveryRequest) -> AttemptResult:
        """Run the process once; every end is a value. When the call is cancelled, the process's whole tree is gone before it ends."""
        if self._closed:
            return _failure(Reason.INTERRUPTED, "the daemon is ending")
        if not self.enabled:
            return _failure(Reason.TARGET_DENIED, NO_COMMANDS)
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
            message = _start_message(0, 0, request.target, request)
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
        self.stopping()
        for job in self._pending:
            self._end(job)
        if self._pending:
            await asyncio.wait([pending.result for pending in self._pending.values()])
        line, self._line = self._line, None
        if line is not None:
            await line.aclose()

    async def _look_for_elders(self, home: Path) -> None:
        """Take over the helper that answers; one that does not is ended, itself alone, if it is proven to be the one of its record."""
        for record in records(home):
            elder = proven(record)
            if elder is None:
                self._gone.append(record)
                continue
            try:
                if self._line is not None:
                    raise ConnectionRefusedError("another one was taken over")
                self._take_over(record, await meet(home, record, elder, within_s=_REUNION_S))
            except OSError as error:
                log.warning("process_helper_given_up", pid=record.pid, detail=str(error))
                elder.end()
                self._gone.append(record)

    def _take_over(self, record: Record, reunion: Reunion) -> None:
        self._salt = record.salt
        self._last_job = reunion.last_job
        self._line = Line.again(reunion, self._receive, self._died)
        for held in reunion.held:
            pending = self._expecting(held.job, mark_of(record.salt, held.execution, held.attempt), held.execution, held.grace_s)
            self._survivors[held.execution, held.attempt] = held, pending.result
            if held.remaining_s >= 0:
                self._expect(held.job, held.remaining_s)
        for result in reunion.results:
            self._receive(result)
        log.info("process_helper_taken_over", pid=record.pid, processes=len(reunion.held))

    async def _end_leftovers(self, expected: Collection[tuple[int, int]]) -> list[Survivor]:
        """End what helpers that are gone left of these attempts: what carries the tag, and began after the helper in the same boot."""
        gone, self._gone = self._gone, []
        living = tagged(snapshot(), None) if any(map(is_of_this_boot, gone)) else {}
        ended: list[Survivor] = []
        sweeps: list[asyncio.Future[Result]] = []
        for record in gone:
            for execution_id, attempt in expected if is_of_this_boot(record) else ():
                mark = mark_of(record.salt, execution_id, attempt)
                processes = [process for process in living.get(mark, ()) if process.started >= record.started]
                if processes:
                    ended.append(Survivor(execution_id, attempt, min(processes, key=lambda each: each.started).pid, 0, ended=True))
                    sweeps.append(self._sweep(mark, execution_id))
        if sweeps:
            await asyncio.wait(sweeps)
        assert self._home is not None, "they were found there"
        for record in gone:
            forget(self._home, record)
        return ended

    def _sweep(self, mark: int, execution_id: int) -> asyncio.Future[Result]:
        self._last_job += 1
        self.start()
        pending = self._expecting(self._last_job, mark, execution_id, 0.0)
        self._send(Sweep(self._last_job, mark))
        self._expect(self._last_job, 0)
        return pending.result

    def _expecting(self, job: int, mark: int, execution_id: int, grace_s: float) -> _Pending:
        pending = self._pending[job] = _Pending(execution_id, mark, asyncio.get_running_loop().create_future(), grace_s)
        return pending

    async def _deliver(self, request: DeliveryRequest) -> AttemptResult:
        target = request.target
        if not isinstance(target, ProcessTarget):
            raise TypeError(f"a process target is wanted, not {type(target).__name__}")
        self._last_job += 1
        mark = mark_of(self._salt, request.execution_id, request.attempt)
        message = _start_message(self._last_job, mark, target, request)
        self.start()
        pending = self._expecting(message.job, mark, request.execution_id, message.grace_s)
        self._send(message)
        if message.timeout_s >= 0:
            self._expect(message.job, message.timeout_s)
        return attempt_result(target, request, await self._result(message.job, pending.result))

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
        for job, pending in self._pending.items():
            self._send(Sweep(job, pending.mark))

    def _send(self, message: Message) -> None:
        """Hand the message to the helper; if that is dead, `_died` settles what was pending."""
        if self._line is not None:
            self._line.send(message)


def mark_of(salt: int, execution_id: int, attempt: int) -> int:
    """The tag of an attempt's processes: the next daemon knows it from the record of a helper that is gone, and tells them by it."""
    digest = blake2b(b"%d:%d:%d" % (salt, execution_id, attempt), digest_size=8).digest()
    return TAG_BASE + (int.from_bytes(digest, "big") >> 4)


def _start_message(job: int, mark: int, target: ProcessTarget, request: DeliveryRequest) -> Start:
    """The rendered process. Raises: TemplateError."""
    env = {f"SCHEDD_{name.upper()}": value(request) for name, value in VARIABLES.items()}
    env.update((name, Template.parse(value).render(request)) for name, value in target.env.items())
    return Start(
        job=job,
        execution=request.execution_id,
        attempt=request.attempt,
        mark=mark,
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
        limits=kernel_limits(target.resource_limits),
    )


def _failure(reason: Reason, message: str) -> AttemptResult:
    return AttemptResult(outcome=Outcome.FAILED, reason=reason, message=message)
