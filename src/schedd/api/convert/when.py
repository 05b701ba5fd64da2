"""When a schedule fires, between protobuf and the model."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from schedd.api.convert.basics import Words, duration, micros, timestamp
from schedd.api.names import calendar_name
from schedd.api.reading import Reading
from schedd.core.model.calendar import calendar_resource
from schedd.core.model.when import (
    AfterCompletion,
    AtStart,
    CalendarShift,
    Cron,
    DayMatch,
    Expression,
    FoldPolicy,
    GapPolicy,
    Interval,
    OnCalendar,
    Once,
    Recurrence,
    Spread,
    SpreadMode,
    Trigger,
    When,
)
from schedd.v1 import schedule_pb2, when_pb2

DAY_MATCH = Words(DayMatch, when_pb2.DayMatch, "DAY_MATCH")
GAP = Words(GapPolicy, when_pb2.GapPolicy, "GAP_POLICY")
SHIFT = Words(CalendarShift, when_pb2.CalendarShift, "CALENDAR_SHIFT")
FOLD = Words(FoldPolicy, when_pb2.FoldPolicy, "FOLD_POLICY")
_NOW_US = 100_000
"""How far ahead "now" is: far enough to lie after the schedule's creation."""

SPREAD = Words(SpreadMode, when_pb2.SpreadMode, "SPREAD_MODE")
_ZERO = timedelta(0)
_HOURLY = Expression(text="@hourly")
"""Stands in for a trigger that is empty."""


def when_of(message: schedule_pb2.Schedule, now_us: int, reading: Reading) -> When:
    """The rule that a message describes; `now_us` is what a delay is counted from."""
    return When(
        triggers=tuple(trigger_of(trigger, f"triggers[{at}]", now_us, reading) for at, trigger in enumerate(message.triggers)),
        exclusions=tuple(trigger_of(out, f"exclusions[{at}]", now_us, reading) for at, out in enumerate(message.exclusions)),
        exclude_calendars=_calendars_of(message.exclude_calendars, "exclude_calendars", reading),
        include_calendars=_calendars_of(message.include_calendars, "include_calendars", reading),
        calendar_shift=reading.word(SHIFT, message.calendar_shift, CalendarShift.SKIP, "calendar_shift"),
        time_zone=message.time_zone or "UTC",
        start_us=reading.of(lambda: micros(message.start_time, "start_time"), None) if message.HasField("start_time") else None,
        end_us=reading.of(lambda: micros(message.end_time, "end_time"), None) if message.HasField("end_time") else None,
        gap=reading.word(GAP, message.gap_policy, GapPolicy.DIALECT, "gap_policy"),
        fold=reading.word(FOLD, message.fold_policy, FoldPolicy.DIALECT, "fold_policy"),
        spread=_spread_of(message.spread, reading) if message.HasField("spread") else Spread(),
    )


def counts_from_now(message: schedule_pb2.Schedule) -> bool:
    """Whether the rule that a message describes depends on when it is read."""
    return any(
        trigger.HasField("once") and (trigger.once.HasField("delay") or not trigger.once.times)
        for trigger in (*message.triggers, *message.exclusions)
    )


def fill_when(message: schedule_pb2.Schedule, when: When) -> None:
    """Put a rule into a message."""
    message.triggers.extend(trigger_message(trigger) for trigger in when.triggers)
    message.exclusions.extend(trigger_message(trigger) for trigger in when.exclusions)
    message.exclude_calendars.extend(map(calendar_resource, when.exclude_calendars))
    message.include_calendars.extend(map(calendar_resource, when.include_calendars))
    message.calendar_shift = SHIFT.number(when.calendar_shift)
    message.time_zone = when.time_zone
    if when.start_us is not None:
        message.start_time.CopyFrom(timestamp(when.start_us))
    if when.end_us is not None:
        message.end_time.CopyFrom(timestamp(when.end_us))
    message.gap_policy = GAP.number(when.gap)
    message.fold_policy = FOLD.number(when.fold)
    message.spread.mode = SPREAD.number(when.spread.mode)
    if when.spread.window:
        message.spread.window.CopyFrom(duration(when.spread.window))


