"""The dispatcher: at the due instant admits an execution and delivers it. No commit is in its path: what it starts is durable already."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import assert_never

import structlog

from schedd.core.admission import BUFFER_CAP, Beside, Verdict, admit
from schedd.core.breaker import BreakerPolicy
from schedd.core.clockjumps import Jump, JumpKind
from schedd.core.model.execution import AttemptResult, Cause, DeliveryRequest, ExecutionState, id_text
from schedd.core.model.journal import DAEMON, NO_EVIDENCE, Evidence
from schedd.core.model.policy import CatchUpMode, Delivery, Overlap
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import Rendering
from schedd.core.model.target import with_payload
from schedd.core.planning import misfire_reason
from schedd.core.ports import Clock, Survivors, Target
from schedd.core.retry import RetryAt, after_attempt
from schedd.engine.clockwatch import ClockWatch
from schedd.engine.conditions import Conditions
from schedd.engine.definitions import Definitions
from schedd.engine.endings import Endings
from schedd.engine.gatekeeper import Gatekeeper
from schedd.engine.keeper import Keeper
from schedd.engine.limits import AttemptLimits
from schedd.engine.recorder import Recorder, result_evidence
from schedd.engine.runs import Run, Runs

_NO_TIME = timedelta(0)
_AT_ONCE = 16
"""So many steps are made in one turn of the loop: what comes due together keeps nobody else from it."""

_WAITING = (ExecutionState.ARMED, ExecutionState.WAITING_RETRY)

log = structlog.get_logger(__name__)


class Dispatcher:
    """Holds what is armed until it is due, then starts attempts as the gatekeeper gives them their turn.

    What is on time is admitted when it is due. What runs in the background is admitted when its turn has come, and in nobody's way before.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        clock_watch: ClockWatch,
        runs: Runs,
        recorder: Recorder,
        keeper: Keeper,
        endings: Endings,
        definitions: Definitions,
        targets: Mapping[type, Target],
        survivors: Survivors,
        limits: AttemptLimits,
        breaker: BreakerPolicy | None,
        draw: random.Random,
    ) -> None:
        self._clock = clock
        self._clock_watch = clock_watch
        self._runs = runs
        self._recorder = recorder
        self._keeper = keeper
        self._endings = endings
        self._definitions = definitions
        self._targets = targets
        self._survivors = survivors
        self._adopted: list[tuple[Run, int]] = []
        self._limits = limits
        self._draw = draw
        self._alarm = clock.alarm()
        self._armed: list[tuple[int, int, Run]] = []
        self._order = itertools.count()
        self._buffered: dict[tuple[int, bool], deque[Run]] = {}
        """By schedule, what is on time (False) and the background (True) apart."""
        self.gates = Gatekeeper(clock=clock, recorder=recorder, limits=limits, breaker=breaker, finish=self._finish, wake=self._alarm.ring)
        self._background_ended: Callable[[], None] = _nothing
        self._conditions = Conditions(runs=runs, targets=targets, request=self._request, let_through=self._let_through, finish=self._finish)
        self._attempts: asyncio.TaskGroup | None = None
        self._draining = False
        self._room = asyncio.Event()

    def connect(self, background_ended: Callable[[], None]) -> None:
        """Set who is told that an execution of the background has ended."""
        self._background_ended = background_ended

    @property
    def waiting(self) -> int:
        """How many executions are armed, or due and waiting for the global limit; those that something else holds do not count."""
        return len(self._armed) + self._conditions.asked + self.gates.waiting - self.gates.aside

    @property
    def ahead(self) -> int:
        """How many of them wait for their time: what is armed, and retries."""
        return len(self._armed)

    @property
    def running(self) -> int:
        """How many attempts are under way."""
        return self.gates.running

    def add(self, run: Run) -> None:
        """Take over a durable execution; it is started when it is due. One that an earlier daemon had queued is admitted anew."""
        if run.state is ExecutionState.QUEUED:
            run.state = ExecutionState.WAITING_RETRY if run.attempt else ExecutionState.ARMED
            run.wake_us = min(run.wake_us, self._clock.now_us())
        elif run.state is ExecutionState.ARMED and not run.awaits_its_instant:
            # It was due so long after it was armed; by a clock that was set back since, it would have to wait for longer.
            ahead_us = max(0, run.execution.due_us - run.execution.armed_us)
            run.wake_us = min(run.wake_us, self._clock.now_us() + ahead_us)
        self._runs.add(run)
        self._push(run)

    def adopt(self, run: Run, started_us: int) -> None:
        """Take over, before `run`, a run whose attempt an earlier daemon started: it has its turn, whatever the limits say now."""
        self.gates.seize(run)
        self._adopted.append((run, started_us))

    def cancel(self, run: Run, actor: str, reason: Reason = Reason.CANCELLED, *, by_force: bool = False, note: str = "") -> None:
        """End an execution: at once if it waits, else as soon as its target has let go of it; `by_force`: without any grace.

        `note` is why, in the words of whoever asks.
        """
        run.cancelled_by = actor
        run.cancel_reason = reason
        run.cancel_note = note
        if run.task is None:
            self._finish(run, Outcome.CANCELLED, reason, actor=actor, evidence=_noted(run))
        elif run.state is ExecutionState.RUNNING:
            if by_force:
                self._targets[type(run.definition.schedule.target)].force(run.id)
            run.task.cancel()
        else:
            self._cancel_unbegun(run, run.task)

    def _cancel_unbegun(self, run: Run, task: asyncio.Task[None]) -> None:
        """Its attempt has its turn and has not taken its first step: cancelled now, the attempt never will, and gives nothing back."""
        task.cancel()
        run.task = None
        run.attempt -= 1
        self.gates.free(run, _cut_off(run))
        self._finish(run, Outcome.CANCELLED, run.cancel_reason, actor=run.cancelled_by, evidence=_noted(run))
        self._room.set()
        self._alarm.ring()

    def rendered(self, run: Run) -> Rendering | None:
        """What the next attempt of a run would send; None if it cannot be rendered. Sends nothing."""
        request = self._request(run)
        return self._targets[type(request.target)].rendered(request)

    async def run(self) -> None:
        """Dispatch until cancelled; attempts under way are then cancelled too, and recorded as interrupted."""
        try:
            async with asyncio.TaskGroup() as self._attempts:
                for run, started_us in self._adopted:
                    run.task = self._attempts.create_task(self._attempt(run, started_us))
                self._adopted.clear()
                try:
                    await self._dispatch()
                finally:
                    self._draining = True  # An attempt that ends meanwhile starts no other, which nobody would cancel.
        finally:
            self._alarm.close()

    async def _dispatch(self) -> None:
        while True:
            now_us = self._clock.now_us()
            self._clock_watch.run_once(now_us)
            await self.run_once(now_us)
            self._alarm.set(self._next_us(now_us))
            await self._alarm.wait()

    def clock_jumped(self, jump: Jump, now_us: int) -> None:
        """The wall clock has jumped: waits stay as long as they were, and what was armed for an instant passed over is a misfire."""
        if jump.kind is JumpKind.STEP:
            for run in self._runs:
                run.clock_stepped(jump.by_us)
                if run.state is ExecutionState.WAITING_RETRY:
                    self._recorder.retimed(run)
            self.gates.clock_stepped(jump.by_us)
            self._armed = [(run.wake_us, order, run) for _, order, run in self._armed if self._runs.holds(run)]
            heapq.heapify(self._armed)
        if not jump.is_back:
            for run in [run for _, _, run in self._armed]:
                self._miss_if_late(run, now_us)
        self._alarm.ring()

    def _miss_if_late(self, run: Run, now_us: int) -> None:
        reason = misfire_of(run, now_us) if self._runs.holds(run) else None
        if reason is not None:
            nominal_us = run.execution.nominal_us
            self._finish(run, Outcome.MISSED, reason, evidence=self._clock_watch.evidence(nominal_us, nominal_us))

    async def drain(self) -> None:
        """Start nothing more, and return when no attempt is under way."""
        self._draining = True
        while self.running:
            self._room.clear()
            await self._room.wait()

    async def run_once(self, now_us: int) -> None:
        """Admit everything that is due and start what there is room for, a portion in each turn of the loop."""
        for _ in self._portions(now_us):
            await self._clock.sleep(_NO_TIME)

    def _portions(self, now_us: int) -> Iterator[None]:
        """All that is due is admitted before the first of it is started, since it goes by priority."""
        yield from self._admit_due(now_us)
        if self._draining:
            return
        self.gates.look(now_us)
        while self._start_ready(_AT_ONCE):
            yield
        yield from self.gates.settle(now_us, _AT_ONCE)

    def _admit_due(self, now_us: int) -> Iterator[None]:
        admitted = 0
        while self._armed and self._armed[0][0] <= now_us:
            run = heapq.heappop(self._armed)[2]
            # A run may stand here twice, after it was taken out and given back: the first one counts.
            if run.wake_us <= now_us and run.state in _WAITING and self._runs.holds(run):
                self._come_due(run)
            admitted += 1
            if admitted % _AT_ONCE == 0:
                yield

    def _next_us(self, now_us: int) -> int | None:
        looks_us = None if self._draining else self.gates.next_us(now_us)
        if not self._armed:
            return looks_us
        due_us = self._armed[0][0]
        return due_us if looks_us is None else min(due_us, looks_us)

    def _push(self, run: Run) -> None:
        heapq.heappush(self._armed, (run.wake_us, next(self._order), run))
        if self._armed[0][2] is run:
            self._alarm.ring()

    def _come_due(self, run: Run) -> None:
        if run.definition.is_conditional and run.state is ExecutionState.ARMED:
            if self._attempts is not None and not self._draining:
                self._conditions.ask(run, self._attempts)
            return
        self._let_in(run)

    def _let_through(self, run: Run) -> None:
        """Its condition holds."""
        self._let_in(run)
        self._alarm.ring()

    def _let_in(self, run: Run) -> None:
        if not run.background and (earlier := self._overlapped(run)):
            self._admit(run, earlier)
        else:
            self.gates.put(run)

    def _overlapped(self, run: Run) -> Sequence[Run]:
        """The unfinished executions of its schedule by which it is decided whether a run starts."""
        return () if run.attempt or run.overlap is Overlap.ALLOW_ALL else self._runs.come_due(run.row)

    def _overtaken(self, run: Run) -> Sequence[Run]:
        """The older run of its schedule's background that waits for one which has ended meanwhile, or is about to have its turn again."""
        buffered = self._buffered.get((run.row, True))
        if not buffered or run.attempt or run.overlap is Overlap.ALLOW_ALL or buffered[0].wake_us >= run.wake_us:
            return ()
        return (buffered[0],)

    def _admit(self, run: Run, earlier: Sequence[Run]) -> None:
        """Decide about an execution that is to start while earlier ones of its schedule are unfinished."""
        decision = admit(
            run.overlap,
            unfinished=len(earlier),
            buffered=len(self._buffered.get((run.row, run.background), ())),
            buffer_limit=BUFFER_CAP if run.background else run.definition.schedule.policies.buffer_limit,
            beside=_beside(run, earlier),
        )
        match decision.verdict:
            case Verdict.START:
                self.gates.put(run)
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
        self._recorder.queued(run, reason, now_us=self._clock.now_us(), evidence=_blocked_by(earlier))
        buffered = self._buffered.setdefault((run.row, run.background), deque())
        if buffered and run.wake_us < buffered[0].wake_us:
            buffered.appendleft(run)  # One of the background that was let go, and overtaken before it had its turn.
        else:
            buffered.append(run)

    def _unbuffer(self, run: Run) -> None:
        buffered = self._buffered.get((run.row, run.background))
        if buffered is not None and run in buffered:
            buffered.remove(run)
            if not buffered:
                del self._buffered[run.row, run.background]

    def _next_buffered(self, row: int) -> None:
        """Let the one go that has waited longest, what is on time before the background, if nothing else of its schedule is under way."""
        on_time = self._buffered.get((row, False), ())
        key = (row, not on_time)
        if key in self._buffered and len(self._runs.come_due(row)) == len(on_time):
            run = self._buffered[key][0]
            self._unbuffer(run)
            self.gates.put(run)
            self._alarm.ring()

    def _start_ready(self, most: int) -> bool:
        """Start those whose turn it is; whether `most` were started, and others may be next."""
        started = 0
        while started < most:
            if self._draining or (run := self.gates.next()) is None:
                return False
            if run.background and (earlier := self._overlapped(run) or self._overtaken(run)):
                self.gates.free(run)
                self._admit(run, earlier)
            else:
                self._start(run)
                started += 1
        return True

    def _start(self, run: Run) -> None:
        assert self._attempts is not None, "attempts are started from run()"
        run.attempt += 1
        run.task = self._attempts.create_task(self._attempt(run))

    async def _attempt(self, run: Run, adopted_us: int | None = None) -> None:
        """Make an attempt, or see the one out that an earlier daemon started at `adopted_us`."""
        started_us = self._clock.now_us() if adopted_us is None else adopted_us
        if adopted_us is None:
            self._recorder.started(run, started_us)
        cancelled = False
        shift_us = run.shift_us
        request = self._request(run)
        try:
            result = await self._deliver(run, request, adopted=adopted_us is not None)
        except asyncio.CancelledError:
            cancelled = True
            result = _cut_off(run)
        now_us = self._clock.now_us()
        run.task = None
        self.gates.free(run, result)
        self._room.set()
        self._recorder.attempted(run, result, started_us=started_us + run.shift_us - shift_us, now_us=now_us)
        self._conclude(run, result, now_us)
        if cancelled and not run.cancelled_by:
            raise asyncio.CancelledError
        if self.gates.waiting and self._start_ready(2):  # One that ends makes room for one; where it is more, they are the loop's.
            self._alarm.ring()

    def _request(self, run: Run) -> DeliveryRequest:
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
        )

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
            self._finish(run, Outcome.CANCELLED, result.reason, actor=run.cancelled_by, evidence=_noted(run))
            return
        if result.reason is Reason.INTERRUPTED:
            self.interrupted(run, result, now_us)
            return
        policy = run.definition.schedule.policies.retry
        facts = run.execution
        from_us = (facts.due_us if facts.redelivered_us is None else facts.redelivered_us) + run.shift_us
        attempt = run.attempt - facts.attempts_before
        following = after_attempt(policy, result, attempt=attempt, due_us=from_us, now_us=now_us, draw=self._draw.random())
        if isinstance(following, RetryAt):
            self._recorder.retrying(run, result, now_us=now_us, at_us=following.at_us)
            self._push(run)
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
        """The daemon's end cut off the attempt: by the delivery policy it is made again, or its outcome stays unknown."""
        if run.definition.schedule.policies.delivery is Delivery.AT_MOST_ONCE:
            self._finish(run, Outcome.UNKNOWN, result.reason, evidence=result_evidence(result))
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
        self.gates.withdraw(run)
        if run.definition.is_conditional:
            self._conditions.forget(run)
        if self._buffered:
            self._unbuffer(run)
        self._recorder.finished(run, outcome, reason, now_us=now_us, actor=actor, evidence=evidence)
        if run.definition.ends_count:
            self._endings.finished(run)
        self._keeper.execution_finished(run.row)
        if self._buffered:
            self._next_buffered(run.row)
        if run.background:
            self._background_ended()
        if outcome is Outcome.FAILED:
            self._recorder.dead_letter(run, self._rendered(run))
            log.warning(
                "execution_failed",
                schedule=str(run.execution.schedule),
                execution=id_text(run.id),
                attempt=run.attempt,
                reason=reason,
                outcome=outcome,
            )

    def _rendered(self, run: Run) -> Rendering | None:
        """What the last attempt has sent; None where that cannot be told."""
        try:
            return self._targets[type(run.definition.schedule.target)].rendered(self._request(run))
        except Exception:  # As in `_deliver`: a target's unforeseen fault concerns its schedule alone.
            log.exception("rendering_failed", schedule=str(run.execution.schedule), execution=run.id)
            return None


