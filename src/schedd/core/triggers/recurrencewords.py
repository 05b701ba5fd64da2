"""RFC 5545 text in plain English, part by part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schedd.core.triggers.civil import utc_datetime
from schedd.core.triggers.phrases import count_of, joined, listed, ordinal
from schedd.core.triggers.recurrence_text import Frequency, Moment, RepeatRule, parse_recurrence

_UNITS: Final = {
    Frequency.YEARLY: "year",
    Frequency.MONTHLY: "month",
    Frequency.WEEKLY: "week",
    Frequency.DAILY: "day",
    Frequency.HOURLY: "hour",
    Frequency.MINUTELY: "minute",
    Frequency.SECONDLY: "second",
}
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = tuple(
    "any January February March April May June July August September October November December".split()  # noqa: SIM905 - one line
)
_LISTED: Final = 3
"""How many dates are told one by one."""
_CLOCK_TIMES: Final = 6
"""How many times of day are told one by one."""


def recurrence_words(text: str, time_zone: str) -> str:
    """What the lines mean, without a full stop; `time_zone` is that of times without one. Raises: ExpressionError."""
    read = parse_recurrence(text)
    home = read.start.zone.key if read.start is not None and read.start.zone is not None else time_zone
    parts = [", or ".join(_rule(rule, home) for rule in read.rules)] if read.rules else []
    if read.added:
        parts.append(f"{'also ' if read.rules else ''}{_dates(read.added, home)}")
    if read.left_out:
        parts.append(f"except {_dates(read.left_out, home)}")
    if read.start is not None:
        parts.append(f"from {_moment(read.start, home)} on" if parts else f"once, on {_moment(read.start, home)}")
    said = ", ".join([*parts, f"in {home}"])
    return said[0].upper() + said[1:]


def _rule(rule: RepeatRule, home: str) -> str:
    unit = _UNITS[rule.frequency]
    head = f"every {unit}" if rule.interval == 1 else f"every {rule.interval} {unit}s"
    parts = [head, *_days(rule), *_times(rule)]
    if rule.positions:
        parts.append(f"of these only the {_nth(rule.positions)} of each {unit}")
    if rule.week_start and (rule.weeks or (rule.frequency is Frequency.WEEKLY and rule.interval > 1)):
        parts.append(f"weeks beginning on {_WEEKDAYS[rule.week_start]}")
    if rule.count is not None:
        parts.append(count_of(rule.count, "time"))
    if rule.until is not None:
        parts.append(f"until {_moment(rule.until, home)}")
    return ", ".join(parts)


def _days(rule: RepeatRule) -> list[str]:
    parts = [f"in {listed(sorted(rule.months), _MONTHS.__getitem__)}"] if rule.months else []
    if rule.weeks:
        parts.append(f"in the {_nth(rule.weeks)} week of the year")
    if rule.year_days:
        parts.append(f"on the {_nth(rule.year_days)} day of the year")
    if rule.month_days:
        parts.append(f"on the {_nth(rule.month_days)} day of the month")
    if rule.weekdays:
        whole = "year" if rule.frequency is Frequency.YEARLY and not rule.months else "month"
        plain = sorted(day for number, day in rule.weekdays if not number)
        named = [f"the {_nth([number])} {_WEEKDAYS[day]} of the {whole}" for number, day in sorted(rule.weekdays) if number]
        parts.append(f"on {joined([*([listed(plain, _WEEKDAYS.__getitem__)] if plain else []), *named])}")
    return parts


def _times(rule: RepeatRule) -> list[str]:
    if rule.hours and rule.minutes and len(rule.hours) * len(rule.minutes) * max(1, len(rule.seconds)) <= _CLOCK_TIMES:
        seconds = [f":{second:02}" for second in sorted(rule.seconds)] or [""]
        clock = [f"{hour:02}:{minute:02}{second}" for hour in sorted(rule.hours) for minute in sorted(rule.minutes) for second in seconds]
        return [f"at {joined(clock)}"]
    units = ((rule.hours, "hour"), (rule.minutes, "minute"), (rule.seconds, "second"))
    return [f"at {noun if len(numbers) == 1 else noun + 's'} {listed(sorted(numbers), str)}" for numbers, noun in units if numbers]


def _nth(numbers: Iterable[int]) -> str:
    """`1st, 15th and last`: those from the start ascending, then those from the end."""
    return joined([_place(number) for number in sorted(numbers, key=lambda number: (number < 0, number))])


def _place(number: int) -> str:
    if number == -1:
        return "last"
    return ordinal(number) if number > 0 else f"{ordinal(-number)} last"


def _dates(moments: tuple[Moment, ...], home: str) -> str:
    if len(moments) > _LISTED:
        return f"on {len(moments)} dates"
    return f"on {joined([_moment(moment, home) for moment in moments])}"


def _moment(moment: Moment, home: str) -> str:
    """A date, or a date and time; with its zone where that is not `home`."""
    local = utc_datetime(moment.local_us)
    zone = f" {moment.zone.key}" if moment.zone is not None and moment.zone.key != home else ""
    return f"{local:%a %Y-%m-%d}" if moment.is_date else f"{local:%a %Y-%m-%d %H:%M:%S}{zone}"
