"""Ids that ascend with time and never return, also when the clock is set back or the daemon starts again."""

from __future__ import annotations

from schedd.core.ports import Clock

_SEQUENCE_BITS = 20


class TimeIds:
    """63-bit ids: the milliseconds of the wall clock above 20 bits of sequence; always greater than `last`, the newest id in the store."""

    def __init__(self, clock: Clock, *, last: int = 0) -> None:
        self._clock = clock
        self._last = last

    def new_id(self) -> int:
        """The next id."""
        self._last = max(self._last + 1, self._clock.now_us() // 1000 << _SEQUENCE_BITS)
        return self._last
