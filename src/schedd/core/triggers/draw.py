"""Numbers drawn from a schedule's seed: the same after a restart, spread evenly between schedules."""

from __future__ import annotations

from typing import Final
from zlib import crc32

_MASK: Final = (1 << 64) - 1


def draw(seed: int, label: str, bound: int, *, number: int = 0) -> int:
    """A number in [0, bound) that depends on nothing but the arguments (SplitMix64). `bound` is at least 1."""
    state = _mix(seed & _MASK) ^ _mix(crc32(label.encode()) << 32 | 1)
    return _mix(_mix(state + number & _MASK)) * bound >> 64


def _mix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31
