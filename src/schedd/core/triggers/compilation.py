"""From the description of when a schedule fires to the rule that answers for it.

Compiled rules are shared: plain cron depends on its text, zone and policies alone; an interval without anchor on the schedule's
creation too; H, ~ on its seed; a rule with calendars on their generations.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Final, NamedTuple, assert_never

from schedd.core.durations import format_duration
from schedd.core.errors import ExpressionError
from schedd.core.identity import ByIdentity
from schedd.core.model.when import (
    AfterCompletion,
    AtStart,
    CalendarShift,
    Cron,
    Expression,
    FoldPolicy,
    GapPolicy,
    Interval,
    OnCalendar,
    Once,
    Recurrence,
    Trigger,
    When,
)
from schedd.core.triggers.calendars import NO_CALENDARS, CalendarDays, Calendars, left_out_by
from schedd.core.triggers.civil import FIRST_US, FIRST_YEAR, LAST_US, LAST_YEAR
from schedd.core.triggers.clockless import check_delay
from schedd.core.triggers.cron import parse_cron, uses_seed
from schedd.core.triggers.eventbridge import parse_eventbridge_cron
from schedd.core.triggers.fields import FieldRule, Fields
from schedd.core.triggers.interval import LONGEST, SHORTEST, IntervalRule
from schedd.core.triggers.leaps import excluding
from schedd.core.triggers.oncalendar import parse_oncalendar
from schedd.core.triggers.recognition import EventBridgeCron, LocalOnce, Rate, Recognised, recognise
from schedd.core.triggers.recurrence import WholeDays, compile_recurrence, excluded_dates
from schedd.core.triggers.rule import NEVER, Bounded, ExcludedInstants, Exclusion, Instants, Omitted, Rule, Union
from schedd.core.triggers.shift import Shifted
from schedd.core.triggers.timeset import DaysOf, InZone, LeftOut
from schedd.core.triggers.zonedtimes import Place
from schedd.core.triggers.zonename import zone_named
from schedd.core.weight import is_light

_MICROSECOND: Final = timedelta(microseconds=1)
_LIGHT_BYTES: Final = 1024
"""Of lighter descriptions many rules are kept."""

Known = Recognised | AfterCompletion
"""A trigger whose dialect is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a trigger is compiled in. `created_us`, `seed` and `start_us` count only for triggers that depend on them."""

    time_zone: str
    gap: GapPolicy
    fold: FoldPolicy
    created_us: int
    seed: int
    start_us: int | None = None

    @property
    def begin_us(self) -> int:
        """The schedule's start, or its creation."""
        return self.created_us if self.start_us is None else self.start_us


def compile_when(when: When, *, created_us: int, seed: int, calendars: Calendars = NO_CALENDARS) -> Rule:
    """The rule of a schedule: the union of its triggers minus its exclusions and calendars, within [start_us, end_us).

    `created_us` anchors intervals that have no anchor of their own; `seed` (the schedule's uid) draws what H and ~ stand for.
    `calendars` are those that the schedule may name; a rule is compiled with them as they stand.

    Raises: ExpressionError; its `part` begins with the trigger at fault, such as `triggers[0]`.
    """
    plain = _plain_rule(when)
    if plain is not None:
        return plain
    try:
        by_creation, by_seed = _dependence(when)
    except ExpressionError:
        return _compiled(when, 0, 0)  # Meets the same fault, and names the trigger that has it.
    return _compiled(
        when,
        created_us if by_creation else 0,
        seed if by_seed else 0,
        _named(when.exclude_calendars, "exclude_calendars", calendars),
        _named(when.include_calendars, "include_calendars", calendars),
    )


def _plain(when: When) -> Rule | None:
    """The rule of a schedule, if it depends on nothing else; None also for one that cannot be compiled."""
    try:
        depends = any(_dependence(when)) or when.exclude_calendars or when.include_calendars
        return None if depends else _compiled(when, 0, 0)
    except ExpressionError:
        return None


