"""Preview: the coming fire times of a rule, with a mark where a zone transition, an exclusion or a calendar has an effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice

from schedd.core.model.when import CalendarShift, When
from schedd.core.triggers.calendars import NO_CALENDARS, Calendars, left_out_by
from schedd.core.triggers.compilation import compile_when
from schedd.core.triggers.fields import FieldRule
from schedd.core.triggers.recurrence import WholeDays
from schedd.core.triggers.rule import Bounded, Excluding, Rule, Union
from schedd.core.triggers.shift import Shifted
from schedd.core.triggers.spread import due_us
from schedd.core.triggers.zone import Zone
from schedd.core.triggers.zonedtimes import ZonedTimes
from schedd.core.triggers.zonename import zone_named


class Effect(StrEnum):
    """What a zone transition, an exclusion or a calendar does to an occurrence."""

    MOVED_AFTER_GAP = "MOVED_AFTER_GAP"
    """Its local time does not exist that day; it runs right after the gap."""
    FIRST_OF_REPEATED = "FIRST_OF_REPEATED"
    """Its local time comes twice that day; this is the first."""
    SECOND_OF_REPEATED = "SECOND_OF_REPEATED"
    """Its local time comes twice that day; this is the second."""
    OFFSET_CHANGED = "OFFSET_CHANGED"
    """The zone's offset has changed since the occurrence before."""
    EXCLUDED = "EXCLUDED"
    """An exclusion or a calendar leaves it out: it does not run."""
    CALENDAR_SHIFTED = "CALENDAR_SHIFTED"
    """A calendar moved it here from another day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One coming occurrence: nominal and due time in UTC microseconds, the zone's offset at the nominal time in seconds, and effects.

    `calendar` names the calendar that leaves it out, if one does; `trigger` is the index of the first trigger that yields it.
    """

    nominal_us: int
    due_us: int
    utc_offset_s: int
    effects: tuple[Effect, ...] = ()
    calendar: str = ""
    trigger: int = 0


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
    rule = compile_when(when, created_us=created_us, seed=seed, calendars=calendars)
    zone = zone_named(when.time_zone)
    bare = compile_when(
        replace(when, exclusions=(), exclude_calendars=(), include_calendars=(), calendar_shift=CalendarShift.SKIP),
        created_us=created_us,
        seed=seed,
    )
    alone = _triggers_alone(when, created_us, seed, calendars)
    instants: list[Instant] = []
    before_us = rule.prev_before(after_us + 1)
    for nominal_us in islice(_merged((rule, bare) if show_excluded else (rule,), after_us), count):
        offset_s = zone.offset_at(nominal_us) // 1_000_000
        made = Instant(nominal_us=nominal_us, due_us=nominal_us, utc_offset_s=offset_s, trigger=_first(alone, nominal_us))
        if rule.next_after(nominal_us - 1) != nominal_us:
            made = replace(made, effects=(Effect.EXCLUDED,), calendar=_left_out_by(when, calendars, nominal_us))
        else:
            effects = _effects(rule, _own_zone(rule, nominal_us) or zone, nominal_us, before_us)
            if bare.next_after(nominal_us - 1) != nominal_us:
                effects = (*effects, Effect.CALENDAR_SHIFTED)
            made = replace(made, due_us=due_us(when, rule, seed=seed, nominal_us=nominal_us), effects=effects)
        before_us = nominal_us
        instants.append(made)
    return tuple(instants)


def _triggers_alone(when: When, created_us: int, seed: int, calendars: Calendars) -> tuple[tuple[Rule, Rule], ...]:
    """For each trigger its rule as if it were the only one, and that without what is left out; nothing where there is one trigger."""
    if len(when.triggers) < 2:
        return ()
    ruled = [replace(when, triggers=(trigger,)) for trigger in when.triggers]
    bare = [replace(one, exclusions=(), exclude_calendars=(), include_calendars=(), calendar_shift=CalendarShift.SKIP) for one in ruled]
    compiled = [compile_when(one, created_us=created_us, seed=seed, calendars=calendars) for one in (*ruled, *bare)]
    return tuple(zip(compiled[: len(ruled)], compiled[len(ruled) :], strict=True))


def _first(alone: tuple[tuple[Rule, Rule], ...], nominal_us: int) -> int:
    """The index of the first trigger that yields an instant, calendars considered if they may be."""
    for part in (0, 1):
        for index, rules in enumerate(alone):
            if rules[part].next_after(nominal_us - 1) == nominal_us:
                return index
    return 0


def _merged(rules: tuple[Rule, ...], after_us: int) -> Iterator[int]:
    """The fire times of all of the rules after an instant, in order, each once."""
    union = Union(rules)
    next_us = union.next_after(after_us)
    while next_us is not None:
        yield next_us
        next_us = union.next_after(next_us)


def _left_out_by(when: When, calendars: Calendars, nominal_us: int) -> str:
    """The first calendar that leaves an instant out; empty if an exclusion does."""
    for name in when.exclude_calendars:
        if left_out_by([calendars.days[name]], [], when.time_zone).inside_from(nominal_us) == nominal_us:
            return name
    included = [calendars.days[name] for name in when.include_calendars]
    if included and left_out_by([], included, when.time_zone).inside_from(nominal_us) == nominal_us:
        return when.include_calendars[0]
    return ""


def _effects(rule: Rule, zone: Zone, nominal_us: int, before_us: int | None) -> tuple[Effect, ...]:
    effects: list[Effect] = []
    if _is_moved(rule, nominal_us):
        effects.append(Effect.MOVED_AFTER_GAP)
    segment = zone.segment_at(nominal_us)
    if segment.before_us > segment.offset_us and nominal_us - segment.start_us < segment.before_us - segment.offset_us:
        effects.append(Effect.SECOND_OF_REPEATED)
    following = zone.segment_at(segment.end_us)
    if following.before_us > following.offset_us and segment.end_us - nominal_us <= following.before_us - following.offset_us:
        effects.append(Effect.FIRST_OF_REPEATED)
    if before_us is not None and zone.offset_at(before_us) != segment.offset_us:
        effects.append(Effect.OFFSET_CHANGED)
    return tuple(effects)


def _own_zone(rule: Rule, nominal_us: int) -> Zone | None:
    """The zone in whose local time that occurrence is: an expression may name another than the schedule's; None if it has no local time."""
    match rule:
        case FieldRule() | ZonedTimes():
            return rule.zone
        case Bounded() | Excluding() | Shifted() | WholeDays():
            return _own_zone(rule.rule, nominal_us)
        case Union():
            yielding = (part for part in rule.rules if part.next_after(nominal_us - 1) == nominal_us)
            return next((zone for part in yielding if (zone := _own_zone(part, nominal_us)) is not None), None)
        case _:
            return None


def _is_moved(rule: Rule, nominal_us: int) -> bool:
    match rule:
        case FieldRule():
            return rule.moved_from(nominal_us) is not None
        case ZonedTimes():
            return rule.is_moved(nominal_us)
        case Bounded() | Excluding() | Shifted() | WholeDays():
            return _is_moved(rule.rule, nominal_us)
        case Union():
            return any(_is_moved(part, nominal_us) for part in rule.rules)
        case _:
            return False
