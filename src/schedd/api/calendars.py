"""CalendarService: convert, call the use case, convert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from schedd.api import filters
from schedd.api.actors import actor_of
from schedd.api.asking import asking_of, generation_of
from schedd.api.convert import calendar as convert
from schedd.api.convert.basics import invalid
from schedd.api.names import calendar_name
from schedd.api.pages import page_request, page_token
from schedd.api.reading import Reading
from schedd.core.errors import InvalidError, NotFoundError
from schedd.core.model.calendar import Calendar
from schedd.service.asking import Asking
from schedd.service.calendars import CalendarUseCases
from schedd.v1 import calendar_pb2, calendar_service_pb2_grpc
from schedd.v1 import calendar_service_pb2 as pb

Context = grpc.aio.ServicerContext[Any, Any]


class CalendarServicer(calendar_service_pb2_grpc.CalendarServiceServicer):
    """The methods in the proto's order."""

    def __init__(self, calendars: CalendarUseCases) -> None:
        self._calendars = calendars

    async def CreateCalendar(self, request: pb.CreateCalendarRequest, context: Context) -> calendar_pb2.Calendar:
        reading = Reading()
        name = request.calendar_id
        if not name and not request.calendar.name:
            reading.note("calendar_id", "REQUIRED", "is empty, and so is calendar.name: name the calendar")
        elif request.calendar.name:
            own = reading.of(lambda: calendar_name(request.calendar.name, "calendar.name"), "")
            if own and name not in ("", own):
                reading.note("calendar.name", "MISMATCH", f"is calendars/{own}, and calendar_id says {name}; give one of the two")
            name = name or own
        asking = asking_of(request, context, reading)
        reading.check()
        return convert.view(await self._calendars.create(_read(request.calendar, name), asking))

    async def GetCalendar(self, request: pb.GetCalendarRequest, context: Context) -> calendar_pb2.Calendar:
        return convert.view(await self._calendars.get(calendar_name(request.name)))

    async def ListCalendars(self, request: pb.ListCalendarsRequest, context: Context) -> pb.ListCalendarsResponse:
        where = filters.parse_filter(request.filter, filters.CALENDARS)
        found = await self._calendars.find(where, page_request(request.page_size, request.page_token, request.filter))
        return pb.ListCalendarsResponse(
            calendars=[convert.view(view) for view in found.items], next_page_token=page_token(found.after, request.filter)
        )

    async def UpdateCalendar(self, request: pb.UpdateCalendarRequest, context: Context) -> calendar_pb2.Calendar:
        reading = Reading()
        name = reading.of(lambda: calendar_name(request.calendar.name, "calendar.name"), "")
        paths: Sequence[str] = reading.of(lambda: _paths(request), ())
        asking = asking_of(request, context, reading, etag=request.calendar.etag)
        reading.check()
        try:
            is_whole = set(paths) >= set(convert.DEFINITION_FIELDS)
            updated = await self._calendars.update(name, _edit(request.calendar, paths, name), asking, is_whole=is_whole)
        except NotFoundError:
            if not request.allow_missing:
                raise
            updated = await self._calendars.create(_read(request.calendar, name), asking)
        return convert.view(updated)

    async def DeleteCalendar(self, request: pb.DeleteCalendarRequest, context: Context) -> Empty:
        reading = Reading()
        name = reading.of(lambda: calendar_name(request.name), "")
        generation = reading.of(lambda: generation_of(request.etag), None)
        reading.check()
        try:
            await self._calendars.delete(name, Asking(actor=actor_of(context), generation=generation))
        except NotFoundError:
            if not request.allow_missing:
                raise
        return Empty()


def _read(message: calendar_pb2.Calendar, name: str) -> Calendar:
    """The calendar of a message. Raises: InvalidError naming fields of `calendar`."""
    try:
        return convert.calendar_of(message, name)
    except InvalidError as error:
        raise InvalidError(tuple(violation.within("calendar") for violation in error.violations)) from error


def _paths(request: pb.UpdateCalendarRequest) -> Sequence[str]:
    """The fields to replace: those of the mask, or all that the calendar has set. Raises: InvalidError."""
    known = convert.DEFINITION_FIELDS
    given = list(request.update_mask.paths)
    wrong = [path for path in given if path != "*" and path not in known]
    if wrong:
        raise invalid("update_mask", "INVALID_MASK", f"{', '.join(wrong)} cannot be changed; what can is {', '.join(known)}, or *")
    return list(known) if "*" in given else given or [path for path in known if path in _present(request.calendar)]


def _present(message: calendar_pb2.Calendar) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


def _edit(given: calendar_pb2.Calendar, paths: Sequence[str], name: str) -> Callable[[Calendar], Calendar]:
    """The edit that replaces these fields of a calendar by the message's."""

    def edit(before: Calendar) -> Calendar:
        message = convert.calendar(before)
        for path in paths:
            message.ClearField(path)  # type: ignore[arg-type] # one of its fields
        FieldMask(paths=[path for path in paths if path in _present(given)]).MergeMessage(given, message, True, True)
        after = _read(message, name)
        return replace(before, entries=after.entries, time_zone=after.time_zone, description=after.description, labels=after.labels)

    return edit
