"""Admission: what becomes of an execution that has come due while earlier ones of its schedule may be unfinished."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from schedd.core.model.policy import Overlap
from schedd.core.model.reason import Reason

BUFFER_CAP = 1000
"""The most executions that BUFFER_ALL keeps waiting."""


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


_START = Admission(Verdict.START)


def admit(policy: Overlap, *, unfinished: int, buffered: int, buffer_limit: int = BUFFER_CAP) -> Admission:
    """Decide about one execution.

    `unfinished` counts the schedule's earlier executions that have come due and are not finished; `buffered` those among them that wait
    because of this very policy; BUFFER_ALL keeps at most `buffer_limit` of them.
    """
    if unfinished == 0:
        return _START
    match policy:
        case Overlap.ALLOW_ALL:
            return _START
        case Overlap.SKIP:
            return Admission(Verdict.SKIP, Reason.OVERLAP)
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
