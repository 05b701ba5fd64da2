"""What the API can be asked, one function a call: it builds the request, and both clients know how to make it.

A changing call gets its request id here, once, so that all of its attempts carry the same one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from schedd.client.errors import Fault
from schedd.v1.admin_service_pb2 import GetStatusRequest, GetStatusResponse, ListJournalRequest, ListJournalResponse
from schedd.v1.admin_service_pb2_grpc import AdminServiceStub
from schedd.v1.calendar_pb2 import Calendar
from schedd.v1.calendar_service_pb2 import (
    CreateCalendarRequest,
    DeleteCalendarRequest,
    GetCalendarRequest,
    ListCalendarsRequest,
    ListCalendarsResponse,
    UpdateCalendarRequest,
)
from schedd.v1.calendar_service_pb2_grpc import CalendarServiceStub
from schedd.v1.execution_pb2 import DeadLetter, Execution, ExecutionView
from schedd.v1.execution_service_pb2 import (
    CancelExecutionRequest,
    ExplainOccurrencesRequest,
    ExplainOccurrencesResponse,
    Explanation,
    GetExecutionRequest,
    ListDeadLettersRequest,
    ListDeadLettersResponse,
    ListExecutionsRequest,
    ListExecutionsResponse,
    PurgeDeadLettersRequest,
    PurgeDeadLettersResponse,
    RedeliverDeadLettersRequest,
    RedeliverDeadLettersResponse,
    RedeliverExecutionRequest,
)
from schedd.v1.execution_service_pb2_grpc import ExecutionServiceStub
from schedd.v1.journal_pb2 import JournalEntry, JournalKind
from schedd.v1.policy_pb2 import CatchUpMode, Overlap
from schedd.v1.schedule_pb2 import Backfill, Pause, Schedule
from schedd.v1.schedule_service_pb2 import (
    BackfillScheduleRequest,
    BatchCreateSchedulesRequest,
    BatchCreateSchedulesResponse,
    BatchOperateSchedulesRequest,
    BatchOperateSchedulesResponse,
    CancelBackfillRequest,
    CreateScheduleRequest,
    DeleteScheduleRequest,
    GetBackfillRequest,
    GetScheduleRequest,
    ListBackfillsRequest,
    ListBackfillsResponse,
    ListSchedulesRequest,
    ListSchedulesResponse,
    PauseScheduleRequest,
    PreviewScheduleRequest,
    PreviewScheduleResponse,
    ResumeScheduleRequest,
    TriggerScheduleRequest,
    TriggerScheduleResponse,
    UndeleteScheduleRequest,
    UpdateScheduleRequest,
)
from schedd.v1.schedule_service_pb2_grpc import ScheduleServiceStub
from schedd.v1.target_pb2 import Payload

Answer = TypeVar("Answer")
Item = TypeVar("Item")

_PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class Method(Generic[Answer]):
    """One unary method: the stub that has it, its name there, and what it answers."""

    stub: Callable[[Any], Any]
    name: str
    answer: type[Answer]


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One logical call. `repeatable`: making it again, with the same request, cannot change more than making it once."""

    method: Method[Answer]
    request: Message
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """A list that comes in pages. The request has `page_token`, the answers have `next_page_token` and the items."""

    method: Method[Any]
    request: Any
    items: Callable[[Any], Sequence[Item]]

    def page(self, token: str) -> Call[Any]:
        """The call for the page that `token` names; the empty one names the first."""
        request = type(self.request)()
        request.CopyFrom(self.request)
        request.page_token = token
        return Call(self.method, request)


