"""The ports: what the engine and the use cases need from the world, as Protocols. Each has one conformance suite in tests/."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import Protocol

from schedd.core.errors import StoredDataError
from schedd.core.model.backfill import Backfill, BackfillEnd
from schedd.core.model.batch import (
    Answer,
    ArmBatch,
    CalendarChange,
    CalendarUse,
    Completion,
    LastRun,
    NewSchedule,
    RecordBatch,
    RequestMark,
    Retention,
    ScheduleChange,
    SetBack,
    StoredWhen,
    StoreStatus,
    Timers,
    UnreadableDeletion,
)
from schedd.core.model.calendar import Calendar, HolidaysEntry
from schedd.core.model.deadletter import DeadLetter, Purge, Redelivery
from schedd.core.model.execution import Attempt, AttemptResult, DeliveryRequest, Execution, Survivor
from schedd.core.model.journal import JournalEntry, JournalKind, JournalPage
from schedd.core.model.notice import Notice
from schedd.core.model.policy import Concurrency
from schedd.core.model.query import Filter, Order, Page, PageRequest
from schedd.core.model.rendering import Rendering
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.unreadable import StoredSchedule
from schedd.core.model.zonemark import ZoneMark

CommitListener = Callable[[Sequence[JournalEntry]], None]
"""Is called on the loop's thread with each committed transaction's journal entries, in commit order, before its caller resumes."""


class Alarm(Protocol):
    """Wakes one agent: at a wall-clock instant, or as soon as somebody rings."""

    def set(self, due_us: int | None) -> None:
        """Go off when the wall clock reaches `due_us`, never earlier; None: only when rung. Replaces what was set before."""

    def ring(self) -> None:
        """Go off now."""

    async def wait(self) -> None:
        """Return once the alarm has gone off since the last return; also after a clock step, so the caller reads the clock again."""

    def close(self) -> None:
        """Release what the alarm holds."""


class Clock(Protocol):
    """The host's time. Wall time says when, monotonic time says how long."""

    def now_us(self) -> int:
        """The wall clock: microseconds since 1970-01-01T00:00:00Z."""

    def monotonic_us(self) -> int:
        """A clock that never steps, and stands still while the host is suspended: microseconds since some moment."""

    def boot_us(self) -> int:
        """A clock that never steps, and goes on while the host is suspended: microseconds since some moment.

        A host that cannot tell gives the monotonic one: a suspend then looks like a step forward.
        """

    def alarm(self) -> Alarm:
        """A new alarm on the wall clock, for one waiting agent."""

    async def sleep(self, duration: timedelta) -> None:
        """Let `duration` of monotonic time pass."""


class Ids(Protocol):
    """Gives ids."""

    def new_id(self) -> int:
        """A positive 63-bit number, greater than any given before, also by earlier daemons on the same store."""


class Target(Protocol):
    """One kind of target: delivers, never raises for what the target did."""

    async def deliver(self, request: DeliveryRequest) -> AttemptResult:
        """Make one attempt and tell what it came to.

        Keeps `request.timeout` itself. When the calling task is cancelled, ends what it started (a process tree is gone) before
        CancelledError leaves it.
        """

    def rendered(self, request: DeliveryRequest) -> Rendering | None:
        """What `deliver` sends for this request, credentials left out; None if it cannot be rendered. Sends nothing."""

    def force(self, execution_id: int) -> None:
        """End what was started for this execution without any grace; its call is being cancelled too."""

    async def aclose(self) -> None:
        """Release connections and helper processes."""


class Survivors(Protocol):
    """What outlived the daemon before this one."""

    async def survivors(self, expected: Collection[tuple[int, int]]) -> Sequence[Survivor]:
        """All of it. `expected`: which attempts, as execution id and number, may have been under way."""

    async def adopt(self, request: DeliveryRequest) -> AttemptResult:
        """Wait for what comes of the survivor that is this request's attempt, and tell it as `Target.deliver` does.

        Its timeout is counted on. When the calling task is cancelled, its tree is gone before CancelledError leaves it.
        Raises: LookupError; it was not found, or was discarded.
        """

    def end(self, survivor: Survivor) -> None:
        """End its process tree as a timeout would; `adopt` tells when it is gone: with INTERRUPTED, unless it had ended by itself."""

    def discard(self, survivor: Survivor) -> None:
        """End its process tree; nobody waits for it."""


class Holidays(Protocol):
    """Knows the public holidays of countries."""

    def dates(self, entry: HolidaysEntry, *, first_year: int, last_year: int) -> Sequence[date]:
        """The holidays of these years, both included.

        Raises: ExpressionError; there is no such country or part of it, or its holidays are not known here.
        """


