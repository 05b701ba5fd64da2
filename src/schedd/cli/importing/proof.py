"""The proof of an import: a year of fire times as the old scheduler has them beside those of the schedules that were written.

schedd's side is its own engine on the triggers of the written file, read back as `schedctl apply` reads it; the other side is the
crontab's own matching (vixie.py) or systemd's calculator (calendarproof.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from schedd.core.model.when import AfterCompletion, AtStart, Cron, Expression, Interval, OnCalendar, Trigger, When
from schedd.core.triggers import Rule, compile_when
from schedd.v1 import when_pb2
from schedd.v1.schedule_pb2 import Schedule

YEAR = timedelta(days=365)
_SHOWN = 3
_SECOND_US = 1_000_000


class Verdict(StrEnum):
    """What a proof found."""

    EQUAL = "EQUAL"
    DIFFERENT = "DIFFERENT"
    UNPROVED = "UNPROVED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the proof of one schedule found, and in words."""

    verdict: Verdict
    text: str

    @property
    def word(self) -> str:
        """The verdict as the file has it."""
        return {Verdict.EQUAL: "proved", Verdict.DIFFERENT: "DIFFERS", Verdict.UNPROVED: "not proved"}[self.verdict]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time that is compared, in UTC seconds since 1970: from `start` to `end` (exclusive), whole minutes."""

    start: int
    end: int

    @classmethod
    def year_from(cls, now: datetime) -> Span:
        """The year that begins with the next whole minute."""
        start = (int(now.timestamp()) // 60 + 1) * 60
        return cls(start=start, end=start + int(YEAR.total_seconds()))


def compared(theirs: Iterable[int], ours: Sequence[int], *, who: str, time_zone: str, period: str = "in the coming year") -> Finding:
    """What two lists of fire times (UTC seconds, ascending; twice where it starts twice) have to say of each other."""
    their_counts, our_counts = Counter(theirs), Counter(ours)
    if their_counts == our_counts:
        return Finding(verdict=Verdict.EQUAL, text=f"{_times(len(ours))} {period}, the same for {who} and for schedd")
    zone = ZoneInfo(time_zone)
    parts = [f"{period} {who} starts it {_times(their_counts.total())}, schedd {_times(our_counts.total())}"]
    parts += _shown(f"{who} alone", sorted(their_counts.keys() - our_counts.keys()), zone)
    parts += _shown("schedd alone", sorted(our_counts.keys() - their_counts.keys()), zone)
    again = sorted(at for at, count in their_counts.items() if count > 1 and at in our_counts)
    parts += _shown(f"more than once by {who}, once by schedd", again, zone)
    return Finding(verdict=Verdict.DIFFERENT, text="; ".join(parts))


def our_times(schedule: Schedule, span: Span) -> tuple[int, ...]:
    """The fire times of a schedule of the written file, in UTC seconds. Raises: ExpressionError."""
    return _our_times(tuple(_trigger(trigger) for trigger in schedule.triggers), schedule.time_zone or "UTC", span)


@lru_cache(maxsize=256)
def _our_times(triggers: tuple[Trigger, ...], time_zone: str, span: Span) -> tuple[int, ...]:
    rule: Rule = compile_when(When(triggers=triggers, time_zone=time_zone), created_us=span.start * _SECOND_US, seed=0)
    end_us = span.end * _SECOND_US
    found = []
    at_us = rule.next_after(span.start * _SECOND_US - 1)
    while at_us is not None and at_us < end_us:
        found.append(at_us // _SECOND_US)
        at_us = rule.next_after(at_us)
    return tuple(found)


def _trigger(trigger: when_pb2.Trigger) -> Trigger:
    match trigger.WhichOneof("rule"):
        case "expression":
            return Expression(text=trigger.expression)
        case "cron":
            return Cron(text=trigger.cron.expression)
        case "on_calendar":
            return OnCalendar(text=trigger.on_calendar.expression)
        case "interval":
            return Interval(every=trigger.interval.every.ToTimedelta())
        case "after_completion":
            return AfterCompletion(delay=trigger.after_completion.delay.ToTimedelta())
        case "at_start":
            return AtStart()
        case other:
            raise ValueError(f"an import writes no trigger of the kind {other}")


def _shown(title: str, seconds: list[int], zone: ZoneInfo) -> list[str]:
    if not seconds:
        return []
    texts = [f"{datetime.fromtimestamp(at, UTC).astimezone(zone):%a %Y-%m-%d %H:%M:%S%z}" for at in seconds[:_SHOWN]]
    more = f" and {len(seconds) - _SHOWN} more" if len(seconds) > _SHOWN else ""
    return [f"{title} at {', '.join(texts)}{more}"]


def _times(count: int) -> str:
    return {0: "never", 1: "once"}.get(count, f"{count} times")
