"""The expressions of EventBridge Scheduler: `cron(…)`, `rate(…)`, `at(…)`.

Source: "Schedule types in EventBridge Scheduler" in AWS's user guide, for the fields, for the `?` that exactly one day field has, and
for transitions: a time that does not exist is skipped, a repeated one runs once.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from schedd.core.errors import ExpressionError
from schedd.core.triggers.civil import instant_us
from schedd.core.triggers.clockface import ClockFace, Seconds
from schedd.core.triggers.fields import Fields
from schedd.core.triggers.fieldsets import (
    DAY_OF_MONTH,
    DAY_OF_WEEK_FROM_1,
    HOUR,
    MINUTE,
    MONTH,
    YEAR,
    DayFields,
    Token,
    possible_days,
    read_days_of_month,
    read_days_of_week,
    read_set,
    tokens_of,
    years_of,
)
from schedd.core.triggers.hints import eventbridge_count, eventbridge_days
from schedd.core.triggers.localtime import impossible, parse_local_time

_BEGINNING: Final = re.compile(r"\s*(?:cron|rate|at)\(", re.IGNORECASE)
_FORM: Final = re.compile(r"\s*(?P<name>cron|rate|at)\((?P<body>[^()]*)\)\s*")
_RATE: Final = re.compile(r"(?P<value>[0-9]{1,9}) +(?P<unit>minutes?|hours?|days?)")
_UNITS: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_FIELDS: Final = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK_FROM_1, YEAR)
_EXAMPLE: Final = "`cron(0 10 ? * MON-FRI *)` is 10:00 from Monday to Friday"


def begins_like(text: str) -> bool:
    """Whether a text begins like one of the three forms."""
    return _BEGINNING.match(text) is not None


def form_of(text: str) -> str:
    """`cron`, `rate` or `at`: the form that a text has.

    Raises: ExpressionError, when it begins like one of them and is none.
    """
    match = _FORM.fullmatch(text)
    if match is not None:
        return match["name"]
    lower = re.sub(r"^\s*[A-Za-z]+", lambda name: name[0].lower(), text)
    if lower != text and _FORM.fullmatch(lower) is not None:
        start = len(text) - len(text.lstrip())
        raise Token(text, text[start : text.index("(")], start, "expression").fault("it is written in small letters", f"`{lower.strip()}`")
    raise ExpressionError(
        text=text,
        part="expression",
        reason="the parentheses are not closed, or something follows them",
        length=len(text),
        suggestion=_EXAMPLE,
    )


def _body(text: str, part: str) -> Token:
    start = text.index("(") + 1
    end = text.index(")")
    return Token(text, text[start:end], start, part)


def parse_rate(text: str) -> timedelta:
    """The period of `rate(value unit)`.

    Raises: ExpressionError.
    """
    body = _body(text, "rate")
    match = _RATE.fullmatch(body.value.strip(" "))
    if match is None:
        hint = "`rate(5 minutes)`; shorter periods are intervals: `@every 30s`"
        raise body.fault("a rate is a whole number and minutes, hours or days", hint)
    value = int(match["value"])
    unit = match["unit"].removesuffix("s")
    if value == 0:
        raise body.fault("a rate is at least 1", "`rate(1 minute)`")
    if (value == 1) != (match["unit"] == unit):
        right = unit if value == 1 else f"{unit}s"
        raise body.fault(f"EventBridge wants `{right}` after {value}", f"`rate({value} {right})`")
    return value * _UNITS[unit]


def parse_at(text: str) -> int:
    """The local time, in microseconds, of `at(yyyy-mm-ddThh:mm:ss)`.

    Raises: ExpressionError.
    """
    body = _body(text, "at")
    moment = parse_local_time(body.value)
    if (why := impossible(body.value)) != "":
        raise body.fault(f"`{body.value}` does not exist: {why}", "`at(2030-01-31T09:00:00)`")
    if moment is None:
        raise body.fault("it takes a local time without offset, and the zone stands beside it", "`at(2030-01-31T09:00:00)`")
    return instant_us(moment)


def parse_eventbridge_cron(text: str) -> Fields:
    """The fields of `cron(minutes hours day-of-month month day-of-week year)`.

    Raises: ExpressionError, for an expression that can never match too.
    """
    body = _body(text, "expression")
    tokens = tokens_of(text, "expression", body.position, body.position + len(body.value))
    if len(tokens) != len(_FIELDS):
        reason = f"{len(tokens)} fields; EventBridge has 6: minutes, hours, day of month, month, day of week, year"
        raise body.fault(reason, eventbridge_count(tuple(token.value for token in tokens)))
    minute, hour, day, month, week, year = (
        Token(text, token.value, token.position, field.name) for field, token in zip(_FIELDS, tokens, strict=True)
    )
    if (day.value == "?") == (week.value == "?"):
        raise week.fault("exactly one of the day fields has to be `?`", eventbridge_days(tuple(token.value for token in tokens)))
    read = DayFields(by_number=read_days_of_month(day, 0), by_weekday=read_days_of_week(week, DAY_OF_WEEK_FROM_1, 0))
    months = read_set(month, MONTH, 0)
    return Fields(
        face=ClockFace(read_set(hour, HOUR, 0), read_set(minute, MINUTE, 0), Seconds(1)),
        days=possible_days(day, read.joined(either=False), months, years_of(read_set(year, YEAR, 0))),
        follows_clock=minute.value.startswith("*") or hour.value.startswith("*"),
    )
