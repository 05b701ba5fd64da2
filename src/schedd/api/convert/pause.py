"""How a pause ends: by itself, and what is done then about what it held back."""

from __future__ import annotations

from schedd.api.convert.policy import CATCH_UP
from schedd.api.reading import Reading
from schedd.core.model.policy import CatchUpMode
from schedd.core.model.schedule import Pause
from schedd.v1 import schedule_service_pb2 as pb


def pause_of(request: pb.CreateScheduleRequest, reading: Reading) -> Pause | None:
    """The pause that a new schedule begins with; who began it and when is the server's to say."""
    if not request.HasField("pause"):
        return None
    pause = request.pause
    until_us = reading.instant(pause.until_time, "pause.until_time", 0) if pause.HasField("until_time") else None
    return Pause(actor="", since_us=0, reason=pause.reason, until_us=until_us)


def until_us_of(request: pb.PauseScheduleRequest | pb.BatchOperateSchedulesRequest, reading: Reading) -> int | None:
    """When the schedule resumes by itself; None: it does not."""
    if not request.HasField("until_time"):
        return None
    return reading.instant(request.until_time, "until_time", 0)


def backlog_of(request: pb.ResumeScheduleRequest | pb.BatchOperateSchedulesRequest, reading: Reading) -> CatchUpMode:
    """What becomes of the occurrences that the pause held back."""
    return reading.word(CATCH_UP, request.backlog, CatchUpMode.NONE, "backlog")
