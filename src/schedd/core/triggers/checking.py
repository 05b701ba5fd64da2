"""What a description of when to fire has to be: `check_when` names every wrong field at once, in proto spelling."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from schedd.core.errors import ExpressionError, FieldViolation
from schedd.core.model.when import AfterCompletion, Expression, Interval, SpreadMode, Trigger, When
from schedd.core.triggers.calendars import NO_CALENDARS, Calendars
from schedd.core.triggers.civil import utc_datetime
from schedd.core.triggers.clockless import clockless, is_clockless
from schedd.core.triggers.compilation import Setting, compile_when, rule_of
from schedd.core.triggers.pointing import described
from schedd.core.triggers.rule import Rule
from schedd.core.triggers.zonename import zone_named

TRIGGERS_MAX = 32
"""The most triggers of a schedule, and the most exclusions."""

CALENDARS_MAX = 16
"""The most calendars that a schedule excludes, and the most that it includes."""

SPREAD_MAX = timedelta(days=7)


def check_when(when: When, *, now_us: int, calendars: Calendars = NO_CALENDARS) -> tuple[FieldViolation, ...]:
    """All that is wrong, also a rule that can never fire again after `now_us`; empty if nothing is. `calendars` are those it may name."""
    return tuple(_check(when, now_us, calendars))


def _check(when: When, now_us: int, calendars: Calendars) -> Iterator[FieldViolation]:
    rule = _compiled(when, now_us, calendars)
    faults = [*_bounds(when), *_spread(when), *_count("triggers", when.triggers, least=1), *_count("exclusions", when.exclusions, least=0)]
    if rule is None:
        faults = [*_zone(when), *faults, *_expressions("triggers", when.triggers, when, now_us)]
    if rule is None or when.exclusions:
        faults += _expressions("exclusions", when.exclusions, when, now_us)
    faults += _calendars("exclude_calendars", when.exclude_calendars, calendars)
    faults += _calendars("include_calendars", when.include_calendars, calendars)
    yield from faults
    if rule is not None and not faults and not clockless(when):
        yield from _never_fires(when, rule, now_us)


def _compiled(when: When, now_us: int, calendars: Calendars) -> Rule | None:
    """The rule; None if something does not let it be compiled."""
    try:
        return compile_when(when, created_us=now_us, seed=0, calendars=calendars)
    except ExpressionError:
        return None


def _never_fires(when: When, rule: Rule, now_us: int) -> Iterator[FieldViolation]:
    if rule.next_after(now_us) is None:
        left_out = ", and outside of what its calendars leave out" if when.exclude_calendars or when.include_calendars else ""
        last_us = rule.prev_before(now_us + 1)
        last = "" if last_us is None else f"; the last one was at {utc_datetime(last_us):%Y-%m-%dT%H:%M:%SZ}"
        yield FieldViolation(
            field="triggers",
            reason="NEVER_FIRES",
            description=f"no occurrence lies in the future and within start_time and end_time{left_out}, so this would never fire{last}",
        )


def _zone(when: When) -> Iterator[FieldViolation]:
    try:
        zone_named(when.time_zone)
    except ExpressionError as error:
        yield FieldViolation(field="time_zone", reason="UNKNOWN_ZONE", description=f"{error.reason}: {error.suggestion}")


def _bounds(when: When) -> Iterator[FieldViolation]:
    if when.start_us is not None and when.end_us is not None and when.end_us <= when.start_us:
        yield FieldViolation(field="end_time", reason="OUT_OF_RANGE", description="has to be later than start_time")


def _spread(when: When) -> Iterator[FieldViolation]:
    window = when.spread.window
    if not timedelta(0) <= window <= SPREAD_MAX:
        yield FieldViolation(
            field="spread.window", reason="OUT_OF_RANGE", description=f"{window} is not between 0 and {SPREAD_MAX.days} days"
        )
    elif when.spread.mode is not SpreadMode.NONE and not window:
        yield FieldViolation(
            field="spread.window", reason="REQUIRED", description=f"mode {when.spread.mode} wants a window, such as 300 seconds"
        )


def _calendars(field: str, names: tuple[str, ...], calendars: Calendars) -> Iterator[FieldViolation]:
    if len(names) > CALENDARS_MAX:
        yield FieldViolation(field=field, reason="TOO_MANY", description=f"{len(names)} of them; at most {CALENDARS_MAX} are allowed")
    for index, name in enumerate(names):
        try:
            calendars.named(name, f"{field}[{index}]")
        except ExpressionError as error:
            suggestion = f"; {error.suggestion}" if error.suggestion else ""
            yield FieldViolation(field=error.part, reason="UNKNOWN_CALENDAR", description=f"{error.reason}{suggestion}")


def _count(field: str, triggers: tuple[Trigger, ...], *, least: int) -> Iterator[FieldViolation]:
    if len(triggers) < least:
        yield FieldViolation(
            field=field, reason="REQUIRED", description='says when to fire: at least one, such as expression "0 9 * * 1-5"'
        )
    if len(triggers) > TRIGGERS_MAX:
        yield FieldViolation(field=field, reason="TOO_MANY", description=f"{len(triggers)} of them; at most {TRIGGERS_MAX} are allowed")


def _expressions(field: str, triggers: tuple[Trigger, ...], when: When, now_us: int) -> Iterator[FieldViolation]:
    # In place of a wrong zone any will do: no expression is right in one and wrong in another.
    zone = "UTC" if any(_zone(when)) else when.time_zone
    setting = Setting(time_zone=zone, gap=when.gap, fold=when.fold, created_us=now_us, seed=0, start_us=when.start_us)
    for index, trigger in enumerate(triggers):
        try:
            rule_of(trigger, setting)
            if field == "exclusions" and is_clockless(trigger):
                yield FieldViolation(
                    field=f"exclusions[{index}]",
                    reason="INVALID_EXPRESSION",
                    description="a start of the daemon or a completion has no times that could be left out; a cron expression has",
                )
        except ExpressionError as error:
            yield _wrong(f"{field}[{index}]", trigger, error)


def _wrong(field: str, trigger: Trigger, error: ExpressionError) -> FieldViolation:
    if isinstance(trigger, Interval | AfterCompletion):
        inner = "interval.every" if isinstance(trigger, Interval) else "after_completion.delay"
        return FieldViolation(field=f"{field}.{inner}", reason="OUT_OF_RANGE", description=f"{error.reason}, {error.suggestion}")
    inner = ".expression" if isinstance(trigger, Expression) else ""
    return FieldViolation(field=f"{field}{inner}", reason="INVALID_EXPRESSION", description=described(error))
