"""Exclusions by field-based rules that know what they are taken from: they leap over what they leave out, however much that is in a row.

An exclusion of business hours by the second leaves out more than thirty thousand occurrences of a rule that fires every second. Where all
minutes and seconds of the one rule are among those of the other, an hour is left out whole or not at all, so that whole hours and days
are leapt over; where they are not, no two hours pass without an occurrence that is not left out.
"""

from __future__ import annotations

from typing import Final

from schedd.core.triggers.civil import DAY_US
from schedd.core.triggers.clockface import ClockFace, Seconds
from schedd.core.triggers.fields import FieldRule
from schedd.core.triggers.interval import IntervalRule
from schedd.core.triggers.rule import ExcludedInstants, Excluding, Exclusion, Rule, Union
from schedd.core.triggers.zonedtimes import ZonedTimes

_ALL_HOURS: Final = (1 << 24) - 1
_ALL_60: Final = (1 << 60) - 1
_EVERY_SECOND: Final = ClockFace(_ALL_HOURS, _ALL_60, Seconds(_ALL_60))
_DAYS_AT_ONCE: Final = 32


def excluding(rule: Rule, exclusions: tuple[Exclusion, ...]) -> Rule:
    """The rule without what the exclusions leave out."""
    if isinstance(rule, Union):
        return Union(tuple(excluding(each, exclusions) for each in rule.rules))
    return Excluding(rule, tuple(_knowing(exclusion, rule) for exclusion in exclusions))


def _knowing(exclusion: Exclusion, rule: Rule) -> Exclusion:
    """The exclusion as it is best for that rule."""
    if not isinstance(exclusion, ExcludedInstants) or not isinstance(exclusion.rule, FieldRule):
        return exclusion
    face = _face_of(rule, exclusion.rule)
    if face is None or face.minutes & ~exclusion.rule.face.minutes or not _are_among(face, exclusion.rule.face):
        return exclusion
    hours = face.hours & ~exclusion.rule.face.hours
    if hours:
        return ExcludedHours(exclusion.rule, ClockFace(hours, face.minutes, face.seconds))
    days = exclusion.rule.days
    return ExcludedHours(
        exclusion.rule, None, on_all_days=days.holds_all_of(rule.days) if isinstance(rule, FieldRule) else days.is_everything
    )


def _face_of(rule: Rule, excluded: FieldRule) -> ClockFace | None:
    """The times of day among which are all of a rule's; None if that is not known."""
    match rule:
        case FieldRule() if rule.zone is excluded.zone:
            return rule.face
        case FieldRule():
            return _EVERY_SECOND if isinstance(rule.face.seconds, Seconds) else None
        case IntervalRule():
            return _EVERY_SECOND if rule.is_of_whole_seconds else None
        case ZonedTimes():  # A recurrence: RFC 5545 knows nothing finer.
            return _EVERY_SECOND
        case Excluding():
            return _face_of(rule.rule, excluded)
        case _:
            return None


def _are_among(face: ClockFace, other: ClockFace) -> bool:
    """Whether all seconds of one are seconds of the other."""
    if isinstance(face.seconds, Seconds):
        return all(other.seconds.first_from(us) == us for us in face.seconds.members_us)
    return not isinstance(other.seconds, Seconds) and face.seconds.steps == other.seconds.steps


class ExcludedHours(ExcludedInstants):
    """Leaves out the instants of a field-based rule, and with an hour all occurrences of another rule in that hour.

    `left` are the times of day at which the other rule may have occurrences on a day of this one; None: there are none. `on_all_days`
    says that the other rule has no other days: then something is left only where this one misses a local time that comes twice.
    """

    __slots__ = ("_fields", "_left", "_on_all_days")

    def __init__(self, rule: FieldRule, left: ClockFace | None, *, on_all_days: bool = False) -> None:
        super().__init__(rule)
        self._fields = rule
        self._left = left
        self._on_all_days = on_all_days

    def skip(self, t_us: int) -> int | None:
        """See `Exclusion.skip`."""
        resume = super().skip(t_us)
        if resume == t_us or self._is_moved(t_us):
            return resume
        _, end_us, offset_us, _ = self._fields.zone.segment_at(t_us)
        if self._on_all_days:
            return end_us
        day, time_us = divmod(t_us + offset_us, DAY_US)
        found = None if self._left is None else self._left.first_from(time_us)
        local = day * DAY_US + found if found is not None else self._following_day(day, 1) * DAY_US
        return min(local - offset_us, end_us)

    def skip_back(self, t_us: int) -> int | None:
        """See `Exclusion.skip_back`."""
        resume, begins_us = super().skip_back(t_us), self._fields.begins_us(t_us)
        if resume == t_us or t_us <= begins_us or self._is_moved(t_us):
            return resume
        if self._on_all_days:
            return begins_us
        _, _, offset_us, _ = self._fields.zone.segment_at(t_us)
        day, time_us = divmod(t_us + offset_us, DAY_US)
        found = None if self._left is None else self._left.last_until(time_us)
        local = day * DAY_US + found if found is not None else (self._following_day(day, -1) + 1) * DAY_US - 1
        return max(local - offset_us, begins_us)

    def _is_moved(self, t_us: int) -> bool:
        """Whether the instant stands for a local time inside a gap."""
        local = self._fields.zone.local_at(t_us)
        return self._fields.first_local(local) != local

    def _following_day(self, day: int, step: int) -> int:
        """The first day in that direction on which something may be left."""
        day += step
        if self._left is None:
            for _ in range(_DAYS_AT_ONCE):
                if day not in self._fields.days:
                    break
                day += step
        return day
