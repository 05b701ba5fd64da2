"""The journal: the append-only record of every decision and change. Watching, audit and explain all read it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from schedd.core.model.execution import Cause
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import ScheduleName

Evidence = Mapping[str, str | int | float | bool]
"""The facts behind a decision, by snake_case name."""

NO_EVIDENCE: Final[Evidence] = MappingProxyType({})

DAEMON = "schedd"
"""The actor of what the daemon decides by itself."""


class JournalKind(StrEnum):
    """What happened."""

    SCHEDULE_CREATED = "SCHEDULE_CREATED"
    SCHEDULE_UPDATED = "SCHEDULE_UPDATED"
    SCHEDULE_PAUSED = "SCHEDULE_PAUSED"
    SCHEDULE_RESUMED = "SCHEDULE_RESUMED"
    SCHEDULE_DISABLED = "SCHEDULE_DISABLED"
    SCHEDULE_COMPLETED = "SCHEDULE_COMPLETED"
    SCHEDULE_DELETED = "SCHEDULE_DELETED"
    SCHEDULE_UNDELETED = "SCHEDULE_UNDELETED"
    SCHEDULE_PURGED = "SCHEDULE_PURGED"
    EXECUTION_ARMED = "EXECUTION_ARMED"
    EXECUTION_DISARMED = "EXECUTION_DISARMED"
    """Taken back before it was due: its schedule changed, or the clock was set back; its occurrence is decided anew."""
    EXECUTION_QUEUED = "EXECUTION_QUEUED"
    EXECUTION_STARTED = "EXECUTION_STARTED"
    """An attempt has started."""
    EXECUTION_ADOPTED = "EXECUTION_ADOPTED"
    """An attempt outlived the daemon that had started it, and its end is waited for."""
    EXECUTION_RETRYING = "EXECUTION_RETRYING"
    """An attempt has failed and another one will be made."""
    EXECUTION_FINISHED = "EXECUTION_FINISHED"
    EXECUTION_DEAD_LETTERED = "EXECUTION_DEAD_LETTERED"
    """Its last attempt failed, and what that sent is kept."""
    EXECUTION_REDELIVERED = "EXECUTION_REDELIVERED"
    """It had ended, and is taken up again on request."""
    EXECUTION_FOLLOWED_UP = "EXECUTION_FOLLOWED_UP"
    """What follows its end was done, a target notified, or was left out: evidence has the policy's field as `follow_up`."""
    DEAD_LETTERS_PURGED = "DEAD_LETTERS_PURGED"
    """The execution's dead letter was removed on request."""
    OCCURRENCES_MISSED = "OCCURRENCES_MISSED"
    """A range of occurrences that were not run: evidence has `first_us`, `last_us` (both included) and `count`."""
    OCCURRENCES_SKIPPED = "OCCURRENCES_SKIPPED"
    """The same, by policy (paused, say)."""
    OCCURRENCES_MOVED = "OCCURRENCES_MOVED"
    """Other time zone data moved coming occurrences: evidence has the first one, as `old_us` and `new_us`, if it has both."""
    BACKFILL_STARTED = "BACKFILL_STARTED"
    """Somebody asked for the occurrences of a past range."""
    BACKFILL_FINISHED = "BACKFILL_FINISHED"
    DAEMON_STARTED = "DAEMON_STARTED"
    DAEMON_STOPPED = "DAEMON_STOPPED"
    CONFIGURATION_RELOADED = "CONFIGURATION_RELOADED"
    CLOCK_STEPPED = "CLOCK_STEPPED"
    HOST_SUSPENDED = "HOST_SUSPENDED"
    CALENDAR_CREATED = "CALENDAR_CREATED"
    """About a calendar; evidence has its resource name as `calendar`."""
    CALENDAR_UPDATED = "CALENDAR_UPDATED"
    CALENDAR_DELETED = "CALENDAR_DELETED"
    CIRCUIT_OPENED = "CIRCUIT_OPENED"
    CIRCUIT_HALF_OPENED = "CIRCUIT_HALF_OPENED"
    CIRCUIT_CLOSED = "CIRCUIT_CLOSED"


class ExecutionFacts(NamedTuple):
    """What never changes about an execution."""

    id: int
    cause: Cause
    nominal_us: int
    due_us: int


class JournalEntry(NamedTuple):
    """One row of the journal. `sequence` is 0 until it is committed, then ascends without bound; gaps are possible.

    `schedule` and `schedule_row` are absent (None, 0) for what concerns the daemon alone. `outcome` is there in EXECUTION_FINISHED, and
    for ranges of occurrences. `attempt` is the execution's at the time of the entry. `time_us` is UTC microseconds.
    """

    time_us: int
    kind: JournalKind
    actor: str = DAEMON
    schedule: ScheduleName | None = None
    schedule_row: int = 0
    schedule_uid: int = 0
    execution: ExecutionFacts | None = None
    attempt: int = 0
    outcome: Outcome | None = None
    reason: Reason = Reason.NONE
    evidence: Evidence = NO_EVIDENCE
    sequence: int = 0


class JournalPage(NamedTuple):
    """Entries in order, the sequence number of the last row that was read for them (0: of none), and whether no other row followed."""

    entries: tuple[JournalEntry, ...]
    last_read: int
    is_last: bool
