"""What deciding an occurrence makes: executions, ranges to be worked off later, and what the journal says of them."""

from __future__ import annotations

from schedd.core.model.backfill import Backfill
from schedd.core.model.execution import Cause, Execution
from schedd.core.model.journal import NO_EVIDENCE, Evidence, JournalEntry, JournalKind
from schedd.core.model.policy import Overlap, Policies
from schedd.core.model.reason import Outcome
from schedd.core.model.schedule import Schedule
from schedd.core.planning import Backlog, LeftOut
from schedd.core.triggers import due_us
from schedd.engine.definitions import Definition
from schedd.engine.runs import Run


def backlog_of(schedule: Schedule, backlog: Backlog, id_: int, now_us: int, *, actor: str = "") -> Backfill:
    """The range of misfires, or of what a pause has held back, that is worked off later; `actor` is who asked for it, if somebody did."""
    return Backfill(
        id=id_,
        schedule=schedule.name,
        schedule_row=schedule.row,
        schedule_uid=schedule.uid,
        cause=Cause.SCHEDULE,
        start_us=backlog.first_us,
        end_us=backlog.before_us,
        created_us=now_us,
        next_us=backlog.first_us,
        left=backlog.runs,
        overlap=asked_overlap(schedule.policies),
        actor=actor,
    )


def asked_overlap(policies: Policies) -> Overlap:
    """The overlap policy of many that are asked for at once: each waits for the one before, unless they may overlap."""
    return Overlap.ALLOW_ALL if policies.overlap is Overlap.ALLOW_ALL else Overlap.BUFFER_ALL


def armed_entry(run: Run, now_us: int) -> JournalEntry:
    """What is journaled of an arming; of one that catches up also by which policy, and how late it is."""
    if not run.background:
        return run.entry(JournalKind.EXECUTION_ARMED, now_us)
    catch_up = run.definition.schedule.policies.catch_up
    evidence = {"catch_up": catch_up.mode.value, "lateness_us": now_us - run.execution.due_us}
    return run.entry(JournalKind.EXECUTION_ARMED, now_us, evidence=evidence)


def armed_execution(definition: Definition, execution_id: int, nominal_us: int, now_us: int, *, cause: Cause = Cause.SCHEDULE) -> Execution:
    """The execution of one occurrence; only a scheduled one is spread."""
    schedule = definition.schedule
    due = nominal_us
    if cause is Cause.SCHEDULE:
        due = due_us(schedule.when, definition.rule, seed=schedule.uid, nominal_us=nominal_us)
    return Execution(
        id=execution_id,
        schedule=schedule.name,
        schedule_row=schedule.row,
        schedule_uid=schedule.uid,
        generation=schedule.generation,
        cause=cause,
        nominal_us=nominal_us,
        due_us=due,
        armed_us=now_us,
    )


def left_out_entry(
    schedule: Schedule,
    range_: LeftOut,
    now_us: int,
    *,
    outcome: Outcome = Outcome.MISSED,
    jumped: Evidence = NO_EVIDENCE,
) -> JournalEntry:
    """The journal's one row for a range of occurrences that are missed, or skipped; `jumped` is what the clock has to do with it."""
    return JournalEntry(
        time_us=now_us,
        kind=JournalKind.OCCURRENCES_MISSED if outcome is Outcome.MISSED else JournalKind.OCCURRENCES_SKIPPED,
        schedule=schedule.name,
        schedule_row=schedule.row,
        schedule_uid=schedule.uid,
        outcome=outcome,
        reason=range_.reason,
        evidence={
            "first_us": range_.first_us,
            "last_us": range_.last_us,
            "count": range_.count,
            "counted": range_.counted,
            **jumped,
        },
    )
