"""Previewed occurrences as messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from schedd.api.convert.basics import timestamp
from schedd.core.triggers import Effect, Instant
from schedd.v1 import schedule_service_pb2 as pb

_EFFECTS = {
    Effect.MOVED_AFTER_GAP: pb.PREVIEW_EFFECT_DST_GAP,
    Effect.FIRST_OF_REPEATED: pb.PREVIEW_EFFECT_DST_FOLD_FIRST,
    Effect.SECOND_OF_REPEATED: pb.PREVIEW_EFFECT_DST_FOLD_SECOND,
    Effect.EXCLUDED: pb.PREVIEW_EFFECT_EXCLUDED,
    Effect.CALENDAR_SHIFTED: pb.PREVIEW_EFFECT_CALENDAR_SHIFTED,
}


def occurrence(instant: Instant) -> pb.PreviewOccurrence:
    """The message of one coming occurrence."""
    effects = [_EFFECTS[effect] for effect in instant.effects if effect in _EFFECTS]
    if instant.due_us != instant.nominal_us:
        effects.append(pb.PREVIEW_EFFECT_SPREAD)
    return pb.PreviewOccurrence(
        nominal_time=timestamp(instant.nominal_us),
        due_time=timestamp(instant.due_us),
        local_time=local_time(instant),
        effects=effects,
        note=_note(instant),
        trigger=instant.trigger,
    )


def _note(instant: Instant) -> str:
    notes = []
    if Effect.EXCLUDED in instant.effects:
        notes.append(f"left out by the calendar {instant.calendar}" if instant.calendar else "left out by an exclusion or a calendar")
    if Effect.CALENDAR_SHIFTED in instant.effects:
        notes.append("moved here by a calendar")
    if Effect.FOLLOWS_SKIPPED in instant.effects:
        notes.append("the local time before it falls in a gap and is skipped")
    if Effect.OFFSET_CHANGED in instant.effects:
        notes.append("the zone's offset has changed")
    return "; ".join(notes)


def local_time(instant: Instant) -> str:
    """ISO 8601 with the zone's offset."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant.nominal_us)
    return moment.astimezone(timezone(timedelta(seconds=instant.utc_offset_s))).isoformat()
