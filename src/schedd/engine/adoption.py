"""Adoption: what outlived the daemon before this one gets its run again, or is ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from schedd.core.model.execution import AttemptResult, DeliveryRequest, Execution, Survivor
from schedd.core.model.policy import Recovery
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import ProcessTarget
from schedd.core.ports import Survivors
from schedd.core.surviving import attempt_under_way, possible_attempts
from schedd.engine.attempts import Attempts
from schedd.engine.recorder import Recorder
from schedd.engine.runs import Run


class NoSurvivors:
    """The `Survivors` port where nothing outlives a daemon."""

    async def survivors(self, expected: Collection[tuple[int, int]]) -> Sequence[Survivor]:
        """None."""
        return ()

    async def adopt(self, request: DeliveryRequest) -> AttemptResult:
        """There is nothing to adopt. Raises: LookupError."""
        raise LookupError(f"execution {request.execution_id} has no survivor")

    def end(self, survivor: Survivor) -> None:
        """There is nothing to end."""

    def discard(self, survivor: Survivor) -> None:
        """There is nothing to end."""


class Adoption:
    """A start's survivors: first `look`, then `of` and `take` for each unfinished execution, then `discard_rest`."""

    def __init__(self, survivors: Survivors, recorder: Recorder, attempts: Attempts) -> None:
        self._survivors = survivors
        self._recorder = recorder
        self._attempts = attempts
        self._found: dict[int, list[Survivor]] = {}

    async def look(self, unfinished: Sequence[Execution]) -> None:
        """Find what may belong to these executions."""
        expected = [(each.id, attempt) for each in unfinished for attempt in possible_attempts(each.state, each.attempt)]
        for survivor in await self._survivors.survivors(expected):
            self._found.setdefault(survivor.execution_id, []).append(survivor)

    def of(self, run: Run) -> Survivor | None:
        """What outlived the daemon of this run's attempt under way."""
        return attempt_under_way(run.state, run.attempt, self._found.get(run.id, ()))

    def take(self, run: Run, survivor: Survivor, now_us: int) -> None:
        """Let the run go on with it; by RECOVERY_END, or if the schedule has another kind of target by now, its tree is ended first."""
        self._found[run.id].remove(survivor)
        started_us = now_us - survivor.age_us
        self._recorder.found(run, survivor.attempt, started_us)
        schedule = run.definition.schedule
        if schedule.policies.recovery is Recovery.ADOPT and isinstance(schedule.target, ProcessTarget):
            self._recorder.adopted(run, now_us=now_us, evidence={"pid": survivor.pid, "started_us": started_us})
        else:
            self._survivors.end(survivor)
        self._attempts.adopt(run, started_us)

    def discard_rest(self) -> None:
        """End what belongs to no unfinished execution any more: its schedule cannot be read, or a later attempt goes on."""
        for survivors in self._found.values():
            for survivor in survivors:
                if not survivor.ended:
                    self._survivors.discard(survivor)
        self._found.clear()


def cut_off(run: Run, survivor: Survivor | None) -> AttemptResult:
    """What an attempt came to whose end this daemon cannot wait for."""
    if survivor is not None:
        text = "its process outlived the daemon and the helper that knew its exit code, and was ended"
        return AttemptResult(outcome=Outcome.UNKNOWN, reason=Reason.INTERRUPTED, message=text)
    if isinstance(run.definition.schedule.target, ProcessTarget):
        text = "the daemon ended while this attempt ran, and its process is not there any more"
        return AttemptResult(outcome=Outcome.UNKNOWN, reason=Reason.PROCESS_LOST, message=text)
    return AttemptResult(outcome=Outcome.UNKNOWN, reason=Reason.INTERRUPTED, message="the daemon ended while this attempt ran")
