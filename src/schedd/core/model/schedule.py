"""A schedule: trigger(s), target, policies and state, named `groups/{group}/schedules/{schedule}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from schedd.core.model.policy import Policies
from schedd.core.model.target import Target
from schedd.core.model.when import When

NAME_PATTERN = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?"
"""What a group's or a schedule's own part of a name may be: 1..64 letters, digits, dots, dashes, underscores."""


class ScheduleState(StrEnum):
    """Where a schedule stands."""

    ENABLED = "ENABLED"
    PAUSED = "PAUSED"
    """Somebody paused it; `Pause` says who and why."""
    DISABLED = "DISABLED"
    """schedd itself quarantined it; `state_reason` says why."""
    COMPLETED = "COMPLETED"
    """Its rule yields no further occurrence and nothing of it is unfinished."""
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ScheduleName:
    """A schedule's name in its parts; `str()` gives the resource name."""

    group: str
    schedule: str

    def __str__(self) -> str:
        return f"groups/{self.group}/schedules/{self.schedule}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Who paused a schedule, since when, why, and until when (without `until_us`: until somebody resumes it). UTC microseconds."""

    actor: str
    since_us: int
    reason: str = ""
    until_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One schedule as it stands after its `generation`-th change.

    `row` is its dense place in the store and in the timeline (0 until it is stored; places of purged schedules are used again);
    `uid` never returns. Occurrences up to and including `planned_from_us` are not this definition's business. Instants are UTC
    microseconds.
    """

    name: ScheduleName
    when: When
    target: Target
    policies: Policies = Policies()
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    state: ScheduleState = ScheduleState.ENABLED
    state_reason: str = ""
    pause: Pause | None = None
    row: int = 0
    uid: int = 0
    generation: int = 1
    creator: str = ""
    created_us: int = 0
    updated_us: int = 0
    deleted_us: int | None = None
    planned_from_us: int = 0
