"""Preview: the coming fire times of a rule, with a mark where a zone transition, an exclusion or a calendar has an effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from schedd.core.model.when import When
from schedd.core.triggers.calendars import NO_CALENDARS, Calendars
from schedd.core.triggers.candidates import Candidates, without_omissions, yields
from schedd.core.triggers.compilation import compile_when
from schedd.core.triggers.effects import Effect, Instant
from schedd.core.triggers.rule import Rule, Union


def preview(
    when: When,
    *,
    created_us: int,
    seed: int,
    after_us: int,
    count: int,
    calendars: Calendars = NO_CALENDARS,
    show_excluded: bool = False,
) -> tuple[Instant, ...]:
    """At most `count` occurrences strictly after `after_us`; with `show_excluded` also those left out, marked. Raises: ExpressionError."""
    candidates = Candidates(when, created_us=created_us, seed=seed, calendars=calendars)
    shown = (candidates.rule, candidates.bare) if show_excluded else (candidates.rule,)
    alone = _triggers_alone(when, created_us, seed, calendars)
    instants: list[Instant] = []
    before_us = candidates.rule.prev_before(after_us + 1)
    for nominal_us in islice(_merged(shown, after_us), count):
        instant = _excluded(candidates.instant(nominal_us, before_us))
        is_moved = Effect.MOVED_AFTER_GAP in instant.effects
        if before_us is not None and not is_moved and candidates.is_gap_between(before_us, nominal_us):
            instant = replace(instant, effects=(*instant.effects, Effect.FOLLOWS_SKIPPED))
        instants.append(replace(instant, trigger=_first(alone, nominal_us)))
        before_us = nominal_us
    return tuple(instants)


def _excluded(instant: Instant) -> Instant:
    """What a calendar moves away is shown as excluded: where it goes is an instant of its own."""
    return replace(instant, effects=(Effect.EXCLUDED,)) if Effect.SHIFTED_AWAY in instant.effects else instant


def _triggers_alone(when: When, created_us: int, seed: int, calendars: Calendars) -> tuple[tuple[Rule, Rule], ...]:
    """For each trigger its rule as if it were the only one, and that without what is left out; nothing where there is one trigger."""
    if len(when.triggers) < 2:
        return ()
    ruled = [replace(when, triggers=(trigger,)) for trigger in when.triggers]
    bare = [without_omissions(one) for one in ruled]
    compiled = [compile_when(one, created_us=created_us, seed=seed, calendars=calendars) for one in (*ruled, *bare)]
    return tuple(zip(compiled[: len(ruled)], compiled[len(ruled) :], strict=True))


def _first(alone: tuple[tuple[Rule, Rule], ...], nominal_us: int) -> int:
    """The index of the first trigger that yields an instant, calendars considered if they may be."""
    for part in (0, 1):
        for index, rules in enumerate(alone):
            if yields(rules[part], nominal_us):
                return index
    return 0


def _merged(rules: tuple[Rule, ...], after_us: int) -> Iterator[int]:
    """The fire times of all of the rules after an instant, in order, each once."""
    union = Union(rules)
    next_us = union.next_after(after_us)
    while next_us is not None:
        yield next_us
        next_us = union.next_after(next_us)
