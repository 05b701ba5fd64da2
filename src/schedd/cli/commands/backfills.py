"""Running past ranges of a schedule, and looking after that."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from schedd.cli.commanding import command
from schedd.cli.failures import ExitCode
from schedd.cli.names import backfill_name, schedule_name
from schedd.cli.selecting import OverlapChoice, complete_schedule
from schedd.cli.session import Session
from schedd.cli.spans import parse_instant

if TYPE_CHECKING:
    from schedd.client import SyncClient
    from schedd.v1.schedule_pb2 import Backfill

_LOOK_EVERY_S = 0.5
_NOTHING_THERE = (
    "the schedule has no occurrence in that range; an interval has none before the creation of its schedule, or its anchor_time"
)


class _Instant(click.ParamType[datetime]):
    """An instant such as `2026-01-01T00:00:00Z`."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant that the argument writes; UTC where it has no offset."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_instant(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@command(
    "start",
    examples="""
schedctl backfill nightly-report --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z
schedctl backfill nightly-report --from 2026-01-01 --to 2026-02-01 --rate 0.5 --wait
schedctl backfill nightly-report --from 2026-01-01 --to 2026-02-01 --overlap ALLOW_ALL --dry-run
""",
)
@click.argument("name", shell_complete=complete_schedule)
@click.option("--from", "start", type=_Instant(), required=True, metavar="TIME", help="The first nominal time, included.")
@click.option("--to", "end", type=_Instant(), required=True, metavar="TIME", help="The end, not included; not in the future.")
@click.option("--overlap", type=OverlapChoice(), default="BUFFER_ALL", show_default=True, help="How its executions overlap.")
@click.option("--rate", type=click.FloatRange(0, 1000, min_open=True), default=10.0, show_default=True, help="Starts a second, at most.")
@click.option("-w", "--wait", is_flag=True, help="Show its progress until it ends; exit code 7 if not all went well.")
@click.option("--dry-run", is_flag=True, help="Only say how many occurrences the range has.")
@click.pass_obj
def start(session: Session, name: str, start: datetime, end: datetime, overlap: str, rate: float, wait: bool, dry_run: bool) -> int:
    """Run the occurrences of a past range; `backfill NAME` is the same.

    They run in the background: what is on time goes first. Occurrences that an earlier backfill has run are skipped. The backfill goes on
    without schedctl, and over restarts of the daemon.
    """
    from schedd.v1.policy_pb2 import Overlap

    chosen = Overlap.Value(f"OVERLAP_{overlap}")
    with session.client() as client:
        made = client.backfill_schedule(schedule_name(name), start, end, overlap=chosen, rate_per_second=rate, validate_only=dry_run)
        if not made.total_count:
            session.out.note(_NOTHING_THERE)
        if dry_run:
            session.out.facts(made, lambda: [f"{made.total_count} occurrences"])
            return ExitCode.OK
        return _follow(session, client, made) if wait else _report(session, made)


def _report(session: Session, made: Backfill) -> int:
    from schedd.cli.backfill_views import backfill_id, backfills_view

    session.out.one(backfills_view(datetime.now(UTC)), made, lambda: [backfill_id(made.name)])
    session.out.note(f"{made.total_count} occurrences; `schedctl backfill get {backfill_id(made.name)}` shows how far it is")
    return ExitCode.OK


def _follow(session: Session, client: SyncClient, made: Backfill) -> int:
    from schedd.cli.backfill_views import backfill_id, backfill_lines, backfills_view, progress
    from schedd.v1.schedule_pb2 import BackfillState

    try:
        with progress(session.out, in_terminal=sys.stderr.isatty()) as show:
            show(made)
            while made.state == BackfillState.BACKFILL_STATE_RUNNING:
                time.sleep(_LOOK_EVERY_S)
                made = client.get_backfill(made.name)
                show(made)
    except KeyboardInterrupt:
        session.out.note(f"the backfill goes on; `schedctl backfill cancel {backfill_id(made.name)}` ends it")
        raise
    session.out.one(backfills_view(datetime.now(UTC)), made, lambda: backfill_lines(made))
    went_well = made.state == BackfillState.BACKFILL_STATE_FINISHED and made.done_count == made.succeeded_count + made.skipped_count
    return ExitCode.OK if went_well else ExitCode.EXECUTION_FAILED


@command(
    "list",
    examples="""
schedctl backfill list
schedctl backfill list nightly-report -o json
""",
)
@click.argument("name", required=False, shell_complete=complete_schedule)
@click.option("-n", "--count", type=click.IntRange(1), default=20, show_default=True, help="At most this many.")
@click.pass_obj
def list_backfills(session: Session, name: str | None, count: int) -> None:
    """List backfills, newest first."""
    from schedd.cli.backfill_views import backfills_view

    parent = schedule_name(name) if name else "groups/-/schedules/-"
    with session.client() as client:
        found = list(islice(client.list_backfills(parent, page_size=min(count, 1000)), count))
    session.out.many(backfills_view(datetime.now(UTC)), found)


@command(
    "get",
    examples="""
schedctl backfill get 01j9zq4w8k2mn
schedctl backfill get 01j9zq4w8k2mn -o json
""",
)
@click.argument("backfill")
@click.pass_obj
def get(session: Session, backfill: str) -> None:
    """Show a backfill and its progress."""
    from schedd.cli.backfill_views import backfill_lines, backfills_view

    with session.client() as client:
        found = client.get_backfill(backfill_name(backfill))
    session.out.one(backfills_view(datetime.now(UTC)), found, lambda: backfill_lines(found))


@command(
    "cancel",
    examples="""
schedctl backfill cancel 01j9zq4w8k2mn
""",
)
@click.argument("backfills", nargs=-1, required=True)
@click.pass_obj
def cancel(session: Session, backfills: tuple[str, ...]) -> None:
    """End backfills; what has started runs on."""
    from schedd.cli.backfill_views import backfills_view

    with session.client() as client:
        ended = [client.cancel_backfill(backfill_name(backfill)) for backfill in backfills]
    session.out.many(backfills_view(datetime.now(UTC)), ended)
