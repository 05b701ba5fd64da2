"""The metrics' names, labels and values, as text for Prometheus (exposition format 0.0.4); docs/operations.md has the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from schedd.core.breaker import Circuit, CircuitStanding
from schedd.core.model.execution import ExecutionState
from schedd.core.model.schedule import ScheduleState
from schedd.service.admin import Status
from schedd.web.tally import LATENESS_BOUNDS_US, HostLabels, Tally

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECOND_US: Final = 1_000_000
_NOT_CLOSED: Final = (Circuit.OPEN, Circuit.HALF_OPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposition:
    """One answer to a scrape: the daemon's figures of this moment, and what was counted up to it."""

    status: Status
    watchers: int
    tally: Tally
    hosts: HostLabels

    def encoded(self) -> bytes:
        """The text, as UTF-8."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """Every metric, with all of its series: what prometheus_client asks a collector for."""
        yield from self._daemon()
        yield from self._now()
        yield from self._since_the_start()
        yield self._lateness()

    def _daemon(self) -> Iterator[Metric]:
        store = self.status.store
        yield InfoMetricFamily("schedd_build", "The version that runs; always 1.", value={"version": self.status.version})
        yield GaugeMetricFamily("schedd_start_time_seconds", "When the daemon started, Unix time.", self.status.started_us / _SECOND_US)
        yield GaugeMetricFamily("schedd_journal_sequence", "The newest sequence number of the journal.", store.last_sequence)
        yield GaugeMetricFamily("schedd_store_size_bytes", "The database and its write-ahead log.", store.size_bytes)
        yield GaugeMetricFamily("schedd_watchers", "Clients that watch executions.", self.watchers)

    def _now(self) -> Iterator[Metric]:
        engine, store = self.status.engine, self.status.store
        schedules = {(state,): store.schedules.get(state, 0) for state in ScheduleState}
        executions = {(state,): engine.executions.get(state, 0) for state in ExecutionState if state is not ExecutionState.FINISHED}
        yield _filled(GaugeMetricFamily("schedd_schedules", "Schedules by state, deleted ones too.", labels=["state"]), schedules.items())
        yield _filled(GaugeMetricFamily("schedd_executions", "Unfinished executions by state.", labels=["state"]), executions.items())
        circuits = GaugeMetricFamily("schedd_circuit_state", "Whether a host's circuit is in that state.", labels=["host", "state"])
        yield _filled(circuits, self._circuits().items())

    def _circuits(self) -> Mapping[tuple[str, str], int]:
        """Of each host whose circuit is not closed, both states; the hosts that share a label are counted together."""
        counted: Counter[tuple[str, str]] = Counter()
        for circuit in self.status.engine.circuits:
            host = self.hosts.of(circuit.host)
            counted.update({(host, state): int(state is _state_of(circuit)) for state in _NOT_CLOSED})
        return counted

    def _since_the_start(self) -> Iterator[Metric]:
        tally = self.tally
        ending = ["outcome", "reason"]
        yield CounterMetricFamily("schedd_attempts", "Attempts that were started.", tally.attempts)
        yield _filled(CounterMetricFamily("schedd_executions_finished", "Executions that ended.", labels=ending), tally.finished.items())
        left_out = CounterMetricFamily("schedd_occurrences_left_out", "Occurrences that became no execution.", labels=ending)
        yield _filled(left_out, tally.left_out.items())
        changes = CounterMetricFamily("schedd_circuit_transitions", "Circuits that entered that state.", labels=["host", "state"])
        yield _filled(changes, tally.transitions.items())

    def _lateness(self) -> Metric:
        counts = self.tally.lateness()
        bounds = [str(bound_us / _SECOND_US) for bound_us in LATENESS_BOUNDS_US]
        return HistogramMetricFamily(
            "schedd_lateness_seconds",
            "How long after its due time an execution's first attempt started; backfills are left out.",
            buckets=list(zip([*bounds, "+Inf"], counts, strict=True)),
            sum_value=self.tally.lateness_sum_us / _SECOND_US,
        )


def _state_of(circuit: CircuitStanding) -> Circuit:
    return Circuit.HALF_OPEN if circuit.half_open else Circuit.OPEN


def _filled(family: GaugeMetricFamily | CounterMetricFamily, series: Iterable[tuple[tuple[str, ...], int]]) -> Metric:
    """The family with these values, by the values of its labels."""
    for labels, value in series:
        family.add_metric(labels, value)
    return family
