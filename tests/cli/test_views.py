"""What schedctl says of one schedule."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration

from schedd.cli.commands.server import status_lines
from schedd.cli.schedule_views import schedule_lines
from schedd.v1.admin_service_pb2 import CircuitStatus, GetStatusResponse
from schedd.v1.policy_pb2 import (
    AfterLastRun,
    CatchUp,
    CatchUpMode,
    Concurrency,
    Delivery,
    FollowUp,
    Hold,
    Overlap,
    Policies,
    Recovery,
    Retry,
    RetryOn,
)
from schedd.v1.reason_pb2 import Reason
from schedd.v1.schedule_pb2 import Schedule, ScheduleState
from schedd.v1.target_pb2 import (
    BasicAuth,
    BearerAuth,
    HttpAuth,
    HttpTarget,
    ProcessTarget,
    ResourceLimits,
    SecretReference,
    StatusRange,
    Target,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND, HOUR = Duration(seconds=1), Duration(seconds=3600)
SECRET = SecretReference(name="pager")


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (Target(http=HttpTarget(auth=HttpAuth(bearer=BearerAuth(token=SECRET)))), "bearer token, secret pager"),
        (Target(http=HttpTarget(auth=HttpAuth(basic=BasicAuth(username="me", password=SECRET)))), "user me, secret pager"),
        (
            Target(process=ProcessTarget(resource_limits=ResourceLimits(cpu_time=Duration(seconds=90), core_size_bytes=0))),
            "cpu_time 1m30s, core_size_bytes 0",
        ),
    ],
)
def test_schedule_tells_the_credentials_and_the_limits_of_its_target(target: Target, line: str) -> None:
    labelled = [text for text in schedule_lines(Schedule(target=target), NOW) if text.startswith(("Credentials", "Limits"))]
    assert [text.split(maxsplit=1)[1] for text in labelled] == [line]


@pytest.mark.parametrize("target", [Target(http=HttpTarget(url="http://x/")), Target(process=ProcessTarget(argv=["true"]))])
def test_schedule_without_credentials_and_limits_says_nothing_of_them(target: Target) -> None:
    assert not [text for text in schedule_lines(Schedule(target=target), NOW) if text.startswith(("Credentials", "Limits"))]


@pytest.mark.parametrize(
    ("policies", "label", "value"),
    [
        (Policies(overlap=Overlap.OVERLAP_BUFFER_ALL, buffer_limit=7), "Overlap", "BUFFER_ALL, at most 7 wait"),
        (
            Policies(catch_up=CatchUp(mode=CatchUpMode.CATCH_UP_MODE_ALL, window=HOUR, max_runs=4, grace=SECOND)),
            "Catch-up",
            "ALL, within 1h, at most 4, when more than 1s late",
        ),
        (Policies(catch_up=CatchUp(mode=CatchUpMode.CATCH_UP_MODE_NONE, grace=SECOND)), "Catch-up", "NONE, when more than 1s late"),
        (Policies(retry=Retry(max_attempts=1)), "Attempts", "1"),
        (
            Policies(retry=Retry(max_attempts=3, min_backoff=SECOND, max_backoff=HOUR, max_age=HOUR)),
            "Attempts",
            "3, 1s to 1h apart, within 1h",
        ),
        (
            Policies(retry=Retry(retry_on=RetryOn(reasons=[Reason.REASON_TIMEOUT], http_status=[StatusRange(first=500, last=599)]))),
            "Retried",
            "only TIMEOUT, status 500-599",
        ),
        (Policies(retry=Retry(retry_on=RetryOn(exit_codes=[75]))), "Retried", "only exit code 75"),
        (Policies(attempt_timeout=HOUR), "Timeout", "1h"),
        (Policies(delivery=Delivery.DELIVERY_AT_MOST_ONCE), "Delivery", "AT_MOST_ONCE"),
        (Policies(recovery=Recovery.RECOVERY_END), "Recovery", "END"),
        (Policies(priority=9), "Priority", "9"),
        (
            Policies(concurrency=Concurrency(key="db", limit=2, when_full=Hold.HOLD_SKIP)),
            "Concurrency",
            "at most 2 of key db; skipped when they are running",
        ),
        (Policies(circuit_open=Hold.HOLD_SKIP), "Circuit", "skipped while it is open"),
        (Policies(after_last_run=AfterLastRun.AFTER_LAST_RUN_DELETE), "At its end", "deleted"),
        (Policies(pause_after_failures=2), "Pauses", "after 2 failures in a row"),
        (Policies(on_failure=[FollowUp(schedule="groups/default/schedules/alarm")]), "On failure", "run alarm"),
    ],
)
def test_schedule_tells_each_policy_that_is_not_as_by_default(policies: Policies, label: str, value: str) -> None:
    told = schedule_lines(Schedule(policies=policies), NOW)
    assert [line.removeprefix(label).strip() for line in told if line.startswith(f"{label} ")] == [value]


def test_schedule_tells_how_many_of_its_runs_there_were_and_until_when_it_can_be_restored() -> None:
    schedule = Schedule(policies=Policies(max_runs=3), run_count=2, state=ScheduleState.SCHEDULE_STATE_DELETED)
    schedule.time_zone = "UTC"
    schedule.delete_time.FromDatetime(NOW)
    schedule.purge_time.FromDatetime(NOW + timedelta(days=90))
    told = schedule_lines(schedule, NOW)
    assert any(re.fullmatch(r"Runs +2 of 3", line) for line in told)
    assert any("`schedctl schedule undelete` restores it until Wed 2026-04-01 00:00:00 " in line for line in told)


def test_schedule_with_policies_by_default_says_little_of_them() -> None:
    labels = {line.split("  ")[0] for line in schedule_lines(Schedule(policies=Policies(priority=5)), NOW)}
    assert labels & {"Priority", "Delivery", "Recovery", "Circuit", "Runs", "Pauses", "Concurrency", "Retried"} == set()


@pytest.mark.parametrize(
    ("half_open", "held", "told"),
    [
        (False, 1, "http://a:80 for 3s (75% of calls failed), the next probe goes in 7s, 1 execution held back"),
        (True, 2, "http://a:80 for 3s (75% of calls failed), probes are under way, 2 executions held back"),
    ],
)
def test_status_tells_of_an_open_circuit_as_of_everything_else(half_open: bool, held: int, told: str) -> None:
    circuit = CircuitStatus(host="http://a:80", failure_rate=0.75, half_open=half_open, held_count=held)
    circuit.open_time.FromDatetime(NOW)
    circuit.probe_time.FromDatetime(NOW + timedelta(seconds=10))
    answer = GetStatusResponse(circuits=[circuit])
    answer.current_time.FromDatetime(NOW + timedelta(seconds=3))
    facts = dict(re.split("  +", line, maxsplit=1) for line in status_lines(answer))
    assert facts["Circuit open"] == told
