"""Predicting occurrences that are yet to come: from the policies and from how things stand now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schedd.core.admission import Verdict, admit
from schedd.core.explaining.context import Context, Told, effect_words, enriched
from schedd.core.explaining.record import Holdup
from schedd.core.explaining.unrun import Stretch
from schedd.core.explaining.wording import clause
from schedd.core.model.execution import Execution, ExecutionState, id_text
from schedd.core.model.explanation import Explanation
from schedd.core.model.journal import Evidence
from schedd.core.model.reason import Outcome, Reason
from schedd.core.triggers import LAST_US

LOOKED_AHEAD: Final = 10_000
"""With more runs left than this, an occurrence is not looked at for being beyond the last."""


def explain_armed(context: Context, told: Told, row: Execution) -> Explanation:
    """An execution that is durable and waits for its due time."""
    made = Explanation(
        first_us=told.nominal_us,
        last_us=told.nominal_us,
        predicted=True,
        execution_id=told.execution_id,
        summary=f"Is armed, and will start at {context.wording.at(row.due_us)}",
        evidence=_evidence(context),
        entries=told.entries,
    )
    return enriched(made, [*_conditions(context), *effect_words(context.instant(told.nominal_us))])


def explain_coming(context: Context, nominal_us: int) -> Explanation:
    """An occurrence of an enabled schedule that is not armed yet."""
    instant = context.candidates.instant(nominal_us)
    due = f" at {context.wording.at(instant.due_us)}, after spread" if instant.due_us != nominal_us else ""
    draining = context.present.draining
    made = Explanation(
        first_us=nominal_us,
        last_us=nominal_us,
        predicted=True,
        reason=Reason.DRAINING if draining else Reason.NONE,
        summary="Would wait for the daemon's next start, and go by its catch-up policy: it drains" if draining else f"Would run{due}",
        evidence=_evidence(context),
    )
    return enriched(made, [*_after_pause(context), *_conditions(context), *effect_words(instant)])


def beyond_last_run(context: Context, stretch: Stretch) -> Explanation:
    """Occurrences that come after the last run that the schedule may make."""
    made = Explanation(
        first_us=stretch.first_us,
        last_us=stretch.last_us,
        count=stretch.count,
        predicted=True,
        outcome=Outcome.SKIPPED,
        reason=Reason.MAX_RUNS,
        summary=f"{stretch.lead('would be skipped')}: {clause(Reason.MAX_RUNS)} by then",
        evidence={"max_runs": context.schedule.policies.max_runs, "runs_left": context.present.runs_left or 0},
    )
    return enriched(made, ())


def last_run_us(context: Context) -> int:
    """The nominal time of the last occurrence to come that may run; later ones are beyond the schedule's limit."""
    left, undecided_us = context.present.runs_left, context.present.undecided_us
    if left == 0:
        return context.now_us
    if left is None or left > LOOKED_AHEAD or undecided_us is None:
        return LAST_US
    at_us = undecided_us - 1
    for _ in range(left):
        following_us = context.candidates.rule.next_after(at_us)
        if following_us is None:
            return LAST_US
        at_us = following_us
    return at_us


def _after_pause(context: Context) -> Iterator[str]:
    pause = context.schedule.pause
    if pause is not None and pause.until_us is not None:
        yield f"the schedule is paused until {context.wording.on(pause.until_us)}, unless somebody resumes it before"


def _conditions(context: Context) -> Iterator[str]:
    """What may still come in its way."""
    yield from _overlap(context)
    for holdup in context.present.holdups:
        yield f"it will {'be skipped' if holdup.skips else 'wait'} if then, as now, {_full(context, holdup)}"
    if context.schedule.policies.condition is not None:
        yield "its condition is looked at then"


def _overlap(context: Context) -> Iterator[str]:
    unfinished, policies = context.present.unfinished, context.schedule.policies
    buffered = sum(run.state is ExecutionState.QUEUED and run.reason is Reason.OVERLAP for run in unfinished)
    decision = admit(policies.overlap, unfinished=len(unfinished), buffered=buffered, buffer_limit=policies.buffer_limit)
    if decision.verdict is Verdict.START:
        return
    blocking = f"execution {id_text(unfinished[0].id)}"
    match decision.verdict:
        case Verdict.SKIP if decision.reason is Reason.BUFFER_FULL:
            yield f"will be skipped if {blocking} is still unfinished then, and as many wait for it as now"
        case Verdict.SKIP:
            yield f"will be skipped if {blocking} is still unfinished then"
        case Verdict.BUFFER:
            yield f"will wait if {blocking} is still unfinished then"
        case _:
            yield f"{blocking} will be ended for it, if it is still unfinished then"


def _full(context: Context, holdup: Holdup) -> str:
    evidence = holdup.evidence
    if holdup.reason is Reason.CIRCUIT_OPEN:
        probe = context.wording.on(int(evidence["probe_us"]))
        return f"the circuit breaker of {evidence['host']} is open (its next probe is due at {probe})"
    kind = str(evidence["limited_by"])
    name = f" {evidence[kind]}" if kind in evidence else ""
    return f"the limit of {'everything' if kind == 'global' else kind}{name} is reached ({evidence['running']} of {evidence['limit']} run)"


def _evidence(context: Context) -> Evidence:
    """What the conditions speak of."""
    evidence: dict[str, str | int | float | bool] = {}
    for holdup in context.present.holdups:
        evidence |= holdup.evidence
    if context.present.unfinished:
        evidence["blocking_execution"] = context.present.unfinished[0].id
    return evidence
