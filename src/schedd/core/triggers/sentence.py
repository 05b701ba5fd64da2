"""A trigger in plain English, from the sets that it compiles to: what the sentence says is what the rule does, however it was written."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from schedd.core.model.when import AfterCompletion, AtStart, Cron, Expression, Interval, OnCalendar, Once, Recurrence, Trigger
from schedd.core.triggers.civil import DAY_US, HOUR_US, MINUTE_US, SECOND_US, utc_datetime
from schedd.core.triggers.cron import parse_cron
from schedd.core.triggers.dayphrases import dates_of
from schedd.core.triggers.eventbridge import parse_eventbridge_cron
from schedd.core.triggers.fields import Fields
from schedd.core.triggers.oncalendar import parse_oncalendar
from schedd.core.triggers.phrases import count_of, joined
from schedd.core.triggers.recognition import EventBridgeCron, LocalOnce, Rate, recognise
from schedd.core.triggers.recurrencewords import recurrence_words
from schedd.core.triggers.timephrases import times_of

_UNITS_US = {
    "day": DAY_US,
    "hour": HOUR_US,
    "minute": MINUTE_US,
    "second": SECOND_US,
    "millisecond": 1_000,
    "microsecond": 1,
}
_LISTED = 3
"""How many instants of a list are told one by one."""


def sentence(trigger: Trigger, time_zone: str, *, seed: int = 0) -> str:
    """What a trigger means, without a full stop: `At 04:30, Monday to Friday, in Europe/Berlin`.

    `seed` draws what H and ~ stand for. Raises: ExpressionError.
    """
    known = recognise(trigger.text) if isinstance(trigger, Expression) else trigger
    match known:
        case Cron():
            return _of_fields(parse_cron(known.text, known.day_match, seed), time_zone)
        case EventBridgeCron():
            return _of_fields(parse_eventbridge_cron(known.text), time_zone)
        case Interval() | Rate():
            return _interval(known)
        case AfterCompletion():
            return f"{duration_words(known.delay)} after each completion"
        case Once():
            return _instants(known)
        case LocalOnce():
            return f"Once, on {_moment(utc_datetime(known.local_us))}, in {time_zone}"
        case OnCalendar():
            read = parse_oncalendar(known.text)
            return _of_fields(read.fields, read.zones[0] if read.zones else time_zone)
        case Recurrence():
            return recurrence_words(known.text, time_zone)
        case AtStart():
            return "Once at each start of the daemon"
        case _:
            assert_never(known)


def duration_words(span: timedelta) -> str:
    """`1 hour 30 minutes`, `5 minutes`, `1 day`, `250 milliseconds`."""
    rest = span // timedelta(microseconds=1)
    parts = []
    for unit, size in _UNITS_US.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(count_of(count, unit))
    return " ".join(parts) or "0 seconds"


def _of_fields(fields: Fields, time_zone: str) -> str:
    times, fixed = times_of(fields.face)
    dates = dates_of(fields.days.pattern, fields.days.months, fields.days.years)
    each_day = "every day" if fixed and (not dates or dates.startswith("in ")) else ""
    return ", ".join(part for part in (times, each_day, dates, f"in {time_zone}") if part)


def _interval(interval: Interval | Rate) -> str:
    words = duration_words(interval.every)
    every = words.removeprefix("1 ") if words.count(" ") == 1 else words
    if isinstance(interval, Rate):
        return f"Every {every}, counted from the schedule's start or its creation"
    since = "the schedule's creation" if interval.anchor_us is None else f"{_moment(utc_datetime(interval.anchor_us))} UTC"
    return f"Every {every}, counted from {since}"


def _instants(once: Once) -> str:
    times = [f"{_moment(utc_datetime(at_us))} UTC" for at_us in sorted(set(once.times_us))]
    if len(times) == 1:
        return f"Once, on {times[0]}"
    if len(times) <= _LISTED:
        return f"On {joined(times)}"
    return f"At {len(times)} instants, from {times[0]} to {times[-1]}"


def _moment(moment: datetime) -> str:
    fraction = f"{moment:.%f}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%a %Y-%m-%d} at {moment:%H:%M:%S}{fraction}"
