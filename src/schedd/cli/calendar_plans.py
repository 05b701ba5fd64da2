"""What `apply` would do with the calendars of its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schedd.cli.failures import CommandError
from schedd.cli.manifest import WrittenCalendar
from schedd.cli.plans import Action, Difference, leaf_differences, place_lines
from schedd.client.errors import CallError, InvalidError, NotFoundError
from schedd.v1.calendar_pb2 import Calendar

if TYPE_CHECKING:
    from schedd.client import SyncClient

_UNREADABLE = "STORED_DATA"
"""Why the server cannot show a calendar that is there, and that a whole definition replaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarStep:
    """One calendar's part of the plan."""

    action: Action
    name: str
    calendar: Calendar
    differences: Sequence[Difference] = field(default_factory=tuple)


def plan_calendars(client: SyncClient, written: Sequence[WrittenCalendar]) -> list[CalendarStep]:
    """What to do so that the server has the files' calendars; nothing is changed. Raises: CommandError with every violation."""
    refused: list[str] = []
    steps = []
    for item in written:
        try:
            steps.append(_step(client, item.calendar))
        except InvalidError as error:
            refused += place_lines(item, error, "calendar")
    if refused:
        raise CommandError("the server refuses the calendars; nothing was changed", refused)
    return steps


def _step(client: SyncClient, calendar: Calendar) -> CalendarStep:
    try:
        before = client.get_calendar(calendar.name)
    except NotFoundError:
        client.create_calendar(calendar, validate_only=True)
        return CalendarStep(action=Action.CREATE, name=calendar.name, calendar=calendar)
    except CallError as error:
        if error.reason != _UNREADABLE:
            raise
        client.update_calendar(calendar, update_mask=["*"], validate_only=True)
        return CalendarStep(action=Action.UPDATE, name=calendar.name, calendar=calendar)
    wanted = Calendar()
    wanted.CopyFrom(calendar)
    wanted.etag = before.etag
    after = client.update_calendar(wanted, update_mask=["*"], validate_only=True)
    found = leaf_differences(before, after)
    return CalendarStep(action=Action.UPDATE if found else Action.KEEP, name=calendar.name, calendar=wanted, differences=found)


def carry_out_calendars(client: SyncClient, steps: Iterable[CalendarStep]) -> Iterator[CalendarStep]:
    """Do it; each step comes back once it is durable."""
    for step in steps:
        if step.action is Action.CREATE:
            client.create_calendar(step.calendar)
        elif step.action is Action.UPDATE:
            client.update_calendar(step.calendar, update_mask=["*"])
        yield step
