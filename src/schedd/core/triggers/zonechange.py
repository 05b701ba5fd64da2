"""Changes of the time zone data: which zones a schedule depends on, where the data says otherwise than before, and what that moves."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

from schedd.core.errors import ExpressionError
from schedd.core.model.when import Expression, OnCalendar, Recurrence, Trigger, When
from schedd.core.model.zonemark import ZoneMark
from schedd.core.triggers.calendars import NO_CALENDARS, Calendars, used_calendars
from schedd.core.triggers.civil import DAY_US
from schedd.core.triggers.oncalendar import parse_oncalendar
from schedd.core.triggers.recognition import recognise
from schedd.core.triggers.recurrence_text import parse_recurrence
from schedd.core.triggers.rule import Rule
from schedd.core.triggers.zone import Edition
from schedd.core.triggers.zonename import zone_data_version, zone_named

COMING_US: Final = 5 * 366 * DAY_US
"""How far ahead a zone's offsets are looked at."""
_LOOKED_AT: Final = 500
"""How many occurrences are compared from the first change of an offset on: more than a year of daily ones."""
_NEAR_US: Final = 2 * DAY_US
"""More than any offset: an occurrence that a change moves was or will be within that of it."""

_PIECES: Final = re.compile(r'[^\s;:="]+')


class Moved(NamedTuple):
    """The first occurrence that is another than before, in UTC microseconds; None: there is none (any more)."""

    before_us: int | None
    after_us: int | None


def zones_of(when: When, calendars: Calendars = NO_CALENDARS) -> frozenset[str]:
    """The zones that the times of a schedule depend on: its own, those that OnCalendar expressions and recurrences name, its calendars'."""
    named = {when.time_zone}
    named.update(days.time_zone for name in used_calendars(when) if (days := calendars.days.get(name)) is not None and days.time_zone)
    for trigger in (*when.triggers, *when.exclusions):
        try:
            named.update(_named_in(trigger))
        except ExpressionError:
            continue  # What cannot be read has no times.
    return frozenset(named)


def _named_in(trigger: Trigger) -> Iterator[str]:
    known = recognise(trigger.text) if isinstance(trigger, Expression) else trigger
    if isinstance(known, OnCalendar):
        yield from parse_oncalendar(known.text).zones
    elif isinstance(known, Recurrence):
        read = parse_recurrence(known.text)
        moments = (*read.added, *read.left_out, *([read.start] if read.start is not None else []))
        yield from (moment.zone.key for moment in moments if moment.zone is not None)


def names_zone(when: When, name: str) -> bool:
    """Whether a schedule is in a zone, or an expression of it has the zone's name, known or not."""
    texts = (trigger.text for trigger in (*when.triggers, *when.exclusions) if isinstance(trigger, Expression | OnCalendar | Recurrence))
    return when.time_zone == name or any(name in _PIECES.findall(text) for text in texts)


def zone_mark(name: str, now_us: int) -> ZoneMark:
    """What the data says of a zone, from `now_us` on. Raises: ExpressionError for a name that is no zone."""
    until_us = now_us + COMING_US
    offsets = zone_named(name).offsets_between(now_us, until_us)
    return ZoneMark(name=name, version=zone_data_version(), from_us=now_us, until_us=until_us, offsets=offsets)


def first_change_us(mark: ZoneMark, from_us: int) -> int | None:
    """The first instant from `from_us` on at which the data of today has another offset than the mark; None if there is none."""
    start_us = max(from_us, mark.from_us)
    if start_us >= mark.until_us:
        return None
    now = zone_named(mark.name).offsets_between(start_us, mark.until_us)
    changes = sorted({start_us, *(at_us for at_us, _ in (*mark.offsets, *now) if at_us >= start_us)})
    return next((at_us for at_us in changes if _offset(mark.offsets, at_us) != _offset(now, at_us)), None)


def _offset(offsets: Sequence[tuple[int, int]], at_us: int) -> int:
    return offsets[bisect_right(offsets, at_us, key=lambda pair: pair[0]) - 1][1]


class EarlierData:
    """The time zone data as it was when marks were made, beside that of today."""

    def __init__(self, marks: Sequence[ZoneMark], change_us: int) -> None:
        """`change_us` is the first instant at which any of the marks' zones has another offset."""
        self._until_us = min(mark.until_us for mark in marks)
        self._from_us = change_us - _NEAR_US
        self._editions = [Edition(zone_named(mark.name), mark.offsets, mark.until_us) for mark in marks]

    def moved(self, rules: Sequence[tuple[Rule, int]]) -> list[Moved | None]:
        """For each rule, the first occurrence after the instant beside it that is another than it was; None: all are as they were."""
        after = [self._coming(rule, from_us) for rule, from_us in rules]
        with self._recalled():
            before = [self._coming(rule, from_us) for rule, from_us in rules]
        return [self._difference(was, now) for was, now in zip(before, after, strict=True)]

    def _coming(self, rule: Rule, from_us: int) -> list[int]:
        found: list[int] = []
        at_us = rule.next_after(max(from_us, self._from_us))
        while at_us is not None and len(found) < _LOOKED_AT:
            found.append(at_us)
            if at_us >= self._until_us:
                break
            at_us = rule.next_after(at_us)
        return found

    @contextmanager
    def _recalled(self) -> Iterator[None]:
        with ExitStack() as stack:
            for edition in self._editions:
                stack.enter_context(edition.recalled())
            yield

    @staticmethod
    def _difference(was: Sequence[int], now: Sequence[int]) -> Moved | None:
        for before_us, after_us in zip(was, now, strict=False):
            if before_us != after_us:
                return Moved(before_us, after_us)
        if len(was) == len(now):
            return None
        return Moved(was[len(now)], None) if len(was) > len(now) else Moved(None, now[len(was)])
