"""Calendars between protobuf and the model."""

from __future__ import annotations

from schedd.api.convert.basics import Words, invalid, timestamp
from schedd.core.model.calendar import (
    Calendar,
    CalendarEntry,
    DateEntry,
    HolidaysEntry,
    ICalendarEntry,
    RangeEntry,
    Weekday,
    WeeklyEntry,
    calendar_resource,
)
from schedd.core.model.execution import id_text
from schedd.service.calendars import CalendarView
from schedd.v1 import calendar_pb2

WEEKDAY = Words(Weekday, calendar_pb2.Weekday, "WEEKDAY")

DEFINITION_FIELDS = ("description", "labels", "entries", "time_zone")
"""The fields that a client sets; the others are the server's."""


def calendar_of(message: calendar_pb2.Calendar, name: str) -> Calendar:
    """A new calendar from what a client sent. Raises: InvalidError."""
    return Calendar(
        name=name,
        entries=tuple(_entry_of(entry, f"entries[{index}]") for index, entry in enumerate(message.entries)),
        time_zone=message.time_zone,
        description=message.description,
        labels=dict(message.labels),
    )


def calendar(calendar: Calendar) -> calendar_pb2.Calendar:
    """The message of a calendar, without who uses it."""
    return calendar_pb2.Calendar(
        name=calendar_resource(calendar.name),
        uid=id_text(calendar.uid),
        etag=f'"{calendar.generation}"',
        description=calendar.description,
        labels=calendar.labels,
        entries=[_entry(entry) for entry in calendar.entries],
        time_zone=calendar.time_zone,
        creator=calendar.creator,
        create_time=timestamp(calendar.created_us),
        update_time=timestamp(calendar.updated_us),
    )


def view(view: CalendarView) -> calendar_pb2.Calendar:
    """The message of a calendar with who uses it."""
    message = calendar(view.calendar)
    message.used_by_count = view.used_by_count
    message.used_by.extend(str(name) for name in view.used_by)
    return message


def _entry_of(message: calendar_pb2.CalendarEntry, field: str) -> CalendarEntry:
    description = message.description
    match message.WhichOneof("kind"):
        case "date":
            return DateEntry(date=message.date, description=description)
        case "range":
            return RangeEntry(first=message.range.first, last=message.range.last, description=description)
        case "weekly":
            weekly = message.weekly
            days = tuple(_weekday(day, f"{field}.weekly.days[{index}]") for index, day in enumerate(weekly.days))
            return WeeklyEntry(days=days, start=weekly.start or "00:00", end=weekly.end or "24:00", description=description)
        case "holidays":
            holidays = message.holidays
            return HolidaysEntry(country=holidays.country, subdivision=holidays.subdivision, description=description)
        case "icalendar":
            return ICalendarEntry(text=message.icalendar, description=description)
        case _:
            raise invalid(field, "REQUIRED", 'is empty: date, range, weekly, holidays or icalendar, such as {date: "2026-12-25"}')


def _weekday(number: int, field: str) -> Weekday:
    if number == calendar_pb2.WEEKDAY_UNSPECIFIED:
        raise invalid(field, "REQUIRED", "is no day of the week: one such as WEEKDAY_SATURDAY")
    return WEEKDAY.word(number, Weekday.MONDAY, field)


def _entry(entry: CalendarEntry) -> calendar_pb2.CalendarEntry:
    message = calendar_pb2.CalendarEntry(description=entry.description)
    match entry:
        case DateEntry():
            message.date = entry.date
        case RangeEntry():
            message.range.first, message.range.last = entry.first, entry.last
        case WeeklyEntry():
            message.weekly.days.extend(WEEKDAY.number(day) for day in entry.days)
            message.weekly.start, message.weekly.end = entry.start, entry.end
        case HolidaysEntry():
            message.holidays.country, message.holidays.subdivision = entry.country, entry.subdivision
        case ICalendarEntry():
            message.icalendar = entry.text
    return message
