"""Runs that are left, and failures in a row."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schedd.core.lifetime import failures_in_a_row, runs_left
from schedd.core.model.execution import Cause, Execution, ExecutionState
from schedd.core.model.reason import Outcome
from schedd.core.model.schedule import ScheduleName

_OUTCOMES = st.lists(st.tuples(st.sampled_from(Outcome), st.integers(1, 3)), max_size=12)


def execution(number: int, outcome: Outcome, generation: int) -> Execution:
    name = ScheduleName(group="default", schedule="job")
    return Execution(number, name, 1, 7, generation, Cause.SCHEDULE, number, number, number, ExecutionState.FINISHED, outcome)


@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
def test_runs_left_never_let_the_limit_be_passed(limit: int, ran: int, unfinished: int) -> None:
    left = runs_left(limit, ran=ran, unfinished=unfinished)
    assert left >= 0
    assert left == 0 or ran + unfinished + left == limit


@given(_OUTCOMES)
def test_failures_in_a_row_are_all_failures_since_the_newest_success_of_this_generation(ended: list[tuple[Outcome, int]]) -> None:
    ended.sort(key=lambda one: one[1], reverse=True)
    newest = [execution(100 - index, outcome, generation) for index, (outcome, generation) in enumerate(ended)]
    failed = failures_in_a_row(newest, generation=2)
    successes = [one.id for one in newest if one.outcome is Outcome.SUCCEEDED]
    last_success = max(successes, default=0)
    assert [one.id for one in failed] == [
        one.id for one in newest if one.outcome is Outcome.FAILED and one.generation >= 2 and one.id > last_success
    ]


def test_failures_in_a_row_are_not_broken_by_what_did_not_run() -> None:
    outcomes = [Outcome.FAILED, Outcome.SKIPPED, Outcome.MISSED, Outcome.FAILED, Outcome.SUCCEEDED, Outcome.FAILED]
    newest = [execution(9 - index, outcome, 1) for index, outcome in enumerate(outcomes)]
    assert [one.id for one in failures_in_a_row(newest, generation=1)] == [9, 6]
