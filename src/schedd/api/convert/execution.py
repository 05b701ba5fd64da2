"""Executions, attempts and the journal as protobuf messages."""

from __future__ import annotations

from collections.abc import Iterable

from schedd.api.convert.basics import Words, duration, timestamp
from schedd.api.names import backfill_name, execution_name
from schedd.core.model.execution import Attempt, Cause, Execution, ExecutionState, id_text
from schedd.core.model.journal import Evidence, JournalEntry, JournalKind
from schedd.core.model.reason import Outcome, Reason
from schedd.v1 import execution_pb2, journal_pb2, reason_pb2

CAUSE = Words(Cause, execution_pb2.Cause, "CAUSE")
STATE = Words(ExecutionState, execution_pb2.ExecutionState, "EXECUTION_STATE")
OUTCOME = Words(Outcome, reason_pb2.Outcome, "OUTCOME")
REASON = Words(Reason, reason_pb2.Reason, "REASON")
KIND = Words(JournalKind, journal_pb2.JournalKind, "JOURNAL_KIND")

_STATE_AFTER = {
    JournalKind.EXECUTION_ARMED: ExecutionState.ARMED,
    JournalKind.EXECUTION_QUEUED: ExecutionState.QUEUED,
    JournalKind.EXECUTION_STARTED: ExecutionState.RUNNING,
    JournalKind.EXECUTION_ADOPTED: ExecutionState.RUNNING,
    JournalKind.EXECUTION_RETRYING: ExecutionState.WAITING_RETRY,
    JournalKind.EXECUTION_FINISHED: ExecutionState.FINISHED,
}


def execution(execution: Execution, attempts: Iterable[Attempt] = ()) -> execution_pb2.Execution:
    """The message of an execution, with the attempts that are given."""
    message = execution_pb2.Execution(
        name=execution_name(execution.schedule, execution.id),
        schedule=str(execution.schedule),
        schedule_uid=id_text(execution.schedule_uid),
        generation=execution.generation,
        cause=CAUSE.number(execution.cause),
        state=STATE.number(execution.state),
        outcome=OUTCOME.number(execution.outcome),
        reason=REASON.number(execution.reason),
        nominal_time=timestamp(execution.nominal_us),
        due_time=timestamp(execution.due_us),
        arm_time=timestamp(execution.armed_us),
        attempt=execution.attempt,
        delivery_key=execution.delivery_key,
        attempts=[attempt(one) for one in attempts],
    )
    if execution.backfill:
        message.backfill = backfill_name(execution.schedule, execution.backfill)
    origin = execution.origin
    if origin is not None:
        if execution.cause is Cause.MANUAL:
            message.actor = origin.actor
        if origin.parent is not None:
            message.parent_execution = execution_name(*origin.parent)
    if execution.started_us is not None:
        message.start_time.CopyFrom(timestamp(execution.started_us))
    if execution.finished_us is not None:
        message.finish_time.CopyFrom(timestamp(execution.finished_us))
    if execution.next_attempt_us is not None:
        message.next_attempt_time.CopyFrom(timestamp(execution.next_attempt_us))
    return message


def attempt(attempt: Attempt) -> execution_pb2.Attempt:
    """The message of an attempt."""
    result = attempt.result
    message = execution_pb2.Attempt(
        number=attempt.number,
        start_time=timestamp(attempt.started_us),
        finish_time=timestamp(attempt.finished_us),
        outcome=OUTCOME.number(result.outcome),
        reason=REASON.number(result.reason),
        message=result.message,
        output=result.output,
        error_output=result.error_output,
        output_truncated=result.output_truncated,
    )
    if result.code is not None:
        message.code = result.code
    if result.retry_after is not None:
        message.retry_after.CopyFrom(duration(result.retry_after))
    return message


def entry(entry: JournalEntry) -> journal_pb2.JournalEntry:
    """The message of a journal entry."""
    message = journal_pb2.JournalEntry(
        sequence=entry.sequence,
        time=timestamp(entry.time_us),
        kind=KIND.number(entry.kind),
        actor=entry.actor,
        outcome=OUTCOME.number(entry.outcome),
        reason=REASON.number(entry.reason),
        evidence=evidence_texts(entry.evidence),
    )
    if entry.schedule is not None:
        message.schedule = str(entry.schedule)
        message.schedule_uid = id_text(entry.schedule_uid)
    facts = entry.execution
    if facts is not None and entry.schedule is not None:
        message.execution = execution_name(entry.schedule, facts.id)
        message.cause = CAUSE.number(facts.cause)
        message.nominal_time.CopyFrom(timestamp(facts.nominal_us))
        message.due_time.CopyFrom(timestamp(facts.due_us))
        message.attempt = entry.attempt
        message.state = STATE.number(_STATE_AFTER.get(entry.kind))
    return message


def kinds_of(numbers: Iterable[int]) -> frozenset[JournalKind]:
    """The journal kinds that a request asks for. Raises: InvalidError (kinds)."""
    return frozenset(KIND.known(number, "kinds") for number in numbers)


def evidence_texts(evidence: Evidence) -> dict[str, str]:
    """Evidence as the API has it."""
    return {key: _evidence_text(key, value) for key, value in evidence.items()}


def _evidence_text(key: str, value: str | float | bool) -> str:
    if key.endswith("_execution") and isinstance(value, int):
        return id_text(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
