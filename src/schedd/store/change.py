"""Changing schedules: each change replaces exactly the generation before it, a quarantine whatever is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schedd.core.errors import AlreadyExistsError, ConflictError, NotFoundError, ScheddError, StoredDataError
from schedd.core.model.batch import Answer, ScheduleChange
from schedd.core.model.execution import Execution
from schedd.core.model.journal import JournalEntry
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.store import backfills, calendars, codec, rows, timers
from schedd.store.committer import Operation
from schedd.store.creation import INSERT_LABELS, taken_names
from schedd.store.executions import delete_executions, insert_executions
from schedd.store.requests import Requests
from schedd.store.statements import Row, update
from schedd.store.transaction import Transaction

_UPDATE_SCHEDULES = update("schedules", "row", rows.SCHEDULE_CONTENT)
_STANDING = """
    SELECT schedules.row, schedules.uid, schedules.group_name, schedules.name, schedules.generation, schedules.tombstone, schedules.labels
    FROM json_each(?) AS wanted
    CROSS JOIN schedules ON schedules.row = wanted.value
"""
_DELETE_LABELS = """
    DELETE FROM labels WHERE (key, value, row) IN (
        SELECT
            CAST(json_extract(value, '$[0]') AS TEXT),
            CAST(json_extract(value, '$[1]') AS TEXT),
            CAST(json_extract(value, '$[2]') AS INTEGER)
        FROM json_each(?)
    )
"""
_DELETE_LOST_LABELS = "DELETE FROM labels WHERE row IN (SELECT value FROM json_each(?))"
_DISABLE = """
    UPDATE schedules SET state = 'DISABLED', state_reason = ?1, updated_us = ?2, generation = generation + 1
    WHERE row = ?3 AND state <> 'DISABLED' AND tombstone = 0 AND (?4 IS NULL OR generation = ?4)
    RETURNING uid, group_name, name
"""


@dataclass(slots=True, kw_only=True)
class _Standing:
    """A schedule as the changes before left it; `labels` None: they cannot be read."""

    uid: int
    name: ScheduleName
    generation: int
    deleted: bool
    labels: Mapping[str, str] | None


@dataclass(slots=True, kw_only=True)
class _Pending:
    """The schedules that changes are waiting for, the names and requests that are known, and by row what is about to be written."""

    standing: dict[int, _Standing]
    names: set[ScheduleName]
    requests: Requests
    schedules: dict[int, Row] = field(default_factory=dict)
    timers: dict[int, Row] = field(default_factory=dict)
    no_timers: set[int] = field(default_factory=set)
    old_labels: dict[int, Mapping[str, str]] = field(default_factory=dict)
    new_labels: dict[int, Mapping[str, str]] = field(default_factory=dict)
    lost_labels: set[int] = field(default_factory=set)
    disarmed: list[int] = field(default_factory=list)
    armed: list[Execution] = field(default_factory=list)
    changed: dict[int, Schedule] = field(default_factory=dict)


def _change(transaction: Transaction, changes: Sequence[ScheduleChange]) -> Sequence[Answer | ScheddError | None]:
    standing = _standing(transaction, changes)
    revived = [found.name for found in standing.values() if found.deleted]
    pending = _Pending(
        standing=standing,
        names=taken_names(transaction, revived) if revived else set(),
        requests=Requests.of(transaction, (change.request for change in changes)),
    )
    answers = [_settle(transaction, pending, change) for change in changes]
    _write(transaction, pending)
    return answers


CHANGE: Operation[ScheduleChange, Answer | None] = Operation(run=_change)
"""Gives the answer of an earlier call with the change's mark, if there was one: nothing is changed then."""


def _standing(transaction: Transaction, changes: Sequence[ScheduleChange]) -> dict[int, _Standing]:
    found: Any = transaction.connection.execute(_STANDING, (codec.encode(list({change.schedule.row for change in changes})),))
    return {
        row: _Standing(
            uid=uid,
            name=ScheduleName(group=group, schedule=schedule),
            generation=generation,
            deleted=tombstone != 0,
            labels=_labels(row, labels),
        )
        for row, uid, group, schedule, generation, tombstone, labels in found
    }


def _labels(row: int, text: str) -> Mapping[str, str] | None:
    try:
        return rows.stored_labels(row, text)
    except StoredDataError:
        return None


def _settle(transaction: Transaction, pending: _Pending, change: ScheduleChange) -> Answer | ScheddError | None:
    if (first := pending.requests.answer(change.request)) is not None:
        return first
    if (refusal := _refusal(transaction, pending, change)) is not None:
        return refusal
    _apply(transaction, pending, change)
    return None


