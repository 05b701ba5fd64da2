"""The circuit breaker of one host, as a state machine: results and the time go in, what may be called comes out.

CLOSED -> OPEN when too many calls of the sliding window failed; OPEN -> HALF_OPEN after the open time, and a few probes go; then CLOSED at
the first success, or OPEN again at the first failure. Times are monotonic microseconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from schedd.core.model.execution import AttemptResult
from schedd.core.model.reason import Outcome, Reason

_PARTS = 10
"""The window slides by a tenth of itself."""
_MICROSECOND = timedelta(microseconds=1)
_NO_HOST = frozenset({Reason.CONNECTION, Reason.TIMEOUT})
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


class Circuit(StrEnum):
    """Where a breaker stands."""

    CLOSED = "CLOSED"
    """Calls go."""
    OPEN = "OPEN"
    """None goes."""
    HALF_OPEN = "HALF_OPEN"
    """A few go at a time, to see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a breaker opens: at `failure_rate` (0 to 1, inclusive) of at least `min_calls` within `window`.

    It stays open for `open_time`; then at most `probes` calls at a time go through.
    """

    window: timedelta = timedelta(seconds=60)
    min_calls: int = 20
    failure_rate: float = 0.5
    open_time: timedelta = timedelta(seconds=30)
    probes: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitStanding:
    """A breaker that is not closed. Instants are UTC microseconds; `held` executions wait for it."""

    host: str
    half_open: bool
    opened_us: int
    probe_us: int
    failure_rate: float
    held: int


def speaks_of_host(result: AttemptResult) -> bool | None:
    """Whether a result says that the host is well (True) or that it is not (False); None: nothing about it.

    Unwell are no connection, no answer in time, and 429 or 5xx where the target does not expect it. Any other answer shows a host that
    works, whatever the schedule makes of it.
    """
    if result.outcome is Outcome.SUCCEEDED:
        return True
    if result.reason in _NO_HOST:
        return False
    if result.code is None:
        return None
    return result.code != _TOO_MANY_REQUESTS and result.code < _SERVER_ERROR


class Breaker:
    """The breaker of one host. Only results of calls that began in the state it is in now are to be booked."""

    __slots__ = ("_calls", "_failures", "_part_us", "_parts", "_policy", "failure_rate", "opened_us", "probe_us", "state")

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._part_us = max(policy.window // _MICROSECOND // _PARTS, 1)
        self._parts: deque[tuple[int, int, int]] = deque()
        """(number of the part, calls, failures) of the window's parts, oldest first; `_calls` and `_failures` are their sums."""
        self._calls = 0
        self._failures = 0
        self.state = Circuit.CLOSED
        self.failure_rate = 0.0
        """What opened it."""
        self.opened_us = 0
        """When it opened first since it was closed."""
        self.probe_us = 0
        """While OPEN: when the first probe may go."""

    @property
    def idle(self) -> bool:
        """Whether it is closed and has no failure in its window: it can be forgotten."""
        return self.state is Circuit.CLOSED and not self._failures

    def book(self, now_us: int, *, well: bool) -> Circuit | None:
        """Take in one result; the state that it leads to, if that is another one."""
        if self.state is Circuit.OPEN:
            return None
        if self.state is Circuit.HALF_OPEN:
            return self._close() if well else self._open(now_us)
        self._slide(now_us)
        self._count(now_us // self._part_us, failures=0 if well else 1)
        if well or self._calls < self._policy.min_calls or self._failures < self._policy.failure_rate * self._calls:
            return None
        self.failure_rate = self._failures / self._calls
        self.opened_us = now_us
        return self._open(now_us)

    def look(self, now_us: int) -> Circuit | None:
        """Take in the time; HALF_OPEN if it is time for a probe."""
        if self.state is Circuit.CLOSED:
            self._slide(now_us)
        if self.state is not Circuit.OPEN or now_us < self.probe_us:
            return None
        self.state = Circuit.HALF_OPEN
        return self.state

    def _open(self, now_us: int) -> Circuit:
        self.state = Circuit.OPEN
        self.probe_us = now_us + self._policy.open_time // _MICROSECOND
        self._empty()
        return self.state

    def _close(self) -> Circuit:
        self.state = Circuit.CLOSED
        self._empty()
        return self.state

    def _empty(self) -> None:
        self._parts.clear()
        self._calls = self._failures = 0

    def _slide(self, now_us: int) -> None:
        """Forget what is older than the window."""
        oldest = now_us // self._part_us - _PARTS
        while self._parts and self._parts[0][0] <= oldest:
            _, calls, failures = self._parts.popleft()
            self._calls -= calls
            self._failures -= failures

    def _count(self, part: int, *, failures: int) -> None:
        if self._parts and self._parts[-1][0] == part:
            _, calls, failed = self._parts[-1]
            self._parts[-1] = (part, calls + 1, failed + failures)
        else:
            self._parts.append((part, 1, failures))
        self._calls += 1
        self._failures += failures
