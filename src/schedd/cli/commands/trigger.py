"""Running a schedule now."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from schedd.cli.commanding import command
from schedd.cli.failures import ExitCode, UsageFault
from schedd.cli.names import schedule_name
from schedd.cli.output import Format
from schedd.cli.selecting import OverlapChoice, complete_schedule
from schedd.cli.session import Session

if TYPE_CHECKING:
    from schedd.client import SyncClient
    from schedd.v1.execution_pb2 import Execution
    from schedd.v1.journal_pb2 import JournalEntry
    from schedd.v1.target_pb2 import RenderedDelivery


@command(
    "trigger",
    examples="""
schedctl trigger nightly-backup
schedctl trigger nightly-backup --wait
schedctl trigger nightly-backup --overlap ALLOW_ALL
schedctl trigger report --body '{"day": "{{ nominal_date }}"}' --dry-run
schedctl trigger nightly-backup -o json
""",
)
@click.argument("name", shell_complete=complete_schedule)
@click.option("-w", "--wait", is_flag=True, help="Wait for the end, and print the output; exit code 7 if it did not succeed.")
@click.option("--overlap", type=OverlapChoice(), help="The overlap policy of this run.")
@click.option("--body", metavar="TEXT", help="A template; what this run sends, or feeds to its command, in place of the schedule's own.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, rendered; send nothing.")
@click.pass_obj
def trigger(session: Session, name: str, wait: bool, overlap: str | None, body: str | None, dry_run: bool) -> int:
    """Run a schedule now.

    Its regular times are not touched. A paused schedule runs too.
    """
    from schedd.v1.policy_pb2 import Overlap
    from schedd.v1.target_pb2 import Payload

    if wait and dry_run:
        raise UsageFault("--wait does not go with --dry-run: nothing runs")
    payload = None if body is None else Payload(text=body)
    policy = Overlap.Value(f"OVERLAP_{overlap or 'UNSPECIFIED'}")
    with session.client() as client:
        answer = client.trigger_schedule(schedule_name(name), payload=payload, overlap=policy, validate_only=dry_run)
        if dry_run:
            return _show(session, answer.rendered)
        return _follow(session, client, answer.execution) if wait else _report(session, answer.execution)


def _show(session: Session, rendered: RenderedDelivery) -> int:
    from schedd.cli.output import as_data
    from schedd.cli.rendering import rendered_lines

    if session.format in (Format.JSON, Format.YAML):
        session.out.data(as_data(rendered))
    else:
        session.out.lines(rendered_lines(rendered))
    session.out.note("a dry run, nothing was sent")
    return ExitCode.OK


def _report(session: Session, execution: Execution) -> int:
    from schedd.cli.views import execution_id, executions_view

    view = executions_view(datetime.now(UTC))
    session.out.one(view, execution, lambda: [execution_id(execution.name)])
    session.out.note(f"triggered; `schedctl execution get {execution_id(execution.name)}` shows it")
    return ExitCode.OK


def _wait(session: Session, client: SyncClient, name: str) -> Execution:
    """The execution once it has finished; what it waits for meanwhile is told."""
    from schedd.client.calls import of_execution
    from schedd.v1.execution_pb2 import ExecutionState
    from schedd.v1.journal_pb2 import JournalKind

    kinds = [JournalKind.JOURNAL_KIND_EXECUTION_QUEUED, JournalKind.JOURNAL_KIND_EXECUTION_RETRYING]
    ended = JournalKind.JOURNAL_KIND_EXECUTION_FINISHED
    sequence = client.get_status().store.last_sequence
    execution = client.get_execution(name)
    if execution.state == ExecutionState.EXECUTION_STATE_FINISHED:
        return execution
    if execution.state == ExecutionState.EXECUTION_STATE_WAITING_RETRY:
        _tell_retry(session, execution.attempt, execution.reason, execution.next_attempt_time.ToDatetime(UTC))
    with closing(client.watch(filter=of_execution(name), after=sequence, kinds=[*kinds, ended])) as events:
        for event in events:
            if event.kind == ended:
                break
            _tell(session, event)
    return client.get_execution(name)


def _tell(session: Session, event: JournalEntry) -> None:
    from schedd.cli.views import word
    from schedd.v1.reason_pb2 import Reason

    if "next_attempt_us" in event.evidence:
        due = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(event.evidence["next_attempt_us"]))
        _tell_retry(session, event.attempt, event.reason, due)
    else:
        session.out.note(f"it is queued ({word(Reason, event.reason).lower()})")


def _tell_retry(session: Session, attempt: int, reason: int, due: datetime) -> None:
    from schedd.cli.spans import relative_text
    from schedd.cli.views import word
    from schedd.v1.reason_pb2 import Reason

    told = f"attempt {attempt} failed ({word(Reason, reason).lower()}); the next one starts {relative_text(due, datetime.now(UTC))}"
    session.out.note(told)


def _follow(session: Session, client: SyncClient, execution: Execution) -> int:
    from schedd.cli.journal_views import sentence_of
    from schedd.cli.views import attempt_heading, execution_id, execution_state, executions_view, word
    from schedd.v1.reason_pb2 import Outcome, Reason

    session.out.note(f"waiting for {execution_id(execution.name)}")
    ended = _wait(session, client, execution.name)
    if session.format is not Format.TABLE:
        session.out.one(executions_view(datetime.now(UTC)), ended, list)
    elif ended.attempts:
        session.out.note(attempt_heading(ended.attempts[-1]))
        sys.stdout.buffer.write(ended.attempts[-1].output)
        sys.stdout.flush()
        sys.stderr.buffer.write(ended.attempts[-1].error_output)
    if ended.outcome == Outcome.OUTCOME_SUCCEEDED:
        return ExitCode.OK
    session.out.note(f"the execution ended {execution_state(ended).lower()}: {sentence_of(word(Reason, ended.reason))}")
    return ExitCode.EXECUTION_FAILED
