"""ScheduleService: convert, call the use case, convert."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from schedd.api import filters
from schedd.api.actors import actor_of
from schedd.api.convert import schedule as convert
from schedd.api.convert.basics import invalid, micros
from schedd.api.convert.execution import execution as execution_message
from schedd.api.convert.when import when_of
from schedd.api.errors import status_of
from schedd.api.names import below_group, group_name, schedule_name
from schedd.api.pages import page_request, page_token
from schedd.api.preview import occurrence
from schedd.core.errors import FieldViolation, InvalidError, NotFoundError, UnimplementedError
from schedd.core.model.batch import RequestMark
from schedd.core.model.query import Order
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.ports import Clock
from schedd.core.triggers import dialect_of, sentence
from schedd.service.schedules import Backlog, Operation, Schedules
from schedd.v1 import policy_pb2, schedule_pb2, schedule_service_pb2_grpc
from schedd.v1 import schedule_service_pb2 as pb

Context = grpc.aio.ServicerContext[Any, Any]

_PREVIEW_DEFAULT = 10
_OPERATIONS = {
    pb.SCHEDULE_OPERATION_PAUSE: Operation.PAUSE,
    pb.SCHEDULE_OPERATION_RESUME: Operation.RESUME,
    pb.SCHEDULE_OPERATION_DELETE: Operation.DELETE,
    pb.SCHEDULE_OPERATION_TRIGGER: Operation.TRIGGER,
}


class ScheduleServicer(schedule_service_pb2_grpc.ScheduleServiceServicer):
    """The methods in the proto's order."""

    def __init__(self, schedules: Schedules, clock: Clock) -> None:
        self._schedules = schedules
        self._clock = clock

    async def CreateSchedule(self, request: pb.CreateScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        created = await self._schedules.create(
            self._draft(request, ""),
            actor=actor_of(context),
            request=_mark(request, "CreateSchedule"),
            validate_only=request.validate_only,
        )
        return convert.schedule(created)

    async def GetSchedule(self, request: pb.GetScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        return convert.view(await self._schedules.get(schedule_name(request.name)))

    async def ListSchedules(self, request: pb.ListSchedulesRequest, context: Context) -> pb.ListSchedulesResponse:
        search = (request.parent, request.filter, request.order_by, request.show_deleted)
        where = filters.parse_filter(request.filter, filters.SCHEDULES)
        where += below_group(request.parent)
        order = filters.parse_order(request.order_by, ("name", "create_time", "update_time"))
        page = page_request(request.page_size, request.page_token, *search)
        found = await self._schedules.find(where, order, page, show_deleted=request.show_deleted)
        return pb.ListSchedulesResponse(
            schedules=[convert.view(view) for view in found.items], next_page_token=page_token(found.after, *search)
        )

    async def UpdateSchedule(self, request: pb.UpdateScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        name = schedule_name(request.schedule.name, "schedule.name")
        edit = self._edit(request, name)
        try:
            updated = await self._schedules.update(
                name,
                edit,
                actor=actor_of(context),
                generation=_generation(request.schedule.etag, "schedule.etag"),
                validate_only=request.validate_only,
            )
        except NotFoundError:
            if not request.allow_missing:
                raise
            draft = convert.schedule_of(request.schedule, name, self._clock.now_us())
            updated = await self._schedules.create(draft, actor=actor_of(context), validate_only=request.validate_only)
        return convert.schedule(updated)

    async def DeleteSchedule(self, request: pb.DeleteScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        name = schedule_name(request.name)
        generation = _generation(request.etag, "etag")
        try:
            if request.validate_only:
                return convert.view(await self._schedules.get(name))
            return convert.schedule(await self._schedules.delete(name, actor=actor_of(context), generation=generation))
        except NotFoundError:
            if not request.allow_missing:
                raise
            return schedule_pb2.Schedule(name=str(name), state=schedule_pb2.SCHEDULE_STATE_DELETED)

    async def UndeleteSchedule(self, request: pb.UndeleteScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        raise UnimplementedError("UndeleteSchedule will restore a deleted schedule until its purge time")

    async def PauseSchedule(self, request: pb.PauseScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        name = schedule_name(request.name)
        if request.validate_only:
            return convert.view(await self._schedules.get(name))
        paused = await self._schedules.pause(
            name,
            actor=actor_of(context),
            reason=request.reason,
            until_us=micros(request.until_time) if request.HasField("until_time") else None,
            generation=_generation(request.etag, "etag"),
        )
        return convert.schedule(paused)

    async def ResumeSchedule(self, request: pb.ResumeScheduleRequest, context: Context) -> schedule_pb2.Schedule:
        name = schedule_name(request.name)
        if request.validate_only:
            return convert.view(await self._schedules.get(name))
        resumed = await self._schedules.resume(
            name,
            actor=actor_of(context),
            backlog=_backlog(request.backlog),
            generation=_generation(request.etag, "etag"),
        )
        return convert.schedule(resumed)

    async def TriggerSchedule(self, request: pb.TriggerScheduleRequest, context: Context) -> pb.TriggerScheduleResponse:
        for field in ("overlap", "payload", "validate_only"):
            if any(present.name == field for present, _ in request.ListFields()):
                raise invalid(field, "NOT_BUILT_YET", "comes with a later release; leave it unset for now")
        execution = await self._schedules.trigger(
            schedule_name(request.name), actor=actor_of(context), request=_mark(request, "TriggerSchedule")
        )
        return pb.TriggerScheduleResponse(execution=execution_message(execution))

    async def BackfillSchedule(self, request: pb.BackfillScheduleRequest, context: Context) -> schedule_pb2.Backfill:
        raise UnimplementedError("BackfillSchedule will run the occurrences of a past range, rate-limited and cancellable")

    async def GetBackfill(self, request: pb.GetBackfillRequest, context: Context) -> schedule_pb2.Backfill:
        raise UnimplementedError("GetBackfill will give a backfill's progress")

    async def ListBackfills(self, request: pb.ListBackfillsRequest, context: Context) -> pb.ListBackfillsResponse:
        raise UnimplementedError("ListBackfills will list a schedule's backfills")

    async def CancelBackfill(self, request: pb.CancelBackfillRequest, context: Context) -> schedule_pb2.Backfill:
        raise UnimplementedError("CancelBackfill will end a backfill; what it has started may end")

    async def PreviewSchedule(self, request: pb.PreviewScheduleRequest, context: Context) -> pb.PreviewScheduleResponse:
        after_us = micros(request.after_time) if request.HasField("after_time") else None
        count = request.count or _PREVIEW_DEFAULT
        match request.WhichOneof("subject"):
            case "name":
                name = schedule_name(request.name)
                schedule = (await self._schedules.get(name)).schedule
                when, seed = schedule.when, schedule.uid
                instants = await self._schedules.preview_stored(name, after_us=after_us, count=count)
            case "schedule":
                when, seed = when_of(request.schedule, self._clock.now_us()), 0
                stored = schedule_name(request.schedule.name, "schedule.name") if request.schedule.name else None
                instants = await self._schedules.preview(when, stored=stored, after_us=after_us, count=count)
            case _:
                raise invalid("subject", "REQUIRED", "is empty: give a name or a schedule")
        end_us = micros(request.before_time) if request.HasField("before_time") else None
        shown = [instant for instant in instants if end_us is None or instant.nominal_us < end_us]
        return pb.PreviewScheduleResponse(
            occurrences=[occurrence(instant) for instant in shown],
            descriptions=[sentence(trigger, when.time_zone, seed=seed) for trigger in when.triggers],
            dialects=[dialect_of(trigger) for trigger in when.triggers],
        )

    async def BatchCreateSchedules(self, request: pb.BatchCreateSchedulesRequest, context: Context) -> pb.BatchCreateSchedulesResponse:
        drafts, violations = [], list[FieldViolation]()
        for index, one in enumerate(request.requests):
            try:
                drafts.append(self._draft(one, request.parent))
            except InvalidError as error:
                violations += _prefixed(error, f"requests[{index}].", "schedule.")
        if violations:
            raise InvalidError(tuple(violations))
        created = await self._schedules.create_many(
            drafts,
            actor=actor_of(context),
            request=_mark(request, "BatchCreateSchedules"),
            validate_only=request.validate_only,
        )
        return pb.BatchCreateSchedulesResponse(schedules=[convert.schedule(schedule) for schedule in created])

    async def BatchOperateSchedules(self, request: pb.BatchOperateSchedulesRequest, context: Context) -> pb.BatchOperateSchedulesResponse:
        operation = _OPERATIONS.get(request.operation)
        if operation is None:
            raise invalid("operation", "INVALID_ENUM", f"is one of {', '.join(_OPERATIONS.values())}")
        names, token = await self._chosen(request)
        if request.validate_only:
            results = [pb.ScheduleOperationResult(name=str(name)) for name in names]
            return pb.BatchOperateSchedulesResponse(results=results, next_page_token=token)
        done = await self._schedules.operate(names, operation, actor=actor_of(context), reason=request.reason)
        return pb.BatchOperateSchedulesResponse(
            results=[
                pb.ScheduleOperationResult(
                    name=str(result.name),
                    status=status_of(result.error) if result.error is not None else Status(),
                    schedule=convert.schedule(result.schedule) if result.schedule is not None else None,
                    execution=execution_message(result.execution) if result.execution is not None else None,
                )
                for result in done
            ],
            next_page_token=token,
        )

    async def _chosen(self, request: pb.BatchOperateSchedulesRequest) -> tuple[list[ScheduleName], str]:
        """The schedules of a batch: those named, or a page of those that match the filter."""
        if bool(request.names) == bool(request.filter):
            raise invalid("names", "REQUIRED", "give either names or a filter")
        if request.names:
            return [schedule_name(name, f"names[{index}]") for index, name in enumerate(request.names)], ""
        where = filters.parse_filter(request.filter, filters.SCHEDULES)
        where += below_group(request.parent)
        search = (request.parent, request.filter)
        page = page_request(request.page_size, request.page_token, *search)
        found = await self._schedules.find(where, Order(field="name"), page)
        return [view.schedule.name for view in found.items], page_token(found.after, *search)

    def _draft(self, request: pb.CreateScheduleRequest, parent: str) -> Schedule:
        """The schedule to create: named by parent and schedule_id, or by its own name."""
        if request.HasField("pause"):
            raise invalid("pause", "NOT_BUILT_YET", "comes with a later release; create it, then pause it")
        if request.schedule_id:
            group = group_name(request.parent or parent)
            name = ScheduleName(group=group, schedule=request.schedule_id)
        elif request.schedule.name:
            name = schedule_name(request.schedule.name, "schedule.name")
        else:
            raise invalid("schedule_id", "REQUIRED", "is empty, and so is schedule.name: name the schedule")
        return convert.schedule_of(request.schedule, name, self._clock.now_us())

    def _edit(self, request: pb.UpdateScheduleRequest, name: ScheduleName) -> Callable[[Schedule], Schedule]:
        """What the request makes of a stored schedule: the fields of its mask, or all that it has set, replaced."""
        paths = list(request.update_mask.paths)
        wrong = [path for path in paths if path != "*" and path.partition(".")[0] not in convert.DEFINITION_FIELDS]
        if wrong:
            fields = ", ".join(convert.DEFINITION_FIELDS)
            raise invalid("update_mask", "INVALID_MASK", f"{', '.join(wrong)} cannot be changed; what can is {fields}, or *")
        if not paths:
            paths = [field.name for field, _ in request.schedule.ListFields() if field.name in convert.DEFINITION_FIELDS]

        def edit(before: Schedule) -> Schedule:
            message = request.schedule
            if "*" not in paths:
                message = convert.schedule(before)
                _merge(request.schedule, message, paths)
            after = convert.schedule_of(message, name, self._clock.now_us())
            return replace(
                before,
                when=after.when,
                target=after.target,
                policies=after.policies,
                description=after.description,
                labels=after.labels,
            )

        return edit


def _merge(source: schedule_pb2.Schedule, destination: schedule_pb2.Schedule, paths: list[str]) -> None:
    try:
        FieldMask(paths=paths).MergeMessage(source, destination, True, True)
    except ValueError as error:
        raise invalid("update_mask", "INVALID_MASK", str(error)) from error
    present = {field.name for field, _ in source.ListFields()}
    for path in paths:
        if "." not in path and path not in present:
            destination.ClearField(path)  # type: ignore[arg-type]


def _mark(request: Message, scope: str) -> RequestMark | None:
    """Makes a call with a request id repeatable; its fingerprint is that of all else it says."""
    request_id = request.request_id  # type: ignore[attr-defined]
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


def _backlog(mode: int) -> Backlog:
    if mode in (policy_pb2.CATCH_UP_MODE_UNSPECIFIED, policy_pb2.CATCH_UP_MODE_NONE):
        return Backlog.SKIP
    if mode == policy_pb2.CATCH_UP_MODE_LATEST:
        return Backlog.CATCH_UP
    raise invalid("backlog", "NOT_BUILT_YET", "NONE (skip it) and LATEST (by the schedule's own catch-up policy) are there")


def _prefixed(error: InvalidError, *prefixes: str) -> list[FieldViolation]:
    prefix = "".join(prefixes)
    return [replace(violation, field=prefix + violation.field) for violation in error.violations]
