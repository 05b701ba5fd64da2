"""Omissions: the occurrences that exclusions and calendars keep from running, as ranges, each with its reason.

A range is told when the next occurrence that runs is decided, or when the schedule or one of its calendars changes before that: until then
a change may still let it run. What is told follows from the rules alone, so that an explanation can tell the same of any time.
"""

from __future__ import annotations

from schedd.core.model.reason import Reason
from schedd.core.model.when import When
from schedd.core.planning import LeftOut, left_out
from schedd.core.triggers import Calendars, LeftOutRules, Rule, compile_left_out, compile_when, leaves_out

COUNTED_OMISSIONS = 50
"""A range's omissions are counted exactly up to this number: a night left out of every minute costs no more than that."""


class Omissions:
    """What the rule of one schedule leaves out, with its calendars as they stood when it was compiled."""

    __slots__ = ("_kept", "_rules")

    def __init__(self, kept: Rule, rules: LeftOutRules) -> None:
        """`kept`: the schedule's rule, by the clock alone."""
        self._kept = kept
        self._rules = rules

    def between(self, after_us: int, before_us: int) -> tuple[LeftOut, ...]:
        """At most one range for each reason: of the omissions after `after_us` and before `before_us`."""
        found: tuple[LeftOut, ...] = ()
        for reason, rule in ((Reason.EXCLUDED, self._rules.excluded), (Reason.CALENDAR_SHIFTED, self._rules.shifted)):
            first_us = rule.first_between(after_us, before_us)
            if first_us is not None:
                found += left_out(rule, first_us, before_us, reason, counted_to=COUNTED_OMISSIONS)
        return found

    def decided(self, first_us: int, last_us: int, *, from_us: int) -> tuple[LeftOut, ...]:
        """What goes with the decision on the occurrences from `first_us` to `last_us`, both included: from the one before them on.

        Nothing up to `from_us`, where the schedule's planning began.
        """
        first_kept_us, last_kept_us = self._kept.next_after(first_us - 1), self._kept.prev_before(last_us + 1)
        if first_kept_us is None or last_kept_us is None or last_kept_us < first_kept_us:
            return ()
        return self.between(self._told_us(first_kept_us, from_us), last_kept_us)

    def pending(self, undecided_us: int, through_us: int, *, from_us: int) -> tuple[LeftOut, ...]:
        """What is to be told as planning begins anew after `through_us`, while the occurrence at `undecided_us` is the first undecided."""
        return self.between(self._told_us(undecided_us, from_us), through_us + 1)

    def _told_us(self, undecided_us: int, from_us: int) -> int:
        """Up to where omissions have been told: to the occurrence before the first undecided one."""
        decided_us = self._kept.prev_before(undecided_us)
        return from_us if decided_us is None else max(decided_us, from_us)


def omissions_of(when: When, *, created_us: int, seed: int, calendars: Calendars) -> Omissions | None:
    """The omissions of a schedule; None if it has no exclusions and no calendars. Raises: ExpressionError."""
    if not leaves_out(when):
        return None
    kept = compile_when(when, created_us=created_us, seed=seed, calendars=calendars)
    return Omissions(kept, compile_left_out(when, created_us=created_us, seed=seed, calendars=calendars))
