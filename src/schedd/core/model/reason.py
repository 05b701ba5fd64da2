"""How occurrences end, and why anything happens."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How an occurrence ended."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    """A policy decided against running it."""
    MISSED = "MISSED"
    """schedd was not there to run it, and catch-up did not either."""
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    """A crash cut it off and its delivery policy forbids another attempt."""


class Reason(StrEnum):
    """Why something happened: the code that every decision carries. Stable; new ones may come."""

    COMPLETED = "COMPLETED"
    HTTP_STATUS = "HTTP_STATUS"
    RESPONSE_MISMATCH = "RESPONSE_MISMATCH"
    CONNECTION = "CONNECTION"
    EXIT_CODE = "EXIT_CODE"
    SIGNAL = "SIGNAL"
    SPAWN = "SPAWN"
    TIMEOUT = "TIMEOUT"
    TEMPLATE = "TEMPLATE"
    TARGET_ERROR = "TARGET_ERROR"
    """Something unforeseen in the delivery itself."""
    RETRY_MAX_AGE = "RETRY_MAX_AGE"
    OVERLAP = "OVERLAP"
    BUFFER_FULL = "BUFFER_FULL"
    OVERLAP_CANCELLED = "OVERLAP_CANCELLED"
    CANCELLED = "CANCELLED"
    INTERRUPTED = "INTERRUPTED"
    """The daemon ended while the attempt ran."""
    PAUSED = "PAUSED"
    DISABLED = "DISABLED"
    DELETED = "DELETED"
    SCHEDULE_CHANGED = "SCHEDULE_CHANGED"
    MISFIRE = "MISFIRE"
    """Met too late, and the catch-up mode is NONE."""
    CATCH_UP_WINDOW = "CATCH_UP_WINDOW"
    """Met too late, and older than the catch-up window."""
    CATCH_UP_SUPERSEDED = "CATCH_UP_SUPERSEDED"
    """Met too late, and catch-up ran another occurrence in its stead."""
    CATCH_UP_MAX_RUNS = "CATCH_UP_MAX_RUNS"
    STORED_DATA = "STORED_DATA"
    UNFORESEEN = "UNFORESEEN"
    REQUESTED = "REQUESTED"
    ENDED = "ENDED"
    """The rule yields no further occurrence."""
    CLOCK_STEP = "CLOCK_STEP"
    SUSPEND = "SUSPEND"
    MAX_RUNS = "MAX_RUNS"
    CONSECUTIVE_FAILURES = "CONSECUTIVE_FAILURES"
    NONE = "NONE"
