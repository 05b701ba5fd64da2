"""Looking at schedules: list, get, next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from schedd.cli.commanding import command
from schedd.cli.names import group_parent, schedule_name
from schedd.cli.output import Format
from schedd.cli.selecting import complete_schedule, selector_filter
from schedd.cli.session import Session

if TYPE_CHECKING:
    from schedd.v1.schedule_pb2 import Schedule


@command(
    "list",
    examples="""
schedctl list
schedctl list --wide -l app=demo
schedctl list --filter 'state = PAUSED'
schedctl list -o json | jq -r '.[].name'
""",
)
@click.option("-g", "--group", metavar="GROUP", help="Only schedules of this group.")
@click.option("-l", "--selector", metavar="LABELS", help="Only schedules with these labels: app=demo,team=pay, or only the key.")
@click.option("--filter", "extra", metavar="FILTER", help="The API's own filter, such as: state = PAUSED.")
@click.option("--deleted", is_flag=True, help="Deleted schedules too.")
@click.option("-w", "--wide", is_flag=True, help="More columns: state, expression, zone, target, labels.")
@click.pass_obj
def list_schedules(session: Session, group: str | None, selector: str | None, extra: str | None, deleted: bool, wide: bool) -> None:
    """List schedules: what runs next, and how the last run went.

    NEXT and LEFT say when a schedule fires next, in this machine's zone; LAST and RESULT how its last run went.
    """
    from schedd.cli.views import instant, schedules_view

    with session.client() as client:
        found = list(client.list_schedules(group_parent(group or ""), filter=selector_filter(selector, extra), show_deleted=deleted))
    if session.format is Format.TABLE:
        found.sort(key=lambda item: (not item.HasField("next_time"), instant(item.next_time)))
    session.out.many(schedules_view(datetime.now(UTC), wide=wide), found)


@command(
    "get",
    examples="""
schedctl get nightly-backup
schedctl get ops/nightly-backup -o yaml
""",
)
@click.argument("name", shell_complete=complete_schedule)
@click.pass_obj
def get(session: Session, name: str) -> None:
    """Show a schedule.

    With -o yaml it comes in a form that `schedctl apply` takes.
    """
    from schedd.cli.schedule_views import schedule_lines
    from schedd.cli.views import schedules_view

    with session.client() as client:
        schedule = client.get_schedule(schedule_name(name))
    now = datetime.now(UTC)
    session.out.one(schedules_view(now), schedule, lambda: schedule_lines(schedule, now))


@command(
    "next",
    examples="""
schedctl next nightly-backup
schedctl next nightly-backup -n 20 -o json
""",
)
@click.argument("name", shell_complete=complete_schedule)
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many times.")
@click.option("--excluded", is_flag=True, help="Also what an exclusion or a calendar leaves out, marked.")
@click.pass_obj
def next_times(session: Session, name: str, count: int, excluded: bool) -> None:
    """Show when a schedule fires next.

    Local times are in the schedule's own zone; the effects of daylight saving and of calendars are marked.
    """
    from schedd.cli.previews import occurrence_lines

    with session.client() as client:
        answer = client.preview_schedule(schedule_name(name), count=count, show_excluded=excluded)
        stored = None if answer.occurrences else client.get_schedule(schedule_name(name))
    session.out.facts(answer, lambda: occurrence_lines(answer.occurrences, datetime.now(UTC)))
    if stored is not None:
        session.out.note(_why_no_times(stored, name))


def _why_no_times(schedule: Schedule, name: str) -> str:
    from schedd.cli.views import trigger_text

    kinds = {trigger.WhichOneof("rule") for trigger in schedule.triggers}
    rules = "; ".join(map(trigger_text, schedule.triggers))
    if "after_completion" in kinds or "at_start" in kinds or "@reboot" in rules:
        waits = "the daemon's next start" if "after_completion" not in kinds else "the end of its last run"
        return f"{name} fires by no clock ({rules}): what comes next depends on {waits}; `schedctl get {name}` shows what is known"
    return f"{name} has no times ahead ({rules}): its rule has ended"
