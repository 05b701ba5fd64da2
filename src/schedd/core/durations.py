"""Durations as text: `500ms`, `30s`, `1h30m`, `90d`."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

_UNITS_US: Final = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000, "us": 1}


def format_duration(duration: timedelta) -> str:
    """The duration in whole numbers with units, exactly: `1d12h`, not `36h`; a negative one with a sign before it."""
    rest_us = abs(duration // timedelta(microseconds=1))
    parts = []
    for unit, unit_us in _UNITS_US.items():
        count, rest_us = divmod(rest_us, unit_us)
        if count:
            parts.append(f"{count}{unit}")
    sign = "-" if duration < timedelta(0) else ""
    return sign + ("".join(parts) or "0s")
