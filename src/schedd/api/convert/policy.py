"""Policies between protobuf and the model."""

from __future__ import annotations

from datetime import timedelta

from schedd.api.convert.basics import Words, duration
from schedd.api.convert.execution import REASON
from schedd.api.convert.following import condition, condition_of, follow_ups, follow_ups_of
from schedd.api.convert.target import status_ranges, status_ranges_of
from schedd.api.reading import Reading
from schedd.core.model.policy import (
    AfterLastRun,
    CatchUp,
    CatchUpMode,
    Concurrency,
    Delivery,
    Hold,
    Overlap,
    Policies,
    Recovery,
    Retry,
    RetryOn,
)
from schedd.core.model.reason import Reason
from schedd.v1 import policy_pb2

OVERLAP = Words(Overlap, policy_pb2.Overlap, "OVERLAP")
CATCH_UP = Words(CatchUpMode, policy_pb2.CatchUpMode, "CATCH_UP_MODE")
DELIVERY = Words(Delivery, policy_pb2.Delivery, "DELIVERY")
AFTER_LAST_RUN = Words(AfterLastRun, policy_pb2.AfterLastRun, "AFTER_LAST_RUN")
HOLD = Words(Hold, policy_pb2.Hold, "HOLD")
RECOVERY = Words(Recovery, policy_pb2.Recovery, "RECOVERY")

_POLICIES = Policies()
_CATCH_UP = CatchUp()
_RETRY = Retry()
_RETRY_SPANS = {"min_backoff": _RETRY.min_backoff, "max_backoff": _RETRY.max_backoff, "max_age": _RETRY.max_age}
_SECOND = timedelta(seconds=1)
"""Stands in for a span that cannot be read and has no default."""


def policies_of(message: policy_pb2.Policies, now_us: int, reading: Reading) -> Policies:
    """The policies that a message describes; what is unset has its default."""
    timeout = reading.span(message.attempt_timeout, "policies.attempt_timeout", _SECOND) if message.HasField("attempt_timeout") else None
    return Policies(
        overlap=reading.word(OVERLAP, message.overlap, _POLICIES.overlap, "policies.overlap"),
        catch_up=_catch_up_of(message.catch_up, reading) if message.HasField("catch_up") else _CATCH_UP,
        retry=_retry_of(message.retry, reading) if message.HasField("retry") else _RETRY,
        attempt_timeout=timeout,
        delivery=reading.word(DELIVERY, message.delivery, _POLICIES.delivery, "policies.delivery"),
        priority=message.priority if message.HasField("priority") else _POLICIES.priority,
        after_last_run=reading.word(AFTER_LAST_RUN, message.after_last_run, _POLICIES.after_last_run, "policies.after_last_run"),
        buffer_limit=message.buffer_limit or _POLICIES.buffer_limit,
        concurrency=_concurrency_of(message.concurrency, reading) if message.HasField("concurrency") else None,
        pause_after_failures=message.pause_after_failures,
        max_runs=message.max_runs,
        on_success=follow_ups_of(message.on_success, "policies.on_success", reading),
        on_failure=follow_ups_of(message.on_failure, "policies.on_failure", reading),
        condition=condition_of(message.condition, now_us, reading) if message.HasField("condition") else None,
        circuit_open=reading.word(HOLD, message.circuit_open, _POLICIES.circuit_open, "policies.circuit_open"),
        recovery=reading.word(RECOVERY, message.recovery, _POLICIES.recovery, "policies.recovery"),
    )


