"""Follow-ups: what follows which end, and the circles that they must not make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.following import circle, follow_ups_of, triggered
from schedd.core.model.policy import Notify, Policies, TriggerSchedule
from schedd.core.model.reason import Outcome
from schedd.core.model.target import HttpTarget

GOOD, BAD, HOOK = TriggerSchedule(schedule="good"), TriggerSchedule(schedule="bad"), Notify(target=HttpTarget(url="http://localhost/"))
POLICIES = Policies(on_success=(GOOD,), on_failure=(HOOK, BAD))

_GRAPHS = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3), max_size=6)


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_follow_ups_are_those_of_a_success_or_a_failure_and_of_nothing_else(outcome: Outcome | None) -> None:
    expected = {Outcome.SUCCEEDED: ("on_success", (GOOD,)), Outcome.FAILED: ("on_failure", (HOOK, BAD))}
    assert follow_ups_of(POLICIES, outcome) == (expected.get(outcome, ("", ())) if outcome else ("", ()))


def test_triggered_schedules_come_by_their_fields() -> None:
    assert triggered(POLICIES) == {"on_success[0].schedule": "good", "on_failure[1].schedule": "bad"}


def _reached(start: str, following: Mapping[str, Sequence[str]]) -> set[str]:
    reached: set[str] = set()
    while (more := {after for name in {start, *reached} for after in following.get(name, ())}) - reached:
        reached |= more
    return reached


@given(_GRAPHS, st.sampled_from("abcdef"))
def test_circle_is_found_exactly_when_a_schedule_leads_to_itself_and_its_steps_are_follow_ups(
    following: dict[str, list[str]], start: str
) -> None:
    way = circle(start, following)
    assert bool(way) == (start in _reached(start, following))
    assert all(after in following[name] for name, after in pairwise(way))
    if way:
        assert way[0] == way[-1] == start
        assert len(set(way)) == len(way) - 1


def test_circle_is_the_shortest_there_is() -> None:
    assert circle("a", {"a": ["b", "c"], "b": ["d"], "d": ["a"], "c": ["a"]}) == ("a", "c", "a")
    assert circle("a", {"a": ["a"]}) == ("a", "a")
