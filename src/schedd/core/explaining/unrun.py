"""Explaining occurrences that left no execution: those that the journal has as ranges, and those that it says nothing of by themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from schedd.core.explaining.context import Circumstance, Context, effect_words, ended_by, enriched, proof
from schedd.core.explaining.life import Standing
from schedd.core.explaining.wording import clause, span, told_of
from schedd.core.model.calendar import calendar_resource
from schedd.core.model.execution import Cause, id_text
from schedd.core.model.explanation import Explanation
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import ScheduleState
from schedd.core.planning import left_out, window_us
from schedd.core.triggers import Effect, Rule, used_calendars

_LATE: Final = frozenset({Reason.MISFIRE, Reason.CATCH_UP_WINDOW, Reason.CATCH_UP_SUPERSEDED, Reason.CATCH_UP_MAX_RUNS})

OMISSIONS: Final = frozenset({Reason.EXCLUDED, Reason.CALENDAR_SHIFTED})
"""The reasons of what exclusions and calendars leave out."""

_STATES: Final = {
    ScheduleState.PAUSED: Reason.PAUSED,
    ScheduleState.DISABLED: Reason.DISABLED,
    ScheduleState.COMPLETED: Reason.ENDED,
    ScheduleState.DELETED: Reason.DELETED,
}

_NOT_RUN: Final = {
    Effect.EXCLUDED: Reason.EXCLUDED,
    Effect.SHIFTED_AWAY: Reason.CALENDAR_SHIFTED,
    Effect.SKIPPED_IN_GAP: Reason.DST_GAP,
    Effect.SKIPPED_SECOND: Reason.DST_FOLD,
}


class Stretch:
    """How many occurrences of a rule there are from one on, before an instant, and which is the last."""

    def __init__(self, rule: Rule, first_us: int, before_us: int) -> None:
        found = next(iter(left_out(rule, first_us, before_us, Reason.NONE)), None)
        self.first_us = first_us
        self.last_us = first_us if found is None else found.last_us
        self.count = 1 if found is None else found.count
        self.counted = found is None or found.counted

    def lead(self, verb: str) -> str:
        """The begin of a sentence that says what became of them."""
        return told_of(self.count, verb, counted=self.counted)


def recorded_range(context: Context, entry: JournalEntry, first_us: int, last_us: int) -> Explanation:
    """A range of the journal's, or the part of it from `first_us` to `last_us`."""
    evidence = entry.evidence
    whole = first_us == evidence["first_us"] and last_us == evidence["last_us"]
    count, counted = int(evidence["count"]), bool(evidence.get("counted", True))
    if not whole and first_us > context.life.rule_from_us:
        part = Stretch(context.candidates.rule, first_us, last_us + 1)
        count, counted, last_us = part.count, part.counted, part.last_us
    lead = told_of(count, "skipped" if entry.outcome is Outcome.SKIPPED else "missed", counted=counted)
    pause = _pause_of(context, entry, first_us)
    words = f"{lead}: {clause(entry.reason, count)}{_policy(context, entry)}" if pause is None else f"{lead}: {context.paused(pause)}"
    made = Explanation(
        first_us=first_us,
        last_us=last_us,
        count=count,
        outcome=entry.outcome,
        reason=entry.reason,
        summary=words,
        evidence=evidence,
        entries=(entry, *(proof(pause) if pause is not None else ())),
    )
    late = context.why_late(first_us, entry.time_us) if entry.reason in _LATE else None
    return enriched(made, _stead(context, entry), () if late is None else (late,))


def _policy(context: Context, entry: JournalEntry) -> str:
    """The catch-up policy's own numbers; they are those of now, and are told as such."""
    catch_up = context.schedule.policies.catch_up
    if entry.reason is Reason.CATCH_UP_WINDOW:
        length_us = window_us(context.candidates.rule, catch_up, at_us=int(entry.evidence["last_us"]))
        return f" (now {span(length_us)})"
    if entry.reason is Reason.CATCH_UP_MAX_RUNS:
        return f" (now {catch_up.max_runs})"
    if entry.reason is Reason.MAX_RUNS:
        return f" (now {context.schedule.policies.max_runs})"
    return ""


def _stead(context: Context, entry: JournalEntry) -> list[str]:
    """The execution that catch-up made in their stead: it was armed in the same moment."""
    if entry.reason is not Reason.CATCH_UP_SUPERSEDED:
        return []
    for told in context.told.values():
        for each in told:
            if each.row is not None and each.row.armed_us == entry.time_us:
                return [f"it was execution {id_text(each.execution_id)}, of {context.wording.at(each.nominal_us)}"]
    return []


def _pause_of(context: Context, entry: JournalEntry, first_us: int) -> Standing | None:
    """The pause that a range was held back by, if the journal still has it."""
    standing = context.life.at(first_us)
    return standing if entry.reason is Reason.PAUSED and standing.state is ScheduleState.PAUSED else None


def not_enabled(context: Context, standing: Standing, stretch: Stretch) -> Explanation:
    """Occurrences in a time in which the schedule was paused, disabled, completed or deleted."""
    held = standing.state is ScheduleState.PAUSED and standing.ended is None
    began = standing.began
    reason = _STATES[standing.state]
    if standing.state is ScheduleState.COMPLETED and began is not None:
        reason = began.reason
    predicted = stretch.first_us > context.now_us
    if standing.state is ScheduleState.PAUSED:
        verb, why = "held back" if held else "skipped", context.paused(standing)
    else:
        verb, why = "skipped", f"{clause(reason)}; {_standing_words(context, standing)}"
    made = Explanation(
        first_us=stretch.first_us,
        last_us=stretch.last_us,
        count=stretch.count,
        predicted=predicted,
        outcome=None if held else Outcome.SKIPPED,
        reason=reason,
        summary=f"{stretch.lead(f'would be {verb}' if predicted else verb)}: {why}",
        evidence={} if began is None else began.evidence,
        entries=proof(standing),
    )
    return enriched(made, ())


