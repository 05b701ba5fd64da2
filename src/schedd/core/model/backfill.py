"""A backfill: a range of past nominal times that is worked off piece by piece.

Somebody asked for it (cause BACKFILL), or it is the backlog of a catch-up policy that runs all misfires, or of a pause (cause SCHEDULE).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from schedd.core.model.execution import Cause
from schedd.core.model.journal import JournalEntry
from schedd.core.model.policy import Overlap
from schedd.core.model.schedule import ScheduleName

OCCURRENCES_MAX = 100_000
"""The most occurrences in one range."""

RATE_MAX = 1000.0
"""The most executions a second that one range starts."""

RATE_DEFAULT = 10.0


class BackfillState(StrEnum):
    """Where a backfill stands."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    """All of its occurrences have been decided, and their executions have ended."""
    CANCELLED = "CANCELLED"
    """It was ended before; what had started by then ran on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many occurrences of a backfill have ended, and how; `done` counts all of them."""

    done: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A range [start_us, end_us) and how far it is worked off. Instants are UTC microseconds.

    `next_us` is the first nominal time that is not decided yet, None: there is none. `left` is how many more may be decided. `paced_us` is
    the earliest instant at which the next may start. `total` counts the range's occurrences when it was asked for; 0 for a backlog's.
    `actor` is who asked for it, or ended the pause.
    """

    id: int
    schedule: ScheduleName
    schedule_row: int
    schedule_uid: int
    start_us: int
    end_us: int
    created_us: int
    next_us: int | None
    left: int
    cause: Cause = Cause.BACKFILL
    overlap: Overlap = Overlap.BUFFER_ALL
    rate_per_second: float = RATE_MAX
    paced_us: int = 0
    total: int = 0
    actor: str = ""
    state: BackfillState = BackfillState.RUNNING
    finished_us: int | None = None
    progress: Progress = Progress()


class BackfillStep(NamedTuple):
    """How far a range is worked off after a step; `skipped` occurrences of the step were not run again.

    A catch-up's row goes with the step after which nothing is left.
    """

    id: int
    next_us: int | None
    left: int
    paced_us: int
    skipped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillEnd:
    """The end of a range, and what is journaled about it. A catch-up's row goes with it."""

    id: int
    state: BackfillState
    finished_us: int
    entries: tuple[JournalEntry, ...]
