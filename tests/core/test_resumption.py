"""What becomes of the occurrences that a pause has left out."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from schedd.core.model.policy import CatchUp, CatchUpMode
from schedd.core.model.reason import Reason
from schedd.core.planning import FIRES_A_PLAN, Backlog, Plan
from schedd.core.resumption import after_pause

PERIOD = 60_000_000
WIDE = CatchUp(window=timedelta(days=1), max_runs=100)


class Minutely:
    """An occurrence at each whole minute."""

    def next_after(self, t_us: int) -> int | None:
        return t_us // PERIOD * PERIOD + PERIOD

    def prev_before(self, t_us: int) -> int | None:
        return (t_us - 1) // PERIOD * PERIOD


@given(
    mode=st.sampled_from(CatchUpMode),
    own=st.sampled_from(CatchUpMode),
    after_us=st.integers(0, 10 * PERIOD),
    length_us=st.integers(0, 10 * PERIOD),
    left=st.none() | st.integers(0, 5),
    window=st.none() | st.integers(0, 10),
    most=st.integers(1, 6),
)
def test_pause_is_decided_whole_and_each_occurrence_once(
    mode: CatchUpMode, own: CatchUpMode, after_us: int, length_us: int, left: int | None, window: int | None, most: int
) -> None:
    before_us = after_us + length_us
    policy = CatchUp(mode=own, window=None if window is None else timedelta(minutes=window), max_runs=most)
    plan = after_pause(Minutely(), policy, mode, after_us=after_us, before_us=before_us, runs_left=left)
    held_back = [at for at in range(0, 30 * PERIOD, PERIOD) if after_us < at < before_us]
    ranges = [at for each in plan.left_out for at in range(each.first_us, each.last_us + 1, PERIOD)]
    assert sorted([*plan.fires, *ranges]) == held_back
    assert list(plan.fires) == sorted(plan.fires)
    assert plan.next_us is None
    assert sum(each.count for each in plan.left_out) == len(ranges)
    most_fires = {CatchUpMode.NONE: 0, CatchUpMode.ALL: most}.get(mode, 1)
    assert len(plan.fires) <= (most_fires if left is None else min(left, most_fires))


def test_nothing_held_back_is_nothing_to_decide() -> None:
    assert after_pause(Minutely(), WIDE, CatchUpMode.ALL, after_us=1, before_us=PERIOD) == Plan()


def test_runs_that_are_left_bound_the_backlog_with_their_own_reason() -> None:
    plan = after_pause(Minutely(), WIDE, CatchUpMode.ALL, after_us=1, before_us=5 * PERIOD, runs_left=2)
    assert plan.fires == (PERIOD, 2 * PERIOD)
    assert [(each.reason, each.count) for each in plan.left_out] == [(Reason.MAX_RUNS, 2)]


def test_none_leaves_all_of_it_out_as_paused() -> None:
    plan = after_pause(Minutely(), WIDE, CatchUpMode.NONE, after_us=1, before_us=5 * PERIOD)
    assert plan.fires == ()
    assert [(each.first_us, each.last_us, each.count, each.reason) for each in plan.left_out] == [(PERIOD, 4 * PERIOD, 4, Reason.PAUSED)]


def test_backlog_of_more_than_a_plan_fires_goes_on_where_that_ends() -> None:
    most = CatchUp(window=timedelta(days=1), max_runs=150)
    plan = after_pause(Minutely(), most, CatchUpMode.ALL, after_us=1, before_us=301 * PERIOD, with_backlog=True)
    assert plan.fires == tuple(range(PERIOD, 101 * PERIOD, PERIOD))
    assert plan.backlog == Backlog(first_us=101 * PERIOD, before_us=301 * PERIOD, runs=50)
    assert plan.left_out == ()


@given(most=st.integers(1, 120), length=st.integers(1, 120), mode=st.sampled_from(CatchUpMode))
def test_backlog_is_there_only_where_more_may_run_than_a_plan_fires(most: int, length: int, mode: CatchUpMode) -> None:
    policy = CatchUp(window=timedelta(days=1), max_runs=most)
    plan = after_pause(Minutely(), policy, mode, after_us=1, before_us=(length + 1) * PERIOD, with_backlog=True)
    assert (plan.backlog is not None) == (mode is CatchUpMode.ALL and min(most, length) > FIRES_A_PLAN)
