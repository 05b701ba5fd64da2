"""Creating schedules: names are checked and rows written for all waiting calls together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from schedd.core.errors import AlreadyExistsError, ConflictError, ScheddError
from schedd.core.model.batch import Answer, NewSchedule, RequestMark
from schedd.core.model.journal import JournalEntry
from schedd.core.model.schedule import ScheduleName
from schedd.store import calendars, codec, rows, timers
from schedd.store.committer import Operation
from schedd.store.requests import Requests
from schedd.store.statements import Row, insertion
from schedd.store.transaction import Transaction

INSERT_LABELS = insertion("labels", ("key", "value", "row"))

_INSERT_SCHEDULES = insertion("schedules", rows.SCHEDULE_COLUMNS)
_TAKEN_NAMES = """
    SELECT schedules.group_name, schedules.name
    FROM json_each(?) AS wanted
    CROSS JOIN schedules ON schedules.group_name = json_extract(wanted.value, '$[0]')
        AND schedules.name = json_extract(wanted.value, '$[1]') AND schedules.tombstone = 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """One call's drafts, their entries (one a draft) and its mark."""

    drafts: Sequence[NewSchedule]
    entries: Sequence[JournalEntry]
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """The rows of a call's schedules, in the order of its drafts; or, if an earlier call with its mark stored them, its answer."""

    rows: Sequence[int] = ()
    first: Answer | None = None


@dataclass(slots=True, kw_only=True)
class _Pending:
    """What is known of names and requests, stored or about to be, and the rows that are about to be written."""

    names: set[ScheduleName]
    requests: Requests
    schedules: list[Row] = field(default_factory=list)
    timers: list[Row] = field(default_factory=list)
    labels: list[Row] = field(default_factory=list)
    calendar_uses: list[Row] = field(default_factory=list)


def _create(transaction: Transaction, creations: Sequence[Creation]) -> Sequence[Created | ScheddError]:
    pending = _Pending(
        names=taken_names(transaction, (draft.schedule.name for creation in creations for draft in creation.drafts)),
        requests=Requests.of(transaction, (creation.request for creation in creations)),
    )
    answers = [_settle(transaction, pending, creation) for creation in creations]
    _INSERT_SCHEDULES.run(transaction.connection, pending.schedules)
    timers.INSERT.run(transaction.connection, pending.timers)
    INSERT_LABELS.run(transaction.connection, pending.labels)
    calendars.insert_uses(transaction, pending.calendar_uses)
    pending.requests.write(transaction)
    return answers


CREATE: Operation[Creation, Created] = Operation(run=_create)


def taken_names(transaction: Transaction, names: Iterable[ScheduleName]) -> set[ScheduleName]:
    """Those of the names that have a holder which is not deleted."""
    wanted = codec.encode([(name.group, name.schedule) for name in names])
    found = transaction.connection.execute(_TAKEN_NAMES, (wanted,))
    return {ScheduleName(group=group, schedule=schedule) for group, schedule in found}


def _settle(transaction: Transaction, pending: _Pending, creation: Creation) -> Created | ScheddError:
    answer = pending.requests.answer(creation.request)
    if isinstance(answer, ConflictError):
        return answer
    if answer is not None:
        return Created(first=answer)
    if (missing := calendars.missing(transaction, (draft.schedule for draft in creation.drafts))) is not None:
        return missing
    if (taken := _first_taken(pending, creation.drafts)) is not None:
        return AlreadyExistsError("schedule", str(taken))
    places = transaction.take_rows(len(creation.drafts))
    for row, draft, entry in zip(places, creation.drafts, creation.entries, strict=True):
        _add(pending, row, draft)
        for each in (entry, *draft.entries):
            transaction.journal(each, row)
    uids = [draft.schedule.uid for draft in creation.drafts]
    pending.requests.add(creation.request, uids, time_us=max((entry.time_us for entry in creation.entries), default=0))
    return Created(rows=places)


def _first_taken(pending: _Pending, drafts: Sequence[NewSchedule]) -> ScheduleName | None:
    """The first name that has a holder, be it an earlier draft of the same call; if there is none, all of them are taken now."""
    names: set[ScheduleName] = set()
    for draft in drafts:
        name = draft.schedule.name
        if name in pending.names or name in names:
            return name
        names.add(name)
    pending.names |= names
    return None


def _add(pending: _Pending, row: int, draft: NewSchedule) -> None:
    schedule = draft.schedule
    name, content = schedule.name, rows.schedule_content(schedule)
    pending.schedules.append((row, schedule.uid, name.group, name.schedule, *content))
    if timers.has_timer(draft):
        pending.timers.append(timers.values(row, draft))
    for key, value in schedule.labels.items():
        pending.labels.append((key, value, row))
    pending.calendar_uses += calendars.uses(row, schedule)
