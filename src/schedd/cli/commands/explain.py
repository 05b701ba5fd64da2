"""Saying of occurrences what happened, or would happen, and why."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from typing import TYPE_CHECKING

import click

from schedd.cli.commanding import command
from schedd.cli.failures import UsageFault
from schedd.cli.names import schedule_name
from schedd.cli.output import Format, terminal_width
from schedd.cli.selecting import complete_schedule
from schedd.cli.session import Session
from schedd.cli.spans import parse_instant

if TYPE_CHECKING:
    from schedd.client import SyncClient
    from schedd.v1.execution_service_pb2 import Explanation

_TIME_OF_DAY = re.compile(r"[0-2]?[0-9]:[0-5][0-9](:[0-5][0-9])?")
_LOOKS_BACK = (timedelta(minutes=15), timedelta(hours=3), timedelta(hours=24))
_LOOKS_AHEAD = (timedelta(hours=24), timedelta(days=32), timedelta(days=3660))
_WINDOW = timedelta(hours=24)
_PAST, _COMING = 20, 3
"""How much is told of a schedule when nothing is said of when."""
_MOST = 1000


@command(
    "explain",
    examples="""
schedctl explain nightly-backup
schedctl explain nightly-backup --at 02:30
schedctl explain ops/report --from 2026-03-01 --to 2026-03-08
schedctl explain nightly-backup --from 2026-03-08T00:00:00Z -o json
""",
)
@click.argument("name", shell_complete=complete_schedule)
@click.option("--at", metavar="TIME", help="The occurrence of this nominal time; if there is none, why not.")
@click.option("--from", "start", metavar="TIME", help="All from this time on.")
@click.option("--to", "end", metavar="TIME", help="All before this time; if not given, a day after --from.")
@click.option("-n", "--count", type=click.IntRange(1), help="At most this many.")
@click.pass_obj
def explain(session: Session, name: str, at: str | None, start: str | None, end: str | None, count: int | None) -> None:
    """Say why a schedule ran, or did not, or will not.

    Each occurrence with what happened, or would happen as things stand, and why. Without a time: the newest 20 of the last day, and
    the next 3. Times without an offset are in the schedule's own zone, as those that are shown; 02:30 is today's.
    """
    from schedd.cli.explained import explanation_lines, explanations_view
    from schedd.cli.views import zone_of

    if at is not None and (start is not None or end is not None):
        raise UsageFault("--at cannot stand together with --from or --to")
    with session.client() as client:
        zone = zone_of(client.get_schedule(schedule_name(name)))
        if at is not None:
            found = list(client.explain_occurrences(schedule_name(name), at=_instant(at, "--at", zone)))
        elif start is None and end is None:
            found = _around_now(client, schedule_name(name), count)
        else:
            found = _between(session, client, schedule_name(name), _window(start, end, zone), count or _MOST)
    if session.format is Format.TABLE and found:
        session.out.lines(explanation_lines(found, zone, width=terminal_width(), styled=session.out.styled))
    else:
        session.out.many(explanations_view(), found)


def _around_now(client: SyncClient, name: str, count: int | None) -> list[Explanation]:
    """The newest occurrences and the next ones."""
    now = datetime.now(UTC)
    past, coming = (_PAST, _COMING) if count is None else (max(count - _COMING, 1), min(count - 1, _COMING))
    found: list[Explanation] = []
    for back in _LOOKS_BACK:
        found = list(islice(client.explain_occurrences(name, start=now - back, end=now, page_size=_MOST), _MOST))
        if sum(one.count > 0 for one in found) >= past:
            break
    ahead: list[Explanation] = []
    for forth in _LOOKS_AHEAD if coming else ():
        ahead = list(islice(client.explain_occurrences(name, start=now, end=now + forth, page_size=coming), coming))
        if ahead and (len(ahead) == coming or ahead[-1].count > 1):
            break
    return [*found[-past:], *ahead]


def _between(session: Session, client: SyncClient, name: str, window: tuple[datetime, datetime], count: int) -> list[Explanation]:
    start, end = window
    found = list(islice(client.explain_occurrences(name, start=start, end=end, page_size=min(count + 1, _MOST)), count + 1))
    if len(found) > count:
        session.out.note(f"there are more than {count}; a later --from, or a larger -n, shows them")
    return found[:count]


def _window(start: str | None, end: str | None, zone: tzinfo) -> tuple[datetime, datetime]:
    """The range that was asked for. Raises: UsageFault."""
    first = None if start is None else _instant(start, "--from", zone)
    last = None if end is None else _instant(end, "--to", zone)
    if first is None:
        assert last is not None, "one of them was given"
        first = last - _WINDOW
    if last is None:
        last = first + _WINDOW
    if last <= first:
        raise UsageFault("--to has to be later than --from")
    return first, last


def _instant(text: str, option: str, zone: tzinfo) -> datetime:
    """A time as people write it: ISO 8601, or a time of today. Raises: UsageFault."""
    if _TIME_OF_DAY.fullmatch(text.strip()):
        text = f"{datetime.now(zone):%Y-%m-%d}T{text.strip().zfill(5 if text.count(':') == 1 else 8)}"
    try:
        return parse_instant(text, zone)
    except ValueError as error:
        raise UsageFault(f"{option}: {error}, or 09:00 for today") from error
