"""The laws of compiled rules: each is a sorted list, asked from either end; unions merge, exclusions subtract, bounds cut."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schedd.core.errors import ExpressionError
from schedd.core.model.when import AtStart, Expression, Interval, Once, Spread, SpreadMode, Trigger, When
from schedd.core.triggers import Effect, Rule, check_when, compile_when, due_us, pointed, preview
from schedd.core.triggers.civil import DAY_US, FIRST_US, LAST_US
from schedd.core.triggers.rule import SKIP_LIMIT, Bounded, ExcludedInstants, Excluding, Instants, Union

NOW = 1_767_225_600_000_000
YEAR_1, YEAR_9999 = -62_135_596_800_000_000, 253_402_300_799_999_999
TEXTS = [
    "*/7 3-5 * * *",
    "0 0 29 2 *",
    "30 2 * * *",
    "15 10 L * *",
    "*/30 * * * * *",
    "0 0 0 1 1 * 2030-2032",
    "0 12 1W,L * 5#2",
    "cron(0 10 ? * MON-FRI *)",
    "rate(7 hours)",
    "@every 1ms",
    "@weekly",
    "at(2031-05-05T05:05:05)",
]
ZONES = ["UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "Europe/Dublin", "America/Sao_Paulo"]
MOMENTS = st.one_of(st.integers(YEAR_1, YEAR_9999), st.integers(NOW - 20 * 366 * DAY_US, NOW + 20 * 366 * DAY_US))
SETS = st.lists(st.integers(0, 200), max_size=40).map(lambda times: tuple(sorted(set(times))))


def of(*triggers: Trigger, zone: str = "UTC") -> Rule:
    return compile_when(When(triggers=triggers, time_zone=zone), created_us=NOW, seed=3)


@given(st.sampled_from(TEXTS), st.sampled_from(ZONES), MOMENTS)
@example("*/7 3-5 * * *", "UTC", YEAR_9999)
@example("rate(7 hours)", "UTC", YEAR_1)
@example("rate(7 hours)", "UTC", YEAR_9999)
def test_rule_asked_at_any_moment_answers_as_a_sorted_list_does(text: str, zone: str, at_us: int) -> None:
    rule = of(Expression(text=text), zone=zone)
    next_us, previous_us = rule.next_after(at_us), rule.prev_before(at_us)
    if next_us is not None:
        assert max(at_us, FIRST_US - 1) < next_us < LAST_US
        assert rule.next_after((max(at_us, FIRST_US - 1) + next_us) // 2) == rule.next_after(next_us - 1) == next_us
        assert rule.prev_before(next_us + 1) == next_us
        assert rule.prev_before(next_us) in (previous_us, at_us)
    if previous_us is not None:
        assert FIRST_US <= previous_us < at_us
        assert rule.next_after(previous_us - 1) == previous_us
        assert rule.next_after(previous_us) in (next_us, at_us)


@given(st.lists(SETS, min_size=1, max_size=4), st.integers(-5, 205))
@example([(1, 2), (2, 3)], 2)
@example([()], 2)
def test_union_is_the_sorted_merge_without_doubles(parts: list[tuple[int, ...]], at_us: int) -> None:
    merged = Instants(tuple(sorted(set().union(*parts))))
    union = Union(tuple(Instants(part) for part in parts))
    assert union.next_after(at_us) == merged.next_after(at_us)
    assert union.prev_before(at_us) == merged.prev_before(at_us)


@given(SETS, st.lists(SETS, min_size=1, max_size=3), st.integers(-5, 205))
@example((1, 2, 3), [(2,), (3,)], 1)
@example((1, 2, 3), [(1,), (2,)], 3)
@example((1,), [(1,)], 0)
@example((1,), [(1,)], 2)
def test_exclusion_of_instants_is_the_difference(times: tuple[int, ...], out: list[tuple[int, ...]], at_us: int) -> None:
    left = sorted(set(times).difference(*out))
    rule = Excluding(Instants(times), tuple(ExcludedInstants(Instants(each)) for each in out))
    after, before = bisect_right(left, at_us), bisect_left(left, at_us)
    assert rule.next_after(at_us) == (left[after] if after < len(left) else None)
    assert rule.prev_before(at_us) == (left[before - 1] if before else None)


@given(SETS, st.integers(-5, 205), st.integers(-5, 205), st.integers(-5, 205))
@example((5, 6, 7), 6, 7, 0)
@example((5, 6, 7), 6, 7, 9)
def test_bounds_are_a_slice(times: tuple[int, ...], start_us: int, end_us: int, at_us: int) -> None:
    inside = [time for time in times if start_us <= time < end_us]
    rule = Bounded(Instants(times), start_us, end_us)
    after, before = bisect_right(inside, at_us), bisect_left(inside, at_us)
    assert rule.next_after(at_us) == (inside[after] if after < len(inside) else None)
    assert rule.prev_before(at_us) == (inside[before - 1] if before else None)


def test_exclusion_of_everything_ends_after_a_bounded_search() -> None:
    every_ms = Interval(every=timedelta(milliseconds=1), anchor_us=0)
    rule = compile_when(When(triggers=(every_ms,), exclusions=(every_ms,)), created_us=0, seed=0)
    assert rule.next_after(NOW) is None
    assert rule.prev_before(NOW) is None
    assert SKIP_LIMIT * 1000 < NOW


def test_exclusion_of_all_days_to_come_leaves_nothing() -> None:
    every_day = Expression(text="0 0 0 * * * 2030-2199")
    rule = compile_when(When(triggers=(Expression(text="0 12 * * *"),), exclusions=(Expression(text="0 0 * * *"),)), created_us=0, seed=0)
    assert rule.next_after(NOW) is None
    assert rule.prev_before(NOW) is None
    rule = compile_when(When(triggers=(Expression(text="0 12 * * *"),), exclusions=(every_day,)), created_us=0, seed=0)
    last_us = rule.prev_before((datetime(2100, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
    assert last_us == (datetime(2029, 12, 31, 12, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "trigger",
    [
        Expression(text="at(9999-12-31T23:59:59)"),
        Expression(text="at(0001-01-01T00:00:00)"),
        Expression(text="9999-12-31T23:59:59Z"),
        Once(times_us=(NOW, YEAR_1)),
    ],
)
def test_once_beyond_the_years_of_rules_is_refused(trigger: Trigger) -> None:
    with pytest.raises(ExpressionError, match="1900 to 9990"):
        of(trigger)
    assert [fault.reason for fault in check_when(When(triggers=(trigger,)), now_us=NOW)] == ["INVALID_EXPRESSION"]


def test_recognised_at_start_never_fires_by_the_clock_and_is_accepted() -> None:
    assert of(Expression(text="@reboot")).next_after(0) is None
    assert of(AtStart()).prev_before(NOW) is None
    assert check_when(When(triggers=(Expression(text="@reboot"),)), now_us=NOW) == ()


def test_instant_given_as_text_is_read_with_and_without_an_offset() -> None:
    assert of(Expression(text="2026-01-01T01:00:00+01:00"), zone="Asia/Kathmandu").next_after(0) == NOW
    assert of(Expression(text="2026-01-01T05:45"), zone="Asia/Kathmandu").next_after(0) == NOW


def test_interval_with_an_anchor_keeps_to_it_whenever_it_was_created() -> None:
    rule = of(Interval(every=timedelta(hours=1), anchor_us=NOW + 5))
    assert rule.next_after(NOW + DAY_US) == NOW + DAY_US + 5


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("@every 1ms", timedelta(milliseconds=1)),
        ("@every 1h30m", timedelta(minutes=90)),
        ("every 2d", timedelta(days=2)),
        ("Every 1w1s", timedelta(days=7, seconds=1)),
    ],
)
def test_every_fires_at_creation_and_each_duration_after_it(text: str, every: timedelta) -> None:
    rule = of(Expression(text=text))
    assert rule.next_after(NOW - 1) == NOW
    assert rule.next_after(NOW) == NOW + every // timedelta(microseconds=1)


def test_pointed_of_several_lines_is_the_one_at_fault() -> None:
    error = ExpressionError(text="DTSTART:x\nRRULE:y", part="expression", reason="wrong", position=3)
    assert pointed(error) == "DTSTART:x\n   ^"


@dataclass(frozen=True)
class Sampled:
    mode: SpreadMode
    window_s: int
    seed: int


@given(st.builds(Sampled, st.sampled_from(SpreadMode), st.integers(0, 7200), st.integers(0, 2**60)), st.integers(NOW, NOW + 366 * DAY_US))
@example(Sampled(SpreadMode.STABLE, 7200, 1), NOW)
@example(Sampled(SpreadMode.STABLE, 7200, 6), NOW)
@example(Sampled(SpreadMode.RANDOM, 1, 1), NOW)
@example(Sampled(SpreadMode.NONE, 7200, 1), NOW)
def test_spread_keeps_the_order_of_occurrences(sampled: Sampled, at_us: int) -> None:
    spread = Spread(mode=sampled.mode, window=timedelta(seconds=sampled.window_s))
    when = When(triggers=(Expression(text="0 * * * *"),), spread=spread)
    rule = compile_when(when, created_us=0, seed=sampled.seed)
    nominal_us = rule.next_after(at_us)
    assert nominal_us is not None
    next_us = rule.next_after(nominal_us)
    assert next_us is not None
    due = due_us(when, rule, seed=sampled.seed, nominal_us=nominal_us)
    assert nominal_us <= due < next_us
    assert due == due_us(when, rule, seed=sampled.seed, nominal_us=nominal_us)
    assert sampled.mode is not SpreadMode.NONE or due == nominal_us
    assert sampled.mode is not SpreadMode.STABLE or due_us(when, rule, seed=sampled.seed, nominal_us=next_us) - next_us == due - nominal_us


def test_preview_of_an_interval_marks_the_change_of_offset_only() -> None:
    when = When(triggers=(Interval(every=timedelta(hours=12), anchor_us=0),), time_zone="America/New_York")
    after_us = (datetime(2024, 3, 9, 23, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    shown = preview(when, created_us=0, seed=0, after_us=after_us, count=3)
    assert [instant.effects for instant in shown] == [(), (Effect.OFFSET_CHANGED,), ()]
    assert [instant.utc_offset_s for instant in shown] == [-18_000, -14_400, -14_400]
