"""Every wrong field of a schedule is named at once, with what would be right."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from schedd.core.model.policy import (
    CatchUp,
    CommandHolds,
    Concurrency,
    DayFits,
    Notify,
    Policies,
    Retry,
    RetryOn,
    TriggerSchedule,
)
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget, ProcessTarget, StatusRange
from schedd.core.model.when import Expression, When
from schedd.core.retry import RETRYABLE
from schedd.core.schedule_rules import check_change, check_pause, check_schedule

NOW = 1_767_225_600_000_000
GOOD = Schedule(
    name=ScheduleName(group="default", schedule="nightly-backup"),
    when=When(triggers=(Expression(text="0 2 * * *"),)),
    target=HttpTarget(url="https://example.com/hook"),
    labels={"team": "pay"},
)
FOLLOWING = TriggerSchedule(schedule="groups/default/schedules/cleanup")
TRUE = ProcessTarget(argv=("true",))


def wrong(schedule: Schedule) -> set[str]:
    return {violation.field for violation in check_schedule(schedule, now_us=NOW)}


def test_check_of_a_good_schedule_finds_nothing() -> None:
    assert check_schedule(GOOD, now_us=NOW) == ()


def test_check_names_wrong_fields_of_every_part_at_once() -> None:
    schedule = replace(
        GOOD,
        name=ScheduleName(group="-", schedule="a" * 65),
        when=When(triggers=(Expression(text="61 * * * *"),)),
        target=HttpTarget(url="https://"),
        policies=Policies(priority=10),
    )
    assert wrong(schedule) == {"name", "triggers[0].expression", "target.http.url", "policies.priority"}


@pytest.mark.parametrize("part", ["", "-a", "a-", "a b", "a/b", "ü", "a" * 65])
def test_check_refuses_a_name_that_breaks_the_pattern(part: str) -> None:
    assert wrong(replace(GOOD, name=ScheduleName(group="default", schedule=part))) == {"name"}


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        ({"Team": "x"}, "labels['Team']"),
        ({"": "x"}, "labels['']"),
        ({"team": "x" * 256}, "labels['team']"),
        ({f"k{n}": "" for n in range(65)}, "labels"),
    ],
)
def test_check_refuses_wrong_labels(labels: dict[str, str], field: str) -> None:
    assert wrong(replace(GOOD, labels=labels)) == {field}


def test_check_refuses_an_endless_description() -> None:
    assert wrong(replace(GOOD, description="x" * 1025)) == {"description"}


@pytest.mark.parametrize(
    ("policies", "field"),
    [
        (Policies(attempt_timeout=timedelta(0)), "policies.attempt_timeout"),
        (Policies(attempt_timeout=timedelta(days=400)), "policies.attempt_timeout"),
        (Policies(priority=-1), "policies.priority"),
        (Policies(retry=Retry(max_attempts=0)), "policies.retry.max_attempts"),
        (Policies(retry=Retry(max_attempts=101)), "policies.retry.max_attempts"),
        (Policies(retry=Retry(max_backoff=timedelta(days=367))), "policies.retry.max_backoff"),
        (Policies(retry=Retry(multiplier=math.nan)), "policies.retry.multiplier"),
        (Policies(catch_up=CatchUp(max_runs=100_001)), "policies.catch_up.max_runs"),
        (Policies(retry=Retry(min_backoff=timedelta(seconds=-1))), "policies.retry.min_backoff"),
        (Policies(retry=Retry(min_backoff=timedelta(hours=1))), "policies.retry.max_backoff"),
        (Policies(retry=Retry(max_age=timedelta(days=-1))), "policies.retry.max_age"),
        (Policies(retry=Retry(multiplier=0.5)), "policies.retry.multiplier"),
        (Policies(retry=Retry(jitter=1.5)), "policies.retry.jitter"),
        (Policies(catch_up=CatchUp(window=timedelta(seconds=-1))), "policies.catch_up.window"),
        (Policies(catch_up=CatchUp(grace=timedelta(seconds=-1))), "policies.catch_up.grace"),
        (Policies(catch_up=CatchUp(max_runs=0)), "policies.catch_up.max_runs"),
        (Policies(buffer_limit=0), "policies.buffer_limit"),
        (Policies(buffer_limit=1001), "policies.buffer_limit"),
        (Policies(pause_after_failures=-1), "policies.pause_after_failures"),
        (Policies(max_runs=2**31 + 1), "policies.max_runs"),
        (Policies(concurrency=Concurrency(key="", limit=1)), "policies.concurrency.key"),
        (Policies(concurrency=Concurrency(key="k" * 129, limit=1)), "policies.concurrency.key"),
        (Policies(concurrency=Concurrency(key="k", limit=0)), "policies.concurrency.limit"),
        (Policies(on_success=(FOLLOWING,) * 9), "policies.on_success"),
        (Policies(on_success=(FOLLOWING, TriggerSchedule(schedule="cleanup"))), "policies.on_success[1].schedule"),
        (Policies(on_failure=(Notify(target=HttpTarget(url="nowhere")),)), "policies.on_failure[0].notify.url"),
        (Policies(condition=CommandHolds(command=ProcessTarget(argv=()))), "policies.condition.command.argv"),
        (Policies(condition=CommandHolds(command=TRUE, timeout=timedelta(hours=2))), "policies.condition.timeout"),
        (Policies(condition=DayFits(days=Expression(text="0 0 32 * *"))), "policies.condition.days.expression"),
        (Policies(condition=DayFits(days=Expression(text="@reboot"))), "policies.condition.days"),
        (
            Policies(retry=Retry(retry_on=RetryOn(http_status=(StatusRange(first=500, last=600),)))),
            "policies.retry.retry_on.http_status[0]",
        ),
        (Policies(retry=Retry(retry_on=RetryOn(exit_codes=(1, 0)))), "policies.retry.retry_on.exit_codes[1]"),
        (Policies(retry=Retry(retry_on=RetryOn(reasons=(Reason.TEMPLATE,)))), "policies.retry.retry_on.reasons[0]"),
    ],
)
def test_check_refuses_policies_out_of_bounds(policies: Policies, field: str) -> None:
    assert wrong(replace(GOOD, policies=policies)) == {field}


def test_check_accepts_policies_at_their_bounds() -> None:
    policies = Policies(
        buffer_limit=1000,
        pause_after_failures=1000,
        max_runs=2**31,
        concurrency=Concurrency(key="k" * 128, limit=10_000),
        on_success=(FOLLOWING,) * 8,
        on_failure=(Notify(target=HttpTarget(url="http://localhost/")),),
        condition=CommandHolds(command=TRUE, timeout=timedelta(hours=1)),
        retry=Retry(retry_on=RetryOn(reasons=tuple(RETRYABLE), http_status=(StatusRange(first=100, last=599),), exit_codes=(1, 255))),
    )
    assert wrong(replace(GOOD, policies=policies)) == set()
    assert wrong(replace(GOOD, policies=Policies(condition=DayFits(days=Expression(text="0 0 * * 1-5"))))) == set()


def test_change_of_the_rest_leaves_a_past_rule_alone() -> None:
    past = replace(GOOD, when=When(triggers=(Expression(text="at(2020-01-01T00:00:00)"),)))
    assert check_change(past, replace(past, description="new"), now_us=NOW) == ()


def test_change_to_a_past_rule_is_wrong() -> None:
    past = replace(GOOD, when=When(triggers=(Expression(text="at(2020-01-01T00:00:00)"),)))
    assert [violation.reason for violation in check_change(GOOD, past, now_us=NOW)] == ["NEVER_FIRES"]


def test_change_under_a_past_rule_is_still_checked() -> None:
    past = replace(GOOD, when=When(triggers=(Expression(text="at(2020-01-01T00:00:00)"),)))
    assert [violation.field for violation in check_change(past, replace(past, description="x" * 5000), now_us=NOW)] == ["description"]


@pytest.mark.parametrize(
    ("reason", "until_us", "fields"),
    [
        ("", None, []),
        ("x" * 1024, NOW + 1, []),
        ("x" * 1025, None, ["reason"]),
        ("", NOW, ["until_time"]),
        ("x" * 1025, 0, ["reason", "until_time"]),
    ],
)
def test_pause_is_checked_for_its_reason_and_its_end(reason: str, until_us: int | None, fields: list[str]) -> None:
    assert [violation.field for violation in check_pause(reason, until_us, now_us=NOW)] == fields


def test_violation_within_a_parent_keeps_all_but_its_path() -> None:
    (violation,) = check_pause("", 0, now_us=NOW)
    moved = violation.within("schedule")
    assert (moved.field, moved.reason, moved.description) == ("schedule.until_time", violation.reason, violation.description)


def test_check_names_calendars_that_are_not_there_and_too_many_of_them() -> None:
    unknown = replace(GOOD.when, exclude_calendars=("holidays",), include_calendars=("workdays",) * 17)
    violations = check_schedule(replace(GOOD, when=unknown), now_us=NOW)

    assert [violation.field for violation in violations][:3] == ["exclude_calendars[0]", "include_calendars", "include_calendars[0]"]
    assert {violation.reason for violation in violations} == {"UNKNOWN_CALENDAR", "TOO_MANY"}
