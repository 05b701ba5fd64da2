"""CalendarService: convert, call the use case, convert."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from schedd.api import filters
from schedd.api.actors import actor_of
from schedd.api.convert import calendar as convert
from schedd.api.convert.basics import invalid
from schedd.api.names import calendar_name
from schedd.api.pages import page_request, page_token
from schedd.core.errors import NotFoundError
from schedd.core.model.batch import RequestMark
from schedd.core.model.calendar import Calendar
from schedd.service.calendars import CalendarUseCases
from schedd.v1 import calendar_pb2, calendar_service_pb2_grpc
from schedd.v1 import calendar_service_pb2 as pb

Context = grpc.aio.ServicerContext[Any, Any]


class CalendarServicer(calendar_service_pb2_grpc.CalendarServiceServicer):
    """The methods in the proto's order."""

    def __init__(self, calendars: CalendarUseCases) -> None:
        self._calendars = calendars

    async def CreateCalendar(self, request: pb.CreateCalendarRequest, context: Context) -> calendar_pb2.Calendar:
        if request.calendar_id:
            name = request.calendar_id
        elif request.calendar.name:
            name = calendar_name(request.calendar.name, "calendar.name")
        else:
            raise invalid("calendar_id", "REQUIRED", "is empty, and so is calendar.name: name the calendar")
        created = await self._calendars.create(
            convert.calendar_of(request.calendar, name),
            actor=actor_of(context),
            request=_mark(request, "CreateCalendar"),
            validate_only=request.validate_only,
        )
        return convert.view(created)

    async def GetCalendar(self, request: pb.GetCalendarRequest, context: Context) -> calendar_pb2.Calendar:
        return convert.view(await self._calendars.get(calendar_name(request.name)))

    async def ListCalendars(self, request: pb.ListCalendarsRequest, context: Context) -> pb.ListCalendarsResponse:
        where = filters.parse_filter(request.filter, filters.CALENDARS)
        found = await self._calendars.find(where, page_request(request.page_size, request.page_token, request.filter))
        return pb.ListCalendarsResponse(
            calendars=[convert.view(view) for view in found.items], next_page_token=page_token(found.after, request.filter)
        )

    async def UpdateCalendar(self, request: pb.UpdateCalendarRequest, context: Context) -> calendar_pb2.Calendar:
        name = calendar_name(request.calendar.name, "calendar.name")
        mark = _mark(request, "UpdateCalendar")
        edit = _edit(request, name)
        try:
            updated = await self._calendars.update(
                name,
                edit,
                actor=actor_of(context),
                generation=_generation(request.calendar.etag, "calendar.etag"),
                request=mark,
                validate_only=request.validate_only,
            )
        except NotFoundError:
            if not request.allow_missing:
                raise
            draft = convert.calendar_of(request.calendar, name)
            updated = await self._calendars.create(draft, actor=actor_of(context), request=mark, validate_only=request.validate_only)
        return convert.view(updated)

    async def DeleteCalendar(self, request: pb.DeleteCalendarRequest, context: Context) -> Empty:
        try:
            await self._calendars.delete(calendar_name(request.name), actor=actor_of(context), generation=_generation(request.etag, "etag"))
        except NotFoundError:
            if not request.allow_missing:
                raise
        return Empty()


def _edit(request: pb.UpdateCalendarRequest, name: str) -> Callable[[Calendar], Calendar]:
    """What the request makes of a stored calendar: the fields of its mask, or all that it has set, replaced."""
    known = convert.DEFINITION_FIELDS
    given = list(request.update_mask.paths)
    wrong = [path for path in given if path != "*" and path not in known]
    if wrong:
        raise invalid("update_mask", "INVALID_MASK", f"{', '.join(wrong)} cannot be changed; what can is {', '.join(known)}, or *")
    present = [field.name for field, _ in request.calendar.ListFields() if field.name in known]
    paths = list(known) if "*" in given else given or present

    def edit(before: Calendar) -> Calendar:
        message = convert.calendar(before)
        for path in paths:
            message.ClearField(path)  # type: ignore[arg-type] # one of its fields
        FieldMask(paths=[path for path in paths if path in present]).MergeMessage(request.calendar, message, True, True)
        after = convert.calendar_of(message, name)
        return Calendar(
            name=name,
            entries=after.entries,
            time_zone=after.time_zone,
            description=after.description,
            labels=after.labels,
            uid=before.uid,
            generation=before.generation,
            creator=before.creator,
            created_us=before.created_us,
            updated_us=before.updated_us,
        )

    return edit


def _mark(request: pb.CreateCalendarRequest | pb.UpdateCalendarRequest, scope: str) -> RequestMark | None:
    """Makes a call with a request id repeatable; its fingerprint is that of all else it says."""
    request_id = request.request_id
    if not request_id:
        return None
    if len(request_id) > 128:
        raise invalid("request_id", "TOO_LONG", f"{len(request_id)} characters; at most 128 are allowed")
    fingerprint = hashlib.blake2s(request.SerializeToString(deterministic=True), digest_size=16).hexdigest()
    return RequestMark(request_id=request_id, scope=scope, fingerprint=fingerprint)


def _generation(etag: str, field: str) -> int | None:
    """The generation of an etag; None for an empty one. Raises: InvalidError."""
    if not etag:
        return None
    digits = etag.strip('"')
    if not digits.isascii() or not digits.isdigit():
        raise invalid(field, "INVALID_ETAG", f"{etag} is not one that the server gave")
    return int(digits)
