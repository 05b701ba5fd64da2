"""Which attempts may be under way at a start, and which survivor is one's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schedd.core.model.execution import ExecutionState, Survivor
from schedd.core.surviving import attempt_under_way, possible_attempts

UNFINISHED = st.sampled_from([state for state in ExecutionState if state is not ExecutionState.FINISHED])
SURVIVORS = st.lists(st.integers(1, 6).map(lambda attempt: Survivor(1, attempt, 100 + attempt, 0)), unique=True)


@given(UNFINISHED, st.integers(0, 5), SURVIVORS)
def test_attempt_under_way_is_the_newest_whose_end_is_not_recorded(state: ExecutionState, attempt: int, survivors: list[Survivor]) -> None:
    found = attempt_under_way(state, attempt, survivors)
    open_ones = [each for each in survivors if each.attempt > attempt or (state is ExecutionState.RUNNING and each.attempt == attempt)]
    assert (found is None) == (not open_ones)
    if found is not None:
        assert found in open_ones
        assert all(each.attempt <= found.attempt for each in open_ones)


@given(UNFINISHED, st.integers(0, 5))
def test_each_attempt_that_is_possible_would_be_found(state: ExecutionState, attempt: int) -> None:
    for number in possible_attempts(state, attempt):
        alone = Survivor(1, number, 100, 0)
        assert attempt_under_way(state, attempt, [alone]) is (alone if number or state is ExecutionState.RUNNING else None)


def test_attempt_that_waits_for_a_retry_has_ended() -> None:
    assert possible_attempts(ExecutionState.WAITING_RETRY, 2) == (3,)
    assert possible_attempts(ExecutionState.RUNNING, 2) == (2, 3)
    assert possible_attempts(ExecutionState.ARMED, 0) == (0, 1)
    assert attempt_under_way(ExecutionState.WAITING_RETRY, 2, [Survivor(1, 2, 100, 0)]) is None
