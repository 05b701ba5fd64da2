"""What the journal says of changes of schedules that somebody asks for."""

from __future__ import annotations

from schedd.core.errors import ExpressionError
from schedd.core.model.journal import NO_EVIDENCE, Evidence, JournalEntry, JournalKind
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Pause, Schedule, ScheduleState
from schedd.core.model.unreadable import StoredSchedule
from schedd.core.planning import left_out
from schedd.core.triggers import Calendars, compile_when
from schedd.engine.arming import left_out_entry
from schedd.service.asking import Asking

_HELD_BY = {ScheduleState.PAUSED: Reason.PAUSED, ScheduleState.DISABLED: Reason.DISABLED}


def change_entry(
    schedule: StoredSchedule, kind: JournalKind, asking: Asking, now_us: int, evidence: Evidence = NO_EVIDENCE
) -> JournalEntry:
    """The row of a change: who asked for it, and when."""
    return JournalEntry(
        time_us=now_us,
        kind=kind,
        actor=asking.actor,
        schedule=schedule.name,
        schedule_row=schedule.row,
        schedule_uid=schedule.uid,
        reason=Reason.REQUESTED,
        evidence=evidence,
    )


def paused_entry(schedule: Schedule, pause: Pause, asking: Asking, now_us: int) -> JournalEntry:
    """The row of a pause: also why, and until when."""
    evidence: dict[str, str | int] = {"detail": pause.reason} if pause.reason else {}
    if pause.until_us is not None:
        evidence["until_us"] = pause.until_us
    return change_entry(schedule, JournalKind.SCHEDULE_PAUSED, asking, now_us, evidence)


def held_back(held: Schedule, calendars: Calendars, now_us: int) -> list[JournalEntry]:
    """The row for the occurrences that a pause or a quarantine held back until now; none where the rule is at fault."""
    if held.state not in _HELD_BY:
        return []
    try:
        rule = compile_when(held.when, created_us=held.created_us, seed=held.uid, calendars=calendars)
    except ExpressionError:
        return []
    # The quarantine of a row that cannot be read leaves its mark where it was.
    from_us = held.planned_from_us if held.state is ScheduleState.PAUSED else max(held.planned_from_us, held.updated_us)
    first_us = rule.next_after(from_us)
    if first_us is None:
        return []
    return [
        left_out_entry(held, range_, now_us, outcome=Outcome.SKIPPED)
        for range_ in left_out(rule, first_us, now_us + 1, _HELD_BY[held.state])
    ]
