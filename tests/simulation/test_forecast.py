"""Forecasts: what the engine does with schedules ahead of time, the load by the minute, and offsets that flatten it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.cli.manifest import parse_manifest
from schedd.core.errors import InvalidError
from schedd.simulation import forecast
from schedd.simulation.flattening import flatten
from schedd.simulation.forecast import Forecast, Question, Runs, TooManyFiresError, foresee
from schedd.simulation.load import MINUTE_US, busiest_day, minutely_peaks, peak, spans_of

SECOND = 1_000_000
START_US = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z, a Thursday"""


def question(text: str, *, hours: float = 1, duration_s: float = 1, **others: timedelta) -> Question:
    return Question(
        schedules=[written.schedule for written in parse_manifest(text, "test")],
        start_us=START_US,
        span=timedelta(hours=hours),
        duration=timedelta(seconds=duration_s),
        durations={f"groups/default/schedules/{name}": duration for name, duration in others.items()},
    )


def schedule(name: str, expression: str, more: str = "") -> str:
    return f'- {{name: {name}, schedule: "{expression}", http: {{url: "http://x/"}}{more}}}\n'


def seconds(runs: Runs) -> list[tuple[float, float]]:
    return [((begin - START_US) / SECOND, (end - START_US) / SECOND) for begin, end in spans_of(runs)]


def test_forecast_has_every_run_at_its_due_time_and_for_its_duration() -> None:
    found = foresee(question(schedule("a", "*/20 * * * *") + schedule("b", "30 0 * * * *"), hours=1, duration_s=2, b=timedelta(minutes=1)))
    assert [seconds(runs) for runs in found.schedules] == [[(1200, 1202), (2400, 2402)], [(30, 90)]]
    assert (found.start_us, found.end_us) == (START_US, START_US + 3600 * SECOND)


def test_forecast_of_a_week_of_minutes_has_each_of_them() -> None:
    (runs,) = foresee(question(schedule("a", "* * * * *"), hours=7 * 24)).schedules
    assert runs.fires == 7 * 24 * 60 - 1
    assert [begin - START_US for begin in runs.begins_us] == [minute * MINUTE_US for minute in range(1, 7 * 24 * 60)]
    assert runs.latest_us == 0


def test_forecast_counts_what_the_overlap_policy_skips() -> None:
    (runs,) = foresee(question(schedule("a", "* * * * *", ", timeout: 5m"), hours=0.5, duration_s=150)).schedules
    assert (runs.fires, runs.skipped) == (10, 19)
    assert peak(runs) == 1


def test_forecast_tells_attempts_that_would_take_too_long() -> None:
    (runs,) = foresee(question(schedule("a", "*/30 * * * *", ", timeout: 10s, retry: {max_attempts: 2}"), duration_s=20)).schedules
    assert (runs.fires, runs.timed_out, len(runs.begins_us)) == (1, 2, 2)
    assert seconds(runs)[0] == (1800, 1810)


def test_forecast_tells_how_late_executions_begin_that_wait_for_a_key() -> None:
    keyed = ", concurrency: {key: db, limit: 1}"
    first, second = foresee(question(schedule("a", "*/40 * * * *", keyed) + schedule("b", "*/40 * * * *", keyed), duration_s=30)).schedules
    assert sorted([first.latest_us, second.latest_us]) == [0, 30 * SECOND]


def test_forecast_counts_neither_notices_nor_the_commands_of_conditions() -> None:
    notified = schedule("a", "*/20 * * * *", ', on_success: [{notify: {url: "http://x/"}}]')
    asked = schedule("b", "*/20 * * * *", ", condition: {command: test -e /flag}")
    timed_out = schedule(
        "c", "*/20 * * * *", ', timeout: 1s, retry: {max_attempts: 2, min_backoff: 1s, jitter: 0}, on_failure: ["http://x/"]'
    )
    for runs in foresee(question(notified + asked + timed_out, hours=1, duration_s=3)).schedules:
        assert (runs.fires, runs.latest_us) == (2, 0)
        assert len(runs.begins_us) == (4 if runs.name.endswith("/c") else 2)


