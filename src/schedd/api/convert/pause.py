"""How a pause ends: by itself, and what is done then about what it held back."""

from __future__ import annotations

from schedd.api.reading import Reading
from schedd.service.schedules import Backlog
from schedd.v1 import policy_pb2
from schedd.v1 import schedule_service_pb2 as pb

_BACKLOGS = {
    policy_pb2.CATCH_UP_MODE_UNSPECIFIED: Backlog.SKIP,
    policy_pb2.CATCH_UP_MODE_NONE: Backlog.SKIP,
    policy_pb2.CATCH_UP_MODE_LATEST: Backlog.CATCH_UP,
}


def until_us_of(request: pb.PauseScheduleRequest | pb.BatchOperateSchedulesRequest, reading: Reading) -> int | None:
    """When the schedule resumes by itself; None: it does not."""
    if not request.HasField("until_time"):
        return None
    return reading.instant(request.until_time, "until_time", 0)


def backlog_of(request: pb.ResumeScheduleRequest | pb.BatchOperateSchedulesRequest, reading: Reading) -> Backlog:
    """What becomes of the occurrences that the pause held back."""
    if request.backlog not in _BACKLOGS:
        reading.note("backlog", "NOT_BUILT_YET", "NONE (skip it) and LATEST (by the schedule's own catch-up policy) are there")
    return _BACKLOGS.get(request.backlog, Backlog.SKIP)
