"""The life of a schedule as the journal has it: how it stood when, who brought that about, and since when its rule is the one of now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from schedd.core.changes import RULE_FIELDS
from schedd.core.explaining.record import Record
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.schedule import ScheduleState
from schedd.core.triggers import LAST_US

_BEFORE: Final = {
    JournalKind.SCHEDULE_RESUMED: ScheduleState.PAUSED,
    JournalKind.SCHEDULE_UNDELETED: ScheduleState.DELETED,
}
"""How a schedule stood before an entry, where that says it: otherwise it was enabled."""

_AFTER: Final = {
    JournalKind.SCHEDULE_CREATED: ScheduleState.ENABLED,
    JournalKind.SCHEDULE_RESUMED: ScheduleState.ENABLED,
    JournalKind.SCHEDULE_PAUSED: ScheduleState.PAUSED,
    JournalKind.SCHEDULE_DISABLED: ScheduleState.DISABLED,
    JournalKind.SCHEDULE_COMPLETED: ScheduleState.COMPLETED,
    JournalKind.SCHEDULE_DELETED: ScheduleState.DELETED,
}

LIFE_KINDS: Final = frozenset({*_AFTER, JournalKind.SCHEDULE_UNDELETED, JournalKind.SCHEDULE_UPDATED})
"""What changes how a schedule stands, or what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a schedule stood after `from_us`, up to and including `until_us`, and the entries that began and ended it, if they are kept."""

    from_us: int
    until_us: int
    state: ScheduleState
    began: JournalEntry | None = None
    ended: JournalEntry | None = None


class Life:
    """The standings of one schedule, from its creation on, without a gap."""

    def __init__(self, record: Record) -> None:
        self._schedule = record.schedule
        changes = [entry for entry in record.life if entry.kind in LIFE_KINDS]
        self._standings = self._read(changes)
        self.rule_change = next((entry for entry in reversed(changes) if changes_rule(entry)), None)

    @property
    def rule_from_us(self) -> int:
        """After this instant the schedule's occurrences are those of its rule of now."""
        return self._schedule.created_us if self.rule_change is None else self.rule_change.time_us

    def at(self, t_us: int) -> Standing:
        """How the schedule stood at an instant after its creation."""
        return next(standing for standing in self._standings if t_us <= standing.until_us)

    def _read(self, changes: Sequence[JournalEntry]) -> list[Standing]:
        first = changes[0].kind if changes else None
        state = _BEFORE.get(first, ScheduleState.ENABLED) if first is not None else self._schedule.state
        standing = Standing(from_us=self._schedule.created_us, until_us=LAST_US, state=state)
        standings: list[Standing] = []
        restored = ScheduleState.ENABLED
        for entry in changes:
            following = _following(entry, standing.state, restored)
            if following is standing.state and entry.kind is not JournalKind.SCHEDULE_PAUSED:
                continue
            if following is ScheduleState.DELETED:
                restored = standing.state
            standings.append(replace(standing, until_us=entry.time_us, ended=entry))
            standing = Standing(from_us=entry.time_us, until_us=LAST_US, state=following, began=entry)
        if standing.state is not self._schedule.state:
            # What brought it about is not kept.
            standing = replace(standing, state=self._schedule.state, began=None)
        return [*standings, standing]


def _following(entry: JournalEntry, state: ScheduleState, restored: ScheduleState) -> ScheduleState:
    match entry.kind:
        case JournalKind.SCHEDULE_UNDELETED:
            return restored
        case JournalKind.SCHEDULE_UPDATED:
            return ScheduleState.ENABLED if state in (ScheduleState.COMPLETED, ScheduleState.DISABLED) else state
        case _:
            return _AFTER[entry.kind]


def changes_rule(entry: JournalEntry) -> bool:
    """Whether a change was, or may have been, one of the rule."""
    if entry.kind is not JournalKind.SCHEDULE_UPDATED:
        return False
    fields = entry.evidence.get("fields")
    return fields is None or not RULE_FIELDS.isdisjoint(str(fields).split(", "))
