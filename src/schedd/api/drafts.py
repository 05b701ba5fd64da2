"""New schedules as clients propose them: every request is read to its end, and all that is wrong with it is told at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schedd.api.convert import schedule as convert
from schedd.api.convert.pause import pause_of
from schedd.api.names import ANY, STAND_IN, group_name
from schedd.api.reading import Reading
from schedd.core.errors import FieldViolation, InvalidError
from schedd.core.model.schedule import Pause, Schedule, ScheduleName
from schedd.core.schedule_rules import check_name, check_schedule
from schedd.core.triggers import Calendars
from schedd.v1 import schedule_pb2
from schedd.v1 import schedule_service_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A schedule to be created, and what of its request could not be read, by the request's fields."""

    schedule: Schedule
    faults: tuple[FieldViolation, ...]

    def wrong(self, now_us: int, calendars: Calendars) -> tuple[FieldViolation, ...]:
        """All that is wrong with it: what could not be read, and what was read and breaks a rule."""
        violations = check_schedule(self.schedule, now_us=now_us, calendars=calendars)
        return (*self.faults, *(violation.within("schedule") for violation in violations))


def read_draft(request: pb.CreateScheduleRequest, now_us: int, reading: Reading) -> Draft:
    """The schedule that a request wants created, named by parent and schedule_id or by its own name.

    What `reading` has noted already is one of its faults.
    """
    pause = pause_of(request, reading)
    return _draft(request.schedule, _name(request, reading), now_us, reading, pause)


def read_named_draft(message: schedule_pb2.Schedule, name: ScheduleName, now_us: int) -> Draft:
    """The schedule of a message that names it rightly."""
    return _draft(message, name, now_us, Reading())


def read_one(parent: str, now_us: int, request: pb.CreateScheduleRequest) -> Draft:
    """One of the schedules that a batch with that parent wants created."""
    reading = Reading()
    name = _name_of_one(parent, request, reading)
    return _draft(request.schedule, name, now_us, reading, pause_of(request, reading))


def refuse_faults(drafts: Iterable[tuple[str, Draft]], now_us: int, calendars: Calendars) -> None:
    """Refuse all drafts if one of them could not be read whole. Each comes with the path of its request.

    Raises: InvalidError naming every wrong field of all of them.
    """
    given = list(drafts)
    if any(draft.faults for _, draft in given):
        wrong = ((parent, violation) for parent, draft in given for violation in draft.wrong(now_us, calendars))
        raise InvalidError(tuple(violation.within(parent) if parent else violation for parent, violation in wrong))


def _name_of_one(parent: str, request: pb.CreateScheduleRequest, reading: Reading) -> ScheduleName:
    """The name of one of a batch: the batch's parent is its own unless it has one, and what holds for all is not said again."""
    present = {field.name for field, _ in request.ListFields()}
    for field in ("request_id", "validate_only"):
        if field in present:
            reading.note(field, "NOT_ALLOWED", "is not for one of a batch; leave it unset")
    own = pb.CreateScheduleRequest(parent=request.parent or parent, schedule_id=request.schedule_id)
    own.schedule.name = request.schedule.name
    if request.parent and parent not in ("", f"groups/{ANY}", request.parent):
        reading.note("parent", "MISMATCH", f"is {request.parent}, and that of the batch {parent}; leave one of them unset")
    return _name(own, reading)


def _draft(message: schedule_pb2.Schedule, name: ScheduleName, now_us: int, reading: Reading, pause: Pause | None = None) -> Draft:
    below = Reading()
    schedule = convert.schedule_of(message, name, now_us, below, pause=pause)
    return Draft(schedule=schedule, faults=(*reading.faults, *(fault.within("schedule") for fault in below.faults)))


def _name(request: pb.CreateScheduleRequest, reading: Reading) -> ScheduleName:
    """The name that parent and schedule_id make, or the schedule's own; where both are given they agree."""
    named = None
    if request.schedule.name:
        named = reading.name(request.schedule.name, "schedule.name")
    elif not request.schedule_id:
        reading.note("schedule_id", "REQUIRED", "is empty, and so is schedule.name: name the schedule")
        return STAND_IN
    default = named.group if named else ""
    group = reading.of(lambda: _group(request.parent, default), STAND_IN.group)
    name = ScheduleName(group=group, schedule=request.schedule_id or (named or STAND_IN).schedule)
    if request.schedule_id and (fault := next(check_name(ScheduleName(group=STAND_IN.group, schedule=name.schedule)), None)):
        reading.note("schedule_id", fault.reason, fault.description)
        return STAND_IN
    if named is not None and named is not STAND_IN and named != name:
        reading.note("schedule.name", "MISMATCH", f"is {named}, and parent and schedule_id say {name}; give one of the two")
    return name


def _group(parent: str, default: str) -> str:
    """The group of a parent; of one that names none, `default` or the default group."""
    return default or group_name("") if parent in ("", f"groups/{ANY}") else group_name(parent)
