"""Backfilling: which occurrences of a range are armed next, and for when. One pure decision a step."""

from __future__ import annotations

from typing import NamedTuple

from schedd.core.model.backfill import Backfill
from schedd.core.planning import Occurrences

_SECOND_US = 1_000_000
_YEAR_US = 365 * 86_400 * _SECOND_US


class Fire(NamedTuple):
    """One occurrence to be run, and the instant at which it may start; UTC microseconds."""

    nominal_us: int
    due_us: int


class Step(NamedTuple):
    """What is armed now, oldest first, and what then stands in the backfill's fields of the same names."""

    fires: tuple[Fire, ...]
    next_us: int | None
    left: int
    paced_us: int


def step(rule: Occurrences, backfill: Backfill, *, room: int, now_us: int, horizon_us: int) -> Step:
    """Take at most `room` occurrences that may start within the horizon.

    Their due times are at least `1 / rate_per_second` apart, and none lies before `now_us`: time in which nothing could be taken is not
    made up for. A clock that was stepped back does not hold the pace up for longer than one such interval and the horizon.
    """
    interval_us = interval_of(backfill)
    due_us = max(now_us, min(backfill.paced_us, now_us + horizon_us + interval_us))
    fires: list[Fire] = []
    next_us, left = _within(backfill.next_us, backfill.end_us), backfill.left
    while next_us is not None and left > 0 and len(fires) < room and due_us <= now_us + horizon_us:
        fires.append(Fire(next_us, due_us))
        due_us += interval_us
        left -= 1
        next_us = _within(rule.next_after(next_us), backfill.end_us)
    return Step(tuple(fires), next_us, left, due_us)


def interval_of(backfill: Backfill) -> int:
    """The least time between two of its starts, in microseconds, a year at most: never are there more than its rate a second."""
    return min(_YEAR_US, -int(-_SECOND_US // backfill.rate_per_second))


def _within(nominal_us: int | None, end_us: int) -> int | None:
    return nominal_us if nominal_us is not None and nominal_us < end_us else None
