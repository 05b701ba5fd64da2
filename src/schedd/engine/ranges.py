"""The journal's rows for what exclusions and calendars keep from running."""

from __future__ import annotations

from collections.abc import Iterable

from schedd.core.errors import ExpressionError
from schedd.core.model.calendar import calendar_resource
from schedd.core.model.journal import JournalEntry
from schedd.core.model.reason import Outcome
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.omissions import omissions_of
from schedd.core.planning import LeftOut
from schedd.core.triggers import Calendars, leaving_out
from schedd.engine.arming import left_out_entry


def omitted_entries(schedule: Schedule, ranges: Iterable[LeftOut], calendars: Calendars, now_us: int) -> list[JournalEntry]:
    """The rows of what exclusions and calendars leave out; the evidence has the calendar that leaves out the first of a range, if any."""
    entries: list[JournalEntry] = []
    for range_ in ranges:
        entry = left_out_entry(schedule, range_, now_us, outcome=Outcome.SKIPPED)
        name = leaving_out(schedule.when, calendars, range_.first_us)
        entries.append(entry._replace(evidence={**entry.evidence, "calendar": calendar_resource(name)}) if name else entry)
    return entries


def pending_entries(schedule: Schedule, calendars: Calendars, *, undecided_us: int, through_us: int, now_us: int) -> list[JournalEntry]:
    """The rows of what an enabled schedule has left out since its last decided occurrence, as its planning begins anew after `through_us`.

    `undecided_us` is its first undecided occurrence; `calendars` are those by which it was planned.
    """
    if schedule.state is not ScheduleState.ENABLED:
        return []
    try:
        omissions = omissions_of(schedule.when, created_us=schedule.created_us, seed=schedule.uid, calendars=calendars)
    except ExpressionError:
        return []  # A calendar that cannot be read leaves out nothing that is known.
    if omissions is None:
        return []
    return omitted_entries(schedule, omissions.pending(undecided_us, through_us, from_us=schedule.planned_from_us), calendars, now_us)
