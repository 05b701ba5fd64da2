"""Jumps of the wall clock: told apart, added up while they are small, and none invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.clockjumps import TOLERANCE_US, Bearings, Jump, JumpKind, look

SECOND = 1_000_000
START = Bearings.of(wall_us=1_700_000_000 * SECOND, monotonic_us=5, boot_us=70)


@pytest.mark.parametrize(
    ("set_us", "slept_us", "jumps"),
    [
        (0, 0, []),
        (TOLERANCE_US, TOLERANCE_US, []),
        (-TOLERANCE_US, 0, []),
        (TOLERANCE_US + 1, 0, [(JumpKind.STEP, TOLERANCE_US + 1)]),
        (-3600 * SECOND, 0, [(JumpKind.STEP, -3600 * SECOND)]),
        (0, 60 * SECOND, [(JumpKind.SUSPEND, 60 * SECOND)]),
        (-SECOND, 60 * SECOND, [(JumpKind.SUSPEND, 60 * SECOND), (JumpKind.STEP, -SECOND)]),
    ],
)
def test_look_tells_suspends_from_steps(set_us: int, slept_us: int, jumps: list[tuple[JumpKind, int]]) -> None:
    now = Bearings(set_us=START.set_us + set_us, slept_us=START.slept_us + slept_us)
    found, bearings = look(START, now, 99)
    assert START.agree(now.set_us + now.slept_us + 7, 7, now.slept_us + 7) is not bool(jumps)
    assert list(found) == [Jump(kind, by_us, 99) for kind, by_us in jumps]
    assert look(bearings, now, 100).jumps == ()


@given(st.lists(st.tuples(st.integers(-2 * SECOND, 2 * SECOND), st.integers(0, SECOND))))
def test_jumps_add_up_to_what_has_happened(moves: list[tuple[int, int]]) -> None:
    kept = now = START
    seen = {JumpKind.STEP: 0, JumpKind.SUSPEND: 0}
    for set_us, slept_us in moves:
        now = Bearings(set_us=now.set_us + set_us, slept_us=now.slept_us + slept_us)
        jumps, kept = look(kept, now, 0)
        for jump in jumps:
            seen[jump.kind] += jump.by_us
        assert abs(now.set_us - START.set_us - seen[JumpKind.STEP]) <= TOLERANCE_US
        assert 0 <= now.slept_us - START.slept_us - seen[JumpKind.SUSPEND] <= TOLERANCE_US


@pytest.mark.parametrize(
    ("first_us", "last_us", "passed_over"),
    [(90, 90, False), (91, 91, True), (100, 100, True), (101, 120, False), (50, 200, True), (80, 95, True), (10, 90, False)],
)
def test_jump_ahead_has_passed_over_the_instants_after_its_start_up_to_its_end(first_us: int, last_us: int, passed_over: bool) -> None:
    jump = Jump(JumpKind.SUSPEND, 10, 100)
    assert jump.passed_over(first_us, last_us) is passed_over
    assert not jump.is_back


def test_step_back_is_one() -> None:
    assert Jump(JumpKind.STEP, -1, 0).is_back
