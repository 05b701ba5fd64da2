"""How the API's resources look to people: rows of tables, and the lines of a single one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from google.protobuf.timestamp_pb2 import Timestamp

from schedd.cli.names import short_name
from schedd.cli.output import View
from schedd.cli.spans import duration_text, glance_text, instant_text, relative_text, rough_text, whole_text
from schedd.cli.tables import Cell, Column
from schedd.v1.execution_pb2 import Attempt, Cause, DeadLetter, Execution, ExecutionState
from schedd.v1.journal_pb2 import JournalEntry, JournalKind
from schedd.v1.reason_pb2 import Outcome, Reason
from schedd.v1.schedule_pb2 import Schedule, ScheduleState
from schedd.v1.when_pb2 import Trigger

NOTHING = "-"

COLOURS = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "UNKNOWN": "red",
    "MISSED": "yellow",
    "SKIPPED": "yellow",
    "CANCELLED": "yellow",
    "PAUSED": "yellow",
    "DISABLED": "red",
    "RUNNING": "cyan",
    "WAITING_RETRY": "yellow",
}


def word(enum: type, number: int) -> str:
    """An enum's value without its prefix, `SKIP` for OVERLAP_SKIP; a number that this client does not know comes as such."""
    values = enum.DESCRIPTOR  # type: ignore[attr-defined]
    value = values.values_by_number.get(number)
    return str(number) if value is None else str(value.name).removeprefix(values.values[0].name.removesuffix("UNSPECIFIED"))


def coloured(text: str) -> Cell:
    """A state or an outcome, in its colour."""
    return Cell(text.lower(), COLOURS.get(text.split(" ")[0], ""))


def instant(stamp: Timestamp) -> datetime:
    """A timestamp as an aware UTC datetime."""
    return stamp.ToDatetime(UTC)