def test_forecast_names_the_field_that_is_wrong() -> None:
    asked = question(schedule("a", "* * * * *") + schedule("b", "* * * * *"))
    asked.schedules[1].triggers[0].expression = "61 * * * *"
    with pytest.raises(InvalidError) as caught:
        foresee(asked)
    assert [violation.field for violation in caught.value.violations] == ["requests[1].schedule.triggers[0].expression"]


def test_forecast_of_too_many_fires_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "FIRES_MAX", 100)
    with pytest.raises(TooManyFiresError):
        foresee(question(schedule("a", "* * * * * *")))


SPANS = st.lists(st.tuples(st.integers(0, 600), st.integers(1, 200)).map(lambda span: (span[0], span[0] + span[1])), max_size=12)


@given(SPANS)
def test_peaks_by_the_minute_are_those_of_counting_every_second(spans: list[tuple[int, int]]) -> None:
    found = minutely_peaks([(begin * SECOND, end * SECOND) for begin, end in spans], start_us=0, end_us=600 * SECOND)
    at_once = [sum(begin <= second < end for begin, end in spans) for second in range(600)]
    assert found == [max(at_once[minute * 60 : minute * 60 + 60]) for minute in range(10)]


def test_busiest_day_is_a_local_one_with_its_own_length() -> None:
    start_us = int(datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()) * SECOND
    runs = Runs(name="a")
    for hour, length in ((1, 1), (20, 1), (20, 2)):
        runs.begins_us.append(start_us + hour * 3600 * SECOND)
        runs.ends_us.append(runs.begins_us[-1] + length * SECOND)
    day = busiest_day(Forecast(start_us=start_us, end_us=start_us + 3 * 86_400 * SECOND, schedules=(runs,)), ZoneInfo("Europe/Berlin"))
    assert day.start_us == int(datetime(2026, 3, 28, 23, tzinfo=UTC).timestamp()) * SECOND
    assert len(day.peaks) == 23 * 60  # Berlin's clocks went forward.
    assert (max(day.peaks), day.peaks.index(2)) == (2, 9 * 60)


def every(period_s: int, length_s: int, *, first_s: int = 0, until_s: int = 7200) -> list[tuple[int, int]]:
    return [(at * SECOND, (at + length_s) * SECOND) for at in range(first_s, until_s, period_s)]


def at_once(runs: dict[str, list[tuple[int, int]]], offsets: dict[str, timedelta]) -> int:
    moved = [
        (begin + offset, end + offset)
        for name, spans in runs.items()
        for offset in [offsets.get(name, timedelta()) // timedelta(microseconds=1)]
        for begin, end in spans
    ]
    return max(sum(begin <= at < end for begin, end in moved) for at, _ in moved)


def test_flattening_spreads_schedules_that_fire_together() -> None:
    runs = {name: every(600, 60) for name in "abcd"}
    found = flatten(runs, start_us=0, at_most=timedelta(minutes=10))
    assert (found.before, found.after) == (4, 1)
    assert sorted(found.offsets.values()) == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=3)]


def test_flattening_that_would_gain_nothing_moves_nothing() -> None:
    alone = flatten({"a": every(60, 60)}, start_us=0, at_most=timedelta(minutes=5))
    assert (alone.offsets, alone.before, alone.after) == ({}, 1, 1)
    full = flatten({"a": every(60, 60), "b": every(60, 60)}, start_us=0, at_most=timedelta(minutes=5))
    assert (full.offsets, full.before, full.after) == ({}, 2, 2)
    assert flatten({"a": []}, start_us=0, at_most=timedelta(minutes=5)).before == 0


@given(st.lists(st.tuples(st.sampled_from([60, 300, 900, 3600]), st.integers(1, 400)), min_size=1, max_size=6))
def test_flattening_does_what_it_says_and_keeps_each_schedule_in_its_period(shapes: list[tuple[int, int]]) -> None:
    runs = {str(number): every(period, length) for number, (period, length) in enumerate(shapes)}
    found = flatten(runs, start_us=0, at_most=timedelta(minutes=15))
    assert at_once(runs, {}) == found.before
    assert at_once(runs, dict(found.offsets)) == found.after <= found.before
    for name, offset in found.offsets.items():
        assert timedelta() < offset < min(timedelta(minutes=15), timedelta(seconds=shapes[int(name)][0]))
