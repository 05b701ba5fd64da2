"""RFC 5545 text read into what it says: DTSTART, RRULE, RDATE and EXDATE, each value checked against its bounds.

A bare `FREQ=…` is an RRULE. Long lines may be folded as iCalendar folds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import IntEnum
from typing import Final

from schedd.core.errors import ExpressionError
from schedd.core.triggers.civil import FIRST_YEAR, LAST_YEAR, instant_us
from schedd.core.triggers.fieldsets import Token
from schedd.core.triggers.zone import Zone
from schedd.core.triggers.zonename import zone_named

TEXT_MAX_CHARACTERS: Final = 16 * 1024
RULES_MAX: Final = 8
COUNT_MAX: Final = 1000
INTERVAL_MAX: Final = 1_000_000_000

_FOLD: Final = re.compile(r"\r?\n[ \t](?![ \t]*(?:DTSTART|RRULE|RDATE|EXDATE|EXRULE)\b)", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z-]*")
_MOMENT: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:T([0-9]{2})([0-9]{2})([0-9]{2})(Z?))?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?P<sign>[+-]?)[0-9]{1,10}")
_WEEKDAY: Final = re.compile(r"(?P<number>[+-]?[0-9]{1,2})?(?P<day>MO|TU|WE|TH|FR|SA|SU)", re.IGNORECASE)
_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_PROPERTIES: Final = ("DTSTART", "RRULE", "RDATE", "EXDATE")
_FORMS: Final = "`20300131T090000`, `20300131T090000Z` in UTC, or `20300131` with VALUE=DATE"


class Frequency(IntEnum):
    """FREQ, the coarsest first."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5
    SECONDLY = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A date or a date and time: a local time in microseconds, of `zone`, or of the schedule's zone where that is None."""

    local_us: int
    zone: Zone | None
    is_date: bool
    token: Token


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatRule:
    """One RRULE. An empty set stands for a part that is not given; weekdays are (number or 0, weekday), Monday being 0."""

    token: Token
    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: Moment | None = None
    week_start: int = 0
    positions: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weeks: frozenset[int] = frozenset()
    year_days: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    weekdays: frozenset[tuple[int, int]] = frozenset()
    hours: frozenset[int] = frozenset()
    minutes: frozenset[int] = frozenset()
    seconds: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrenceText:
    """What the lines say. `start` is None without DTSTART."""

    start: Moment | None
    rules: tuple[RepeatRule, ...]
    added: tuple[Moment, ...]
    left_out: tuple[Moment, ...]


def parse_recurrence(text: str) -> RecurrenceText:
    """Read RFC 5545 lines. Raises: ExpressionError, its part the property's name, or the property's and the part's (`RRULE.BYMONTH`)."""
    if len(text) > TEXT_MAX_CHARACTERS:
        raise ExpressionError(text=text[:80], part="recurrence", reason=f"it is longer than {TEXT_MAX_CHARACTERS} characters")
    starts: list[Moment] = []
    rules: list[RepeatRule] = []
    added: list[Moment] = []
    left_out: list[Moment] = []
    for line in _lines(text):
        name = (_NAME.match(line.value) or [""])[0].upper()
        match name:
            case "DTSTART":
                starts.append(_start(line, starts))
            case "RDATE":
                added += _moments(line, "RDATE")
            case "EXDATE":
                left_out += _moments(line, "EXDATE")
            case _:
                rules.append(_rule(_rule_token(line, name), rules))
    if not starts and not rules and not added:
        raise ExpressionError(
            text=text, part="recurrence", reason="it says nothing about when", suggestion="an RRULE, such as `RRULE:FREQ=WEEKLY;BYDAY=MO`"
        )
    return RecurrenceText(start=starts[0] if starts else None, rules=tuple(rules), added=tuple(added), left_out=tuple(left_out))


def _lines(text: str) -> list[Token]:
    unfolded = _FOLD.sub("", text)
    return [Token(unfolded, match[0], match.start(), "recurrence") for match in re.finditer(r"\S+", unfolded)]


def _start(line: Token, before: list[Moment]) -> Moment:
    moments = _moments(line, "DTSTART")
    if before or len(moments) != 1:
        raise _piece(line, 0, line.value, "DTSTART").fault(
            "DTSTART is one date and time, and stands once", "more of them go into RDATE lines"
        )
    return moments[0]


