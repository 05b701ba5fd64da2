"""The days of an iCalendar text (RFC 5545): those of its events, with yearly recurrences written out up to a bounded year.

An event is its DTSTART and DTEND (or DURATION); a time in it counts by its date as written, so times in UTC are refused. An RRULE has to
be FREQ=YEARLY; it is written out year by year. Whatever else would change the days is refused, with the number of its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from schedd.core.errors import ExpressionError
from schedd.core.triggers.civil import month_length

TEXT_MAX_BYTES: Final = 256 * 1024
"""The longest text, in UTF-8."""

RECURS_THROUGH: Final = 2100
"""Recurrences are written out to the end of this year."""

DAYS_MAX: Final = 20_000
"""The most stretches of days that one text may come to."""

_LINE: Final = re.compile(r"([A-Za-z0-9-]+)((?:;[^:\"]*(?:\"[^\"]*\")?)*):(.*)")
_DAY: Final = re.compile(r"([0-9]{8})(?:T([0-9]{6})(Z?))?")
_DURATION: Final = re.compile(r"\+?P(?:([0-9]{1,4})W|(?:([0-9]{1,5})D)?(?:T(?:([0-9]{1,5})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,7})S)?)?)")
_RULE_PARTS: Final = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYMONTHDAY", "BYDAY", "WKST")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,4}")
_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_WEEKDAY: Final = re.compile(f"([+-]?[1-5])?({'|'.join(_WEEKDAYS)})")
_UNREAD: Final = ("RDATE", "RECURRENCE-ID", "EXRULE")

Days = tuple[date, date]
"""The first and the last day, both included."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One property: the number of its first line, the line as it is written, its name and value."""

    number: int
    text: str
    name: str
    value: str

    def wrong(self, reason: str, suggestion: str = "") -> ExpressionError:
        return _wrong(self.number, self.text, reason, suggestion)


@dataclass(slots=True)
class _Event:
    """An event's properties by name; `begun` is its BEGIN line."""

    begun: _Line
    lines: dict[str, list[_Line]] = field(default_factory=dict)

    def one(self, name: str) -> _Line | None:
        found = self.lines.get(name, [])
        if len(found) > 1:
            raise found[1].wrong(f"{name} is there twice")
        return found[0] if found else None


def read_icalendar(text: str) -> list[Days]:
    """The days of the text's events, in its order. Raises: ExpressionError, part `icalendar`, naming the line."""
    size = len(text.encode())
    if size > TEXT_MAX_BYTES:
        raise _wrong(1, text[:40], f"the text has {size} bytes; at most {TEXT_MAX_BYTES} are allowed")
    found: list[Days] = []
    for event in _events(text):
        found += _event_days(event)
        if len(found) > DAYS_MAX:
            raise event.begun.wrong(f"the events come to more than {DAYS_MAX} days or ranges of days")
    return found


def _wrong(number: int, text: str, reason: str, suggestion: str = "") -> ExpressionError:
    shown = text if len(text) <= 120 else f"{text[:117]}..."
    return ExpressionError(
        text=shown, part="icalendar", reason=f"line {number}: {reason}", length=max(1, len(shown)), suggestion=suggestion
    )


def _events(text: str) -> Iterator[_Event]:
    """The events; components beside them (zones, to-dos) and within them (alarms) are passed over."""
    open_: list[str] = []
    event: _Event | None = None
    line = _Line(1, "", "", "")
    for line in _lines(text):
        if not open_ and (line.name, line.value.upper()) != ("BEGIN", "VCALENDAR"):
            raise line.wrong("an iCalendar text begins with BEGIN:VCALENDAR", "the content of an .ics file")
        if line.name == "BEGIN":
            open_.append(line.value.upper())
            event = _Event(line) if open_ == ["VCALENDAR", "VEVENT"] else event
        elif line.name == "END":
            if open_.pop() != line.value.upper():
                raise line.wrong("does not end what was begun last")
            if event is not None and open_ == ["VCALENDAR"]:
                yield event
                event = None
        elif event is not None and len(open_) == 2:
            event.lines.setdefault(line.name, []).append(line)
    if open_ or not line.name:
        raise _wrong(line.number, line.text, f"the text ends within {open_[-1]}" if open_ else "the text is empty", "a whole .ics file")


def _lines(text: str) -> Iterator[_Line]:
    """The properties, with folded lines joined (RFC 5545 3.1)."""
    number, joined = 0, ""
    for at, written in enumerate([*text.splitlines(), ""], start=1):
        if written[:1] in (" ", "\t") and joined:
            joined += written[1:]
            continue
        if joined:
            yield _property(number, joined)
        number, joined = at, written if written.strip() else ""


def _property(number: int, text: str) -> _Line:
    match = _LINE.fullmatch(text)
    if match is None:
        raise _wrong(number, text, "is not an iCalendar line", "NAME;PARAMETER=VALUE:VALUE")
    return _Line(number, text, match[1].upper(), match[3].strip())


def _event_days(event: _Event) -> Iterator[Days]:
    status = event.one("STATUS")
    if status is not None and status.value.upper() == "CANCELLED":
        return
    for name in _UNREAD:
        if name in event.lines:
            raise event.lines[name][0].wrong(f"{name} is not read", "an event of its own for each day")
    start = event.one("DTSTART")
    if start is None:
        raise event.begun.wrong("the event has no DTSTART")
    first = _moment(start)
    length = _last_day(event, start, first) - first.date()
    left_out = {_moment(line, value).date() for line in event.lines.get("EXDATE", []) for value in line.value.split(",")}
    for begin in _recurrences(event, first):
        if begin not in left_out:
            yield begin, begin + length


