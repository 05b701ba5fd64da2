from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schedd.cli.spans import duration_text, glance_text, parse_duration, parse_instant, relative_text, rough_text

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("2 days", 172_800),
        ("1w", 604_800),
        ("PT10M", 600),
        ("P1DT2H", 93_600),
        ("0s", 0),
        ("600s", 600),
    ],
)
def test_duration_in_a_known_form_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "m", "10 parsecs", "-5s", "P", "PT", "1h-2m", "999999w"])
def test_duration_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|unit|hundred"):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=36_000)))
@example(timedelta(days=1, microseconds=1))
def test_written_duration_is_read_back_exactly(span: timedelta) -> None:
    assert parse_duration(duration_text(span)) == span


@given(st.integers(0, 10**8))
def test_written_whole_seconds_are_read_back_exactly(seconds: int) -> None:
    assert parse_duration(duration_text(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.34, "340ms"), (3.25, "3.2s"), (12, "12s"), (200, "3m 20s"), (7200, "2h"), (18_120, "5h 2m"), (3 * 86_400 + 4 * 3600, "3d 4h")],
)
def test_rough_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert rough_text(timedelta(seconds=seconds)) == text


def test_relative_time_says_which_side_of_now() -> None:
    assert relative_text(NOW + timedelta(minutes=5), NOW) == "in 5m"
    assert relative_text(NOW - timedelta(minutes=5), NOW) == "5m ago"
    assert relative_text(NOW, NOW) == "now"


def test_glance_gets_longer_with_the_distance() -> None:
    zone = ZoneInfo("America/New_York")

    assert glance_text(NOW, NOW, zone) == "07:00:00"
    assert glance_text(NOW + timedelta(days=1), NOW, zone) == "Wed 07:00"
    assert glance_text(NOW + timedelta(days=30), NOW, zone) == "2026-12-24 07:00"


def test_instant_without_offset_is_read_in_the_zone() -> None:
    assert parse_instant("2026-11-24T07:00:00", ZoneInfo("America/New_York")) == NOW
    with pytest.raises(ValueError, match="is not a time"):
        parse_instant("noon")
