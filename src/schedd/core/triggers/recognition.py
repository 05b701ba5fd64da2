"""Which dialect an expression given as one string is in: by its form alone, and refused where two could be meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Final

from schedd.core.errors import ExpressionError
from schedd.core.model.when import AtStart, Cron, Interval, OnCalendar, Once, Recurrence
from schedd.core.triggers import eventbridge
from schedd.core.triggers.civil import instant_us
from schedd.core.triggers.cron import MACROS
from schedd.core.triggers.fieldsets import Token, tokens_of
from schedd.core.triggers.hints import macro, six_fields, spoken
from schedd.core.triggers.interval import parse_duration
from schedd.core.triggers.localtime import impossible, parse_moment


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBridgeCron:
    """The `cron(…)` of EventBridge Scheduler."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The `rate(…)` of EventBridge Scheduler: an interval that counts from the schedule's start, or its creation."""

    every: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOnce:
    """Once at a local time (microseconds) of the schedule's zone: EventBridge's `at(…)`, or a time without offset."""

    text: str
    local_us: int


Recognised = Cron | EventBridgeCron | Rate | Interval | Once | LocalOnce | OnCalendar | Recurrence | AtStart

_CACHED_TEXT_LIMIT: Final = 1024
_RECURRENCE: Final = re.compile(r"(?:^|\n)\s*(?:DTSTART|RRULE|RDATE|EXDATE)[:;]|^\s*FREQ=", re.IGNORECASE)
_EVERY: Final = re.compile(r"\s*@?every\s+(?P<duration>\S+)\s*", re.IGNORECASE)
_EPOCH: Final = re.compile(r"\s*@[0-9]")
_CALENDAR_SIGNS: Final = re.compile(r":|\.\.")
"""What no cron expression has."""
_CALENDAR_DATE: Final = re.compile(r"[0-9*,/]+[-~][0-9*,/~-]+")


def recognise(text: str) -> Recognised:
    """The trigger that a text means, its dialect told by its form; what it says inside is checked when it is compiled.

    Raises: ExpressionError, with the reason and an example, when it has no known form or could be read in two ways.
    """
    return _recognise_cached(text) if len(text) <= _CACHED_TEXT_LIMIT else _recognise(text)


def _recognise(text: str) -> Recognised:
    stripped = text.strip()
    if not _RECURRENCE.search(text):
        tokens_of(text, "expression")
    if not stripped:
        raise ExpressionError(text=text, part="expression", reason="it is empty", suggestion="`0 10 * * *` is 10:00 each day")
    if eventbridge.begins_like(text):
        return _eventbridge(text)
    if _RECURRENCE.search(text):
        return Recurrence(text=text)
    if (match := _EVERY.fullmatch(text)) is not None:
        return Interval(every=parse_duration(Token(text, match["duration"], match.start("duration"), "every")))
    if stripped.startswith("@") and not _EPOCH.match(text):
        return AtStart() if stripped.lower() == "@reboot" else _macro(text, stripped)
    if (moment := parse_moment(stripped)) is not None:
        at = instant_us(moment)
        return Once(times_us=(at,)) if moment.tzinfo is not None else LocalOnce(text=text, local_us=at)
    if (why := impossible(stripped)) != "":
        start = text.index(stripped)
        raise Token(text, stripped, start, "expression").fault(f"`{stripped}` does not exist: {why}", "`2030-01-31T09:00:00Z`")
    return _cron_or_calendar(text)


_recognise_cached = lru_cache(maxsize=16384)(_recognise)


def _eventbridge(text: str) -> Recognised:
    match eventbridge.form_of(text):
        case "cron":
            return EventBridgeCron(text=text)
        case "rate":
            return Rate(every=eventbridge.parse_rate(text))
        case _:
            return LocalOnce(text=text, local_us=eventbridge.parse_at(text))


def _macro(text: str, name: str) -> Cron:
    if name.lower() not in MACROS:
        hint = macro(name, (*MACROS, "@reboot"))
        raise Token(text, name, text.index("@"), "macro").fault(f"`{name}` is not a macro", hint)
    return Cron(text=text)


def _cron_or_calendar(text: str) -> Recognised:
    tokens = tokens_of(text, "expression")
    if (hint := spoken(text)) != "":
        start = tokens[0].position
        raise Token(text, text.strip(), start, "expression").fault("it is in none of the dialects", hint)
    if _CALENDAR_SIGNS.search(text) or (len(tokens) < 5 and _is_calendar(tokens)):
        return OnCalendar(text=text)
    if len(tokens) == 6:
        _refuse_eventbridge_fields(text, tokens)
    return Cron(text=text)


def _is_calendar(tokens: list[Token]) -> bool:
    """Whether what has too few fields for cron begins as OnCalendar does: with `@`, a word or a weekday, or with a date and a zone."""
    first, *rest = (token.value for token in tokens)
    if first[0] == "@" or (first[0].isalpha() and first[0] != "H"):
        return True
    return _CALENDAR_DATE.fullmatch(first) is not None and all(part[0].isalpha() for part in rest)


def _refuse_eventbridge_fields(text: str, tokens: list[Token]) -> None:
    """Six fields with a `?`, a month name or a year where only EventBridge's order has one: cron's six begin with seconds."""
    for index, pattern in ((2, r"\?"), (4, r"\?"), (4, r"(?i:SUN|MON|TUE|WED|THU|FRI|SAT)\b.*"), (5, r"(?:19|20|21)[0-9]{2}.*")):
        if re.fullmatch(pattern, tokens[index].value):
            form = "ends with a year" if index == 5 else "looks like EventBridge's six fields"
            hint = six_fields(tuple(token.value for token in tokens))
            raise tokens[index].fault(f"`{text.strip()}` {form}; cron's six begin with seconds", hint)
