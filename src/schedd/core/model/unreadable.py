"""A schedule whose stored row cannot be read whole: what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schedd.core.model.policy import Policies
from schedd.core.model.schedule import Pause, Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import Target
from schedd.core.model.when import When


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableSchedule:
    """What can be read of such a schedule. It never runs; it can be shown, deleted, and replaced by a whole new definition.

    `state` is DISABLED, or DELETED once it is; `state_reason` says what cannot be read. A part that cannot be read is None, `labels` empty.
    `quarantined`: the stored row says by itself that it is out of service. Instants are UTC microseconds.
    """

    name: ScheduleName
    row: int
    uid: int
    generation: int
    state: ScheduleState
    state_reason: str
    quarantined: bool
    when: When | None
    target: Target | None
    policies: Policies | None
    pause: Pause | None
    labels: Mapping[str, str]
    description: str
    creator: str
    created_us: int
    updated_us: int
    deleted_us: int | None
    planned_from_us: int

    def replaced(self, definition: Schedule) -> Schedule:
        """The schedule with a whole new definition; it is enabled."""
        return Schedule(
            name=self.name,
            when=definition.when,
            target=definition.target,
            policies=definition.policies,
            description=definition.description,
            labels=definition.labels,
            row=self.row,
            uid=self.uid,
            generation=self.generation,
            creator=self.creator,
            created_us=self.created_us,
            updated_us=self.updated_us,
            planned_from_us=self.planned_from_us,
        )


StoredSchedule = Schedule | UnreadableSchedule
"""A schedule as the store has it."""
