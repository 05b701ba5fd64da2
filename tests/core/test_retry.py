"""Retries: exponential, capped, bounded in number and in age."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.model.execution import AttemptResult
from schedd.core.model.policy import Retry, RetryOn
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import StatusRange
from schedd.core.retry import RETRYABLE, Finish, RetryAt, after_attempt, backoff, is_retried

FAILED = AttemptResult(outcome=Outcome.FAILED, reason=Reason.HTTP_STATUS, code=500)
SECOND = 1_000_000


def after(result: AttemptResult, *, attempt: int = 1, policy: Retry | None = None, now_us: int = 0) -> RetryAt | Finish:
    return after_attempt(policy or Retry(jitter=0), result, attempt=attempt, due_us=0, now_us=now_us, draw=0.5)


def test_after_attempt_success_finishes() -> None:
    result = AttemptResult(outcome=Outcome.SUCCEEDED, reason=Reason.COMPLETED)
    assert after(result) == Finish(outcome=Outcome.SUCCEEDED, reason=Reason.COMPLETED)


@pytest.mark.parametrize(("attempt", "wait_s"), [(1, 5), (2, 10), (3, 20)])
def test_after_attempt_failure_doubles_the_wait(attempt: int, wait_s: int) -> None:
    assert after(FAILED, attempt=attempt) == RetryAt(at_us=wait_s * SECOND)


def test_after_attempt_last_one_fails_with_its_own_reason() -> None:
    assert after(FAILED, attempt=4) == Finish(outcome=Outcome.FAILED, reason=Reason.HTTP_STATUS)


@pytest.mark.parametrize("reason", [Reason.TEMPLATE, Reason.TARGET_DENIED])
def test_after_attempt_what_another_attempt_cannot_change_is_not_retried(reason: Reason) -> None:
    assert after(AttemptResult(outcome=Outcome.FAILED, reason=reason)) == Finish(outcome=Outcome.FAILED, reason=reason)


@pytest.mark.parametrize("reason", [Reason.CONNECTION, Reason.RESOURCE_LIMIT, Reason.SIGNAL, Reason.SPAWN])
def test_failures_that_another_attempt_may_cure_are_retried_by_default(reason: Reason) -> None:
    assert after(AttemptResult(outcome=Outcome.FAILED, reason=reason)) == RetryAt(at_us=5 * SECOND)


def test_after_attempt_past_the_maximum_age_fails() -> None:
    assert after(FAILED, now_us=24 * 3600 * SECOND) == Finish(outcome=Outcome.FAILED, reason=Reason.RETRY_MAX_AGE)


def test_after_attempt_longer_retry_after_is_kept() -> None:
    result = AttemptResult(outcome=Outcome.FAILED, reason=Reason.HTTP_STATUS, retry_after=timedelta(seconds=90))
    assert after(result) == RetryAt(at_us=90 * SECOND)
    assert after(result, attempt=3, policy=Retry(jitter=0, min_backoff=timedelta(seconds=60))) == RetryAt(at_us=240 * SECOND)


def test_after_attempt_retry_after_past_the_maximum_age_fails() -> None:
    result = FAILED._replace(code=503, retry_after=timedelta(hours=2))
    assert after(result, policy=Retry(jitter=0, max_age=timedelta(hours=2))) == RetryAt(at_us=7200 * SECOND)
    shorter = Retry(jitter=0, max_age=timedelta(hours=2) - timedelta(microseconds=1))
    assert after(result, policy=shorter) == Finish(outcome=Outcome.FAILED, reason=Reason.RETRY_MAX_AGE)


@given(reason=st.sampled_from(sorted(RETRYABLE)), chosen=st.sets(st.sampled_from(sorted(RETRYABLE))))
def test_is_retried_goes_by_the_reasons_if_there_are_any(reason: Reason, chosen: set[Reason]) -> None:
    result = AttemptResult(outcome=Outcome.FAILED, reason=reason, code=401)
    assert is_retried(RetryOn(reasons=tuple(chosen)), result) == (not chosen or reason in chosen)


@given(code=st.integers(100, 599), first=st.integers(100, 599), width=st.integers(0, 100))
def test_is_retried_status_goes_by_the_ranges(code: int, first: int, width: int) -> None:
    retry_on = RetryOn(http_status=(StatusRange(first=first, last=first + width), StatusRange(first=429, last=429)))
    assert is_retried(retry_on, FAILED._replace(code=code)) == (first <= code <= first + width or code == 429)


def test_is_retried_secret_that_cannot_be_had_is_not_unless_another_try_is_asked_for() -> None:
    missing = AttemptResult(outcome=Outcome.FAILED, reason=Reason.AUTHENTICATION)
    named = RetryOn(reasons=(Reason.AUTHENTICATION,), http_status=(StatusRange(first=401, last=401),))
    assert not is_retried(RetryOn(), missing)
    assert not is_retried(named, missing)
    assert is_retried(RetryOn(), missing._replace(retry_after=timedelta(0)))
    assert after(missing._replace(retry_after=timedelta(0))) == RetryAt(at_us=5 * SECOND)


@pytest.mark.parametrize(("first", "retried"), [(400, True), (402, False)])
def test_is_retried_refused_credentials_go_by_the_status(first: int, retried: bool) -> None:
    refused = AttemptResult(outcome=Outcome.FAILED, reason=Reason.AUTHENTICATION, code=401)
    assert is_retried(RetryOn(http_status=(StatusRange(first=first, last=499),)), refused) == retried


@given(code=st.integers(1, 255), chosen=st.sets(st.integers(1, 255), min_size=1))
def test_is_retried_exit_code_goes_by_the_codes(code: int, chosen: set[int]) -> None:
    result = AttemptResult(outcome=Outcome.FAILED, reason=Reason.EXIT_CODE, code=code)
    assert is_retried(RetryOn(exit_codes=tuple(chosen)), result) == (code in chosen)


def test_is_retried_codes_do_not_bear_on_other_reasons() -> None:
    retry_on = RetryOn(http_status=(StatusRange(first=503, last=503),), exit_codes=(75,))
    assert is_retried(retry_on, AttemptResult(outcome=Outcome.FAILED, reason=Reason.TIMEOUT))
    assert not is_retried(retry_on, FAILED)


def test_after_attempt_failure_that_is_not_retried_finishes_at_once() -> None:
    policy = Retry(retry_on=RetryOn(reasons=(Reason.TIMEOUT,)))
    assert after(FAILED, policy=policy) == Finish(outcome=Outcome.FAILED, reason=Reason.HTTP_STATUS)


def test_backoff_past_what_a_number_holds_is_the_cap() -> None:
    assert backoff(Retry(multiplier=100, jitter=0), attempt=5000, draw=0) == Retry().max_backoff


@given(
    attempt=st.integers(1, 200),
    draw=st.floats(0, 1, exclude_max=True),
    ended_s=st.integers(0, 100_000),
    max_age_s=st.integers(0, 100_000),
    asked_s=st.one_of(st.none(), st.integers(0, 10_000)),
)
def test_retry_is_never_before_the_backoff_and_never_past_the_maximum_age(
    attempt: int, draw: float, ended_s: int, max_age_s: int, asked_s: int | None
) -> None:
    policy = Retry(max_attempts=100, max_age=timedelta(seconds=max_age_s))
    asked = None if asked_s is None else timedelta(seconds=asked_s)
    decision = after_attempt(policy, FAILED._replace(retry_after=asked), attempt=attempt, due_us=0, now_us=ended_s * SECOND, draw=draw)
    match decision:
        case RetryAt():
            assert attempt < policy.max_attempts
            assert decision.at_us >= (ended_s + 5) * SECOND
            assert decision.at_us >= (ended_s + (asked_s or 0)) * SECOND
            assert decision.at_us <= max_age_s * SECOND
        case Finish():
            late = ended_s + max(330, asked_s or 0) > max_age_s
            assert decision.outcome is Outcome.FAILED
            assert decision.reason is (Reason.HTTP_STATUS if attempt >= policy.max_attempts else Reason.RETRY_MAX_AGE)
            assert attempt >= policy.max_attempts or late


@given(attempt=st.integers(1, 5000), draw=st.floats(0, 1, exclude_max=True), multiplier=st.floats(1, 100))
def test_backoff_is_never_longer_than_the_cap_and_its_jitter(attempt: int, draw: float, multiplier: float) -> None:
    policy = Retry(multiplier=multiplier)
    assert policy.min_backoff <= backoff(policy, attempt=attempt, draw=draw) <= policy.max_backoff * (1 + policy.jitter)
