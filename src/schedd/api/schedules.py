"""ScheduleService: convert, call the use case, convert."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import grpc

from schedd.api import filters
from schedd.api.actors import actor_of
from schedd.api.asking import asking_of
from schedd.api.batches import operation_result, read_choice, read_names, read_operation
from schedd.api.convert import schedule as convert
from schedd.api.convert.backfill import backfill, draft_of
from schedd.api.convert.execution import execution as execution_message
from schedd.api.convert.pause import backlog_of, until_us_of
from schedd.api.convert.policy import OVERLAP
from schedd.api.convert.target import payload_of
from schedd.api.convert.when import when_of
from schedd.api.deadletters import rendered
from schedd.api.drafts import read_draft, read_named_draft, read_one, refuse_faults
from schedd.api.edits import ALL, edit_of, read_paths
from schedd.api.names import backfill_parts, below_group, below_schedules, schedule_name
from schedd.api.pages import page_request, page_token
from schedd.api.preview import occurrence
from schedd.api.reading import Reading
from schedd.core.errors import InvalidError, NotFoundError
from schedd.core.model.policy import Overlap
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.when import When
from schedd.core.ports import Clock
from schedd.core.triggers import check_when, dialect_of, sentence
from schedd.service.asking import Asking
from schedd.service.backfills import Backfills
from schedd.service.batches import Batches, BatchOperation, Operation
from schedd.service.pauses import Pauses
from schedd.service.portions import in_portions
from schedd.service.previews import Previews
from schedd.service.schedules import BATCH_MAX, Schedules
from schedd.v1 import schedule_pb2, schedule_service_pb2_grpc
from schedd.v1 import schedule_service_pb2 as pb

Context = grpc.aio.ServicerContext[Any, Any]

_PREVIEW_DEFAULT = 10


class ScheduleServicer(schedule_service_pb2_grpc.ScheduleServiceServicer):
    """The methods in the proto's order."""

    def __init__(
        self, *, schedules: Schedules, pauses: Pauses, previews: Previews, backfills: Backfills, batches: Batches, clock: Clock
    ) -> None:
        self._schedules = schedules
        self._pauses = pauses
        self._previews = previews
        self._backfills = backfills
        self._batches = batches
        self._clock = clock

    async def CreateSchedule(self, request: pb.CreateScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        reading, now_us = Reading(), self._clock.now_us()
        asking = asking_of(request, context, reading)
        draft = read_draft(request, now_us, reading)
        refuse_faults([("", draft)], now_us, self._schedules.calendars)
        return convert.schedule(await self._schedules.create(draft.schedule, asking))

    async def GetSchedule(self, request: pb.GetScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        return convert.view(await self._schedules.get(schedule_name(request.name)), self._schedules.kept)

    async def ListSchedules(self, request: pb.ListSchedulesRequest, context: Context) -> pb.ListSchedulesResponse:
        search = (request.parent, request.filter, request.order_by, request.show_deleted)
        where = filters.parse_filter(request.filter, filters.SCHEDULES)
        where += below_group(request.parent)
        order = filters.parse_order(request.order_by, ("name", "create_time", "update_time"))
        page = page_request(request.page_size, request.page_token, *search)
        found = await self._schedules.find(where, order, page, show_deleted=request.show_deleted)
        return pb.ListSchedulesResponse(
            schedules=[convert.view(view, self._schedules.kept) for view in found.items], next_page_token=page_token(found.after, *search)
        )

    async def UpdateSchedule(self, request: pb.UpdateScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        reading = Reading()
        name = reading.name(request.schedule.name, "schedule.name")
        paths = read_paths(request.update_mask.paths, request.schedule, reading)
        asking = asking_of(request, context, reading, etag=request.schedule.etag)
        reading.check()
        try:
            edit = edit_of(request.schedule, paths, self._clock, self._schedules.calendars)
            whole = partial(self._whole, request.schedule, name) if ALL in paths else None
            updated = await self._schedules.update(name, edit, asking, whole=whole)
        except NotFoundError:
            if not request.allow_missing:
                raise
            updated = await self._schedules.create(self._whole(request.schedule, name), asking)
        return convert.schedule(updated)

    async def DeleteSchedule(self, request: pb.DeleteScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        name, asking = self._read(request, context)
        deleted = await self._schedules.delete(name, asking, allow_missing=request.allow_missing)
        return schedule_pb2.Schedule(name=str(name)) if deleted is None else convert.schedule(deleted, kept=self._schedules.kept)

    async def UndeleteSchedule(self, request: pb.UndeleteScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        name, asking = self._read(request, context)
        return convert.schedule(await self._schedules.undelete(name, asking))

    async def PauseSchedule(self, request: pb.PauseScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        reading = Reading()
        until_us = until_us_of(request, reading)
        name, asking = self._read(request, context, reading)
        return convert.schedule(await self._pauses.pause(name, asking, reason=request.reason, until_us=until_us))

    async def ResumeSchedule(self, request: pb.ResumeScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        reading = Reading()
        backlog = backlog_of(request, reading)
        name, asking = self._read(request, context, reading)
        return convert.schedule(await self._pauses.resume(name, asking, backlog=backlog))

    async def TriggerSchedule(self, request: pb.TriggerScheduleRequest, context: Context) -> pb.TriggerScheduleResponse:
        reading = Reading()
        overlap = reading.of(lambda: OVERLAP.known(request.overlap, "overlap"), Overlap.SKIP) if request.overlap else None
        payload = payload_of(request.payload, "") if request.HasField("payload") else None
        name, asking = self._read(request, context, reading)
        if asking.validate_only:
            return pb.TriggerScheduleResponse(rendered=rendered(await self._schedules.rehearse(name, asking, payload=payload)))
        execution = await self._schedules.trigger(name, asking, overlap=overlap, payload=payload)
        return pb.TriggerScheduleResponse(execution=execution_message(execution))

    async def BackfillSchedule(self, request: pb.BackfillScheduleRequest, context: Context) -> schedule_pb2.Backfill:
        reading = Reading()
        draft = draft_of(request, reading)
        name, asking = self._read(request, context, reading)
        return backfill(await self._backfills.start(name, draft, asking))

    async def GetBackfill(self, request: pb.GetBackfillRequest, context: Context) -> schedule_pb2.Backfill:
        return backfill(await self._backfills.get(*backfill_parts(request.name)))

    async def ListBackfills(self, request: pb.ListBackfillsRequest, context: Context) -> pb.ListBackfillsResponse:
        where = below_schedules(request.parent)
        page = page_request(request.page_size, request.page_token, request.parent)
        found = await self._backfills.find(where, page)
        return pb.ListBackfillsResponse(
            backfills=[backfill(each) for each in found.items], next_page_token=page_token(found.after, request.parent)
        )

    async def CancelBackfill(self, request: pb.CancelBackfillRequest, context: Context) -> schedule_pb2.Backfill:
        return backfill(await self._backfills.cancel(*backfill_parts(request.name), actor=actor_of(context)))

    async def PreviewSchedule(self, request: pb.PreviewScheduleRequest, context: Context) -> pb.PreviewScheduleResponse:
        reading = Reading()
        after_us = reading.instant(request.after_time, "after_time", 0) if request.HasField("after_time") else None
        end_us = reading.instant(request.before_time, "before_time", 0) if request.HasField("before_time") else None
        if end_us is not None and after_us is not None and end_us <= after_us and not reading.faults:
            reading.note("before_time", "OUT_OF_RANGE", "has to be later than after_time")
        count = request.count or _PREVIEW_DEFAULT
        match request.WhichOneof("subject"):
            case "name":
                name = reading.name(request.name)
                reading.check()
                schedule = await self._schedules.readable(name)
                when, seed = schedule.when, schedule.uid
                instants = self._previews.stored(schedule, after_us=after_us, count=count, show_excluded=request.show_excluded)
            case "schedule":
                when, seed = self._proposed(request.schedule, reading), 0
                stored = schedule_name(request.schedule.name, "schedule.name") if request.schedule.name else None
                instants = await self._previews.proposed(
                    when, stored=stored, after_us=after_us, count=count, show_excluded=request.show_excluded
                )
            case _:
                reading.note("subject", "REQUIRED", "is empty: give a name or a schedule")
                raise InvalidError(tuple(reading.faults))
        shown = [instant for instant in instants if end_us is None or instant.nominal_us < end_us]
        return pb.PreviewScheduleResponse(
            occurrences=[occurrence(instant) for instant in shown],
            descriptions=[sentence(trigger, when.time_zone, seed=seed) for trigger in when.triggers],
            dialects=[dialect_of(trigger) for trigger in when.triggers],
        )

    async def BatchCreateSchedules(self, request: pb.BatchCreateSchedulesRequest, context: Context) -> pb.BatchCreateSchedulesResponse:
        reading, now_us = Reading(), self._clock.now_us()
        asking = asking_of(request, context, reading)
        reading.check()
        drafts = await in_portions(self._clock, partial(read_one, request.parent, now_us), request.requests)
        refuse_faults(((f"requests[{index}]", draft) for index, draft in enumerate(drafts)), now_us, self._schedules.calendars)
        created = await self._schedules.create_many([draft.schedule for draft in drafts], asking)
        response = pb.BatchCreateSchedulesResponse()
        await in_portions(self._clock, partial(convert.add_schedule, response.schedules), created)
        return response

    async def BatchOperateSchedules(self, request: pb.BatchOperateSchedulesRequest, context: Context) -> pb.BatchOperateSchedulesResponse:
        reading = Reading()
        asking = asking_of(request, context, reading)
        what = read_operation(request, reading)
        choose = self._chooser(request, what, reading)
        reading.check()
        token, *names = await self._batches.chosen(choose, asking)
        done = await self._batches.operate([schedule_name(name) for name in names], what, asking)
        return pb.BatchOperateSchedulesResponse(
            results=[operation_result(result, self._schedules.kept) for result in done], next_page_token=token
        )

    def _whole(self, message: schedule_pb2.Schedule, name: ScheduleName) -> Schedule:
        """The schedule of a message that is all of its definition. Raises: InvalidError naming every wrong field."""
        now_us = self._clock.now_us()
        draft = read_named_draft(message, name, now_us)
        refuse_faults([("", draft)], now_us, self._schedules.calendars)
        return draft.schedule

    def _chooser(
        self, request: pb.BatchOperateSchedulesRequest, what: BatchOperation, reading: Reading
    ) -> Callable[[], Awaitable[Sequence[str]]]:
        """Gives the schedules of a batch, those named or a page of those that match the filter, after the token of the next page."""
        named = read_names(request, reading)
        where = read_choice(request, reading)
        search = (request.parent, request.filter)
        page = reading.of(lambda: page_request(request.page_size or BATCH_MAX, request.page_token, *search), PageRequest(size=1))

        async def choose() -> Sequence[str]:
            if named:
                return ["", *map(str, named)]
            found = await self._schedules.find(where, Order(field="name"), page, show_deleted=what.operation is Operation.UNDELETE)
            return [page_token(found.after, *search), *(str(view.schedule.name) for view in found.items)]

        return choose

    def _proposed(self, message: schedule_pb2.Schedule, reading: Reading) -> When:
        """The rule of a proposed schedule. Raises: InvalidError naming every wrong field of the request."""
        now_us = self._clock.now_us()
        below = Reading()
        when = when_of(message, now_us, below)
        if reading.faults or below.faults:
            below.faults += check_when(when, now_us=now_us, calendars=self._schedules.calendars)
        reading.faults += [fault.within("schedule") for fault in below.faults]
        reading.check()
        return when

    def _read(self, request: Any, context: Context, reading: Reading | None = None) -> tuple[ScheduleName, Asking]:
        """Whom a change is about, and how it is asked for. Raises: InvalidError, also for what `reading` has noted before."""
        reading = reading or Reading()
        name = reading.name(request.name)
        asking = asking_of(request, context, reading, etag=getattr(request, "etag", ""))
        reading.check()
        return name, asking
