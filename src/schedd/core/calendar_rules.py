"""What a calendar has to be: `check_calendar` names every wrong field at once, before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Iterator

from schedd.core.errors import ExpressionError, FieldViolation
from schedd.core.model.calendar import Calendar
from schedd.core.model.schedule import NAME_PATTERN
from schedd.core.schedule_rules import check_labels
from schedd.core.triggers import described
from schedd.core.triggers.calendars import HolidayDates, check_entry
from schedd.core.triggers.zonename import zone_named

ENTRIES_MAX = 10_000
DESCRIPTION_MAX_CHARACTERS = 1024
ENTRY_DESCRIPTION_MAX_CHARACTERS = 255

_NAME = re.compile(NAME_PATTERN)


def check_calendar(draft: Calendar, holidays: HolidayDates) -> tuple[FieldViolation, ...]:
    """All that is wrong with the draft, by fields of the proto's Calendar; empty if nothing is."""
    return (
        *_name(draft.name),
        *check_labels(draft.labels),
        *_length("description", draft.description, DESCRIPTION_MAX_CHARACTERS),
        *_zone(draft.time_zone),
        *_entries(draft, holidays),
    )


def _name(name: str) -> Iterator[FieldViolation]:
    if not _NAME.fullmatch(name):
        yield FieldViolation(
            field="name",
            reason="INVALID_NAME",
            description=f"{name!r} is not a calendar's name: 1 to 64 letters, digits, dots, dashes and underscores are, "
            "with a letter or digit at both ends",
        )


def _length(field: str, text: str, most: int) -> Iterator[FieldViolation]:
    if len(text) > most:
        yield FieldViolation(field=field, reason="TOO_LONG", description=f"{len(text)} characters; at most {most} are allowed")


def _zone(name: str) -> Iterator[FieldViolation]:
    try:
        zone_named(name or "UTC")
    except ExpressionError as error:
        yield FieldViolation(field="time_zone", reason="UNKNOWN_ZONE", description=f"{error.reason}; {error.suggestion}")


def _entries(draft: Calendar, holidays: HolidayDates) -> Iterator[FieldViolation]:
    if not draft.entries:
        yield FieldViolation(field="entries", reason="REQUIRED", description='is empty: at least one entry, such as {date: "12-25"}')
    if len(draft.entries) > ENTRIES_MAX:
        count = len(draft.entries)
        yield FieldViolation(field="entries", reason="TOO_MANY", description=f"{count} of them; at most {ENTRIES_MAX} are allowed")
        return
    for index, entry in enumerate(draft.entries):
        yield from _length(f"entries[{index}].description", entry.description, ENTRY_DESCRIPTION_MAX_CHARACTERS)
        try:
            check_entry(entry, holidays)
        except ExpressionError as error:
            yield FieldViolation(field=f"entries[{index}].{error.part}", reason="INVALID_ENTRY", description=described(error))
