"""Triggers that no clock fires: the daemon's start, and a delay after the completion of an execution."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from schedd.core.durations import format_duration
from schedd.core.errors import ExpressionError
from schedd.core.identity import ByIdentity
from schedd.core.model.when import AfterCompletion, AtStart, Expression, Trigger, When
from schedd.core.triggers.recognition import recognise

SHORTEST_DELAY: Final = timedelta(milliseconds=1)
LONGEST_DELAY: Final = timedelta(days=3660)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clockless:
    """What fires a schedule besides the clock. `delay` is the shortest of its delays after completion, None if it has none."""

    at_start: bool
    delay: timedelta | None

    def __bool__(self) -> bool:
        return self.at_start or self.delay is not None


def _clockless(when: When) -> Clockless:
    triggers = tuple(recognise(trigger.text) if isinstance(trigger, Expression) else trigger for trigger in when.triggers)
    delays = [trigger.delay for trigger in triggers if isinstance(trigger, AfterCompletion)]
    return Clockless(at_start=any(isinstance(trigger, AtStart) for trigger in triggers), delay=min(delays, default=None))


clockless = ByIdentity(_clockless, capacity=4096)
"""What fires a schedule besides the clock. Raises: ExpressionError for a trigger that cannot be read."""


def is_clockless(trigger: Trigger) -> bool:
    """Whether a trigger has no times of its own. Raises: ExpressionError for one that cannot be read."""
    known = recognise(trigger.text) if isinstance(trigger, Expression) else trigger
    return isinstance(known, AfterCompletion | AtStart)


def check_delay(delay: timedelta) -> None:
    """Raises: ExpressionError unless a delay is within its bounds."""
    if not SHORTEST_DELAY <= delay <= LONGEST_DELAY:
        bounds = f"{format_duration(SHORTEST_DELAY)} to {format_duration(LONGEST_DELAY)}"
        raise ExpressionError(
            text="", part="delay", reason=f"{format_duration(delay)} is not allowed; {bounds} is", suggestion="such as 90s or 1h"
        )
