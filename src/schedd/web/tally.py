"""What has happened since the daemon started, counted from the journal's entries as they are committed."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Final

from schedd.core.breaker import Circuit
from schedd.core.model.execution import Cause
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.reason import Outcome, Reason

HOSTS = 100
"""How many hosts have series of their own."""
OTHER = "other"
"""The label that all further hosts share."""

LATENESS_BOUNDS_US: Final = (
    *(500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000),
    *(1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000),
)
"""The upper bounds, included, of the parts in which fires are counted by how late they started; one part is above them."""

_CIRCUITS: Final = {
    JournalKind.CIRCUIT_OPENED: Circuit.OPEN,
    JournalKind.CIRCUIT_HALF_OPENED: Circuit.HALF_OPEN,
    JournalKind.CIRCUIT_CLOSED: Circuit.CLOSED,
}

Ending = tuple[Outcome, Reason]

_MISSED: Final[tuple[Ending, ...]] = tuple(
    (Outcome.MISSED, reason) for reason in (Reason.MISFIRE, Reason.CATCH_UP_WINDOW, Reason.CATCH_UP_SUPERSEDED, Reason.CATCH_UP_MAX_RUNS)
)
_RAN: Final[tuple[Ending, ...]] = (
    (Outcome.SUCCEEDED, Reason.COMPLETED),
    *((Outcome.FAILED, reason) for reason in (Reason.HTTP_STATUS, Reason.CONNECTION, Reason.TIMEOUT, Reason.EXIT_CODE, Reason.SIGNAL)),
)
"""These are counted from 0 on: Prometheus sees no increase in the value with which a series begins. The others begin when they come."""


class HostLabels:
    """Labels for hosts: the first ones to come are named, the others share one, so that the series stay bounded."""

    def __init__(self, most: int = HOSTS) -> None:
        self._most = most
        self._named: set[str] = set()

    def of(self, host: str) -> str:
        """The label of this host, the same each time."""
        if host not in self._named:
            if len(self._named) >= self._most:
                return OTHER
            self._named.add(host)
        return host


class Tally:
    """The counts. `take` is the journal's listener: in the engine's path, so it counts, and no more."""

    def __init__(self, hosts: HostLabels) -> None:
        self.attempts = 0
        self.finished: Counter[Ending] = Counter(dict.fromkeys((*_RAN, *_MISSED), 0))
        """Executions that ended; one that is redelivered ends again."""
        self.left_out: Counter[Ending] = Counter(dict.fromkeys(_MISSED, 0))
        """Occurrences that became no execution, told of in ranges."""
        self.transitions: Counter[tuple[str, Circuit]] = Counter()
        """Changes of circuits, by the host's label and the state that was entered."""
        self.lateness_sum_us = 0
        self._lateness = [0] * (len(LATENESS_BOUNDS_US) + 1)
        self._hosts = hosts
        self._counting: Mapping[JournalKind, Callable[[JournalEntry], None]] = {
            JournalKind.EXECUTION_STARTED: self._started,
            JournalKind.EXECUTION_FINISHED: self._finished,
            JournalKind.OCCURRENCES_MISSED: self._range,
            JournalKind.OCCURRENCES_SKIPPED: self._range,
            **dict.fromkeys(_CIRCUITS, self._circuit),
        }

    def take(self, entries: Sequence[JournalEntry]) -> None:
        """Count what has been committed."""
        for entry in entries:
            if (count := self._counting.get(entry.kind)) is not None:
                count(entry)

    def lateness(self) -> list[int]:
        """How many first attempts started at most as late as each of LATENESS_BOUNDS_US, and in the end how many there were."""
        return list(accumulate(self._lateness))

    def _started(self, entry: JournalEntry) -> None:
        self.attempts += 1
        if entry.attempt == 1 and entry.execution is not None and entry.execution.cause is not Cause.BACKFILL:
            lateness_us = int(entry.evidence.get("lateness_us", 0))
            self.lateness_sum_us += lateness_us
            self._lateness[bisect_left(LATENESS_BOUNDS_US, lateness_us)] += 1

    def _finished(self, entry: JournalEntry) -> None:
        if entry.outcome is not None:
            self.finished[entry.outcome, entry.reason] += 1

    def _range(self, entry: JournalEntry) -> None:
        if entry.outcome is not None:
            self.left_out[entry.outcome, entry.reason] += int(entry.evidence.get("count", 0))

    def _circuit(self, entry: JournalEntry) -> None:
        self.transitions[self._hosts.of(str(entry.evidence.get("host", OTHER))), _CIRCUITS[entry.kind]] += 1
