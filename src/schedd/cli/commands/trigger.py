"""Running a schedule now."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from schedd.cli.commanding import command
from schedd.cli.failures import ExitCode
from schedd.cli.names import schedule_name
from schedd.cli.output import Format
from schedd.cli.selecting import complete_schedule
from schedd.cli.session import Session

if TYPE_CHECKING:
    from schedd.client import SyncClient
    from schedd.v1.execution_pb2 import Execution


@command(
    "trigger",
    examples="""
schedctl trigger nightly-backup
schedctl trigger nightly-backup --wait
schedctl trigger nightly-backup -o json
""",
)
@click.argument("name", shell_complete=complete_schedule)
@click.option("-w", "--wait", is_flag=True, help="Wait for the end, and print the output; exit code 7 if it did not succeed.")
@click.pass_obj
def trigger(session: Session, name: str, wait: bool) -> int:
    """Run a schedule now.

    Its regular times are not touched. A paused schedule runs too.
    """
    with session.client() as client:
        execution = client.trigger_schedule(schedule_name(name)).execution
        return _follow(session, client, execution) if wait else _report(session, execution)


def _report(session: Session, execution: Execution) -> int:
    from schedd.cli.views import execution_id, executions_view

    view = executions_view(datetime.now(UTC))
    session.out.one(view, execution, lambda: [execution_id(execution.name)])
    session.out.note(f"triggered; `schedctl execution get {execution_id(execution.name)}` shows it")
    return ExitCode.OK


def _follow(session: Session, client: SyncClient, execution: Execution) -> int:
    from schedd.cli.views import attempt_heading, execution_id, execution_state, executions_view
    from schedd.v1.reason_pb2 import Outcome

    session.out.note(f"waiting for {execution_id(execution.name)}")
    ended = client.wait_execution(execution.name)
    if session.format is not Format.TABLE:
        session.out.one(executions_view(datetime.now(UTC)), ended, list)
    elif ended.attempts:
        session.out.note(attempt_heading(ended.attempts[-1]))
        sys.stdout.buffer.write(ended.attempts[-1].output)
        sys.stdout.flush()
        sys.stderr.buffer.write(ended.attempts[-1].error_output)
    if ended.outcome == Outcome.OUTCOME_SUCCEEDED:
        return ExitCode.OK
    session.out.note(f"the execution ended {execution_state(ended).lower()}")
    return ExitCode.EXECUTION_FAILED
