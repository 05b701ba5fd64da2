"""Looking at dead letters, delivering them again, and removing them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import click

from schedd.cli.commanding import command
from schedd.cli.failures import CommandError, UsageFault, exit_code, message_lines
from schedd.cli.names import execution_name, schedule_name
from schedd.cli.selecting import complete_schedule
from schedd.cli.session import Session

_FILTER = click.option("--filter", "extra", metavar="FILTER", help="Those that match, such as: group = ops. The filter * means all.")


@command(
    "list",
    examples="""
schedctl execution dead-letters list
schedctl execution dead-letters list nightly-backup -o json
""",
)
@click.argument("name", required=False, shell_complete=complete_schedule)
@click.option("-n", "--count", type=click.IntRange(1), default=20, show_default=True, help="At most this many.")
@click.option("--filter", "extra", default="", metavar="FILTER", help="The API's own filter, such as: reason = TIMEOUT.")
@click.pass_obj
def list_letters(session: Session, name: str | None, count: int, extra: str) -> None:
    """List dead letters, newest first."""
    from schedd.cli.views import dead_letters_view

    parent = schedule_name(name) if name else "groups/-/schedules/-"
    with session.client() as client:
        found = list(islice(client.list_dead_letters(parent, filter=extra, page_size=min(count, 1000)), count))
    session.out.many(dead_letters_view(datetime.now(UTC)), found)


@command(
    "redeliver",
    examples="""
schedctl execution dead-letters redeliver 01j9zq4w8k2mn
schedctl execution dead-letters redeliver --filter 'group = ops AND reason = CONNECTION'
""",
)
@click.argument("executions", nargs=-1)
@_FILTER
@click.pass_obj
def redeliver(session: Session, executions: tuple[str, ...], extra: str | None) -> None:
    """Deliver dead letters again.

    The target gets the same delivery keys as before. At most 1000 at once, the oldest first. One that succeeds is no dead letter any more.
    """
    from schedd.cli.views import execution_id
    from schedd.client.status import error_of_status

    with session.client() as client:
        answer = client.redeliver_dead_letters(_named(executions, extra), filter=extra or "")
    failed = []
    for result in answer.results:
        if result.status.code:
            failed.append((result.name, error_of_status(result.status)))
        else:
            session.out.note(f"{execution_id(result.name)} is delivered again")
    if answer.more:
        session.out.note("there are more; repeat the command for them")
    if not answer.results:
        session.out.note("no dead letters")
    if failed:
        lines = [f"{execution_id(name)}: {' '.join(message_lines(error, server=session.server_text))}" for name, error in failed]
        raise CommandError(f"{len(failed)} of {len(answer.results)} could not be delivered again", lines, exit_code(failed[0][1]))


@command(
    "purge",
    examples="""
schedctl execution dead-letters purge 01j9zq4w8k2mn
schedctl execution dead-letters purge --filter '*' --dry-run
""",
)
@click.argument("executions", nargs=-1)
@_FILTER
@click.option("--dry-run", is_flag=True, help="Count only; remove nothing.")
@click.pass_obj
def purge(session: Session, executions: tuple[str, ...], extra: str | None, dry_run: bool) -> None:
    """Remove dead letters; their executions stay.

    Asks first, unless --yes is given.
    """
    names = _named(executions, extra)
    with session.client() as client:
        count = client.purge_dead_letters(names, filter=extra or "", validate_only=True).purge_count
        if count and not dry_run:
            session.confirm(f"Remove {_count(count)}?")
            count = client.purge_dead_letters(names, filter=extra or "").purge_count
    session.out.note(f"{_count(count)} {'would be removed' if dry_run else 'removed'}")


def _count(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count} dead letters"


def _named(executions: tuple[str, ...], extra: str | None) -> list[str]:
    if bool(executions) == bool(extra):
        raise UsageFault("name the executions, or choose dead letters with --filter; one of the two")
    return [execution_name(execution) for execution in executions]
