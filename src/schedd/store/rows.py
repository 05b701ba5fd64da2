"""Rows of the tables as model values, and model values as rows: for each table its columns, in the order both directions use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from schedd.core.errors import StoredDataError
from schedd.core.identity import ByIdentity
from schedd.core.model.backfill import Backfill, BackfillState, Progress
from schedd.core.model.batch import ExecutionChange, NewDeadLetter, StoredWhen
from schedd.core.model.calendar import Calendar
from schedd.core.model.execution import Attempt, AttemptResult, Cause, Execution, ExecutionState
from schedd.core.model.journal import NO_EVIDENCE, ExecutionFacts, JournalEntry, JournalKind
from schedd.core.model.notice import Notice
from schedd.core.model.policy import Overlap
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.model.unreadable import StoredSchedule
from schedd.store import codec
from schedd.store.salvage import FAULTS, salvaged
from schedd.store.statements import Row

T = TypeVar("T")

SCHEDULE_IDENTITY = ("row", "uid", "group_name", "name")
SCHEDULE_CONTENT = (
    "tombstone",
    "generation",
    "state",
    "state_reason",
    "pause",
    "time_zone",
    "when_json",
    "target_kind",
    "target",
    "policies",
    "labels",
    "description",
    "creator",
    "created_us",
    "updated_us",
    "deleted_us",
    "planned_from_us",
)
SCHEDULE_COLUMNS = SCHEDULE_IDENTITY + SCHEDULE_CONTENT

CALENDAR_CONTENT = ("generation", "time_zone", "entries", "labels", "description", "creator", "created_us", "updated_us")
CALENDAR_COLUMNS = ("uid", "name", *CALENDAR_CONTENT)

EXECUTION_COLUMNS = (
    "id",
    "schedule_row",
    "schedule_uid",
    "generation",
    "cause",
    "nominal_us",
    "due_us",
    "armed_us",
    "state",
    "outcome",
    "reason",
    "attempt",
    "started_us",
    "finished_us",
    "next_attempt_us",
    "backfill",
    "origin",
)
EXECUTION_STANDING = ExecutionChange._fields[1:]

BACKFILL_COLUMNS = (
    "id",
    "schedule_uid",
    "schedule_row",
    "cause",
    "start_us",
    "end_us",
    "overlap",
    "rate_per_second",
    "actor",
    "created_us",
    "total_count",
    "next_us",
    "left_count",
    "paced_us",
    "state",
    "finished_us",
    "done_count",
    "succeeded_count",
    "failed_count",
    "skipped_count",
)

ATTEMPT_COLUMNS = (
    "execution_id",
    "number",
    "started_us",
    "finished_us",
    "outcome",
    "reason",
    "code",
    "message",
    "output",
    "error_output",
    "output_truncated",
    "retry_after_us",
)

JOURNAL_COLUMNS = (
    "sequence",
    "time_us",
    "kind",
    "actor",
    "schedule_uid",
    "schedule_row",
    "execution_id",
    "cause",
    "nominal_us",
    "due_us",
    "attempt",
    "outcome",
    "reason",
    "evidence",
)

_MICROSECOND = timedelta(microseconds=1)


def _definition_values(schedule: Schedule) -> Row:
    return (
        schedule.when.time_zone,
        _encoded_when(schedule.when),
        codec.target_kind(schedule.target),
        _encoded_target(schedule.target),
        _encoded_policies(schedule.policies),
        codec.encode(schedule.labels),
    )


_encoded_when = ByIdentity(codec.encode_when, capacity=1024)
_encoded_target = ByIdentity(codec.encode, capacity=256)
_encoded_policies = ByIdentity(codec.encode_policies, capacity=256)


def schedule_content(schedule: Schedule) -> Row:
    """The values of SCHEDULE_CONTENT."""
    return (
        schedule.uid if schedule.state is ScheduleState.DELETED else 0,
        schedule.generation,
        schedule.state.value,
        schedule.state_reason,
        None if schedule.pause is None else codec.encode(schedule.pause),
        *_definition_values(schedule),
        schedule.description,
        schedule.creator,
        schedule.created_us,
        schedule.updated_us,
        schedule.deleted_us,
        schedule.planned_from_us,
    )


def schedule_of(row: Row) -> Schedule:
    """The schedule in SCHEDULE_COLUMNS. Raises: StoredDataError."""
    return readable(stored_schedule_of(row))


def stored_schedule_of(row: Row) -> StoredSchedule:
    """The schedule in SCHEDULE_COLUMNS, or what can be read of it."""
    try:
        return _schedule(row)
    except FAULTS:
        return salvaged(row)


def readable(found: StoredSchedule) -> Schedule:
    """Raises: StoredDataError."""
    if isinstance(found, Schedule):
        return found
    raise StoredDataError("schedules", found.row, found.state_reason, resource=str(found.name), generation=found.generation)


def _schedule(row: Any) -> Schedule:
    return Schedule(
        row=row[0],
        uid=row[1],
        name=ScheduleName(group=row[2], schedule=row[3]),
        generation=row[5],
        state=ScheduleState(row[6]),
        state_reason=row[7],
        pause=None if row[8] is None else codec.decode_pause(row[8]),
        when=codec.decode_when(row[10]),
        target=codec.decode_target(row[11], row[12]),
        policies=codec.decode_policies(row[13]),
        labels=codec.decode_labels(row[14]),
        description=row[15],
        creator=row[16],
        created_us=row[17],
        updated_us=row[18],
        deleted_us=row[19],
        planned_from_us=row[20],
    )


def stored_when_of(row: Row) -> tuple[int, StoredWhen]:
    """The schedule's row and when it fires, from its row, uid, created_us and when_json. Raises: StoredDataError."""
    return _read("schedules", row, _stored_when)


