"""The occurrences of a schedule's rule, and the instants that would be some, were it not for exclusions, calendars or zone transitions."""

from __future__ import annotations

from dataclasses import replace

from schedd.core.model.when import CalendarShift, FoldPolicy, GapPolicy, When
from schedd.core.triggers.calendars import NO_CALENDARS, Calendars, leaving_out
from schedd.core.triggers.compilation import compile_when
from schedd.core.triggers.effects import Effect, Instant, skipped_by_transition, transition_effects
from schedd.core.triggers.rule import Rule
from schedd.core.triggers.spread import due_us
from schedd.core.triggers.zonename import zone_named


class Candidates:
    """A rule as it is (`rule`), without its exclusions and calendars (`bare`), and running after gaps and twice in folds as well (`full`).

    Instants are UTC microseconds. Raises: ExpressionError.
    """

    def __init__(self, when: When, *, created_us: int, seed: int, calendars: Calendars = NO_CALENDARS) -> None:
        bare = without_omissions(when)
        full = replace(bare, gap=GapPolicy.RUN_AFTER, fold=FoldPolicy.BOTH)
        self.rule = compile_when(when, created_us=created_us, seed=seed, calendars=calendars)
        self.bare = compile_when(bare, created_us=created_us, seed=seed)
        self.full = compile_when(full, created_us=created_us, seed=seed)
        self._when = when
        self._seed = seed
        self._calendars = calendars
        self._zone = zone_named(when.time_zone)

    def next_after(self, t_us: int) -> int | None:
        """The first candidate strictly after `t_us`, whether it is an occurrence or not."""
        found = (rule.next_after(t_us) for rule in (self.rule, self.bare, self.full))
        return min((at_us for at_us in found if at_us is not None), default=None)

    def runs(self, nominal_us: int) -> bool:
        """Whether a candidate is an occurrence."""
        return yields(self.rule, nominal_us)

    def is_gap_between(self, before_us: int, nominal_us: int) -> bool:
        """Whether a local time that does not exist would have come strictly between two instants."""
        skipped_us = self.full.next_after(before_us)
        if skipped_us is None or skipped_us >= nominal_us or yields(self.bare, skipped_us):
            return False
        return skipped_by_transition(self.full, self._zone, skipped_us) is Effect.SKIPPED_IN_GAP

    def instant(self, nominal_us: int, before_us: int | None = None) -> Instant:
        """A candidate with what is done to it; `before_us` is the candidate before it, if that is of interest."""
        made = Instant(nominal_us=nominal_us, due_us=nominal_us, utc_offset_s=self._zone.offset_at(nominal_us) // 1_000_000)
        if not self.runs(nominal_us):
            if not yields(self.bare, nominal_us):
                return replace(made, effects=(skipped_by_transition(self.full, self._zone, nominal_us),))
            calendar = leaving_out(self._when, self._calendars, nominal_us)
            shifted = calendar and self._when.calendar_shift is not CalendarShift.SKIP
            return replace(made, effects=(Effect.SHIFTED_AWAY if shifted else Effect.EXCLUDED,), calendar=calendar)
        effects = transition_effects(self.rule, self._zone, nominal_us, before_us)
        if not yields(self.bare, nominal_us):
            effects = (*effects, Effect.CALENDAR_SHIFTED)
        return replace(made, due_us=due_us(self._when, self.rule, seed=self._seed, nominal_us=nominal_us), effects=effects)


def without_omissions(when: When) -> When:
    """The same without its exclusions and calendars."""
    return replace(when, exclusions=(), exclude_calendars=(), include_calendars=(), calendar_shift=CalendarShift.SKIP)


def yields(rule: Rule, t_us: int) -> bool:
    """Whether an instant is one of the rule's."""
    return rule.next_after(t_us - 1) == t_us
