"""All that the judge of the simulation asks."""

from __future__ import annotations

from tests.simulation.consequences import closed_days_are_kept, conditions_decide, ends_are_followed_once, repetitions_do_nothing
from tests.simulation.oracle import JUDGES, Case
from tests.simulation.world import Ledger, World

_ALL = (*JUDGES, closed_days_are_kept, ends_are_followed_once, conditions_decide, repetitions_do_nothing)


def violations(world: World, ledger: Ledger) -> list[str]:
    """Everything that is not as it was promised."""
    case = Case(world, ledger)
    return [*world.faults, *(text for judge in _ALL for text in judge(case))]