class Store(Protocol):
    """The durable state. When a changing call returns, its effect survives kill -9 and power loss.

    Every changing call is one transaction and appends its journal entries in it; the commit listener sees them with their sequence numbers.
    Changing calls that are under way at the same time take effect in any order; one that is cancelled takes effect all the same.
    Raises (any call): UnavailableError when the store refuses to write; StoredDataError for a row that cannot be read back.
    """

    def listen(self, listener: CommitListener) -> None:
        """Set the one commit listener."""

    # Schedules

    async def create_schedules(
        self, drafts: Sequence[NewSchedule], entries: Sequence[JournalEntry], *, request: RequestMark | None = None
    ) -> tuple[Schedule, ...]:
        """Store new schedules, all or none, and give them back with their rows; the entries (one a draft) get their rows too.

        A request seen before gives its schedules as they stand now, and stores nothing. A name whose holder is DELETED is free.
        Raises: AlreadyExistsError naming the first taken name; ConflictError (REQUEST_ID_REUSED); NotFoundError for a calendar.
        """

    async def change_schedule(self, change: ScheduleChange) -> Schedule:
        """Replace a schedule by its next generation, and give that back.

        A request seen before changes nothing, and gives the schedule of its first answer as it stands now.
        Raises: NotFoundError, also for a calendar; ConflictError (ETAG_MISMATCH) if its generation is not the one before
        `change.schedule.generation`, or (REQUEST_ID_REUSED); AlreadyExistsError when a deleted schedule is to stand again and another
        one has its name.
        """

    async def complete_schedules(self, completions: Sequence[Completion]) -> Collection[int]:
        """Complete enabled schedules; the rows of those that were. One that is not as it was a generation before is left alone."""

    async def delete_unreadable(self, deletion: UnreadableDeletion) -> None:
        """Delete a schedule that cannot be read; its stored definition stays as it is. A request seen before changes nothing.

        Raises: NotFoundError; ConflictError (ETAG_MISMATCH if it has changed since it was read, REQUEST_ID_REUSED).
        """

    async def quarantine(self, row: int, entry: JournalEntry, *, seen: int | None = None) -> None:
        """Make the schedule in this row DISABLED, with the entry's reason and evidence text, without reading its definition.

        Its generation ascends. For rows that cannot be read; nothing happens to a row that is not there, is disabled already, or is
        of another generation than the one that was `seen`.
        """

    async def schedule(self, name: ScheduleName) -> Schedule:
        """The schedule of that name; a deleted one only if no other has the name. Raises: NotFoundError; StoredDataError."""

    async def stored_schedule(self, name: ScheduleName) -> StoredSchedule:
        """The same, and what can be read of one that cannot be read whole. Raises: NotFoundError."""

    async def schedules(self, rows: Sequence[int]) -> Mapping[int, Schedule | StoredDataError]:
        """The schedules in these rows; a row that cannot be read comes as its error; rows that are not there are left out."""

    async def schedules_by_uid(self, uids: Sequence[int]) -> tuple[StoredSchedule, ...]:
        """The schedules of these uids in their order, deleted ones and unreadable ones too; those that are gone are left out."""

    async def find_schedules(self, where: Filter, order: Order, page: PageRequest, *, show_deleted: bool = False) -> Page[Schedule]:
        """A page of schedules.

        Fields: name, group, schedule, uid, state, description, creator, create_time, update_time, time_zone, labels.KEY.
        Order by name, create_time or update_time. A row that cannot be read is left out.
        """

    async def find_stored_schedules(
        self, where: Filter, order: Order, page: PageRequest, *, show_deleted: bool = False
    ) -> Page[StoredSchedule]:
        """The same page, with what can be read of those that cannot be read whole."""

    async def last_runs(self, rows: Sequence[int]) -> Mapping[int, LastRun]:
        """The newest run of each of these schedules that has one."""

    async def last_finishes(self, rows: Sequence[int]) -> Mapping[int, int]:
        """When the newest executions of each of these schedules had all finished, of those that have finished any; UTC microseconds."""

    # Calendars

    async def create_calendar(self, calendar: Calendar, entry: JournalEntry, *, request: RequestMark | None = None) -> Calendar:
        """Store a new calendar. A request seen before stores nothing, and gives its first answer's calendar as it stands now.

        Raises: AlreadyExistsError; ConflictError (REQUEST_ID_REUSED).
        """

    async def change_calendar(self, change: CalendarChange) -> Calendar:
        """Replace a calendar by its next generation. A request seen before changes nothing, and gives its calendar as it stands now.

        Raises: NotFoundError; ConflictError (ETAG_MISMATCH if its generation is not `change.seen`; REQUEST_ID_REUSED).
        """

    async def delete_calendar(self, name: str, entry: JournalEntry, *, seen: int | None) -> None:
        """Remove a calendar that no schedule uses; `seen` None: of whatever generation.

        Raises: NotFoundError; ConflictError (ETAG_MISMATCH); PreconditionError (CALENDAR_IN_USE) naming some of the users.
        """

    async def calendar(self, name: str) -> Calendar:
        """The calendar of that name. Raises: NotFoundError."""

    async def calendar_standing(self, name: str) -> Calendar:
        """The calendar of that name without what it says, which may be unreadable: no entries, labels, zone or description.

        Raises: NotFoundError.
        """

    async def calendars(self) -> Mapping[str, Calendar | StoredDataError]:
        """All calendars by name; one that cannot be read comes as its error."""

    async def find_calendars(self, where: Filter, page: PageRequest) -> Page[Calendar]:
        """A page of calendars by name; one that cannot be read is left out.

        Fields: name, description, creator, create_time, update_time, labels.KEY.
        """

    async def calendar_uses(self) -> Sequence[CalendarUse]:
        """Which schedules use which calendars, deleted schedules left out. A use of a calendar that is not there is one, too."""

    async def calendar_users(self, name: str, *, limit: int) -> Sequence[ScheduleName]:
        """Some of the schedules that use a calendar, by name."""

    async def run_counts(self) -> Mapping[int, int]:
        """How often each schedule with a limit (`max_runs`) has run, by uid; those that have not are left out."""

    # Requests

    async def answered(self, request: RequestMark) -> Answer | None:
        """What an earlier call with this mark was answered; None if there was none. Raises: ConflictError (REQUEST_ID_REUSED)."""

    async def keep_answer(self, request: RequestMark, answer: Answer, *, now_us: int) -> Answer:
        """Keep the answer of a call that changes nothing by itself, and give it back; that of the first call if there was one before.

        Raises: ConflictError (REQUEST_ID_REUSED).
        """

    async def shared_limits(self) -> Mapping[int, Concurrency]:
        """What each schedule that has a concurrency key says about it, by row; deleted ones and unreadable ones are left out."""

    # Executions

    async def arm(self, batch: ArmBatch) -> frozenset[int]:
        """Store executions ahead of their due time; the ids of those that were not there already.

        A request seen before stores nothing and gives the id of its first answer. Raises: ConflictError (REQUEST_ID_REUSED).
        """

    async def record(self, batch: RecordBatch) -> frozenset[int]:
        """Store what became of executions; the ids of those that follow (`batch.followed`) and were not there already."""

    async def notices(self) -> tuple[Notice, ...]:
        """All notices that have not been delivered, oldest first. For the start."""

    async def append(self, entries: Sequence[JournalEntry]) -> None:
        """Append to the journal alone."""

    async def execution(self, execution_id: int) -> Execution:
        """Raises: NotFoundError."""

    async def attempts(self, execution_id: int) -> tuple[Attempt, ...]:
        """The stored attempts of an execution, by number; those that cannot be read are left out."""

    async def find_executions(self, where: Filter, order: Order, page: PageRequest) -> Page[Execution]:
        """A page of executions.

        Fields: schedule (full name), schedule_uid, group, cause, state, outcome, reason, nominal_time, due_time, finish_time.
        Order by nominal_time, due_time or execution (its id, which ascends with time of arming).
        """

    async def unfinished(self) -> tuple[Execution, ...]:
        """All executions that are not FINISHED, by due time. For recovery."""

    # Backfills

    async def create_backfill(self, backfill: Backfill, entry: JournalEntry, *, request: RequestMark | None = None) -> Backfill:
        """Store a backfill, and give it back; a request seen before gives its first answer's as it stands now, and stores nothing.

        How far it is moves with `arm`, what has become of it with `record`. Raises: ConflictError (REQUEST_ID_REUSED); NotFoundError.
        """

    async def end_backfill(self, end: BackfillEnd) -> None:
        """End a backfill; a catch-up's backlog is forgotten with its end."""

    async def backfill(self, backfill_id: int) -> Backfill:
        """A backfill that somebody asked for. Raises: NotFoundError."""

    async def find_backfills(self, where: Filter, page: PageRequest) -> Page[Backfill]:
        """A page of the backfills that somebody asked for, newest first. Fields: schedule (full name), schedule_name, group, state."""

    async def running_backfills(self) -> tuple[Backfill, ...]:
        """All ranges under way, also the backlogs of catch-up policies, in the order in which they began."""

    async def backfilled(self, schedule_uid: int, *, first_us: int, last_us: int) -> frozenset[int]:
        """The nominal times from `first_us` to `last_us`, both included, of which there are executions with the cause BACKFILL."""

    # Dead letters

    async def redeliver(self, redelivery: Redelivery) -> bool:
        """Let a finished execution wait for an attempt again; False for a request seen before, which changes nothing.

        Raises: NotFoundError; PreconditionError (NOT_FINISHED); ConflictError (REQUEST_ID_REUSED).
        """

    async def find_dead_letters(self, where: Filter, *, descending: bool, page: PageRequest) -> Page[DeadLetter]:
        """A page of dead letters by time of creation; the fields are those of `find_executions`.

        Rows that cannot be read are left out; a request or an attempt that cannot be read is missing from its dead letter alone.
        """

    async def dead_letter(self, execution_id: int) -> DeadLetter:
        """The dead letter of an execution, without its last attempt. Raises: NotFoundError."""

    async def purge_dead_letters(self, purge: Purge) -> int:
        """Remove dead letters, not their executions; how many were there."""

    # Start, journal, upkeep

    async def timers(self) -> Timers:
        """Every enabled schedule's timer."""

    async def whens(self, rows: Sequence[int]) -> Mapping[int, StoredWhen | StoredDataError]:
        """When the schedules in these rows fire; an error stands for a row that cannot be read."""

    async def save_timers(self, timers: Timers) -> None:
        """Refresh the stored next nominal times of the rows that are still of that generation; `planned_from_us` is not looked at.

        A hint only: a lost one costs time at the next start, nothing else.
        """

    async def restore_timers(self, entry: JournalEntry) -> int:
        """Store the timers that enabled schedules should have and have not, since somebody has meddled with the file; how many.

        Their `next_us` is long past, so that the daemon's mark holds for them. The entry is journaled for each, with its schedule.
        """

    async def zone_marks(self) -> tuple[ZoneMark, ...]:
        """What is kept of time zones, by name."""

    async def keep_zones(self, marks: Sequence[ZoneMark], *, gone: Sequence[str] = ()) -> None:
        """Keep these marks in the place of those of the same zones, and nothing of the zones that are gone."""

    async def timers_naming(self, texts: Sequence[str]) -> Timers:
        """The timers of every enabled schedule in whose rule, its time zone included, one of these texts stands. May be slow."""

    async def set_back(self, set_back: SetBack) -> tuple[int, ...]:
        """The clock was set back: nothing that is stored makes a schedule wait until the old time comes again.

        The daemon's mark, and the marks of schedules that are later than `now_us`, are set back to it; stale timers are stored as 1;
        schedules that were created later than now count as created `by_us` earlier, or now. Gives the rows of those that changed; their
        timers are stale too.
        """

    async def planned_through_us(self) -> int:
        """The mark: every nominal time up to it has been decided. 0 on a new store."""

    async def journal(
        self,
        *,
        after: int,
        limit: int,
        where: Filter = (),
        kinds: Collection[JournalKind] = (),
        through: int | None = None,
        descending: bool = False,
    ) -> tuple[JournalEntry, ...]:
        """Entries with `after` < sequence <= `through`, of one of `kinds` (empty: of any), of at most `limit` rows.

        Oldest first; `descending`: newest first. A row that cannot be read is left out.

        Fields: kind, actor, schedule (full name), schedule_uid (0: of what concerns no schedule), group, execution, cause, nominal_time,
        outcome, reason, time, labels.KEY (the schedule's of now).
        """

    async def journal_page(
        self,
        *,
        after: int,
        limit: int,
        where: Filter = (),
        kinds: Collection[JournalKind] = (),
        through: int | None = None,
        descending: bool = False,
    ) -> JournalPage:
        """The same, and how far was read: the rows that were left out count for that."""

    async def journal_bounds(self) -> tuple[int, int]:
        """The oldest and the newest kept sequence numbers; (0, 0) when empty. Retention moves the oldest."""

    async def status(self) -> StoreStatus:
        """The store's own figures."""

    async def prune(self, retention: Retention, *, now_us: int) -> int:
        """Remove one bounded portion (at most some 500 rows) of what is too old; rows removed, 0 when nothing is left to do."""

    async def backup(self, path: str) -> None:
        """Write a consistent copy of the database to `path`, which must not exist. Raises: AlreadyExistsError."""

    async def aclose(self) -> None:
        """Finish what was submitted, checkpoint, close every connection."""
