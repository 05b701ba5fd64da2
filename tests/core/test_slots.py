"""Slots: laws over random puts, turns, ends, withdrawals and changed limits, judged by a plain list; and the cases that have names."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schedd.core.slots import Gate, Lane, Limit, Slots, Ticket, Turn

KEY_SKIPS = frozenset({Limit.KEY})
CIRCUIT_SKIPS = frozenset({Limit.CIRCUIT})


@dataclass
class Model:
    """What waits, as a list of (rank, number, gates, skips, ticket); what runs; and the limits."""

    waiting: list[tuple[int, int, tuple[Gate, ...], frozenset[Limit], Ticket[int]]] = field(default_factory=list)
    running: list[Ticket[int]] = field(default_factory=list)


class SlotsAgainstAList(RuleBasedStateMachine):
    """Random use of three hosts and two keys under a global limit of 4."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: Slots[int] = Slots(4)
        self.hosts = [self.slots.gate(Limit.HOST, f"h{n}", n + 1) for n in range(3)]
        self.keys = [self.slots.gate(Limit.KEY, f"k{n}", n + 1) for n in range(2)]
        self.model = Model()
        self.number = 0
        self.lanes: list[Lane[int]] = []

    @rule(
        rank=st.integers(0, 9),
        host=st.none() | st.integers(0, 2),
        key=st.none() | st.integers(0, 1),
        skips=st.sampled_from([frozenset(), KEY_SKIPS, CIRCUIT_SKIPS]),
    )
    def put(self, rank: int, host: int | None, key: int | None, skips: frozenset[Limit]) -> None:
        gates = (*(() if host is None else (self.hosts[host],)), *(() if key is None else (self.keys[key],)))
        self.number += 1
        ticket = self.slots.put(self.number, self.slots.lane(gates, skips), rank)
        self.model.waiting.append((rank, self.number, gates, skips, ticket))

    @rule()
    def turns(self) -> None:
        while (turn := self.slots.next()) is not None:
            self._judge(turn)
        assert self.slots.all.full or not self._movable(), "one waits although its limits have room"

    @rule()
    def turn(self) -> None:
        turn = self.slots.next()
        if turn is not None:
            self._judge(turn)

    def _judge(self, turn: Turn[int]) -> None:
        movable = self._movable()
        assert movable[0][4] is turn.ticket, "another one was first"
        _, _, gates, skips, ticket = movable[0]
        self.model.waiting.remove(movable[0])
        if turn.refused_by is None:
            self.model.running.append(ticket)
        else:
            assert turn.refused_by in gates
            assert turn.refused_by.kind in skips

    def _movable(self) -> list[tuple[int, int, tuple[Gate, ...], frozenset[Limit], Ticket[int]]]:
        """Those that can start now, or are to be refused, in the order of their rank."""

        def moves(gates: tuple[Gate, ...], skips: frozenset[Limit]) -> bool:
            blocking = next((gate for gate in gates if self._taken(gate) >= gate.limit), None)
            return blocking is None or blocking.kind in skips

        return sorted((each for each in self.model.waiting if moves(each[2], each[3])), key=lambda each: each[:2])

    def _taken(self, gate: Gate) -> int:
        return sum(gate in ticket.lane.gates for ticket in self.model.running)

    @precondition(lambda self: self.model.running)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.model.running) - 1))
        self.slots.free(self.model.running.pop(index))

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.model.waiting) - 1))
        self.slots.withdraw(self.model.waiting.pop(index)[4])

    @precondition(lambda self: self.model.running)
    @rule(data=st.data())
    def withdraw_what_runs(self, data: st.DataObject) -> None:
        self.slots.withdraw(data.draw(st.sampled_from(self.model.running)))

    @rule(host=st.integers(0, 2), limit=st.integers(0, 3))
    def set_limit(self, host: int, limit: int) -> None:
        self.slots.set_limit(self.hosts[host], limit)

    @rule(host=st.integers(0, 2), limit=st.integers(0, 3), kind=st.sampled_from([Limit.HOST, Limit.CIRCUIT]))
    def set_kind(self, host: int, limit: int, kind: Limit) -> None:
        era = self.hosts[host].era
        self.slots.set_limit(self.hosts[host], limit, kind)
        assert self.hosts[host].era == era + 1

    @invariant()
    def counts_agree(self) -> None:
        assert self.slots.waiting == len(self.model.waiting)
        assert self.slots.all.taken == len(self.model.running) <= self.slots.all.limit
        for gate in (*self.hosts, *self.keys):
            assert gate.taken == self._taken(gate)
        assert self.slots.aside == sum(each[4].lane.at is not None for each in self.model.waiting)
        for gate in (*self.hosts, *self.keys):
            assert gate.held == sum(each[4].lane.at is gate for each in self.model.waiting)


TestSlotsAgainstAList = SlotsAgainstAList.TestCase
TestSlotsAgainstAList.settings = settings(max_examples=300, stateful_step_count=60)


def drained(slots: Slots[str]) -> list[str]:
    """All whose turn comes without anything being freed."""
    names = []
    while (turn := slots.next()) is not None:
        names.append(turn.ticket.item)
    return names


def test_lowest_rank_goes_first_and_the_earlier_of_equals() -> None:
    slots: Slots[str] = Slots(9)
    lane, other = slots.lane(()), slots.lane((slots.gate(Limit.HOST, "h", 9),))
    for name, rank, place in (("late", 3, lane), ("a", 2, lane), ("b", 2, other), ("first", 1, other)):
        slots.put(name, place, rank)
    assert drained(slots) == ["first", "a", "b", "late"]


