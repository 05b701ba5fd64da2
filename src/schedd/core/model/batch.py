"""What goes to the store in one transaction, and what comes back from a search."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from schedd.core.model.backfill import Backfill, BackfillEnd, BackfillStep
from schedd.core.model.calendar import Calendar
from schedd.core.model.execution import Attempt, Execution, ExecutionState
from schedd.core.model.journal import JournalEntry
from schedd.core.model.notice import Notice
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import Rendering
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.model.unreadable import UnreadableSchedule
from schedd.core.model.when import When


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMark:
    """Makes a changing call safe to repeat: the same `request_id` with the same `fingerprint` gets the first call's answer.

    `scope` is the method's name. A known id with another fingerprint is a conflict.
    """

    request_id: str
    scope: str
    fingerprint: str


Answer = Sequence[int | str]
"""What a call with a mark was answered: uids of schedules, the id of an execution, or texts that the caller alone understands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchedule:
    """A schedule to be stored (its `row` is given by the store) and the first nominal time of its rule, None if there is none.

    `entries` are journaled after that of its creation.
    """

    schedule: Schedule
    next_us: int | None
    entries: tuple[JournalEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChange:
    """A schedule's next generation: `schedule.generation` is the one that it replaces plus one.

    `entries` are journaled with it. `next_us` is the first nominal time after `schedule.planned_from_us`, None if there is none;
    UNDECIDED_US says that this one may lie before the daemon's mark.
    `disarmed` are executions that are taken back: their rows go, the journal keeps them. `armed` are executions of what the change decides;
    one that is there already is left out. `backlogs` are ranges to be worked off later, `ended` are those that end with it. `request`
    marks a change that somebody asked for.
    """

    schedule: Schedule
    next_us: int | None
    entries: tuple[JournalEntry, ...]
    disarmed: tuple[int, ...] = ()
    armed: tuple[Execution, ...] = ()
    backlogs: tuple[Backfill, ...] = ()
    ended: tuple[BackfillEnd, ...] = ()
    request: RequestMark | None = None


class Completion(NamedTuple):
    """An enabled schedule as it is to stand, COMPLETED and one generation on, all else as it was; and what is journaled with it."""

    schedule: Schedule
    entries: tuple[JournalEntry, ...]


class Timer(NamedTuple):
    """One schedule's next nominal time (NEVER_US: none) and its own mark: every nominal time up to it has been decided."""

    row: int
    generation: int
    next_us: int
    planned_from_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableDeletion:
    """The deletion, at `deleted_us`, of a schedule that cannot be read, as it was read: its generation ascends by one.

    `entries` are journaled with it. `ended` are ranges that end with it. `request` marks a deletion that somebody asked for.
    """

    schedule: UnreadableSchedule
    deleted_us: int
    entries: tuple[JournalEntry, ...]
    ended: tuple[BackfillEnd, ...] = ()
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replanned:
    """A schedule whose occurrences after `planned_from_us` are decided anew; the first of them is at `next_us`, None if there is none."""

    row: int
    planned_from_us: int
    next_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarChange:
    """A calendar's next generation, which replaces `seen`, and what it means for the schedules that use it.

    `entries` are journaled with it. `disarmed` are executions that are taken back: their rows go, the journal keeps them.
    """

    calendar: Calendar
    seen: int
    entries: tuple[JournalEntry, ...]
    disarmed: tuple[int, ...] = ()
    replanned: tuple[Replanned, ...] = ()
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarUse:
    """A schedule's row and a calendar that it uses, by name."""

    calendar: str
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmBatch:
    """Executions to be made durable before they are due, and the mark that every nominal time up to it has been decided.

    `entries` hold their arming and what else was decided (missed ranges, say). An execution whose (schedule, cause, nominal time) is there
    already is left out, with its entry.
    `planned_through_us` None leaves the mark where it is. `decided` are the timers of schedules that are decided further than the mark.
    `backlogs` are ranges to be worked off later, `steps` how far others are. `request` marks a batch of one execution that somebody
    asked for.
    """

    executions: tuple[Execution, ...]
    entries: tuple[JournalEntry, ...] = ()
    planned_through_us: int | None = None
    decided: tuple[Timer, ...] = ()
    backlogs: tuple[Backfill, ...] = ()
    steps: tuple[BackfillStep, ...] = ()
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBack:
    """The wall clock was set back by `by_us` (at least; positive) and says `now_us`.

    `mark_us` is up to where everything stays decided, at most `now_us`. `disarmed` are executions that are taken back, since their
    occurrences come again: their rows go, the journal keeps them. `entries` are journaled with it. `stale` are the rows of the schedules
    whose stored next nominal time does not hold any more, None: all.
    """

    now_us: int
    by_us: int
    mark_us: int
    entries: tuple[JournalEntry, ...] = ()
    disarmed: tuple[int, ...] = ()
    stale: frozenset[int] | None = None


class ExecutionChange(NamedTuple):
    """An execution's new standing."""

    execution_id: int
    state: ExecutionState
    outcome: Outcome | None = None
    reason: Reason = Reason.NONE
    attempt: int = 0
    started_us: int | None = None
    finished_us: int | None = None
    next_attempt_us: int | None = None


class NewDeadLetter(NamedTuple):
    """An execution that has failed for good, and what its last attempt sent, if that could be rendered."""

    execution_id: int
    created_us: int
    request: Rendering | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBatch:
    """What became of executions since the last batch: at most one change an execution (its last), all of its attempts and entries.

    `disarmed` are executions that are taken back: their rows go, the journal keeps them. `settled` are redelivered executions that have
    succeeded: they are no dead letters any more. `backfilled` says of each finished execution of a backfill, by the backfill's id, how it
    ended.
    `ran` are the uids of schedules whose runs are counted and that have run once more, once for each run.
    `followed` are executions that follow those ends and are armed with them; one whose (schedule, cause, nominal time) is there already is
    left out, with the entry of its arming. `notices` are to be delivered, and `notified` are the ids of those that have been.
    """

    changes: tuple[ExecutionChange, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    entries: tuple[JournalEntry, ...] = ()
    disarmed: tuple[int, ...] = ()
    backfilled: tuple[tuple[int, Outcome], ...] = ()
    dead_letters: tuple[NewDeadLetter, ...] = ()
    settled: tuple[int, ...] = ()
    ran: tuple[int, ...] = ()
    followed: tuple[Execution, ...] = ()
    notices: tuple[Notice, ...] = ()
    notified: tuple[int, ...] = ()


NEVER_US = 2**63 - 1
"""Stands in `Timers.next_us` for: there is no next nominal time."""

UNDECIDED_US = 0
"""Stands in `Timers.next_us` for: all nominal times after `planned_from_us` are undecided, also where the daemon's mark is further."""


def _longs() -> array[int]:
    return array("q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """What the timeline needs of schedules, as columns of 64-bit integers of equal length, by ascending row.

    `next_us` is the nominal time that was next when it was stored, or NEVER_US; it still holds if it lies after the daemon's mark. Or it
    is UNDECIDED_US: a schedule was resumed, say, and what was missed meanwhile is to be decided.
    `planned_from_us` is the schedule's own mark.
    """

    rows: array[int] = field(default_factory=_longs)
    generations: array[int] = field(default_factory=_longs)
    next_us: array[int] = field(default_factory=_longs)
    planned_from_us: array[int] = field(default_factory=_longs)

    def __len__(self) -> int:
        return len(self.rows)


class StoredWhen(NamedTuple):
    """What of a stored schedule its rule is compiled from."""

    uid: int
    created_us: int
    when: When


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """A schedule's newest finished execution that ran, and the nominal time of its newest success, if any."""

    execution: Execution
    previous_success_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """The store's own figures.

    `size_bytes` counts the database and its write-ahead log. `schedules` counts them by state, deleted ones too. `newest_id` is the
    highest uid or execution id that is stored, 0 for none.
    """

    path: str
    schema_version: int
    size_bytes: int
    last_sequence: int
    schedules: Mapping[ScheduleState, int]
    executions: int
    unfinished: int
    newest_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long history is kept: executions finished and journal rows older than the age go, as do schedules deleted longer ago.

    At most `per_schedule` finished executions of a schedule are kept; what is unfinished, or a dead letter, is always kept.
    """

    history: timedelta = timedelta(days=30)
    journal: timedelta = timedelta(days=90)
    deleted: timedelta = timedelta(days=90)
    per_schedule: int = 10_000
    dead_letters: timedelta = timedelta(days=90)
