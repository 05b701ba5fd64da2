"""Planning decides every occurrence once, in ranges where it leaves out, and costs the same after any downtime."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.model.policy import CatchUp, CatchUpMode
from schedd.core.model.reason import Reason
from schedd.core.planning import (
    COUNTED,
    FIRES_A_PLAN,
    Backlog,
    LeftOut,
    Occurrences,
    Plan,
    each_left_out,
    left_out,
    misfire_reason,
    plan,
    window_us,
)
from schedd.core.triggers.rule import Instants

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


@dataclass(frozen=True)
class Every:
    """Multiples of `period_us` up to and including `last_us`; counts how often it is asked."""

    period_us: int
    last_us: int = 10**18

    def next_after(self, t_us: int) -> int | None:
        following = t_us // self.period_us * self.period_us + self.period_us
        return following if following <= self.last_us else None

    def prev_before(self, t_us: int) -> int | None:
        previous = min((t_us - 1) // self.period_us * self.period_us, self.last_us)
        return previous if previous > 0 else None


def late_runs(rule: Occurrences, planned: Plan) -> tuple[int, ...]:
    """What a plan fires, and all that its backlog holds, with more runs than it has."""
    found: list[int] = []
    backlog = planned.backlog
    at_us = None if backlog is None else backlog.first_us
    while at_us is not None and backlog is not None and at_us < backlog.before_us:
        found.append(at_us)
        at_us = rule.next_after(at_us)
    return (*found, *planned.fires)


def test_plan_on_time_fires_up_to_the_horizon() -> None:
    planned = plan(Every(SECOND), CatchUp(), first_us=100 * SECOND, now_us=100 * SECOND - 1, horizon_us=2 * SECOND)
    assert planned.fires == (100 * SECOND, 101 * SECOND)
    assert planned.next_us == 102 * SECOND
    assert planned.left_out == ()


def test_plan_within_grace_fires_all_that_is_late() -> None:
    planned = plan(Every(SECOND), CatchUp(), first_us=100 * SECOND, now_us=110 * SECOND, horizon_us=0)
    assert planned.fires == tuple(range(100 * SECOND, 111 * SECOND, SECOND))


def test_plan_more_than_a_plan_fires_leaves_the_rest_undecided() -> None:
    planned = plan(Every(1000), CatchUp(), first_us=SECOND, now_us=2 * SECOND, horizon_us=0)
    assert len(planned.fires) == FIRES_A_PLAN
    assert planned.next_us == SECOND + FIRES_A_PLAN * 1000


def test_plan_after_a_year_of_downtime_with_latest_fires_one_and_leaves_a_range() -> None:
    first, now = DAY, 366 * DAY + 30 * SECOND
    planned = plan(Every(MINUTE), CatchUp(), first_us=first, now_us=now, horizon_us=SECOND // 2)
    assert planned.fires == (366 * DAY - MINUTE, 366 * DAY)
    assert [range_.reason for range_ in planned.left_out] == [Reason.CATCH_UP_SUPERSEDED]
    assert planned.left_out[0].first_us == first
    assert planned.left_out[0].count == COUNTED
    assert not planned.left_out[0].counted
    assert planned.next_us == 366 * DAY + MINUTE


@pytest.mark.parametrize(
    ("mode", "late", "reason"),
    [
        (CatchUpMode.NONE, (), Reason.MISFIRE),
        (CatchUpMode.LATEST, (9 * MINUTE,), Reason.CATCH_UP_SUPERSEDED),
        (CatchUpMode.EARLIEST, (MINUTE,), Reason.CATCH_UP_SUPERSEDED),
        (CatchUpMode.ALL, tuple(MINUTE * n for n in range(1, 10)), None),
    ],
)
def test_plan_misfires_go_by_the_catch_up_mode(mode: CatchUpMode, late: tuple[int, ...], reason: Reason | None) -> None:
    policy = CatchUp(mode=mode, window=timedelta(hours=1))
    planned = plan(Every(MINUTE), policy, first_us=MINUTE, now_us=9 * MINUTE + 40 * SECOND, horizon_us=0)
    assert late_runs(Every(MINUTE), planned) == late
    assert [range_.reason for range_ in planned.left_out] == ([reason] if reason else [])
    assert planned.next_us == 10 * MINUTE


def test_plan_all_beyond_max_runs_leaves_the_rest_out() -> None:
    policy = CatchUp(mode=CatchUpMode.ALL, window=timedelta(hours=1), max_runs=3)
    planned = plan(Every(MINUTE), policy, first_us=MINUTE, now_us=9 * MINUTE + 40 * SECOND, horizon_us=0)
    assert planned.backlog == Backlog(first_us=MINUTE, before_us=9 * MINUTE + 10 * SECOND, runs=3)
    assert planned.left_out == ()
    planned = plan(Every(MINUTE), policy, first_us=MINUTE, now_us=9 * MINUTE + 40 * SECOND, horizon_us=0, with_backlog=False)
    assert planned.fires == (MINUTE, 2 * MINUTE, 3 * MINUTE)
    assert planned.left_out == (LeftOut(first_us=4 * MINUTE, last_us=9 * MINUTE, count=6, counted=True, reason=Reason.CATCH_UP_MAX_RUNS),)


def test_plan_window_that_holds_no_misfire_leaves_all_out() -> None:
    policy = CatchUp(window=timedelta(seconds=30), grace=timedelta(0))
    planned = plan(Every(MINUTE), policy, first_us=MINUTE, now_us=3 * MINUTE - 1, horizon_us=0)
    assert planned.fires == ()
    assert [range_.reason for range_ in planned.left_out] == [Reason.CATCH_UP_WINDOW]
    assert planned.next_us == 3 * MINUTE


def test_plan_rule_that_ended_during_downtime_has_no_next() -> None:
    rule = Every(MINUTE, last_us=5 * MINUTE)
    planned = plan(rule, CatchUp(mode=CatchUpMode.ALL), first_us=4 * MINUTE, now_us=DAY // 2, horizon_us=0)
    assert late_runs(rule, planned) == (4 * MINUTE, 5 * MINUTE)
    assert planned.next_us is None


@given(
    mode=st.sampled_from(CatchUpMode),
    period=st.integers(1, 500),
    first=st.integers(1, 50),
    away=st.integers(0, 3000),
    grace=st.integers(0, 100),
    window=st.one_of(st.none(), st.integers(0, 3000)),
    max_runs=st.integers(1, 5),
)
def test_plan_decides_every_occurrence_exactly_once(
    mode: CatchUpMode, period: int, first: int, away: int, grace: int, window: int | None, max_runs: int
) -> None:
    period_us, first_us = period * SECOND, first * period * SECOND
    now_us = first_us + away * SECOND
    policy = CatchUp(
        mode=mode,
        grace=timedelta(seconds=grace),
        window=None if window is None else timedelta(seconds=window),
        max_runs=max_runs,
    )
    planned = plan(Every(period_us), policy, first_us=first_us, now_us=now_us, horizon_us=SECOND)
    assert planned.next_us is not None
    runs = late_runs(Every(period_us), planned)
    assert planned.backlog is None or len(runs) > 1
    covered = [*runs]
    for range_ in planned.left_out:
        covered += range(range_.first_us, range_.last_us + 1, period_us)
        assert not range_.counted or range_.count == (range_.last_us - range_.first_us) // period_us + 1
    assert sorted(covered) == list(range(first_us, planned.next_us, period_us))
    assert list(runs) == sorted(runs)
    assert planned.next_us > now_us + SECOND or len(planned.fires) >= FIRES_A_PLAN


@given(
    times=st.sets(st.integers(1, 400), min_size=1, max_size=60).map(sorted),
    policy=st.builds(
        CatchUp,
        mode=st.sampled_from(CatchUpMode),
        window=st.one_of(st.none(), st.integers(0, 400).map(seconds)),
        max_runs=st.integers(1, 5),
        grace=st.integers(0, 50).map(seconds),
    ),
    spread_us=st.integers(0, 50).map(lambda count: count * SECOND),
    awake=st.lists(st.integers(1, 200), min_size=1, max_size=5),
)
def test_plan_after_plan_of_any_rule_decides_every_occurrence_once(
    times: list[int], policy: CatchUp, spread_us: int, awake: list[int]
) -> None:
    instants = [count * SECOND for count in times]
    rule = Instants(tuple(instants))
    decided: list[int] = []
    next_us: int | None = instants[0]
    now_us = 0
    for pause in [*awake, 1000]:
        now_us += pause * SECOND
        if next_us is None:
            break
        planned = plan(rule, policy, first_us=next_us, now_us=now_us, horizon_us=SECOND // 2, spread_us=spread_us)
        ranges = [[at_us for at_us in instants if left.first_us <= at_us <= left.last_us] for left in planned.left_out]
        assert [left.count for left in planned.left_out] == [len(each) for each in ranges]
        assert all(left.first_us == each[0] and left.last_us == each[-1] for left, each in zip(planned.left_out, ranges, strict=True))
        assert planned.next_us is None or planned.next_us > now_us
        decided += [*late_runs(rule, planned), *(at_us for each in ranges for at_us in each)]
        next_us = planned.next_us
    assert next_us is None
    assert sorted(decided) == instants


def test_left_out_without_an_occurrence_is_nothing() -> None:
    assert left_out(Every(MINUTE), MINUTE, MINUTE, Reason.PAUSED) == ()
    assert left_out(Every(MINUTE, last_us=MINUTE), 2 * MINUTE, 3 * MINUTE, Reason.PAUSED) == ()


def test_each_left_out_gives_ranges_of_just_these_occurrences() -> None:
    found = each_left_out(Every(MINUTE), [at * MINUTE for at in (1, 2, 3, 5, 8, 9)], Reason.MAX_RUNS)
    assert [(left.first_us // MINUTE, left.last_us // MINUTE, left.count) for left in found] == [(1, 3, 3), (5, 5, 1), (8, 9, 2)]
    assert all(left.counted and left.reason is Reason.MAX_RUNS for left in found)
    assert each_left_out(Every(MINUTE), [], Reason.MAX_RUNS) == ()


class GivesUp(Every):
    """A rule that finds nothing going forward, as one with more exclusions in a row than are looked at."""

    def next_after(self, t_us: int) -> int | None:
        return None


def test_left_out_of_a_rule_that_gives_up_is_a_range_that_is_not_counted() -> None:
    expected = LeftOut(first_us=MINUTE, last_us=3 * MINUTE, count=1, counted=False, reason=Reason.PAUSED)
    assert left_out(GivesUp(MINUTE), MINUTE, 4 * MINUTE, Reason.PAUSED) == (expected,)


def test_window_by_default_is_two_periods_at_most_a_day() -> None:
    assert window_us(Every(MINUTE), CatchUp(), at_us=10 * MINUTE) == 2 * MINUTE
    assert window_us(Every(7 * DAY), CatchUp(), at_us=7 * DAY) == DAY
    assert window_us(Every(DAY, last_us=DAY), CatchUp(), at_us=DAY) == DAY


@pytest.mark.parametrize(
    ("mode", "nominal", "expected"),
    [
        (CatchUpMode.NONE, 9 * MINUTE, Reason.MISFIRE),
        (CatchUpMode.LATEST, 9 * MINUTE, None),
        (CatchUpMode.LATEST, 8 * MINUTE, Reason.CATCH_UP_SUPERSEDED),
        (CatchUpMode.ALL, 8 * MINUTE, None),
        (CatchUpMode.LATEST, 2 * MINUTE, Reason.CATCH_UP_WINDOW),
        (CatchUpMode.NONE, 10 * MINUTE, None),
    ],
)
def test_misfire_reason_of_what_was_armed_goes_by_the_catch_up_mode(mode: CatchUpMode, nominal: int, expected: Reason | None) -> None:
    policy = CatchUp(mode=mode, window=timedelta(minutes=5))
    now = 10 * MINUTE + 10 * SECOND
    assert misfire_reason(Every(MINUTE), policy, nominal_us=nominal, due_us=nominal, now_us=now) is expected
