"""What goes through protobuf and back is what it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from schedd.api.convert.policy import policies, policies_of
from schedd.api.convert.target import target, target_of
from schedd.api.reading import Reading
from schedd.core.model.policy import (
    CatchUp,
    CatchUpMode,
    CommandHolds,
    Concurrency,
    Condition,
    DayFits,
    Hold,
    Notify,
    Overlap,
    Policies,
    Recovery,
    Retry,
    RetryOn,
    TriggerSchedule,
)
from schedd.core.model.reason import Reason
from schedd.core.model.target import AuthScheme, HttpAuth, HttpTarget, ProcessTarget, ResourceLimits, StatusRange, Target
from schedd.core.model.when import Cron
from schedd.v1 import policy_pb2, target_pb2


@pytest.mark.parametrize(
    "condition",
    [None, DayFits(days=Cron(text="0 0 * * 1-5")), CommandHolds(command=ProcessTarget(argv=("true",)), timeout=timedelta(seconds=3))],
)
def test_policies_with_every_field_set_come_back_whole(condition: Condition | None) -> None:
    given = Policies(
        overlap=Overlap.BUFFER_ALL,
        catch_up=CatchUp(mode=CatchUpMode.ALL, window=timedelta(hours=1), max_runs=3, grace=timedelta(0)),
        retry=Retry(retry_on=RetryOn(reasons=(Reason.TIMEOUT,), http_status=(StatusRange(first=500, last=599),), exit_codes=(75,))),
        attempt_timeout=timedelta(minutes=1),
        priority=0,
        buffer_limit=7,
        concurrency=Concurrency(key="database", limit=2, when_full=Hold.SKIP),
        pause_after_failures=3,
        max_runs=9,
        on_success=(TriggerSchedule(schedule="groups/default/schedules/next"),),
        on_failure=(Notify(target=HttpTarget(url="http://localhost/alarm")), TriggerSchedule(schedule="groups/default/schedules/b")),
        condition=condition,
        circuit_open=Hold.SKIP,
        recovery=Recovery.END,
    )
    reading = Reading()
    assert policies_of(policies(given), 0, reading) == given
    assert reading.faults == []


def test_policies_without_any_field_are_the_defaults() -> None:
    reading = Reading()
    assert policies_of(policy_pb2.Policies(), 0, reading) == Policies()
    assert policies_of(policies(Policies()), 0, reading) == Policies()
    assert reading.faults == []


def test_empty_follow_up_and_condition_are_named() -> None:
    reading = Reading()
    message = policy_pb2.Policies(on_success=[policy_pb2.FollowUp()], condition=policy_pb2.Condition())
    policies_of(message, 0, reading)
    assert [fault.field for fault in reading.faults] == ["policies.on_success[0]", "policies.condition"]


@pytest.mark.parametrize(
    "given",
    [
        HttpTarget(url="http://x/"),
        HttpTarget(url="http://x/", auth=HttpAuth(scheme=AuthScheme.BEARER, secret="token")),
        HttpTarget(url="http://x/", auth=HttpAuth(scheme=AuthScheme.BASIC, secret="password", username="me")),
        ProcessTarget(argv=("true",)),
        ProcessTarget(argv=("true",), resource_limits=ResourceLimits(core_size_bytes=0)),
        ProcessTarget(
            argv=("true",),
            resource_limits=ResourceLimits(
                address_space_bytes=1 << 40,
                cpu_time=timedelta(seconds=3),
                file_size_bytes=5,
                open_files=6,
                processes=7,
                core_size_bytes=8,
            ),
        ),
    ],
)
def test_target_comes_back_whole(given: Target) -> None:
    reading = Reading()
    assert target_of(target(given), reading) == given
    assert reading.faults == []


def test_resource_limits_without_any_are_none() -> None:
    message = target_pb2.Target(process=target_pb2.ProcessTarget(argv=["true"], resource_limits=target_pb2.ResourceLimits()))
    assert target_of(message, Reading()) == ProcessTarget(argv=("true",))


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"auth": {}}, {"target.http.auth": "REQUIRED"}),
        ({"auth": {"oauth2": {"token_url": "https://x/"}}}, {"target.http.auth.oauth2": "NOT_BUILT_YET"}),
        ({"signature": {}, "tls": {}}, {"target.http.signature": "NOT_BUILT_YET", "target.http.tls": "NOT_BUILT_YET"}),
    ],
)
def test_what_is_not_built_of_http_targets_is_refused_and_says_what_it_will_do(fields: dict[str, Any], faults: dict[str, str]) -> None:
    reading = Reading()
    assert target_of(target_pb2.Target(http=target_pb2.HttpTarget(url="http://x/", **fields)), reading) == HttpTarget(url="http://x/")
    assert {fault.field: fault.reason for fault in reading.faults} == faults
    assert all("it will " in fault.description for fault in reading.faults if fault.reason == "NOT_BUILT_YET")
