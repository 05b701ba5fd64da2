"""Notices: what a target is sent about an execution that has ended."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from schedd.core.model.execution import Attempt, AttemptResult, Cause, DeliveryRequest, Execution, ExecutionState, Origin, Parent
from schedd.core.model.journal import ExecutionFacts
from schedd.core.model.notice import Notice
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import ScheduleName
from schedd.core.model.target import HttpTarget, Payload, ProcessTarget, Target, payload_of, with_payload
from schedd.core.notices import execution_json, notice_target

SECOND = 1_000_000
JOB = ScheduleName(group="ops", schedule="job")
ENDED = Execution(
    id=2,
    schedule=JOB,
    schedule_row=1,
    schedule_uid=1,
    generation=3,
    cause=Cause.SCHEDULE,
    nominal_us=SECOND,
    due_us=2 * SECOND,
    armed_us=0,
    state=ExecutionState.FINISHED,
    outcome=Outcome.FAILED,
    reason=Reason.TIMEOUT,
    attempt=2,
    started_us=3 * SECOND,
    finished_us=4 * SECOND,
)
HOOK = HttpTarget(url="http://localhost/")


def test_execution_is_told_in_the_apis_words() -> None:
    assert json.loads(execution_json(ENDED, None)) == {
        "name": "groups/ops/schedules/job/executions/0000000000002",
        "schedule": "groups/ops/schedules/job",
        "schedule_uid": "0000000000001",
        "generation": 3,
        "cause": "CAUSE_SCHEDULE",
        "state": "EXECUTION_STATE_FINISHED",
        "outcome": "OUTCOME_FAILED",
        "reason": "REASON_TIMEOUT",
        "nominal_time": "1970-01-01T00:00:01Z",
        "due_time": "1970-01-01T00:00:02Z",
        "arm_time": "1970-01-01T00:00:00Z",
        "start_time": "1970-01-01T00:00:03Z",
        "finish_time": "1970-01-01T00:00:04Z",
        "attempt": 2,
        "delivery_key": "0000000000001:1970-01-01T00:00:01Z",
    }


@pytest.mark.parametrize(
    ("cause", "origin", "field", "value"),
    [
        (Cause.MANUAL, Origin(actor="ann"), "actor", "ann"),
        (Cause.FOLLOW_UP, Origin(parent=Parent(JOB, 1)), "parent_execution", "groups/ops/schedules/job/executions/0000000000001"),
    ],
)
def test_execution_names_who_or_what_caused_it(cause: Cause, origin: Origin, field: str, value: str) -> None:
    assert json.loads(execution_json(ENDED._replace(cause=cause, origin=origin), None))[field] == value


def test_execution_of_the_rule_names_no_actor() -> None:
    assert "actor" not in json.loads(execution_json(ENDED._replace(origin=Origin(actor="ann")), None))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (AttemptResult(Outcome.SUCCEEDED, Reason.COMPLETED, output=b"left out"), {}),
        (AttemptResult(Outcome.FAILED, Reason.HTTP_STATUS, 500, "answered 500"), {"code": 500, "message": "answered 500"}),
        (AttemptResult(Outcome.FAILED, Reason.EXIT_CODE, 0), {"code": 0}),
    ],
)
def test_last_attempt_is_told_without_its_output(result: AttemptResult, expected: dict[str, object]) -> None:
    (told,) = json.loads(execution_json(ENDED, Attempt(2, 2, 3 * SECOND, 4 * SECOND, result)))["attempts"]
    assert told == {
        "number": 2,
        "start_time": "1970-01-01T00:00:03Z",
        "finish_time": "1970-01-01T00:00:04Z",
        "outcome": f"OUTCOME_{result.outcome}",
        "reason": f"REASON_{result.reason}",
        **expected,
    }


def test_target_without_a_payload_is_sent_the_execution_as_it_is() -> None:
    sent = notice_target(HOOK, "on_failure[0]", ENDED, None)
    assert sent.payload == Payload(content=execution_json(ENDED, None), template=False)


def test_target_keeps_its_own_payload_and_its_own_key() -> None:
    own = replace(HOOK, headers=(("idempotency-key", "mine"),), payload=Payload(content=b"x"))
    sent = notice_target(own, "on_success[1]", ENDED, None)
    assert sent.payload == own.payload
    assert sent.headers == (("Schedd-Delivery-Key", "{{ delivery_key }}/on_success[1]/{{ attempt }}"), ("idempotency-key", "mine"))


def test_notice_is_called_as_a_delivery_of_its_own_cause() -> None:
    facts = ExecutionFacts(id=2, cause=Cause.SCHEDULE, nominal_us=SECOND, due_us=2 * SECOND)
    notice = Notice(
        id=9,
        follow_up="on_failure[0]",
        target=HOOK,
        schedule=JOB,
        schedule_row=1,
        schedule_uid=1,
        execution=facts,
        attempt=2,
        labels={"a": "b"},
        previous_success_us=5,
    )
    assert notice.request(timedelta(seconds=3)) == DeliveryRequest(
        target=HOOK,
        schedule=JOB,
        schedule_uid=1,
        execution_id=2,
        attempt=2,
        cause=Cause.FOLLOW_UP,
        nominal_us=SECOND,
        due_us=2 * SECOND,
        timeout=timedelta(seconds=3),
        previous_success_us=5,
        labels={"a": "b"},
    )


@pytest.mark.parametrize("target", [HOOK, ProcessTarget(argv=("cat",))])
def test_payload_of_a_target_of_either_kind_can_be_replaced(target: Target) -> None:
    other = Payload(content=b"other", content_type="text/plain")
    assert payload_of(target) != other
    assert payload_of(with_payload(target, other)) == other