def _last_day(event: _Event, start: _Line, first: datetime) -> date:
    """The event's last day: an end at midnight, or as a date, does not belong to it."""
    end, duration = event.one("DTEND"), event.one("DURATION")
    if end is not None:
        until = _moment(end)
        if until < first or (until == first and "T" not in start.value):
            raise end.wrong("the event ends before it begins", "DTEND is the day after the last one")
    elif duration is not None:
        until = first + _duration(duration)
    else:
        return first.date()
    return max(first, until - timedelta(microseconds=1)).date()


def _moment(line: _Line, value: str | None = None) -> datetime:
    text = line.value if value is None else value.strip()
    match = _DAY.fullmatch(text)
    if match is None:
        raise line.wrong(f"`{text}` is not a date", "a date such as 20261225, or 20261225T090000")
    if match[3]:
        raise line.wrong("a time in UTC does not say which day it is in the calendar's zone", f"the day: {line.name};VALUE=DATE:{match[1]}")
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2] or '000000'}")
    except ValueError as exc:
        raise line.wrong(f"`{text}` is not a date", "a date such as 20261225, or 20261225T090000") from exc
    if not 1900 <= moment.year <= RECURS_THROUGH:
        raise line.wrong(f"the year is not between 1900 and {RECURS_THROUGH}")
    return moment


def _duration(line: _Line) -> timedelta:
    match = _DURATION.fullmatch(line.value)
    if match is None or not any(match.groups()):
        raise line.wrong(f"`{line.value}` is not a duration", "P1D, P1W or PT8H")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def _recurrences(event: _Event, first: datetime) -> Sequence[date]:
    rule = event.one("RRULE")
    if rule is None:
        return [first.date()]
    yearly = _read_rule(rule, first)
    days: list[date] = []
    for year in range(first.year, yearly.through.year + 1, yearly.interval):
        days += [day for day in yearly.days_of(year) if first.date() <= day <= yearly.through]
        if len(days) >= yearly.count:
            break
    return days[: yearly.count]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Yearly:
    """A yearly rule: the days of its months that have one of the numbers, and are one of the weekdays; empty means any."""

    interval: int
    count: int
    through: date
    months: Sequence[int]
    numbers: Sequence[int]
    weekdays: Sequence[tuple[int, int]]
    """(n, weekday): the n-th one of its month, from its end if negative, any of them for 0. Monday is 0."""

    def days_of(self, year: int) -> Iterator[date]:
        for month in self.months:
            length = month_length(year, month)
            yield from (date(year, month, day) for day in range(1, length + 1) if self._has(date(year, month, day), length))

    def _has(self, day: date, length: int) -> bool:
        if self.numbers and day.day not in self.numbers and day.day - length - 1 not in self.numbers:
            return False
        nth, nth_last = (day.day - 1) // 7 + 1, -((length - day.day) // 7 + 1)
        return not self.weekdays or any(day.weekday() == weekday and n in (0, nth, nth_last) for n, weekday in self.weekdays)


def _read_rule(rule: _Line, first: datetime) -> _Yearly:
    parts = {name: value for name, _, value in (part.partition("=") for part in rule.value.upper().split(";"))}
    if parts.get("FREQ") != "YEARLY":
        raise rule.wrong("only yearly recurrences are read", "FREQ=YEARLY; for days of each week an entry of the kind `weekly`")
    unread = [name for name in parts if name not in _RULE_PARTS]
    if unread:
        raise rule.wrong(f"{unread[0] or 'an empty part'} is not read in a recurrence", f"{', '.join(_RULE_PARTS)} are")
    if "BYDAY" in parts and "BYMONTH" not in parts:
        raise rule.wrong("BYDAY without BYMONTH is not read", "the months as well: BYMONTH=5;BYDAY=-1MO")
    numbers = _numbers(rule, parts, "BYMONTHDAY", -31, 31)
    weekdays = [_weekday(rule, text) for text in parts["BYDAY"].split(",")] if "BYDAY" in parts else []
    months = _numbers(rule, parts, "BYMONTH", 1, 12) or ([*range(1, 13)] if numbers else [first.month])
    # A bound in UTC, as RFC 5545 wants it beside a zone: its date is what counts here.
    through = _moment(rule, parts["UNTIL"][:8]).date() if "UNTIL" in parts else date(RECURS_THROUGH, 12, 31)
    return _Yearly(
        interval=(_numbers(rule, parts, "INTERVAL", 1, 9999) or [1])[0],
        count=(_numbers(rule, parts, "COUNT", 1, 9999) or [DAYS_MAX])[0],
        through=through,
        months=sorted(set(months)),
        numbers=numbers or ([] if weekdays else [first.day]),
        weekdays=weekdays,
    )


def _numbers(rule: _Line, parts: Mapping[str, str], name: str, least: int, most: int) -> list[int]:
    """The numbers of a part, none for a part that is not there."""
    found = [int(text) if _NUMBER.fullmatch(text) else 0 for text in parts[name].split(",")] if name in parts else []
    if not all(number and least <= number <= most for number in found):
        raise rule.wrong(f"{name} has to be a number from {least} to {most}, and not 0")
    return found


def _weekday(rule: _Line, text: str) -> tuple[int, int]:
    match = _WEEKDAY.fullmatch(text)
    if match is None:
        raise rule.wrong(f"`{text}` is not a day of the week", "MO, 2MO or -1MO")
    return int(match[1] or 0), _WEEKDAYS.index(match[2])
