"""Durations as people write them: `500ms`, `30s`, `1h30m`, `90d`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS_US = {
    "w": 7 * 86_400_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_PART = re.compile(r"(\d+)(us|ms|s|m|h|d|w)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(text: str) -> timedelta:
    """The duration that `text` says: whole numbers, each with its unit (w, d, h, m, s, ms, us), added up.

    A number without a unit says nothing. Raises: ValueError that tells what would be right.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f'{text!r} is no duration: write whole numbers with units, such as "500ms", "30s", "1h30m" or "90d"')
    try:
        return timedelta(microseconds=sum(int(number) * _UNITS_US[unit] for number, unit in _PART.findall(text)))
    except OverflowError as exc:
        raise ValueError(f"{text!r} is longer than a duration can be") from exc
