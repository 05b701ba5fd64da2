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
from schedd.core.triggers.civil import SECOND_US
from schedd.core.triggers.clockface import ClockFace, Seconds, SubSeconds
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

ITEMS_MAX: Final = 240
"""The most items of one list, as in systemd."""

SHORTEST_STEP_US: Final = 1_000
"""The shortest repetition of seconds: what intervals are held to as well."""

_DAY_NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAYS: Final = {name.lower()[:length]: index for index, name in enumerate(_DAY_NAMES) for length in (3, len(name))}
_DATE: Final = re.compile(r"(?:(?P<year>[^-~]*)-)?(?P<month>[^-~]*)(?P<end>[-~])(?P<day>[^-~]*)")
_WEEKDAY_ITEM: Final = re.compile(r"(?P<low>[A-Za-z]+)(?:(?:\.\.|-)(?P<high>[A-Za-z]+))?")
_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
_ITEM: Final = re.compile(rf"(?P<start>{_NUMBER})(?:\.\.(?P<stop>{_NUMBER}))?(?:/(?P<step>{_NUMBER}))?")
_EPOCH: Final = re.compile(r"@(?P<seconds>[0-9]{1,10})")
_EXAMPLE: Final = "`Mon..Fri *-*-* 09:00:00 Europe/Berlin`: weekdays, date, time and zone, each of which may be left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """One part of a date or a time: its bounds, the digits that the normal form gives it, and what its values count (`scale` to a 1)."""

    name: str
    low: int
    high: int
    digits: int = 2
    scale: int = 1


_YEAR: Final = _Unit(name="year", low=1970, high=2199, digits=4)
_MONTH: Final = _Unit(name="month", low=1, high=12)
_DAY: Final = _Unit(name="day", low=1, high=31)
_DAY_FROM_END: Final = _Unit(name="day from the end", low=1, high=28)
_HOUR: Final = _Unit(name="hour", low=0, high=23)
_MINUTE: Final = _Unit(name="minute", low=0, high=59)
_SECOND: Final = _Unit(name="second", low=0, high=60 * SECOND_US - 1, scale=SECOND_US)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """One item of a list: its values, its text in the normal form, and where the normal form sorts it."""

    values: range
    text: str
    rank: tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Date:
    """A date as read. A list without items stands for `*`. `at` is the day's place; `from_end` counts days from the end of the month."""

    year: tuple[_Item, ...] = ()
    month: tuple[_Item, ...] = ()
    day: tuple[_Item, ...] = ()
    from_end: bool = False
    at: Token


@dataclass(frozen=True, slots=True, kw_only=True)
class _Time:
    """A time of day as read. A list without items stands for `*`."""

    hour: tuple[_Item, ...]
    minute: tuple[_Item, ...]
    second: tuple[_Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """An expression as read. `weekdays`: bit 0 for Monday. `zones`: the one it names, if it names one."""

    weekdays: int
    date: _Date
    time: _Time
    zones: tuple[str, ...]


_ZERO: Final = (_Item(values=range(1), text="00", rank=(0, -1, 0)),)
_MIDNIGHT: Final = _Time(hour=_ZERO, minute=_ZERO, second=_ZERO)


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
    months = _mask(event.date.month) or _all(_MONTH)
    years = years_of(_mask(event.date.year))
    time = event.time
    face = ClockFace(_mask(time.hour) or _all(_HOUR), _mask(time.minute) or _all(_MINUTE), _seconds(time.second))
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
    written = [
        f"{_written(date.year)}-{_written(date.month)}{'~' if date.from_end else '-'}{_written(date.day)}",
        f"{_written(time.hour)}:{_written(time.minute)}:{_written(time.second)}",
        *event.zones,
    ]
    return " ".join(written if event.weekdays == ALL_WEEKDAYS else [_written_weekdays(event.weekdays), *written])


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
    if moment.year > _YEAR.high:
        raise token.fault(f"it lies in the year {moment.year}; OnCalendar's years end with {_YEAR.high}")
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
        year=_read_list(token.piece(match, "year"), _YEAR) if match["year"] is not None else (),
        month=_read_list(token.piece(match, "month"), _MONTH),
        day=_read_list(day, _DAY_FROM_END if from_end else _DAY),
        from_end=from_end,
        at=replace(day, part="day"),
    )


def _read_time(token: Token) -> _Time:
    pieces = token.split(":")
    if len(pieces) not in (2, 3):
        raise replace(token, part="time").fault(f"`{token.value}` is not a time", "`10:00`, `10:00:30` or `*:0/15`")
    return _Time(
        hour=_read_list(pieces[0], _HOUR),
        minute=_read_list(pieces[1], _MINUTE),
        second=_every_second(_read_list(pieces[2], _SECOND)) if len(pieces) == 3 else _ZERO,
    )