CREATE = Method(ScheduleServiceStub, "CreateSchedule", Schedule)
CREATE_BATCH = Method(ScheduleServiceStub, "BatchCreateSchedules", BatchCreateSchedulesResponse)
GET = Method(ScheduleServiceStub, "GetSchedule", Schedule)
LIST = Method(ScheduleServiceStub, "ListSchedules", ListSchedulesResponse)
UPDATE = Method(ScheduleServiceStub, "UpdateSchedule", Schedule)
DELETE = Method(ScheduleServiceStub, "DeleteSchedule", Schedule)
UNDELETE = Method(ScheduleServiceStub, "UndeleteSchedule", Schedule)
PAUSE = Method(ScheduleServiceStub, "PauseSchedule", Schedule)
RESUME = Method(ScheduleServiceStub, "ResumeSchedule", Schedule)
TRIGGER = Method(ScheduleServiceStub, "TriggerSchedule", TriggerScheduleResponse)
BACKFILL = Method(ScheduleServiceStub, "BackfillSchedule", Backfill)
GET_BACKFILL = Method(ScheduleServiceStub, "GetBackfill", Backfill)
LIST_BACKFILLS = Method(ScheduleServiceStub, "ListBackfills", ListBackfillsResponse)
CANCEL_BACKFILL = Method(ScheduleServiceStub, "CancelBackfill", Backfill)
PREVIEW = Method(ScheduleServiceStub, "PreviewSchedule", PreviewScheduleResponse)
OPERATE = Method(ScheduleServiceStub, "BatchOperateSchedules", BatchOperateSchedulesResponse)
GET_EXECUTION = Method(ExecutionServiceStub, "GetExecution", Execution)
LIST_EXECUTIONS = Method(ExecutionServiceStub, "ListExecutions", ListExecutionsResponse)
CANCEL = Method(ExecutionServiceStub, "CancelExecution", Execution)
REDELIVER = Method(ExecutionServiceStub, "RedeliverExecution", Execution)
EXPLAIN = Method(ExecutionServiceStub, "ExplainOccurrences", ExplainOccurrencesResponse)
LIST_LETTERS = Method(ExecutionServiceStub, "ListDeadLetters", ListDeadLettersResponse)
REDELIVER_LETTERS = Method(ExecutionServiceStub, "RedeliverDeadLetters", RedeliverDeadLettersResponse)
PURGE_LETTERS = Method(ExecutionServiceStub, "PurgeDeadLetters", PurgeDeadLettersResponse)
CREATE_CALENDAR = Method(CalendarServiceStub, "CreateCalendar", Calendar)
GET_CALENDAR = Method(CalendarServiceStub, "GetCalendar", Calendar)
LIST_CALENDARS = Method(CalendarServiceStub, "ListCalendars", ListCalendarsResponse)
UPDATE_CALENDAR = Method(CalendarServiceStub, "UpdateCalendar", Calendar)
DELETE_CALENDAR = Method(CalendarServiceStub, "DeleteCalendar", Empty)
STATUS = Method(AdminServiceStub, "GetStatus", GetStatusResponse)
JOURNAL = Method(AdminServiceStub, "ListJournal", ListJournalResponse)
HEALTH = Method(HealthStub, "Check", HealthCheckResponse)

ENDED = Fault(message="the server ended the stream before its first message")


def new_request_id() -> str:
    """A request id that no other call has."""
    return str(uuid.uuid4())


def timestamp(instant: datetime | None) -> Timestamp | None:
    """`instant`, which has to be aware, as the API has it. Raises: ValueError."""
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone; an instant needs one")
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def create_schedule(schedule: Schedule, *, pause: Pause | None = None, validate_only: bool = False, request_id: str = "") -> Call[Schedule]:
    """Create a schedule; `schedule.name` names it. With `pause` it is created paused."""
    return Call(
        CREATE,
        CreateScheduleRequest(schedule=schedule, pause=pause, validate_only=validate_only, request_id=request_id or new_request_id()),
    )


def create_schedules(
    schedules: Iterable[Schedule], *, validate_only: bool = False, request_id: str = ""
) -> Call[BatchCreateSchedulesResponse]:
    """Create up to 1000 schedules, all or none, in one transaction."""
    return Call(
        CREATE_BATCH,
        BatchCreateSchedulesRequest(
            requests=[CreateScheduleRequest(schedule=schedule) for schedule in schedules],
            validate_only=validate_only,
            request_id=request_id or new_request_id(),
        ),
    )


def get_schedule(name: str) -> Call[Schedule]:
    """The schedule `groups/{group}/schedules/{schedule}`."""
    return Call(GET, GetScheduleRequest(name=name))


