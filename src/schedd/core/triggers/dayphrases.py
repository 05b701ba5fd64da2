"""The days of a field-based rule, in words."""

from __future__ import annotations

import re
from typing import Final

from schedd.core.triggers.days import ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, DayPattern
from schedd.core.triggers.phrases import joined, listed, members, ordinal, steps_of

_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_FROM_SUNDAY: Final = ("Sunday", *_WEEKDAYS[:6])
_MONTHS: Final = tuple(
    "any January February March April May June July August September October November December".split()  # noqa: SIM905 - one line
)
_RANGE: Final = re.compile("[A-Z][a-z]+ to [A-Z][a-z]+")
_NTH: Final = ("first", "second", "third", "fourth", "fifth")


def dates_of(pattern: DayPattern, months: int, years: tuple[int, ...]) -> str:
    """The dates in words, such as `on the 1st of the month`, `Monday to Friday, in March`; empty for each day of any year.

    `months`: bit m-1 for the month m. `years`: ascending, none for any.
    """
    month_words = "" if months == ALL_MONTHS else listed(members(months << 1), _MONTHS.__getitem__)
    numbers, weekdays = _by_number(pattern), _by_weekday(pattern)
    inside = bool(month_words) and bool(numbers) and not weekdays
    parts = [
        _days(numbers, weekdays, f"of {month_words}" if inside else "of the month", either=pattern.either),
        f"in {month_words}" if month_words and not inside else "",
        f"in {listed(years, str)}" if years else "",
    ]
    return ", ".join(part for part in parts if part)


def _days(numbers: str, weekdays: str, of_month: str, *, either: bool) -> str:
    """Both sides in words; a side that is empty matches any day."""
    match bool(numbers), bool(weekdays):
        case True, True:
            joint = "or" if either else "if that is"
            return f"on {numbers} {of_month} {joint} {weekdays if joint == 'if that is' else _on(weekdays)}"
        case True, False if not either:
            return f"on {numbers} {of_month}"
        case False, True if not either:
            return _on(weekdays)
        case _:
            return ""


def _on(weekdays: str) -> str:
    return weekdays if _RANGE.fullmatch(weekdays) else f"on {weekdays}"


def _by_number(pattern: DayPattern) -> str:
    """The day-of-month side; empty where any day matches."""
    if pattern.days == ALL_DAYS:
        return ""
    parts = [_numbers(members(pattern.days << 1))] if pattern.days else []
    parts += [f"the Monday-to-Friday day nearest the {ordinal(bit + 1)}" for bit in members(pattern.workday_near)]
    parts += _from_end(members(pattern.from_end))
    for bit in members(pattern.workday_near_end):
        near = f"the {ordinal(bit)} day before the last" if bit else "the last day"
        parts.append("the last Monday-to-Friday day" if not bit else f"the Monday-to-Friday day nearest {near}")
    return joined(parts)


def _from_end(distances: list[int]) -> list[str]:
    """Days by how many follow them; the last ones of a month in one."""
    if len(distances) > 1 and distances[-1] == len(distances) - 1:
        return [f"the last {len(distances)} days"]
    return ["the last day" if not distance else f"the {ordinal(distance)} day before the last" for distance in distances]


def _numbers(days: list[int]) -> str:
    every = steps_of(days)
    if every is None:
        return listed(days, _the)
    return f"every {ordinal(every.step)} day from {_the(every.first)} to {_the(every.last)}"


def _by_weekday(pattern: DayPattern) -> str:
    """The weekday side; empty where any weekday matches."""
    if pattern.weekdays == ALL_WEEKDAYS:
        return ""
    parts = [_week(pattern.weekdays)] if pattern.weekdays else []
    nth = [(bit % 7, bit // 7) for bit in members(pattern.nth_weekdays)]
    parts += [f"the {_NTH[week]} {_FROM_SUNDAY[day]}" for day, week in sorted(nth, key=lambda one: (one[1], one[0]))]
    parts += [f"the last {_FROM_SUNDAY[day]}" for day in members(pattern.last_weekdays)]
    return joined(parts) + (" of the month" if nth or pattern.last_weekdays else "")


def _week(weekdays: int) -> str:
    """Weekdays from Monday on, a run of three or more as a range, which may go round the end of the week."""
    turned = weekdays >> 1 | (weekdays & 1) << 6
    days = members(turned)
    if len(days) in (3, 4, 5, 6) and days[0] == 0 and days[-1] == 6:
        start = next(day for day in range(6, -1, -1) if day - 1 not in days)
        run = [day % 7 for day in range(start, start + len(days))]
        if sorted(run) == days:
            return f"{_WEEKDAYS[run[0]]} to {_WEEKDAYS[run[-1]]}"
    return listed(days, _WEEKDAYS.__getitem__)


def _the(day: int) -> str:
    return f"the {ordinal(day)}"
