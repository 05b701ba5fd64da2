"""Following executions as they happen."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from schedd.cli.commanding import command
from schedd.cli.names import group_parent, schedule_name, short_name
from schedd.cli.output import Format, as_data
from schedd.cli.selecting import complete_schedule
from schedd.cli.session import Session

if TYPE_CHECKING:
    from schedd.cli.output import Output
    from schedd.client import CallError
    from schedd.v1.journal_pb2 import JournalEntry, JournalKind


@command(
    "watch",
    examples="""
schedctl watch
schedctl watch nightly-backup
schedctl watch -g ops --finished
schedctl watch -o json | jq -c 'select(.outcome == "OUTCOME_FAILED")'
schedctl watch --after 0 -o json
""",
)
@click.argument("name", required=False, shell_complete=complete_schedule)
@click.option("-g", "--group", metavar="GROUP", help="Only schedules of this group.")
@click.option("--filter", "extra", metavar="FILTER", help="The API's own filter, such as: reason = TIMEOUT.")
@click.option("--finished", is_flag=True, help="Only how executions ended.")
@click.option("--after", type=click.IntRange(0), metavar="SEQUENCE", help="Begin after this journal sequence; 0: with all that is kept.")
@click.option("--all", "everything", is_flag=True, help="Changes of schedules and of the daemon too.")
@click.pass_obj
def watch(
    session: Session,
    name: str | None,
    group: str | None,
    extra: str | None,
    finished: bool,
    after: int | None,
    everything: bool,
) -> None:
    """Stream executions as they happen.

    Goes on until Ctrl-C, also over a restart of the daemon: nothing is lost. With -o json each event is one line.
    """
    from schedd.v1.journal_pb2 import JournalKind

    own = [f'schedule = "{schedule_name(name)}"'] if name else []
    own += [f"group = {group_parent(group).removeprefix('groups/')}"] if group else []
    chosen = " AND ".join([*own, *([extra] if extra else [])])
    kinds = [] if everything else _kinds(finished)
    out = session.out
    with session.client() as client:
        if name:
            client.get_schedule(schedule_name(name))  # A name that is misspelled would be waited for without end.
        out.detail(f"filter: {chosen or 'none'}; kinds: {', '.join(JournalKind.Name(kind) for kind in kinds) or 'all'}")
        with closing(client.watch(filter=chosen, after=after, kinds=kinds, on_break=lambda error: _tell_break(out, error))) as events:
            for event in events:
                _show(out, event)


def _kinds(finished: bool) -> list[JournalKind.ValueType]:
    from schedd.v1.journal_pb2 import JournalKind

    ends = [
        JournalKind.JOURNAL_KIND_EXECUTION_FINISHED,
        JournalKind.JOURNAL_KIND_OCCURRENCES_MISSED,
        JournalKind.JOURNAL_KIND_OCCURRENCES_SKIPPED,
    ]
    starts = [
        JournalKind.JOURNAL_KIND_EXECUTION_QUEUED,
        JournalKind.JOURNAL_KIND_EXECUTION_STARTED,
        JournalKind.JOURNAL_KIND_EXECUTION_RETRYING,
    ]
    return ends if finished else [*starts, *ends]


def _tell_break(out: Output, error: CallError) -> None:
    out.note(f"the connection was lost ({error.message}); going on when it is back")


def _show(out: Output, event: JournalEntry) -> None:
    match out.format:
        case Format.JSON:
            out.json_line(as_data(event))
        case Format.YAML:
            out.yaml([as_data(event)])
        case Format.NAME:
            out.lines([event.execution or event.schedule])
        case Format.TABLE:
            out.lines([event_line(out, event)])
    out.flush()


def event_line(out: Output, event: JournalEntry) -> str:
    """An event on one line: when, what, which schedule, and why."""
    from schedd.cli.tables import printable
    from schedd.cli.views import event_cell, event_detail, instant

    what = event_cell(event)
    when = instant(event.time).astimezone()
    return "  ".join(
        (
            f"{when:%H:%M:%S}.{when.microsecond // 1000:03d}",
            out.paint(f"{what.text:<9}", what.colour),
            printable(f"{short_name(event.schedule):<20}"),
            printable(event_detail(event)),
        )
    ).rstrip()