def list_schedules(
    parent: str = "groups/-", *, filter: str = "", order_by: str = "", show_deleted: bool = False, page_size: int = _PAGE_SIZE
) -> Listing[Schedule]:
    """All schedules of a group, or of all groups, that `filter` lets through (see ListSchedulesRequest); pages are fetched as needed."""
    request = ListSchedulesRequest(parent=parent, filter=filter, order_by=order_by, show_deleted=show_deleted, page_size=page_size)
    return Listing(LIST, request, lambda answer: answer.schedules)


def update_schedule(
    schedule: Schedule,
    *,
    update_mask: Sequence[str] = (),
    allow_missing: bool = False,
    validate_only: bool = False,
    request_id: str = "",
) -> Call[Schedule]:
    """Change the schedule that `schedule.name` names.

    `update_mask` names the fields that are replaced, `*` all of them; without it, the top-level fields that `schedule` has. With an
    `etag` in `schedule` the call fails with ConflictError if somebody else changed it meanwhile.
    """
    request = UpdateScheduleRequest(
        schedule=schedule,
        allow_missing=allow_missing,
        validate_only=validate_only,
        request_id=request_id or new_request_id(),
    )
    request.update_mask.paths.extend(update_mask)
    return Call(UPDATE, request)


def delete_schedule(
    name: str, *, etag: str = "", allow_missing: bool = False, validate_only: bool = False, request_id: str = ""
) -> Call[Schedule]:
    """Delete a schedule; what of it runs ends by itself."""
    return Call(
        DELETE,
        DeleteScheduleRequest(
            name=name,
            etag=etag,
            allow_missing=allow_missing,
            validate_only=validate_only,
            request_id=request_id or new_request_id(),
        ),
    )


def undelete_schedule(name: str, *, etag: str = "", validate_only: bool = False, request_id: str = "") -> Call[Schedule]:
    """Restore a deleted schedule; it goes on from now."""
    request = UndeleteScheduleRequest(name=name, etag=etag, validate_only=validate_only, request_id=request_id or new_request_id())
    return Call(UNDELETE, request)


def pause_schedule(
    name: str,
    reason: str = "",
    *,
    until: datetime | None = None,
    etag: str = "",
    validate_only: bool = False,
    request_id: str = "",
) -> Call[Schedule]:
    """Pause a schedule, until that instant or until somebody resumes it."""
    return Call(
        PAUSE,
        PauseScheduleRequest(
            name=name,
            reason=reason,
            until_time=timestamp(until),
            etag=etag,
            validate_only=validate_only,
            request_id=request_id or new_request_id(),
        ),
    )


def resume_schedule(
    name: str,
    *,
    backlog: CatchUpMode.ValueType = CatchUpMode.CATCH_UP_MODE_UNSPECIFIED,
    etag: str = "",
    validate_only: bool = False,
    request_id: str = "",
) -> Call[Schedule]:
    """Resume a schedule; `backlog` says what is done about the occurrences that the pause left out."""
    return Call(
        RESUME,
        ResumeScheduleRequest(
            name=name, backlog=backlog, etag=etag, validate_only=validate_only, request_id=request_id or new_request_id()
        ),
    )


def trigger_schedule(
    name: str,
    *,
    payload: Payload | None = None,
    overlap: Overlap.ValueType = Overlap.OVERLAP_UNSPECIFIED,
    validate_only: bool = False,
    request_id: str = "",
) -> Call[TriggerScheduleResponse]:
    """Run a schedule now. The answer has the execution or, with `validate_only`, what would be sent."""
    return Call(
        TRIGGER,
        TriggerScheduleRequest(
            name=name,
            payload=payload,
            overlap=overlap,
            validate_only=validate_only,
            request_id=request_id or new_request_id(),
        ),
    )


def backfill_schedule(
    name: str,
    start: datetime,
    end: datetime,
    *,
    overlap: Overlap.ValueType = Overlap.OVERLAP_UNSPECIFIED,
    rate_per_second: float = 0,
    validate_only: bool = False,
    request_id: str = "",
) -> Call[Backfill]:
    """Run the past occurrences from `start` to before `end`, at most `rate_per_second` (0: the default, 10)."""
    return Call(
        BACKFILL,
        BackfillScheduleRequest(
            name=name,
            start_time=timestamp(start),
            end_time=timestamp(end),
            overlap=overlap,
            rate_per_second=rate_per_second,
            validate_only=validate_only,
            request_id=request_id or new_request_id(),
        ),
    )


