"""The gatekeeper: what is due waits here until the limits that it falls under have room: the global one, its host's, its key's.

The background waits here too, behind what is on time, and gets no more than its share of each of these limits.

What waits is told of in the journal, once: right away where a key or a circuit breaker holds it, else when it has waited for a second,
since most of a rush is through by then. It does not wait past its retry policy's `max_age`; a first attempt of the background does, since
few of them are taken up at a time, and late they are already.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Final

from schedd.core.admission import background_limit
from schedd.core.breaker import BreakerPolicy, CircuitStanding
from schedd.core.explaining import Holdup
from schedd.core.hosts import host_of
from schedd.core.model.execution import AttemptResult, ExecutionState
from schedd.core.model.journal import Evidence
from schedd.core.model.policy import Concurrency, Hold, Policies
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.model.target import HttpTarget
from schedd.core.ports import Clock
from schedd.core.sharing import SharedLimits
from schedd.core.slots import Gate, Lane, Limit, Slots, Ticket
from schedd.engine.circuits import Circuits
from schedd.engine.definitions import Definition
from schedd.engine.limits import AttemptLimits
from schedd.engine.recorder import Recorder
from schedd.engine.runs import Finish, Run

AGEING_US: Final = 10_000_000
"""A level of priority goes before this much of waiting: one of priority 0 waits at most 90 s longer than one of 9 that came after it."""
BACKGROUND_US: Final = 600_000_000
"""What is on time goes before the background, unless that has waited for this much longer: so it is not starved."""
NOTEWORTHY_US: Final = 1_000_000
"""How long something waits for its host or for everything before the journal tells of it."""

AT_ONCE: Final = 128
"""So many are told of, ended or seen to in one go, of each kind; the others in the next one, after whatever has come due meanwhile."""

_MICROSECOND = timedelta(microseconds=1)
_PRUNE_FLOOR = 1024
_TOLD_AT_ONCE = (Limit.KEY, Limit.CIRCUIT)
_OF_HOST = (Limit.HOST, Limit.CIRCUIT)


class Gatekeeper:
    """Gives the runs that are due their turn: the highest priority first, older ones before, and nobody waits behind a full gate."""

    def __init__(
        self,
        *,
        clock: Clock,
        recorder: Recorder,
        limits: AttemptLimits,
        breaker: BreakerPolicy | None,
        finish: Finish,
        wake: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._recorder = recorder
        self._finish = finish
        self._wake = wake
        self._limits = limits
        self._host_limit = limits.of_host
        self._slots: Slots[Run] = Slots(limits.running)
        self._background = self._slots.gate(Limit.BACKGROUND, "", background_limit(limits.running))
        self._shared = SharedLimits()
        self._circuits = Circuits(slots=self._slots, clock=clock, recorder=recorder, policy=breaker, host_limit=self._host_limit, wake=wake)
        self._fresh: deque[Ticket[Run]] = deque()
        self._untold: deque[tuple[int, Ticket[Run]]] = deque()
        self._expiries: list[tuple[int, int, Ticket[Run]]] = []
        self._order = itertools.count()
        self._steps_us = 0
        """How far the clock was stepped in all: ranks are in the time of a clock that was not, so that each keeps its place."""

    @property
    def waiting(self) -> int:
        """How many are due and have not got their turn."""
        return self._slots.waiting

    @property
    def aside(self) -> int:
        """How many of them are held by something other than the global limit."""
        return self._slots.aside

    @property
    def pressed(self) -> bool:
        """Whether runs wait for nothing but a free slot."""
        return self._slots.waiting > self._slots.aside

    @property
    def background_waiting(self) -> int:
        """How many wait for the background's share of the global limit, or for that limit itself, as all that is on time does."""
        return self._background.held + self._slots.waiting - self._slots.aside

    @property
    def running(self) -> int:
        """How many have had their turn and are not freed."""
        return self._slots.all.taken

    def load(self, limits: Mapping[int, Concurrency]) -> None:
        """Take in what the stored schedules, by row, say about their keys."""
        for row, concurrency in limits.items():
            self._shared.put(row, concurrency)

    def schedule_changed(self, schedule: Schedule) -> None:
        """A schedule's change has been committed: its key's limit follows."""
        self._share(schedule.row, schedule.policies.concurrency if schedule.state is not ScheduleState.DELETED else None)

    def leave(self, row: int) -> None:
        """A schedule is gone: what it said about its key's limit, too."""
        self._share(row, None)

    def _share(self, row: int, concurrency: Concurrency | None) -> None:
        before = self._shared.key_of(row)
        if concurrency is None and before is None:
            return
        self._shared.put(row, concurrency)
        for key in {before, concurrency.key if concurrency else None}:
            gate = self._slots.known(Limit.KEY, key) if key is not None else None
            limit = self._shared.limit(gate.name) if gate is not None else None
            if gate is not None and limit is not None:
                self._slots.set_limit(gate, limit)
                self._slots.set_limit(self._share_of(gate), background_limit(limit))
                self._wake()

    def put(self, run: Run) -> None:
        """Let a run that is due wait for its turn."""
        lane = self._lane_of(run.definition)
        rank = run.since_us - self._steps_us - run.definition.schedule.policies.priority * AGEING_US
        if run.background:
            lane, rank = self._background_lane(lane), rank + BACKGROUND_US
        elif run.attempt and lane.skips:
            lane = self._slots.lane(lane.gates)  # A policy may skip an occurrence, but not the rest of one that has begun.
        run.state = ExecutionState.QUEUED
        run.ticket = self._slots.put(run, lane, rank)
        self._fresh.append(run.ticket)

    def seize(self, run: Run) -> None:
        """It has its turn already, and counts; if that is more than a limit allows, others wait until it is less."""
        lane = self._lane_of(run.definition)
        run.ticket = self._slots.seize(run, self._background_lane(lane) if run.background else lane)

    def crowded(self, definition: Definition, most: int) -> bool:
        """Whether as many as `most` of the background wait in the lane of a schedule: where a host hangs, more would be of no use."""
        return self._background_lane(self._lane_of(definition)).live >= most

    def next(self) -> Run | None:
        """The run whose turn it is. One that does not wait where it would have to is skipped instead, and FINISHED."""
        if (turn := self._slots.next()) is None:
            return None
        ticket, refused_by = turn
        if refused_by is not None:
            self._skip(ticket.item, refused_by)
        elif gates := ticket.lane.gates:
            ticket.era = gates[0].era
        return ticket.item

    def withdraw(self, run: Run) -> None:
        """It waits no longer; nothing happens if it does not wait."""
        if run.ticket is not None:
            self._slots.withdraw(run.ticket)
            run.ticket = None

    def free(self, run: Run, result: AttemptResult | None = None) -> None:
        """Its attempt has come to this, and gives back what it took; without a result: it does not use its turn."""
        ticket = run.ticket
        assert ticket is not None, "it had its turn"
        run.ticket = None
        self._slots.free(ticket)
        gates = ticket.lane.gates
        if gates and gates[0].kind in _OF_HOST:
            self._circuits.freed(gates[0], ticket.era)
            if result is not None:
                self._circuits.book(gates[0], ticket.era, result)

    def settle(self, now_us: int, at_once: int) -> Iterator[None]:
        """See to some of those that have come since and did not get their turn, `at_once` at a time."""
        for index in range(1, min(len(self._fresh), AT_ONCE) + 1):
            if not self._slots.waiting:
                self._fresh.clear()
                return
            ticket = self._fresh.popleft()
            if ticket.waits:
                self._hold(ticket, now_us)
            if index % at_once == 0:
                yield

    def look(self, now_us: int) -> None:
        """Do what time asks for: probe hosts, tell of some who wait, and end some that have waited too long."""
        self._circuits.look()
        untold, expiries = self._untold, self._expiries
        for _ in range(AT_ONCE):
            if not untold or (untold[0][1].waits and untold[0][0] > now_us):
                break
            ticket = untold.popleft()[1]
            if ticket.waits:
                self._tell(ticket, self._slots.holder(ticket), now_us)
        for _ in range(AT_ONCE):
            if not expiries or (expiries[0][2].waits and expiries[0][0] > now_us):
                break
            ticket = heapq.heappop(expiries)[2]
            if ticket.waits:
                self._expire(ticket.item, self._slots.holder(ticket))

    def next_us(self, now_us: int) -> int | None:
        """When to look next."""
        if self._fresh:
            return now_us
        times = [self._untold[0][0]] if self._untold else []
        if self._expiries:
            times.append(self._expiries[0][0])
        probe_us = self._circuits.next_us(now_us)
        if probe_us is not None:
            times.append(probe_us)
        return min(times, default=None)

    def clock_stepped(self, by_us: int) -> None:
        """The clock was stepped: nobody's wait gets longer or shorter."""
        self._steps_us += by_us
        self._untold = deque((at_us + by_us, ticket) for at_us, ticket in self._untold)
        self._expiries = [(at_us + by_us, number, ticket) for at_us, number, ticket in self._expiries]

    def circuits(self, now_us: int) -> tuple[CircuitStanding, ...]:
        """The circuit breakers that are not closed."""
        return self._circuits.standings(now_us)

    def holdups(self, definition: Definition, now_us: int) -> tuple[Holdup, ...]:
        """What is full now of that through which a schedule's runs go."""
        lane = self._lane_of(definition)
        full = [gate for gate in (*lane.gates, self._slots.all) if gate.full]
        return tuple(Holdup(reason=_reason(gate), evidence=self._evidence(gate, now_us), skips=gate.kind in lane.skips) for gate in full)

    def _lane_of(self, definition: Definition) -> Lane[Run]:
        lane = definition.lane
        if lane is None:
            lane = definition.lane = self._lane(definition)
        return lane

    def _background_lane(self, lane: Lane[Run]) -> Lane[Run]:
        """The lane of what runs in the background where others take this one. It waits, whatever they do.

        Its last gate is the background's own, so that those that stand aside there have room everywhere else.
        """
        return self._slots.lane((*(each for gate in lane.gates for each in (gate, self._share_of(gate))), self._background))

    def _share_of(self, gate: Gate) -> Gate:
        """What the background may take of a host's limit, or a key's."""
        kind, limit = (Limit.KEY, gate.limit) if gate.kind is Limit.KEY else (Limit.HOST, self._host_limit)
        return self._slots.gate(Limit.BACKGROUND, f"{kind} {gate.name}", background_limit(limit))

    def _lane(self, definition: Definition) -> Lane[Run]:
        """The gates that a schedule's runs go through: its host's first."""
        schedule = definition.schedule
        concurrency = schedule.policies.concurrency
        gates: tuple[Gate, ...] = ()
        if isinstance(schedule.target, HttpTarget):
            gates = (self._slots.gate(Limit.HOST, host_of(schedule.target.url), self._host_limit),)
        if concurrency is not None:
            limit = self._shared.limit(concurrency.key) or concurrency.limit
            gates = (*gates, self._slots.gate(Limit.KEY, concurrency.key, limit))
        return self._slots.lane(gates, _skips(schedule.policies))

    def _hold(self, ticket: Ticket[Run], now_us: int) -> None:
        lane = ticket.lane
        refused_by = lane.refused_by()
        holder = refused_by or self._slots.holder(ticket)
        crowded = lane.at is not None and (lane.live > self._limits.held_together or self._slots.aside > self._limits.held)
        if refused_by is not None or (crowded and not ticket.item.attempt):
            self._skip(ticket.item, holder)
        elif holder.kind in _TOLD_AT_ONCE:
            self._tell(ticket, holder, now_us)
        else:
            self._untold.append((now_us + NOTEWORTHY_US, ticket))

    def _tell(self, ticket: Ticket[Run], holder: Gate, now_us: int) -> None:
        """Journal that it waits, unless a daemon before this one did; and see to it that it does not wait for ever."""
        run = ticket.item
        reason = _reason(holder)
        if run.reason is not reason:
            self._recorder.queued(run, reason, now_us=now_us, evidence=self._evidence(holder, now_us))
        if run.background and not run.attempt:
            return
        heapq.heappush(self._expiries, (_waits_until_us(run), next(self._order), ticket))
        if len(self._expiries) > 2 * self._slots.waiting + _PRUNE_FLOOR:
            self._expiries = [entry for entry in self._expiries if entry[2].waits]
            heapq.heapify(self._expiries)

    def _skip(self, run: Run, holder: Gate) -> None:
        self.withdraw(run)
        self._finish(run, Outcome.SKIPPED, _reason(holder), evidence=self._evidence(holder, self._clock.now_us()))

    def _expire(self, run: Run, holder: Gate) -> None:
        """It has waited as long as it may: one that never ran is skipped, a retry is the last."""
        if not run.attempt:
            self._skip(run, holder)
            return
        self.withdraw(run)
        self._finish(run, Outcome.FAILED, Reason.RETRY_MAX_AGE, evidence=self._evidence(holder, self._clock.now_us()))

    def _evidence(self, holder: Gate, now_us: int) -> Evidence:
        if holder.kind is Limit.CIRCUIT:
            return {"host": holder.name, "probe_us": self._circuits.probe_us(holder, now_us)}
        evidence: dict[str, str | int | float | bool] = {"limited_by": holder.kind.value, "limit": holder.limit, "running": holder.taken}
        if holder.name:
            evidence[holder.kind.value] = holder.name
        return evidence


def _skips(policies: Policies) -> frozenset[Limit]:
    """The kinds of limits for which a schedule's occurrences do not wait."""
    holds = [(Limit.CIRCUIT, policies.circuit_open)]
    if policies.concurrency is not None:
        holds.append((Limit.KEY, policies.concurrency.when_full))
    return frozenset(limit for limit, hold in holds if hold is Hold.SKIP)


def _reason(holder: Gate) -> Reason:
    return Reason.CIRCUIT_OPEN if holder.kind is Limit.CIRCUIT else Reason.CONCURRENCY


def _waits_until_us(run: Run) -> int:
    """No attempt starts later than this.

    The retry policy's age counts from the due time; of a late occurrence's first attempt from when it was taken up, and of a redelivered
    one from its redelivery.
    """
    execution = run.execution
    taken_up_us = execution.redelivered_us or (0 if run.attempt else execution.armed_us)
    return max(execution.due_us, taken_up_us) + run.shift_us + run.definition.schedule.policies.retry.max_age // _MICROSECOND
