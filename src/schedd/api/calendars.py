"""CalendarService: designed, not built yet."""

from __future__ import annotations

from typing import Any

import grpc

from schedd.core.errors import UnimplementedError
from schedd.v1 import calendar_service_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]

_LATER = "named calendars, that schedules exclude or keep to, come with a later release"


class CalendarServicer(calendar_service_pb2_grpc.CalendarServiceServicer):
    """The methods in the proto's order."""

    async def CreateCalendar(self, request: Any, context: Context) -> Any:
        raise UnimplementedError(_LATER)

    async def GetCalendar(self, request: Any, context: Context) -> Any:
        raise UnimplementedError(_LATER)

    async def ListCalendars(self, request: Any, context: Context) -> Any:
        raise UnimplementedError(_LATER)

    async def UpdateCalendar(self, request: Any, context: Context) -> Any:
        raise UnimplementedError(_LATER)

    async def DeleteCalendar(self, request: Any, context: Context) -> Any:
        raise UnimplementedError(_LATER)
