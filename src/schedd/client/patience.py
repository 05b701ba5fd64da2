"""When a call that failed is made again. Pure: the caller brings the time and the dice, and does the waiting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from schedd.client.errors import CallError, UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often, and after which waits, a call is made again when nobody answers.

    The wait after the n-th failure is drawn from the upper half of `first_wait * 2 ** (n - 1)`, at most `longest_wait`. `max_attempts`
    counts the first one. A call's deadline bounds all of its attempts and waits together.
    """

    max_attempts: int = 8
    first_wait: timedelta = timedelta(milliseconds=100)
    longest_wait: timedelta = timedelta(seconds=2)

    def wait_s(self, failures: int, draw: float) -> float:
        """Seconds to wait after that many failures (at least 1); `draw` is random, in [0, 1)."""
        full = min(self.first_wait.total_seconds() * 2.0 ** min(failures - 1, 32), self.longest_wait.total_seconds())
        return full * (0.5 + draw / 2)


ONE_ATTEMPT = Patience(max_attempts=1)


@dataclass(slots=True, kw_only=True)
class Attempts:
    """The attempts of one logical call, from its start to its deadline. Times are seconds of a monotonic clock."""

    patience: Patience
    deadline: float
    failures: int = 0

    def remaining_s(self, now: float) -> float:
        """Seconds until the deadline, for the next attempt; 1 ms at least, so that the server's answer is the one that counts."""
        return max(self.deadline - now, 0.001)

    def wait_after(self, error: CallError, now: float, draw: float) -> float | None:
        """Seconds to wait before the call is made again, None if it is not: `error` is final, or time or attempts are used up."""
        self.failures += 1
        if not isinstance(error, UnavailableError) or self.failures >= self.patience.max_attempts:
            return None
        asked = error.fault.retry_delay_s or 0.0
        wait = max(self.patience.wait_s(self.failures, draw), asked)
        return wait if now + wait < self.deadline else None
