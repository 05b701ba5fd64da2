"""Retry: whether a failed attempt is made again, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from schedd.core.model.execution import AttemptResult
from schedd.core.model.policy import Retry, RetryOn
from schedd.core.model.reason import Outcome, Reason

RETRYABLE = frozenset(
    {
        Reason.HTTP_STATUS,
        Reason.AUTHENTICATION,
        Reason.RESPONSE_MISMATCH,
        Reason.CONNECTION,
        Reason.EXIT_CODE,
        Reason.SIGNAL,
        Reason.RESOURCE_LIMIT,
        Reason.SPAWN,
        Reason.TIMEOUT,
        Reason.TARGET_ERROR,
    }
)
"""The reasons of failures that another attempt may cure."""

_ANSWERED = (Reason.HTTP_STATUS, Reason.AUTHENTICATION)

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAt:
    """Another attempt is to be made at `at_us`."""

    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """There will be no further attempt: how and why the execution ends."""

    outcome: Outcome
    reason: Reason


def after_attempt(policy: Retry, result: AttemptResult, *, attempt: int, due_us: int, now_us: int, draw: float) -> RetryAt | Finish:
    """Decide what follows attempt number `attempt`, which ended at `now_us`. `draw` in [0, 1) places the jitter.

    Attempts and age are those of the series: of a redelivered execution they count from its redelivery on, which `due_us` then is.
    A wait that the target asked for (`retry_after`) is kept if it is longer than the backoff.
    """
    if result.outcome is not Outcome.FAILED or attempt >= policy.max_attempts or not is_retried(policy.retry_on, result):
        return Finish(outcome=result.outcome, reason=result.reason)
    wait = backoff(policy, attempt=attempt, draw=draw)
    if result.retry_after is not None:
        wait = max(wait, result.retry_after)
    at_us = now_us + wait // _MICROSECOND
    if at_us > due_us + policy.max_age // _MICROSECOND:
        return Finish(outcome=Outcome.FAILED, reason=Reason.RETRY_MAX_AGE)
    return RetryAt(at_us=at_us)


def is_retried(retry_on: RetryOn, result: AttemptResult) -> bool:
    """Whether this failure is one of those that are retried: by its reason, and then by its HTTP status or its exit code."""
    if result.reason not in (retry_on.reasons or RETRYABLE):
        return False
    if result.reason is Reason.AUTHENTICATION and result.code is None:
        return result.retry_after is not None  # The secret is missing or wrong, unless whoever looked for it asks for another try.
    if result.reason in _ANSWERED and retry_on.http_status:
        return result.code is not None and any(codes.first <= result.code <= codes.last for codes in retry_on.http_status)
    if result.reason is Reason.EXIT_CODE and retry_on.exit_codes:
        return result.code in retry_on.exit_codes
    return True


def backoff(policy: Retry, *, attempt: int, draw: float) -> timedelta:
    """The wait after attempt number `attempt`: exponential, capped, then lengthened by `draw * jitter` of itself."""
    try:
        wait = min(policy.max_backoff, policy.min_backoff * policy.multiplier ** (attempt - 1))
    except OverflowError:
        wait = policy.max_backoff
    return wait * (1 + policy.jitter * draw)