def _every_second(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    """Without items, that is `*`, where `0/1` says so already and the other items add no fraction."""
    every = any(item.text == "00/1" for item in items)
    return () if every and all(_is_whole(item.values) for item in items) else items


def _read_list(token: Token, unit: _Unit) -> tuple[_Item, ...]:
    """The items of a list, each once, in the order of the normal form; none for `*`."""
    at = replace(token, part=unit.name)
    if at.value == "*":
        return ()
    items = at.split(",")
    if len(items) > ITEMS_MAX:
        raise items[ITEMS_MAX].fault(f"a list has at most {ITEMS_MAX} items", "a repetition, such as `0/5`, stands for many")
    read = {item.rank: item for item in (_read_item(item, unit) for item in items)}
    return tuple(read[rank] for rank in sorted(read))


def _read_item(token: Token, unit: _Unit) -> _Item:
    match = _ITEM.fullmatch(token.value)
    if match is None:
        raise token.fault(*_not_an_item(token.value))
    start = _read_value(token.piece(match, "start"), unit)
    step = 0 if match["step"] is None else _read_step(token.piece(match, "step"), unit)
    if match["stop"] is not None:
        return _range_item(token, unit, start, _read_value(token.piece(match, "stop"), unit), step or unit.scale)
    if not step:
        return _Item(values=range(start, start + 1), text=_number(start, unit), rank=(start, -1, 0))
    values = range(start, 0, -step) if unit is _DAY_FROM_END else range(start, unit.high + 1, step)
    if len(values) == 1:
        raise token.fault(f"`{token.value}` repeats past the last {unit.name}", f"write `{match['start']}` for that one alone")
    return _Item(values=values, text=f"{_number(start, unit)}/{_number(step, replace(unit, digits=1))}", rank=(start, -1, step))


def _range_item(token: Token, unit: _Unit, start: int, stop: int, step: int) -> _Item:
    """A range, cut to a multiple of its step; the start alone where that leaves no more."""
    if stop < start:
        raise token.fault(f"`{token.value}` ends before it begins", "two items say it: `22..23,0..5`")
    stop -= (stop - start) % step
    if stop == start:
        return _Item(values=range(start, start + 1), text=_number(start, unit), rank=(start, -1, 0))
    repeated = "" if step == unit.scale else f"/{_number(step, replace(unit, digits=1))}"
    text = f"{_number(start, unit)}..{_number(stop, unit)}{repeated}"
    return _Item(values=range(start, stop + 1, step), text=text, rank=(start, stop, step))


def _not_an_item(value: str) -> tuple[str, str]:
    if not value:
        return "an item is missing here", "write `1,2`, without a comma at either end, or `*` for any"
    if value.startswith("*"):
        return f"`{value}`: a star stands alone in OnCalendar", "write `0/15` for every fifteenth from 0, `1/2` for every other from 1"
    return f"`{value}` is not a value, a range or a repetition", "write `5`, `1..5`, `0/15` or `1,3`"


def _read_value(token: Token, unit: _Unit) -> int:
    value = _scaled(token, unit)
    if unit is _YEAR and value < 100:
        value += 2000 if value < 70 else 1900
    if not unit.low <= value <= unit.high:
        high = unit.high // unit.scale
        raise token.fault(f"{token.value} is out of range: the {unit.name} is {unit.low} to {high}")
    return value


def _read_step(token: Token, unit: _Unit) -> int:
    step = _scaled(token, unit)
    if step < 1:
        raise token.fault("a repetition is more than 0", "write `0/15` for every fifteenth")
    if unit is _SECOND and step < SHORTEST_STEP_US:
        raise token.fault("a repetition of seconds is at least a millisecond", "write `0/0.001`")
    return step


def _scaled(token: Token, unit: _Unit) -> int:
    """The number, in microseconds where it counts seconds, rounded half up; cut to nine digits, which are out of range as well."""
    whole, _, fraction = token.value.partition(".")
    if fraction and unit is not _SECOND:
        raise token.fault(f"the {unit.name} has no fraction", "seconds alone have one: `10:00:00.5`")
    value = int(whole.lstrip("0")[:9] or "0") * unit.scale
    if not fraction:
        return value
    return value + int(fraction[:6].ljust(6, "0")) + (fraction[6:7] >= "5")


def _number(value: int, unit: _Unit) -> str:
    whole, fraction = divmod(value, unit.scale)
    return f"{whole:0{unit.digits}}" + (f".{fraction:06}" if fraction else "")


def _written(items: tuple[_Item, ...]) -> str:
    return ",".join(item.text for item in items) or "*"


def _written_weekdays(mask: int) -> str:
    """The days, those of three or more in a row as a range."""
    runs = re.finditer("1+", f"{mask:07b}"[::-1])
    texts: list[str] = []
    for run in runs:
        names = [name[:3] for name in _DAY_NAMES[run.start() : run.end()]]
        texts += names if len(names) < 3 else [f"{names[0]}..{names[-1]}"]
    return ",".join(texts)


def _pattern(event: _Event) -> DayPattern:
    days = _mask(event.date.day) >> 1
    sunday_first = (event.weekdays << 1 | event.weekdays >> 6) & ALL_WEEKDAYS
    if event.date.from_end:
        return DayPattern(from_end=days, weekdays=sunday_first)
    return DayPattern(days=days or ALL_DAYS, weekdays=sunday_first)


def _seconds(items: tuple[_Item, ...]) -> Seconds | SubSeconds:
    if not items:
        return Seconds((1 << 60) - 1)
    steps = tuple(item.values for item in items)
    if all(_is_whole(step) for step in steps):
        return Seconds(sum({1 << value // SECOND_US for step in steps for value in step}))
    return SubSeconds(steps)


def _is_whole(values: range) -> bool:
    """Whether values in microseconds are whole seconds."""
    return values.start % SECOND_US == 0 and (len(values) == 1 or values.step % SECOND_US == 0)


def _mask(items: tuple[_Item, ...]) -> int:
    mask = 0
    for item in items:
        for value in item.values:
            mask |= 1 << value
    return mask


def _all(unit: _Unit) -> int:
    return sum(1 << value for value in range(unit.low, unit.high + 1))
