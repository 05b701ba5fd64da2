"""Shared limits: the lowest of those who share a key, whoever comes and goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schedd.core.model.policy import Concurrency
from schedd.core.sharing import SharedLimits

said = st.none() | st.builds(Concurrency, key=st.sampled_from("ab"), limit=st.integers(1, 5))


@given(st.lists(st.tuples(st.integers(0, 5), said), max_size=60))
def test_limit_of_a_key_is_the_lowest_of_its_schedules(changes: list[tuple[int, Concurrency | None]]) -> None:
    limits, model = SharedLimits(), dict[int, Concurrency | None]()
    for row, concurrency in changes:
        limits.put(row, concurrency)
        model[row] = concurrency
        assert limits.key_of(row) == (concurrency.key if concurrency else None)
        for key in "ab":
            lows = [each.limit for each in model.values() if each is not None and each.key == key]
            assert limits.limit(key) == min(lows, default=None)
