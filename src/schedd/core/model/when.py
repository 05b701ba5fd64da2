"""When a schedule fires: triggers, exclusions, calendars, zone, bounds and spread, exactly as its owner gave them.

These are descriptions, not engines: `schedd.core.triggers` compiles a `When` into a `Rule` that answers questions about time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class DayMatch(StrEnum):
    """How a cron expression that restricts both day fields joins them."""

    OR = "OR"
    """Either field is enough, as in Vixie cron; a field that begins with `*` restricts nothing."""
    AND = "AND"
    """Both fields have to match."""


class GapPolicy(StrEnum):
    """What becomes of a fixed local time that a zone transition leaves out."""

    DIALECT = "DIALECT"
    """As the expression's dialect has it: cron runs right after the gap; EventBridge and OnCalendar skip."""
    RUN_AFTER = "RUN_AFTER"
    SKIP = "SKIP"


class FoldPolicy(StrEnum):
    """What becomes of a fixed local time that a zone transition repeats."""

    DIALECT = "DIALECT"
    """As the expression's dialect has it; in all of them a fixed time runs once, at its first instant; OnCalendar's stars do, too."""
    FIRST = "FIRST"
    BOTH = "BOTH"


class SpreadMode(StrEnum):
    """How the due time of an occurrence is moved away from its nominal time."""

    NONE = "NONE"
    STABLE = "STABLE"
    """The same offset at each occurrence, drawn from the schedule's uid."""
    RANDOM = "RANDOM"
    """A new offset at each occurrence, drawn from the schedule's uid and the nominal time: the same after a restart."""


class CalendarShift(StrEnum):
    """What becomes of an occurrence on a day that the schedule's calendars leave out."""

    SKIP = "SKIP"
    """It does not run."""
    NEXT_DAY = "NEXT_DAY"
    """It runs at the same local time of the next day that fits."""
    PREVIOUS_DAY = "PREVIOUS_DAY"
    """It runs at the same local time of the last day before that fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """One string whose dialect is recognised by its form: cron, a macro, `cron()`, `rate()`, `at()`, OnCalendar, RRULE."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A cron expression of 5 fields, of 6 with leading seconds, of 7 with a trailing year, or a macro."""

    text: str
    day_match: DayMatch = DayMatch.OR


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Every `every` of real time, counted from an anchor, without drift.

    `every` is at least 1 ms. Without `anchor_us` (UTC microseconds) the schedule's creation time is the anchor; the anchor itself
    is a fire time.
    """

    every: timedelta
    anchor_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterCompletion:
    """A fixed delay after the completion of the previous execution; the first fire is `delay` after creation."""

    delay: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """One instant or several, in UTC microseconds, in ascending order."""

    times_us: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCalendar:
    """A systemd OnCalendar expression, systemd.time(7)."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """RFC 5545 text: DTSTART, RRULE, RDATE and EXDATE lines."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AtStart:
    """Once at each start of the daemon (`@reboot`)."""


Trigger = Expression | Cron | Interval | AfterCompletion | Once | OnCalendar | Recurrence | AtStart


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Moves due times by an offset within [0, window), never past the next nominal time."""

    mode: SpreadMode = SpreadMode.NONE
    window: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The whole rule of a schedule: the union of `triggers` minus `exclusions`, within [start_us, end_us), in `time_zone`.

    Instants are UTC microseconds. `exclusions` are triggers too: an occurrence is left out when one of them yields its very instant,
    or, for a rule of whole days, its day. `exclude_calendars` names calendars whose days are left out, `include_calendars` calendars
    outside of all of whose days nothing runs; `calendar_shift` says what becomes of an occurrence that they leave out.
    """

    triggers: tuple[Trigger, ...]
    exclusions: tuple[Trigger, ...] = ()
    exclude_calendars: tuple[str, ...] = ()
    include_calendars: tuple[str, ...] = ()
    calendar_shift: CalendarShift = CalendarShift.SKIP
    time_zone: str = "UTC"
    start_us: int | None = None
    end_us: int | None = None
    gap: GapPolicy = GapPolicy.DIALECT
    fold: FoldPolicy = FoldPolicy.DIALECT
    spread: Spread = Spread()
