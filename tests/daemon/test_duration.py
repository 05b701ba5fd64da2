"""Durations as text."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.durations import format_duration
from schedd.daemon.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("1h30m", timedelta(minutes=90)),
        ("2w", timedelta(days=14)),
        ("7us", timedelta(microseconds=7)),
        ("0s", timedelta(0)),
    ],
)
def test_parse_duration_with_units_adds_them_up(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "1.5s", "5 s", "5S", "5y", "99999999999999d"])
def test_parse_duration_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=100_000)))
def test_format_duration_of_any_duration_reads_back(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration
