"""RFC 5545 recurrences as rules: RRULEs and RDATEs joined, EXDATEs left out, in the zone of DTSTART or the schedule's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from schedd.core.errors import ExpressionError
from schedd.core.model.when import GapPolicy
from schedd.core.triggers.civil import DAY_US, HOUR_US, MINUTE_US, SECOND_US, civil_date
from schedd.core.triggers.fieldsets import Token
from schedd.core.triggers.recurrence_text import Frequency, Moment, RepeatRule, parse_recurrence
from schedd.core.triggers.repetition import (
    DAYS,
    MONTHS,
    YEARS,
    ClockRepetition,
    DayRepetition,
    Limited,
    Listed,
    Phase,
    TimesOfDay,
    chosen,
    weeks,
)
from schedd.core.triggers.rule import SKIP_LIMIT, Bounded, ExcludedInstants, Excluding, Exclusion, Rule, Union
from schedd.core.triggers.timeset import InZone, LeftOut
from schedd.core.triggers.yeardays import DayParts, YearDays
from schedd.core.triggers.zone import Zone
from schedd.core.triggers.zonedtimes import LocalTimes, Place, ZonedTimes

_EVERY_HOUR: Final = frozenset(range(24))
_EVERY_60TH: Final = frozenset(range(60))
_ZERO: Final = frozenset({0})
_UNITS_US: Final = {Frequency.HOURLY: HOUR_US, Frequency.MINUTELY: MINUTE_US, Frequency.SECONDLY: SECOND_US}


class WholeDays:
    """A recurrence of dates: fires at the start of its days and, as an exclusion, leaves out all of each."""

    __slots__ = ("rule", "zone")

    def __init__(self, rule: Rule, zone: Zone) -> None:
        self.rule = rule
        self.zone = zone

    def next_after(self, t_us: int) -> int | None:
        """The first fire time strictly after `t_us`."""
        return self.rule.next_after(t_us)

    def prev_before(self, t_us: int) -> int | None:
        """The last fire time strictly before `t_us`."""
        return self.rule.prev_before(t_us)


class DatesOf:
    """The local days on which a recurrence of dates fires, each of them whole: a set of local times."""

    __slots__ = ("_rule", "_zone")

    def __init__(self, rule: Rule, zone: Zone) -> None:
        self._rule = rule
        self._zone = zone

    def inside_from(self, t_us: int) -> int | None:
        """The first moment of such a day that is not before `t_us`."""
        found = self._rule.next_after(self._begin(t_us // DAY_US) - 1)
        return None if found is None else max(t_us, self._day_of(found) * DAY_US)

    def outside_from(self, t_us: int) -> int | None:
        """The first moment of another day that is not before `t_us`."""
        day = t_us // DAY_US
        for _ in range(SKIP_LIMIT):
            found = self._rule.next_after(self._begin(day) - 1)
            if found is None or self._day_of(found) != day:
                return max(t_us, day * DAY_US)
            day += 1
        return None

    def inside_until(self, t_us: int) -> int | None:
        """The last moment of such a day that is not after `t_us`."""
        found = self._rule.prev_before(self._begin(t_us // DAY_US + 1))
        return None if found is None else min(t_us, (self._day_of(found) + 1) * DAY_US - 1)

    def outside_until(self, t_us: int) -> int | None:
        """The last moment of another day that is not after `t_us`."""
        day = t_us // DAY_US
        for _ in range(SKIP_LIMIT):
            found = self._rule.prev_before(self._begin(day + 1))
            if found is None or self._day_of(found) != day:
                return min(t_us, (day + 1) * DAY_US - 1)
            day -= 1
        return None

    def _begin(self, day: int) -> int:
        return self._zone.first_instant(day * DAY_US)

    def _day_of(self, t_us: int) -> int:
        return self._zone.local_at(t_us) // DAY_US


def excluded_dates(rule: Rule, zone: Zone) -> Exclusion:
    """Leaves out the local days on which a recurrence of dates fires."""
    return LeftOut(InZone(DatesOf(rule, zone), zone))


def compile_recurrence(text: str, place: Place, begin_us: int) -> Rule:
    """The rule of RFC 5545 text. `begin_us`, to the second, stands for a missing DTSTART; `place.zone` is that of floating times.

    DTSTART is an occurrence only where the RRULEs yield it, or where there is none. Raises: ExpressionError, also for a rule that can
    never match.
    """
    read = parse_recurrence(text)
    start = read.start
    if start is None:
        local_us = place.zone.local_at(begin_us) // SECOND_US * SECOND_US
        start = Moment(local_us=local_us, zone=None, is_date=False, token=Token(text, text, 0, "DTSTART"))
    home = _at(place, start)
    rules: list[Rule] = [_repeating(rule, start, home) for rule in read.rules]
    listed = [*read.added, *([start] if read.start is not None and not read.rules else [])]
    for moment in listed:
        if moment.is_date != start.is_date:
            raise moment.token.fault(
                f"`{moment.token.value}` is not of the same kind as DTSTART", "dates for both, or dates with times for both"
            )
    rules += _listed(listed, home)
    rule = rules[0] if len(rules) == 1 else Union(tuple(rules))
    excluded = [*_excluded_dates(read.left_out, home), *(ExcludedInstants(out) for out in _listed(_timed(read.left_out), home))]
    if excluded:
        rule = Excluding(rule, tuple(excluded))
    return WholeDays(rule, home.zone) if start.is_date else rule


def _at(place: Place, moment: Moment) -> Place:
    return place if moment.zone is None else replace(place, zone=moment.zone)


def _timed(moments: Iterable[Moment]) -> list[Moment]:
    return [moment for moment in moments if not moment.is_date]


def _listed(moments: Sequence[Moment], place: Place) -> list[Rule]:
    """A rule for each zone in which there are such moments."""
    by_place: dict[Place, list[int]] = {}
    for moment in moments:
        by_place.setdefault(_at(place, moment), []).append(moment.local_us)
    return [ZonedTimes(Listed(times), where) for where, times in by_place.items()]


def _excluded_dates(moments: Iterable[Moment], place: Place) -> list[Exclusion]:
    days = [moment.local_us for moment in moments if moment.is_date]
    # A day that begins with a gap has to be found too.
    return [excluded_dates(ZonedTimes(Listed(days), replace(place, gap=GapPolicy.RUN_AFTER)), place.zone)] if days else []


def _repeating(rule: RepeatRule, start: Moment, place: Place) -> Rule:
    if start.is_date and (rule.frequency >= Frequency.HOURLY or rule.hours or rule.minutes or rule.seconds):
        raise rule.token.fault(
            "DTSTART is a date, and the rule speaks of times of day", "a DTSTART with a time, such as `DTSTART:20300131T090000`"
        )
    until = rule.until
    if until is not None and until.is_date != start.is_date and until.is_date:
        raise until.token.fault("UNTIL is a date, and DTSTART has a time", "the last time that counts, such as `UNTIL=20301231T235959`")
    in_utc = until is not None and until.zone is not None and until.zone is not place.zone
    limited = Limited(
        _repetition(rule, start),
        start_us=start.local_us,
        until_us=None if until is None or in_utc else until.local_us,
        count=rule.count,
    )
    if rule.until is not None and not in_utc and limited.first_from(start.local_us) is None:
        raise rule.until.token.fault("UNTIL lies before the first occurrence", "a later one")
    zoned = ZonedTimes(limited, place)
    return Bounded(zoned, None, until.local_us + 1) if until is not None and in_utc else zoned


def _repetition(rule: RepeatRule, start: Moment) -> LocalTimes:
    """What a rule yields without its limits. Raises: ExpressionError if that is nothing."""
    days = YearDays(_day_parts(rule, start))
    if not days.most_in_a_year:
        raise rule.token.fault(f"no day of any year is allowed by {_day_text(rule)} together", "fewer parts, or days that exist")
    times = _times_of_day(rule, start)
    day = start.local_us // DAY_US
    repetition: LocalTimes
    if rule.frequency >= Frequency.HOURLY:
        unit_us = _UNITS_US[rule.frequency]
        offsets_us = _chosen_offsets(rule, start)
        phase = Phase(start.local_us // unit_us, rule.interval)
        if not times.meets(phase, unit_us):
            raise _never(rule)
        repetition = ClockRepetition(days, times.face, unit_us, phase=phase, offsets_us=offsets_us)
    else:
        scale = {Frequency.YEARLY: YEARS, Frequency.MONTHLY: MONTHS, Frequency.DAILY: DAYS}.get(rule.frequency) or weeks(rule.week_start)
        phase = Phase(scale.index_of(day), rule.interval)
        if rule.positions and min(map(abs, rule.positions)) > min(days.most_in_a_year, scale.longest) * times.count:
            raise _never(rule)
        repetition = DayRepetition(days, times, scale, phase=phase, positions=rule.positions, first_day=day)
    if repetition.first_from(start.local_us) is None:
        raise _never(rule)
    return repetition


def _day_parts(rule: RepeatRule, start: Moment) -> DayParts:
    """What the rule says about days, DTSTART filling in what it does not say."""
    date = civil_date(start.local_us // DAY_US)
    months, month_days, weekdays = rule.months, rule.month_days, frozenset(day for number, day in rule.weekdays if not number)
    if not (rule.weeks or rule.year_days or rule.month_days or rule.weekdays):
        if rule.frequency is Frequency.YEARLY and not months:
            months = frozenset({date.month})
        if rule.frequency <= Frequency.MONTHLY:
            month_days = frozenset({date.day})
        elif rule.frequency is Frequency.WEEKLY:
            weekdays = frozenset({date.weekday()})
    return DayParts(
        months=months,
        weeks=rule.weeks,
        year_days=rule.year_days,
        month_days=month_days,
        weekdays=weekdays,
        nth_weekdays=frozenset((number, day) for number, day in rule.weekdays if number),
        nth_of_month=rule.frequency is Frequency.MONTHLY or bool(rule.months),
        week_start=rule.week_start,
    )


def _times_of_day(rule: RepeatRule, start: Moment) -> TimesOfDay:
    """The times of day that the rule allows; DTSTART's where it is silent about what FREQ does not count through."""
    time_s = start.local_us % DAY_US // SECOND_US
    return TimesOfDay(
        rule.hours or (frozenset({time_s // 3600}) if rule.frequency < Frequency.HOURLY else _EVERY_HOUR),
        rule.minutes or (frozenset({time_s // 60 % 60}) if rule.frequency < Frequency.MINUTELY else _EVERY_60TH),
        rule.seconds or (frozenset({time_s % 60}) if rule.frequency < Frequency.SECONDLY else _EVERY_60TH),
    )


def _chosen_offsets(rule: RepeatRule, start: Moment) -> tuple[int, ...]:
    """What BYSETPOS chooses within an hour, a minute or a second; empty without BYSETPOS."""
    if not rule.positions:
        return ()
    time_s = start.local_us % DAY_US // SECOND_US
    minutes = rule.minutes or frozenset({time_s // 60 % 60})
    seconds = rule.seconds or frozenset({time_s % 60})
    within = TimesOfDay(
        _ZERO,
        minutes if rule.frequency is Frequency.HOURLY else _ZERO,
        seconds if rule.frequency < Frequency.SECONDLY else _ZERO,
    )
    offsets_us = tuple(within.at(number) for number in chosen(rule.positions, within.count))
    if not offsets_us:
        raise _never(rule)
    return offsets_us


def _never(rule: RepeatRule) -> ExpressionError:
    return rule.token.fault(
        f"no occurrence was found: {_parts_text(rule)} do not meet, or hardly ever", "a smaller INTERVAL, or parts that meet more often"
    )


def _parts_text(rule: RepeatRule) -> str:
    """The parts of the rule that narrow it down, as they were written."""
    parts = [part for part in rule.token.value.upper().split(";") if part.startswith(("BY", "INTERVAL"))]
    return " and ".join(parts)


def _day_text(rule: RepeatRule) -> str:
    """The parts that speak of days, as they were written, and DTSTART's day where it fills in."""
    names = ("BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYDAY")
    parts = [part for part in rule.token.value.upper().split(";") if part.startswith(names)]
    return " and ".join([*parts, *([] if rule.month_days or rule.year_days or rule.weeks or rule.weekdays else ["DTSTART's day"])])
