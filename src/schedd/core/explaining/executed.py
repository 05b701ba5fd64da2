"""Explaining occurrences that became executions."""

from __future__ import annotations

from typing import Final

from schedd.core.explaining.context import Circumstance, Context, Told, effect_words, enriched
from schedd.core.explaining.wording import actor, clause, span
from schedd.core.model.execution import Cause, Execution, ExecutionState
from schedd.core.model.explanation import Explanation
from schedd.core.model.journal import NO_EVIDENCE, Evidence, JournalEntry, JournalKind
from schedd.core.model.reason import Outcome, Reason

_ON_TIME_US: Final = 1_000_000
"""Nothing is told of lateness below this."""

_LEADS: Final = {
    Outcome.SUCCEEDED: "Ran, and succeeded",
    Outcome.FAILED: "Failed",
    Outcome.SKIPPED: "Skipped",
    Outcome.MISSED: "Missed",
    Outcome.CANCELLED: "Cancelled",
    Outcome.UNKNOWN: "What came of it is not known",
}


def explain_execution(context: Context, told: Told) -> Explanation:
    """What became of one execution that is no longer armed."""
    row = told.row
    if row is None:
        return _without_row(context, told)
    if row.state is ExecutionState.FINISHED:
        return _finished(context, told, row.outcome, row.reason)
    queued = told.last(JournalKind.EXECUTION_QUEUED)
    made = _made(told, None, row.reason, _unfinished(context, row, queued), NO_EVIDENCE if queued is None else queued.evidence)
    retrying = told.last(JournalKind.EXECUTION_RETRYING)
    failed = []
    if retrying is not None and row.state is ExecutionState.RUNNING:
        facts = "" if retrying.reason is Reason.INTERRUPTED else context.wording.facts(retrying.evidence)
        failed = [f"of attempt {retrying.attempt}: {clause(retrying.reason)}{facts}"]
    return enriched(made, [*failed, *effect_words(context.instant(told.nominal_us))], _late(context, told))


def _without_row(context: Context, told: Told) -> Explanation:
    ended = told.last(JournalKind.EXECUTION_FINISHED)
    if ended is not None:
        return _finished(context, told, ended.outcome, ended.reason)
    on = context.wording.on(told.entries[-1].time_us)
    words = f"What came of it is not kept any more: its execution is gone, and the journal says nothing of it after {on}"
    return enriched(_made(told, None, Reason.NONE, words, NO_EVIDENCE), ())


def _unfinished(context: Context, row: Execution, queued: JournalEntry | None) -> str:
    on = context.wording.on
    match row.state:
        case ExecutionState.RUNNING:
            since = "" if row.started_us is None else f" since {on(row.started_us)}"
            return f"Runs{since}" + (f", attempt {row.attempt}" if row.attempt > 1 else "")
        case ExecutionState.WAITING_RETRY:
            when = "" if row.next_attempt_us is None else f" at {on(row.next_attempt_us)}"
            return f"Waits for attempt {row.attempt + 1}{when}: {clause(row.reason)}"
        case _:
            facts = "" if queued is None else context.wording.facts(queued.evidence)
            return f"Is due, and waits: {clause(row.reason)}{facts}"


def _finished(context: Context, told: Told, outcome: Outcome | None, reason: Reason) -> Explanation:
    entry = told.last(JournalKind.EXECUTION_FINISHED)
    evidence = NO_EVIDENCE if entry is None else entry.evidence
    lead = "Ended" if outcome is None else _LEADS[outcome]
    words = lead + _how(told, outcome, entry)
    if outcome is not Outcome.SUCCEEDED:
        words += f": {clause(reason)}{context.wording.facts(evidence)}"
    made = _made(told, outcome, reason, words, evidence)
    return enriched(made, [*_tails(context, told), *effect_words(context.instant(told.nominal_us))], _late(context, told))


def _how(told: Told, outcome: Outcome | None, entry: JournalEntry | None) -> str:
    """At which attempt, how late, by whom."""
    row = told.row
    if outcome is Outcome.CANCELLED and entry is not None:
        return f" by {actor(entry.actor)}"
    if row is None or row.started_us is None:
        return ""
    parts = [f"after {row.attempt} attempts" if row.attempt > 1 else ""]
    late_us = row.started_us - row.due_us
    parts.append(f"started {span(late_us)} late" if late_us >= _ON_TIME_US else "")
    told_parts = ", ".join(part for part in parts if part)
    return f" ({told_parts})" if told_parts else ""


def _tails(context: Context, told: Told) -> list[str]:
    tails = []
    queued = told.last(JournalKind.EXECUTION_QUEUED)
    if queued is not None and told.last(JournalKind.EXECUTION_STARTED) is not None:
        tails.append(f"it had waited: {clause(queued.reason)}{context.wording.facts(queued.evidence)}")
    if told.last(JournalKind.EXECUTION_DEAD_LETTERED) is not None:
        tails.append("it became a dead letter")
    if told.row is not None and told.row.cause is Cause.BACKFILL:
        tails.append("a backfill asked for it")
    return tails


def _late(context: Context, told: Told) -> tuple[Circumstance, ...]:
    """Why it was armed, or given up, only after its nominal time."""
    ended = told.last(JournalKind.EXECUTION_FINISHED)
    if ended is not None and ended.outcome is Outcome.MISSED:
        decided_us = ended.time_us
    elif told.row is not None and told.row.cause is Cause.SCHEDULE:
        decided_us = told.row.armed_us
    else:
        return ()
    if decided_us - told.nominal_us < _ON_TIME_US:
        return ()
    circumstance = context.why_late(told.nominal_us, decided_us)
    return () if circumstance is None else (circumstance,)


def _made(told: Told, outcome: Outcome | None, reason: Reason, words: str, evidence: Evidence) -> Explanation:
    return Explanation(
        first_us=told.nominal_us,
        last_us=told.nominal_us,
        outcome=outcome,
        reason=reason,
        execution_id=told.execution_id,
        summary=words,
        evidence=evidence,
        entries=told.entries,
    )
