"""Deleting, restoring, pausing and resuming schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from schedd.cli.commanding import DURATION, command
from schedd.cli.failures import CommandError, UsageFault, exit_code, message_lines
from schedd.cli.names import schedule_name, short_name
from schedd.cli.output import Format
from schedd.cli.selecting import complete_schedule, selector_filter
from schedd.cli.session import Session
from schedd.cli.spans import parse_instant

if TYPE_CHECKING:
    from schedd.client import SyncClient
    from schedd.v1.schedule_pb2 import Schedule

SELECTOR = click.option("-l", "--selector", metavar="LABELS", help="All schedules with these labels, in place of names.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Check only; change nothing.")
NAMES = click.argument("names", nargs=-1, shell_complete=complete_schedule)


@command(
    "delete",
    examples="""
schedctl delete old-report
schedctl delete -l app=demo --yes
""",
)
@NAMES
@SELECTOR
@DRY_RUN
@click.pass_obj
def delete(session: Session, names: tuple[str, ...], selector: str | None, dry_run: bool) -> None:
    """Delete schedules.

    What of them runs ends by itself. Asks first, unless --yes is given.
    """
    with session.client() as client:
        chosen = _chosen(client, names, selector)
        if not dry_run and chosen:
            session.confirm(f"Delete {_count(chosen)}?")
        _each(session, chosen, "deleted", dry_run, lambda name: client.delete_schedule(name, validate_only=dry_run))


@command(
    "undelete",
    examples="""
schedctl schedule undelete old-report
schedctl schedule undelete old-report --dry-run
""",
)
@click.argument("names", nargs=-1, required=True)
@DRY_RUN
@click.pass_obj
def undelete(session: Session, names: tuple[str, ...], dry_run: bool) -> None:
    """Restore deleted schedules.

    They go on from now, as they were: a paused one stays paused. A name that another schedule has taken since is not given back.
    """
    with session.client() as client:
        chosen = _chosen(client, names, None)
        _each(session, chosen, "restored", dry_run, lambda name: client.undelete_schedule(name, validate_only=dry_run))


@command(
    "pause",
    examples="""
schedctl pause nightly-backup --reason "disk is being replaced"
schedctl pause -l team=pay --for 2h
schedctl pause tee-time --until 2026-12-24T08:00:00Z
""",
)
@NAMES
@SELECTOR
@click.option("-r", "--reason", default="", metavar="TEXT", help="Why; it is kept, and shown.")
@click.option("--for", "span", type=DURATION, metavar="TIME", help="Resume by itself after this long.")
@click.option("--until", metavar="TIME", help="Resume by itself at this time (UTC, unless it has an offset).")
@DRY_RUN
@click.pass_obj
def pause(
    session: Session, names: tuple[str, ...], selector: str | None, reason: str, span: timedelta | None, until: str | None, dry_run: bool
) -> None:
    """Pause schedules, with a reason.

    Their occurrences are skipped until they are resumed, or until the given end.
    """
    end = _end(span, until)
    with session.client() as client:
        chosen = _chosen(client, names, selector)
        _each(session, chosen, "paused", dry_run, lambda name: client.pause_schedule(name, reason, until=end, validate_only=dry_run))


@command(
    "resume",
    examples="""
schedctl resume nightly-backup
schedctl resume nightly-backup --backlog LATEST
""",
)
@NAMES
@SELECTOR
@click.option(
    "--backlog",
    type=click.Choice(["NONE", "LATEST", "EARLIEST", "ALL"], case_sensitive=False),
    default="NONE",
    show_default=True,
    help="What is done about the occurrences that the pause left out.",
)
@DRY_RUN
@click.pass_obj
def resume(session: Session, names: tuple[str, ...], selector: str | None, backlog: str, dry_run: bool) -> None:
    """Resume paused schedules.

    A schedule that schedd took out of service (DISABLED) is put back too.
    """
    from schedd.v1.policy_pb2 import CatchUpMode

    mode = CatchUpMode.Value(f"CATCH_UP_MODE_{backlog}")
    with session.client() as client:
        chosen = _chosen(client, names, selector)
        _each(session, chosen, "resumed", dry_run, lambda name: client.resume_schedule(name, backlog=mode, validate_only=dry_run))


def _chosen(client: SyncClient, names: Sequence[str], selector: str | None) -> list[str]:
    if bool(names) == bool(selector):
        raise UsageFault("name the schedules, or choose them with -l; one of the two")
    if selector:
        return [schedule.name for schedule in client.list_schedules(filter=selector_filter(selector))]
    return [schedule_name(name) for name in names]


def _each(session: Session, names: Sequence[str], done: str, dry_run: bool, change: Callable[[str], Schedule]) -> None:
    """Change one after the other; a failure is told, and the others still have their turn. Raises: CommandError."""
    from schedd.cli.views import schedules_view
    from schedd.client import CallError, UnavailableError

    changed, failed = [], []
    for name in names:
        try:
            changed.append(change(name))
        except UnavailableError:
            raise
        except CallError as error:
            failed.append((name, error))
            continue
        session.out.note(f"{short_name(name)} {f'would be {done}' if dry_run else done}")
    if session.format is not Format.TABLE:
        session.out.many(schedules_view(datetime.now(UTC)), changed)
    if not names:
        session.out.note("no schedules")
    if len(failed) == 1 and len(names) == 1:
        raise failed[0][1]
    if failed:
        lines = [f"{short_name(name)}: {' '.join(message_lines(error, server=session.server_text))}" for name, error in failed]
        raise CommandError(f"{len(failed)} of {len(names)} could not be {done}", lines, exit_code(failed[0][1]))


def _count(names: Sequence[str]) -> str:
    return f"the schedule {short_name(names[0])}" if len(names) == 1 else f"{len(names)} schedules"


def _end(span: timedelta | None, until: str | None) -> datetime | None:
    if span is not None and until is not None:
        raise UsageFault("give --for or --until, not both")
    if span is not None:
        return datetime.now(UTC) + span
    try:
        return parse_instant(until) if until is not None else None
    except ValueError as error:
        raise UsageFault(str(error)) from error
