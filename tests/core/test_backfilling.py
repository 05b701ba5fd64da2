"""Backfilling decides every occurrence of a range once, in order, never faster than its rate and never with more than there is room for."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.backfilling import Fire, interval_of, step
from schedd.core.model.backfill import Backfill
from schedd.core.model.schedule import ScheduleName
from schedd.core.triggers.rule import Instants

SECOND = 1_000_000


def backfill(start_us: int, end_us: int, *, next_us: int | None, left: int = 100_000, rate: float = 1.0) -> Backfill:
    return Backfill(
        id=1,
        schedule=ScheduleName(group="default", schedule="job"),
        schedule_row=1,
        schedule_uid=1,
        start_us=start_us,
        end_us=end_us,
        created_us=0,
        next_us=next_us,
        left=left,
        rate_per_second=rate,
    )


@given(
    times=st.sets(st.integers(1, 300), min_size=1, max_size=60).map(sorted),
    end=st.integers(2, 320),
    left=st.integers(1, 70),
    rate=st.sampled_from([0.5, 1.0, 3.0, 7.0, 1000.0]),
    turns=st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(0, 40)), min_size=1, max_size=200),
)
def test_steps_take_every_occurrence_once_in_order_and_keep_the_pace(
    times: list[int], end: int, left: int, rate: float, turns: list[tuple[int, int]]
) -> None:
    rule = Instants(tuple(times))
    range_ = backfill(0, end, next_us=times[0], left=left, rate=rate)
    now_us = 1000 * SECOND
    taken: list[Fire] = []
    for pause_us, room in [*turns, *[(5 * SECOND, 3)] * 70]:
        now_us += pause_us
        found = step(rule, range_, room=room, now_us=now_us, horizon_us=SECOND // 2)
        assert len(found.fires) <= room
        assert all(now_us <= fire.due_us <= now_us + SECOND // 2 for fire in found.fires)
        taken += found.fires
        range_ = replace(range_, next_us=found.next_us, left=found.left, paced_us=found.paced_us)
    assert [fire.nominal_us for fire in taken] == [at_us for at_us in times if at_us < end][:left]
    assert all(later.due_us - earlier.due_us >= SECOND / rate for earlier, later in pairwise(taken))
    assert range_.left == left - len(taken)
    assert range_.next_us is None or range_.left == 0


def test_step_after_the_clock_went_back_waits_for_one_interval_and_the_horizon_at_most() -> None:
    range_ = replace(backfill(0, 100, next_us=10, rate=2.0), paced_us=10_000 * SECOND)
    found = step(Instants((10, 20)), range_, room=9, now_us=1000 * SECOND, horizon_us=SECOND // 2)
    assert found.fires == ()
    assert found.paced_us == 1001 * SECOND
    found = step(Instants((10, 20)), range_, room=9, now_us=10_000 * SECOND, horizon_us=0)
    assert found.fires == (Fire(10, 10_000 * SECOND),)


@pytest.mark.parametrize(("rate", "interval_us"), [(1000.0, 1000), (3.0, 333_334), (0.5, 2 * SECOND), (1e-300, 365 * 86_400 * SECOND)])
def test_interval_never_lets_more_through_than_the_rate(rate: float, interval_us: int) -> None:
    assert interval_of(backfill(0, 1, next_us=None, rate=rate)) == interval_us
