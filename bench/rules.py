"""The next fire time of a rule: schedd's compiled rules beside a bitmask matcher written by hand, croniter and dateutil, reused.

Each side walks through the fire times of each rule, one after the other. The matcher knows five fields of numbers, one zone and no
transition's subtleties; where it is asked here it agrees with schedd. OnCalendar's expressions say the same as cron's, so it stands beside
them too.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from datetime import date as datetime_date
from functools import cache, partial
from zoneinfo import ZoneInfo

from croniter import croniter
from dateutil.rrule import rrulestr

from bench.pace import Rate, alternate
from bench.table import Row, at_most
from schedd.core.model.when import Expression, When
from schedd.core.triggers import compile_when

ZONE = "Europe/Berlin"
EXPRESSIONS = ("*/5 * * * *", "0 9 * * 1-5", "30 4 1,15 * *", "15 6 * * *", "0 12 24 12 *")
CALENDARS = ("*:0/5", "Mon..Fri 09:00", "*-*-1,15 04:30", "06:15", "*-12-24 12:00")
"""The same rules for OnCalendar."""
RECURRENCES = (
    "FREQ=MINUTELY;INTERVAL=5",
    "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9",
    "FREQ=MONTHLY;BYMONTHDAY=1,15",
    "FREQ=DAILY",
    "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24",
)
BEGIN = datetime(2026, 4, 1, tzinfo=UTC)
_HALF_HOUR_S = 1800
_DAY_S = 86_400


class ZoneTable:
    """The offsets of a zone over ten years, by bisection."""

    def __init__(self, key: str, first_year: int) -> None:
        zone = ZoneInfo(key)
        begin_s = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
        self._from_s = [begin_s]
        self._offsets_s = [self._offset_s(zone, begin_s)]
        for at_s in range(begin_s, begin_s + 10 * 366 * _DAY_S, _HALF_HOUR_S):
            if (offset_s := self._offset_s(zone, at_s)) != self._offsets_s[-1]:
                self._from_s.append(at_s)
                self._offsets_s.append(offset_s)

    @staticmethod
    def _offset_s(zone: ZoneInfo, at_s: int) -> int:
        offset = datetime.fromtimestamp(at_s, zone).utcoffset()
        assert offset is not None
        return int(offset.total_seconds())

    def offset_s(self, at_s: int) -> int:
        return self._offsets_s[bisect_right(self._from_s, at_s) - 1]


class Bitmask:
    """A cron expression as five sets of bits; the days of a month that match are one set, made of its days and its weekdays."""

    def __init__(self, text: str, zone: ZoneTable) -> None:
        minute, hour, day, month, weekday = text.split()
        self._minutes, self._hours = _bits(minute, 0, 59), _bits(hour, 0, 23)
        self._days, self._months, weekdays = _bits(day, 1, 31), _bits(month, 1, 12), _bits(weekday, 0, 6)
        self._by_first = [_bits_of_weekdays(weekdays, first) for first in range(7)]
        self._first = (_lowest(self._hours) * 60 + _lowest(self._minutes)) * 60
        self._zone = zone

    def next_after(self, t_us: int) -> int:
        at_s = t_us // 1_000_000
        day, second = divmod((at_s + self._zone.offset_s(at_s)) // 60 * 60 + 60, _DAY_S)
        date = _date(day + _EPOCH)
        found = self._in_day(second) if self._in_month(date.year, date.month) >> date.day & 1 else -1
        if found < 0:
            day, found = self._next_day(date), self._first
        local_s = day * _DAY_S + found
        at_s = local_s - self._zone.offset_s(local_s)
        return (local_s - self._zone.offset_s(at_s)) * 1_000_000

    def _in_day(self, second: int) -> int:
        """The first match at that second of a day or after it, or -1."""
        hour, minute = divmod(second // 60, 60)
        if self._hours >> hour & 1 and (minutes := self._minutes >> minute):
            return (hour * 60 + minute + _lowest(minutes)) * 60
        if hours := self._hours >> (hour + 1):
            return ((hour + 1 + _lowest(hours)) * 60 + _lowest(self._minutes)) * 60
        return -1

    def _next_day(self, date: datetime_date) -> int:
        """The first day after that one that matches, counted from 1970-01-01."""
        year, month, passed = date.year, date.month, date.day
        while not (days := self._in_month(year, month) >> (passed + 1)):
            year, month, passed = (year + 1, 1, 0) if month == 12 else (year, month + 1, 0)
        return datetime_date(year, month, passed + 1 + _lowest(days)).toordinal() - _EPOCH

    def _in_month(self, year: int, month: int) -> int:
        """The days of the month that match, as bits."""
        if not self._months >> month & 1:
            return 0
        first_weekday, length = _month(year, month)
        return self._days & self._by_first[first_weekday] & (2 << length) - 1


@cache
def _month(year: int, month: int) -> tuple[int, int]:
    return monthrange(year, month)


def _bits_of_weekdays(weekdays: int, first: int) -> int:
    """The days of a month, as bits, that are such weekdays (Sunday is 0), if the month begins on that weekday (Monday is 0)."""
    return sum(1 << day for day in range(1, 32) if weekdays >> (first + day) % 7 & 1)


def _bits(field: str, low: int, high: int) -> int:
    bits = 0
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        for value in range(int(first), int(last or first) + 1, int(step or 1)):
            bits |= 1 << value
    return bits


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def measure(*, quick: bool) -> list[Row]:
    steps, rounds = (500, 1) if quick else (4000, 5)
    zone = ZoneTable(ZONE, BEGIN.year)
    begin_us = int(BEGIN.timestamp()) * 1_000_000
    by_bits = [Bitmask(text, zone).next_after for text in EXPRESSIONS]
    cron, calendar = _ours(EXPRESSIONS), _ours(CALENDARS)
    recurrence = _ours([f"DTSTART:{BEGIN:%Y%m%dT%H%M%S} RRULE:{text}" for text in RECURRENCES])
    for ours in (cron, calendar):
        _agree(ours, by_bits, begin_us)
    found = alternate(
        {
            "cron": lambda: _walk(cron, begin_us, steps),
            "calendar": lambda: _walk(calendar, begin_us, steps),
            "recurrence": lambda: _walk(recurrence, begin_us, steps),
            "bitmask": lambda: _walk(by_bits, begin_us, steps),
            "croniter": lambda: _croniter(steps),
            "dateutil": lambda: _dateutil(steps),
        },
        rounds,
    )
    each_us = {name: 1e6 / rate.a_second for name, rate in found.items()}
    return [
        Row(what=what, unit="µs of CPU", schedd=each_us[ours], beside=beside, other=each_us[theirs], wanted=wanted)
        for what, ours, beside, theirs, wanted in (
            ("next fire time", "cron", "bitmask by hand", "bitmask", at_most(2)),
            ("next fire time", "cron", "croniter, reused", "croniter", at_most(0.1)),
            ("next OnCalendar time", "calendar", "bitmask by hand", "bitmask", at_most(2)),
            ("next recurrence", "recurrence", "dateutil, reused", "dateutil", None),
        )
    ]


Next = Callable[[int], int]


def _when(text: str) -> When:
    return When(triggers=(Expression(text=text),), time_zone=ZONE)


def _next_after(rule: Callable[[int], int | None], t_us: int) -> int:
    found = rule(t_us)
    assert found is not None
    return found


def _ours(texts: Sequence[str]) -> list[Next]:
    return [partial(_next_after, compile_when(_when(text), created_us=0, seed=0).next_after) for text in texts]


def _agree(ours: Sequence[Next], theirs: Sequence[Next], begin_us: int) -> None:
    for text, next_of_ours, next_of_theirs in zip(EXPRESSIONS, ours, theirs, strict=True):
        t_us = begin_us
        for _ in range(5):
            t_us, before_us = next_of_ours(t_us), t_us
            if next_of_theirs(before_us) != t_us:
                raise AssertionError(f"the bitmask does not agree with schedd on {text!r} after {before_us}")


def _walk(rules: Sequence[Next], begin_us: int, steps: int) -> Rate:
    steps = min(steps, 4000)
    started = time.process_time()
    for next_after in rules:
        t_us = begin_us
        for step in range(steps):
            t_us = begin_us if step % 5 == 0 else next_after(t_us)
    return Rate(a_second=len(rules) * steps * 0.8 / (time.process_time() - started))


def _croniter(steps: int) -> Rate:
    walkers = [croniter(text, BEGIN.astimezone(ZoneInfo(ZONE)), ret_type=datetime) for text in EXPRESSIONS]
    begin, steps = BEGIN.astimezone(ZoneInfo(ZONE)), steps // 10
    started = time.process_time()
    for walker in walkers:
        for step in range(steps):
            if step % 5 == 0:
                walker.set_current(begin)
            else:
                walker.get_next()
    return Rate(a_second=len(walkers) * steps * 0.8 / (time.process_time() - started))


def _dateutil(steps: int) -> Rate:
    begin, steps = BEGIN.replace(tzinfo=None), steps // 10
    rules = [rrulestr(f"DTSTART:{BEGIN:%Y%m%dT%H%M%S}\nRRULE:{text}") for text in RECURRENCES]
    started = time.process_time()
    for rule in rules:
        walker = rule.xafter(begin)
        for step in range(steps):
            if step % 5 == 0:
                walker = rule.xafter(begin)
            else:
                next(walker)
    return Rate(a_second=len(rules) * steps * 0.8 / (time.process_time() - started))


_EPOCH = datetime_date(1970, 1, 1).toordinal()
_date = datetime_date.fromordinal
