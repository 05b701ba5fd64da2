"""What zone transitions, exclusions and calendars do to the occurrences of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schedd.core.triggers.fields import FieldRule
from schedd.core.triggers.recurrence import WholeDays
from schedd.core.triggers.rule import Bounded, Excluding, Rule, Union
from schedd.core.triggers.shift import Shifted
from schedd.core.triggers.zone import Zone
from schedd.core.triggers.zonedtimes import ZonedTimes


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
    FOLLOWS_SKIPPED = "FOLLOWS_SKIPPED"
    """The local time before it falls in a gap, and is left out for that."""
    EXCLUDED = "EXCLUDED"
    """An exclusion or a calendar leaves it out: it does not run."""
    CALENDAR_SHIFTED = "CALENDAR_SHIFTED"
    """A calendar moved it here from another day."""
    SHIFTED_AWAY = "SHIFTED_AWAY"
    """A calendar moves it to another day: it does not run here."""
    SKIPPED_IN_GAP = "SKIPPED_IN_GAP"
    """Its local time does not exist that day, and it is left out for that."""
    SKIPPED_SECOND = "SKIPPED_SECOND"
    """Its local time comes twice that day; this is the second, which does not run."""


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


def transition_effects(rule: Rule, zone: Zone, nominal_us: int, before_us: int | None) -> tuple[Effect, ...]:
    """What zone transitions do to the occurrence of `rule` at `nominal_us`; `before_us` is the occurrence before it, if there is one."""
    zone = _own_zone(rule, nominal_us) or zone
    effects: list[Effect] = []
    if _is_moved(rule, nominal_us):
        effects.append(Effect.MOVED_AFTER_GAP)
    segment = zone.segment_at(nominal_us)
    if is_second(zone, nominal_us):
        effects.append(Effect.SECOND_OF_REPEATED)
    following = zone.segment_at(segment.end_us)
    if following.before_us > following.offset_us and segment.end_us - nominal_us <= following.before_us - following.offset_us:
        effects.append(Effect.FIRST_OF_REPEATED)
    if before_us is not None and zone.offset_at(before_us) != segment.offset_us:
        effects.append(Effect.OFFSET_CHANGED)
    return tuple(effects)


def skipped_by_transition(rule: Rule, zone: Zone, nominal_us: int) -> Effect:
    """What left out an instant that `rule` would yield if it ran after gaps and at both times of a fold."""
    zone = _own_zone(rule, nominal_us) or zone
    return Effect.SKIPPED_SECOND if is_second(zone, nominal_us) else Effect.SKIPPED_IN_GAP


def is_second(zone: Zone, t_us: int) -> bool:
    """Whether the local time of an instant has been there before, an offset earlier."""
    segment = zone.segment_at(t_us)
    return segment.before_us > segment.offset_us and t_us - segment.start_us < segment.before_us - segment.offset_us


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
