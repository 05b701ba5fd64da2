"""Intervals of real time: every so many microseconds, counted from an anchor, without drift."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from schedd.core.errors import ExpressionError
from schedd.core.triggers.civil import FIRST_US, LAST_US, SECOND_US
from schedd.core.triggers.fieldsets import Token
from schedd.core.triggers.hints import spoken

SHORTEST: Final = timedelta(milliseconds=1)
LONGEST: Final = timedelta(days=3660)
"""Ten years."""

_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_DURATION: Final = re.compile(r"(?:[0-9]{1,12}(?:ms|[smhdw]))+")
_STEP: Final = re.compile(r"(?P<count>[0-9]+)(?P<unit>ms|[smhdw])")


class IntervalRule:
    """Fires at the anchor and each `every_us` after it, between FIRST_US and LAST_US; never before the anchor."""

    __slots__ = ("_anchor_us", "_every_us")

    def __init__(self, every_us: int, anchor_us: int) -> None:
        self._every_us = every_us
        self._anchor_us = anchor_us

    @property
    def is_of_whole_seconds(self) -> bool:
        """Whether each of its instants is a whole second."""
        return self._every_us % SECOND_US == 0 and self._anchor_us % SECOND_US == 0

    def next_after(self, t_us: int) -> int | None:
        start_us = max(t_us, FIRST_US - 1)
        elapsed = start_us - self._anchor_us
        found = self._anchor_us if elapsed < 0 else start_us + self._every_us - elapsed % self._every_us
        return found if found < LAST_US else None

    def prev_before(self, t_us: int) -> int | None:
        last_us = min(t_us, LAST_US) - 1
        elapsed = last_us - self._anchor_us
        found = last_us - elapsed % self._every_us
        return found if elapsed >= 0 and found >= FIRST_US else None


def parse_duration(token: Token) -> timedelta:
    """The duration of `90s`, `1h30m`, `2d`, `250ms`.

    Raises: ExpressionError, also outside [1 ms, ten years].
    """
    if _DURATION.fullmatch(token.value) is None:
        raise token.fault(f"`{token.value}` is not a duration", spoken(token.text) or "a duration is such as 90s, 15m, 1h30m or 2d")
    try:
        total = sum((int(step["count"]) * _UNITS[step["unit"]] for step in _STEP.finditer(token.value)), timedelta(0))
    except OverflowError as exc:
        raise too_long(token) from exc
    if total > LONGEST:
        raise too_long(token)
    if total < SHORTEST:
        raise token.fault("an interval is at least 1 ms", "a duration is such as 90s, 15m, 1h30m or 2d")
    return total


def too_long(token: Token) -> ExpressionError:
    """The error for a duration past the bound."""
    return token.fault("an interval is at most 10 years", "a cron expression with a year names a far date")