_plain_rule = ByIdentity(_plain, capacity=4096)


def _compiled(
    when: When, created_us: int, seed: int, excluded: tuple[CalendarDays, ...] = (), included: tuple[CalendarDays, ...] = ()
) -> Rule:
    """The rule; the same for equals, unless there is so much to it that it had better go with its schedule."""
    make = _compile if is_light(when, _LIGHT_BYTES) else _compile.__wrapped__
    return make(when, created_us, seed, excluded, included)


def _dependence(when: When) -> tuple[bool, bool]:
    """Whether the rule depends on the schedule's creation, and whether on its seed. Raises: ExpressionError."""
    return (_find_dependence if is_light(when, _LIGHT_BYTES) else _find_dependence.__wrapped__)(when)


@lru_cache(maxsize=4096)
def _find_dependence(when: When) -> tuple[bool, bool]:
    both = tuple(_known(trigger) for trigger in when.triggers + when.exclusions)
    return (
        any(_depends_on_creation(trigger) for trigger in both),
        any(isinstance(trigger, Cron) and uses_seed(trigger.text) for trigger in both),
    )


def within_limits(when: When, rule: Rule, *, created_us: int, seed: int, calendars: Calendars = NO_CALENDARS) -> Rule:
    """Another rule, under the exclusions, calendars and bounds of a schedule; nothing of it is shifted. Raises: ExpressionError."""
    zone_named(when.time_zone)
    exclusions = _exclusions(when, _setting(when, created_us, seed))
    excluded = _named(when.exclude_calendars, "exclude_calendars", calendars)
    included = _named(when.include_calendars, "include_calendars", calendars)
    if excluded or included:
        exclusions = (*exclusions, LeftOut(left_out_by(excluded, included, when.time_zone)))
    return _limited(rule, when, exclusions)


class LeftOutRules(NamedTuple):
    """The occurrences that a schedule's triggers yield within its bounds and that do not run there, as rules.

    `excluded` are those that exclusions leave out, or calendars without a shift; `shifted` those that calendars move to another day.
    """

    excluded: Omitted = Omitted(NEVER, ())
    shifted: Omitted = Omitted(NEVER, ())


def compile_left_out(when: When, *, created_us: int, seed: int, calendars: Calendars = NO_CALENDARS) -> LeftOutRules:
    """What the rule of `compile_when` leaves out. Raises: ExpressionError."""
    if not leaves_out(when):
        return LeftOutRules()
    by_creation, by_seed = _dependence(when)
    make = _compile_left_out if is_light(when, _LIGHT_BYTES) else _compile_left_out.__wrapped__
    return make(
        when,
        created_us if by_creation else 0,
        seed if by_seed else 0,
        _named(when.exclude_calendars, "exclude_calendars", calendars),
        _named(when.include_calendars, "include_calendars", calendars),
    )


def leaves_out(when: When) -> bool:
    """Whether a schedule has exclusions or calendars."""
    return bool(when.exclusions or when.exclude_calendars or when.include_calendars)


def rule_of(trigger: Trigger, setting: Setting) -> Rule:
    """The rule of one trigger.

    Raises: ExpressionError, also for a dialect that is recognised and not built yet.
    """
    known = _known(trigger)
    match known:
        case Cron():
            fields = _cron_fields(known.text, known.day_match, setting.seed if uses_seed(known.text) else 0)
            return _field_rule(fields, setting, run_after_gap=True)
        case EventBridgeCron():
            return _field_rule(parse_eventbridge_cron(known.text), setting, run_after_gap=False)
        case Interval() | Rate():
            return _interval_rule(known, setting)
        case Once():
            return _once(known)
        case LocalOnce():
            return _local_once(known, setting)
        case OnCalendar():
            return _calendar_rule(known, setting)
        case Recurrence():
            return compile_recurrence(
                known.text, Place(zone=zone_named(setting.time_zone), gap=setting.gap, fold=setting.fold), setting.begin_us
            )
        case AfterCompletion():
            check_delay(known.delay)
            return NEVER
        case AtStart():
            return NEVER
        case _:
            assert_never(known)


