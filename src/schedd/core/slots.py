"""Slots: what may run now, when every run needs room under several limits at once, and which goes first.

A `Gate` is one limit with what it has let through: the host of a target, a key that schedules share, and one for everything. A `Lane` is
the queue of those that need the same gates, so it is a lane that is blocked and let go, never each of its items. A lane whose gate is
full stands aside at that gate; nobody behind it waits for it.
"""

from __future__ import annotations

import heapq
import itertools
from enum import StrEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

T = TypeVar("T")


class Limit(StrEnum):
    """What kind of limit a gate is."""

    GLOBAL = "global"
    HOST = "host"
    KEY = "key"
    CIRCUIT = "circuit"
    """A host's, while its circuit breaker is not closed."""
    BACKGROUND = "background"
    """What the background may take of another limit."""


_NOWHERE: Final[frozenset[Limit]] = frozenset()
_PRUNE_FLOOR: Final = 256


class Gate:
    """One limit. At most `limit` are let through at the same time; `taken` are, and `held` wait in the lanes that stand aside here.

    `era` counts how often its kind has changed.
    """

    __slots__ = ("__weakref__", "aside", "era", "held", "kind", "limit", "name", "taken")

    def __init__(self, kind: Limit, name: str, limit: int) -> None:
        self.kind = kind
        self.name = name
        self.limit = limit
        self.taken = 0
        self.held = 0
        self.era = 0
        self.aside: list[tuple[int, int, Lane[Any]]] = []
        """The lanes that stand aside here, a heap by their first one's rank; some entries are out of date."""

    @property
    def full(self) -> bool:
        """Whether nothing more is let through now."""
        return self.taken >= self.limit


class Lane(Generic[T]):
    """The queue of those that need the same gates. Where one is full whose kind is in `skips`, they do not wait but are given back."""

    __slots__ = ("__weakref__", "at", "gates", "live", "queue", "skips")

    def __init__(self, gates: tuple[Gate, ...], skips: frozenset[Limit]) -> None:
        self.gates = gates
        self.skips = skips
        self.live = 0
        """How many wait here."""
        self.at: Gate | None = None
        """Where it stands aside; None: it is in the running."""
        self.queue: list[tuple[int, int, Ticket[T]]] = []
        """A heap. What was withdrawn may be in it, but is never the first."""

    def blocked_by(self) -> Gate | None:
        """The first of its gates that is full."""
        for gate in self.gates:
            if gate.taken >= gate.limit:
                return gate
        return None

    def refused_by(self) -> Gate | None:
        """The gate that is full and at which this lane does not wait."""
        gate = self.blocked_by()
        return gate if gate is not None and gate.kind in self.skips else None


class Ticket(Generic[T]):
    """One item's place: in its lane while it waits, then, until it is freed, what it has taken. `era` is its first gate's at that time."""

    __slots__ = ("era", "item", "lane", "waits")

    def __init__(self, item: T, lane: Lane[T]) -> None:
        self.item = item
        self.lane = lane
        self.waits = True
        self.era = 0


class Turn(NamedTuple, Generic[T]):
    """Whose turn it is. With `refused_by` it has taken nothing: that gate is full, and its lane does not wait there."""

    ticket: Ticket[T]
    refused_by: Gate | None = None


