"""Durations as text."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schedd.core.durations import format_duration


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(milliseconds=1), "1ms"),
        (timedelta(seconds=-90), "-1m30s"),
        (timedelta(hours=36, microseconds=5), "1d12h5us"),
        (timedelta(days=366), "366d"),
    ],
)
def test_format_duration_has_whole_numbers_with_units(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text
