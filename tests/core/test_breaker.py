"""The circuit breaker: its laws over random calls, and each way from one state to another."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.breaker import Breaker, BreakerPolicy, Circuit, speaks_of_host
from schedd.core.model.execution import AttemptResult
from schedd.core.model.reason import Outcome, Reason

SECOND = 1_000_000
POLICY = BreakerPolicy(window=timedelta(seconds=10), min_calls=4, failure_rate=0.5, open_time=timedelta(seconds=5), probes=2)


def opened(at_us: int = 0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(POLICY.min_calls):
        breaker.book(at_us, well=False)
    assert breaker.state is Circuit.OPEN
    return breaker


def half_opened() -> Breaker:
    breaker = opened()
    assert breaker.look(5 * SECOND) is Circuit.HALF_OPEN
    return breaker


def test_breaker_below_the_least_calls_stays_closed() -> None:
    breaker = Breaker(POLICY)
    assert [breaker.book(0, well=False) for _ in range(4)] == [None, None, None, Circuit.OPEN]
    assert (breaker.failure_rate, breaker.probe_us) == (1.0, 5 * SECOND)


def test_breaker_opens_at_the_rate_and_not_below_it() -> None:
    breaker = Breaker(POLICY)
    assert [breaker.book(0, well=well) for well in (True, True, True, False, False)] == [None] * 5
    assert breaker.book(0, well=False) is Circuit.OPEN
    assert breaker.failure_rate == 0.5


def test_breaker_forgets_failures_that_are_older_than_the_window() -> None:
    breaker = Breaker(POLICY)
    for _ in range(3):
        breaker.book(0, well=False)
    assert not breaker.idle
    assert breaker.book(10 * SECOND, well=False) is None
    breaker.look(20 * SECOND)
    assert breaker.idle


def test_open_breaker_hears_nothing_and_half_opens_after_its_time() -> None:
    breaker = opened()
    assert breaker.book(SECOND, well=True) is None
    assert breaker.look(5 * SECOND - 1) is None
    assert breaker.look(5 * SECOND) is Circuit.HALF_OPEN
    assert breaker.look(6 * SECOND) is None


def test_half_open_breaker_closes_at_a_success_with_an_empty_window() -> None:
    breaker = half_opened()
    assert breaker.book(6 * SECOND, well=True) is Circuit.CLOSED
    assert breaker.idle
    assert breaker.book(6 * SECOND, well=False) is None


def test_half_open_breaker_opens_again_at_a_failure_and_waits_anew() -> None:
    breaker = half_opened()
    assert breaker.book(7 * SECOND, well=False) is Circuit.OPEN
    assert (breaker.opened_us, breaker.probe_us) == (0, 12 * SECOND)


@given(st.lists(st.tuples(st.integers(0, 3 * SECOND), st.booleans()), max_size=80))
def test_breaker_is_open_only_after_enough_failures_within_the_window(calls: list[tuple[int, bool]]) -> None:
    breaker, now_us, booked = Breaker(POLICY), 0, []
    for wait_us, well in calls:
        now_us += wait_us
        booked.append((now_us, well))
        change = breaker.book(now_us, well=well)
        recent = [was_well for at_us, was_well in booked if at_us > now_us - 10 * SECOND]
        sure = [was_well for at_us, was_well in booked if at_us > now_us - 9 * SECOND]
        if change is Circuit.OPEN:
            assert not well
            assert len(recent) >= POLICY.min_calls
            return
        assert well or len(sure) < POLICY.min_calls or sure != recent or sure.count(False) < 0.5 * len(sure)


@given(st.lists(st.tuples(st.integers(0, 4 * SECOND), st.booleans() | st.none()), max_size=80))
def test_breaker_goes_only_the_known_ways_and_never_probes_early(steps: list[tuple[int, bool | None]]) -> None:
    ways = {
        (Circuit.CLOSED, Circuit.OPEN),
        (Circuit.OPEN, Circuit.HALF_OPEN),
        (Circuit.HALF_OPEN, Circuit.OPEN),
        (Circuit.HALF_OPEN, Circuit.CLOSED),
    }
    breaker, now_us, open_since_us = opened(), 0, 0
    for wait_us, well in steps:
        now_us += wait_us
        before = breaker.state
        change = breaker.look(now_us) if well is None else breaker.book(now_us, well=well)
        assert breaker.state is (change or before)
        assert change is None or (before, change) in ways
        if change is Circuit.OPEN:
            open_since_us = now_us
        if change is Circuit.HALF_OPEN:
            assert now_us >= open_since_us + 5 * SECOND


@pytest.mark.parametrize(
    ("outcome", "reason", "code", "well"),
    [
        (Outcome.SUCCEEDED, Reason.COMPLETED, 200, True),
        (Outcome.SUCCEEDED, Reason.COMPLETED, 503, True),
        (Outcome.FAILED, Reason.HTTP_STATUS, 404, True),
        (Outcome.FAILED, Reason.HTTP_STATUS, 429, False),
        (Outcome.FAILED, Reason.HTTP_STATUS, 500, False),
        (Outcome.FAILED, Reason.RESPONSE_MISMATCH, 200, True),
        (Outcome.FAILED, Reason.CONNECTION, None, False),
        (Outcome.FAILED, Reason.TIMEOUT, None, False),
        (Outcome.FAILED, Reason.TEMPLATE, None, None),
        (Outcome.FAILED, Reason.TARGET_ERROR, None, None),
        (Outcome.CANCELLED, Reason.CANCELLED, None, None),
        (Outcome.UNKNOWN, Reason.INTERRUPTED, None, None),
    ],
)
def test_result_speaks_of_its_host(outcome: Outcome, reason: Reason, code: int | None, well: bool | None) -> None:
    assert speaks_of_host(AttemptResult(outcome=outcome, reason=reason, code=code)) is well