class Slots(Generic[T]):
    """Everything that waits for room, and what has it. The lowest rank goes first, and of equal ranks the first that came.

    Laws: no gate lets through more than its limit; after `next` has given None, each that waits has a gate (or everything's) that is
    full. A put or a turn costs two steps on heaps, of the lane and of the lanes.
    """

    def __init__(self, limit: int) -> None:
        self.all = Gate(Limit.GLOBAL, "", limit)
        self.waiting = 0
        """How many wait."""
        self.aside = 0
        """How many of them are in lanes that stand aside."""
        self._count = itertools.count()
        self._ready: list[tuple[int, int, Lane[T]]] = []
        self._gates: WeakValueDictionary[tuple[Limit, str], Gate] = WeakValueDictionary()
        self._lanes: WeakValueDictionary[tuple[tuple[Gate, ...], frozenset[Limit]], Lane[T]] = WeakValueDictionary()
        self._choosy: WeakKeyDictionary[Gate, WeakSet[Lane[T]]] = WeakKeyDictionary()
        """By gate, the lanes through it that do not wait at a circuit, which it may become."""

    def gate(self, kind: Limit, name: str, limit: int) -> Gate:
        """The gate of that kind and name; it is made with this limit if there is none, and lives as long as somebody refers to it."""
        gate = self._gates.get((kind, name))
        if gate is None:
            gate = self._gates[kind, name] = Gate(kind, name, limit)
        return gate

    def known(self, kind: Limit, name: str) -> Gate | None:
        """The gate that was made with that kind and name, if it lives."""
        return self._gates.get((kind, name))

    def lane(self, gates: tuple[Gate, ...], skips: frozenset[Limit] = _NOWHERE) -> Lane[T]:
        """The lane through these gates; it lives as long as somebody refers to it."""
        lane = self._lanes.get((gates, skips))
        if lane is None:
            lane = self._lanes[gates, skips] = Lane(gates, skips)
            for gate in gates if Limit.CIRCUIT in skips else ():
                self._choosy.setdefault(gate, WeakSet()).add(lane)
        return lane

    def put(self, item: T, lane: Lane[T], rank: int) -> Ticket[T]:
        """Let an item wait for its turn."""
        ticket = Ticket(item, lane)
        entry = (rank, next(self._count), ticket)
        heapq.heappush(lane.queue, entry)
        lane.live += 1
        self.waiting += 1
        if lane.at is not None:
            self.aside += 1
            lane.at.held += 1
        if lane.queue[0] is entry:
            self._settle(lane)
        return ticket

    def seize(self, item: T, lane: Lane[T]) -> Ticket[T]:
        """An item that is through already takes what it needs, even beyond the limits, until `free`."""
        self.all.taken += 1
        for gate in lane.gates:
            gate.taken += 1
        ticket = Ticket(item, lane)
        ticket.waits = False
        return ticket

    def withdraw(self, ticket: Ticket[T]) -> None:
        """Take back one that waits; nothing happens if it does not."""
        if not ticket.waits:
            return
        lane = ticket.lane
        self._leave(ticket)
        queue = lane.queue
        if queue[0][2] is ticket:
            self._settle(lane)
        elif len(queue) > 2 * lane.live + _PRUNE_FLOOR:
            lane.queue = [entry for entry in queue if entry[2].waits]
            heapq.heapify(lane.queue)

    def next(self) -> Turn[T] | None:
        """Whose turn it is now; it has then taken what it needs, until `free`. None: nobody's."""
        ready, everything = self._ready, self.all
        while ready and everything.taken < everything.limit:
            _, number, lane = heapq.heappop(ready)
            if lane.at is not None or not lane.queue or lane.queue[0][1] != number:
                continue
            gate = lane.blocked_by()
            if gate is not None and gate.kind not in lane.skips:
                self._settle(lane)
                continue
            ticket = lane.queue[0][2]
            self._leave(ticket)
            if gate is None:
                everything.taken += 1
                for each in lane.gates:
                    each.taken += 1
                    if each.kind is Limit.CIRCUIT and each.full:
                        self._refuse(each)
            self._settle(lane)
            return Turn(ticket, gate)
        return None

    def free(self, ticket: Ticket[T]) -> None:
        """Give back what it has taken."""
        self.all.taken -= 1
        for gate in ticket.lane.gates:
            gate.taken -= 1
            if gate.aside:
                self._let_on(gate)

    def set_limit(self, gate: Gate, limit: int, kind: Limit | None = None) -> None:
        """From now on that many are let through; what is through already stays. Another `kind` begins a new era of the gate."""
        gate.limit = limit
        if kind is not None:
            gate.kind = kind
            gate.era += 1
        if gate.kind is Limit.CIRCUIT and gate.full:
            self._refuse(gate)
        self._let_on(gate)

    def holder(self, ticket: Ticket[T]) -> Gate:
        """The gate that one which waits is waiting for."""
        return ticket.lane.blocked_by() or self.all

    def _refuse(self, circuit: Gate) -> None:
        """It is full now: who does not wait at a circuit, and stands aside here or at another gate, is in the running to be given back."""
        for lane in [lane for lane in self._choosy.get(circuit, ()) if lane.at is not None]:
            self._settle(lane)

    def _leave(self, ticket: Ticket[T]) -> None:
        ticket.waits = False
        ticket.lane.live -= 1
        self.waiting -= 1
        if ticket.lane.at is not None:
            self.aside -= 1
            ticket.lane.at.held -= 1

    def _settle(self, lane: Lane[T]) -> None:
        """See to it that the first in the queue waits, that the lane stands where it belongs, and that it keeps no other from its turn."""
        queue = lane.queue
        while queue and not queue[0][2].waits:
            heapq.heappop(queue)
        if queue:
            gate = lane.blocked_by()
            if gate is None or gate.kind in lane.skips:
                self._line_up(lane)
            else:
                self._stand_aside(lane, gate)
        for gate in lane.gates:
            if gate.aside:
                self._let_on(gate)

    def _line_up(self, lane: Lane[T]) -> None:
        if lane.at is not None:
            lane.at.held -= lane.live
            lane.at = None
            self.aside -= lane.live
        rank, number, _ = lane.queue[0]
        heapq.heappush(self._ready, (rank, number, lane))
        self._prune(self._ready)

    def _stand_aside(self, lane: Lane[T], gate: Gate) -> None:
        if lane.at is None:
            self.aside += lane.live
        else:
            lane.at.held -= lane.live
        gate.held += lane.live
        lane.at = gate
        rank, number, _ = lane.queue[0]
        heapq.heappush(gate.aside, (rank, number, lane))
        self._prune(gate.aside)

    def _let_on(self, gate: Gate) -> None:
        """If there is room, line up the best of the lanes that stand aside there: it lets the next one on when its turn has come."""
        aside = gate.aside
        while aside and gate.taken < gate.limit:
            _, number, lane = heapq.heappop(aside)
            if lane.at is gate and lane.queue and lane.queue[0][1] == number:
                self._line_up(lane)
                return

    def _prune(self, heap: list[tuple[int, int, Lane[T]]]) -> None:
        """Drop the entries of what is no longer first in its lane, once they outnumber the others for certain."""
        if len(heap) > 2 * self.waiting + _PRUNE_FLOOR:
            current = {number: (rank, number, lane) for rank, number, lane in heap if lane.queue and lane.queue[0][1] == number}
            heap[:] = current.values()
            heapq.heapify(heap)