def _stored_when(row: Any) -> tuple[int, StoredWhen]:
    return row[0], StoredWhen(row[1], row[2], codec.decode_when(row[3]))


def stored_labels(row: int, text: str) -> Mapping[str, str]:
    """The labels in the column of that name. Raises: StoredDataError."""
    return _read("schedules", (row, text), lambda values: codec.decode_labels(values[1]))


def calendar_content(calendar: Calendar) -> Row:
    """The values of CALENDAR_CONTENT."""
    return (
        calendar.generation,
        calendar.time_zone,
        codec.encode_entries(calendar.entries),
        codec.encode(calendar.labels),
        calendar.description,
        calendar.creator,
        calendar.created_us,
        calendar.updated_us,
    )


def calendar_of(row: Row) -> Calendar:
    """The calendar in CALENDAR_COLUMNS. Raises: StoredDataError."""
    return _read("calendars", row, _calendar)


def _calendar(row: Any) -> Calendar:
    return Calendar(
        uid=row[0],
        name=row[1],
        generation=row[2],
        time_zone=row[3],
        entries=codec.decode_entries(row[4]),
        labels=codec.decode_labels(row[5]),
        description=row[6],
        creator=row[7],
        created_us=row[8],
        updated_us=row[9],
    )


def execution_values(execution: Execution) -> Row:
    """The values of EXECUTION_COLUMNS."""
    return (
        execution.id,
        execution.schedule_row,
        execution.schedule_uid,
        execution.generation,
        execution.cause.value,
        execution.nominal_us,
        execution.due_us,
        execution.armed_us,
        execution.state.value,
        _value(execution.outcome),
        execution.reason.value,
        execution.attempt,
        execution.started_us,
        execution.finished_us,
        execution.next_attempt_us,
        execution.backfill,
        None if execution.origin is None else codec.encode(execution.origin),
    )


def execution_of(row: Row) -> Execution:
    """The execution in EXECUTION_COLUMNS followed by its schedule's group_name and name, attempts_before and redelivered_us.

    Raises: StoredDataError.
    """
    return _read("executions", row, _execution)


def _execution(row: Any) -> Execution:
    if row[17] is None:
        raise ValueError("its schedule is not there")
    return Execution(
        id=row[0],
        schedule=ScheduleName(group=row[17], schedule=row[18]),
        schedule_row=row[1],
        schedule_uid=row[2],
        generation=row[3],
        cause=Cause(row[4]),
        nominal_us=row[5],
        due_us=row[6],
        armed_us=row[7],
        state=ExecutionState(row[8]),
        outcome=None if row[9] is None else Outcome(row[9]),
        reason=Reason(row[10]),
        attempt=row[11],
        started_us=row[12],
        finished_us=row[13],
        next_attempt_us=row[14],
        backfill=row[15],
        attempts_before=row[19],
        redelivered_us=row[20],
        origin=None if row[16] is None else codec.decode_origin(row[16]),
    )


def change_values(change: ExecutionChange) -> Row:
    """The execution's id and the values of EXECUTION_STANDING."""
    execution_id, state, outcome, reason, *rest = change
    return (execution_id, state.value, _value(outcome), reason.value, *rest)


def letter_values(letter: NewDeadLetter) -> Row:
    """The id and the time of a new dead letter, and the kind and the text of what was sent."""
    sent = letter.request
    kind, text = (None, None) if sent is None else (codec.rendering_kind(sent), codec.encode(sent))
    return (letter.execution_id, letter.created_us, kind, text)


def notice_values(notice: Notice) -> Row:
    """The id and the text of a notice."""
    return (notice.id, codec.encode(notice))


def notice_of(row: Row) -> Notice:
    """The notice of which these are the id and the text. Raises: StoredDataError."""
    return _read("notices", row, lambda values: codec.decode_notice(values[1]))


