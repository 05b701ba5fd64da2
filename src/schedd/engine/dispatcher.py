"""The dispatcher: at the due instant admits an execution and delivers it. No commit is in its path: what it starts is durable already."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

import structlog

from schedd.core.admission import BUFFER_CAP, Verdict, admit
from schedd.core.model.execution import AttemptResult, Cause, DeliveryRequest, ExecutionState
from schedd.core.model.journal import DAEMON, NO_EVIDENCE, Evidence, JournalKind
from schedd.core.model.policy import Delivery, Overlap
from schedd.core.model.reason import Outcome, Reason
from schedd.core.ports import Clock, Target
from schedd.core.retry import RetryAt, after_attempt
from schedd.engine.background import Background
from schedd.engine.endings import Endings
from schedd.engine.keeper import Keeper
from schedd.engine.limits import AttemptLimits
from schedd.engine.recorder import Recorder, result_evidence
from schedd.engine.runs import Run, Runs

_WAITING = (ExecutionState.ARMED, ExecutionState.WAITING_RETRY)

log = structlog.get_logger(__name__)


class Dispatcher:
    """Holds what is armed until it is due, then starts attempts, at most `limits.running` at a time, the highest priority first.

    What runs in the background comes after all that is on time, in its own bounds, and is admitted only when a slot is free for it.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        runs: Runs,
        recorder: Recorder,
        keeper: Keeper,
        endings: Endings,
        targets: Mapping[type, Target],
        limits: AttemptLimits,
        draw: random.Random,
    ) -> None:
        self._clock = clock
        self._runs = runs
        self._recorder = recorder
        self._keeper = keeper
        self._endings = endings
        self._targets = targets
        self._limits = limits
        self._draw = draw
        self._alarm = clock.alarm()
        self._armed: list[tuple[int, int, Run]] = []
        self._order = itertools.count()
        self._ready: list[tuple[int, int, int, Run]] = []
        self._buffered: dict[int, deque[Run]] = {}
        self._background = Background(limits.running)
        self._background_ended: Callable[[], None] = _nothing
        self._running = 0
        self._attempts: asyncio.TaskGroup | None = None
        self._draining = False
        self._room = asyncio.Event()

    def connect(self, background_ended: Callable[[], None]) -> None:
        """Set who is told that an execution of the background has ended."""
        self._background_ended = background_ended

    @property
    def waiting(self) -> int:
        """How many executions are armed or ready and not running; the background's are counted apart."""
        return len(self._armed) + len(self._ready)

    @property
    def background_waiting(self) -> int:
        """How many executions are due and wait for a slot of the background."""
        return len(self._background)

    @property
    def running(self) -> int:
        """How many attempts are under way."""
        return self._running

    def add(self, run: Run) -> None:
        """Take over a durable execution; it is started when it is due. One that an earlier daemon had queued is admitted anew."""
        if run.state is ExecutionState.QUEUED:
            run.state = ExecutionState.ARMED
        self._runs.add(run)
        self._push(run)

    def cancel(self, run: Run, actor: str, reason: Reason = Reason.CANCELLED, *, by_force: bool = False) -> None:
        """End an execution: at once if it waits, else as soon as its target has let go of it; `by_force`: without any grace."""
        run.cancelled_by = actor
        run.cancel_reason = reason
        if run.task is not None:
            if by_force:
                self._targets[type(run.definition.schedule.target)].force(run.id)
            run.task.cancel()
        else:
            self._finish(run, Outcome.CANCELLED, reason, actor=actor)

    async def run(self) -> None:
        """Dispatch until cancelled; attempts under way are then cancelled too, and recorded as interrupted."""
        try:
            async with asyncio.TaskGroup() as self._attempts:
                while True:
                    self.run_once(self._clock.now_us())
                    self._alarm.set(self._armed[0][0] if self._armed else None)
                    await self._alarm.wait()
        finally:
            self._alarm.close()

    async def drain(self) -> None:
        """Start nothing more, and return when no attempt is under way."""
        self._draining = True
        while self._running:
            self._room.clear()
            await self._room.wait()

    def run_once(self, now_us: int) -> int:
        """Admit everything that is due and start what there is room for; how many attempts were started."""
        before = self._running
        while self._armed and self._armed[0][0] <= now_us:
            run = heapq.heappop(self._armed)[2]
            # A run may stand here twice, after it was taken out and given back: the first one counts.
            if run.wake_us <= now_us and run.state in _WAITING and self._runs.holds(run):
                self._come_due(run)
        self._start_ready()
        return self._running - before

    def _push(self, run: Run) -> None:
        heapq.heappush(self._armed, (run.wake_us, next(self._order), run))
        if self._armed[0][2] is run:
            self._alarm.ring()

    def _come_due(self, run: Run) -> None:
        if run.background:
            self._background.add(run)
        elif run.state is ExecutionState.ARMED and run.overlap is not Overlap.ALLOW_ALL and (earlier := self._runs.come_due(run.row)):
            self._admit(run, earlier)
        else:
            self._make_ready(run)

    def _admit(self, run: Run, earlier: Sequence[Run]) -> None:
        """Decide about an execution that is to start while earlier ones of its schedule are unfinished."""
        if run.background:
            buffered, limit = self._background.parked(run.row), BUFFER_CAP
        else:
            buffered, limit = len(self._buffered.get(run.row, ())), run.definition.schedule.policies.buffer_limit
        decision = admit(
            run.overlap,
            unfinished=len(earlier),
            buffered=buffered,
            buffer_limit=limit,
            behind_background=run.execution.cause is not Cause.BACKFILL and all(other.background for other in earlier),
        )
        match decision.verdict:
            case Verdict.START:
                self._make_ready(run)
            case Verdict.SKIP:
                self._finish(run, Outcome.SKIPPED, decision.reason, evidence=_blocked_by(earlier))
            case Verdict.BUFFER:
                self._buffer(run, decision.reason, earlier)
            case Verdict.CANCEL_OTHERS | Verdict.TERMINATE_OTHERS:
                self._buffer(run, decision.reason, earlier)
                for other in earlier:
                    self.cancel(other, DAEMON, decision.reason, by_force=decision.verdict is Verdict.TERMINATE_OTHERS)
            case _:
                assert_never(decision.verdict)

    def _buffer(self, run: Run, reason: Reason, earlier: Sequence[Run]) -> None:
        """Let it wait until the earlier ones have finished."""
        if run.background:
            # It stays ARMED, and so in nobody's way.
            if run.reason is not reason:
                run.reason = reason
                self._recorder.note(run.entry(JournalKind.EXECUTION_QUEUED, self._clock.now_us(), evidence=_blocked_by(earlier)))
            self._background.park(run)
            return
        self._recorder.queued(run, reason, now_us=self._clock.now_us(), evidence=_blocked_by(earlier))
        self._buffered.setdefault(run.row, deque()).append(run)

    def _next_buffered(self, row: int) -> None:
        """Start the one that has waited longest, if nothing else of its schedule is under way."""
        buffered = self._buffered[row]
        if not buffered:
            del self._buffered[row]
        elif len(self._runs.come_due(row)) == len(buffered):
            self._make_ready(buffered.popleft())
            self._alarm.ring()

    def _make_ready(self, run: Run) -> None:
        run.state = ExecutionState.QUEUED
        heapq.heappush(self._ready, (-run.definition.schedule.policies.priority, run.wake_us, next(self._order), run))

    def _start_ready(self) -> None:
        """Start what is ready while there are free slots."""
        while self._running < self._limits.running and not self._draining:
            if self._background.may_start(live_waits=bool(self._ready)):
                self._start_background(self._background.next())
            elif self._ready:
                run = heapq.heappop(self._ready)[3]
                if self._runs.holds(run):
                    self._start(run)
            else:
                return

    def _start_background(self, run: Run) -> None:
        if not self._runs.holds(run):
            return
        armed = run.state is ExecutionState.ARMED
        if armed and run.overlap is not Overlap.ALLOW_ALL and (earlier := self._runs.come_due(run.row)):
            self._admit(run, earlier)
        else:
            run.state = ExecutionState.QUEUED
            self._background.running += 1
            self._start(run)

    def _start(self, run: Run) -> None:
        assert self._attempts is not None, "attempts are started from run()"
        self._running += 1
        run.attempt += 1
        run.task = self._attempts.create_task(self._attempt(run))

    async def _attempt(self, run: Run) -> None:
        started_us = self._clock.now_us()
        self._recorder.started(run, started_us)
        cancelled = False
        request = self._request(run)
        try:
            result = await self._deliver(run, request)
        except asyncio.CancelledError:
            cancelled = True
            result = _cut_off(run)
        now_us = self._clock.now_us()
        run.task = None
        self._running -= 1
        if run.background:
            self._background.running -= 1
        self._room.set()
        self._recorder.attempted(run, result, started_us=started_us, now_us=now_us)
        self._conclude(run, request, result, now_us)
        if cancelled and not run.cancelled_by:
            raise asyncio.CancelledError
        if self._ready or self._background:
            self._start_ready()

    def _request(self, run: Run) -> DeliveryRequest:
        schedule = run.definition.schedule
        facts = run.execution
        return DeliveryRequest(
            target=schedule.target,
            schedule=schedule.name,
            schedule_uid=schedule.uid,
            execution_id=facts.id,
            attempt=run.attempt,
            cause=facts.cause,
            nominal_us=facts.nominal_us,
            due_us=facts.due_us,
            time_zone=schedule.when.time_zone,
            timeout=self._limits.timeout(schedule),
            previous_success_us=run.definition.previous_success_us,
            labels=schedule.labels,
        )

    async def _deliver(self, run: Run, request: DeliveryRequest) -> AttemptResult:
        schedule = run.definition.schedule
        if schedule.policies.delivery is Delivery.AT_MOST_ONCE:
            await self._recorder.committed()
        try:
            return await self._targets[type(schedule.target)].deliver(request)
        except Exception as error:  # A target returns values; what it raises was not foreseen, and quarantines its schedule.
            log.exception("delivery_failed", schedule=str(schedule.name), execution=run.id)
            text = f"delivery failed: {type(error).__name__}: {error}"
            self._keeper.quarantine(schedule.row, Reason.UNFORESEEN, text)
            return AttemptResult(outcome=Outcome.FAILED, reason=Reason.TARGET_ERROR, message=text)

    def _conclude(self, run: Run, request: DeliveryRequest, result: AttemptResult, now_us: int) -> None:
        """Decide what follows from an attempt's result."""
        if result.outcome is Outcome.CANCELLED:
            self._finish(run, Outcome.CANCELLED, result.reason, actor=run.cancelled_by)
            return
        if result.reason is Reason.INTERRUPTED:
            self.interrupted(run, result, now_us)
            return
        policy = run.definition.schedule.policies.retry
        facts = run.execution
        from_us = facts.due_us if facts.redelivered_us is None else facts.redelivered_us
        attempt = run.attempt - facts.attempts_before
        following = after_attempt(policy, result, attempt=attempt, due_us=from_us, now_us=now_us, draw=self._draw.random())
        if isinstance(following, RetryAt):
            self._recorder.retrying(run, result, now_us=now_us, at_us=following.at_us)
            self._push(run)
            return
        if following.outcome is Outcome.SUCCEEDED:
            self._succeeded(run)
        self._finish(run, following.outcome, following.reason, evidence=result_evidence(result))
        if following.outcome is Outcome.FAILED:
            self._recorder.dead_letter(run, self._targets[type(request.target)].rendered(request))

    def _succeeded(self, run: Run) -> None:
        definition, nominal_us = run.definition, run.execution.nominal_us
        if run.execution.redelivered_us is None:
            definition.previous_success_us = nominal_us
            return
        # What is redelivered is older than what has succeeded since.
        definition.previous_success_us = max(nominal_us, definition.previous_success_us or nominal_us)
        self._recorder.settled(run)

    def interrupted(self, run: Run, result: AttemptResult, now_us: int) -> None:
        """The daemon's end cut off the attempt: by the delivery policy it is made again, or its outcome stays unknown."""
        if run.definition.schedule.policies.delivery is Delivery.AT_MOST_ONCE:
            self._finish(run, Outcome.UNKNOWN, Reason.INTERRUPTED)
            return
        self._recorder.retrying(run, result, now_us=now_us, at_us=now_us)
        self._push(run)

    def _finish(
        self,
        run: Run,
        outcome: Outcome,
        reason: Reason,
        *,
        actor: str = DAEMON,
        evidence: Evidence = NO_EVIDENCE,
    ) -> None:
        now_us = self._clock.now_us()
        buffered = self._buffered.get(run.row)
        if buffered is not None and run in buffered:
            buffered.remove(run)
        self._recorder.finished(run, outcome, reason, now_us=now_us, actor=actor, evidence=evidence)
        if run.definition.ends_count:
            self._endings.finished(run)
        self._keeper.execution_finished(run.row)
        if buffered is not None:
            self._next_buffered(run.row)
        if self._background.release(run.row):
            self._alarm.ring()
        if run.background:
            self._background_ended()
        if outcome is Outcome.FAILED:
            log.warning(
                "execution_failed",
                schedule=str(run.execution.schedule),
                execution=run.id,
                attempt=run.attempt,
                reason=reason,
                outcome=outcome,
            )


def _nothing() -> None:
    """Who is told as long as nobody else is."""


def _blocked_by(earlier: Sequence[Run]) -> Evidence:
    return {"blocking_execution": earlier[0].id}


def _cut_off(run: Run) -> AttemptResult:
    if run.cancelled_by:
        return AttemptResult(outcome=Outcome.CANCELLED, reason=run.cancel_reason, message=f"cancelled by {run.cancelled_by}")
    return AttemptResult(outcome=Outcome.UNKNOWN, reason=Reason.INTERRUPTED, message="the daemon ended meanwhile")
