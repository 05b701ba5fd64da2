"""The dispatcher: at the due instant lets an execution in, and starts it in its turn. No commit is in its path: it is durable already.

The path of a fire: `_admit_due` takes it from the heap, `_let_in` puts it to the gatekeeper, `_start_ready` has its attempt started when it
has its turn, and `_finish` tells the recorder of its end.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import structlog

from schedd.core.breaker import BreakerPolicy
from schedd.core.clockjumps import Jump, JumpKind
from schedd.core.model.execution import ExecutionState, id_text
from schedd.core.model.journal import DAEMON, NO_EVIDENCE, Evidence
from schedd.core.model.reason import Outcome, Reason
from schedd.core.ports import Clock, Survivors, Target
from schedd.engine.attempts import Attempts
from schedd.engine.clockwatch import ClockWatch
from schedd.engine.conditions import Conditions
from schedd.engine.definitions import Definitions
from schedd.engine.endings import Endings
from schedd.engine.gatekeeper import Gatekeeper
from schedd.engine.keeper import Keeper
from schedd.engine.limits import AttemptLimits
from schedd.engine.misfires import misfire_of
from schedd.engine.overlaps import Overlaps
from schedd.engine.recorder import Recorder
from schedd.engine.runs import Run, Runs

_NO_TIME = timedelta(0)
_AT_ONCE = 16
"""So many steps are made in one turn of the loop: what comes due together keeps nobody else from it."""
_PORTIONS_MOST = 64

_PRUNE_FLOOR = 1024
_WAITING = (ExecutionState.ARMED, ExecutionState.WAITING_RETRY)

log = structlog.get_logger(__name__)


class Dispatcher:
    """Holds what is armed until it is due, then has attempts started as the gatekeeper gives them their turn.

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
        self._alarm = clock.alarm()
        self._armed: list[tuple[int, int, Run]] = []
        self._order = itertools.count()
        self.gates = Gatekeeper(clock=clock, recorder=recorder, limits=limits, breaker=breaker, finish=self._finish, wake=self._alarm.ring)
        self.attempts = Attempts(
            clock=clock,
            recorder=recorder,
            keeper=keeper,
            definitions=definitions,
            targets=targets,
            survivors=survivors,
            limits=limits,
            draw=draw,
            gates=self.gates,
            finish=self._finish,
            wait=self._push,
            fill=self._start_ready,
            wake=self._alarm.ring,
        )
        self._overlaps = Overlaps(
            clock=clock,
            runs=runs,
            recorder=recorder,
            gates=self.gates,
            finish=self._finish,
            cancel=self.cancel,
            wake=self._alarm.ring,
        )
        self._conditions = Conditions(
            runs=runs,
            targets=targets,
            request=self.attempts.request,
            let_through=self._let_through,
            finish=self._finish,
            quarantine=keeper.quarantine,
        )
        self._background_ended: Callable[[], None] = _nothing
        self._tasks: asyncio.TaskGroup | None = None
        self._draining = False

    def connect(self, background_ended: Callable[[], None]) -> None:
        """Set who is told that an execution of the background has ended."""
        self._background_ended = background_ended

    @property
    def waiting(self) -> int:
        """How many executions are armed, or due and waiting for the global limit; those that something else holds do not count."""
        return self.ahead + self._conditions.asked + self.gates.waiting - self.gates.aside

    @property
    def ahead(self) -> int:
        """How many of them wait for their time, armed or for a retry: all that are unfinished, and stand nowhere else."""
        return max(0, len(self._runs) - self._conditions.asked - self.gates.waiting - self.gates.running - self._overlaps.held)

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

    def cancel(self, run: Run, actor: str, reason: Reason = Reason.CANCELLED, *, by_force: bool = False, note: str = "") -> None:
        """End an execution: at once if it waits, else as soon as its target has let go of it; `by_force`: without any grace.

        `note` is why, in the words of whoever asks.
        """
        run.cancelled_by = actor
        run.cancel_reason = reason
        run.cancel_note = note
        if run.task is None:
            self._finish(run, Outcome.CANCELLED, reason, actor=actor, evidence=run.cancel_evidence)
        else:
            self.attempts.cancel(run, run.task, by_force=by_force)

    async def drain(self) -> None:
        """Start nothing more, and return when no attempt is under way."""
        self._draining = True
        await self.attempts.ended()

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

    async def run(self) -> None:
        """Dispatch until cancelled; attempts under way are then cancelled too, and recorded as interrupted."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self.attempts.begin(self._tasks)
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

    async def run_once(self, now_us: int) -> None:
        """Admit everything that is due and start what there is room for, a portion in each turn of the loop."""
        for _ in self._portions(now_us):
            await self._clock.sleep(_NO_TIME)

    def _portions(self, now_us: int) -> Iterator[None]:
        """All that is due is let in before the first of it is started, since it goes by priority."""
        yield from self._admit_due(now_us)
        if self._draining:
            return
        self.gates.look(now_us)
        for _ in range(_PORTIONS_MOST):
            if not self._start_ready(_AT_ONCE):
                break
            yield
        else:
            self._alarm.ring()  # What has come due meanwhile is let in before the rest of it.
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

    def _come_due(self, run: Run) -> None:
        if run.definition.is_conditional and run.state is ExecutionState.ARMED:
            if self._tasks is not None and not self._draining:
                self._conditions.ask(run, self._tasks)
            return
        self._let_in(run)

    def _let_through(self, run: Run) -> None:
        """Its condition holds."""
        self._let_in(run)
        self._alarm.ring()

    def _let_in(self, run: Run) -> None:
        if not run.background and (earlier := self._overlaps.earlier(run)):
            self._overlaps.decide(run, earlier)
        else:
            self.gates.put(run)

    def _start_ready(self, most: int) -> bool:
        """Start those whose turn it is; whether `most` have had theirs, and others may be next."""
        started = 0
        while started < most:
            if self._draining or (run := self.gates.next()) is None:
                return False
            if run.state is ExecutionState.FINISHED:
                pass
            elif run.background and (earlier := self._overlaps.earlier(run)):
                self.gates.free(run)
                self._overlaps.decide(run, earlier)
            elif run.background and (older := self._overlaps.overtaken(run)):
                self.gates.free(run)
                self._overlaps.fall_behind(run, older)
            else:
                self.attempts.start(run)
            started += 1
        return True

    def _next_us(self, now_us: int) -> int | None:
        looks_us = None if self._draining else self.gates.next_us(now_us)
        if not self._armed:
            return looks_us
        due_us = self._armed[0][0]
        return due_us if looks_us is None else min(due_us, looks_us)

    def _push(self, run: Run) -> None:
        if len(self._armed) > 2 * len(self._runs) + _PRUNE_FLOOR:  # What was cancelled or taken back would stay until its time.
            self._armed = [entry for entry in self._armed if self._runs.holds(entry[2])]
            heapq.heapify(self._armed)
        heapq.heappush(self._armed, (run.wake_us, next(self._order), run))
        if self._armed[0][2] is run:
            self._alarm.ring()

    def _finish(self, run: Run, outcome: Outcome, reason: Reason, *, actor: str = DAEMON, evidence: Evidence = NO_EVIDENCE) -> None:
        """End a run, wherever it stands, and let those go on that wait for it."""
        now_us = self._clock.now_us()
        self.gates.withdraw(run)
        if run.definition.is_conditional:
            self._conditions.forget(run)
        if self._overlaps.buffered:
            self._overlaps.forget(run)
        self._recorder.finished(run, outcome, reason, now_us=now_us, actor=actor, evidence=evidence)
        if run.definition.ends_count:
            self._endings.finished(run)
        self._keeper.execution_finished(run.row)
        if self._overlaps.buffered:
            self._overlaps.let_next_go(run.row)
        if run.background:
            self._background_ended()
        if outcome is Outcome.FAILED:
            self._recorder.dead_letter(run, self.attempts.sent(run))
            log.warning(
                "execution_failed",
                schedule=str(run.execution.schedule),
                execution=id_text(run.id),
                attempt=run.attempt,
                reason=reason,
                outcome=outcome,
            )


def _nothing() -> None:
    """Who is told as long as nobody else is."""