def attempt_values(attempt: Attempt) -> Row:
    """The values of ATTEMPT_COLUMNS."""
    result = attempt.result
    return (
        attempt.execution_id,
        attempt.number,
        attempt.started_us,
        attempt.finished_us,
        result.outcome.value,
        result.reason.value,
        result.code,
        result.message,
        result.output,
        result.error_output,
        result.output_truncated,
        None if result.retry_after is None else result.retry_after // _MICROSECOND,
    )


def attempt_of(row: Row) -> Attempt:
    """The attempt in ATTEMPT_COLUMNS. Raises: StoredDataError."""
    return _read("attempts", row, _attempt)


def _attempt(row: Any) -> Attempt:
    return Attempt(
        execution_id=row[0],
        number=row[1],
        started_us=row[2],
        finished_us=row[3],
        result=AttemptResult(
            outcome=Outcome(row[4]),
            reason=Reason(row[5]),
            code=row[6],
            message=row[7],
            output=row[8],
            error_output=row[9],
            output_truncated=bool(row[10]),
            retry_after=None if row[11] is None else row[11] * _MICROSECOND,
        ),
    )


def backfill_values(backfill: Backfill) -> Row:
    """The values of BACKFILL_COLUMNS."""
    progress = backfill.progress
    return (
        backfill.id,
        backfill.schedule_uid,
        backfill.schedule_row,
        backfill.cause.value,
        backfill.start_us,
        backfill.end_us,
        backfill.overlap.value,
        float(backfill.rate_per_second),
        backfill.actor,
        backfill.created_us,
        backfill.total,
        backfill.next_us,
        backfill.left,
        backfill.paced_us,
        backfill.state.value,
        backfill.finished_us,
        progress.done,
        progress.succeeded,
        progress.failed,
        progress.skipped,
    )


def backfill_of(row: Row) -> Backfill:
    """The backfill in BACKFILL_COLUMNS followed by its schedule's group_name and name. Raises: StoredDataError."""
    return _read("backfills", row, _backfill)


def _backfill(row: Any) -> Backfill:
    return Backfill(
        id=row[0],
        schedule=ScheduleName(group=row[20], schedule=row[21]),
        schedule_uid=row[1],
        schedule_row=row[2],
        cause=Cause(row[3]),
        start_us=row[4],
        end_us=row[5],
        overlap=Overlap(row[6]),
        rate_per_second=row[7],
        actor=row[8],
        created_us=row[9],
        total=row[10],
        next_us=row[11],
        left=row[12],
        paced_us=row[13],
        state=BackfillState(row[14]),
        finished_us=row[15],
        progress=Progress(done=row[16], succeeded=row[17], failed=row[18], skipped=row[19]),
    )


def journal_values(entry: JournalEntry) -> Row:
    """The values of JOURNAL_COLUMNS."""
    facts = entry.execution
    return (
        entry.sequence,
        entry.time_us,
        entry.kind.value,
        entry.actor,
        entry.schedule_uid,
        entry.schedule_row,
        *((None,) * 5 if facts is None else (facts.id, facts.cause.value, facts.nominal_us, facts.due_us, entry.attempt)),
        _value(entry.outcome),
        entry.reason.value,
        codec.encode(entry.evidence) if entry.evidence else None,
    )


def journal_entry_of(row: Row) -> JournalEntry:
    """The entry in JOURNAL_COLUMNS followed by its schedule's group_name and name. Raises: StoredDataError."""
    return _read("journal", row, _journal_entry)


def _journal_entry(row: Any) -> JournalEntry:
    return JournalEntry(
        sequence=row[0],
        time_us=row[1],
        kind=JournalKind(row[2]),
        actor=row[3],
        schedule=None if row[14] is None else ScheduleName(group=row[14], schedule=row[15]),
        schedule_uid=row[4],
        schedule_row=row[5],
        execution=None if row[6] is None else _facts(row),
        attempt=row[10] or 0,
        outcome=None if row[11] is None else Outcome(row[11]),
        reason=Reason(row[12]),
        evidence=NO_EVIDENCE if row[13] is None else codec.decode_evidence(row[13]),
    )


def _facts(row: Any) -> ExecutionFacts:
    return ExecutionFacts(id=row[6], cause=Cause(row[7]), nominal_us=row[8], due_us=row[9])


def _value(outcome: Outcome | None) -> str | None:
    """A plain string: SQLite's adapters take ten times as long over a subclass of it."""
    return None if outcome is None else outcome.value


def _read(table: str, row: Any, decode: Callable[[Any], T]) -> T:
    try:
        return decode(row)
    except FAULTS as exc:
        raise StoredDataError(table, row[0], str(exc)) from exc