def test_full_host_holds_up_nobody_else() -> None:
    slots: Slots[str] = Slots(9)
    slow = slots.lane((slots.gate(Limit.HOST, "slow", 1),))
    for n in range(5):
        slots.put(f"slow{n}", slow, n)
    slots.put("other", slots.lane((slots.gate(Limit.HOST, "quick", 1),)), 99)
    assert drained(slots) == ["slow0", "other"]
    assert slots.aside == 4


def test_freed_slot_goes_to_the_best_of_all_lanes_of_the_key() -> None:
    slots: Slots[str] = Slots(9)
    key = slots.gate(Limit.KEY, "k", 1)
    lanes = [slots.lane((slots.gate(Limit.HOST, f"h{n}", 1), key)) for n in range(3)]
    for n, rank in ((0, 5), (1, 9), (2, 7)):
        slots.put(f"h{n}", lanes[n], rank)
    turn = slots.next()
    assert turn is not None
    assert turn.ticket.item == "h0"
    assert slots.next() is None
    slots.free(turn.ticket)
    assert drained(slots) == ["h2"]


def test_slot_that_is_seized_counts_beyond_the_limits_until_it_is_freed() -> None:
    slots: Slots[str] = Slots(9)
    key = slots.gate(Limit.KEY, "k", 1)
    lane = slots.lane((key,))
    seized = [slots.seize(name, lane) for name in ("a", "b")]
    slots.put("c", lane, 1)
    assert (slots.all.taken, key.taken, slots.next()) == (2, 2, None)
    slots.withdraw(seized[0])
    slots.free(seized[0])
    assert slots.next() is None
    slots.free(seized[1])
    assert drained(slots) == ["c"]


def test_lane_that_does_not_wait_is_refused_when_its_turn_finds_the_key_taken() -> None:
    slots: Slots[str] = Slots(9)
    lane = slots.lane((slots.gate(Limit.KEY, "k", 1),), KEY_SKIPS)
    slots.put("a", lane, 1)
    slots.put("b", lane, 2)
    assert lane.refused_by() is None
    turns = [slots.next(), slots.next()]
    assert [turn and (turn.ticket.item, turn.refused_by) for turn in turns] == [("a", None), ("b", lane.gates[0])]
    assert lane.refused_by() is lane.gates[0]


def test_lane_that_stands_at_its_key_is_refused_once_its_hosts_circuit_opens() -> None:
    slots: Slots[str] = Slots(9)
    host, key = slots.gate(Limit.HOST, "h", 9), slots.gate(Limit.KEY, "k", 1)
    slots.put("other", slots.lane((key,)), 0)
    assert drained(slots) == ["other"]
    slots.put("choosy", slots.lane((host, key), CIRCUIT_SKIPS), 0)
    assert slots.next() is None
    slots.set_limit(host, 0, Limit.CIRCUIT)
    turn = slots.next()
    assert turn is not None
    assert (turn.ticket.item, turn.refused_by) == ("choosy", host)


def test_lane_that_stands_at_its_key_is_refused_once_others_have_taken_the_probes_of_its_host() -> None:
    slots: Slots[str] = Slots(9)
    host, key = slots.gate(Limit.HOST, "h", 9), slots.gate(Limit.KEY, "k", 1)
    slots.set_limit(host, 1, Limit.CIRCUIT)
    slots.put("other", slots.lane((key,)), 0)
    assert drained(slots) == ["other"]
    choosy = slots.lane((host, key), CIRCUIT_SKIPS)
    slots.put("choosy", choosy, 0)
    assert slots.next() is None
    slots.put("probe", slots.lane((host,)), 1)
    turns = [slots.next(), slots.next()]
    assert [turn and (turn.ticket.item, turn.refused_by) for turn in turns] == [("probe", None), ("choosy", host)]


def test_withdrawn_ones_leave_no_rubbish_behind() -> None:
    slots: Slots[str] = Slots(0)
    lane = slots.lane(())
    kept = [slots.put("kept", lane, 5)]
    for n in range(1000):
        slots.withdraw(slots.put("behind", lane, 9))
        slots.withdraw(slots.put("before", lane, n % 5))
    assert slots.waiting == 1
    assert len(lane.queue) < 400
    assert len(slots._ready) < 400
    slots.set_limit(slots.all, 1)
    turn = slots.next()
    assert turn is not None
    assert [turn.ticket] == kept


def test_gate_and_lane_go_when_nobody_needs_them() -> None:
    slots: Slots[str] = Slots(1)
    lane = slots.lane((slots.gate(Limit.HOST, "h", 1),))
    assert slots.lane(lane.gates) is lane
    assert slots.known(Limit.HOST, "h") is slots.gate(Limit.HOST, "h", 9) is lane.gates[0]
    del lane
    assert slots.known(Limit.HOST, "h") is None


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 9)), min_size=1, max_size=50))
def test_holder_names_the_gate_that_is_full(claims: list[tuple[int, int]]) -> None:
    slots: Slots[int] = Slots(3)
    gates = [slots.gate(Limit.HOST, str(n), 1) for n in range(10)]
    tickets = [slots.put(rank, slots.lane((gates[host],)), rank) for rank, host in claims]
    while slots.next() is not None:
        pass
    assert all(slots.holder(ticket).full for ticket in tickets if ticket.waits)