_cron_fields = lru_cache(maxsize=4096)(parse_cron)
"""Many schedules share a text, also where their rules differ by what stands around it; and it is read once more to be checked."""


@lru_cache(maxsize=65_536)
def _compile(
    when: When, created_us: int, seed: int, excluded: tuple[CalendarDays, ...] = (), included: tuple[CalendarDays, ...] = ()
) -> Rule:
    zone_named(when.time_zone)
    setting = _setting(when, created_us, seed)
    rule = _triggered(when, setting)
    exclusions = _exclusions(when, setting)
    if not excluded and not included:
        return _limited(rule, when, exclusions)
    left_out = left_out_by(excluded, included, when.time_zone)
    if when.calendar_shift is CalendarShift.SKIP:
        return _limited(rule, when, (*exclusions, LeftOut(left_out)))
    # Exclusions and bounds hold for an occurrence both where its trigger puts it and where it is moved to.
    step = 1 if when.calendar_shift is CalendarShift.NEXT_DAY else -1
    shifted = Shifted(_limited(rule, when, exclusions), left_out, zone_named(when.time_zone), step=step)
    return _limited(shifted, when, exclusions)


@lru_cache(maxsize=16_384)
def _compile_left_out(
    when: When, created_us: int, seed: int, excluded: tuple[CalendarDays, ...], included: tuple[CalendarDays, ...]
) -> LeftOutRules:
    setting = _setting(when, created_us, seed)
    yielded = _triggered(when, setting)
    exclusions = _exclusions(when, setting)
    calendars = (LeftOut(left_out_by(excluded, included, when.time_zone)),) if excluded or included else ()
    if when.calendar_shift is CalendarShift.SKIP:
        return LeftOutRules(excluded=Omitted(_limited(yielded, when, ()), (*exclusions, *calendars)))
    return LeftOutRules(
        excluded=Omitted(_limited(yielded, when, ()), exclusions),
        shifted=Omitted(_limited(yielded, when, exclusions), calendars),
    )


def _triggered(when: When, setting: Setting) -> Rule:
    """The union of the triggers."""
    rules = tuple(_at(f"triggers[{index}]", trigger, setting) for index, trigger in enumerate(when.triggers))
    return rules[0] if len(rules) == 1 else Union(rules)


def _setting(when: When, created_us: int, seed: int) -> Setting:
    return Setting(time_zone=when.time_zone, gap=when.gap, fold=when.fold, created_us=created_us, seed=seed, start_us=when.start_us)


def _named(names: tuple[str, ...], field: str, calendars: Calendars) -> tuple[CalendarDays, ...]:
    return tuple(calendars.named(name, f"{field}[{index}]") for index, name in enumerate(names))


def _exclusions(when: When, setting: Setting) -> tuple[Exclusion, ...]:
    return tuple(_exclusion(_at(f"exclusions[{index}]", trigger, setting)) for index, trigger in enumerate(when.exclusions))


def _limited(rule: Rule, when: When, exclusions: tuple[Exclusion, ...]) -> Rule:
    """The rule without what is excluded, within the bounds."""
    if exclusions:
        rule = excluding(rule, exclusions)
    if when.start_us is not None or when.end_us is not None:
        rule = Bounded(rule, when.start_us, when.end_us)
    return rule


def _depends_on_creation(trigger: Known) -> bool:
    return isinstance(trigger, Recurrence | Rate) or (isinstance(trigger, Interval) and trigger.anchor_us is None)


def _known(trigger: Trigger) -> Known:
    return recognise(trigger.text) if isinstance(trigger, Expression) else trigger


