"""OnCalendar expressions: weekdays, a date, a time, a zone, each of which may be left out; or a word such as `weekly`.

Source: systemd.time(7), "Calendar events", of systemd 252. Weekday and date both have to match. A local time in a gap is skipped; each
local time fires once, so that even `*:0/15` is silent while a fold repeats it. docs/schedule-language.md lists what differs from systemd.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from schedd.core.errors import ExpressionError
from schedd.core.triggers.calendaritems import (
    DAY,
    DAY_FROM_END,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    ZERO,
    Item,
    all_of,
    every_second,
    mask_of,
    read_list,
    seconds_of,
    written,
)
from schedd.core.triggers.clockface import ClockFace
from schedd.core.triggers.days import ALL_DAYS, ALL_WEEKDAYS, DayPattern
from schedd.core.triggers.fields import Fields
from schedd.core.triggers.fieldsets import Token, possible_days, tokens_of, years_of
from schedd.core.triggers.zonename import zone_named

WORDS: Final = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00",
    "semi-annually": "*-01,07-01 00:00:00",
    "biannually": "*-01,07-01 00:00:00",
    "bi-annually": "*-01,07-01 00:00:00",
    "yearly": "*-01-01 00:00:00",
    "annually": "*-01-01 00:00:00",
    "anually": "*-01-01 00:00:00",
}
"""The words that stand for a whole expression, in any case; a zone may follow them."""

_OFFERED: Final = ("minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly")

_DAY_NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAYS: Final = {name.lower()[:length]: index for index, name in enumerate(_DAY_NAMES) for length in (3, len(name))}
_DATE: Final = re.compile(r"(?:(?P<year>[^-~]*)-)?(?P<month>[^-~]*)(?P<end>[-~])(?P<day>[^-~]*)")
_WEEKDAY_ITEM: Final = re.compile(r"(?P<low>[A-Za-z]+)(?:(?:\.\.|-)(?P<high>[A-Za-z]+))?")
_EPOCH: Final = re.compile(r"@(?P<seconds>[0-9]{1,10})")
_EXAMPLE: Final = "`Mon..Fri *-*-* 09:00:00 Europe/Berlin`: weekdays, date, time and zone, each of which may be left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Date:
    """A date as read. A list without items stands for `*`. `at` is the day's place; `from_end` counts days from the end of the month."""

    year: tuple[Item, ...] = ()
    month: tuple[Item, ...] = ()
    day: tuple[Item, ...] = ()
    from_end: bool = False
    at: Token


@dataclass(frozen=True, slots=True, kw_only=True)
class _Time:
    """A time of day as read. A list without items stands for `*`."""

    hour: tuple[Item, ...]
    minute: tuple[Item, ...]
    second: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """An expression as read. `weekdays`: bit 0 for Monday. `zones`: the one it names, if it names one."""

    weekdays: int
    date: _Date
    time: _Time
    zones: tuple[str, ...]


