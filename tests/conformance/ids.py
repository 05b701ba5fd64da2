"""What every implementation of the port `schedd.core.ports.Ids` has to keep.

A test module subclasses `IdsSuite` and says in `make` how one is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schedd.core.ports import Clock, Ids
from tests.engine.rig import SECOND, HandClock

LARGEST = 2**63 - 1
STEPS_S = st.lists(st.floats(-1e6, 1e6), max_size=30)


class IdsSuite(ABC):
    """The suite."""

    @abstractmethod
    def make(self, clock: Clock, last: int) -> Ids:
        """Ids on this clock, for a store whose newest id is `last`."""

    def test_ids_on_a_standing_clock_ascend_and_are_positive_63_bit_numbers(self) -> None:
        ids = self.make(HandClock(), 0)
        given_out = [ids.new_id() for _ in range(5000)]
        assert all(one < two for one, two in pairwise(given_out))
        assert given_out[0] > 0
        assert given_out[-1] <= LARGEST

    def test_ids_of_a_later_daemon_are_greater_than_the_earlier_ones(self) -> None:
        clock = HandClock()
        last = 0
        for _ in range(5):
            ids = self.make(clock, last)
            first = ids.new_id()
            assert first > last
            last = max(ids.new_id() for _ in range(100))
            clock.step(-3600 * SECOND)

    def test_ids_after_one_from_the_future_are_greater_than_that(self) -> None:
        clock = HandClock()
        clock.step(10**9 * SECOND)
        future = self.make(clock, 0).new_id()
        clock.step(-(10**9) * SECOND)
        assert self.make(clock, future).new_id() > future

    def test_ids_of_a_later_millisecond_are_greater_whoever_gives_them(self) -> None:
        clock = HandClock()
        one = self.make(clock, 0)
        early = [one.new_id() for _ in range(1000)]
        clock.move(SECOND)
        assert self.make(clock, 0).new_id() > max(early)

    @given(steps_s=STEPS_S)
    def test_ids_ascend_however_the_clock_is_stepped(self, steps_s: list[float]) -> None:
        clock = HandClock()
        ids = self.make(clock, 0)
        given_out = [ids.new_id()]
        for step_s in steps_s:
            clock.step(int(step_s * SECOND))
            given_out.append(ids.new_id())
        assert all(one < two for one, two in pairwise(given_out))
        assert given_out[-1] <= LARGEST
