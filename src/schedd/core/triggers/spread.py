"""Spread: how far the due time of an occurrence is moved away from its nominal time."""

from __future__ import annotations

from datetime import timedelta

from schedd.core.model.when import SpreadMode, When
from schedd.core.triggers.draw import draw
from schedd.core.triggers.rule import Rule

_MICROSECOND = timedelta(microseconds=1)


def due_us(when: When, rule: Rule, *, seed: int, nominal_us: int) -> int:
    """The due time of an occurrence: its nominal time plus an offset within the window, before the next nominal time.

    STABLE gives a schedule the same offset each time, wherever the next nominal time leaves room for it; RANDOM draws one from the
    nominal time as well. Both depend upon nothing else: after a restart and in catch-up the answer is the same.
    """
    spread = when.spread
    window_us = spread.window // _MICROSECOND
    if spread.mode is SpreadMode.NONE or window_us <= 0:
        return nominal_us
    number = nominal_us if spread.mode is SpreadMode.RANDOM else 0
    offset_us = draw(seed, "spread", window_us, number=number)
    next_us = rule.next_after(nominal_us)
    if next_us is not None and nominal_us + offset_us >= next_us:
        offset_us = draw(seed, "spread", next_us - nominal_us, number=number)
    return nominal_us + offset_us
