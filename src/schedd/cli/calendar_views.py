"""Calendars as tables and lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from schedd.cli.names import short_name
from schedd.cli.output import View
from schedd.cli.spans import instant_text, relative_text
from schedd.cli.tables import Cell, Column
from schedd.cli.views import NOTHING, fact_lines, instant, word
from schedd.v1.calendar_pb2 import Calendar, CalendarEntry, Weekday

_SHOWN = 20


def calendars_view() -> View[Calendar]:
    """Calendars as a table."""
    return View(
        name=lambda calendar: calendar.name.removeprefix("calendars/"),
        columns=[
            Column(title="NAME", elastic=True),
            Column(title="ENTRIES", elastic=True, rank=1),
            Column(title="ZONE", rank=2),
            Column(title="USED BY", right=True),
            Column(title="DESCRIPTION", elastic=True, rank=3),
        ],
        row=_row,
        empty="no calendars",
    )


def _row(calendar: Calendar) -> Sequence[Cell]:
    return [
        Cell(calendar.name.removeprefix("calendars/")),
        Cell(", ".join(map(entry_text, calendar.entries[:3])) + (", …" if len(calendar.entries) > 3 else "")),
        Cell(calendar.time_zone or NOTHING),
        Cell(str(calendar.used_by_count)),
        Cell(calendar.description or NOTHING),
    ]


def entry_text(entry: CalendarEntry) -> str:
    """An entry as the command line and files take it."""
    match entry.WhichOneof("kind"):
        case "date":
            return entry.date
        case "range":
            return f"{entry.range.first}..{entry.range.last}"
        case "weekly":
            weekly = entry.weekly
            days = ",".join(word(Weekday, day)[:3] for day in weekly.days)
            return days if (weekly.start, weekly.end) == ("00:00", "24:00") else f"{days} {weekly.start}-{weekly.end}"
        case "holidays":
            part = f"-{entry.holidays.subdivision}" if entry.holidays.subdivision else ""
            return f"holidays of {entry.holidays.country}{part}"
        case "icalendar":
            return f"iCalendar, {entry.icalendar.count('BEGIN:VEVENT')} events"
        case _:
            return NOTHING


def calendar_lines(calendar: Calendar, now: datetime) -> list[str]:
    """All that a person wants to know about one calendar."""
    changed = instant(calendar.update_time)
    lines = fact_lines(
        [
            ("Name", calendar.name),
            ("Description", calendar.description),
            ("Time zone", calendar.time_zone or "that of each schedule"),
            ("Labels", ",".join(f"{key}={value}" for key, value in sorted(calendar.labels.items()))),
            ("Created by", calendar.creator),
            ("Changed", f"{instant_text(changed, UTC)} ({relative_text(changed, now)})"),
            ("Used by", str(calendar.used_by_count)),
        ]
    )
    lines += [f"  {short_name(name)}" for name in calendar.used_by]
    lines.append("Entries")
    for entry in calendar.entries[:_SHOWN]:
        lines.append(f"  {entry_text(entry)}" + (f"  {entry.description}" if entry.description else ""))
    if len(calendar.entries) > _SHOWN:
        lines.append(f"  and {len(calendar.entries) - _SHOWN} more; -o yaml shows all")
    return lines
