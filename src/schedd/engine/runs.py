"""The unfinished executions in memory: one `Run` each, found by id and by schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from schedd.core.model.execution import Execution, ExecutionState, Outcome, Reason
from schedd.core.model.journal import DAEMON, Evidence, ExecutionFacts, JournalEntry, JournalKind
from schedd.engine.definitions import Definition

_NO_EVIDENCE: Mapping[str, str | int | float | bool] = {}


class Run:
    """An unfinished execution: its unchanging facts, the definition it was armed under, and where it stands now.

    `wake_us` is when it next wants attention: its due time, or the time of its next attempt.
    """

    __slots__ = ("attempt", "cancelled_by", "definition", "execution", "finished", "started_us", "state", "task", "wake_us")

    def __init__(self, execution: Execution, definition: Definition) -> None:
        self.execution = execution
        self.definition = definition
        self.state = execution.state
        self.attempt = execution.attempt
        self.started_us = execution.started_us
        self.wake_us = execution.due_us if execution.next_attempt_us is None else execution.next_attempt_us
        self.task: asyncio.Task[None] | None = None
        self.cancelled_by = ""
        self.finished: asyncio.Future[None] | None = None

    @property
    def id(self) -> int:
        """The execution's id."""
        return self.execution.id

    @property
    def row(self) -> int:
        """The schedule's row."""
        return self.execution.schedule_row

    def entry(
        self,
        kind: JournalKind,
        time_us: int,
        *,
        actor: str = DAEMON,
        outcome: Outcome | None = None,
        reason: Reason = Reason.NONE,
        evidence: Evidence = _NO_EVIDENCE,
    ) -> JournalEntry:
        """A journal entry about this execution, with its attempt as it is now."""
        facts = self.execution
        return JournalEntry(
            time_us=time_us,
            kind=kind,
            actor=actor,
            schedule=facts.schedule,
            schedule_row=facts.schedule_row,
            schedule_uid=facts.schedule_uid,
            execution=ExecutionFacts(
                id=facts.id, cause=facts.cause, nominal_us=facts.nominal_us, due_us=facts.due_us, attempt=self.attempt
            ),
            outcome=outcome,
            reason=reason,
            evidence=evidence,
        )


class Runs:
    """All unfinished executions."""

    def __init__(self) -> None:
        self._by_id: dict[int, Run] = {}
        self._by_row: dict[int, list[Run]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._by_id.values())

    def add(self, run: Run) -> None:
        """Take in a run."""
        self._by_id[run.id] = run
        self._by_row.setdefault(run.row, []).append(run)

    def remove(self, run: Run) -> None:
        """Let go of a run; whoever waits for its end is told."""
        if self._by_id.pop(run.id, None) is None:
            return
        siblings = self._by_row[run.row]
        siblings.remove(run)
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
        return tuple(self._by_row.get(row, ()))

    def come_due(self, row: int) -> list[Run]:
        """The schedule's unfinished runs that are no longer waiting for their due time."""
        return [run for run in self._by_row.get(row, ()) if run.state is not ExecutionState.ARMED]
