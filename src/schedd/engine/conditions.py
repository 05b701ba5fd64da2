"""Conditions: asked when an occurrence comes due, before it is admitted. Days are looked at, commands run beside the dispatcher.

An occurrence whose condition is being asked stays ARMED: after a crash it is asked anew.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final, assert_never

import structlog

from schedd.core.conditions import day_fits
from schedd.core.errors import ExpressionError
from schedd.core.model.execution import AttemptResult, Cause, DeliveryRequest, ExecutionState
from schedd.core.model.journal import Evidence
from schedd.core.model.policy import CommandHolds, DayFits
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import ProcessTarget
from schedd.core.model.when import When
from schedd.core.ports import Target
from schedd.core.triggers import Rule, compile_when
from schedd.engine.definitions import Definition
from schedd.engine.recorder import result_evidence
from schedd.engine.runs import Finish, Run, Runs

COMMANDS_MOST: Final = 32
COMMANDS_MOST_OF_SCHEDULE: Final = 4
"""How many commands run at once, and how many of them for one schedule: where they hang, others are to be asked all the same."""

_OCCURRENCES: Final = (Cause.SCHEDULE, Cause.BACKFILL)
_LINE_MAX: Final = 200

log = structlog.get_logger(__name__)


class Conditions:
    """Lets occurrences through whose conditions hold, and ends the others as skipped."""

    def __init__(
        self,
        *,
        runs: Runs,
        targets: Mapping[type, Target],
        request: Callable[[Run], DeliveryRequest],
        let_through: Callable[[Run], None],
        finish: Finish,
        quarantine: Callable[[int, Reason, str], None],
    ) -> None:
        self._runs = runs
        self._targets = targets
        self._request = request
        self._let_through = let_through
        self._finish = finish
        self._quarantine = quarantine
        self._calls: asyncio.TaskGroup | None = None
        self._waiting: dict[int, deque[Run]] = {}
        """By schedule, the one first whose turn is next."""
        self._asked: set[int] = set()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._running_of: Counter[int] = Counter()

    @property
    def asked(self) -> int:
        """How many occurrences wait for what their commands say."""
        return len(self._asked)

    def ask(self, run: Run, calls: asyncio.TaskGroup) -> None:
        """Decide about a run that has come due: at once, or when its command has ended. What is no occurrence is let through."""
        condition = run.definition.schedule.policies.condition
        if condition is None or run.execution.cause not in _OCCURRENCES:
            self._let_through(run)
            return
        match condition:
            case DayFits():
                self._look_at_day(run, condition)
            case CommandHolds():
                self._calls = calls
                if run.id not in self._asked:
                    self._asked.add(run.id)
                    self._waiting.setdefault(run.row, deque()).append(run)
                    self._start()
            case _:
                assert_never(condition)

    def _look_at_day(self, run: Run, condition: DayFits) -> None:
        try:
            fits = _fits(run, condition)
        except Exception as error:  # A fault of one schedule must not stop the others.
            log.exception("condition_failed", schedule=str(run.execution.schedule))
            reason = Reason.STORED_DATA if isinstance(error, ExpressionError) else Reason.UNFORESEEN
            detail = f"its condition cannot be asked: {type(error).__name__}: {error}"
            self._quarantine(run.row, reason, detail)
            self._skip(run, {"condition": "days", "detail": detail})
            return
        if fits:
            self._let_through(run)
        else:
            self._skip(run, {"condition": "days"})

    def forget(self, run: Run) -> None:
        """The run has ended otherwise; its command is ended too."""
        self._asked.discard(run.id)
        task = self._ended(run)
        if task is not None:
            task.cancel()
            self._start()

    def _start(self) -> None:
        assert self._calls is not None, "one was asked about"
        while len(self._running) < COMMANDS_MOST and (row := self._next_row()) is not None:
            waiting = self._waiting.pop(row)
            run = waiting.popleft()
            if waiting:
                self._waiting[row] = waiting
            condition = run.definition.schedule.policies.condition
            if run.id in self._asked and isinstance(condition, CommandHolds):
                self._running[run.id] = self._calls.create_task(self._hear(run, condition))
                self._running_of[row] += 1

    def _next_row(self) -> int | None:
        return next((row for row in self._waiting if self._running_of[row] < COMMANDS_MOST_OF_SCHEDULE), None)

    def _ended(self, run: Run) -> asyncio.Task[None] | None:
        """The run's command is not waited for any more; its task, if there was one."""
        task = self._running.pop(run.id, None)
        if task is not None:
            self._running_of[run.row] -= 1
            if not self._running_of[run.row]:
                del self._running_of[run.row]
        return task

    async def _hear(self, run: Run, condition: CommandHolds) -> None:
        result = await self._call(run, condition)
        self._asked.discard(run.id)
        self._ended(run)
        self._start()
        if result.reason is Reason.INTERRUPTED or run.state is not ExecutionState.ARMED or not self._runs.holds(run):
            return
        if result.outcome is Outcome.SUCCEEDED:
            self._let_through(run)
        else:
            self._skip(run, {"condition": "command", **result_evidence(result), **_first_line(result)})

    async def _call(self, run: Run, condition: CommandHolds) -> AttemptResult:
        try:
            request = self._request(run)._replace(target=condition.command, timeout=condition.timeout)
            return await self._targets[ProcessTarget].deliver(request)
        except Exception as error:  # A target returns values; what it raises was not foreseen, and must not stop the others.
            log.exception("condition_failed", schedule=str(run.execution.schedule))
            return AttemptResult(Outcome.FAILED, Reason.TARGET_ERROR, message=f"{type(error).__name__}: {error}")

    def _skip(self, run: Run, evidence: Evidence) -> None:
        self._finish(run, Outcome.SKIPPED, Reason.CONDITION, evidence=evidence)


def _fits(run: Run, condition: DayFits) -> bool:
    definition = run.definition
    if definition.days is None:
        definition.days = _compiled(definition, condition)
    return day_fits(definition.days, definition.schedule.when.time_zone, run.execution.nominal_us)


def _compiled(definition: Definition, condition: DayFits) -> Rule:
    schedule = definition.schedule
    own = schedule.when
    when = When(triggers=(condition.days,), time_zone=own.time_zone, gap=own.gap, fold=own.fold)
    return compile_when(when, created_us=schedule.created_us, seed=schedule.uid)


def _first_line(result: AttemptResult) -> Evidence:
    """The first line that the command wrote, to its output or else to its error output."""
    lines = (result.output or result.error_output).decode("utf-8", "replace").splitlines()
    return {"output": lines[0][:_LINE_MAX]} if lines else {}
