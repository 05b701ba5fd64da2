"""The dispatcher: at the due instant admits an execution and delivers it. No commit is in its path: what it starts is durable already."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import Mapping

import structlog

from schedd.core.admission import Admission, Verdict, admit
from schedd.core.model.execution import AttemptResult, DeliveryRequest, ExecutionState, Outcome, Reason
from schedd.core.model.journal import DAEMON, NO_EVIDENCE, Evidence
from schedd.core.model.policy import Delivery
from schedd.core.ports import Clock, Target
from schedd.core.retry import RetryAt, after_attempt
from schedd.engine.keeper import Keeper
from schedd.engine.limits import AttemptLimits
from schedd.engine.recorder import Recorder, result_evidence
from schedd.engine.runs import Run, Runs

_WAITING = (ExecutionState.ARMED, ExecutionState.WAITING_RETRY)

log = structlog.get_logger(__name__)


class Dispatcher:
    """Holds what is armed until it is due, then starts attempts, at most `limits.running` at a time, the highest priority first."""

    def __init__(
        self,
        *,
        clock: Clock,
        runs: Runs,
        recorder: Recorder,
        keeper: Keeper,
        targets: Mapping[type, Target],
        limits: AttemptLimits,
        draw: random.Random,
    ) -> None:
        self._clock = clock
        self._runs = runs
        self._recorder = recorder
        self._keeper = keeper
        self._targets = targets
        self._limits = limits
        self._draw = draw
        self._alarm = clock.alarm()
        self._armed: list[tuple[int, int, Run]] = []
        self._order = itertools.count()
        self._ready: list[tuple[int, int, int, Run]] = []
        self._running = 0
        self._attempts: asyncio.TaskGroup | None = None
        self._draining = False
        self._room = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many executions are armed or ready and not running."""
        return len(self._armed) + len(self._ready)

    @property
    def running(self) -> int:
        """How many attempts are under way."""
        return self._running

    def add(self, run: Run) -> None:
        """Take over a durable execution; it is started when it is due."""
        self._runs.add(run)
        self._push(run)

    def cancel(self, run: Run, actor: str, reason: Reason = Reason.CANCELLED) -> None:
        """End an execution: at once if it waits, else as soon as its target has let go of it."""
        run.cancelled_by = actor
        if run.task is not None:
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
        if run.state is ExecutionState.ARMED:
            earlier = self._runs.come_due(run.row)
            decision = admit(run.definition.schedule.policies.overlap, unfinished=len(earlier), buffered=0)
            if decision.verdict is not Verdict.START:
                self._turn_away(run, decision, earlier[0])
                return
        run.state = ExecutionState.QUEUED
        heapq.heappush(self._ready, (-run.definition.schedule.policies.priority, run.wake_us, next(self._order), run))

    def _turn_away(self, run: Run, decision: Admission, blocking: Run) -> None:
        evidence = {"blocking_execution": blocking.id}
        self._finish(run, Outcome.SKIPPED, decision.reason, evidence=evidence)

    def _start_ready(self) -> None:
        """Start what is ready while there are free slots."""
        while self._ready and self._running < self._limits.running and not self._draining:
            run = heapq.heappop(self._ready)[3]
            if self._runs.holds(run):
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
        try:
            result = await self._deliver(run)
        except asyncio.CancelledError:
            cancelled = True
            result = _cut_off(run)
        now_us = self._clock.now_us()
        run.task = None
        self._running -= 1
        self._room.set()
        self._recorder.attempted(run, result, started_us=started_us, now_us=now_us)
        self._conclude(run, result, now_us)
        if cancelled and not run.cancelled_by:
            raise asyncio.CancelledError
        if self._ready:
            self._start_ready()

    async def _deliver(self, run: Run) -> AttemptResult:
        schedule = run.definition.schedule
        facts = run.execution
        if schedule.policies.delivery is Delivery.AT_MOST_ONCE:
            await self._recorder.committed()
        request = DeliveryRequest(
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
        try:
            return await self._targets[type(schedule.target)].deliver(request)
        except Exception as error:  # A target returns values; what it raises was not foreseen, and quarantines its schedule.
            log.exception("delivery_failed", schedule=str(schedule.name), execution=facts.id)
            text = f"delivery failed: {type(error).__name__}: {error}"
            self._keeper.quarantine(schedule.row, Reason.UNFORESEEN, text)
            return AttemptResult(outcome=Outcome.FAILED, reason=Reason.TARGET_ERROR, message=text)

    def _conclude(self, run: Run, result: AttemptResult, now_us: int) -> None:
        """Decide what follows from an attempt's result."""
        if result.outcome is Outcome.CANCELLED:
            self._finish(run, Outcome.CANCELLED, result.reason, actor=run.cancelled_by)
            return
        if result.reason is Reason.INTERRUPTED:
            self.interrupted(run, result, now_us)
            return
        policy = run.definition.schedule.policies.retry
        following = after_attempt(policy, result, attempt=run.attempt, due_us=run.execution.due_us, now_us=now_us, draw=self._draw.random())
        if isinstance(following, RetryAt):
            self._recorder.retrying(run, result, now_us=now_us, at_us=following.at_us)
            self._push(run)
            return
        if following.outcome is Outcome.SUCCEEDED:
            run.definition.previous_success_us = run.execution.nominal_us
        self._finish(run, following.outcome, following.reason, evidence=result_evidence(result))

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
        self._recorder.finished(run, outcome, reason, now_us=now_us, actor=actor, evidence=evidence)
        self._keeper.execution_finished(run.row)
        if outcome is Outcome.FAILED:
            log.warning(
                "execution_failed",
                schedule=str(run.execution.schedule),
                execution=run.id,
                attempt=run.attempt,
                reason=reason,
                outcome=outcome,
            )


def _cut_off(run: Run) -> AttemptResult:
    if run.cancelled_by:
        return AttemptResult(outcome=Outcome.CANCELLED, reason=Reason.CANCELLED, message=f"cancelled by {run.cancelled_by}")
    return AttemptResult(outcome=Outcome.UNKNOWN, reason=Reason.INTERRUPTED, message="the daemon ended meanwhile")