def _at(place: str, trigger: Trigger, setting: Setting) -> Rule:
    """The rule of the trigger at `place`, which its error names."""
    try:
        return rule_of(trigger, setting)
    except ExpressionError as exc:
        raise ExpressionError(
            text=exc.text,
            part=f"{place}: {exc.part}",
            reason=exc.reason,
            position=exc.position,
            length=exc.length,
            suggestion=exc.suggestion,
        ) from exc


def _field_rule(fields: Fields, setting: Setting, *, run_after_gap: bool) -> FieldRule:
    if setting.gap is not GapPolicy.DIALECT:
        run_after_gap = setting.gap is GapPolicy.RUN_AFTER
    return FieldRule(
        fields,
        zone_named(setting.time_zone),
        run_after_gap=run_after_gap and not fields.follows_clock,
        fold_twice=fields.follows_clock or setting.fold is FoldPolicy.BOTH,
    )


def _calendar_rule(trigger: OnCalendar, setting: Setting) -> FieldRule:
    """As systemd has it: a gap is skipped, and in a fold each local time fires once, those of `*` too."""
    read = parse_oncalendar(trigger.text)
    return FieldRule(
        read.fields,
        zone_named(read.zones[0] if read.zones else setting.time_zone),
        run_after_gap=setting.gap is GapPolicy.RUN_AFTER and not read.fields.follows_clock,
        fold_twice=setting.fold is FoldPolicy.BOTH,
    )


def _interval_rule(interval: Interval | Rate, setting: Setting) -> IntervalRule:
    every = interval.every
    if not SHORTEST <= every <= LONGEST:
        raise ExpressionError(
            text="",
            part="every",
            reason=f"{format_duration(every)} is not allowed; {format_duration(SHORTEST)} to {format_duration(LONGEST)} is",
            suggestion="such as 90s or 1h",
        )
    if isinstance(interval, Rate):
        return IntervalRule(every // _MICROSECOND, setting.begin_us)
    return IntervalRule(every // _MICROSECOND, setting.created_us if interval.anchor_us is None else interval.anchor_us)


def _once(once: Once) -> Rule:
    for at_us in once.times_us:
        _check_reach(f"{at_us} µs", at_us)
    return Instants(tuple(sorted(set(once.times_us))))


def _check_reach(text: str, at_us: int) -> None:
    """Raises: ExpressionError for a time before FIRST_YEAR or after LAST_YEAR, where rules do not answer."""
    if not FIRST_US <= at_us < LAST_US:
        raise ExpressionError(
            text=text,
            part="expression",
            reason=f"its year is not within {FIRST_YEAR} to {LAST_YEAR}",
            length=len(text),
            suggestion="an earlier year" if at_us >= LAST_US else "a time to come",
        )


def _local_once(once: LocalOnce, setting: Setting) -> Rule:
    """One local time: skipped in a gap unless the policy runs it after it, and its first instant in a fold."""
    _check_reach(once.text, once.local_us)
    zone = zone_named(setting.time_zone)
    instant_us = zone.first_instant(once.local_us)
    if zone.local_at(instant_us) != once.local_us and setting.gap is not GapPolicy.RUN_AFTER:
        raise ExpressionError(
            text=once.text,
            part="expression",
            reason=f"this local time does not exist in {setting.time_zone}: a transition leaves it out",
            length=max(1, len(once.text)),
            suggestion="a time outside the transition, or the gap policy RUN_AFTER",
        )
    return Instants((instant_us,))


def _exclusion(rule: Rule) -> Exclusion:
    """A rule of whole days leaves out its days, any other its very instants."""
    if isinstance(rule, WholeDays):
        return excluded_dates(rule, rule.zone)
    if isinstance(rule, FieldRule) and rule.is_whole_days:
        return LeftOut(InZone(DaysOf(rule.days), rule.zone))
    return ExcludedInstants(rule)
