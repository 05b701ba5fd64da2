"""Backfills as protobuf messages, and requests for them as drafts."""

from __future__ import annotations

from schedd.api.convert.basics import Words, timestamp
from schedd.api.convert.policy import OVERLAP
from schedd.api.names import backfill_name
from schedd.api.reading import Reading
from schedd.core.model.backfill import RATE_DEFAULT, Backfill, BackfillState
from schedd.core.model.policy import Overlap
from schedd.service.backfills import BackfillDraft
from schedd.v1 import schedule_pb2
from schedd.v1 import schedule_service_pb2 as pb

STATE = Words(BackfillState, schedule_pb2.BackfillState, "BACKFILL_STATE")


def backfill(backfill: Backfill) -> schedule_pb2.Backfill:
    """The message of a backfill."""
    progress = backfill.progress
    message = schedule_pb2.Backfill(
        name=backfill_name(backfill.schedule, backfill.id),
        start_time=timestamp(backfill.start_us),
        end_time=timestamp(backfill.end_us),
        overlap=OVERLAP.number(backfill.overlap),
        rate_per_second=backfill.rate_per_second,
        state=STATE.number(backfill.state),
        total_count=backfill.total,
        done_count=progress.done,
        succeeded_count=progress.succeeded,
        failed_count=progress.failed,
        skipped_count=progress.skipped,
        actor=backfill.actor,
        create_time=timestamp(backfill.created_us),
    )
    if backfill.finished_us is not None:
        message.finish_time.CopyFrom(timestamp(backfill.finished_us))
    return message


def draft_of(request: pb.BackfillScheduleRequest, reading: Reading) -> BackfillDraft:
    """What a request asks for; what is wrong with it is noted."""
    for field in ("start_time", "end_time"):
        if not request.HasField(field):
            reading.note(field, "REQUIRED", "is missing; the range needs both ends")
    return BackfillDraft(
        start_us=reading.instant(request.start_time, "start_time", 0),
        end_us=reading.instant(request.end_time, "end_time", 0),
        overlap=reading.word(OVERLAP, request.overlap, Overlap.BUFFER_ALL, "overlap"),
        rate_per_second=request.rate_per_second or RATE_DEFAULT,
    )
