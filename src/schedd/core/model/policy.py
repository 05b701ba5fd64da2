"""How a schedule behaves: the policies of one schedule and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """All policies of one schedule.

    Without `attempt_timeout` an HTTP attempt may take 60 s and a process as long as the daemon's cap allows. `priority` 0..9: the higher
    goes first when executions wait for a free slot.
    """

    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp()
    retry: Retry = Retry()
    attempt_timeout: timedelta | None = None
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    priority: int = 5
    after_last_run: AfterLastRun = AfterLastRun.KEEP
