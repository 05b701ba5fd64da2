"""Preconditions: what must hold of a stored schedule before a call may make anything of it."""

from __future__ import annotations

from schedd.core.errors import ConflictError, NotFoundError, PreconditionError
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.model.unreadable import StoredSchedule, UnreadableSchedule
from schedd.service.asking import Asking


def live(schedule: StoredSchedule | None, name: ScheduleName, asking: Asking) -> StoredSchedule:
    """A stored schedule, if it is there and what the caller has seen. Raises: NotFoundError; ConflictError."""
    if schedule is None or schedule.state is ScheduleState.DELETED:
        raise NotFoundError("schedule", str(name))
    must_be_seen(schedule, asking)
    return schedule


def must_be_seen(schedule: StoredSchedule, asking: Asking) -> None:
    """Raises: ConflictError when the caller has seen another generation."""
    if asking.generation not in (None, schedule.generation):
        raise ConflictError(
            "schedule",
            str(schedule.name),
            reason="ETAG_MISMATCH",
            description=f'has changed since it was read: its etag is "{schedule.generation}" now',
        )


def readable(schedule: StoredSchedule) -> Schedule:
    """A stored schedule, if it can be read. Raises: PreconditionError (UNREADABLE)."""
    if isinstance(schedule, UnreadableSchedule):
        raise unreadable(schedule)
    return schedule


def unreadable(schedule: UnreadableSchedule) -> PreconditionError:
    """The refusal of what needs a schedule that can be read."""
    text = f"{schedule.state_reason} (`schedctl apply -f FILE` replaces it; in the API, an update_mask of * does)"
    return PreconditionError("schedule", str(schedule.name), reason="UNREADABLE", description=text)


def not_in_state(schedule: StoredSchedule, reason: str, description: str) -> PreconditionError:
    """The refusal of what its state does not allow."""
    return PreconditionError("schedule", str(schedule.name), reason=reason, description=f"is {schedule.state}; {description}")
