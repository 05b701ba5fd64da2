"""A day by the minute as a map of 24 lines of 60 characters, which says the same without colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

_MINUTES = 60
_SIGNS = ".123456789abcdefghijklmnopqrstuvwxyz"
_MORE = "#"
_RULER = "      :00       :10       :20       :30       :40       :50         most"

Paint = Callable[[str, str], str]
"""Gives a text its colour, where there are colours."""


def map_lines(start: datetime, counts: Sequence[int], paint: Paint) -> list[str]:
    """The map of counts by minute from `start` on, a line an hour of its zone; a part of an hour begins where it does."""
    lines = [paint(_RULER, "dim")]
    most = max(counts, default=0)
    at, first = start, 0
    while first < len(counts):
        room = _MINUTES - at.minute
        hour = counts[first : first + room]
        signs = "".join(paint("".join(map(sign, same)), colour) for colour, same in _coloured(hour, most))
        padding = " " * (_MINUTES - at.minute - len(hour))
        lines.append(f"{at:%H}:00 {' ' * at.minute}{signs}{padding}  {max(hour):>4}".rstrip())
        at, first = _later(at, len(hour)), first + len(hour)
    return lines


def legend(counts: Sequence[int]) -> str:
    """What the map's signs mean, as far as they are in it."""
    most = max(counts, default=0)
    parts = [". none", f"1 to {min(most, 9)} as many"] if most else [". none"]
    if most > 9:
        last = min(most, len(_SIGNS) - 1)
        parts.append("a = 10" if last == 10 else f"a to {_SIGNS[last]} = 10 to {last}")
    if most >= len(_SIGNS):
        parts.append(f"{_MORE} = {len(_SIGNS)} or more")
    return ", ".join(parts)


def sign(count: int) -> str:
    """The one character that stands for a count."""
    return _SIGNS[count] if count < len(_SIGNS) else _MORE


def _coloured(counts: Sequence[int], most: int) -> list[tuple[str, list[int]]]:
    return [(colour, list(same)) for colour, same in groupby(counts, key=lambda count: _colour(count, most))]


def _colour(count: int, most: int) -> str:
    if not count:
        return "dim"
    if 3 * count <= most:
        return "green"
    return "yellow" if 3 * count <= 2 * most else "red"


def _later(at: datetime, minutes: int) -> datetime:
    """So many minutes of real time later."""
    return (at.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(at.tzinfo)
