"""What can be read of a schedule's row that cannot be read whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from schedd.core.model.schedule import ScheduleName, ScheduleState
from schedd.core.model.unreadable import UnreadableSchedule
from schedd.store import codec

T = TypeVar("T")

FAULTS = (codec.DecodeError, ValueError, TypeError)
"""What decoding a damaged value raises."""


class _Salvage:
    """Reads one column after the other, and keeps what is wrong with which."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def of(self, column: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except FAULTS as exc:
            self.faults.append(f"{column}: {exc}")
            return None


def salvaged(row: Any) -> UnreadableSchedule:
    """What can be read of a row of SCHEDULE_COLUMNS that cannot be read whole."""
    salvage = _Salvage()
    state = salvage.of("state", lambda: ScheduleState(row[6]))
    pause = salvage.of("pause", lambda: None if row[8] is None else codec.decode_pause(row[8]))
    when = salvage.of("when_json", lambda: codec.decode_when(row[10]))
    target = salvage.of("target", lambda: codec.decode_target(row[11], row[12]))
    policies = salvage.of("policies", lambda: codec.decode_policies(row[13]))
    labels = salvage.of("labels", lambda: codec.decode_labels(row[14]))
    deleted = row[4] != 0
    return UnreadableSchedule(
        name=ScheduleName(group=row[2], schedule=row[3]),
        row=row[0],
        uid=row[1],
        generation=row[5],
        state=ScheduleState.DELETED if deleted else ScheduleState.DISABLED,
        state_reason=f"its stored row cannot be read ({'; '.join(salvage.faults)}): replace it by a whole new definition, or delete it",
        quarantined=deleted or state is ScheduleState.DISABLED,
        when=when,
        target=target,
        policies=policies,
        pause=pause,
        labels=labels or {},
        description=row[15],
        creator=row[16],
        created_us=row[17],
        updated_us=row[18],
        deleted_us=row[19],
        planned_from_us=row[20],
    )
