"""Words for sets of numbers: lists, ranges, steps, ordinals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple


class Steps(NamedTuple):
    """Values at equal distances: the first, the last, and the distance."""

    first: int
    last: int
    step: int


def members(mask: int) -> list[int]:
    """The set bits of a mask, ascending."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def steps_of(values: Sequence[int]) -> Steps | None:
    """The steps that three values or more are, further apart than one; None where they are not."""
    if len(values) < 3:
        return None
    step = values[1] - values[0]
    even = step > 1 and all(later - earlier == step for earlier, later in pairwise(values))
    return Steps(values[0], values[-1], step) if even else None


def runs_of(values: Sequence[int]) -> list[tuple[int, int]]:
    """The values as stretches of neighbours, each with its first and its last."""
    runs: list[tuple[int, int]] = []
    for value in values:
        if runs and runs[-1][1] == value - 1:
            runs[-1] = runs[-1][0], value
        else:
            runs.append((value, value))
    return runs


def joined(parts: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def listed(values: Sequence[int], name: Callable[[int], str]) -> str:
    """The values by their names, neighbours of three or more as a range: `1, 5 and 7 to 9`."""
    parts: list[str] = []
    for low, high in runs_of(values):
        if high - low < 2:
            parts += [name(value) for value in range(low, high + 1)]
        else:
            parts.append(f"{name(low)} to {name(high)}")
    return joined(parts)


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `3rd`, `11th`."""
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def count_of(count: int, noun: str) -> str:
    """`1 day`, `2 days`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