def zone_of(schedule: Schedule) -> tzinfo:
    """The schedule's zone, UTC where this machine does not know it."""
    try:
        return ZoneInfo(schedule.time_zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def schedules_view(now: datetime, *, wide: bool = False) -> View[Schedule]:
    """Schedules as a table: NEXT, LEFT, LAST, RESULT, NAME; `wide` adds what they are made of."""
    columns = [
        Column(title="NEXT"),
        Column(title="LEFT", right=True, rank=1),
        Column(title="LAST", right=True, rank=2),
        Column(title="RESULT"),
        Column(title="NAME", elastic=True),
    ]
    more = [
        Column(title="STATE", rank=3),
        Column(title="WHEN", elastic=True, rank=4),
        Column(title="ZONE", rank=5),
        Column(title="TARGET", elastic=True, rank=6),
        Column(title="LABELS", elastic=True, rank=7),
    ]
    return View(
        name=lambda schedule: short_name(schedule.name),
        columns=[*columns, *more] if wide else columns,
        row=lambda schedule: _schedule_row(schedule, now, wide),
        empty="no schedules",
    )


def _schedule_row(schedule: Schedule, now: datetime, wide: bool) -> Sequence[Cell]:
    due = instant(schedule.next_time) if schedule.HasField("next_time") else None
    last = instant(schedule.last_run.finish_time) if schedule.HasField("last_run") else None
    row = [
        Cell(glance_text(due, now)) if due else coloured(_standing(schedule)),
        Cell(_left(due, now) if due else NOTHING),
        Cell(f"{whole_text(now - last)} ago" if last else NOTHING),
        coloured(result_text(schedule)),
        Cell(short_name(schedule.name)),
    ]
    if wide:
        row += [
            coloured(word(ScheduleState, schedule.state)),
            Cell("; ".join(map(trigger_text, schedule.triggers))),
            Cell(schedule.time_zone),
            Cell(target_text(schedule)),
            Cell(labels_text(schedule)),
        ]
    return row


def _left(due: datetime, now: datetime) -> str:
    return whole_text(due - now) if due > now else "now"


def _standing(schedule: Schedule) -> str:
    state = word(ScheduleState, schedule.state)
    return NOTHING if state == "ENABLED" else state


def result_text(schedule: Schedule) -> str:
    """How the last run ended, and why if it did not succeed."""
    if not schedule.HasField("last_run"):
        return NOTHING
    outcome = word(Outcome, schedule.last_run.outcome)
    return outcome if outcome == "SUCCEEDED" else f"{outcome} {word(Reason, schedule.last_run.reason)}"


def trigger_text(trigger: Trigger) -> str:
    """A trigger in the words of the schedules file."""
    match trigger.WhichOneof("rule"):
        case "expression":
            return trigger.expression
        case "cron":
            return trigger.cron.expression
        case "interval":
            return f"every {duration_text(trigger.interval.every.ToTimedelta())}"
        case "after_completion":
            return f"{duration_text(trigger.after_completion.delay.ToTimedelta())} after completion"
        case "once":
            return "at " + ", ".join(stamp.ToJsonString() for stamp in trigger.once.times)
        case "on_calendar":
            return f"OnCalendar {trigger.on_calendar.expression}"
        case "recurrence":
            return " ".join(trigger.recurrence.text.split())
        case "at_start":
            return "@reboot"
        case _:
            return NOTHING


def target_text(schedule: Schedule) -> str:
    """A target on one line."""
    match schedule.target.WhichOneof("kind"):
        case "http":
            return f"{schedule.target.http.method or 'POST'} {schedule.target.http.url}"
        case "process":
            return " ".join(schedule.target.process.argv)
        case _:
            return NOTHING


def labels_text(schedule: Schedule) -> str:
    """Labels on one line, by key."""
    return ",".join(f"{key}={value}" for key, value in sorted(schedule.labels.items())) or NOTHING


def fact_lines(facts: Iterable[tuple[str, str]]) -> list[str]:
    """Facts, one a line, their values below each other; those with nothing to say are left out."""
    told = [(label, value) for label, value in facts if value and value != NOTHING]
    width = max((len(label) for label, _ in told), default=0)
    return [f"{label:<{width}}  {value}" for label, value in told]


def moment_text(stamp: Timestamp, now: datetime, zone: tzinfo) -> str:
    """An instant in this zone, and how far away it is."""
    return f"{instant_text(instant(stamp), zone)} ({relative_text(instant(stamp), now)})"


def executions_view(now: datetime) -> View[Execution]:
    """Executions as a table."""
    return View(
        name=lambda execution: execution.name,
        columns=[
            Column(title="DUE"),
            Column(title="STATE"),
            Column(title="REASON", rank=2),
            Column(title="TRY", right=True, rank=3),
            Column(title="TOOK", right=True, rank=4),
            Column(title="CAUSE", rank=5),
            Column(title="SCHEDULE", elastic=True),
            Column(title="EXECUTION", rank=1),
        ],
        row=lambda execution: _execution_row(execution, now),
        empty="no executions",
    )


def dead_letters_view(now: datetime) -> View[DeadLetter]:
    """Dead letters as a table."""
    return View(
        name=lambda letter: letter.execution.name,
        columns=[
            Column(title="FAILED"),
            Column(title="REASON", rank=2),
            Column(title="TRY", right=True, rank=3),
            Column(title="REDELIVERED", rank=4),
            Column(title="SCHEDULE", elastic=True),
            Column(title="EXECUTION", rank=1),
        ],
        row=lambda letter: [
            Cell(glance_text(instant(letter.create_time), now)),
            Cell(word(Reason, letter.execution.reason)),
            Cell(str(letter.execution.attempt)),
            Cell(glance_text(instant(letter.redeliver_time), now) if letter.HasField("redeliver_time") else NOTHING),
            Cell(short_name(letter.execution.name)),
            Cell(execution_id(letter.execution.name)),
        ],
        empty="no dead letters",
    )


def _execution_row(execution: Execution, now: datetime) -> Sequence[Cell]:
    reason = word(Reason, execution.reason)
    return [
        Cell(glance_text(instant(execution.due_time), now)),
        coloured(execution_state(execution)),
        Cell(NOTHING if reason in ("UNSPECIFIED", "COMPLETED") else reason),
        Cell(str(execution.attempt)),
        Cell(_took(execution)),
        Cell(word(Cause, execution.cause).lower()),
        Cell(short_name(execution.name)),
        Cell(execution_id(execution.name)),
    ]


def execution_state(execution: Execution) -> str:
    """Its outcome once it has finished, its state before."""
    finished = execution.state == ExecutionState.EXECUTION_STATE_FINISHED
    return word(Outcome, execution.outcome) if finished else word(ExecutionState, execution.state)


def execution_id(name: str) -> str:
    """The last part of an execution's name."""
    return name.rsplit("/", 1)[-1]


def _took(execution: Execution) -> str:
    if not (execution.HasField("start_time") and execution.HasField("finish_time")):
        return NOTHING
    return rough_text(instant(execution.finish_time) - instant(execution.start_time))


def execution_lines(execution: Execution, now: datetime) -> list[str]:
    """All that a person wants to know about one execution and its attempts."""
    reason = word(Reason, execution.reason)
    lines = fact_lines(
        [
            ("Name", execution.name),
            ("State", execution_state(execution).lower() + (f": {reason.lower()}" if reason != "UNSPECIFIED" else "")),
            ("Cause", word(Cause, execution.cause).lower() + (f", by {execution.actor}" if execution.actor else "")),
            ("Follows", execution.parent_execution),
            ("Due", moment_text(execution.due_time, now, UTC)),
            ("Late by", _late(execution)),
            ("Took", _took(execution)),
            ("Next attempt", moment_text(execution.next_attempt_time, now, UTC) if execution.HasField("next_attempt_time") else ""),
            ("Delivery key", execution.delivery_key),
        ]
    )
    for attempt in execution.attempts:
        lines += ["", *attempt_lines(attempt)]
    return lines


def _late(execution: Execution) -> str:
    if not execution.HasField("start_time"):
        return ""
    return rough_text(instant(execution.start_time) - instant(execution.due_time))


def attempt_heading(attempt: Attempt) -> str:
    """An attempt on one line."""
    code = f" {attempt.code}" if attempt.HasField("code") else ""
    took = rough_text(instant(attempt.finish_time) - instant(attempt.start_time))
    message = f": {attempt.message}" if attempt.message else ""
    outcome, reason = word(Outcome, attempt.outcome).lower(), word(Reason, attempt.reason).lower()
    why = f" ({reason}{code})" if attempt.outcome != Outcome.OUTCOME_SUCCEEDED else ""
    return f"Attempt {attempt.number}: {outcome}{why} after {took}{message}"


def attempt_lines(attempt: Attempt) -> list[str]:
    """An attempt with its output."""
    lines = [attempt_heading(attempt)]
    for title, content in (("output", attempt.output), ("error output", attempt.error_output)):
        if content:
            lines.append(f"  {title}:")
            lines += [f"    {line}" for line in content.decode("utf-8", "replace").splitlines()]
    return lines


def event_cell(entry: JournalEntry) -> Cell:
    """What happened, in a word or two: `execution started`, `succeeded`, `schedule paused`."""
    if entry.outcome:
        outcome = word(Outcome, entry.outcome)
        what = f"{entry.evidence.get('count', '')} {outcome}".strip()
        return Cell(what.lower(), COLOURS.get(outcome, ""))
    kind = word(JournalKind, entry.kind)
    colour = "yellow" if kind.endswith(("RETRYING", "PAUSED")) else "red" if kind.endswith("DISABLED") else ""
    return Cell(kind.removeprefix("EXECUTION_").replace("_", " ").lower(), colour)


def event_detail(entry: JournalEntry) -> str:
    """What is worth telling about an event on one line: the attempt, how late, how it failed, when it goes on."""
    parts = [f"attempt {entry.attempt}" if entry.attempt > 1 or entry.kind == JournalKind.JOURNAL_KIND_EXECUTION_RETRYING else ""]
    reason = word(Reason, entry.reason)
    parts.append("" if reason in ("UNSPECIFIED", "COMPLETED", "REQUESTED") else reason.replace("_", " ").lower())
    if entry.kind == JournalKind.JOURNAL_KIND_EXECUTION_STARTED and entry.attempt == 1:
        parts.append(_late_text(instant(entry.time) - instant(entry.due_time)))
    parts += [f"{key} {entry.evidence[key]}" for key in ("code", "message", "blocked_by") if entry.evidence.get(key)]
    parts.append(execution_id(entry.execution))
    return ", ".join(part for part in parts if part)


def _late_text(span: timedelta) -> str:
    return f"{rough_text(span)} late" if span >= timedelta(milliseconds=1) else ""
