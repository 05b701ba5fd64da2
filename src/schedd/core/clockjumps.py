"""Jumps of the wall clock: what two readings of the host's clocks say has happened between them, a step or a suspend."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

TOLERANCE_US: Final = 500_000
"""What is not more than this is no jump yet. It adds up: many small steps are noticed together."""


class JumpKind(StrEnum):
    """What made the wall clock jump."""

    STEP = "STEP"
    """Somebody set it: its distance to real time is another."""
    SUSPEND = "SUSPEND"
    """The host slept: real time went on, and nothing ran."""


class Jump(NamedTuple):
    """The wall clock went ahead by `by_us` (a step may also set it back: negative) and stood at `to_us` right after."""

    kind: JumpKind
    by_us: int
    to_us: int

    @property
    def is_back(self) -> bool:
        """Whether instants come again that have been."""
        return self.by_us < 0

    def passed_over(self, first_us: int, last_us: int) -> bool:
        """Whether the wall clock went past an instant of [`first_us`, `last_us`] in this jump."""
        return first_us <= self.to_us and last_us > self.to_us - self.by_us


class Bearings(NamedTuple):
    """How the three clocks stand to each other, in microseconds.

    `set_us` is the wall clock against real time (which suspends count in), `slept_us` real time against the time that the host was awake.
    """

    set_us: int
    slept_us: int

    @classmethod
    def of(cls, *, wall_us: int, monotonic_us: int, boot_us: int) -> Bearings:
        """From one reading of each clock."""
        return cls(set_us=wall_us - boot_us, slept_us=boot_us - monotonic_us)

    def agree(self, wall_us: int, monotonic_us: int, boot_us: int) -> bool:
        """Whether this reading shows no jump: what `look` would say, for the path of every fire."""
        return boot_us - monotonic_us - self.slept_us <= TOLERANCE_US and -TOLERANCE_US <= wall_us - boot_us - self.set_us <= TOLERANCE_US


class Look(NamedTuple):
    """What a look at the clocks has come to: the jumps since the last one, and the bearings to compare the next look with."""

    jumps: tuple[Jump, ...]
    bearings: Bearings


def look(before: Bearings, now: Bearings, wall_us: int) -> Look:
    """Compare. A suspend comes before a step: the clock is set by those who woke up."""
    slept_us = now.slept_us - before.slept_us
    set_us = now.set_us - before.set_us
    jumps = []
    if slept_us > TOLERANCE_US:
        jumps.append(Jump(JumpKind.SUSPEND, slept_us, wall_us))
        before = before._replace(slept_us=now.slept_us)
    if abs(set_us) > TOLERANCE_US:
        jumps.append(Jump(JumpKind.STEP, set_us, wall_us))
        before = before._replace(set_us=now.set_us)
    return Look(tuple(jumps), before)
