"""The Store on SQLite: changes go to the writer, reads to two read-only connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from schedd.core.errors import NotFoundError, StoredDataError
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
from schedd.core.model.calendar import Calendar
from schedd.core.model.deadletter import DeadLetter, Purge, Redelivery
from schedd.core.model.execution import Attempt, Execution
from schedd.core.model.journal import JournalEntry, JournalKind, JournalPage
from schedd.core.model.notice import Notice
from schedd.core.model.policy import Concurrency
from schedd.core.model.query import Filter, Order, Page, PageRequest
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.model.unreadable import StoredSchedule
from schedd.core.model.zonemark import ZoneMark
from schedd.core.ports import CommitListener
from schedd.store import (
    backfills,
    backup,
    calendars,
    clock,
    codec,
    database,
    deadletters,
    executions,
    journal,
    notices,
    requests,
    schedules,
    timers,
    upkeep,
    zones,
)
from schedd.store.change import CHANGE, QUARANTINE, Quarantine
from schedd.store.completion import COMPLETE
from schedd.store.creation import CREATE, Creation
from schedd.store.inline import InlineWriter
from schedd.store.reader import Reader
from schedd.store.removal import DELETE_UNREADABLE
from schedd.store.rows import readable
from schedd.store.writer import Writer

LOOKUP_ROWS = 500
"""Rows a lookup."""

_STATUS = """
    SELECT
        (SELECT user_version FROM pragma_user_version),
        (SELECT coalesce(max(sequence), 0) FROM journal),
        max(
            (SELECT coalesce(max(uid), 0) FROM schedules),
            (SELECT coalesce(max(uid), 0) FROM calendars),
            (SELECT coalesce(max(id), 0) FROM executions)
        ),
        (SELECT count(*) FROM schedules),
        (SELECT json_group_object(state, counted) FROM (
            SELECT state, count(*) AS counted FROM schedules WHERE state <> 'ENABLED' GROUP BY state
        )),
        (SELECT count(*) FROM executions),
        (SELECT count(*) FROM executions WHERE state <> 'FINISHED')
