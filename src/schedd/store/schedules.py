"""Schedules, read: by name, by row, in pages, and their newest runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schedd.core.errors import NotFoundError, StoredDataError
from schedd.core.model.batch import LastRun, StoredWhen
from schedd.core.model.policy import Concurrency
from schedd.core.model.query import Filter, Operator, Order, Page, PageRequest
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.unreadable import StoredSchedule
from schedd.store import codec, rows, search
from schedd.store.reader import Reader
from schedd.store.statements import Row

_COLUMNS = ", ".join("s." + column for column in rows.SCHEDULE_COLUMNS)
_SOURCE = "FROM schedules AS s"
_BY_NAME = (
    f"SELECT {_COLUMNS} {_SOURCE} WHERE s.group_name = ? AND s.name = ? ORDER BY s.tombstone <> 0, s.deleted_us DESC, s.uid DESC LIMIT 1"
)
_BY_ROW = f"SELECT {_COLUMNS} FROM json_each(?) AS wanted CROSS JOIN schedules AS s ON s.row = wanted.value"
_BY_UID = f"SELECT {_COLUMNS} FROM json_each(?) AS wanted CROSS JOIN schedules AS s ON s.uid = wanted.value ORDER BY wanted.key"
_WHENS = "SELECT s.row, s.uid, s.created_us, s.when_json FROM json_each(?) AS wanted CROSS JOIN schedules AS s ON s.row = wanted.value"
_LAST_RUNS = f"""
    SELECT {", ".join("e." + column for column in rows.EXECUTION_COLUMNS)}, s.group_name, s.name, e.attempts_before, e.redelivered_us, (
        SELECT nominal_us FROM executions WHERE schedule_uid = s.uid AND outcome = 'SUCCEEDED' ORDER BY nominal_us DESC LIMIT 1
    )
    FROM json_each(?) AS wanted
    CROSS JOIN schedules AS s ON s.row = wanted.value
    CROSS JOIN executions AS e ON e.id = (
        SELECT id FROM executions
        WHERE schedule_uid = s.uid AND state = 'FINISHED' AND started_us IS NOT NULL ORDER BY nominal_us DESC LIMIT 1
    )
"""
_LAST_FINISHES = """
    SELECT s.row, (
        SELECT max(finished_us) FROM (
            SELECT finished_us FROM executions WHERE schedule_uid = s.uid AND state = 'FINISHED' ORDER BY nominal_us DESC LIMIT 8
        )
    ) AS finished_us
    FROM json_each(?) AS wanted CROSS JOIN schedules AS s ON s.row = wanted.value
    WHERE finished_us IS NOT NULL
"""
_SHARED_LIMITS = """
    SELECT row, policies -> '$.concurrency' FROM schedules
    WHERE tombstone = 0 AND instr(policies, '"concurrency":{') > 0 AND json_valid(policies)
"""
_NOT_DELETED = search.Condition(text="s.tombstone = 0")


async def by_name(reader: Reader, name: ScheduleName) -> Schedule:
    """Raises: NotFoundError; StoredDataError."""
    return rows.schedule_of(await _named(reader, name))


async def stored_by_name(reader: Reader, name: ScheduleName) -> StoredSchedule:
    """Raises: NotFoundError."""
    return rows.stored_schedule_of(await _named(reader, name))


async def _named(reader: Reader, name: ScheduleName) -> Row:
    found: list[Row] = await reader.all(_BY_NAME, (name.group, name.schedule))
    if not found:
        raise NotFoundError("schedule", str(name))
    return found[0]


async def by_row(reader: Reader, wanted: Sequence[int]) -> Mapping[int, Schedule | StoredDataError]:
    """The schedules in these rows; an error stands for a row that cannot be read."""
    return dict(await reader.decoded(_BY_ROW, (codec.encode(wanted),), _by_row))


async def by_uid(reader: Reader, wanted: Sequence[int]) -> tuple[StoredSchedule, ...]:
    """The schedules of these uids, in that order; those that are gone are left out."""
    return tuple(await reader.decoded(_BY_UID, (codec.encode(wanted),), rows.stored_schedule_of))


def _by_row(row: Row) -> tuple[int, Schedule | StoredDataError]:
    try:
        schedule = rows.schedule_of(row)
    except StoredDataError as exc:
        return exc.row_id, exc
    return schedule.row, schedule


async def whens(reader: Reader, wanted: Sequence[int]) -> Mapping[int, StoredWhen | StoredDataError]:
    """When the schedules in these rows fire; an error stands for a row that cannot be read."""
    return dict(await reader.decoded(_WHENS, (codec.encode(wanted),), _when))


def _when(row: Row) -> tuple[int, StoredWhen | StoredDataError]:
    try:
        return rows.stored_when_of(row)
    except StoredDataError as exc:
        return exc.row_id, exc


async def find(reader: Reader, where: Filter, order: Order, page: PageRequest, *, show_deleted: bool) -> Page[Schedule]:
    """A page of schedules; those that cannot be read are left out. Raises: InvalidError."""
    return await reader.page(_search(where, order, page, show_deleted), rows.schedule_of)


async def find_stored(reader: Reader, where: Filter, order: Order, page: PageRequest, *, show_deleted: bool) -> Page[StoredSchedule]:
    """The same page, with those that cannot be read. Raises: InvalidError."""
    return await reader.page(_search(where, order, page, show_deleted), rows.stored_schedule_of)


def _search(where: Filter, order: Order, page: PageRequest, show_deleted: bool) -> search.Search:
    matching = search.conditions(where, search.SCHEDULE_FIELDS, labels=True)
    if not show_deleted:
        matching = search.joined([matching, _NOT_DELETED])
    in_one_group = any(each.field == "group" and each.operator is Operator.EQUAL for each in where)
    orders = search.GROUP_ORDERS if in_one_group else search.SCHEDULE_ORDERS
    return search.ordered(_COLUMNS, _SOURCE, matching, order=order, orders=orders, page=page)


async def last_runs(reader: Reader, wanted: Sequence[int]) -> Mapping[int, LastRun]:
    """The newest finished execution that ran, and the newest success, by the schedules' rows."""
    found = await reader.readable(_LAST_RUNS, (codec.encode(wanted),), _last_run)
    return {run.execution.schedule_row: run for run in found}


async def last_finishes(reader: Reader, wanted: Sequence[int]) -> Mapping[int, int]:
    """The latest end among the newest finished executions, by the schedules' rows."""
    return dict(await reader.all(_LAST_FINISHES, (codec.encode(wanted),)))


def _last_run(row: Row) -> LastRun:
    previous = row[-1]
    return LastRun(execution=rows.execution_of(row), previous_success_us=previous if isinstance(previous, int) else None)


async def shared_limits(reader: Reader) -> Mapping[int, Concurrency]:
    """What each schedule that has a concurrency key says about it, by row. Reads every schedule's policies: for the start alone."""
    return dict(await reader.readable(_SHARED_LIMITS, (), _shared_limit))


def _shared_limit(row: Row) -> tuple[int, Concurrency]:
    number = int(str(row[0]))
    try:
        return number, codec.decode_concurrency(str(row[1]))
    except codec.DecodeError as exc:
        raise StoredDataError("schedules", number, str(exc)) from exc
