"""Resource names: `groups/{group}/schedules/{schedule}` and, below it, `/executions/{execution}` and `/backfills/{backfill}`."""

from __future__ import annotations

import re

from schedd.api.convert.basics import invalid
from schedd.core.model.execution import id_text, id_value
from schedd.core.model.query import Comparison, Filter, Operator
from schedd.core.model.schedule import ScheduleName

DEFAULT_GROUP = "default"

STAND_IN = ScheduleName(group=DEFAULT_GROUP, schedule="unnamed")
"""Stands in for a name that cannot be read."""

_SCHEDULE = re.compile(r"groups/(?P<group>[^/]+)/schedules/(?P<schedule>[^/]+)")
_EXECUTION = re.compile(r"(?P<schedule>groups/[^/]+/schedules/[^/]+)/executions/(?P<execution>[^/]+)")
_BACKFILL = re.compile(r"(?P<schedule>groups/[^/]+/schedules/[^/]+)/backfills/(?P<backfill>[^/]+)")
_CALENDAR = re.compile(r"calendars/(?P<calendar>[^/]+)")
_GROUP = re.compile(r"groups/(?P<group>[^/]+)")


def schedule_name(text: str, field: str = "name") -> ScheduleName:
    """A schedule's name from its resource name. Raises: InvalidError naming `field`."""
    match = _SCHEDULE.fullmatch(text)
    if match is None:
        raise invalid(field, "INVALID_NAME", f"{text!r} is not of the form groups/{{group}}/schedules/{{schedule}}")
    return ScheduleName(group=match["group"], schedule=match["schedule"])


def execution_name(schedule: ScheduleName, execution_id: int) -> str:
    """The resource name of an execution."""
    return f"groups/{schedule.group}/schedules/{schedule.schedule}/executions/{id_text(execution_id)}"


def execution_parts(text: str, field: str = "name") -> tuple[ScheduleName, int]:
    """The schedule and the id of an execution's resource name. Raises: InvalidError naming `field`."""
    match = _EXECUTION.fullmatch(text)
    try:
        if match is None:
            raise ValueError("it has another form")
        return schedule_name(match["schedule"], field), id_value(match["execution"])
    except ValueError as error:
        form = "groups/{group}/schedules/{schedule}/executions/{execution}"
        raise invalid(field, "INVALID_NAME", f"{text!r} is not of the form {form}: {error}") from error


def backfill_name(schedule: ScheduleName, backfill_id: int) -> str:
    """The resource name of a backfill."""
    return f"groups/{schedule.group}/schedules/{schedule.schedule}/backfills/{id_text(backfill_id)}"


def backfill_parts(text: str, field: str = "name") -> tuple[ScheduleName, int]:
    """The schedule and the id of a backfill's resource name. Raises: InvalidError naming `field`."""
    match = _BACKFILL.fullmatch(text)
    try:
        if match is None:
            raise ValueError("it has another form")
        return schedule_name(match["schedule"], field), id_value(match["backfill"])
    except ValueError as error:
        form = "groups/{group}/schedules/{schedule}/backfills/{backfill}"
        raise invalid(field, "INVALID_NAME", f"{text!r} is not of the form {form}: {error}") from error


def calendar_name(text: str, field: str = "name") -> str:
    """The last part of a calendar's resource name. Raises: InvalidError naming `field`."""
    match = _CALENDAR.fullmatch(text)
    if match is None:
        raise invalid(field, "INVALID_NAME", f"{text!r} is not of the form calendars/{{calendar}}")
    return match["calendar"]


ANY = "-"
"""Stands in a parent for every group, or every schedule."""


def group_name(text: str, field: str = "parent") -> str:
    """The group of a `groups/{group}`; the default group for an empty text. Raises: InvalidError naming `field`."""
    if not text:
        return DEFAULT_GROUP
    match = _GROUP.fullmatch(text)
    if match is None:
        raise invalid(field, "INVALID_NAME", f"{text!r} is not of the form groups/{{group}}")
    return match["group"]


def below_group(parent: str) -> Filter:
    """The comparison that keeps a search to one group; none for an empty parent, or for `groups/-`. Raises: InvalidError."""
    group = group_name(parent) if parent else ANY
    return () if group == ANY else (Comparison(field="group", operator=Operator.EQUAL, value=group),)


def below_schedules(parent: str) -> Filter:
    """The comparisons that keep a search to a schedule's backfills; a dash in either place stands for all. Raises: InvalidError."""
    name = schedule_name(parent, "parent")
    parts = (("group", name.group), ("schedule_name", name.schedule))
    return tuple(Comparison(field=field, operator=Operator.EQUAL, value=part) for field, part in parts if part != ANY)


def below_schedule(parent: str) -> Filter:
    """The comparison that keeps a search below its parent: a schedule, a group (its schedule may be a dash), or everything."""
    if not parent:
        return ()
    if "/schedules/" in parent and not parent.endswith(f"/schedules/{ANY}"):
        name = str(schedule_name(parent, "parent"))
        return (Comparison(field="schedule", operator=Operator.EQUAL, value=name),)
    return below_group(parent.removesuffix(f"/schedules/{ANY}"))
