"""The recorder: what became of executions, gathered for a moment and made durable in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol

import structlog

from schedd.core.errors import UnavailableError
from schedd.core.model.batch import ExecutionChange, NewDeadLetter, RecordBatch
from schedd.core.model.execution import Attempt, AttemptResult, Execution, ExecutionState, id_text
from schedd.core.model.journal import DAEMON, NO_EVIDENCE, Evidence, ExecutionFacts, JournalEntry, JournalKind
from schedd.core.model.notice import Notice
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import Rendering
from schedd.core.ports import Clock, Store
from schedd.engine.lateness import Lateness
from schedd.engine.runs import Run, Runs
from schedd.engine.undertakings import Undertakings

_REFUSED_WAIT = timedelta(seconds=1)
_EMPTY = RecordBatch()
_NAMED = 100
"""How many executions the log names at most."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What follows some ends, and the entries that tell of it: executions to be armed, and targets to be notified."""

    runs: list[Run] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    entries: list[JournalEntry] = field(default_factory=list)


class Following(Protocol):
    """Finds out what follows the ends of executions, and begins it."""

    async def after(self, ended: Sequence[Run], attempts: Sequence[Attempt]) -> Followed:
        """What follows these ends; `attempts` have the last ones of those that ended with one."""

    def begin(self, followed: Followed, stored: frozenset[int]) -> None:
        """It is durable, of its executions those that are stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What is recorded at once, whose ends are followed, and who waits for the commit."""

    batch: RecordBatch
    to_follow: list[Run]
    awaited: list[Run]
    gathered: asyncio.Future[None] | None