def _calendars_of(names: Iterable[str], field: str, reading: Reading) -> tuple[str, ...]:
    """The calendars' own names; of a wrong one the text stands in."""
    return tuple(reading.of(partial(calendar_name, name, f"{field}[{index}]"), name) for index, name in enumerate(names))


def _spread_of(message: when_pb2.Spread, reading: Reading) -> Spread:
    window = reading.span(message.window, "spread.window", _ZERO) if message.HasField("window") else _ZERO
    default = SpreadMode.STABLE if window else SpreadMode.NONE
    return Spread(mode=reading.word(SPREAD, message.mode, default, "spread.mode"), window=window)


def trigger_of(message: when_pb2.Trigger, field: str, now_us: int, reading: Reading) -> Trigger:
    """The trigger that a message, at that field, describes."""
    match message.WhichOneof("rule"):
        case "expression":
            return Expression(text=message.expression)
        case "cron":
            day_match = reading.word(DAY_MATCH, message.cron.day_match, DayMatch.OR, f"{field}.cron.day_match")
            return Cron(text=message.cron.expression, day_match=day_match)
        case "interval":
            return _interval_of(message.interval, f"{field}.interval", reading)
        case "after_completion":
            delay = reading.span(message.after_completion.delay, f"{field}.after_completion.delay", _ZERO)
            return AfterCompletion(delay=delay)
        case "once":
            return _once_of(message.once, f"{field}.once", now_us, reading)
        case "on_calendar":
            return OnCalendar(text=message.on_calendar.expression)
        case "recurrence":
            return Recurrence(text=message.recurrence.text)
        case "at_start":
            return AtStart()
        case _:
            reading.note(field, "REQUIRED", 'is empty: say when, such as {expression: "0 9 * * 1-5"}')
            return _HOURLY


def _interval_of(message: when_pb2.IntervalTrigger, field: str, reading: Reading) -> Interval:
    anchor_us = reading.instant(message.anchor_time, f"{field}.anchor_time", 0) if message.HasField("anchor_time") else None
    return Interval(every=reading.span(message.every, f"{field}.every", timedelta(hours=1)), anchor_us=anchor_us)


def _once_of(message: when_pb2.OnceTrigger, field: str, now_us: int, reading: Reading) -> Once:
    times = [reading.instant(stamp, f"{field}.times[{at}]", now_us + _NOW_US) for at, stamp in enumerate(message.times)]
    if message.HasField("delay") or not times:
        delay_us = reading.span(message.delay, f"{field}.delay", _ZERO) // timedelta(microseconds=1)
        times.append(now_us + max(delay_us, _NOW_US))
    return Once(times_us=tuple(sorted(set(times))))


def trigger_message(trigger: Trigger) -> when_pb2.Trigger:
    """The message of a trigger."""
    match trigger:
        case Expression():
            return when_pb2.Trigger(expression=trigger.text)
        case Cron():
            cron = when_pb2.CronTrigger(expression=trigger.text, day_match=DAY_MATCH.number(trigger.day_match))
            return when_pb2.Trigger(cron=cron)
        case Interval():
            interval = when_pb2.IntervalTrigger(every=duration(trigger.every))
            if trigger.anchor_us is not None:
                interval.anchor_time.CopyFrom(timestamp(trigger.anchor_us))
            return when_pb2.Trigger(interval=interval)
        case AfterCompletion():
            delay = duration(trigger.delay)
            return when_pb2.Trigger(after_completion=when_pb2.AfterCompletionTrigger(delay=delay))
        case Once():
            return when_pb2.Trigger(once=when_pb2.OnceTrigger(times=[timestamp(at_us) for at_us in trigger.times_us]))
        case OnCalendar():
            return when_pb2.Trigger(on_calendar=when_pb2.OnCalendarTrigger(expression=trigger.text))
        case Recurrence():
            return when_pb2.Trigger(recurrence=when_pb2.RecurrenceTrigger(text=trigger.text))
        case AtStart():
            return when_pb2.Trigger(at_start=when_pb2.AtStartTrigger())
