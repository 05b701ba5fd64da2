"""Follow-ups: which of them follow an end, and whether they would go round in a circle."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from schedd.core.model.policy import FollowUp, Policies, TriggerSchedule
from schedd.core.model.reason import Outcome


def follow_ups_of(policies: Policies, outcome: Outcome | None) -> tuple[str, tuple[FollowUp, ...]]:
    """What follows an end with that outcome, and the name of the policy that says so. Only a success and a failure are followed."""
    if outcome is Outcome.SUCCEEDED:
        return "on_success", policies.on_success
    if outcome is Outcome.FAILED:
        return "on_failure", policies.on_failure
    return "", ()


def triggered(policies: Policies) -> dict[str, str]:
    """The schedules that follow, by the field of the policies that names each, such as `on_success[0].schedule`."""
    named = (("on_success", policies.on_success), ("on_failure", policies.on_failure))
    return {
        f"{name}[{index}].schedule": follow_up.schedule
        for name, follow_ups in named
        for index, follow_up in enumerate(follow_ups)
        if isinstance(follow_up, TriggerSchedule)
    }


def circle(start: str, following: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The shortest way from a schedule through those that follow back to itself, both ends included; empty if there is none."""
    before: dict[str, str] = {}
    to_visit = deque([start])
    while to_visit:
        name = to_visit.popleft()
        for after in following.get(name, ()):
            if after == start:
                return _way(start, name, before)
            if after not in before:
                before[after] = name
                to_visit.append(after)
    return ()


def _way(start: str, last: str, before: Mapping[str, str]) -> tuple[str, ...]:
    way = [start, last]
    while way[-1] != start:
        way.append(before[way[-1]])
    return tuple(reversed(way))
