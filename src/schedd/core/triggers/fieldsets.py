"""The fields of cron-like expressions, read into sets: values, names, ranges that may wrap, steps, lists, and what days alone have.

One reader for cron and for EventBridge; what differs between them (the fields' order and bounds, Sunday's number) is in `Field`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from schedd.core.errors import ExpressionError
from schedd.core.triggers.civil import month_length
from schedd.core.triggers.days import ALL_DAYS, ALL_WEEKDAYS, DayPattern, DaySet
from schedd.core.triggers.draw import draw
from schedd.core.triggers.hints import beyond, stray

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an expression: its name, its bounds, and how many distinct values it cycles through.

    `names[i]` stands for the value `low + i`. `draw_high` bounds what H and ~ draw where the expression does not: 28 for days of the
    month, so that no month is left out.
    """

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    cycle: int = 0
    draw_high: int = 0

    @property
    def top(self) -> int:
        """The last value of `*`: one less than `high` where `high` is another name of `low` (7 for Sunday)."""
        return self.low + self.cycle - 1

    @property
    def article(self) -> str:
        """What English puts before the name."""
        return "an" if self.name == "hour" else "a"


def _field(name: str, low: int, high: int, names: tuple[str, ...] = (), cycle: int = 0, draw_high: int = 0) -> Field:
    return Field(
        name=name,
        low=low,
        high=high,
        names=names,
        cycle=cycle or high - low + 1,
        draw_high=draw_high or low + (cycle or high - low + 1) - 1,
    )


