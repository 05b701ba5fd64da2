"""The sentence for people that each reason stands for: one place for all that explain a decision."""

from __future__ import annotations

from typing import Final

from schedd.core.model.reason import Reason

SENTENCES: Final[dict[Reason, str]] = {
    Reason.COMPLETED: "The target did what it was asked.",
    Reason.HTTP_STATUS: "The response's status code is not one of the expected ones.",
    Reason.RESPONSE_MISMATCH: "The response's body lacks the text that was to be in it.",
    Reason.CONNECTION: "There was no connection to the target, or it broke.",
    Reason.EXIT_CODE: "The process ended with an exit code that is not one of the successful ones.",
    Reason.SIGNAL: "A signal ended the process.",
    Reason.SPAWN: "The process could not be started.",
    Reason.TIMEOUT: "The attempt took longer than it may.",
    Reason.TEMPLATE: "A template could not be rendered.",
    Reason.TARGET_ERROR: "Something unforeseen happened in the delivery.",
    Reason.RETRY_MAX_AGE: "The next attempt would have started later than the retry policy allows.",
    Reason.OVERLAP: "An earlier execution of the schedule was unfinished.",
    Reason.BUFFER_FULL: "An earlier execution was unfinished, and the buffer of those that wait for it was full.",
    Reason.OVERLAP_CANCELLED: "A later occurrence ended it, by the overlap policy.",
    Reason.CANCELLED: "Somebody cancelled it.",
    Reason.INTERRUPTED: "The daemon ended while the attempt ran.",
    Reason.PROCESS_LOST: "The process of an earlier daemon could not be found again.",
    Reason.RECOVERED: "The process of an earlier daemon was adopted.",
    Reason.PAUSED: "The schedule was paused.",
    Reason.DISABLED: "The schedule was disabled by schedd.",
    Reason.DELETED: "The schedule was deleted.",
    Reason.SCHEDULE_CHANGED: "The schedule was changed.",
    Reason.MISFIRE: "It was met later than the grace time allows, and the catch-up mode is NONE.",
    Reason.CATCH_UP_WINDOW: "It was met too late, and was older than the catch-up window.",
    Reason.CATCH_UP_SUPERSEDED: "It was met too late, and catch-up ran another occurrence in its stead.",
    Reason.CATCH_UP_MAX_RUNS: "It was met too late, and catch-up had run as many as it may.",
    Reason.STORED_DATA: "A stored row cannot be read.",
    Reason.UNFORESEEN: "Something unforeseen happened in the schedule, which was disabled for it.",
    Reason.REQUESTED: "Somebody asked for it.",
    Reason.ENDED: "The rule yields no further occurrence.",
    Reason.CLOCK_STEP: "The host's clock was stepped.",
    Reason.SUSPEND: "The host was suspended.",
    Reason.MAX_RUNS: "The schedule has had as many runs as it may.",
    Reason.CONSECUTIVE_FAILURES: "The schedule failed as many times in a row as it may.",
    Reason.TIME_ZONE_DATA: "The time zone data changed and moved it.",
    Reason.CONCURRENCY: "As many as may run together were running: in all, at the target's host, or under the schedule's key.",
    Reason.CIRCUIT_OPEN: "The circuit breaker of the target's host was open.",
    Reason.EXCLUDED: "An exclusion or a calendar left it out.",
    Reason.CALENDAR_SHIFTED: "A calendar moved it to another day.",
    Reason.DST_GAP: "Its local time does not exist that day: it fell into the gap of a clock change.",
    Reason.DST_FOLD: "Its local time came twice that day, and it runs at the first only.",
    Reason.DRAINING: "The daemon drains.",
    Reason.AUTHENTICATION: "The secret for the target could not be had, or the target refused it.",
    Reason.TARGET_DENIED: "The daemon's configuration forbids the target.",
    Reason.RESOURCE_LIMIT: "The process passed one of its resource limits.",
    Reason.CONDITION: "The schedule's condition did not hold.",
    Reason.NONE: "There is nothing to say.",
}
"""One complete sentence a reason, without the facts of the case, which are evidence."""