"""

TIMERS_READ = 5_000
TIMERS_SAVED = 2_000
"""Timers a statement, and a transaction."""


class SqliteStore:
    """See `schedd.core.ports.Store`. One process at a time may have a database open; the daemon's lock sees to that."""

    def __init__(
        self, path: Path, writer: Writer | InlineWriter, lookups: Reader, scans: Reader, *, size_bytes: Callable[[], int] | None = None
    ) -> None:
        self._path = path
        self._size_bytes = size_bytes or partial(database.size_bytes, path)
        self._writer = writer
        self._lookups = lookups
        self._scans = scans
        self._sweep = upkeep.Sweep(scans)

    @classmethod
    async def open(cls, path: Path) -> SqliteStore:
        """Open the database at `path`; a file that is not there is created, its directory is not.

        Raises: UnavailableError with reason STORE_CANNOT_OPEN, STORE_FOREIGN (another program's database) or STORE_NEWER (a newer
        schedd's).
        """
        return await cls.over(path, Writer(await asyncio.to_thread(database.open_for_writing, path)))

    @classmethod
    async def over(cls, path: Path, writer: Writer) -> SqliteStore:
        """The store on a database that is open for writing."""
        try:
            lookups = await Reader.open(path)
            try:
                return cls(path, writer, lookups, await Reader.open(path))
            except BaseException:
                await lookups.aclose()
                raise
        except BaseException:
            await writer.aclose()
            raise

    def listen(self, listener: CommitListener) -> None:
        """Set the one commit listener."""
        self._writer.listen(listener)

    async def aclose(self) -> None:
        """Finish what was submitted, checkpoint, close every connection: the writer last, so that no other one checkpoints."""
        await self._lookups.aclose()
        await self._scans.aclose()
        await self._writer.aclose()

    # Schedules

    async def create_schedules(
        self, drafts: Sequence[NewSchedule], entries: Sequence[JournalEntry], *, request: RequestMark | None = None
    ) -> tuple[Schedule, ...]:
        """Store new schedules, all or none. Raises: AlreadyExistsError; ConflictError."""
        creation = Creation(drafts=drafts, entries=entries, request=request)
        created = await self._writer.submit(CREATE, creation, rows=3 * len(drafts))
        if created.first is not None:
            return tuple(map(readable, await self.schedules_by_uid([int(uid) for uid in created.first])))
        return tuple(replace(draft.schedule, row=row) for draft, row in zip(drafts, created.rows, strict=True))

    async def change_schedule(self, change: ScheduleChange) -> Schedule:
        """Replace a schedule by its next generation. Raises: NotFoundError; ConflictError; AlreadyExistsError for a revived name."""
        first = await self._writer.submit(CHANGE, change, rows=3)
        if first is None:
            return change.schedule
        found = await self.schedules_by_uid([int(uid) for uid in first])
        if not found:
            raise NotFoundError("schedule", str(change.schedule.name))
        return readable(found[0])

    async def complete_schedules(self, completions: Sequence[Completion]) -> frozenset[int]:
        """Complete enabled schedules; the rows of those that were."""
        return await self._writer.submit(COMPLETE, completions, rows=3 * len(completions))

    async def quarantine(self, row: int, entry: JournalEntry, *, seen: int | None = None) -> None:
        """Make the schedule in this row DISABLED without reading its definition."""
        await self._writer.submit(QUARANTINE, Quarantine(row=row, entry=entry, seen=seen), rows=3)

    async def delete_unreadable(self, deletion: UnreadableDeletion) -> None:
        """Delete a schedule that cannot be read. Raises: NotFoundError; ConflictError."""
        await self._writer.submit(DELETE_UNREADABLE, deletion, rows=3)

    async def schedule(self, name: ScheduleName) -> Schedule:
        """The schedule of that name. Raises: NotFoundError; StoredDataError."""
        return await schedules.by_name(self._lookups, name)

    async def stored_schedule(self, name: ScheduleName) -> StoredSchedule:
        """The schedule of that name, or what can be read of it. Raises: NotFoundError."""
        return await schedules.stored_by_name(self._lookups, name)

    async def schedules(self, rows: Sequence[int]) -> Mapping[int, Schedule | StoredDataError]:
        """The schedules in these rows."""
        found: dict[int, Schedule | StoredDataError] = {}
        for start in range(0, len(rows), LOOKUP_ROWS):
            found |= await schedules.by_row(self._lookups, rows[start : start + LOOKUP_ROWS])
        return found

    async def schedules_by_uid(self, uids: Sequence[int]) -> tuple[StoredSchedule, ...]:
        """The schedules of these uids, in that order."""
        found: list[StoredSchedule] = []
        for start in range(0, len(uids), LOOKUP_ROWS):
            found += await schedules.by_uid(self._lookups, uids[start : start + LOOKUP_ROWS])
        return tuple(found)

    async def find_schedules(self, where: Filter, order: Order, page: PageRequest, *, show_deleted: bool = False) -> Page[Schedule]:
        """A page of schedules. Raises: InvalidError."""
        return await schedules.find(self._scans, where, order, page, show_deleted=show_deleted)

    async def find_stored_schedules(
        self, where: Filter, order: Order, page: PageRequest, *, show_deleted: bool = False
    ) -> Page[StoredSchedule]:
        """A page of schedules, with those that cannot be read. Raises: InvalidError."""
        return await schedules.find_stored(self._scans, where, order, page, show_deleted=show_deleted)

    async def last_runs(self, rows: Sequence[int]) -> Mapping[int, LastRun]:
        """The newest run of each of these schedules that has one."""
        found: dict[int, LastRun] = {}
        for start in range(0, len(rows), LOOKUP_ROWS):
            found |= await schedules.last_runs(self._lookups, rows[start : start + LOOKUP_ROWS])
        return found

    async def last_finishes(self, rows: Sequence[int]) -> Mapping[int, int]:
        """When the newest executions of each of these schedules had all finished."""
        found: dict[int, int] = {}
        for start in range(0, len(rows), LOOKUP_ROWS):
            found |= await schedules.last_finishes(self._lookups, rows[start : start + LOOKUP_ROWS])
        return found

    # Calendars

    async def create_calendar(self, calendar: Calendar, entry: JournalEntry, *, request: RequestMark | None = None) -> Calendar:
        """Store a new calendar. Raises: AlreadyExistsError; ConflictError."""
        creation = calendars.Creation(calendar=calendar, entry=entry, request=request)
        uid = await self._writer.submit(calendars.CREATE, creation, rows=3)
        return calendar if uid == calendar.uid else await calendars.by_uid(self._lookups, uid, calendar.name)

    async def change_calendar(self, change: CalendarChange) -> Calendar:
        """Replace a calendar by its next generation. Raises: NotFoundError; ConflictError."""
        rows = 3 + len(change.disarmed) + 2 * len(change.replanned)
        uid = await self._writer.submit(calendars.CHANGE, change, rows=rows)
        return await calendars.by_uid(self._lookups, uid, change.calendar.name) if uid else change.calendar

    async def delete_calendar(self, name: str, entry: JournalEntry, *, seen: int | None) -> None:
        """Remove a calendar that no schedule uses. Raises: NotFoundError; ConflictError; PreconditionError."""
        await self._writer.submit(calendars.DELETE, calendars.Deletion(name=name, seen=seen, entry=entry), rows=2)

    async def calendar(self, name: str) -> Calendar:
        """The calendar of that name. Raises: NotFoundError."""
        return await calendars.by_name(self._lookups, name)

    async def calendar_standing(self, name: str) -> Calendar:
        """The calendar of that name without what it says. Raises: NotFoundError."""
        return await calendars.standing(self._lookups, name)

    async def calendars(self) -> Mapping[str, Calendar | StoredDataError]:
        """All calendars by name."""
        return await calendars.everything(self._scans)

    async def find_calendars(self, where: Filter, page: PageRequest) -> Page[Calendar]:
        """A page of calendars by name. Raises: InvalidError."""
        return await calendars.find(self._scans, where, page)

    async def calendar_uses(self) -> Sequence[CalendarUse]:
        """Which schedules use which calendars."""
        return await calendars.all_uses(self._scans)

    async def calendar_users(self, name: str, *, limit: int) -> Sequence[ScheduleName]:
        """Some of the schedules that use a calendar, by name."""
        return await calendars.users(self._lookups, name, limit)

    async def run_counts(self) -> Mapping[int, int]:
        """How often each schedule with a limit has run, by uid."""
        return await executions.run_counts(self._lookups)

    # Requests

    async def answered(self, request: RequestMark) -> Answer | None:
        """The answer of an earlier call with this mark; None if there was none. Raises: ConflictError."""
        return await requests.answered(self._lookups, request)

    async def keep_answer(self, request: RequestMark, answer: Answer, *, now_us: int) -> Answer:
        """Keep the answer of a call, and give it back; that of the first call if there was one before. Raises: ConflictError."""
        return await self._writer.submit(requests.KEEP, requests.Keeping(request=request, answer=answer, time_us=now_us), rows=1)

    async def shared_limits(self) -> Mapping[int, Concurrency]:
        """What each schedule that has a concurrency key says about it, by row."""
        return await schedules.shared_limits(self._scans)

    # Executions

    async def arm(self, batch: ArmBatch) -> frozenset[int]:
        """Store executions ahead of their due time. Raises: ConflictError."""
        return await self._writer.submit(executions.ARM, batch, rows=2 * len(batch.executions) + len(batch.entries) + len(batch.decided))

    async def record(self, batch: RecordBatch) -> frozenset[int]:
        """Store what became of executions; the ids of those that follow and were not there already."""
        parts = (batch.changes, batch.attempts, batch.entries, batch.disarmed, batch.followed, batch.notices)
        rows = sum(len(part) for part in parts)
        return await self._writer.submit(executions.RECORD, batch, rows=rows)

    async def notices(self) -> tuple[Notice, ...]:
        """All notices that have not been delivered, oldest first."""
        return await notices.undelivered(self._scans)

    async def append(self, entries: Sequence[JournalEntry]) -> None:
        """Append to the journal alone."""
        await self._writer.submit(journal.APPEND, entries, rows=len(entries))

    async def execution(self, execution_id: int) -> Execution:
        """One execution. Raises: NotFoundError."""
        return await executions.execution(self._lookups, execution_id)

    async def attempts(self, execution_id: int) -> tuple[Attempt, ...]:
        """The stored attempts of an execution, by number."""
        return await executions.attempts(self._lookups, execution_id)

    async def find_executions(self, where: Filter, order: Order, page: PageRequest) -> Page[Execution]:
        """A page of executions. Raises: InvalidError."""
        return await executions.find(self._scans, where, order, page)

    async def unfinished(self) -> tuple[Execution, ...]:
        """All executions that are not FINISHED, by due time."""
        return await executions.unfinished(self._scans)

    # Backfills

    async def create_backfill(self, backfill: Backfill, entry: JournalEntry, *, request: RequestMark | None = None) -> Backfill:
        """Store a backfill. Raises: ConflictError; NotFoundError."""
        new = backfills.NewBackfill(backfill=backfill, entry=entry, request=request)
        first = await self._writer.submit(backfills.CREATE, new, rows=2)
        return backfill if first is None else await self.backfill(int(first[0]))

    async def end_backfill(self, end: BackfillEnd) -> None:
        """End a range that is worked off, or given up."""
        await self._writer.submit(backfills.END, end, rows=1 + len(end.entries))

    async def backfill(self, backfill_id: int) -> Backfill:
        """One backfill. Raises: NotFoundError."""
        return await backfills.backfill(self._lookups, backfill_id)

    async def find_backfills(self, where: Filter, page: PageRequest) -> Page[Backfill]:
        """A page of backfills, newest first. Raises: InvalidError."""
        return await backfills.find(self._scans, where, page)

    async def running_backfills(self) -> tuple[Backfill, ...]:
        """All ranges under way."""
        return await backfills.running(self._scans)

    async def backfilled(self, schedule_uid: int, *, first_us: int, last_us: int) -> frozenset[int]:
        """The nominal times from `first_us` to `last_us` that backfills have armed."""
        return await backfills.run_before(self._lookups, schedule_uid, first_us, last_us)

    # Dead letters

    async def redeliver(self, redelivery: Redelivery) -> bool:
        """Let a finished execution wait for an attempt again. Raises: NotFoundError; PreconditionError; ConflictError."""
        return await self._writer.submit(deadletters.REDELIVER, redelivery, rows=3)

    async def find_dead_letters(self, where: Filter, *, descending: bool, page: PageRequest) -> Page[DeadLetter]:
        """A page of dead letters by time of creation. Raises: InvalidError."""
        return await deadletters.find(self._scans, where, descending=descending, page=page)

    async def dead_letter(self, execution_id: int) -> DeadLetter:
        """The dead letter of an execution. Raises: NotFoundError."""
        return await deadletters.of_execution(self._lookups, execution_id)

    async def purge_dead_letters(self, purge: Purge) -> int:
        """Remove dead letters; how many were there."""
        return await self._writer.submit(deadletters.PURGE, purge, rows=2 * len(purge.entries))

    # Start, journal, upkeep

    async def timers(self) -> Timers:
        """Every enabled schedule's timer."""
        found = Timers()
        last = 0
        while portion := await self._scans.all(timers.READ, (last, TIMERS_READ)):
            timers.extend(found, portion)
            last = found.rows[-1]
        return found

    async def whens(self, rows: Sequence[int]) -> Mapping[int, StoredWhen | StoredDataError]:
        """When the schedules in these rows fire."""
        found: dict[int, StoredWhen | StoredDataError] = {}
        for start in range(0, len(rows), LOOKUP_ROWS):
            found |= await schedules.whens(self._lookups, rows[start : start + LOOKUP_ROWS])
        return found

    async def save_timers(self, saved: Timers) -> None:
        """Refresh the stored next nominal times."""
        for portion in timers.portions(saved, TIMERS_SAVED):
            await self._writer.submit(timers.SAVE, portion, rows=len(portion))

    async def restore_timers(self, entry: JournalEntry) -> int:
        """Store the timers that enabled schedules should have and have not; how many."""
        restored = 0
        while count := await self._writer.submit(timers.RESTORE, entry, rows=2 * timers.RESTORED_AT_ONCE):
            restored += count
        return restored

    async def zone_marks(self) -> tuple[ZoneMark, ...]:
        """What is kept of time zones, by name."""
        return await zones.marks(self._lookups)

    async def keep_zones(self, marks: Sequence[ZoneMark], *, gone: Sequence[str] = ()) -> None:
        """Keep these marks, and nothing of the zones that are gone."""
        await self._writer.submit(zones.KEEP, zones.Keeping(marks=marks, gone=gone), rows=len(marks) + len(gone))

    async def timers_naming(self, texts: Sequence[str]) -> Timers:
        """The timers of every enabled schedule in whose rule one of these texts stands."""
        found = Timers()
        timers.extend(found, await self._scans.all(timers.READ_NAMING, (codec.encode(texts),)))
        return found

    async def set_back(self, set_back: SetBack) -> tuple[int, ...]:
        """The clock was set back: no mark stays in the future. The rows of the schedules that changed."""
        return await self._writer.submit(clock.SET_BACK, set_back, rows=TIMERS_SAVED)

    async def planned_through_us(self) -> int:
        """The mark: every nominal time up to it has been decided."""
        (mark,) = await self._lookups.one("SELECT value FROM marks WHERE name = 'planned_through_us'")
        return int(mark)

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
        """Entries with `after` < sequence <= `through`. Raises: InvalidError."""
        page = await self.journal_page(after=after, limit=limit, where=where, kinds=kinds, through=through, descending=descending)
        return page.entries

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
        """The same, and how far was read. Raises: InvalidError."""
        return await journal.page(self._scans, after=after, limit=limit, where=where, kinds=kinds, through=through, descending=descending)

    async def journal_bounds(self) -> tuple[int, int]:
        """The oldest and the newest kept sequence numbers."""
        return await journal.bounds(self._lookups)

    async def status(self) -> StoreStatus:
        """The store's own figures."""
        version, sequence, newest, stored, unusual, executed, unfinished = await self._scans.one(_STATUS)
        counted = codec.decode_counts(unusual)
        return StoreStatus(
            path=str(self._path),
            schema_version=version,
            size_bytes=await asyncio.to_thread(self._size_bytes),
            last_sequence=sequence,
            newest_id=newest,
            schedules={
                ScheduleState.ENABLED: stored - sum(counted.values()),
                **{state: counted[state] for state in ScheduleState if state in counted},
            },
            executions=executed,
            unfinished=unfinished,
        )

    async def prune(self, retention: Retention, *, now_us: int) -> int:
        """Remove one bounded portion of what is too old; rows removed, 0 when nothing is left to do."""
        portion = upkeep.Portion(now_us=now_us, retention=retention)
        if removed := await self._writer.submit(upkeep.PRUNE, portion, rows=upkeep.PORTION):
            return removed
        excess = await self._sweep.next(retention.per_schedule)
        return 0 if excess is None else await self._writer.submit(upkeep.PRUNE_EXCESS, excess, rows=upkeep.PORTION)

    async def backup(self, path: str) -> None:
        """Write a consistent copy of the database to `path`. Raises: AlreadyExistsError."""
        await backup.write(str(self._path), path)
