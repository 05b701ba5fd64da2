"""The circuit breakers of all hosts: what results they book, and what their states do to the hosts' gates."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from schedd.core.breaker import Breaker, BreakerPolicy, Circuit, CircuitStanding, speaks_of_host
from schedd.core.model.execution import AttemptResult
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.ports import Clock
from schedd.core.slots import Gate, Limit, Slots
from schedd.engine.recorder import Recorder
from schedd.engine.runs import Run

_KINDS = {
    Circuit.OPEN: JournalKind.CIRCUIT_OPENED,
    Circuit.HALF_OPEN: JournalKind.CIRCUIT_HALF_OPENED,
    Circuit.CLOSED: JournalKind.CIRCUIT_CLOSED,
}
_MICROSECOND = timedelta(microseconds=1)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Guarded:
    """A host that has failed lately. While HALF_OPEN, `stale` calls that began before that are still under way.

    `look_us` is when time alone may change it, by the monotonic clock; None: time does not.
    """

    gate: Gate
    breaker: Breaker
    stale: int = 0
    look_us: int | None = None


class Circuits:
    """One breaker for each host that has failed within the window; a host without one is well.

    An open one lets nothing through its host's gate, a half-open one its probes. What the breakers know does not outlive the daemon.
    """

    def __init__(
        self,
        *,
        slots: Slots[Run],
        clock: Clock,
        recorder: Recorder,
        policy: BreakerPolicy | None,
        host_limit: int,
        wake: Callable[[], None],
    ) -> None:
        self._slots = slots
        self._clock = clock
        self._recorder = recorder
        self._policy = policy
        self._host_limit = host_limit
        self._wake = wake
        self._guarded: dict[str, _Guarded] = {}
        self._looks: list[tuple[int, int, _Guarded]] = []
        """A heap by `look_us`; some entries are out of date."""
        self._order = itertools.count()

    def book(self, gate: Gate, era: int, result: AttemptResult) -> None:
        """A call through this gate, begun in that era of it, has come to this."""
        well = speaks_of_host(result)
        guarded = self._guarded.get(gate.name)
        if well is None or self._policy is None or (guarded is None and well) or era != gate.era:
            return
        if guarded is None:
            guarded = self._guarded[gate.name] = _Guarded(gate, Breaker(self._policy))
        now_us = self._clock.monotonic_us()
        self._follow(guarded, guarded.breaker.book(now_us, well=well), now_us)
        if guarded.breaker.idle:
            guarded.look_us = None
            del self._guarded[gate.name]

    def freed(self, gate: Gate, era: int) -> None:
        """A call, begun in that era of the gate, is no longer under way."""
        if gate.kind is not Limit.CIRCUIT or era == gate.era:
            return
        guarded = self._guarded[gate.name]
        if guarded.breaker.state is Circuit.HALF_OPEN:
            guarded.stale -= 1
            self._slots.set_limit(gate, self._probing_limit(guarded))

    def look(self) -> None:
        """Let probes go where it is time, and forget the hosts that have become well."""
        if not self._looks:
            return
        now_us = self._clock.monotonic_us()
        while self._looks and self._looks[0][0] <= now_us:
            at_us, _, guarded = heapq.heappop(self._looks)
            if guarded.look_us != at_us:
                continue
            guarded.look_us = None
            change = guarded.breaker.look(now_us)
            if guarded.breaker.idle:
                del self._guarded[guarded.gate.name]
            else:
                self._follow(guarded, change, now_us)

    def next_us(self, now_us: int) -> int | None:
        """When to look next, by the wall clock that says `now_us` now; None: not before something has failed."""
        return now_us + max(0, self._looks[0][0] - self._clock.monotonic_us()) if self._looks else None

    def standings(self, now_us: int) -> tuple[CircuitStanding, ...]:
        """The breakers that are not closed, by host; `now_us` is the wall clock's."""
        offset_us = now_us - self._clock.monotonic_us()
        return tuple(
            CircuitStanding(
                host=host,
                half_open=guarded.breaker.state is Circuit.HALF_OPEN,
                opened_us=guarded.breaker.opened_us + offset_us,
                probe_us=guarded.breaker.probe_us + offset_us,
                failure_rate=guarded.breaker.failure_rate,
                held=guarded.gate.held,
            )
            for host, guarded in sorted(self._guarded.items())
            if guarded.breaker.state is not Circuit.CLOSED
        )

    def probe_us(self, gate: Gate, now_us: int) -> int:
        """When the host's next probe may go, by the wall clock."""
        guarded = self._guarded[gate.name]
        return max(now_us, now_us + guarded.breaker.probe_us - self._clock.monotonic_us())

    def _follow(self, guarded: _Guarded, change: Circuit | None, now_us: int) -> None:
        """Make a state's change felt at the gate, and journal it."""
        if change is None:
            if guarded.look_us is None:
                self._look_at(guarded, now_us + self._window_us())
            return
        gate = guarded.gate
        match change:
            case Circuit.OPEN:
                self._slots.set_limit(gate, 0, Limit.CIRCUIT)
                self._look_at(guarded, guarded.breaker.probe_us)
            case Circuit.HALF_OPEN:
                guarded.stale = gate.taken
                self._slots.set_limit(gate, self._probing_limit(guarded), Limit.CIRCUIT)
            case Circuit.CLOSED:
                self._slots.set_limit(gate, self._host_limit, Limit.HOST)
        self._note(guarded, change)
        self._wake()

    def _probing_limit(self, guarded: _Guarded) -> int:
        probes = 0 if self._policy is None else self._policy.probes
        return min(self._host_limit, guarded.stale + probes)

    def _look_at(self, guarded: _Guarded, look_us: int) -> None:
        guarded.look_us = look_us
        heapq.heappush(self._looks, (look_us, next(self._order), guarded))
        if self._looks[0][2] is guarded:
            self._wake()

    def _window_us(self) -> int:
        return 0 if self._policy is None else self._policy.window // _MICROSECOND

    def _note(self, guarded: _Guarded, change: Circuit) -> None:
        wall_us = self._clock.now_us()
        evidence: dict[str, str | int | float | bool] = {"host": guarded.gate.name, "failure_rate": guarded.breaker.failure_rate}
        if change is Circuit.OPEN:
            evidence["probe_us"] = self.probe_us(guarded.gate, wall_us)
        self._recorder.note(JournalEntry(time_us=wall_us, kind=_KINDS[change], evidence=evidence))
        report = log.warning if change is Circuit.OPEN else log.info
        report(f"circuit_{change.lower()}", host=guarded.gate.name, failure_rate=guarded.breaker.failure_rate)