SECOND: Final = _field("second", 0, 59)
MINUTE: Final = _field("minute", 0, 59)
HOUR: Final = _field("hour", 0, 23)
DAY_OF_MONTH: Final = _field("day of month", 1, 31, draw_high=28)
MONTH: Final = _field("month", 1, 12, _MONTHS)
DAY_OF_WEEK: Final = _field("day of week", 0, 7, _WEEKDAYS, cycle=7)
"""Cron's: Sunday is 0 and 7."""
DAY_OF_WEEK_FROM_1: Final = _field("day of week", 1, 7, _WEEKDAYS)
"""EventBridge's: Sunday is 1, Saturday 7."""
YEAR: Final = _field("year", 1970, 2199)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression that knows its place in it."""

    text: str
    value: str
    position: int
    part: str

    def fault(self, reason: str, suggestion: str = "") -> ExpressionError:
        """The error that points at this piece."""
        return ExpressionError(
            text=self.text, part=self.part, reason=reason, position=self.position, length=max(1, len(self.value)), suggestion=suggestion
        )

    def split(self, separator: str) -> list[Token]:
        """The pieces between the separators, empty ones too."""
        pieces: list[Token] = []
        position = self.position
        for value in self.value.split(separator):
            pieces.append(Token(self.text, value, position, self.part))
            position += len(value) + len(separator)
        return pieces

    def piece(self, match: re.Match[str], group: str) -> Token:
        """The piece that a group of a match on `value` caught."""
        return Token(self.text, match[group], self.position + match.start(group), self.part)


LONGEST_TEXT: Final = 1024
"""The most characters of an expression on one line."""

_PIECE: Final = re.compile(r"[^ \t\r\n]+")


def tokens_of(text: str, part: str, start: int = 0, end: int | None = None) -> list[Token]:
    """The pieces of `text[start:end]` between blanks (space, tab, line end; no others).

    Raises: ExpressionError, when the text is longer than LONGEST_TEXT.
    """
    if len(text) > LONGEST_TEXT:
        raise ExpressionError(
            text=text,
            part=part,
            reason=f"it has {len(text)} characters; at most {LONGEST_TEXT} are allowed",
            position=LONGEST_TEXT,
            suggestion="a schedule takes several triggers: share it out between them",
        )
    found = _PIECE.finditer(text, start, len(text) if end is None else end)
    return [Token(text, match[0], match.start(), part) for match in found]


_VALUE: Final = r"[0-9]+|[A-Za-z]+"
_ITEM: Final = re.compile(
    rf"(?:(?P<any>\*)|(?P<hash>H)(?:\((?P<hash_low>{_VALUE})-(?P<hash_high>{_VALUE})\))?|(?P<low>{_VALUE})(?:-(?P<high>{_VALUE}))?)"
    r"(?:/(?P<step>[0-9]+))?"
)
_RANDOM: Final = re.compile(rf"(?P<low>{_VALUE})?~(?P<high>{_VALUE})?")


def read_set(token: Token, field: Field, seed: int) -> int:
    """The values of a field as a mask: bit v for the value v, `high` folded onto `low` where they are one.

    Raises: ExpressionError.
    """
    if token.value.isascii() and token.value.isdigit():
        return _bit(_read_value(token, field), field)
    if token.value == "*":
        return _all(field)
    mask = 0
    for item in token.split(","):
        mask |= _read_item(item, field, seed)
    return mask


@cache
def _all(field: Field) -> int:
    return _span(field.low, field.top, 1, field)


def _read_item(item: Token, field: Field, seed: int) -> int:
    if not item.value:
        raise item.fault("an item of the list is empty", "write `1,2`, without a comma at either end")
    if (match := _RANDOM.fullmatch(item.value)) is not None:
        low, high = _drawn_bounds(item, match, field, "low", "high")
        return _bit(low + draw(seed, field.name, high - low + 1), field)
    if (match := _ITEM.fullmatch(item.value)) is None:
        raise item.fault(f"`{item.value}` is not a value, a range or a step", stray(item.value, item.text) or _example(field))
    step = _read_step(item, match)
    if match["hash"] is not None:
        return _read_hash(item, match, field, seed, step)
    low, high = _read_bounds(item, match, field)
    return _span(low, high, step or 1, field)


def _read_bounds(item: Token, match: re.Match[str], field: Field) -> tuple[int, int]:
    if match["any"] is not None:
        return field.low, field.top
    low = _read_value(item.piece(match, "low"), field)
    if match["high"] is not None:
        return low, _read_value(item.piece(match, "high"), field)
    return low, low if match["step"] is None else max(field.top, low)


def _read_hash(item: Token, match: re.Match[str], field: Field, seed: int, step: int | None) -> int:
    low, high = _drawn_bounds(item, match, field, "hash_low", "hash_high")
    width = high - low + 1
    if step is None:
        return _bit(low + draw(seed, field.name, width), field)
    top = high if match["hash_high"] is not None else field.top
    return _span(low + draw(seed, field.name, min(step, width)), top, step, field)


def _drawn_bounds(item: Token, match: re.Match[str], field: Field, low_group: str, high_group: str) -> tuple[int, int]:
    low = field.low if match[low_group] is None else _read_value(item.piece(match, low_group), field)
    high = max(low, field.draw_high) if match[high_group] is None else _read_value(item.piece(match, high_group), field)
    if low > high:
        raise item.fault(f"the range of `{item.value}` ends before it begins")
    return low, high


def _read_step(item: Token, match: re.Match[str]) -> int | None:
    if match["step"] is None:
        return None
    step = item.piece(match, "step")
    if len(step.value) > 9 or int(step.value) == 0:
        raise step.fault("a step is a number from 1 on", "write `*/5` for every fifth")
    return int(step.value)


def _read_value(token: Token, field: Field) -> int:
    if not token.value.isdigit():
        name = token.value.upper()
        if name not in field.names:
            meant = f"write `{name[:3]}`" if name[:3] in field.names else _example(field)
            raise token.fault(f"`{token.value}` is not {field.article} {field.name}", meant)
        return field.low + field.names.index(name)
    if len(token.value) > 9 or not field.low <= int(token.value) <= field.high:
        raise token.fault(
            f"{token.value} is out of range: {field.article} {field.name} is {field.low} to {field.high}",
            beyond(field.name, token.value, field.high),
        )
    return int(token.value)


def _example(field: Field) -> str:
    bounds = f"{field.article} {field.name} is {field.low} to {field.high}"
    if field.names:
        return f"{bounds}, or {field.names[0]} to {field.names[-1]}"
    return f"{bounds}: `{field.low}`, `{field.low}-{field.low + 4}`, `*/5`, `{field.low},{field.low + 2}`"


def _span(low: int, high: int, step: int, field: Field) -> int:
    """The values from low to high in steps, round the end of the field where high is the smaller."""
    if high < low and low == field.high > field.top:
        low = field.low
    if high < low:
        high += field.cycle
    mask = 0
    for value in range(low, high + 1, step):
        mask |= _bit(value, field)
    return mask


def _bit(value: int, field: Field) -> int:
    return 1 << field.low + (value - field.low) % field.cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFields:
    """The two day fields of an expression, as read; `joined` makes one pattern of them."""

    by_number: DayPattern
    by_weekday: DayPattern

    def joined(self, *, either: bool) -> DayPattern:
        """One pattern of both sides."""
        number, week = self.by_number, self.by_weekday
        return DayPattern(
            days=number.days,
            from_end=number.from_end,
            workday_near=number.workday_near,
            workday_near_end=number.workday_near_end,
            weekdays=week.weekdays,
            nth_weekdays=week.nth_weekdays,
            last_weekdays=week.last_weekdays,
            either=either,
        )


_LAST_DAY: Final = re.compile(r"L(?:-(?P<before>[0-9]+))?(?P<workday>W)?", re.IGNORECASE)
_WORKDAY: Final = re.compile(r"(?P<day>[0-9]+)W|W(?P<day_after>[0-9]+)", re.IGNORECASE)
_TO_LAST: Final = re.compile(r"(?P<low>[0-9]+)-L(?:/(?P<step>[0-9]+))?", re.IGNORECASE)
_NTH: Final = re.compile(rf"(?P<low>{_VALUE})(?:-(?P<high>{_VALUE}))?#(?P<nth>[0-9]+)")
_LAST_WEEKDAY: Final = re.compile(r"(?P<day>[0-9]|[A-Z]{3})L|L(?P<day_after>[0-9]|[A-Z]{3})", re.IGNORECASE)


def read_days_of_month(token: Token, seed: int) -> DayPattern:
    """The day-of-month field: besides values `?`, `L`, `L-n`, `LW`, `L-nW`, `nW` and ranges up to `L`.

    Raises: ExpressionError.
    """
    if token.value == "?":
        return DayPattern(days=ALL_DAYS)
    days = from_end = workday_near = workday_near_end = 0
    for item in token.split(","):
        if (match := _LAST_DAY.fullmatch(item.value)) is not None:
            bit = 1 << _read_distance(item, match)
            workday_near_end |= bit if match["workday"] else 0
            from_end |= 0 if match["workday"] else bit
        elif (match := _WORKDAY.fullmatch(item.value)) is not None:
            workday_near |= 1 << _read_value(item.piece(match, "day" if match["day"] else "day_after"), DAY_OF_MONTH) - 1
        elif (match := _TO_LAST.fullmatch(item.value)) is not None:
            low = _read_value(item.piece(match, "low"), DAY_OF_MONTH)
            days |= _span(low, 31, _read_step(item, match) or 1, DAY_OF_MONTH) >> 1
        else:
            days |= _read_item(item, DAY_OF_MONTH, seed) >> 1
    return DayPattern(days=days, from_end=from_end, workday_near=workday_near, workday_near_end=workday_near_end)


def _read_distance(item: Token, match: re.Match[str]) -> int:
    if match["before"] is None:
        return 0
    before = item.piece(match, "before")
    if len(before.value) > 2 or int(before.value) > 30:
        raise before.fault("no month has so many days before its last", "write `L-3` for the third day before the last")
    return int(before.value)


def read_days_of_week(token: Token, field: Field, seed: int) -> DayPattern:
    """The day-of-week field: besides values `?`, `d#n`, `dL` and `Ld`.

    Raises: ExpressionError.
    """
    if token.value == "?":
        return DayPattern(weekdays=ALL_WEEKDAYS)
    weekdays = nth_weekdays = last_weekdays = 0
    for item in token.split(","):
        if (match := _NTH.fullmatch(item.value)) is not None:
            nth_weekdays |= _read_nth(item, match, field)
        elif (match := _LAST_WEEKDAY.fullmatch(item.value)) is not None:
            day = item.piece(match, "day" if match["day"] else "day_after")
            last_weekdays |= _bit(_read_value(day, field), field) >> field.low
        elif item.value.upper() == "L" and field is DAY_OF_WEEK_FROM_1:
            weekdays |= 1 << 6
        else:
            weekdays |= _read_item(item, field, seed) >> field.low
    return DayPattern(weekdays=weekdays, nth_weekdays=nth_weekdays, last_weekdays=last_weekdays)


def _read_nth(item: Token, match: re.Match[str], field: Field) -> int:
    low = _read_value(item.piece(match, "low"), field)
    high = low if match["high"] is None else _read_value(item.piece(match, "high"), field)
    nth = item.piece(match, "nth")
    if len(nth.value) > 1 or not 1 <= int(nth.value) <= 5:
        raise nth.fault("a month has a first to a fifth of each weekday", "write `FRI#2` for the second Friday, `5L` for the last")
    return _span(low, high, 1, field) >> field.low << 7 * (int(nth.value) - 1)


def years_of(mask: int) -> tuple[int, ...]:
    """The years of a mask; none where it holds them all, which stands for any year."""
    years = tuple(year for year in range(YEAR.low, YEAR.high + 1) if mask >> year & 1)
    return () if len(years) == YEAR.cycle else years


def possible_days(at: Token, pattern: DayPattern, months: int, years: tuple[int, ...], *, last_day: str = "") -> DaySet:
    """The days of a pattern in months (bit m for the month m) and years.

    `last_day`: how a dialect other than cron's writes the last day of a month.

    Raises: ExpressionError, pointing at the day of the month, when no day of any year matches.
    """
    days = DaySet(pattern, months >> 1, years)
    if days.is_empty:
        longest = max(month_length(2000, month) for month in range(1, 13) if months >> month & 1)
        too_late = pattern.days & ((1 << longest) - 1) == 0 and pattern.days != 0
        why = f"the longest of its months has {longest} days" if too_late else "no day of its months and years fits all the day fields"
        last = last_day or f"`L`: `{f'{at.text[: at.position]}L{at.text[at.position + len(at.value) :]}'.strip()}`"
        raise at.fault(f"can never match: {why}", f"the last day of the month is {last}" if too_late else "")
    return days