def get_backfill(name: str) -> Call[Backfill]:
    """The backfill `groups/{group}/schedules/{schedule}/backfills/{backfill}`, with its progress."""
    return Call(GET_BACKFILL, GetBackfillRequest(name=name))


def list_backfills(parent: str = "groups/-/schedules/-", *, page_size: int = 100) -> Listing[Backfill]:
    """The backfills of a schedule, or of all, newest first."""
    return Listing(LIST_BACKFILLS, ListBackfillsRequest(parent=parent, page_size=page_size), lambda answer: answer.backfills)


def cancel_backfill(name: str) -> Call[Backfill]:
    """End a backfill: what of it has not started is not run. One that was cancelled before stays as it is."""
    return Call(CANCEL_BACKFILL, CancelBackfillRequest(name=name))


def preview_schedule(
    subject: str | Schedule,
    *,
    after: datetime | None = None,
    before: datetime | None = None,
    count: int = 10,
    show_excluded: bool = False,
) -> Call[PreviewScheduleResponse]:
    """The coming occurrences of a stored schedule (its name) or of a proposed one."""
    request = PreviewScheduleRequest(after_time=timestamp(after), before_time=timestamp(before), count=count, show_excluded=show_excluded)
    if isinstance(subject, str):
        request.name = subject
    else:
        request.schedule.CopyFrom(subject)
    return Call(PREVIEW, request)


def operate_schedules(request: BatchOperateSchedulesRequest) -> Call[BatchOperateSchedulesResponse]:
    """Pause, resume, delete, undelete or trigger many schedules; each has its own result. The request gets an id if it has none.

    The call is no transaction, and safe to repeat all the same: what was done of it is not done again.
    """
    made = BatchOperateSchedulesRequest()
    made.CopyFrom(request)
    made.request_id = made.request_id or new_request_id()
    return Call(OPERATE, made)


def get_execution(name: str, *, view: ExecutionView.ValueType = ExecutionView.EXECUTION_VIEW_UNSPECIFIED) -> Call[Execution]:
    """An execution, with its attempts and their output unless `view` says otherwise."""
    return Call(GET_EXECUTION, GetExecutionRequest(name=name, view=view))


def list_executions(
    parent: str = "groups/-/schedules/-",
    *,
    filter: str = "",
    order_by: str = "",
    view: ExecutionView.ValueType = ExecutionView.EXECUTION_VIEW_UNSPECIFIED,
    page_size: int = 100,
) -> Listing[Execution]:
    """The executions of a schedule, or of all, that `filter` lets through (see ListExecutionsRequest), newest first."""
    request = ListExecutionsRequest(parent=parent, filter=filter, order_by=order_by, view=view, page_size=page_size)
    return Listing(LIST_EXECUTIONS, request, lambda answer: answer.executions)


def cancel_execution(name: str, reason: str = "") -> Call[Execution]:
    """End an execution that has not finished. Not repeated by itself: the second call would find it finished."""
    return Call(CANCEL, CancelExecutionRequest(name=name, reason=reason), repeatable=False)


def redeliver_execution(name: str, *, request_id: str = "") -> Call[Execution]:
    """Take up a finished execution again, with its delivery key and a new series of attempts."""
    return Call(REDELIVER, RedeliverExecutionRequest(name=name, request_id=request_id or new_request_id()))


def explain_occurrences(
    schedule: str, *, at: datetime | None = None, start: datetime | None = None, end: datetime | None = None, page_size: int = 100
) -> Listing[Explanation]:
    """What happened, or would, to a schedule's occurrence `at` that nominal time, or to those from `start` to before `end`, and why."""
    request = ExplainOccurrencesRequest(
        schedule=schedule, at_time=timestamp(at), start_time=timestamp(start), end_time=timestamp(end), page_size=page_size
    )
    return Listing(EXPLAIN, request, lambda answer: answer.explanations)


