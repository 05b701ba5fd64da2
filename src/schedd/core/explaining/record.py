"""What an explanation is made from: the rows and journal entries that are stored, and how things stand now. Nothing else is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schedd.core.model.backfill import Backfill
from schedd.core.model.execution import Execution
from schedd.core.model.journal import Evidence, JournalEntry
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import Schedule
from schedd.core.triggers import NO_CALENDARS, Calendars


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The nominal times asked for, both included, in UTC microseconds. With `single` it is one instant that wants an answer."""

    first_us: int
    last_us: int
    single: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdup:
    """A limit that is full now, or a circuit breaker that is open, in the way of a schedule's executions."""

    reason: Reason
    evidence: Evidence
    skips: bool
    """Whether the schedule's policy is to skip what it holds back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """How a schedule stands now.

    `undecided_us` is its first occurrence that is not decided, None if there is none or if it is not enabled. `unfinished` are its
    executions that have come due and have not finished, in the order of arming. `runs_left` is None without a limit. `backlogs` are its
    ranges of which something is left to be armed.
    """

    now_us: int
    undecided_us: int | None = None
    unfinished: Sequence[Execution] = ()
    runs_left: int | None = None
    holdups: Sequence[Holdup] = ()
    backlogs: Sequence[Backfill] = ()
    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is stored that bears on a window.

    `executions` are those whose nominal time lies in it, and `entries` the journal's about executions whose nominal time does. `life` are
    the entries about the schedule itself and about ranges of its occurrences, `daemon` those about the daemon, the host's clock and
    calendars, each in the journal's order. `signs` says of daemon starts, by sequence, when the entry before them was written: the last
    sign of life of the daemon before. `kept_from_us` is since when the journal is kept, 0 if nothing of it was removed.
    """

    schedule: Schedule
    calendars: Calendars = NO_CALENDARS
    executions: Sequence[Execution] = ()
    entries: Sequence[JournalEntry] = ()
    life: Sequence[JournalEntry] = ()
    daemon: Sequence[JournalEntry] = ()
    signs: Mapping[int, int] = field(default_factory=dict)
    kept_from_us: int = 0
