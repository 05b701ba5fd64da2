"""Calendars: created, changed, deleted and read; and which schedules use them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schedd.core.errors import AlreadyExistsError, ConflictError, NotFoundError, PreconditionError, ScheddError, StoredDataError
from schedd.core.model.batch import NEVER_US, CalendarChange, CalendarUse, Replanned, RequestMark
from schedd.core.model.calendar import Calendar, calendar_resource
from schedd.core.model.journal import JournalEntry
from schedd.core.model.query import Filter, Order, Page, PageRequest
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.triggers.calendars import used_calendars
from schedd.store import codec, rows, search
from schedd.store.committer import Operation
from schedd.store.executions import delete_executions
from schedd.store.reader import Reader
from schedd.store.requests import Requests
from schedd.store.statements import Row, insertion, update
from schedd.store.transaction import Transaction

_INSERT = insertion("calendars", rows.CALENDAR_COLUMNS)
_UPDATE = update("calendars", "name", rows.CALENDAR_CONTENT)
_REPLAN_TIMERS = update("timers", "row", ("planned_from_us", "next_us"))
_REPLAN_SCHEDULES = update("schedules", "row", ("planned_from_us",))
_INSERT_USES = insertion("calendar_uses", ("calendar", "row"), "ON CONFLICT DO NOTHING")
_STANDING = "SELECT uid, generation FROM calendars WHERE name = ?"
_STANDING_WHOLE = "SELECT uid, generation, creator, created_us, updated_us FROM calendars WHERE name = ?"
_DELETE = "DELETE FROM calendars WHERE name = ?"
_DELETE_USES = "DELETE FROM calendar_uses WHERE row IN (SELECT value FROM json_each(?))"
_USED = "SELECT EXISTS (SELECT 1 FROM calendar_uses WHERE row IN (SELECT value FROM json_each(?)))"
_MISSING = "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT name FROM calendars) LIMIT 1"
_USERS = """
    SELECT s.group_name, s.name FROM calendar_uses AS u CROSS JOIN schedules AS s ON s.row = u.row
    WHERE u.calendar = ? ORDER BY s.group_name, s.name LIMIT ?
"""
_COLUMNS = ", ".join("c." + column for column in rows.CALENDAR_COLUMNS)
_SOURCE = "FROM calendars AS c"
_BY_NAME = f"SELECT {_COLUMNS} {_SOURCE} WHERE c.name = ?"
_BY_UID = f"SELECT {_COLUMNS} {_SOURCE} WHERE c.uid = ?"
_ALL = f"SELECT {_COLUMNS} {_SOURCE} ORDER BY c.name"
_USERS_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A new calendar, its entry and its mark."""

    calendar: Calendar
    entry: JournalEntry
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """The name of a calendar to remove, its generation (None: any), and what is journaled about it."""

    name: str
    seen: int | None
    entry: JournalEntry


def _create(transaction: Transaction, creations: Sequence[Creation]) -> Sequence[int | ScheddError]:
    return [_create_one(transaction, creation) for creation in creations]


def _create_one(transaction: Transaction, creation: Creation) -> int | ScheddError:
    """The uid of the calendar that the call has stored, now or when it was made first."""
    calendar = creation.calendar
    requests = Requests.of(transaction, (creation.request,))
    answer = requests.answer(creation.request)
    if isinstance(answer, ConflictError):
        return answer
    if answer is not None:
        return int(answer[0])
    if transaction.connection.execute(_STANDING, (calendar.name,)).fetchone() is not None:
        return AlreadyExistsError("calendar", calendar_resource(calendar.name))
    _INSERT.run(transaction.connection, [(calendar.uid, calendar.name, *rows.calendar_content(calendar))])
    transaction.journal(creation.entry, 0)
    requests.add(creation.request, (calendar.uid,), time_us=creation.entry.time_us)
    requests.write(transaction)
    return calendar.uid


CREATE: Operation[Creation, int] = Operation(run=_create)


def _change(transaction: Transaction, changes: Sequence[CalendarChange]) -> Sequence[int | ScheddError]:
    return [_change_one(transaction, change) for change in changes]


def _change_one(transaction: Transaction, change: CalendarChange) -> int | ScheddError:
    """0 if the calendar was changed, its uid if it was when the call was made first."""
    calendar = change.calendar
    requests = Requests.of(transaction, (change.request,))
    answer = requests.answer(change.request)
    if isinstance(answer, ConflictError):
        return answer
    if answer is not None:
        return int(answer[0])
    if (refusal := _refusal(transaction, calendar.name, change.seen)) is not None:
        return refusal
    _UPDATE.run(transaction.connection, [(calendar.name, *rows.calendar_content(calendar))])
    delete_executions(transaction, change.disarmed)
    _replan(transaction, change.replanned)
    transaction.journal_all(change.entries)
    requests.add(change.request, (calendar.uid,), time_us=calendar.updated_us)
    requests.write(transaction)
    return 0


CHANGE: Operation[CalendarChange, int] = Operation(run=_change)


def _replan(transaction: Transaction, replanned: Sequence[Replanned]) -> None:
    timers = [(one.row, one.planned_from_us, NEVER_US if one.next_us is None else one.next_us) for one in replanned]
    _REPLAN_TIMERS.run(transaction.connection, timers)
    _REPLAN_SCHEDULES.run(transaction.connection, [(one.row, one.planned_from_us) for one in replanned])