def misfire_of(run: Run, now_us: int) -> Reason | None:
    """Why a run that is armed for its rule's instant and has not started is not run any more; None: it is not that, or it is run.

    It is a misfire if it is late by more than its grace, and goes by the catch-up policy. What was taken up late already is away from then
    on; where the policy runs all misfires it goes on, as the rest of its range does. What somebody asked for is run however late it is.
    """
    execution, policy = run.execution, run.definition.schedule.policies.catch_up
    taken_up = execution.origin is not None or (run.background and policy.mode is CatchUpMode.ALL)
    if run.state is not ExecutionState.ARMED or execution.cause is not Cause.SCHEDULE or taken_up:
        return None
    since_us = max(execution.due_us, execution.armed_us)
    return misfire_reason(run.definition.rule, policy, nominal_us=execution.nominal_us, due_us=since_us, now_us=now_us)


def _nothing() -> None:
    """Who is told as long as nobody else is."""


def _beside(run: Run, earlier: Sequence[Run]) -> Beside:
    if all(other.background for other in earlier):
        return Beside.EQUALS if run.execution.cause is Cause.BACKFILL else Beside.LAST
    return Beside.FIRST if run.background else Beside.EQUALS


def _blocked_by(earlier: Sequence[Run]) -> Evidence:
    return {"blocking_execution": earlier[0].id}


def _noted(run: Run) -> Evidence:
    return {"detail": run.cancel_note} if run.cancel_note else NO_EVIDENCE


def _cut_off(run: Run) -> AttemptResult:
    if run.cancelled_by:
        why = f": {run.cancel_note}" if run.cancel_note else ""
        return AttemptResult(outcome=Outcome.CANCELLED, reason=run.cancel_reason, message=f"cancelled by {run.cancelled_by}{why}")
    return AttemptResult(outcome=Outcome.UNKNOWN, reason=Reason.INTERRUPTED, message="the daemon ended meanwhile")
