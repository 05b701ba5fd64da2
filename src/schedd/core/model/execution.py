"""An execution: the life of one fire, and its attempts.

ARMED -> (QUEUED ->) RUNNING -> (WAITING_RETRY -> RUNNING ->)* FINISHED; `Outcome` and `Reason` say how and why it finished.

The values that are made at every fire are named tuples: as immutable as frozen dataclasses, and made in a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from schedd.core.model.policy import Overlap
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import ScheduleName
from schedd.core.model.target import Payload, Target


class Cause(StrEnum):
    """Why an execution exists."""

    SCHEDULE = "SCHEDULE"
    MANUAL = "MANUAL"
    BACKFILL = "BACKFILL"
    FOLLOW_UP = "FOLLOW_UP"


class ExecutionState(StrEnum):
    """Where an execution stands."""

    ARMED = "ARMED"
    """Durable, waiting for its due time."""
    QUEUED = "QUEUED"
    """Due, waiting for a free slot or for an earlier execution."""
    RUNNING = "RUNNING"
    WAITING_RETRY = "WAITING_RETRY"
    FINISHED = "FINISHED"


class Parent(NamedTuple):
    """An execution whose end caused another one."""

    schedule: ScheduleName
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an execution comes from that the planner did not arm: its `actor` asked for it, or its `parent` ended.

    `overlap` and `payload` are its own; without them its schedule's hold.
    """

    actor: str = ""
    parent: Parent | None = None
    overlap: Overlap | None = None
    payload: Payload | None = None


class Execution(NamedTuple):
    """One execution as it stands. Instants are UTC microseconds; None: has not come to be.

    `id` is unique for ever and ascends with time. `attempt` counts from 1 once the first has started. `generation` is the schedule's
    when it was armed. `reason` is NONE until it finished, or, while it waits for a retry, why the last attempt failed. `backfill` is the id
    of the backfill that it belongs to, 0: to none.
    when it was armed. `attempts_before` is the number of the last attempt before its newest redelivery, at `redelivered_us`.
    `reason` is NONE until it finished, or, while it waits for a retry, why the last attempt failed. `origin` is None: the planner armed it.
    """

    id: int
    schedule: ScheduleName
    schedule_row: int
    schedule_uid: int
    generation: int
    cause: Cause
    nominal_us: int
    due_us: int
    armed_us: int
    state: ExecutionState = ExecutionState.ARMED
    outcome: Outcome | None = None
    reason: Reason = Reason.NONE
    attempt: int = 0
    started_us: int | None = None
    finished_us: int | None = None
    next_attempt_us: int | None = None
    backfill: int = 0
    attempts_before: int = 0
    redelivered_us: int | None = None
    origin: Origin | None = None

    @property
    def delivery_key(self) -> str:
        """The key that a target deduplicates on: the same over every attempt and every redelivery."""
        return delivery_key(self.schedule_uid, self.nominal_us, self.backfill)


class AttemptResult(NamedTuple):
    """What one delivery came to: a value, never an exception.

    `code` is the HTTP status or the exit code (negative: the signal's number), None where there was neither. `message` is for
    people. `output` is the response's body, or standard output; `error_output` is standard error; both are capped, and
    `output_truncated` says whether something was left out. `retry_after` is what the target asked for.
    """

    outcome: Outcome
    reason: Reason
    code: int | None = None
    message: str = ""
    output: bytes = b""
    error_output: bytes = b""
    output_truncated: bool = False
    retry_after: timedelta | None = None


class Attempt(NamedTuple):
    """One stored attempt of an execution, numbered from 1. Instants are UTC microseconds."""

    execution_id: int
    number: int
    started_us: int
    finished_us: int
    result: AttemptResult


class Survivor(NamedTuple):
    """An attempt that an earlier daemon had started and not seen the end of.

    It runs, or has ended and its result waits; it began `age_us` ago, as process `pid`. `ended`: nobody was left who could have told its
    exit code, so that its tree was ended.
    """

    execution_id: int
    attempt: int
    pid: int
    age_us: int
    ended: bool = False


_NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})


class DeliveryRequest(NamedTuple):
    """All that a target needs to make one attempt.

    The facts go out as headers or environment variables and fill the templates. `timeout` bounds the attempt (None: no bound); the target
    keeps it and ends what it started. `previous_success_us` is the nominal time of the schedule's last success, if any. `backfill` is
    the id of the backfill that asks for it, 0: none does.
    """

    target: Target
    schedule: ScheduleName
    schedule_uid: int
    execution_id: int
    attempt: int
    cause: Cause
    nominal_us: int
    due_us: int
    time_zone: str = "UTC"
    timeout: timedelta | None = None
    previous_success_us: int | None = None
    labels: Mapping[str, str] = _NO_LABELS
    backfill: int = 0

    @property
    def delivery_key(self) -> str:
        """The execution's."""
        return delivery_key(self.schedule_uid, self.nominal_us, self.backfill)


def instant_text(instant_us: int) -> str:
    """The instant in RFC 3339, in UTC with `Z`, with microseconds only where there are some."""
    second, micros = divmod(instant_us, 1_000_000)
    return f"{_second_text(second)}.{micros:06d}Z" if micros else f"{_second_text(second)}Z"


@lru_cache(maxsize=1024)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()


def delivery_key(schedule_uid: int, nominal_us: int, backfill: int = 0) -> str:
    """`<schedule uid>:<nominal UTC>`, as `id_text` and `instant_text` write them; of a backfill's execution followed by `/<backfill id>`.

    Who asks for a backfill wants the occurrences to be run again: a target must not take them for those that it has seen.
    """
    key = f"{id_text(schedule_uid)}:{instant_text(nominal_us)}"
    return f"{key}/{id_text(backfill)}" if backfill else key


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


def id_text(value: int) -> str:
    """The 13 characters, in Crockford's base 32 and sorting as the number does, that stand for an id outside the daemon."""
    return (
        _ALPHABET[value >> 60]
        + _PAIRS[value >> 50 & 1023]
        + _PAIRS[value >> 40 & 1023]
        + _PAIRS[value >> 30 & 1023]
        + _PAIRS[value >> 20 & 1023]
        + _PAIRS[value >> 10 & 1023]
        + _PAIRS[value & 1023]
    )


def id_value(text: str) -> int:
    """The id that `id_text` wrote. Raises: ValueError."""
    if len(text) != 13 or text[0] > "7":
        raise ValueError(f"{text!r} is not an id: 13 characters of {_ALPHABET} are")
    value = 0
    for character in text:
        value = value << 5 | _ALPHABET.index(character)
    return value