_MIDNIGHT: Final = _Time(hour=ZERO, minute=ZERO, second=ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonedFields:
    """What an OnCalendar expression says. `zones` holds the zone that it names, which wins over the schedule's, if it names one."""

    fields: Fields
    zones: tuple[str, ...]


def parse_oncalendar(text: str) -> ZonedFields:
    """The fields of an OnCalendar expression.

    Raises: ExpressionError, for an expression that can never match too.
    """
    event = _read(text)
    pattern = _pattern(event)
    months = mask_of(event.date.month) or all_of(MONTH)
    years = years_of(mask_of(event.date.year))
    time = event.time
    face = ClockFace(mask_of(time.hour) or all_of(HOUR), mask_of(time.minute) or all_of(MINUTE), seconds_of(time.second))
    fields = Fields(
        face=face,
        days=possible_days(event.date.at, pattern, months, years, last_day="`*-*~01`"),
        follows_clock=not (time.hour and time.minute and time.second),
    )
    return ZonedFields(fields=fields, zones=event.zones)


def normal_form(text: str) -> str:
    """The expression as `systemd-analyze calendar` normalizes it.

    Raises: ExpressionError.
    """
    event = _read(text)
    date, time = event.date, event.time
    parts = [
        f"{written(date.year)}-{written(date.month)}{'~' if date.from_end else '-'}{written(date.day)}",
        f"{written(time.hour)}:{written(time.minute)}:{written(time.second)}",
        *event.zones,
    ]
    return " ".join(parts if event.weekdays == ALL_WEEKDAYS else [_written_weekdays(event.weekdays), *parts])


def _read(text: str) -> _Event:
    tokens = tokens_of(text, "expression")
    if not tokens:
        raise Token(text, "", 0, "expression").fault("it is empty", _EXAMPLE)
    zones = (_read_zone(tokens.pop()),) if len(tokens) > 1 and tokens[-1].value[0].isalpha() else ()
    if len(tokens) == 1 and (word := WORDS.get(tokens[0].value.lower())) is not None:
        tokens = tokens_of(word, "expression")
    weekdays = _read_weekdays(tokens.pop(0)) if tokens[0].value[0].isalpha() else ALL_WEEKDAYS
    if tokens and tokens[0].value.startswith("@"):
        return _read_epoch(tokens, weekdays)
    if len(tokens) > 2:
        raise tokens[2].fault("it has more parts than weekdays, date, time and zone", _EXAMPLE)
    times = [tokens.pop()] if tokens and (len(tokens) == 2 or ":" in tokens[0].value) else []
    return _Event(
        weekdays=weekdays,
        date=_read_date(tokens[0]) if tokens else _Date(at=Token(text, text, 0, "day")),
        time=_read_time(times[0]) if times else _MIDNIGHT,
        zones=zones,
    )


def _read_zone(token: Token) -> str:
    if token.value.upper() == "UTC":
        return "UTC"
    try:
        return zone_named(token.value).key
    except ExpressionError as exc:
        if _begins_with_weekday(token):
            raise _misplaced_weekdays(token) from exc
        raise replace(token, part="zone").fault(exc.reason, exc.suggestion) from exc


def _begins_with_weekday(token: Token) -> bool:
    return re.split("[^A-Za-z]", token.value)[0].lower() in _DAYS


def _misplaced_weekdays(token: Token) -> ExpressionError:
    return replace(token, part="weekday").fault("weekdays stand in front, in one list without blanks", "write `Mon,Wed..Fri 10:00`")


def _read_weekdays(token: Token) -> int:
    """The days of a list and of its ranges, bit 0 for Monday. A comma may end the list."""
    week = replace(token, part="weekday")
    items = week.split(",")
    if len(items) > 1 and not items[-1].value:
        items.pop()
    mask = 0
    for item in items:
        match = _WEEKDAY_ITEM.fullmatch(item.value)
        if match is None:
            raise item.fault(f"`{item.value}` is not a day of the week or a range of them", "write `Mon,Wed..Fri`")
        low = _weekday(item.piece(match, "low"))
        high = low if match["high"] is None else _weekday(item.piece(match, "high"))
        if high < low:
            wrapped = _written_weekdays(ALL_WEEKDAYS & ~((1 << low) - (2 << high)))
            raise item.fault(f"`{item.value}` ends before it begins: OnCalendar's week is Mon to Sun", f"write `{wrapped}`")
        mask |= (2 << high) - (1 << low)
    return mask


def _weekday(token: Token) -> int:
    day = _DAYS.get(token.value.lower())
    if day is None:
        raise token.fault(f"`{token.value}` is not a day of the week, nor one of the words", f"Mon to Sun, or {', '.join(_OFFERED)}")
    return day


def _read_epoch(tokens: list[Token], weekdays: int) -> _Event:
    """`@seconds` since 1970, in UTC whatever zone follows, and with nothing else beside it."""
    token = tokens[0]
    match = _EPOCH.fullmatch(token.value)
    if match is None or len(tokens) > 1:
        raise tokens[-1].fault("`@` takes whole seconds since 1970, and no time beside them", "`@1893456000` is 2030-01-01 00:00:00 UTC")
    moment = datetime.fromtimestamp(int(match["seconds"]), UTC)
    if moment.year > YEAR.high:
        raise token.fault(f"it lies in the year {moment.year}; OnCalendar's years end with {YEAR.high}")
    date, time = tokens_of(f"{moment:%Y-%m-%d %H:%M:%S}", "expression")
    return _Event(weekdays=weekdays, date=replace(_read_date(date), at=replace(token, part="day")), time=_read_time(time), zones=("UTC",))


def _read_date(token: Token) -> _Date:
    if _begins_with_weekday(token):
        raise _misplaced_weekdays(token)
    match = _DATE.fullmatch(token.value)
    if match is None:
        raise replace(token, part="date").fault(f"`{token.value}` is not a date", "`*-*-01`, `2030-12-24`, `12-24` or `*-02~01`")
    day = token.piece(match, "day")
    from_end = match["end"] == "~" and day.value != "*"
    return _Date(
        year=read_list(token.piece(match, "year"), YEAR) if match["year"] is not None else (),
        month=read_list(token.piece(match, "month"), MONTH),
        day=read_list(day, DAY_FROM_END if from_end else DAY),
        from_end=from_end,
        at=replace(day, part="day"),
    )


def _read_time(token: Token) -> _Time:
    pieces = token.split(":")
    if len(pieces) not in (2, 3):
        raise replace(token, part="time").fault(f"`{token.value}` is not a time", "`10:00`, `10:00:30` or `*:0/15`")
    return _Time(
        hour=read_list(pieces[0], HOUR),
        minute=read_list(pieces[1], MINUTE),
        second=every_second(read_list(pieces[2], SECOND)) if len(pieces) == 3 else ZERO,
    )


def _written_weekdays(mask: int) -> str:
    """The days, those of three or more in a row as a range."""
    runs = re.finditer("1+", f"{mask:07b}"[::-1])
    texts: list[str] = []
    for run in runs:
        names = [name[:3] for name in _DAY_NAMES[run.start() : run.end()]]
        texts += names if len(names) < 3 else [f"{names[0]}..{names[-1]}"]
    return ",".join(texts)


def _pattern(event: _Event) -> DayPattern:
    days = mask_of(event.date.day) >> 1
    sunday_first = (event.weekdays << 1 | event.weekdays >> 6) & ALL_WEEKDAYS
    if event.date.from_end:
        return DayPattern(from_end=days, weekdays=sunday_first)
    return DayPattern(days=days or ALL_DAYS, weekdays=sunday_first)
