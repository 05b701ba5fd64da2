"""The output of executions."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING

import click

from schedd.cli.commanding import command
from schedd.cli.failures import CommandError, ExitCode
from schedd.cli.names import execution_name, schedule_name
from schedd.cli.output import Format
from schedd.cli.selecting import complete_schedule
from schedd.cli.session import Session

if TYPE_CHECKING:
    from schedd.client import SyncClient
    from schedd.v1.execution_pb2 import Attempt, Execution


@command(
    "logs",
    examples="""
schedctl logs nightly-backup
schedctl logs nightly-backup --all
schedctl logs nightly-backup -n 3
schedctl logs nightly-backup --execution 01j9zq4w8k2mn
""",
)
@click.argument("name", shell_complete=complete_schedule)
@click.option("--execution", metavar="ID", help="This execution in place of the newest one.")
@click.option("-n", "--count", type=click.IntRange(1, 100), default=1, show_default=True, help="So many executions, the newest last.")
@click.option("--all", "every", is_flag=True, help="All attempts, not only the last one.")
@click.pass_obj
def logs(session: Session, name: str, execution: str | None, count: int, every: bool) -> None:
    """Show the output of a schedule's executions.

    Standard output (or the response's body) goes to stdout, standard error to stderr, as they were.
    """
    with session.client() as client:
        found = _one(client, name, execution) if execution else _newest(client, name, count)
    if session.format is not Format.TABLE:
        from datetime import UTC, datetime

        from schedd.cli.views import executions_view

        session.out.many(executions_view(datetime.now(UTC)), found)
        return
    for item in found:
        attempts = item.attempts if every else item.attempts[-1:]
        for attempt in attempts:
            _show(session, item, attempt)
        if not attempts:
            session.out.note("this execution has no finished attempt yet")


def _one(client: SyncClient, name: str, execution: str) -> list[Execution]:
    found = client.get_execution(execution_name(execution))
    if found.schedule != schedule_name(name):
        raise CommandError(f"execution {execution} is not one of {name}'s, but of {found.schedule}'s", code=ExitCode.NOT_FOUND)
    return [found]


def _newest(client: SyncClient, name: str, count: int) -> list[Execution]:
    from schedd.v1.execution_pb2 import ExecutionView

    parent = schedule_name(name)
    client.get_schedule(parent)  # a schedule that is not there is another answer than one that never ran
    listing = client.list_executions(parent, view=ExecutionView.EXECUTION_VIEW_FULL, page_size=min(count + 4, 100))
    found = list(islice((item for item in listing if item.attempts), count))
    if not found:
        raise CommandError(f"{name} has no output yet; it has not finished a run", code=ExitCode.NOT_FOUND)
    return found[::-1]


def _show(session: Session, execution: Execution, attempt: Attempt) -> None:
    from schedd.cli.spans import instant_text
    from schedd.cli.views import attempt_heading, execution_id, instant

    when = instant_text(instant(attempt.start_time))
    session.out.note(f"==> {execution_id(execution.name)}  {when}  {attempt_heading(attempt)}")
    if attempt.output_truncated:
        session.out.note("    some of the output was left out: the schedule's output_limit_bytes")
    for stream, content in ((sys.stdout, attempt.output), (sys.stderr, attempt.error_output)):
        stream.flush()
        stream.buffer.write(content if content.endswith(b"\n") or not content else content + b"\n")
        stream.flush()
