"""The schedule language: from a description of when to fire (`schedd.core.model.when`) to a rule that answers questions about time."""

from __future__ import annotations

from schedd.core.triggers.calendars import NO_CALENDARS, CalendarDays, Calendars, calendar_days, leaving_out, used_calendars
from schedd.core.triggers.candidates import Candidates
from schedd.core.triggers.checking import check_when
from schedd.core.triggers.civil import LAST_US
from schedd.core.triggers.clockless import Clockless, clockless
from schedd.core.triggers.compilation import LeftOutRules, compile_left_out, compile_when, leaves_out, within_limits
from schedd.core.triggers.dialect import Dialect, dialect_of
from schedd.core.triggers.effects import Effect, Instant
from schedd.core.triggers.notes import notes
from schedd.core.triggers.oncalendar import normal_form
from schedd.core.triggers.pointing import described, pointed
from schedd.core.triggers.preview import preview
from schedd.core.triggers.recognition import recognise
from schedd.core.triggers.rule import Rule
from schedd.core.triggers.sentence import sentence
from schedd.core.triggers.spread import due_us
from schedd.core.triggers.zonechange import EarlierData, Moved, first_change_us, names_zone, zone_mark, zones_of
from schedd.core.triggers.zonename import is_zone, renamed_to, zone_data_version

__all__ = [
    "LAST_US",
    "NO_CALENDARS",
    "CalendarDays",
    "Calendars",
    "Candidates",
    "Clockless",
    "Dialect",
    "EarlierData",
    "Effect",
    "Instant",
    "LeftOutRules",
    "Moved",
    "Rule",
    "calendar_days",
    "check_when",
    "clockless",
    "compile_left_out",
    "compile_when",
    "described",
    "dialect_of",
    "due_us",
    "first_change_us",
    "is_zone",
    "leaves_out",
    "leaving_out",
    "names_zone",
    "normal_form",
    "notes",
    "pointed",
    "preview",
    "recognise",
    "renamed_to",
    "sentence",
    "used_calendars",
    "within_limits",
    "zone_data_version",
    "zone_mark",
    "zones_of",
]