def _delete(transaction: Transaction, deletions: Sequence[Deletion]) -> Sequence[ScheddError | None]:
    return [_delete_one(transaction, deletion) for deletion in deletions]


def _delete_one(transaction: Transaction, deletion: Deletion) -> ScheddError | None:
    if (refusal := _refusal(transaction, deletion.name, deletion.seen)) is not None:
        return refusal
    users = transaction.connection.execute(_USERS, (deletion.name, _USERS_NAMED + 1)).fetchall()
    if users:
        named = ", ".join(str(ScheduleName(group=group, schedule=name)) for group, name in users[:_USERS_NAMED])
        more = " and others" if len(users) > _USERS_NAMED else ""
        return PreconditionError(
            "calendar", calendar_resource(deletion.name), reason="CALENDAR_IN_USE", description=f"is used by {named}{more}"
        )
    transaction.connection.execute(_DELETE, (deletion.name,))
    transaction.journal(deletion.entry, 0)
    return None


DELETE: Operation[Deletion, None] = Operation(run=_delete)


def _refusal(transaction: Transaction, name: str, seen: int | None) -> ScheddError | None:
    found = transaction.connection.execute(_STANDING, (name,)).fetchone()
    if found is None:
        return NotFoundError("calendar", calendar_resource(name))
    if seen is not None and found[1] != seen:
        return ConflictError(
            "calendar",
            calendar_resource(name),
            reason="ETAG_MISMATCH",
            description=f'has changed since it was read: its etag is "{found[1]}" now',
        )
    return None


def missing(transaction: Transaction, schedules: Iterable[Schedule]) -> ScheddError | None:
    """The error for a calendar that one of the schedules names and that is not there; None if all are."""
    names = {name for schedule in schedules for name in used_calendars(schedule.when)}
    found = transaction.connection.execute(_MISSING, (codec.encode(sorted(names)),)).fetchone() if names else None
    return None if found is None else NotFoundError("calendar", calendar_resource(found[0]))


def uses(row: int, schedule: Schedule) -> list[Row]:
    """The rows of calendar_uses for a schedule; a deleted one uses none."""
    if schedule.state is ScheduleState.DELETED:
        return []
    return [(name, row) for name in used_calendars(schedule.when)]


def insert_uses(transaction: Transaction, added: Sequence[Row]) -> None:
    """Note which schedules use which calendars."""
    _INSERT_USES.run(transaction.connection, added)


def replace_uses(transaction: Transaction, changed: Mapping[int, Schedule]) -> None:
    """Note which calendars these schedules use now, by row."""
    places = codec.encode(list(changed))
    if transaction.connection.execute(_USED, (places,)).fetchone()[0]:
        transaction.connection.execute(_DELETE_USES, (places,))
    insert_uses(transaction, [use for row, schedule in changed.items() for use in uses(row, schedule)])


async def by_name(reader: Reader, name: str) -> Calendar:
    """Raises: NotFoundError; StoredDataError."""
    return _only(await reader.all(_BY_NAME, (name,)), calendar_resource(name))


async def standing(reader: Reader, name: str) -> Calendar:
    """The calendar without what it says. Raises: NotFoundError."""
    for uid, generation, creator, created_us, updated_us in await reader.all(_STANDING_WHOLE, (name,)):
        return Calendar(
            name=name, entries=(), uid=uid, generation=generation, creator=creator, created_us=created_us, updated_us=updated_us
        )
    raise NotFoundError("calendar", calendar_resource(name))


async def by_uid(reader: Reader, uid: int, name: str) -> Calendar:
    """The calendar of a uid, which had that name. Raises: NotFoundError; StoredDataError."""
    return _only(await reader.all(_BY_UID, (uid,)), calendar_resource(name))


def _only(found: Sequence[Any], resource: str) -> Calendar:
    if not found:
        raise NotFoundError("calendar", resource)
    return rows.calendar_of(found[0])


async def everything(reader: Reader) -> Mapping[str, Calendar | StoredDataError]:
    """All calendars by name."""
    return {row[1]: _or_error(row) for row in await reader.all(_ALL)}


def _or_error(row: Row) -> Calendar | StoredDataError:
    try:
        return rows.calendar_of(row)
    except StoredDataError as exc:
        return exc


async def find(reader: Reader, where: Filter, page: PageRequest) -> Page[Calendar]:
    """A page of calendars. Raises: InvalidError."""
    matching = search.conditions(where, search.CALENDAR_FIELDS, labels=True, label=search.CalendarLabel)
    wanted = search.ordered(_COLUMNS, _SOURCE, matching, order=Order(field="name"), orders=search.CALENDAR_ORDERS, page=page)
    return await reader.page(wanted, rows.calendar_of)


async def all_uses(reader: Reader) -> Sequence[CalendarUse]:
    """Which schedules use which calendars."""
    found = await reader.all("SELECT calendar, row FROM calendar_uses ORDER BY row")
    return [CalendarUse(calendar=calendar, row=row) for calendar, row in found]


async def users(reader: Reader, name: str, limit: int) -> Sequence[ScheduleName]:
    """Some of the schedules that use a calendar, by name."""
    return [ScheduleName(group=group, schedule=schedule) for group, schedule in await reader.all(_USERS, (name, limit))]
