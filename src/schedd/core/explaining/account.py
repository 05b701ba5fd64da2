"""The account of a window: its executions, its ranges, its occurrences without either and its silences, merged by nominal time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from schedd.core.explaining.coming import beyond_last_run, explain_armed, explain_coming, last_run_us
from schedd.core.explaining.context import Context, Told, enriched
from schedd.core.explaining.executed import explain_execution
from schedd.core.explaining.record import Present, Record, Window
from schedd.core.explaining.unrun import OMISSIONS, Stretch, left_out_by_rule, not_enabled, pruned, recorded_range, unexplained
from schedd.core.explaining.wording import clause
from schedd.core.model.execution import ExecutionState, id_text
from schedd.core.model.explanation import Explanation
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import ScheduleState
from schedd.core.triggers import Rule, clockless


def explain(record: Record, present: Present, window: Window, *, limit: int) -> tuple[Explanation, ...]:
    """At most `limit` explanations of a window, by nominal time; what is after the last one's `last_us` is left for the next call.

    A `single` window gets one explanation at least. Raises: ExpressionError when the schedule's rule cannot be compiled.
    """
    account = _Account(Context(record, present), window)
    found: list[Explanation] = []
    at_us = window.first_us
    while at_us <= window.last_us and len(found) < limit and (one := account.next(at_us)) is not None:
        found.append(one)
        at_us = one.last_us + 1
    if not found and window.single:
        return (account.nothing_there(window.first_us),)
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """Something to tell of, from `at_us` on."""

    at_us: int
    make: Callable[[], Explanation]


class _Account:
    def __init__(self, context: Context, window: Window) -> None:
        self._context = context
        self._window = window
        self._times_us = sorted(context.told)
        self._ranges = [entry for entry in context.ranges if self._is_told_by_itself(entry)]
        self._moves = [entry for entry in context.record.life if entry.kind is JournalKind.OCCURRENCES_MOVED and "old_us" in entry.evidence]
        self._last_run_us = last_run_us(context)

    def next(self, from_us: int) -> Explanation | None:
        """What there is to tell first from that time on."""
        # Of those at one instant the surest goes before.
        items = [*self._executions(from_us), *self._recorded(from_us), *self._moved(from_us), *self._candidate(from_us)]
        items += self._silences(from_us, bool(items))
        within = [item for item in items if item.at_us <= self._window.last_us]
        return min(within, key=lambda item: item.at_us).make() if within else None

    def nothing_there(self, t_us: int) -> Explanation:
        """Why there is no occurrence at an instant."""
        context, at = self._context, self._context.wording.at
        change = context.life.rule_change
        if change is not None and t_us <= change.time_us:
            return self._unknown_rule(change, t_us)
        rule = context.candidates.rule
        around = [at(near_us) for near_us in (rule.prev_before(t_us), rule.next_after(t_us)) if near_us is not None]
        nearest = f"; the nearest {'are' if len(around) > 1 else 'is'} {' and '.join(around)}" if around else ""
        words = f"The schedule's rule yields no occurrence at {at(t_us)}{nearest}"
        made = Explanation(first_us=t_us, last_us=t_us, count=0, predicted=t_us > context.now_us, summary=words)
        return enriched(made, ())

    def _executions(self, from_us: int) -> Iterator[_Item]:
        place = bisect_left(self._times_us, from_us)
        if place < len(self._times_us):
            told = self._context.told[self._times_us[place]]
            yield _Item(at_us=told[0].nominal_us, make=lambda: self._executed(told))

    def _executed(self, told: list[Told]) -> Explanation:
        """What became of the first execution of an occurrence, and in short of the others: those of backfills."""
        first, *others = told
        if first.row is not None and first.row.state is ExecutionState.ARMED:
            made = explain_armed(self._context, first, first.row)
        else:
            made = explain_execution(self._context, first)
        for other in others:
            outcome = other.row.outcome if other.row is not None else None
            ended = f": {outcome.lower()}" if outcome is not None else ""
            words = f"{made.summary.removesuffix('.')}; a backfill made execution {id_text(other.execution_id)} of it{ended}."
            made = replace(made, summary=words, entries=made.entries + other.entries)
        return made

    def _recorded(self, from_us: int) -> Iterator[_Item]:
        """The ranges that are not over, each from where it goes on."""
        for entry in self._ranges:
            first_us, last_us = int(entry.evidence["first_us"]), int(entry.evidence["last_us"])
            if first_us < from_us <= last_us:
                # Between two occurrences of a range there is nothing to tell of.
                following_us = self._context.candidates.rule.next_after(from_us - 1) if self._known(from_us) else from_us
                first_us = last_us + 1 if following_us is None else following_us
            if from_us <= first_us <= last_us:
                yield self._range_item(entry, first_us, last_us)

    def _is_told_by_itself(self, entry: JournalEntry) -> bool:
        """Whether a range is the fate of its occurrences, one after the other.

        What exclusions leave out lies between what runs, and goes with the candidates where the rule is known; what a backfill left, too.
        """
        beside = entry.reason in OMISSIONS or "backfill" in entry.evidence
        return not beside or not self._known(int(entry.evidence["first_us"]))

    def _range_item(self, entry: JournalEntry, first_us: int, last_us: int) -> _Item:
        end_us = min(last_us, self._before_execution_us(first_us), self._window.last_us)
        return _Item(at_us=first_us, make=lambda: recorded_range(self._context, entry, first_us, end_us))

    def _moved(self, from_us: int) -> Iterator[_Item]:
        for entry in self._moves:
            old_us = int(entry.evidence["old_us"])
            if old_us >= from_us:
                yield _Item(at_us=old_us, make=partial(self._move, entry, old_us))

    def _move(self, entry: JournalEntry, old_us: int) -> Explanation:
        new_us = entry.evidence.get("new_us")
        to = f" to {self._context.wording.at(int(new_us))}" if new_us is not None else " out of its rule"
        words = f"New time zone data ({entry.evidence['new_version']}) moved the occurrence that was here{to}"
        made = Explanation(first_us=old_us, last_us=old_us, count=0, reason=entry.reason, summary=words, evidence=entry.evidence)
        return enriched(replace(made, entries=(entry,)), ())

    def _candidate(self, from_us: int) -> Iterator[_Item]:
        """The first candidate of a time in which the rule is known."""
        candidates = self._context.candidates
        at_us = candidates.next_after(max(from_us - 1, self._context.life.rule_from_us))
        if at_us is None:
            return
        first_us = at_us
        if not candidates.runs(first_us):
            yield _Item(at_us=first_us, make=lambda: left_out_by_rule(self._context, self._not_run(first_us)))
        elif first_us > self._context.now_us:
            yield _Item(at_us=first_us, make=lambda: self._coming(first_us))
        else:
            yield _Item(at_us=first_us, make=lambda: self._past(first_us))

    def _not_run(self, first_us: int) -> Stretch:
        candidates = self._context.candidates
        bare = candidates.bare.next_after(first_us - 1) == first_us
        limits = [candidates.rule.next_after(first_us), None if bare else candidates.bare.next_after(first_us)]
        return self._stretch(candidates.bare if bare else candidates.full, first_us, *(limit for limit in limits if limit is not None))

    def _coming(self, nominal_us: int) -> Explanation:
        context = self._context
        standing = context.life.at(nominal_us)
        if standing.state is ScheduleState.ENABLED:
            if nominal_us > self._last_run_us:
                return beyond_last_run(context, self._stretch(context.candidates.rule, nominal_us))
            return explain_coming(context, nominal_us)
        pause = context.schedule.pause
        until_us = pause.until_us if standing.state is ScheduleState.PAUSED and pause is not None else None
        if until_us is not None and nominal_us > until_us:
            return explain_coming(context, nominal_us)
        limits = () if until_us is None else (until_us + 1,)
        return not_enabled(context, standing, self._stretch(context.candidates.rule, nominal_us, *limits))

    def _past(self, nominal_us: int) -> Explanation:
        context = self._context
        rule, kept_from_us = context.candidates.rule, context.record.kept_from_us
        if nominal_us < kept_from_us:
            return pruned(context, self._stretch(rule, nominal_us, kept_from_us))
        standing = context.life.at(nominal_us)
        if standing.state is ScheduleState.ENABLED:
            return unexplained(context, nominal_us)
        return not_enabled(context, standing, self._stretch(rule, nominal_us, standing.until_us + 1))

    def _stretch(self, rule: Rule, first_us: int, *limits: int) -> Stretch:
        """The occurrences from one on: up to the next execution or range, the end of the window, or now."""
        now_us = self._context.now_us
        ranges = [start_us for entry in self._ranges if (start_us := int(entry.evidence["first_us"])) > first_us]
        bounds = [self._window.last_us + 1, self._before_execution_us(first_us) + 1, *ranges, *limits]
        return Stretch(rule, first_us, min(*bounds, now_us + 1) if first_us <= now_us else min(bounds))

    def _before_execution_us(self, from_us: int) -> int:
        """The last instant before the next execution after an instant."""
        place = bisect_left(self._times_us, from_us + 1)
        return self._times_us[place] - 1 if place < len(self._times_us) else self._window.last_us

    def _silences(self, from_us: int, something: bool) -> Iterator[_Item]:
        """What can be said of a stretch as a whole: before the schedule was there, or its rule was this one; after its end."""
        life, created_us = self._context.life, self._context.schedule.created_us
        if from_us <= created_us:
            yield _Item(at_us=from_us, make=lambda: self._not_yet(from_us))
        change = life.rule_change
        if change is not None and not self._window.single and from_us <= (at_us := min(change.time_us, self._window.last_us)):
            yield _Item(at_us=at_us, make=lambda: self._unknown_rule(change, at_us))
        if not something and self._known(from_us):
            yield from self._end(from_us)

    def _not_yet(self, from_us: int) -> Explanation:
        schedule = self._context.schedule
        last_us = min(schedule.created_us, self._before_execution_us(from_us), self._window.last_us)
        created = [entry for entry in self._context.record.life if entry.kind is JournalKind.SCHEDULE_CREATED]
        words = f"The schedule was not there yet: it was created at {self._context.wording.on(schedule.created_us)} by {schedule.creator}"
        return enriched(Explanation(first_us=from_us, last_us=last_us, count=0, summary=words, entries=tuple(created[:1])), ())

    def _unknown_rule(self, change: JournalEntry, at_us: int) -> Explanation:
        fields = change.evidence.get("fields")
        what = f"the rule ({fields})" if fields is not None else "the schedule, perhaps its rule,"
        words = (
            f"Up to {self._context.wording.on(change.time_us)} another definition held: {what} was changed then by {change.actor},"
            " and what it was before is not kept; of that time only what was recorded can be told"
        )
        return enriched(Explanation(first_us=at_us, last_us=at_us, count=0, summary=words, evidence=change.evidence, entries=(change,)), ())

    def _end(self, from_us: int) -> Iterator[_Item]:
        """There is no candidate left at all."""
        context, window = self._context, self._window
        if clockless(context.schedule.when):
            first_us = max(from_us, context.now_us + 1)
            words = "The end of an execution, or a start of the daemon, makes further occurrences: no clock tells when"
            reason = Reason.NONE
        else:
            first_us, reason = from_us, Reason.ENDED
            words = f"No occurrence: {clause(reason)}"
        made = Explanation(
            first_us=first_us, last_us=window.last_us, count=0, predicted=first_us > context.now_us, reason=reason, summary=words
        )
        yield _Item(at_us=first_us, make=lambda: enriched(made, ()))

    def _known(self, t_us: int) -> bool:
        """Whether the rule of now held at an instant."""
        return t_us > self._context.life.rule_from_us
