"""Attempts: delivers a run to its target once it has its turn, and decides what follows from the result. No commit is in the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

import structlog

from schedd.core.model.execution import AttemptResult, DeliveryRequest, ExecutionState, id_text
from schedd.core.model.policy import Delivery
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import Rendering
from schedd.core.model.target import with_payload
from schedd.core.ports import Clock, Survivors, Target
from schedd.core.retry import Finish as Settled
from schedd.core.retry import RetryAt, after_attempt
from schedd.engine.definitions import Definitions
from schedd.engine.gatekeeper import Gatekeeper
from schedd.engine.keeper import Keeper
from schedd.engine.limits import AttemptLimits
from schedd.engine.recorder import Recorder, result_evidence
from schedd.engine.runs import Finish, Run

log = structlog.get_logger(__name__)


class Attempts:
    """Makes the attempts of runs that the gatekeeper has given their turn. Each gives it back, and ends its run or has it wait for a retry.

    `finish` ends a run, `wait` has one wait until its `wake_us`. `fill` starts at most so many of those whose turn it is, and says whether
    others may be next; `wake` has the dispatcher see to them.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        recorder: Recorder,
        keeper: Keeper,
        definitions: Definitions,
        targets: Mapping[type, Target],
        survivors: Survivors,
        limits: AttemptLimits,
        draw: random.Random,
        gates: Gatekeeper,
        finish: Finish,
        wait: Callable[[Run], None],
        fill: Callable[[int], bool],
        wake: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._recorder = recorder
        self._keeper = keeper
        self._definitions = definitions
        self._targets = targets
        self._survivors = survivors
        self._limits = limits
        self._draw = draw
        self._gates = gates
        self._finish = finish
        self._wait = wait
        self._fill = fill
        self._wake = wake
        self._tasks: asyncio.TaskGroup | None = None
        self._adopted: list[tuple[Run, int]] = []
        self._unbegun: set[int] = set()
        self._one_ended = asyncio.Event()

    def adopt(self, run: Run, started_us: int) -> None:
        """Take over, before `begin`, a run whose attempt an earlier daemon started: it has its turn, whatever the limits say now."""
        self._gates.seize(run)
        self._adopted.append((run, started_us))

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Make attempts in this group from now on, those that are adopted first; those that it cancels are recorded as interrupted."""
        self._tasks = tasks
        for run, started_us in self._adopted:
            self._unbegun.add(run.id)
            run.task = tasks.create_task(self._attempt(run, started_us))
        self._adopted.clear()

    def start(self, run: Run) -> None:
        """Start the next attempt of a run whose turn it is."""
        assert self._tasks is not None, "attempts are started after begin()"
        run.attempt += 1
        run.task = self._tasks.create_task(self._attempt(run))

    async def ended(self) -> None:
        """Return when none is under way."""
        while self._gates.running:
            self._one_ended.clear()
            await self._one_ended.wait()

    def cancel(self, run: Run, task: asyncio.Task[None], *, by_force: bool) -> None:
        """End the run whose attempt is `task`, and which says who wants it; `by_force`: without any grace of its target's."""
        if run.state is not ExecutionState.RUNNING:
            self._cancel_unbegun(run, task)
            return
        if by_force:
            self._targets[type(run.definition.schedule.target)].force(run.id)
        if run.id in self._unbegun:
            # It runs before its task has taken its first step; cancelled before that, it would never be seen out.
            asyncio.get_running_loop().call_soon(task.cancel)
        else:
            task.cancel()

    def _cancel_unbegun(self, run: Run, task: asyncio.Task[None]) -> None:
        """Its attempt has its turn and has not taken its first step: cancelled now, the attempt never will, and gives nothing back."""
        task.cancel()
        run.task = None
        run.attempt -= 1
        self._gates.free(run, _cut_off(run))
        self._finish(run, Outcome.CANCELLED, run.cancel_reason, actor=run.cancelled_by, evidence=run.cancel_evidence)
        self._one_ended.set()
        self._wake()

    async def _attempt(self, run: Run, adopted_us: int | None = None) -> None:
        """Make an attempt, or see the one out that an earlier daemon started at `adopted_us`."""
        started_us = self._clock.now_us() if adopted_us is None else adopted_us
        self._unbegun.discard(run.id)
        if adopted_us is None:
            self._recorder.started(run, started_us)
        cancelled = False
        shift_us = run.shift_us
        request = self.request(run)
        try:
            result = await self._deliver(run, request, adopted=adopted_us is not None)
        except asyncio.CancelledError:
            cancelled = True
            result = _cut_off(run)
        now_us = self._clock.now_us()
        run.task = None
        self._gates.free(run, result)
        self._one_ended.set()
        self._recorder.attempted(run, result, started_us=started_us + run.shift_us - shift_us, now_us=now_us)
        self._conclude(run, result, now_us)
        if cancelled and not run.cancelled_by:
            raise asyncio.CancelledError
        if self._gates.waiting and self._fill(2):  # One that ends makes room for one; where it is more, they are the dispatcher's.
            self._wake()

    async def _deliver(self, run: Run, request: DeliveryRequest, *, adopted: bool) -> AttemptResult:
        schedule = run.definition.schedule
        if schedule.policies.delivery is Delivery.AT_MOST_ONCE:
            await self._recorder.committed()
        try:
            if adopted:
                return await self._survivors.adopt(request)
            return await self._targets[type(schedule.target)].deliver(request)
        except Exception as error:  # A target returns values; what it raises was not foreseen, and quarantines its schedule.
            log.exception("delivery_failed", schedule=str(schedule.name), execution=id_text(run.id))
            text = f"delivery failed: {type(error).__name__}: {error}"
            self._keeper.quarantine(schedule.row, Reason.UNFORESEEN, text)
            return AttemptResult(outcome=Outcome.FAILED, reason=Reason.TARGET_ERROR, message=text)

    def _conclude(self, run: Run, result: AttemptResult, now_us: int) -> None:
        """Decide what follows from an attempt's result."""
        if result.outcome is Outcome.CANCELLED:
            self._finish(run, Outcome.CANCELLED, result.reason, actor=run.cancelled_by, evidence=run.cancel_evidence)
            return
        if result.reason is Reason.INTERRUPTED:
            self.interrupted(run, result, now_us)
            return
        policy = run.definition.schedule.policies.retry
        facts = run.execution
        from_us = (facts.due_us if facts.redelivered_us is None else facts.redelivered_us) + run.shift_us
        attempt = run.attempt - facts.attempts_before
        following = after_attempt(policy, result, attempt=attempt, due_us=from_us, now_us=now_us, draw=self._draw.random())
        if isinstance(following, RetryAt) and run.is_last:
            following = Settled(outcome=result.outcome, reason=result.reason)
        if isinstance(following, RetryAt):
            self._recorder.retrying(run, result, now_us=now_us, at_us=following.at_us)
            self._wait(run)
            return
        if following.outcome is Outcome.SUCCEEDED:
            self._succeeded(run)
        self._finish(run, following.outcome, following.reason, evidence=result_evidence(result))

    def _succeeded(self, run: Run) -> None:
        definition, nominal_us = self._definitions.current(run.definition), run.execution.nominal_us
        if run.execution.redelivered_us is None:
            definition.previous_success_us = nominal_us
            return
        # What is redelivered is older than what has succeeded since.
        definition.previous_success_us = max(nominal_us, definition.previous_success_us or nominal_us)
        self._recorder.settled(run)

    def interrupted(self, run: Run, result: AttemptResult, now_us: int) -> None:
        """The daemon's end cut off the attempt: it is made again, unless it was the last, or the delivery policy forbids it."""
        if run.definition.schedule.policies.delivery is Delivery.AT_MOST_ONCE:
            self._finish(run, Outcome.UNKNOWN, result.reason, evidence=result_evidence(result))
            return
        if run.is_last:
            self._finish(run, Outcome.CANCELLED, Reason.DELETED, evidence=result_evidence(result))
            return
        self._recorder.retrying(run, result, now_us=now_us, at_us=now_us)
        self._wait(run)

    def request(self, run: Run) -> DeliveryRequest:
        """What the target is asked for by the attempt that the run is at."""
        schedule = run.definition.schedule
        facts, target = run.execution, schedule.target
        if facts.origin is not None and facts.origin.payload is not None:
            target = with_payload(target, facts.origin.payload)
        return DeliveryRequest(
            target=target,
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
            backfill=facts.backfill,
        )

    def rendered(self, run: Run) -> Rendering | None:
        """What the attempt that the run is at would send; None if it cannot be rendered. Sends nothing."""
        request = self.request(run)
        return self._targets[type(request.target)].rendered(request)

    def sent(self, run: Run) -> Rendering | None:
        """What the last attempt has sent; None where that cannot be told."""
        try:
            return self.rendered(run)
        except Exception:  # As in `_deliver`: a target's unforeseen fault concerns its schedule alone.
            log.exception("rendering_failed", schedule=str(run.execution.schedule), execution=id_text(run.id))
            return None


def _cut_off(run: Run) -> AttemptResult:
    if run.cancelled_by:
        why = f": {run.cancel_note}" if run.cancel_note else ""
        return AttemptResult(outcome=Outcome.CANCELLED, reason=run.cancel_reason, message=f"cancelled by {run.cancelled_by}{why}")
    return AttemptResult(outcome=Outcome.UNKNOWN, reason=Reason.INTERRUPTED, message="the daemon ended meanwhile")
