"""The dialects of the schedule language, by name."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from schedd.core.model.when import AfterCompletion, AtStart, Cron, Expression, Interval, OnCalendar, Once, Recurrence, Trigger
from schedd.core.triggers.eventbridge import begins_like
from schedd.core.triggers.fieldsets import tokens_of
from schedd.core.triggers.recognition import EventBridgeCron, LocalOnce, Rate, recognise


class Dialect(StrEnum):
    """What an expression was recognised as; the value is the word that the API and schedctl use."""

    CRON5 = "cron5"
    CRON6 = "cron6"
    CRON7 = "cron7"
    MACRO = "macro"
    EVENTBRIDGE_CRON = "eventbridge-cron"
    EVENTBRIDGE_RATE = "eventbridge-rate"
    EVENTBRIDGE_AT = "eventbridge-at"
    INTERVAL = "interval"
    AFTER_COMPLETION = "after-completion"
    INSTANT = "instant"
    ON_CALENDAR = "oncalendar"
    RECURRENCE = "rrule"
    AT_START = "reboot"

    @property
    def words(self) -> str:
        """The dialect in words."""
        return _WORDS[self]


_WORDS = {
    Dialect.CRON5: "cron, five fields",
    Dialect.CRON6: "cron, six fields, seconds first",
    Dialect.CRON7: "cron, seven fields, seconds first and the year last",
    Dialect.MACRO: "a macro of cron's",
    Dialect.EVENTBRIDGE_CRON: "cron(…) of EventBridge Scheduler",
    Dialect.EVENTBRIDGE_RATE: "rate(…) of EventBridge Scheduler",
    Dialect.EVENTBRIDGE_AT: "at(…) of EventBridge Scheduler",
    Dialect.INTERVAL: "an interval",
    Dialect.AFTER_COMPLETION: "a delay after completion",
    Dialect.INSTANT: "a point in time",
    Dialect.ON_CALENDAR: "OnCalendar of systemd.time(7)",
    Dialect.RECURRENCE: "a recurrence of RFC 5545",
    Dialect.AT_START: "cron's @reboot",
}
_BY_COUNT = {5: Dialect.CRON5, 6: Dialect.CRON6, 7: Dialect.CRON7}


def dialect_of(trigger: Trigger) -> Dialect:
    """The dialect of a trigger. Raises: ExpressionError, for an expression that is in none."""
    is_form = isinstance(trigger, Expression) and begins_like(trigger.text)
    known = recognise(trigger.text) if isinstance(trigger, Expression) else trigger
    match known:
        case Cron():
            macro = known.text.strip().startswith("@")
            return Dialect.MACRO if macro else _BY_COUNT.get(len(tokens_of(known.text, "expression")), Dialect.CRON5)
        case EventBridgeCron():
            return Dialect.EVENTBRIDGE_CRON
        case Rate():
            return Dialect.EVENTBRIDGE_RATE
        case Interval():
            return Dialect.INTERVAL
        case AfterCompletion():
            return Dialect.AFTER_COMPLETION
        case Once() | LocalOnce():
            return Dialect.EVENTBRIDGE_AT if is_form else Dialect.INSTANT
        case OnCalendar():
            return Dialect.ON_CALENDAR
        case Recurrence():
            return Dialect.RECURRENCE
        case AtStart():
            return Dialect.AT_START
        case _:
            assert_never(known)
