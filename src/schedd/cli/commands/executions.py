"""Looking at executions, cancelling them, and delivering them again."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import click

from schedd.cli.commanding import command
from schedd.cli.names import execution_name, schedule_name
from schedd.cli.output import Format
from schedd.cli.selecting import complete_schedule
from schedd.cli.session import Session


@command(
    "list",
    examples="""
schedctl execution list
schedctl execution list nightly-backup -n 50
schedctl execution list --failed
schedctl execution list --filter 'outcome = SKIPPED AND reason = OVERLAP'
""",
)
@click.argument("name", required=False, shell_complete=complete_schedule)
@click.option("-n", "--count", type=click.IntRange(1), default=20, show_default=True, help="At most this many.")
@click.option("--failed", is_flag=True, help="Only those that failed.")
@click.option("--running", is_flag=True, help="Only those that run.")
@click.option("--filter", "extra", metavar="FILTER", help="The API's own filter, such as: outcome = FAILED.")
@click.pass_obj
def list_executions(session: Session, name: str | None, count: int, failed: bool, running: bool, extra: str | None) -> None:
    """List executions, newest first."""
    from schedd.cli.views import executions_view

    terms = [("outcome = FAILED", failed), ("state = RUNNING", running), (extra, extra is not None)]
    chosen = " AND ".join(str(term) for term, wanted in terms if wanted)
    parent = schedule_name(name) if name else "groups/-/schedules/-"
    with session.client() as client:
        found = list(islice(client.list_executions(parent, filter=chosen, page_size=min(count, 1000)), count))
    session.out.many(executions_view(datetime.now(UTC)), found)


@command(
    "get",
    examples="""
schedctl execution get 01j9zq4w8k2mn
schedctl execution get 01j9zq4w8k2mn -o json
""",
)
@click.argument("execution")
@click.pass_obj
def get(session: Session, execution: str) -> None:
    """Show an execution and its attempts.

    EXECUTION is its id, or its whole name.
    """
    from schedd.cli.views import execution_lines, executions_view

    with session.client() as client:
        found = client.get_execution(execution_name(execution))
    now = datetime.now(UTC)
    session.out.one(executions_view(now), found, lambda: execution_lines(found, now))


@command(
    "cancel",
    examples="""
schedctl execution cancel 01j9zq4w8k2mn
schedctl execution cancel 01j9zq4w8k2mn --reason "wrong day"
""",
)
@click.argument("executions", nargs=-1, required=True)
@click.option("-r", "--reason", default="", metavar="TEXT", help="Why; it is kept, and shown.")
@click.pass_obj
def cancel(session: Session, executions: tuple[str, ...], reason: str) -> None:
    """Cancel unfinished executions.

    One that waits ends at once; of one that runs the target is told to stop first.
    """
    from schedd.cli.views import execution_state, executions_view

    cancelled = []
    with session.client() as client:
        for execution in executions:
            cancelled.append(client.cancel_execution(execution_name(execution), reason))
            session.out.note(f"{execution} {execution_state(cancelled[-1]).lower()}")
    if session.format is not Format.TABLE:
        session.out.many(executions_view(datetime.now(UTC)), cancelled)


@command(
    "redeliver",
    examples="""
schedctl execution redeliver 01j9zq4w8k2mn
""",
)
@click.argument("executions", nargs=-1, required=True)
@click.pass_obj
def redeliver(session: Session, executions: tuple[str, ...]) -> None:
    """Deliver finished executions again.

    The target gets the same delivery key as before, and can tell that it has seen it; there is a new series of attempts.
    """
    from schedd.cli.views import executions_view

    again = []
    with session.client() as client:
        for execution in executions:
            again.append(client.redeliver_execution(execution_name(execution)))
            session.out.note(f"{execution} is delivered again")
    if session.format is not Format.TABLE:
        session.out.many(executions_view(datetime.now(UTC)), again)
