"""Calendars as people write them, in files and on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schedd.cli.document import Entry
from schedd.cli.failures import CommandError, UsageFault
from schedd.cli.fields import Fields, Shape
from schedd.cli.names import calendar_name
from schedd.v1.calendar_pb2 import CalendarEntry, DateRange, Holidays, Weekday, WeeklyWindow

_RANGE = re.compile(r"\s*(\S+?)\s*(?:\.\.|/|\s+to\s+)\s*(\S+?)\s*")
_WEEKLY = re.compile(r"\s*(?P<days>[A-Za-z][A-Za-z,\s.-]*?)(?:\s+(?P<start>[0-9:]+)\s*-\s*(?P<end>[0-9:]+))?\s*")
_DAYS = {value.name.removeprefix("WEEKDAY_"): value.number for value in Weekday.DESCRIPTOR.values[1:]}
_FORM_OF_WEEKLY = "write days and, if it is no whole day, times: `SAT,SUN` or `SAT 22:00-04:00`"


def range_of(text: str) -> DateRange:
    """`2026-12-24..2027-01-02`, or `12-24..01-02` for each year's. Raises: UsageFault."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise UsageFault(f"{text!r} is not a range of days: write FIRST..LAST, such as 2026-12-24..2027-01-02")
    return DateRange(first=match[1], last=match[2])


def weekly_of(text: str) -> WeeklyWindow:
    """`SAT,SUN` or `MON-FRI 22:00-04:00`. Raises: UsageFault."""
    match = _WEEKLY.fullmatch(text)
    if match is None:
        raise UsageFault(f"{text!r} is not a window of the week: {_FORM_OF_WEEKLY}")
    days = [day for part in match["days"].split(",") for day in _days_of(part.strip())]
    return WeeklyWindow(days=days, start=match["start"] or "00:00", end=match["end"] or "24:00")


def holidays_of(text: str) -> Holidays:
    """`DE`, or `DE-BY` for a part of it."""
    country, _, subdivision = text.strip().partition("-")
    return Holidays(country=country.upper(), subdivision=subdivision)


def icalendar_entry(path: Path) -> CalendarEntry:
    """The entry of an .ics file. Raises: CommandError."""
    try:
        return CalendarEntry(icalendar=path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error


def _days_of(text: str) -> list[Weekday.ValueType]:
    """A day, or a range of them (`MON-FRI`). Raises: UsageFault."""
    first, _, last = text.replace("..", "-").partition("-")
    begin, end = _day(first), _day(last or first)
    return [Weekday.ValueType((begin - 1 + step) % 7 + 1) for step in range((end - begin) % 7 + 1)]


def _day(text: str) -> int:
    word = text.strip().upper().removeprefix("WEEKDAY_")
    found = [number for name, number in _DAYS.items() if len(word) >= 3 and name.startswith(word)]
    if not found:
        raise UsageFault(f"{text!r} is not a day of the week; MON, TUE, WED, THU, FRI, SAT, SUN are")
    return found[0]


def _single(make: Callable[[str], Any]) -> Callable[[Fields, Entry, Any, str], None]:
    def read(fields: Fields, entry: Entry, message: Any, path: str) -> None:
        try:
            message.CopyFrom(make(entry.text()))
        except UsageFault as fault:
            entry.wrong(str(fault))

    return read


def _read_days(fields: Fields, entry: Entry, window: Any, path: str) -> None:
    for item in entry.items():
        try:
            window.days.extend(_days_of(item.text()))
        except UsageFault as fault:
            item.wrong(str(fault))


def _read_ics(fields: Fields, entry: Entry, message: Any, path: str) -> None:
    """`ics:`, the path of a file, from the directory of the file that names it."""
    fields.reading.places.setdefault(f"{path}.icalendar", entry.place)
    try:
        message.icalendar = icalendar_entry(Path(entry.file).parent / entry.text()).icalendar
    except CommandError as error:
        entry.wrong(str(error))


def _read_name(fields: Fields, entry: Entry, calendar: Any, path: str) -> None:
    fields.reading.places.setdefault("name", entry.place)
    try:
        calendar.name = calendar_name(entry.text())
    except UsageFault as fault:
        entry.wrong(str(fault))


CALENDAR_SHAPES = {
    "schedd.v1.Calendar": Shape(keys={"name": _read_name}, partial=True),
    "schedd.v1.CalendarEntry": Shape(principal="date", keys={"ics": _read_ics}),
    "schedd.v1.DateRange": Shape(single=_single(range_of)),
    "schedd.v1.WeeklyWindow": Shape(single=_single(weekly_of), keys={"days": _read_days}),
    "schedd.v1.Holidays": Shape(single=_single(holidays_of)),
}
