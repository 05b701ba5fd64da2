"""What the journal says of ranges that are worked off: backfills, and the backlogs of catch-up policies."""

from __future__ import annotations

from schedd.core.model.backfill import Backfill
from schedd.core.model.execution import Cause, id_text
from schedd.core.model.journal import DAEMON, NO_EVIDENCE, Evidence, JournalEntry, JournalKind
from schedd.core.model.reason import Outcome, Reason
from schedd.core.planning import LeftOut
from schedd.engine.runs import Run


def armed_evidence(run: Run) -> Evidence:
    """What is journaled of an arming: the backfill, or by which policy it catches up, and how late it is."""
    execution = run.execution
    if execution.backfill:
        return {"backfill": id_text(execution.backfill)}
    mode = run.definition.schedule.policies.catch_up.mode
    return {"catch_up": mode.value, "lateness_us": execution.armed_us - execution.due_us}


def started_entry(backfill: Backfill) -> JournalEntry:
    """What is journaled about a backfill that somebody asks for."""
    evidence: Evidence = {
        "backfill": id_text(backfill.id),
        "start_us": backfill.start_us,
        "end_us": backfill.end_us,
        "total_count": backfill.total,
        "overlap": backfill.overlap.value,
        "rate_per_second": backfill.rate_per_second,
    }
    kind = JournalKind.BACKFILL_STARTED
    return entry_of(backfill, kind, backfill.created_us, actor=backfill.actor, reason=Reason.REQUESTED, evidence=evidence)


def entry_of(
    backfill: Backfill,
    kind: JournalKind,
    now_us: int,
    *,
    actor: str = DAEMON,
    outcome: Outcome | None = None,
    reason: Reason,
    evidence: Evidence = NO_EVIDENCE,
) -> JournalEntry:
    """An entry about a range; without other evidence it has the range's id."""
    return JournalEntry(
        time_us=now_us,
        kind=kind,
        actor=actor,
        schedule=backfill.schedule,
        schedule_row=backfill.schedule_row,
        schedule_uid=backfill.schedule_uid,
        outcome=outcome,
        reason=reason,
        evidence=evidence or {"backfill": id_text(backfill.id)},
    )


def range_entry(backfill: Backfill, range_: LeftOut, outcome: Outcome, now_us: int, *, actor: str = DAEMON) -> JournalEntry:
    """The journal's one row for the occurrences of a range that are not run."""
    kind = JournalKind.OCCURRENCES_MISSED if outcome is Outcome.MISSED else JournalKind.OCCURRENCES_SKIPPED
    evidence: dict[str, str | int | float | bool] = {
        "first_us": range_.first_us,
        "last_us": range_.last_us,
        "count": range_.count,
        "counted": range_.counted,
    }
    if backfill.cause is Cause.BACKFILL:
        evidence["backfill"] = id_text(backfill.id)
    return entry_of(backfill, kind, now_us, actor=actor, outcome=outcome, reason=range_.reason, evidence=evidence)
