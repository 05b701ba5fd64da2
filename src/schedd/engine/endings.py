"""Endings: what the end of an execution means: one run less is left to its schedule, or one failure too many, or others follow."""

from __future__ import annotations

from collections.abc import Mapping

from schedd.core.following import follow_ups_of
from schedd.core.lifetime import runs_left
from schedd.core.model.execution import Cause
from schedd.core.model.reason import Outcome
from schedd.core.model.schedule import Schedule
from schedd.core.timeline import Timeline
from schedd.engine.keeper import Keeper
from schedd.engine.recorder import Recorder
from schedd.engine.runs import Run, Runs


class Endings:
    """Counts the runs of schedules that have a limit, hands the keeper those that are through or have failed, and sees who is followed."""

    def __init__(self, runs: Runs, recorder: Recorder, keeper: Keeper, timeline: Timeline) -> None:
        self._runs = runs
        self._recorder = recorder
        self._keeper = keeper
        self._timeline = timeline
        self._ran: dict[int, int] = {}

    def load(self, counts: Mapping[int, int]) -> None:
        """Take over what is stored, before anything ends."""
        self._ran.update(counts)

    def ran(self, uid: int) -> int:
        """How often a schedule with a limit has run."""
        return self._ran.get(uid, 0)

    def left(self, schedule: Schedule) -> int:
        """How many more occurrences of a schedule with a limit may be fired."""
        unfinished = sum(_counts(run) for run in self._runs.of_schedule(schedule.row))
        return runs_left(schedule.policies.max_runs, ran=self.ran(schedule.uid), unfinished=unfinished)

    def finished(self, run: Run) -> None:
        """An execution has ended and left memory; its end is recorded, and not yet committed."""
        schedule = run.definition.schedule
        policies = schedule.policies
        if policies.max_runs and _counts(run) and run.started_us is not None:
            self._ran[schedule.uid] = ran = self.ran(schedule.uid) + 1
            self._recorder.ran(schedule.uid)
            if ran >= policies.max_runs:
                self._timeline.remove(run.row)
                self._keeper.ran_out(run.row)
        if policies.pause_after_failures and run.outcome is Outcome.FAILED:
            self._keeper.failed(run.row)
        if follow_ups_of(policies, run.outcome)[1]:
            self._recorder.to_follow(run)


def _counts(run: Run) -> bool:
    """Whether it is a run of the rule's own. A redelivered one is none: it has counted when it ended first."""
    return run.execution.cause is Cause.SCHEDULE and run.execution.redelivered_us is None
