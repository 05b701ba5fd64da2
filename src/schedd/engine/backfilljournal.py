"""What the journal says of ranges that are worked off: backfills, and the backlogs of catch-up policies."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from schedd.core.model.backfill import Backfill, BackfillEnd, BackfillState
from schedd.core.model.execution import Cause, id_text
from schedd.core.model.journal import DAEMON, NO_EVIDENCE, Evidence, JournalEntry, JournalKind
from schedd.core.model.policy import CatchUpMode
from schedd.core.model.reason import Outcome, Reason
from schedd.core.planning import LeftOut, Occurrences, left_out
from schedd.engine.runs import Run

log = structlog.get_logger(__name__)


def armed_evidence(run: Run) -> Evidence:
    """What is journaled of an arming: the backfill, the mode of a pause's end, or by which policy it catches up, and how late it is."""
    execution = run.execution
    if execution.backfill:
        return {"backfill": id_text(execution.backfill)}
    if execution.origin is not None:
        return {"backlog": CatchUpMode.ALL.value}
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


def run_before_entry(backfill: Backfill, known: Sequence[int], now_us: int) -> JournalEntry:
    """The row for occurrences that another backfill has run, or is running."""
    range_ = LeftOut(first_us=known[0], last_us=known[-1], count=len(known), counted=True, reason=Reason.REQUESTED)
    entry = range_entry(backfill, range_, Outcome.SKIPPED, now_us)
    return entry._replace(evidence={**entry.evidence, "detail": "another backfill has run them; redeliver those that failed"})


def finished_end(backfill: Backfill, rule: Occurrences, now_us: int) -> BackfillEnd:
    """The end of a range of which all that may be run has been armed; what is beyond is left out."""
    if backfill.cause is Cause.BACKFILL:
        entries = [entry_of(backfill, JournalKind.BACKFILL_FINISHED, now_us, reason=Reason.ENDED)]
    else:
        outcome = Outcome.SKIPPED if backfill.actor else Outcome.MISSED
        entries = [range_entry(backfill, one, outcome, now_us) for one in _rest(backfill, rule, Reason.CATCH_UP_MAX_RUNS)]
    return BackfillEnd(id=backfill.id, state=BackfillState.FINISHED, finished_us=now_us, entries=tuple(entries))


def cancelled_end(backfill: Backfill, rule: Occurrences | None, reason: Reason, actor: str, now_us: int) -> BackfillEnd:
    """The end of a range before that: what is left of it is not run, for that reason. A rule of None cannot say what that is.

    Nor can a broken one, which must not keep a range from ending.
    """
    outcome = Outcome.CANCELLED if backfill.cause is Cause.BACKFILL else Outcome.SKIPPED
    try:
        rest = () if rule is None else _rest(backfill, rule, reason)
    except Exception:
        log.exception("backfill_rest_not_told", schedule=str(backfill.schedule))
        rest = ()
    entries = [range_entry(backfill, one, outcome, now_us, actor=actor) for one in rest]
    if backfill.cause is Cause.BACKFILL:
        entries.append(entry_of(backfill, JournalKind.BACKFILL_FINISHED, now_us, actor=actor, reason=reason))
    return BackfillEnd(id=backfill.id, state=BackfillState.CANCELLED, finished_us=now_us, entries=tuple(entries))


def _rest(backfill: Backfill, rule: Occurrences, reason: Reason) -> tuple[LeftOut, ...]:
    return () if backfill.next_us is None else left_out(rule, backfill.next_us, backfill.end_us, reason)