def policies(policies: Policies) -> policy_pb2.Policies:
    """The message of policies, every default spelled out."""
    message = policy_pb2.Policies(
        overlap=OVERLAP.number(policies.overlap),
        catch_up=_catch_up(policies.catch_up),
        retry=_retry(policies.retry),
        delivery=DELIVERY.number(policies.delivery),
        priority=policies.priority,
        after_last_run=AFTER_LAST_RUN.number(policies.after_last_run),
        buffer_limit=policies.buffer_limit,
        pause_after_failures=policies.pause_after_failures,
        max_runs=policies.max_runs,
        on_success=follow_ups(policies.on_success),
        on_failure=follow_ups(policies.on_failure),
        circuit_open=HOLD.number(policies.circuit_open),
        recovery=RECOVERY.number(policies.recovery),
    )
    if policies.attempt_timeout is not None:
        message.attempt_timeout.CopyFrom(duration(policies.attempt_timeout))
    if policies.concurrency is not None:
        message.concurrency.CopyFrom(_concurrency(policies.concurrency))
    if policies.condition is not None:
        message.condition.CopyFrom(condition(policies.condition))
    return message


def _concurrency_of(message: policy_pb2.Concurrency, reading: Reading) -> Concurrency:
    when_full = reading.word(HOLD, message.when_full, Hold.WAIT, "policies.concurrency.when_full")
    return Concurrency(key=message.key, limit=message.limit, when_full=when_full)


def _concurrency(concurrency: Concurrency) -> policy_pb2.Concurrency:
    return policy_pb2.Concurrency(key=concurrency.key, limit=concurrency.limit, when_full=HOLD.number(concurrency.when_full))


def _catch_up_of(message: policy_pb2.CatchUp, reading: Reading) -> CatchUp:
    return CatchUp(
        mode=reading.word(CATCH_UP, message.mode, _CATCH_UP.mode, "policies.catch_up.mode"),
        window=reading.span(message.window, "policies.catch_up.window", _SECOND) if message.HasField("window") else None,
        max_runs=message.max_runs or _CATCH_UP.max_runs,
        grace=reading.span(message.grace, "policies.catch_up.grace", _CATCH_UP.grace) if message.HasField("grace") else _CATCH_UP.grace,
    )


def _catch_up(catch_up: CatchUp) -> policy_pb2.CatchUp:
    message = policy_pb2.CatchUp(mode=CATCH_UP.number(catch_up.mode), max_runs=catch_up.max_runs, grace=duration(catch_up.grace))
    if catch_up.window is not None:
        message.window.CopyFrom(duration(catch_up.window))
    return message


def _retry_of(message: policy_pb2.Retry, reading: Reading) -> Retry:
    names = {field.name for field, _ in message.ListFields()}
    spans = {
        name: reading.span(getattr(message, name), f"policies.retry.{name}", default) if name in names else default
        for name, default in _RETRY_SPANS.items()
    }
    return Retry(
        max_attempts=message.max_attempts or _RETRY.max_attempts,
        multiplier=message.multiplier or _RETRY.multiplier,
        jitter=message.jitter if message.HasField("jitter") else _RETRY.jitter,
        min_backoff=spans["min_backoff"],
        max_backoff=spans["max_backoff"],
        max_age=spans["max_age"],
        retry_on=_retry_on_of(message.retry_on, reading) if message.HasField("retry_on") else _RETRY.retry_on,
    )


def _retry(retry: Retry) -> policy_pb2.Retry:
    return policy_pb2.Retry(
        max_attempts=retry.max_attempts,
        min_backoff=duration(retry.min_backoff),
        max_backoff=duration(retry.max_backoff),
        multiplier=retry.multiplier,
        jitter=retry.jitter,
        max_age=duration(retry.max_age),
        retry_on=_retry_on(retry.retry_on),
    )


def _retry_on_of(message: policy_pb2.RetryOn, reading: Reading) -> RetryOn:
    field = "policies.retry.retry_on.reasons"
    return RetryOn(
        reasons=tuple(reading.word(REASON, number, Reason.NONE, f"{field}[{at}]") for at, number in enumerate(message.reasons)),
        http_status=status_ranges_of(message.http_status),
        exit_codes=tuple(message.exit_codes),
    )


def _retry_on(retry_on: RetryOn) -> policy_pb2.RetryOn | None:
    if retry_on == RetryOn():
        return None
    return policy_pb2.RetryOn(
        reasons=[REASON.number(reason) for reason in retry_on.reasons],
        http_status=status_ranges(retry_on.http_status),
        exit_codes=retry_on.exit_codes,
    )
