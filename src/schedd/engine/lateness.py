"""How late the latest fires have started."""

from __future__ import annotations

from collections import deque

KEPT = 10_000


class Lateness:
    """The lateness of the last 10000 first attempts, in microseconds. `add` is in the path of every fire: it appends, and no more."""

    def __init__(self) -> None:
        self._latest: deque[int] = deque(maxlen=KEPT)
        self.add = self._latest.append

    def p99_us(self) -> int | None:
        """The least lateness that at most one in a hundred exceeds; None before the first fire."""
        if not self._latest:
            return None
        ascending = sorted(self._latest)
        return ascending[(99 * len(ascending) - 1) // 100]
