"""A failing seed for a person: what it stands for, what happened from outside and in the journal, in order of time, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from schedd.core.model.execution import id_text, instant_text
from schedd.core.model.journal import JournalEntry
from schedd.core.model.schedule import Schedule
from tests.simulation.world import Delivery, Ledger, World


def tale(world: World, ledger: Ledger, wrong: Sequence[str]) -> str:
    """The whole of it as text."""
    lines = [
        f"seed {world.plan.seed}; again: pytest tests/simulation --seed {world.plan.seed}",
        *(f"  {text}" for text in wrong),
        f"settings: {world.plan.settings}",
        *(_definition(schedule) for generations in ledger.generations.values() for schedule in generations),
        *(f"{name.schedule}: {conduct}" for name, conduct in world.plan.conducts.items()),
    ]
    told = [(int(moment), f"# {text}") for moment, _, text in (line.partition(" ") for line in world.diary)]
    told += [(delivery.wall_us, f"> {_delivered(delivery)}") for delivery in world.deliveries]
    told += [(entry.time_us, _journaled(entry)) for entry in ledger.journal]
    return "\n".join([*lines, *(f"{instant_text(at_us)} {text}" for at_us, text in sorted(told, key=lambda each: each[0]))])


def _definition(schedule: Schedule) -> str:
    return (
        f"{schedule.name.schedule} generation {schedule.generation} of {instant_text(schedule.updated_us)},"
        f" planned from {instant_text(schedule.planned_from_us)}: {schedule.state} {schedule.when} {schedule.policies}"
    )


def _delivered(delivery: Delivery) -> str:
    request = delivery.request
    came = "cut off" if delivery.cut else delivery.result.reason if delivery.result else "no result"
    name, nominal = request.schedule.schedule, instant_text(request.nominal_us)
    return f"{name} {nominal} attempt {request.attempt} of {id_text(request.execution_id)}: {came}"


def _journaled(entry: JournalEntry) -> str:
    name = entry.schedule.schedule if entry.schedule else ""
    facts = entry.execution
    what = f"{instant_text(facts.nominal_us)} {id_text(facts.id)}" if facts else ""
    parts = (str(entry.sequence), entry.kind, name, what, entry.outcome or "", entry.reason, str(dict(entry.evidence) or ""), entry.actor)
    return " ".join(part for part in parts if part)
