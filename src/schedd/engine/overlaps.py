"""Overlaps: what comes due while earlier executions of its schedule are unfinished starts, waits for them, is skipped, or ends them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, assert_never

from schedd.core.admission import BUFFER_CAP, Beside, Verdict, admit
from schedd.core.model.execution import Cause
from schedd.core.model.journal import DAEMON, Evidence
from schedd.core.model.policy import Overlap
from schedd.core.model.reason import Outcome, Reason
from schedd.core.ports import Clock
from schedd.engine.gatekeeper import Gatekeeper
from schedd.engine.recorder import Recorder
from schedd.engine.runs import Finish, Run, Runs


class Cancel(Protocol):
    """Ends a run that another one takes the place of."""

    def __call__(self, run: Run, actor: str, reason: Reason, *, by_force: bool) -> None:
        """End it as soon as its target has let go of it; `by_force`: without any grace."""


class Overlaps:
    """Acts on what `core/admission.py` decides, and holds the runs that wait for others of their schedule.

    `buffered` are those, by their schedule's row; what is on time (False) and the background (True) apart. While it is empty no run's end
    needs `forget` or `let_next_go`. `held` is how many there are in all.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        runs: Runs,
        recorder: Recorder,
        gates: Gatekeeper,
        finish: Finish,
        cancel: Cancel,
        wake: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._runs = runs
        self._recorder = recorder
        self._gates = gates
        self._finish = finish
        self._cancel = cancel
        self._wake = wake
        self.buffered: dict[tuple[int, bool], deque[Run]] = {}
        self.held = 0

    def earlier(self, run: Run) -> Sequence[Run]:
        """The unfinished executions of its schedule by which it is decided whether a run starts; none for one that has begun."""
        return () if run.attempt or run.overlap is Overlap.ALLOW_ALL else self._runs.come_due(run.row)

    def overtaken(self, run: Run) -> Sequence[Run]:
        """The older run of its schedule's background that waits for one which has ended meanwhile, or is about to have its turn again."""
        buffered = self.buffered.get((run.row, True))
        if not buffered or run.attempt or run.overlap is Overlap.ALLOW_ALL or buffered[0].place >= run.place:
            return ()
        return (buffered[0],)

    def decide(self, run: Run, earlier: Sequence[Run]) -> None:
        """Decide about a run that is to start while `earlier` ones of its schedule are unfinished: one at least."""
        decision = admit(
            run.overlap,
            unfinished=len(earlier),
            buffered=len(self.buffered.get((run.row, run.background), ())),
            buffer_limit=BUFFER_CAP if run.background else run.definition.schedule.policies.buffer_limit,
            beside=_beside(run, earlier),
        )
        match decision.verdict:
            case Verdict.START:
                self._gates.put(run)
            case Verdict.SKIP:
                self._finish(run, Outcome.SKIPPED, decision.reason, evidence=_blocked_by(earlier))
            case Verdict.BUFFER:
                self._buffer(run, decision.reason, earlier)
            case Verdict.CANCEL_OTHERS | Verdict.TERMINATE_OTHERS:
                self._buffer(run, decision.reason, earlier)
                for other in earlier:
                    self._cancel(other, DAEMON, decision.reason, by_force=decision.verdict is Verdict.TERMINATE_OTHERS)
            case _:
                assert_never(decision.verdict)

    def fall_behind(self, run: Run, older: Sequence[Run]) -> None:
        """Let a run that has overtaken an `older` one wait; the older one goes itself, unless it waits for another that is at the gates."""
        self.decide(run, older)
        if all(other.ticket is None for other in self._runs.of_schedule(run.row)):
            self.let_next_go(run.row)

    def forget(self, run: Run) -> None:
        """It waits for no other any more; nothing happens if it did not wait."""
        buffered = self.buffered.get((run.row, run.background))
        if buffered is not None and run in buffered:
            buffered.remove(run)
            self.held -= 1
            if not buffered:
                del self.buffered[run.row, run.background]

    def let_next_go(self, row: int) -> None:
        """Let the one go that has waited longest, what is on time before the background, if nothing else of its schedule is under way."""
        on_time = self.buffered.get((row, False), ())
        key = (row, not on_time)
        if key in self.buffered and len(self._runs.come_due(row)) == len(on_time):
            run = self.buffered[key][0]
            self.forget(run)
            self._gates.put(run)
            self._wake()

    def _buffer(self, run: Run, reason: Reason, earlier: Sequence[Run]) -> None:
        """Let it wait until the earlier ones have finished."""
        self._recorder.queued(run, reason, now_us=self._clock.now_us(), evidence=_blocked_by(earlier))
        buffered = self.buffered.setdefault((run.row, run.background), deque())
        self.held += 1
        if buffered and run.place < buffered[0].place:
            buffered.appendleft(run)  # One of the background that was let go, and overtaken before it had its turn.
        else:
            buffered.append(run)


def _beside(run: Run, earlier: Sequence[Run]) -> Beside:
    if all(other.background for other in earlier):
        return Beside.EQUALS if run.execution.cause is Cause.BACKFILL else Beside.LAST
    return Beside.FIRST if run.background else Beside.EQUALS


def _blocked_by(earlier: Sequence[Run]) -> Evidence:
    return {"blocking_execution": earlier[0].id}
