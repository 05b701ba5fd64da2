"""The engine's limits on attempts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from schedd.core.model.schedule import Schedule
from schedd.core.model.target import HttpTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLimits:
    """How many attempts run at once, and how long one may take: a schedule's own timeout, else these, never past the cap.

    `per_host` bounds those that call the same host, though never more than three quarters of `running` may: a host that hangs must leave
    room for the others. Of those that a host's limit, a key or a circuit breaker holds, at most `held_together` wait that need the same,
    and at most `held` in all.
    """

    running: int = 256
    per_host: int = 64
    held_together: int = 10_000
    held: int = 200_000
    http_timeout: timedelta = timedelta(seconds=60)
    timeout_cap: timedelta = timedelta(hours=24)

    @property
    def of_host(self) -> int:
        """How many attempts may call one host at once."""
        return max(1, min(self.per_host, self.running * 3 // 4))

    def timeout(self, schedule: Schedule) -> timedelta:
        """The bound of one attempt of this schedule."""
        if schedule.policies.attempt_timeout is not None:
            return min(schedule.policies.attempt_timeout, self.timeout_cap)
        return min(self.http_timeout, self.timeout_cap) if isinstance(schedule.target, HttpTarget) else self.timeout_cap