class Recorder:
    """Collects the changes of executions and commits them in batches: everything of the last `linger` together."""

    def __init__(
        self, store: Store, runs: Runs, clock: Clock, undertakings: Undertakings, *, linger: timedelta = timedelta(milliseconds=20)
    ) -> None:
        self._store = store
        self._runs = runs
        self._clock = clock
        self._undertakings = undertakings
        self._linger = linger
        self.lateness = Lateness()
        self._changed: dict[int, Run] = {}
        self._abandoned: list[ExecutionChange] = []
        self._attempts: list[Attempt] = []
        self._entries: list[JournalEntry] = []
        self._disarmed: list[int] = []
        self._backfilled: list[tuple[int, Outcome]] = []
        self._dead_letters: list[NewDeadLetter] = []
        self._settled: list[int] = []
        self._ended: list[Run] = []
        self._ran: list[int] = []
        self._to_follow: list[Run] = []
        self._notified: list[int] = []
        self._following: Following | None = None
        self._something = asyncio.Event()
        self._gathered: asyncio.Future[None] | None = None
        self._in_hand: _Taken | None = None
        self._followed: Followed | None = None
        """What follows that, once it has been found out."""

    @property
    def backlog(self) -> int:
        """How many changes wait to be committed."""
        return len(self._changed)

    def connect(self, following: Following) -> None:
        """Set who knows what follows an end."""
        self._following = following

    def queued(self, run: Run, reason: Reason, *, now_us: int, evidence: Evidence) -> None:
        """It is due, and waits for something other than its time."""
        run.state = ExecutionState.QUEUED
        run.reason = reason
        self._change(run, JournalKind.EXECUTION_QUEUED, now_us, evidence=evidence)

    def started(self, run: Run, now_us: int) -> None:
        """An attempt has started."""
        if run.started_us is None:
            run.started_us = now_us
            if not run.background:
                self.lateness.add(now_us - run.wake_us)
        run.state = ExecutionState.RUNNING
        run.reason = Reason.NONE
        self._change(run, JournalKind.EXECUTION_STARTED, now_us, evidence={"lateness_us": now_us - run.wake_us})

    def found(self, run: Run, attempt: int, started_us: int) -> None:
        """An earlier daemon had started this attempt, and perhaps had no time to record it."""
        if run.state is ExecutionState.RUNNING and run.attempt == attempt:
            return
        run.attempt = attempt
        if run.started_us is None:
            run.started_us = started_us
        run.state = ExecutionState.RUNNING
        run.reason = Reason.NONE
        self._change(run, JournalKind.EXECUTION_STARTED, started_us, evidence={"lateness_us": max(started_us - run.wake_us, 0)})

    def adopted(self, run: Run, *, now_us: int, evidence: Evidence) -> None:
        """Its attempt has outlived the daemon that started it, and goes on."""
        run.reason = Reason.RECOVERED
        self._change(run, JournalKind.EXECUTION_ADOPTED, now_us, evidence=evidence)

    def attempted(self, run: Run, result: AttemptResult, *, started_us: int, now_us: int) -> None:
        """An attempt has ended; what follows from it is recorded with `retrying` or `finished`."""
        self._attempts.append(Attempt(run.id, run.attempt, started_us, now_us, result))

    def retrying(self, run: Run, result: AttemptResult, *, now_us: int, at_us: int) -> None:
        """Another attempt will be made at `at_us`."""
        run.wake_us = at_us
        run.state = ExecutionState.WAITING_RETRY
        run.reason = result.reason
        self._change(run, JournalKind.EXECUTION_RETRYING, now_us, evidence={**result_evidence(result), "next_attempt_us": at_us})

    def retimed(self, run: Run) -> None:
        """The instant of its next attempt is another by a clock that was stepped; nothing has happened to it."""
        self._changed[run.id] = run
        self._something.set()

    def finished(
        self, run: Run, outcome: Outcome, reason: Reason, *, now_us: int, actor: str = DAEMON, evidence: Evidence = NO_EVIDENCE
    ) -> None:
        """The execution has ended; it leaves memory at once, and whoever waits for it is told after the commit."""
        run.state = ExecutionState.FINISHED
        run.outcome = outcome
        run.reason = reason
        run.finished_us = now_us
        self._change(run, JournalKind.EXECUTION_FINISHED, now_us, actor=actor, evidence=evidence)
        self._runs.remove(run)
        if run.execution.backfill and run.execution.redelivered_us is None:
            self._backfilled.append((run.execution.backfill, outcome))
        if run.finished is not None:
            self._ended.append(run)

    def dead_letter(self, run: Run, request: Rendering | None) -> None:
        """Keep what the last attempt of a run that has just failed for good has sent."""
        assert run.finished_us is not None, "finished() comes first"
        self._dead_letters.append(NewDeadLetter(run.id, run.finished_us, request))
        self.note(run.entry(JournalKind.EXECUTION_DEAD_LETTERED, run.finished_us))

    def settled(self, run: Run) -> None:
        """A redelivered execution has succeeded: it is no dead letter any more."""
        self._settled.append(run.id)

    def disarmed(self, run: Run, reason: Reason, now_us: int) -> None:
        """The execution is taken back before it was due."""
        run.state = ExecutionState.FINISHED
        run.reason = reason
        self._disarmed.append(run.id)
        self._changed.pop(run.id, None)
        self.note(run.entry(JournalKind.EXECUTION_DISARMED, now_us))
        self._runs.remove(run)

    def abandoned(self, execution: Execution, reason: Reason, now_us: int, detail: str) -> None:
        """An execution found at start ends, since its schedule cannot be read."""
        if execution.backfill and execution.redelivered_us is None:
            self._backfilled.append((execution.backfill, Outcome.UNKNOWN))
        self._abandoned.append(
            ExecutionChange(
                execution_id=execution.id,
                state=ExecutionState.FINISHED,
                outcome=Outcome.UNKNOWN,
                reason=reason,
                attempt=execution.attempt,
                started_us=execution.started_us,
                finished_us=now_us,
            )
        )
        facts = ExecutionFacts(id=execution.id, cause=execution.cause, nominal_us=execution.nominal_us, due_us=execution.due_us)
        self.note(
            JournalEntry(
                time_us=now_us,
                kind=JournalKind.EXECUTION_FINISHED,
                schedule=execution.schedule,
                schedule_row=execution.schedule_row,
                schedule_uid=execution.schedule_uid,
                execution=facts,
                attempt=execution.attempt,
                outcome=Outcome.UNKNOWN,
                reason=reason,
                evidence={"detail": detail},
            )
        )

    def ran(self, uid: int) -> None:
        """A schedule whose runs are counted has run once more."""
        self._ran.append(uid)
        self._something.set()

    def to_follow(self, run: Run) -> None:
        """The run has just finished, and its schedule says what follows: that becomes durable with its end."""
        self._to_follow.append(run)

    def notified(self, notice: Notice) -> None:
        """A target has been called, and what it came to is noted: the notice is not kept any longer."""
        self._notified.append(notice.id)
        self._something.set()

    def note(self, *entries: JournalEntry) -> None:
        """Journal something else with the next batch."""
        self._entries.extend(entries)
        self._something.set()

    async def committed(self) -> None:
        """Return when all that was recorded until now is durable."""
        if self._gathered is None:
            self._gathered = asyncio.get_running_loop().create_future()
        self._something.set()
        await asyncio.shield(self._gathered)

    async def run(self) -> None:
        """Commit what comes, until cancelled."""
        while True:
            await self._something.wait()
            if self._gathered is None:
                await self._clock.sleep(self._linger)
            await self.run_once()

    async def run_once(self) -> None:
        """Commit all that waits. While the store refuses, nothing is dropped and it is tried again."""
        if self._in_hand is None:
            self._in_hand = self._take()
        while not await self._undertakings.see_through(self._record(self._in_hand)):
            await self._clock.sleep(_REFUSED_WAIT)

    async def finish(self, patience: timedelta) -> bool:
        """After `run` has ended: commit what is left; whether it is durable.

        What the store has not taken within `patience` is told to the log, and given up.
        """
        try:
            async with asyncio.timeout(patience.total_seconds()):
                while self._in_hand is not None or self._something.is_set():
                    await self.run_once()
        except TimeoutError:
            left = [taken.batch for taken in (self._in_hand, self._take()) if taken is not None]
            log.error(
                "not_recorded",
                executions=sorted({id_text(change.execution_id) for batch in left for change in batch.changes})[:_NAMED],
                changes=sum(len(batch.changes) for batch in left),
                detail="the store refuses to write; the next start finds them as they were recorded last, and takes them up from there",
            )
            return False
        return True

    def _take(self) -> _Taken:
        batch = RecordBatch(
            changes=(*self._abandoned, *[run.change() for run in self._changed.values()]),
            attempts=tuple(self._attempts),
            entries=tuple(self._entries),
            disarmed=tuple(self._disarmed),
            backfilled=tuple(self._backfilled),
            dead_letters=tuple(self._dead_letters),
            settled=tuple(self._settled),
            ran=tuple(self._ran),
            notified=tuple(self._notified),
        )
        taken = _Taken(batch=batch, to_follow=self._to_follow, awaited=self._ended, gathered=self._gathered)
        self._dead_letters, self._settled, self._notified, self._to_follow = [], [], [], []
        self._changed, self._abandoned, self._attempts, self._entries, self._disarmed, self._ended = {}, [], [], [], [], []
        self._ran, self._backfilled = [], []
        self._gathered = None
        self._something.clear()
        return taken

    async def _record(self, taken: _Taken) -> bool:
        """Whether it is durable now, with what follows it; who waits is told. Runs to its end also if the recorder ends."""
        try:
            if taken.to_follow and self._followed is None:
                assert self._following is not None, "connect() comes first"
                self._followed = await self._following.after(taken.to_follow, taken.batch.attempts)
            batch = taken.batch if self._followed is None else _with(taken.batch, self._followed)
            stored = await self._store.record(batch) if batch != _EMPTY else frozenset[int]()
        except UnavailableError as error:
            log.error("record_refused", reason=error.reason, detail=str(error), executions=len(taken.batch.changes))
            return False
        followed, self._followed, self._in_hand = self._followed, None, None
        if followed is not None and self._following is not None:
            self._following.begin(followed, stored)
        for run in taken.awaited:
            if run.finished is not None and not run.finished.done():
                run.finished.set_result(None)
        if taken.gathered is not None:
            taken.gathered.set_result(None)
        return True

    def _change(self, run: Run, kind: JournalKind, now_us: int, *, actor: str = DAEMON, evidence: Evidence) -> None:
        self._changed[run.id] = run
        self._entries.append(run.entry(kind, now_us, actor=actor, evidence=evidence))
        self._something.set()


def _with(batch: RecordBatch, followed: Followed) -> RecordBatch:
    return replace(
        batch,
        entries=(*batch.entries, *followed.entries),
        followed=tuple(run.execution for run in followed.runs),
        notices=tuple(followed.notices),
    )


def result_evidence(result: AttemptResult) -> dict[str, str | int | float | bool]:
    """The facts of a delivery that the journal keeps: never its output."""
    evidence: dict[str, str | int | float | bool] = {}
    if result.code is not None:
        evidence["code"] = result.code
    if result.message:
        evidence["message"] = result.message
    return evidence