def _refusal(transaction: Transaction, pending: _Pending, change: ScheduleChange) -> ScheddError | None:
    schedule = change.schedule
    standing = pending.standing.get(schedule.row)
    if standing is None or standing.uid != schedule.uid:
        return NotFoundError("schedule", str(schedule.name))
    if standing.generation != schedule.generation - 1:
        return ConflictError("schedule", str(schedule.name), reason="ETAG_MISMATCH", description="changed meanwhile; read it again")
    if standing.deleted and schedule.state is not ScheduleState.DELETED and standing.name in pending.names:
        return AlreadyExistsError("schedule", str(schedule.name), "another schedule has taken the name")
    if schedule.state is not ScheduleState.DELETED:
        return calendars.missing(transaction, [schedule])
    return None


def _apply(transaction: Transaction, pending: _Pending, change: ScheduleChange) -> None:
    schedule = change.schedule
    standing = pending.standing[schedule.row]
    deleted = schedule.state is ScheduleState.DELETED
    pending.changed[schedule.row] = schedule
    pending.schedules[schedule.row] = (schedule.row, *rows.schedule_content(schedule))
    (pending.names.discard if deleted else pending.names.add)(standing.name)
    _add_timer(pending, change)
    _add_labels(pending, schedule, standing)
    standing.generation, standing.deleted = schedule.generation, deleted
    pending.disarmed += change.disarmed
    pending.armed += change.armed
    for entry in change.entries:
        transaction.journal(entry, schedule.row)
    backfills.insert(transaction, change.backlogs)
    backfills.end_all(transaction, change.ended)
    pending.requests.add(change.request, (schedule.uid,), time_us=schedule.updated_us)


def _add_timer(pending: _Pending, change: ScheduleChange) -> None:
    row = change.schedule.row
    if timers.has_timer(change):
        pending.timers[row] = timers.values(row, change)
        pending.no_timers.discard(row)
    else:
        pending.timers.pop(row, None)
        pending.no_timers.add(row)


def _add_labels(pending: _Pending, schedule: Schedule, standing: _Standing) -> None:
    """Have the stored labels replaced if they are others; what is to go are those that were stored before the first change."""
    if schedule.labels == standing.labels:
        return
    if standing.labels is None:
        pending.lost_labels.add(schedule.row)
    elif schedule.row not in pending.lost_labels:
        pending.old_labels.setdefault(schedule.row, standing.labels)
    pending.new_labels[schedule.row] = standing.labels = schedule.labels


def _write(transaction: Transaction, pending: _Pending) -> None:
    connection = transaction.connection
    pending.requests.write(transaction)
    _UPDATE_SCHEDULES.run(connection, list(pending.schedules.values()))
    timers.REPLACE.run(connection, list(pending.timers.values()))
    if pending.no_timers:
        connection.execute(timers.DELETE, (codec.encode(list(pending.no_timers)),))
    delete_executions(transaction, pending.disarmed)
    insert_executions(transaction, pending.armed)
    calendars.replace_uses(transaction, pending.changed)
    if pending.lost_labels:
        connection.execute(_DELETE_LOST_LABELS, (codec.encode(list(pending.lost_labels)),))
    if pending.new_labels:
        connection.execute(_DELETE_LABELS, (codec.encode(_label_rows(pending.old_labels)),))
        INSERT_LABELS.run(connection, _label_rows(pending.new_labels))


def _label_rows(labels: Mapping[int, Mapping[str, str]]) -> list[Row]:
    return [(key, value, row) for row, pairs in labels.items() for key, value in pairs.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """A row that is not to fire any more, and what is journaled about it; `seen` is the generation that is meant, None: any."""

    row: int
    entry: JournalEntry
    seen: int | None


def _quarantine(transaction: Transaction, quarantines: Sequence[Quarantine]) -> Sequence[ScheddError | None]:
    for quarantine in quarantines:
        _disable(transaction, quarantine)
    return [None] * len(quarantines)


QUARANTINE: Operation[Quarantine, None] = Operation(run=_quarantine)


def _disable(transaction: Transaction, quarantine: Quarantine) -> None:
    row, entry = quarantine.row, quarantine.entry
    why = "; ".join(str(value) for value in entry.evidence.values()) or entry.reason
    found: Any = transaction.connection.execute(_DISABLE, (why, entry.time_us, row, quarantine.seen)).fetchall()
    for uid, group, schedule in found:
        transaction.connection.execute(timers.DELETE, (codec.encode([row]),))
        transaction.journal(entry._replace(schedule=ScheduleName(group=group, schedule=schedule), schedule_uid=uid), row)
