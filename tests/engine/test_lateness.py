"""The lateness of the latest fires."""

from __future__ import annotations

import pytest

from schedd.engine.lateness import KEPT, Lateness


@pytest.mark.parametrize(
    ("lateness_us", "p99_us"),
    [([], None), ([7], 7), (range(1, 101), 99), (range(100, 0, -1), 99), (range(1, 1001), 990), ([0] * 98 + [5, 9], 5)],
)
def test_p99_is_exceeded_by_one_in_a_hundred(lateness_us: list[int], p99_us: int | None) -> None:
    lateness = Lateness()
    for one_us in lateness_us:
        lateness.add(one_us)
    assert lateness.p99_us() == p99_us


def test_p99_forgets_what_is_older_than_the_last_ten_thousand() -> None:
    lateness = Lateness()
    for one_us in [10**9] * KEPT + [1] * KEPT:
        lateness.add(one_us)
    assert lateness.p99_us() == 1