def _standing_words(context: Context, standing: Standing) -> str:
    """Who brought it about and when, and what ended it."""
    wording = context.wording
    words = f"it was {standing.state.lower()}"
    words += f" {wording.change(standing.began)}" if standing.began is not None else ", which happened before what the journal keeps"
    if standing.ended is not None:
        words += f", until it was {ended_by(standing.ended)} {wording.when_by(standing.ended)}"
    return words


def left_out_by_rule(context: Context, stretch: Stretch) -> Explanation:
    """What exclusions, calendars or clock changes leave out of the rule."""
    instant = context.candidates.instant(stretch.first_us)
    reason = _NOT_RUN[instant.effects[0]]
    predicted = stretch.first_us > context.now_us
    words = f"{stretch.lead('would not run' if predicted else 'did not run')}: {clause(reason, stretch.count)}"
    if instant.calendar:
        same = context.candidates.instant(stretch.last_us).calendar == instant.calendar
        words += f" (calendar {instant.calendar}{'' if same else ', among others'})"
    made = Explanation(
        first_us=stretch.first_us,
        last_us=stretch.last_us,
        count=stretch.count,
        predicted=predicted,
        outcome=Outcome.SKIPPED,
        reason=reason,
        summary=words,
        evidence={"calendar": calendar_resource(instant.calendar)} if instant.calendar else {},
    )
    recorded = context.recorded(stretch.first_us, OMISSIONS)
    if recorded is not None:
        return enriched(replace(made, entries=(recorded,)), ())
    changed = calendar_change(context, stretch.first_us, {instant.calendar}) if instant.calendar else None
    if changed is None:
        return enriched(made, ())
    doubt = f"that is as the calendar stands now: it was changed {context.wording.when_by(changed)}, and what it said before is not kept"
    return enriched(made, (), [Circumstance(words=doubt, entries=(changed,))])


def calendar_change(context: Context, t_us: int, names: set[str] | None = None) -> JournalEntry | None:
    """The first change, after an instant, of a calendar that the schedule uses (one of `names`); up to now."""
    used = {calendar_resource(name) for name in (used_calendars(context.schedule.when) if names is None else names)}
    changes = (entry for entry in context.record.daemon if entry.kind is JournalKind.CALENDAR_UPDATED and entry.time_us > t_us)
    return next((entry for entry in changes if entry.evidence.get("calendar") in used), None)


def unexplained(context: Context, nominal_us: int) -> Explanation:
    """An occurrence of an enabled schedule of which there is neither an execution nor a range that is its fate."""
    recorded = context.recorded(nominal_us, OMISSIONS)
    if recorded is not None and calendar_change(context, nominal_us) is not None:
        return recorded_range(context, recorded, nominal_us, nominal_us)
    backlog = _backlog(context, nominal_us)
    if backlog is not None:
        return backlog
    undecided_us = context.present.undecided_us
    taken_back = context.taken_back.get(nominal_us)
    reason = Reason.NONE
    if undecided_us is not None and nominal_us >= undecided_us:
        words = "Is due and not decided yet"
    elif context.present.runs_left == 0 and taken_back is None and nominal_us > max(context.told, default=0):
        reason = Reason.MAX_RUNS
        words = f"Skipped: {clause(reason)}"
    elif taken_back is not None:
        reason = taken_back.reason
        back = context.wording.on(taken_back.time_us)
        words = f"It was armed and, at {back}, taken back: {clause(reason)}; what followed is not recorded"
    else:
        words = "Nothing is recorded of it: no execution, no range, and no change of the schedule that would say why"
    made = Explanation(
        first_us=nominal_us,
        last_us=nominal_us,
        outcome=Outcome.SKIPPED if reason is Reason.MAX_RUNS else None,
        reason=reason,
        summary=words,
        entries=() if taken_back is None else (taken_back,),
    )
    changed = calendar_change(context, nominal_us) if reason is Reason.NONE else None
    doubt = [] if changed is None else [f"a calendar that it uses was changed {context.wording.when_by(changed)}, and may have left it out"]
    return enriched(made, [*effect_words(context.instant(nominal_us)), *doubt])


def _backlog(context: Context, nominal_us: int) -> Explanation | None:
    """An occurrence that catch-up is to run, and has not come to yet."""
    for backlog in context.present.backlogs:
        next_us = backlog.next_us
        if backlog.cause is Cause.SCHEDULE and next_us is not None and next_us <= nominal_us < backlog.end_us:
            words = f"Waits: catch-up works off what was late, oldest first, and is at {context.wording.at(next_us)}"
            late = context.why_late(nominal_us, backlog.created_us)
            return enriched(Explanation(first_us=nominal_us, last_us=nominal_us, summary=words), (), () if late is None else (late,))
    return None


def pruned(context: Context, stretch: Stretch) -> Explanation:
    """Occurrences of a time that the journal does not reach back to."""
    kept = context.wording.on(context.record.kept_from_us)
    lead = "" if stretch.count == 1 else f"{stretch.lead('that are told of no more')}: "
    words = f"{lead}{'what' if lead else 'What'} happened is not kept any more: the journal begins at {kept}, and there is no execution"
    return enriched(Explanation(first_us=stretch.first_us, last_us=stretch.last_us, count=stretch.count, summary=words), ())
