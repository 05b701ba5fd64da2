"""The unfinished executions in memory: one `Run` each, found by id and by schedule."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Protocol

from schedd.core.admission import in_background, overlap_of
from schedd.core.model.batch import ExecutionChange
from schedd.core.model.execution import Cause, Execution, ExecutionState
from schedd.core.model.journal import DAEMON, NO_EVIDENCE, Evidence, ExecutionFacts, JournalEntry, JournalKind
from schedd.core.model.policy import Overlap
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import ScheduleState
from schedd.core.slots import Ticket
from schedd.engine.definitions import Definition


class Run:
    """An unfinished execution: its unchanging facts, the definition it was armed under, and where it stands now.

    `wake_us` is when it next wants attention: its due time, or the time of its next attempt. `background`: it makes way for those that are
    on time. `overlap` is its own policy, else its schedule's. `ticket` is its place among those that wait for their turn, or have it.
    `shift_us` is how far the clock was stepped since it was taken up: what the execution's own instants were by the clock of then, they are
    by that of now with this added. `is_last`: the attempt under way is the last, however it ends, since the schedule is deleted.
    """

    __slots__ = (
        "attempt",
        "background",
        "cancel_note",
        "cancel_reason",
        "cancelled_by",
        "definition",
        "execution",
        "facts",
        "finished",
        "finished_us",
        "id",
        "is_last",
        "outcome",
        "overlap",
        "reason",
        "row",
        "shift_us",
        "started_us",
        "state",
        "task",
        "ticket",
        "wake_us",
    )

    def __init__(self, execution: Execution, definition: Definition, overlap: Overlap | None = None) -> None:
        self.execution = execution
        self.definition = definition
        self.id = execution.id
        self.row = execution.schedule_row
        self.background = in_background(execution)
        if overlap is None and execution.origin is not None:
            overlap = execution.origin.overlap
        self.overlap = overlap_of(definition.schedule.policies, background=self.background) if overlap is None else overlap
        self.facts = ExecutionFacts(execution.id, execution.cause, execution.nominal_us, execution.due_us)
        self.state = execution.state
        self.outcome = execution.outcome
        self.reason = execution.reason
        self.attempt = execution.attempt
        self.started_us = execution.started_us
        self.finished_us = execution.finished_us
        self.wake_us = execution.due_us if execution.next_attempt_us is None else execution.next_attempt_us
        self.shift_us = 0
        self.is_last = definition.schedule.state is ScheduleState.DELETED
        self.task: asyncio.Task[None] | None = None
        self.ticket: Ticket[Run] | None = None
        self.cancelled_by = ""
        self.cancel_note = ""
        self.cancel_reason = Reason.CANCELLED
        self.finished: asyncio.Future[None] | None = None

    def standing(self) -> Execution:
        """The execution as it is now."""
        _, state, outcome, reason, attempt, started_us, finished_us, next_attempt_us = self.change()
        return self.execution._replace(
            state=state,
            outcome=outcome,
            reason=reason,
            attempt=attempt,
            started_us=started_us,
            finished_us=finished_us,
            next_attempt_us=next_attempt_us,
        )

    def change(self) -> ExecutionChange:
        """Its standing as it is now."""
        waits = self.state is ExecutionState.WAITING_RETRY
        return ExecutionChange(
            self.id,
            self.state,
            self.outcome,
            self.reason,
            self.attempt,
            self.started_us,
            self.finished_us,
            self.wake_us if waits else None,
        )

    def as_it_stands(self) -> Execution:
        """The execution with its standing as it is now."""
        change = self.change()
        return self.execution._replace(**{name: getattr(change, name) for name in ExecutionChange._fields[1:]})

    @property
    def awaits_its_instant(self) -> bool:
        """Whether it waits for an instant of its rule, so that wall time says when. All other waits are durations: no step changes them."""
        return self.state is ExecutionState.ARMED and self.execution.cause is Cause.SCHEDULE and not self.background

    @property
    def since_us(self) -> int:
        """Since when its turn might have come: it was due then, or was taken up later."""
        execution = self.execution
        return max(self.wake_us, max(execution.armed_us, execution.redelivered_us or 0) + self.shift_us)

    @property
    def place(self) -> tuple[int, int]:
        """Its place among those of its schedule that wait: by the clock of now, whatever was stepped, and in the order of arming."""
        return self.since_us, self.id

    @property
    def cancel_evidence(self) -> Evidence:
        """Why it is cancelled, in the words of whoever asked for it."""
        return {"detail": self.cancel_note} if self.cancel_note else NO_EVIDENCE

    def clock_stepped(self, by_us: int) -> None:
        """The clock was stepped: what it waits for is as far away as before, and what it began is as long ago."""
        self.shift_us += by_us
        if self.started_us is not None:
            self.started_us += by_us
        if not self.awaits_its_instant:
            self.wake_us += by_us

    def entry(self, kind: JournalKind, time_us: int, *, actor: str = DAEMON, evidence: Evidence = NO_EVIDENCE) -> JournalEntry:
        """A journal entry about this execution, with its attempt, outcome and reason as they are now."""
        execution = self.execution
        return JournalEntry(
            time_us,
            kind,
            actor,
            execution.schedule,
            execution.schedule_row,
            execution.schedule_uid,
            self.facts,
            self.attempt,
            self.outcome,
            self.reason,
            evidence,
        )


class Finish(Protocol):
    """Ends a run, whatever it waits for."""

    def __call__(self, run: Run, outcome: Outcome, reason: Reason, *, actor: str = DAEMON, evidence: Evidence = NO_EVIDENCE) -> None:
        """End it now."""


_NONE: Mapping[int, Run] = {}
_TO_COME = (ExecutionState.ARMED, ExecutionState.WAITING_RETRY)
"""Where an execution stands that has not begun, before its turn: one that is redelivered waits as for a retry."""


class Runs:
    """All unfinished executions."""

    def __init__(self) -> None:
        self._by_id: dict[int, Run] = {}
        self._by_row: dict[int, dict[int, Run]] = {}
        self._to_come: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._by_id.values())

    def add(self, run: Run) -> None:
        """Take in a run; nothing happens if it is there."""
        self._by_id[run.id] = run
        self._by_row.setdefault(run.row, {})[run.id] = run

    def remove(self, run: Run) -> None:
        """Let go of a run; nothing happens if it is not there."""
        if self._by_id.pop(run.id, None) is None:
            return
        siblings = self._by_row[run.row]
        del siblings[run.id]
        if not siblings:
            del self._by_row[run.row]

    def get(self, execution_id: int) -> Run | None:
        """The run of that id, if it is unfinished."""
        return self._by_id.get(execution_id)

    def holds(self, run: Run) -> bool:
        """Whether the run is still unfinished."""
        return run.id in self._by_id

    def of_schedule(self, row: int) -> tuple[Run, ...]:
        """The schedule's unfinished runs, in the order in which they were armed."""
        return tuple(self._by_row.get(row, _NONE).values())

    def is_idle(self, row: int) -> bool:
        """Whether nothing of the schedule is unfinished, and no range of it is being worked off."""
        return row not in self._by_row and row not in self._to_come

    def expect(self, row: int) -> None:
        """A range of the schedule is being worked off: runs of it are to come."""
        self._to_come[row] += 1

    def expect_no_more(self, row: int) -> None:
        """It is worked off."""
        self._to_come[row] -= 1
        if not self._to_come[row]:
            del self._to_come[row]

    def come_due(self, row: int) -> list[Run]:
        """The schedule's unfinished runs whose turn has come; of the background only those that have begun."""
        return [run for run in self._by_row.get(row, _NONE).values() if run.attempt or (not run.background and run.state not in _TO_COME)]


def awaits_its_instant(execution: Execution) -> bool:
    """The same, of one as it is stored."""
    return execution.state is ExecutionState.ARMED and execution.cause is Cause.SCHEDULE and not in_background(execution)
