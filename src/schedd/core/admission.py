"""Admission: what becomes of an execution that has come due while earlier ones of its schedule may be unfinished."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from schedd.core.model.execution import Cause, Execution
from schedd.core.model.policy import CatchUpMode, Overlap, Policies
from schedd.core.model.reason import Reason

BUFFER_CAP = 1000
"""The most executions that BUFFER_ALL keeps waiting."""


LATE_US = 2_000_000
"""What is armed later than this after its due time runs in the background."""

_KEPT_FREE = 4


class Verdict(StrEnum):
    """What to do with an execution that has come due."""

    START = "START"
    SKIP = "SKIP"
    BUFFER = "BUFFER"
    """Start it when the earlier ones are finished."""
    CANCEL_OTHERS = "CANCEL_OTHERS"
    """Ask the earlier ones to end, and start it when they have."""
    TERMINATE_OTHERS = "TERMINATE_OTHERS"
    """End the earlier ones by force, and start it when they are gone."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A verdict and its reason (NONE for START)."""

    verdict: Verdict
    reason: Reason = Reason.NONE


class Beside(StrEnum):
    """What the unfinished executions of a schedule are to one that is to start."""

    EQUALS = "EQUALS"
    FIRST = "FIRST"
    """Some of them are on time, and it runs in the background."""
    LAST = "LAST"
    """They all run in the background, and it is no backfill's."""


_START = Admission(Verdict.START)
_ENDS_OTHERS = (Overlap.CANCEL_OTHER, Overlap.TERMINATE_OTHER)


def in_background(execution: Execution) -> bool:
    """Whether an execution makes way for those that are on time: one of a backfill, or one that was armed late (caught up)."""
    return execution.cause is Cause.BACKFILL or execution.armed_us - execution.due_us > LATE_US


def background_limit(limit: int) -> int:
    """How much of a limit the background may take: a quarter, at least one, is for what is on time alone, unless it is the only one."""
    return max(1, limit - max(1, limit // _KEPT_FREE))


def overlap_of(policies: Policies, *, background: bool) -> Overlap:
    """The overlap policy of an execution that has none of its own.

    Where catch-up runs all misfires, they come due at the same time: each waits for the one before, unless they may overlap.
    """
    if background and policies.catch_up.mode is CatchUpMode.ALL and policies.overlap is not Overlap.ALLOW_ALL:
        return Overlap.BUFFER_ALL
    return policies.overlap


def admit(policy: Overlap, *, unfinished: int, buffered: int, buffer_limit: int = BUFFER_CAP, beside: Beside = Beside.EQUALS) -> Admission:
    """Decide about one execution.

    `unfinished` counts the schedule's earlier executions that have come due and are not finished; `buffered` those among them that wait
    because of this very policy; BUFFER_ALL keeps at most `buffer_limit` of them. What goes first is not skipped for what comes after it,
    and is not ended for it.
    """
    if unfinished == 0:
        return _START
    if beside is Beside.FIRST and policy in _ENDS_OTHERS:
        return _buffer(buffered, buffer_limit)
    match policy:
        case Overlap.ALLOW_ALL:
            return _START
        case Overlap.SKIP:
            return _buffer(buffered, 1) if beside is Beside.LAST else Admission(Verdict.SKIP, Reason.OVERLAP)
        case Overlap.BUFFER_ONE:
            return _buffer(buffered, 1)
        case Overlap.BUFFER_ALL:
            return _buffer(buffered, buffer_limit)
        case Overlap.CANCEL_OTHER:
            return Admission(Verdict.CANCEL_OTHERS, Reason.OVERLAP_CANCELLED)
        case Overlap.TERMINATE_OTHER:
            return Admission(Verdict.TERMINATE_OTHERS, Reason.OVERLAP_CANCELLED)
        case _:
            assert_never(policy)


def _buffer(buffered: int, cap: int) -> Admission:
    return Admission(Verdict.SKIP, Reason.BUFFER_FULL) if buffered >= cap else Admission(Verdict.BUFFER, Reason.OVERLAP)