def _rule_token(line: Token, name: str) -> Token:
    """The rule of a line that is RRULE or a rule without its name."""
    value = line.value[len(name) :]
    if name == "RRULE" and value.startswith(":"):
        return _piece(line, len("RRULE:"), line.value[len("RRULE:") :], "RRULE")
    if name != "RRULE" and value.startswith("=") and ":" not in value:
        return Token(line.text, line.value, line.position, "RRULE")
    if name == "EXRULE":
        raise line.fault("EXRULE is no longer part of RFC 5545", "the schedule's exclusions take a recurrence as well")
    raise line.fault(
        f"`{name or line.value}` is none of {', '.join(_PROPERTIES)}", "lines such as `DTSTART:20300131T090000` and `RRULE:FREQ=DAILY`"
    )


def _piece(token: Token, offset: int, value: str, part: str) -> Token:
    return Token(token.text, value, token.position + offset, part)


def _pieces(token: Token, separator: str, part: str) -> Iterable[Token]:
    offset = 0
    for value in token.value.split(separator):
        yield _piece(token, offset, value, part)
        offset += len(value) + 1


# Dates and times


def _moments(line: Token, part: str) -> list[Moment]:
    head, colon, value = line.value.partition(":")
    if not colon:
        raise _piece(line, 0, line.value, part).fault(f"{part} has no value", f"`{part}:20300131T090000`")
    zone: Zone | None = None
    kind = ""
    for parameter in list(_pieces(_piece(line, 0, head, part), ";", part))[1:]:
        key, _, setting = parameter.value.partition("=")
        match key.upper():
            case "TZID":
                zone = _zone(parameter, setting.strip('"'))
            case "VALUE" if setting.upper() in ("DATE", "DATE-TIME"):
                kind = setting.upper()
            case _:
                raise parameter.fault(f"`{parameter.value}` is not understood", "TZID=zone, VALUE=DATE or VALUE=DATE-TIME")
    values = _pieces(_piece(line, len(head) + 1, value, part), ",", part)
    return [_moment(each, zone, kind) for each in values]


def _zone(token: Token, name: str) -> Zone:
    try:
        return zone_named(name)
    except ExpressionError as error:
        raise token.fault(error.reason, error.suggestion) from error


def _moment(token: Token, zone: Zone | None, kind: str) -> Moment:
    match = _MOMENT.fullmatch(token.value)
    if match is None:
        raise token.fault(f"`{token.value}` is not a date or a date and time", _FORMS)
    *numbers, utc = match.groups()
    is_date = numbers[3] is None
    if (kind == "DATE" and not is_date) or (kind == "DATE-TIME" and is_date):
        raise token.fault(f"`{token.value}` is not what VALUE={kind} says", _FORMS)
    if zone is not None and (utc or is_date):
        raise token.fault("TZID goes with a local date and time", "without the Z, and without VALUE=DATE")
    if not FIRST_YEAR <= int(numbers[0]) <= LAST_YEAR:
        raise token.fault(f"the year is not between {FIRST_YEAR} and {LAST_YEAR}")
    try:
        year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise token.fault(f"`{token.value}` does not exist: {error}", _FORMS) from error
    return Moment(local_us=instant_us(moment), zone=zone_named("UTC") if utc else zone, is_date=is_date, token=token)


# The rule


def _rule(token: Token, before: list[RepeatRule]) -> RepeatRule:
    if len(before) == RULES_MAX:
        raise token.fault(f"there are more than {RULES_MAX} rules", "a schedule may have several triggers")
    values: dict[str, object] = {}
    for piece in _pieces(token, ";", "RRULE"):
        name, _, value = piece.value.partition("=")
        name = name.upper()
        if name not in _PARTS:
            near = get_close_matches(name, _PARTS, 1, 0.6)
            known = f"did you mean `{near[0]}`?" if near else f"one of {', '.join(_PARTS)}"
            raise piece.fault(f"`{piece.value}` is not a part of a rule", known)
        field, read = _PARTS[name]
        part = _piece(piece, min(len(name) + 1, len(piece.value)), value, f"RRULE.{name}")
        if field in values:
            raise part.fault(f"{name} stands twice", "one part with a list, such as `BYHOUR=9,17`")
        values[field] = read(part)
    if "frequency" not in values:
        raise token.fault("the rule has no FREQ", "`FREQ=DAILY`")
    rule = RepeatRule(token=token, **values)  # type: ignore[arg-type]
    _check(rule)
    return rule