def list_dead_letters(parent: str = "groups/-/schedules/-", *, filter: str = "", page_size: int = 100) -> Listing[DeadLetter]:
    """The dead letters of a schedule, or of all, that `filter` lets through (see ListExecutionsRequest), newest first."""
    request = ListDeadLettersRequest(parent=parent, filter=filter, page_size=page_size)
    return Listing(LIST_LETTERS, request, lambda answer: answer.dead_letters)


def redeliver_dead_letters(
    names: Iterable[str] = (), *, parent: str = "", filter: str = "", request_id: str = ""
) -> Call[RedeliverDeadLettersResponse]:
    """Take up dead letters again, those named or, at most 1000, those that `filter` lets through; each has its own result."""
    request = RedeliverDeadLettersRequest(parent=parent, names=names, filter=filter, request_id=request_id or new_request_id())
    return Call(REDELIVER_LETTERS, request)


def purge_dead_letters(
    names: Iterable[str] = (), *, parent: str = "", filter: str = "", validate_only: bool = False
) -> Call[PurgeDeadLettersResponse]:
    """Remove dead letters, those named or those that `filter` lets through. Not repeated by itself: the second call would count others."""
    request = PurgeDeadLettersRequest(parent=parent, names=names, filter=filter, validate_only=validate_only)
    return Call(PURGE_LETTERS, request, repeatable=validate_only)


def create_calendar(calendar: Calendar, *, validate_only: bool = False, request_id: str = "") -> Call[Calendar]:
    """Create a calendar; `calendar.name` names it."""
    request = CreateCalendarRequest(calendar=calendar, validate_only=validate_only, request_id=request_id or new_request_id())
    return Call(CREATE_CALENDAR, request)


def get_calendar(name: str) -> Call[Calendar]:
    """The calendar `calendars/{calendar}`, with some of the schedules that use it."""
    return Call(GET_CALENDAR, GetCalendarRequest(name=name))


def list_calendars(*, filter: str = "", page_size: int = 100) -> Listing[Calendar]:
    """All calendars that `filter` lets through (see ListCalendarsRequest), by name; pages are fetched as needed."""
    return Listing(LIST_CALENDARS, ListCalendarsRequest(filter=filter, page_size=page_size), lambda answer: answer.calendars)


def update_calendar(
    calendar: Calendar,
    *,
    update_mask: Sequence[str] = (),
    allow_missing: bool = False,
    validate_only: bool = False,
    request_id: str = "",
) -> Call[Calendar]:
    """Change the calendar that `calendar.name` names, as `update_schedule` does a schedule; its schedules follow at once."""
    request = UpdateCalendarRequest(
        calendar=calendar,
        allow_missing=allow_missing,
        validate_only=validate_only,
        request_id=request_id or new_request_id(),
    )
    request.update_mask.paths.extend(update_mask)
    return Call(UPDATE_CALENDAR, request)


def delete_calendar(name: str, *, etag: str = "", allow_missing: bool = False) -> Call[Empty]:
    """Delete a calendar that no schedule uses. Not repeated by itself: the second call would not find it."""
    return Call(DELETE_CALENDAR, DeleteCalendarRequest(name=name, etag=etag, allow_missing=allow_missing), repeatable=allow_missing)


def get_status() -> Call[GetStatusResponse]:
    """How the daemon is."""
    return Call(STATUS, GetStatusRequest())


def list_journal(
    *, filter: str = "", kinds: Sequence[JournalKind.ValueType] = (), order_by: str = "", page_size: int = 100
) -> Listing[JournalEntry]:
    """The journal's entries that `filter` lets through (see WatchExecutionsRequest), newest first."""
    request = ListJournalRequest(filter=filter, kinds=kinds, order_by=order_by, page_size=page_size)
    return Listing(JOURNAL, request, lambda answer: answer.entries)


def check_health(service: str = "") -> Call[HealthCheckResponse]:
    """Whether the daemon, or one of its services, serves (grpc.health.v1). The empty name asks for the whole daemon."""
    return Call(HEALTH, HealthCheckRequest(service=service))


def of_execution(name: str) -> str:
    """The filter that lets the journal's entries of one execution through."""
    return f'execution = "{name.rsplit("/", 1)[-1]}"'
