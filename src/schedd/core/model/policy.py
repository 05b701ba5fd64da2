"""How a schedule behaves: the policies of one schedule and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from schedd.core.model.reason import Reason
from schedd.core.model.target import HttpTarget, ProcessTarget, StatusRange
from schedd.core.model.when import Trigger


class Overlap(StrEnum):
    """What to do when an occurrence comes due while an earlier execution of the schedule is unfinished."""

    SKIP = "SKIP"
    BUFFER_ONE = "BUFFER_ONE"
    BUFFER_ALL = "BUFFER_ALL"
    CANCEL_OTHER = "CANCEL_OTHER"
    TERMINATE_OTHER = "TERMINATE_OTHER"
    ALLOW_ALL = "ALLOW_ALL"


class CatchUpMode(StrEnum):
    """Which of several misfired occurrences are run."""

    NONE = "NONE"
    LATEST = "LATEST"
    EARLIEST = "EARLIEST"
    ALL = "ALL"


class Delivery(StrEnum):
    """What happens to an attempt that a crash of the daemon cut off."""

    AT_LEAST_ONCE = "AT_LEAST_ONCE"
    """It is made again, with the same delivery key."""
    AT_MOST_ONCE = "AT_MOST_ONCE"
    """The execution ends UNKNOWN and is not made again."""


class AfterLastRun(StrEnum):
    """What happens to a schedule that can never fire again."""

    KEEP = "KEEP"
    DELETE = "DELETE"


class Hold(StrEnum):
    """What becomes of an occurrence that is held back by a limit or an open circuit breaker."""

    WAIT = "WAIT"
    SKIP = "SKIP"


class Recovery(StrEnum):
    """What becomes of a process that outlived the daemon which had started it."""

    ADOPT = "ADOPT"
    """It is adopted where it is provably the same process; else its tree is ended and the delivery policy decides."""
    END = "END"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """What is done by itself about misfires.

    An occurrence is a misfire when it is met later than its due time plus `grace`. Only misfires younger than `window` are run; without
    a window it is the lesser of 24 hours and two periods of the rule. At most `max_runs` of them are run.
    """

    mode: CatchUpMode = CatchUpMode.LATEST
    window: timedelta | None = None
    max_runs: int = 100
    grace: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOn:
    """Which failures are retried; an empty list means: all that can be."""

    reasons: tuple[Reason, ...] = ()
    http_status: tuple[StatusRange, ...] = ()
    exit_codes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How a failed attempt is made again.

    The wait before attempt n+1 is `min_backoff * multiplier ** (n - 1)`, at most `max_backoff`, lengthened by up to `jitter` (0..1)
    of itself. No attempt starts later than `max_age` after the due time. `max_attempts` counts the first one.
    """

    max_attempts: int = 4
    min_backoff: timedelta = timedelta(seconds=5)
    max_backoff: timedelta = timedelta(minutes=5)
    multiplier: float = 2.0
    jitter: float = 0.1
    max_age: timedelta = timedelta(hours=24)
    retry_on: RetryOn = RetryOn()


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """A limit shared by all schedules with the same key; the lowest of their limits holds."""

    key: str
    limit: int
    when_full: Hold = Hold.WAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSchedule:
    """A follow-up: trigger the schedule of this resource name."""

    schedule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """A follow-up: call this target once, with the execution as payload unless it has its own."""

    target: HttpTarget


FollowUp = TriggerSchedule | Notify


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandHolds:
    """A condition: this command ends with one of its success exit codes within `timeout`."""

    command: ProcessTarget
    timeout: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFits:
    """A condition: the rule yields an instant on the occurrence's local day."""

    days: Trigger


Condition = CommandHolds | DayFits


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """All policies of one schedule.

    Without `attempt_timeout` an HTTP attempt may take 60 s and a process as long as the daemon's cap allows. `priority` 0..9: the higher
    goes first when executions wait for a free slot. `buffer_limit` is BUFFER_ALL's. `pause_after_failures` and `max_runs` are off at 0.
    """

    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp()
    retry: Retry = Retry()
    attempt_timeout: timedelta | None = None
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    priority: int = 5
    after_last_run: AfterLastRun = AfterLastRun.KEEP
    buffer_limit: int = 1000
    concurrency: Concurrency | None = None
    pause_after_failures: int = 0
    max_runs: int = 0
    on_success: tuple[FollowUp, ...] = ()
    on_failure: tuple[FollowUp, ...] = ()
    condition: Condition | None = None
    circuit_open: Hold = Hold.WAIT
    recovery: Recovery = Recovery.ADOPT
