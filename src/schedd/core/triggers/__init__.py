"""The schedule language: from a description of when to fire (`schedd.core.model.when`) to a rule that answers questions about time."""

from __future__ import annotations

from schedd.core.triggers.checking import check_when, described, pointed
from schedd.core.triggers.civil import LAST_US
from schedd.core.triggers.clockless import Clockless, clockless
from schedd.core.triggers.compilation import compile_when, within_limits
from schedd.core.triggers.oncalendar import normal_form
from schedd.core.triggers.preview import Effect, Instant, preview
from schedd.core.triggers.recognition import recognise
from schedd.core.triggers.rule import Rule
from schedd.core.triggers.spread import due_us
from schedd.core.triggers.zonename import zone_data_version

__all__ = [
    "LAST_US",
    "Clockless",
    "Effect",
    "Instant",
    "Rule",
    "check_when",
    "clockless",
    "compile_when",
    "described",
    "due_us",
    "normal_form",
    "pointed",
    "preview",
    "recognise",
    "within_limits",
    "zone_data_version",
]