def _check(rule: RepeatRule) -> None:
    """What RFC 5545 forbids to stand together. Parts that it calls not applicable to a FREQ narrow that rule down, as everywhere."""
    if rule.count is not None and rule.until is not None:
        raise rule.token.fault("COUNT and UNTIL exclude each other", "one of them")
    largest = max((abs(number) for number, _ in rule.weekdays), default=0)
    if largest and (rule.frequency > Frequency.MONTHLY or rule.weeks):
        raise _named(rule, "BYDAY").fault(
            "BYDAY takes numbers only with FREQ=MONTHLY, or FREQ=YEARLY without BYWEEKNO", "weekdays alone, such as `BYDAY=MO,FR`"
        )
    if largest > 5 and (rule.frequency is Frequency.MONTHLY or rule.months):
        raise _named(rule, "BYDAY").fault("a month has no weekday more than five times", "1 to 5, or -5 to -1, such as `BYDAY=-1FR`")
    if rule.positions and not (
        rule.months or rule.weeks or rule.year_days or rule.month_days or rule.weekdays or rule.hours or rule.minutes or rule.seconds
    ):
        raise _named(rule, "BYSETPOS").fault(
            "BYSETPOS chooses from what another BY part allows, and there is none", "`BYDAY=MO,TU;BYSETPOS=1`"
        )


def _named(rule: RepeatRule, part: str) -> Token:
    return Token(rule.token.text, rule.token.value, rule.token.position, f"RRULE.{part}")


def _frequency(token: Token) -> Frequency:
    try:
        return Frequency[token.value.upper()]
    except KeyError as error:
        raise token.fault(f"`{token.value}` is not a frequency", f"one of {', '.join(Frequency.__members__)}") from error


def _number(low: int, high: int, *, signed: bool = False, more: str = "") -> Callable[[Token], int]:
    allowed = f"{low} to {high}" + (f", or -{high} to -{low}" if signed else "") + (f"; {more}" if more else "")

    def read(token: Token) -> int:
        match = _NUMBER.fullmatch(token.value)
        if match is None or (match["sign"] and not signed) or not low <= abs(int(token.value)) <= high:
            raise token.fault(f"`{token.value}` is not allowed here", allowed)
        return int(token.value)

    return read


def _numbers(low: int, high: int, *, signed: bool = False) -> Callable[[Token], frozenset[int]]:
    one = _number(low, high, signed=signed)
    return lambda token: frozenset(one(piece) for piece in _pieces(token, ",", token.part))


def _weekday(token: Token) -> tuple[int, int]:
    match = _WEEKDAY.fullmatch(token.value)
    if match is None or (match["number"] is not None and not 1 <= abs(int(match["number"])) <= 53):
        raise token.fault(f"`{token.value}` is not a weekday", "MO, TU, WE, TH, FR, SA, SU, or with a number: `1MO`, `-1FR`")
    return int(match["number"] or 0), _WEEKDAYS.index(match["day"].upper())


def _weekdays(token: Token) -> frozenset[tuple[int, int]]:
    return frozenset(_weekday(piece) for piece in _pieces(token, ",", token.part))


def _week_start(token: Token) -> int:
    if token.value.upper() not in _WEEKDAYS:
        raise token.fault(f"`{token.value}` is not a weekday", "one of " + ", ".join(_WEEKDAYS))
    return _WEEKDAYS.index(token.value.upper())


_PARTS: Final[Mapping[str, tuple[str, Callable[[Token], object]]]] = {
    "FREQ": ("frequency", _frequency),
    "INTERVAL": ("interval", _number(1, INTERVAL_MAX)),
    "COUNT": ("count", _number(1, COUNT_MAX, more="UNTIL has no such bound")),
    "UNTIL": ("until", lambda token: _moment(token, None, "")),
    "BYMONTH": ("months", _numbers(1, 12)),
    "BYWEEKNO": ("weeks", _numbers(1, 53, signed=True)),
    "BYYEARDAY": ("year_days", _numbers(1, 366, signed=True)),
    "BYMONTHDAY": ("month_days", _numbers(1, 31, signed=True)),
    "BYDAY": ("weekdays", _weekdays),
    "BYHOUR": ("hours", _numbers(0, 23)),
    "BYMINUTE": ("minutes", _numbers(0, 59)),
    "BYSECOND": ("seconds", _numbers(0, 59)),
    "BYSETPOS": ("positions", _numbers(1, 366, signed=True)),
    "WKST": ("week_start", _week_start),
}
