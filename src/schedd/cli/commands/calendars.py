"""Calendars: create, look at, change, delete, import."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schedd.cli.commanding import command
from schedd.cli.failures import UsageFault
from schedd.cli.names import calendar_name
from schedd.cli.output import Format
from schedd.cli.session import Session

if TYPE_CHECKING:
    from schedd.v1.calendar_pb2 import Calendar

_OPTIONS = (
    click.option("--date", "dates", multiple=True, metavar="DAY", help="A day: 2026-12-25, or 12-25 for each year's."),
    click.option("--range", "ranges", multiple=True, metavar="FIRST..LAST", help="Days from the first to the last, both included."),
    click.option("--weekly", "windows", multiple=True, metavar="WINDOW", help="Days of each week, or hours: SAT,SUN or 'SAT 22:00-04:00'."),
    click.option("--holidays", "countries", multiple=True, metavar="COUNTRY", help="Public holidays: DE, or DE-BY for a part of it."),
    click.option("-z", "--tz", metavar="ZONE", help="The IANA zone of its days; that of each schedule if not given."),
    click.option("--description", metavar="TEXT", help="For people."),
    click.option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label; may be given again."),
    click.option("--dry-run", is_flag=True, help="Check only; change nothing."),
)


def _definition(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@command(
    "create",
    examples="""
schedctl calendar create company --date 12-24 --range 2026-12-28..2026-12-31 --holidays DE-BY
schedctl calendar create business-days --weekly MON-FRI
schedctl calendar create blackout --weekly 'SAT 22:00-04:00' --tz Europe/Berlin
""",
)
@click.argument("name")
@_definition
@click.pass_obj
def create(session: Session, /, name: str, dry_run: bool, **given: Any) -> None:
    """Create a calendar.

    It has the days of all that is named; each option may be given again.
    """
    calendar = _calendar(name, given)
    if not calendar.entries:
        raise UsageFault("say which days: --date, --range, --weekly or --holidays; for an .ics file, schedctl calendar import")
    with session.client() as client:
        made = client.create_calendar(calendar, validate_only=dry_run)
    _show(session, made, "would be created" if dry_run else "created")


@command(
    "update",
    examples="""
schedctl calendar update company --date 12-24 --date 12-31
schedctl calendar update company --description 'When nobody is in'
""",
)
@click.argument("name")
@_definition
@click.pass_obj
def update(session: Session, /, name: str, dry_run: bool, **given: Any) -> None:
    """Change a calendar.

    Days that are named replace all that it had; what is not named stays. Its schedules follow at once.
    """
    calendar = _calendar(name, given)
    parts = (("entries", calendar.entries), ("time_zone", given["tz"]), ("description", given["description"]), ("labels", given["labels"]))
    mask = [field for field, value in parts if value]
    if not mask:
        raise UsageFault("say what to change: the days, --tz, --description or --label")
    with session.client() as client:
        made = client.update_calendar(calendar, update_mask=mask, validate_only=dry_run)
    _show(session, made, "would be updated" if dry_run else "updated")


@command(
    "import",
    examples="""
schedctl calendar import company holidays.ics
schedctl calendar import company holidays.ics --dry-run
""",
)
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check only; change nothing.")
@click.pass_obj
def import_file(session: Session, name: str, file: Path, dry_run: bool) -> None:
    """Make a calendar of an iCalendar file.

    The days of its events replace all that the calendar had; one that is not there is created.
    """
    from schedd.cli.calendars import icalendar_entry
    from schedd.v1.calendar_pb2 import Calendar

    calendar = Calendar(name=calendar_name(name), entries=[icalendar_entry(file)])
    with session.client() as client:
        made = client.update_calendar(calendar, update_mask=["entries"], allow_missing=True, validate_only=dry_run)
    _show(session, made, "would be imported" if dry_run else "imported")


@command("list", examples="\nschedctl calendar list\nschedctl calendar list -o name\n")
@click.pass_obj
def list_calendars(session: Session) -> None:
    """List calendars."""
    from schedd.cli.calendar_views import calendars_view

    with session.client() as client:
        found = list(client.list_calendars())
    session.out.many(calendars_view(), found)


@command("get", examples="\nschedctl calendar get company\nschedctl calendar get company -o yaml\n")
@click.argument("name")
@click.pass_obj
def get(session: Session, name: str) -> None:
    """Show a calendar, and which schedules use it."""
    from schedd.cli.calendar_views import calendar_lines, calendars_view

    with session.client() as client:
        calendar = client.get_calendar(calendar_name(name))
    session.out.one(calendars_view(), calendar, lambda: calendar_lines(calendar, datetime.now(UTC)))


@command("delete", examples="\nschedctl calendar delete company\nschedctl calendar delete company --yes\n")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def delete(session: Session, names: tuple[str, ...]) -> None:
    """Delete calendars that no schedule uses."""
    wanted = [calendar_name(name) for name in names]
    session.confirm(f"Delete {', '.join(names)}?")
    with session.client() as client:
        for name in wanted:
            client.delete_calendar(name)
            session.out.note(f"{name} deleted")


def _calendar(name: str, given: dict[str, Any]) -> Calendar:
    from schedd.cli.calendars import holidays_of, range_of, weekly_of
    from schedd.v1.calendar_pb2 import Calendar, CalendarEntry

    entries = [
        *(CalendarEntry(date=text) for text in given["dates"]),
        *(CalendarEntry(range=range_of(text)) for text in given["ranges"]),
        *(CalendarEntry(weekly=weekly_of(text)) for text in given["windows"]),
        *(CalendarEntry(holidays=holidays_of(text)) for text in given["countries"]),
    ]
    labels = dict(_pair(label) for label in given["labels"])
    return Calendar(
        name=calendar_name(name), entries=entries, time_zone=given["tz"] or "", description=given["description"] or "", labels=labels
    )


def _pair(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found or not key:
        raise UsageFault(f"{text!r} is wrong: a label is KEY=VALUE")
    return key, value


def _show(session: Session, calendar: Calendar, verb: str) -> None:
    from schedd.cli.calendar_views import calendars_view

    if session.format is Format.TABLE:
        used = f"; {calendar.used_by_count} schedules follow" if calendar.used_by_count else ""
        session.out.note(f"{calendar.name} {verb}{used}")
    else:
        session.out.one(calendars_view(), calendar, list)
