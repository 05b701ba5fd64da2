"""Explanations: what happened, or would happen, to occurrences, and why."""

from __future__ import annotations

from dataclasses import dataclass, field

from schedd.core.model.journal import Evidence, JournalEntry
from schedd.core.model.reason import Outcome, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What happened to one occurrence, or to a range of them that met the same fate. Instants are UTC microseconds.

    `first_us` and `last_us` are nominal times, both included. `count` is how many occurrences these are, 0 where there is none at that
    time. With `predicted` it is yet to come, and the rest is what would happen as things stand. `outcome` is None where nothing has ended,
    or nothing is known. `execution_id` is 0 if there was no execution. `summary` is one sentence for people. `entries` are what the journal
    has on it, oldest first.
    """

    first_us: int
    last_us: int
    count: int = 1
    predicted: bool = False
    outcome: Outcome | None = None
    reason: Reason = Reason.NONE
    execution_id: int = 0
    summary: str = ""
    evidence: Evidence = field(default_factory=dict)
    entries: tuple[JournalEntry, ...] = ()
