"""Preview: the coming fire times of a rule, with a mark where a zone transition has an effect."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schedd.core.model.when import When
from schedd.core.triggers.compilation import compile_when
from schedd.core.triggers.fields import FieldRule
from schedd.core.triggers.recurrence import WholeDays
from schedd.core.triggers.rule import Bounded, Excluding, Rule, Union
from schedd.core.triggers.spread import due_us
from schedd.core.triggers.zone import Zone
from schedd.core.triggers.zonedtimes import ZonedTimes
from schedd.core.triggers.zonename import zone_named


class Effect(StrEnum):
    """What a zone transition does to an occurrence."""

    MOVED_AFTER_GAP = "MOVED_AFTER_GAP"
    """Its local time does not exist that day; it runs right after the gap."""
    FIRST_OF_REPEATED = "FIRST_OF_REPEATED"
    """Its local time comes twice that day; this is the first."""
    SECOND_OF_REPEATED = "SECOND_OF_REPEATED"
    """Its local time comes twice that day; this is the second."""
    OFFSET_CHANGED = "OFFSET_CHANGED"
    """The zone's offset has changed since the occurrence before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One coming occurrence: nominal and due time in UTC microseconds, the zone's offset at the nominal time in seconds, and effects."""

    nominal_us: int
    due_us: int
    utc_offset_s: int
    effects: tuple[Effect, ...] = ()


def preview(when: When, *, created_us: int, seed: int, after_us: int, count: int) -> tuple[Instant, ...]:
    """At most `count` occurrences strictly after `after_us`. Raises: ExpressionError."""
    rule = compile_when(when, created_us=created_us, seed=seed)
    zone = zone_named(when.time_zone)
    instants: list[Instant] = []
    before_us = rule.prev_before(after_us + 1)
    nominal_us = rule.next_after(after_us)
    while nominal_us is not None and len(instants) < count:
        instants.append(
            Instant(
                nominal_us=nominal_us,
                due_us=due_us(when, rule, seed=seed, nominal_us=nominal_us),
                utc_offset_s=zone.offset_at(nominal_us) // 1_000_000,
                effects=_effects(rule, zone, nominal_us, before_us),
            )
        )
        before_us, nominal_us = nominal_us, rule.next_after(nominal_us)
    return tuple(instants)


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


def _is_moved(rule: Rule, nominal_us: int) -> bool:
    match rule:
        case FieldRule():
            return rule.moved_from(nominal_us) is not None
        case ZonedTimes():
            return rule.is_moved(nominal_us)
        case Bounded() | Excluding() | WholeDays():
            return _is_moved(rule.rule, nominal_us)
        case Union():
            return any(_is_moved(part, nominal_us) for part in rule.rules)
        case _:
            return False
