"""Every error becomes one status, with google.rpc details, and an enum's every word has its place in the proto."""

from __future__ import annotations

from enum import StrEnum

import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.rpc import code_pb2, error_details_pb2

from schedd.api.errors import status_of, unforeseen
from schedd.core import errors
from schedd.core.model import execution, journal, policy, reason, schedule, when
from schedd.v1 import execution_pb2, journal_pb2, policy_pb2, reason_pb2, schedule_pb2, when_pb2

_CASES: list[tuple[errors.ScheddError, int, str]] = [
    (errors.NotFoundError("schedule", "groups/a/schedules/b"), code_pb2.NOT_FOUND, "NOT_FOUND"),
    (errors.AlreadyExistsError("schedule", "groups/a/schedules/b"), code_pb2.ALREADY_EXISTS, "ALREADY_EXISTS"),
    (errors.ConflictError("schedule", "n", reason="ETAG_MISMATCH", description="d"), code_pb2.ABORTED, "ETAG_MISMATCH"),
    (errors.PreconditionError("schedule", "n", reason="NOT_PAUSED", description="d"), code_pb2.FAILED_PRECONDITION, "NOT_PAUSED"),
    (errors.QuotaError(subject="s", limit=1, description="d"), code_pb2.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"),
    (errors.UnimplementedError("it will"), code_pb2.UNIMPLEMENTED, "NOT_BUILT_YET"),
    (errors.ResumableError(sequence=7, reason="WATCHER_TOO_SLOW", description="d"), code_pb2.ABORTED, "WATCHER_TOO_SLOW"),
    (errors.ExpiredError(reason="SEQUENCE_EXPIRED", description="d"), code_pb2.OUT_OF_RANGE, "SEQUENCE_EXPIRED"),
    (errors.UnavailableError(reason="DRAINING", description="d"), code_pb2.UNAVAILABLE, "DRAINING"),
    (errors.StoredDataError("schedule", 1, "d"), code_pb2.DATA_LOSS, "STORED_DATA"),
]


def _info(details: object) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    assert details.Unpack(info)  # type: ignore[attr-defined]
    return info


@pytest.mark.parametrize(("error", "code", "reason"), _CASES, ids=lambda case: type(case).__name__)
def test_error_has_its_code_and_an_error_info(error: errors.ScheddError, code: int, reason: str) -> None:
    status = status_of(error)
    info = _info(status.details[0])
    assert (status.code, info.reason, info.domain) == (code, reason, "schedd")


def test_invalid_error_names_every_field() -> None:
    violations = tuple(errors.FieldViolation(field=field, reason="WRONG", description="d") for field in ("time_zone", "target.http.url"))
    status = status_of(errors.InvalidError(violations))
    request = error_details_pb2.BadRequest()
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert status.details[1].Unpack(request)
    assert [violation.field for violation in request.field_violations] == ["time_zone", "target.http.url"]


def test_resumable_error_says_where_to_resume() -> None:
    status = status_of(errors.ResumableError(sequence=7, reason="WATCHER_TOO_SLOW", description="d"))
    assert _info(status.details[0]).metadata["sequence"] == "7"


def test_unforeseen_error_has_the_correlation_id() -> None:
    status = unforeseen("c0ffee")
    assert status.code == code_pb2.INTERNAL
    assert _info(status.details[0]).metadata["correlation_id"] == "c0ffee"


@pytest.mark.parametrize(
    ("words", "enum", "prefix"),
    [
        (execution.Cause, execution_pb2.Cause, "CAUSE"),
        (execution.ExecutionState, execution_pb2.ExecutionState, "EXECUTION_STATE"),
        (reason.Outcome, reason_pb2.Outcome, "OUTCOME"),
        (reason.Reason, reason_pb2.Reason, "REASON"),
        (journal.JournalKind, journal_pb2.JournalKind, "JOURNAL_KIND"),
        (policy.Overlap, policy_pb2.Overlap, "OVERLAP"),
        (policy.CatchUpMode, policy_pb2.CatchUpMode, "CATCH_UP_MODE"),
        (policy.Delivery, policy_pb2.Delivery, "DELIVERY"),
        (policy.AfterLastRun, policy_pb2.AfterLastRun, "AFTER_LAST_RUN"),
        (schedule.ScheduleState, schedule_pb2.ScheduleState, "SCHEDULE_STATE"),
        (when.DayMatch, when_pb2.DayMatch, "DAY_MATCH"),
        (when.GapPolicy, when_pb2.GapPolicy, "GAP_POLICY"),
        (when.FoldPolicy, when_pb2.FoldPolicy, "FOLD_POLICY"),
        (when.SpreadMode, when_pb2.SpreadMode, "SPREAD_MODE"),
    ],
)
def test_model_enum_has_every_word_in_the_proto(words: type[StrEnum], enum: EnumTypeWrapper, prefix: str) -> None:
    known = set(enum.keys())
    missing = [word for word in words if f"{prefix}_{word}" not in known and word != reason.Reason.NONE]
    assert missing == []
