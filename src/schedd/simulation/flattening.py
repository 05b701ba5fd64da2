"""Offsets that flatten the peaks of a forecast: whole schedules are moved, one after the other, to where the least else goes on.

It is a greedy estimate, not the best there is, and of one day. A second is the least that it tells apart, and each run takes up the seconds
that it touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Final

_SECOND_US: Final = 1_000_000
_CHOICES: Final = 60
_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300)

Seconds = tuple[int, int]
"""The seconds that a run takes up: the first, and the one after the last, counted from the day's start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flattening:
    """The offset of each schedule that is to be moved, by name, and the most runs at once `before` and `after`."""

    offsets: Mapping[str, timedelta]
    before: int
    after: int


def flatten(runs: Mapping[str, Sequence[tuple[int, int]]], *, start_us: int, at_most: timedelta) -> Flattening:
    """Find offsets for schedules whose runs (begin and end, UTC microseconds) on the day from `start_us` are given.

    A schedule moves by less than the shortest time between two of its runs, and by less than `at_most`.
    """
    days = {name: [_seconds(run, start_us) for run in given] for name, given in runs.items() if given}
    longest_s = max((last for day in days.values() for _, last in day), default=0)
    length = longest_s + at_most // timedelta(seconds=1) + 1
    before, after = [0] * length, [0] * length
    offsets: dict[str, timedelta] = {}
    for name in sorted(days, key=lambda name: (-_busy_s(days[name]), name)):
        day = days[name]
        _add(before, day, 0)
        offset_s = min(_offsets_s(day, at_most), key=lambda offset_s: (*_cost(after, day, offset_s), offset_s))
        _add(after, day, offset_s)
        if offset_s:
            offsets[name] = timedelta(seconds=offset_s)
    if max(after, default=0) >= max(before, default=0):
        return Flattening(offsets={}, before=max(before, default=0), after=max(before, default=0))
    return Flattening(offsets={name: offsets[name] for name in runs if name in offsets}, before=max(before), after=max(after))


def _seconds(run: tuple[int, int], start_us: int) -> Seconds:
    begin_us, end_us = run
    first = (begin_us - start_us) // _SECOND_US
    return first, max(first + 1, -((start_us - end_us) // _SECOND_US))


def _busy_s(day: Sequence[Seconds]) -> int:
    return sum(last - first for first, last in day)


def _offsets_s(day: Sequence[Seconds], at_most: timedelta) -> range:
    """Where a schedule may be moved to: at most 60 places, a round number of seconds apart."""
    bound_s = min([at_most // timedelta(seconds=1), *(later - earlier for (earlier, _), (later, _) in pairwise(day))])
    step_s = next((step for step in _STEPS_S if bound_s <= step * _CHOICES), _STEPS_S[-1])
    return range(0, max(bound_s, 1), step_s)


def _cost(load: Sequence[int], day: Sequence[Seconds], offset_s: int) -> tuple[int, int]:
    """The highest load that the schedule's runs would meet there, and all of it."""
    met = [load[first + offset_s : last + offset_s] for first, last in day]
    return max(max(part) for part in met), sum(sum(part) for part in met)


def _add(load: list[int], day: Sequence[Seconds], offset_s: int) -> None:
    for first, last in day:
        for second in range(first + offset_s, last + offset_s):
            load[second] += 1
