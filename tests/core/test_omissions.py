"""Omissions: what exclusions and calendars leave out is told once each, under its reason, beside what runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedd.core.model.calendar import Calendar, CalendarEntry, DateEntry, RangeEntry, Weekday, WeeklyEntry
from schedd.core.model.reason import Reason
from schedd.core.model.when import CalendarShift, Expression, Interval, Recurrence, When
from schedd.core.omissions import COUNTED_OMISSIONS, Omissions, omissions_of
from schedd.core.planning import LeftOut
from schedd.core.triggers import NO_CALENDARS, Calendars, Rule, compile_left_out, compile_when
from schedd.core.triggers.calendars import calendar_days, leaving_out
from schedd.core.triggers.rule import LEAPS, ExcludedInstants, Instants, Omitted

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000
DAY = 24 * HOUR
WEEKEND = WeeklyEntry(days=(Weekday.SATURDAY, Weekday.SUNDAY))
NIGHT = WeeklyEntry(days=tuple(Weekday), start="22:00", end="04:00")

# St. John's and Goose Bay fell back from 00:01 to 23:01 of the day before until 2011; Samoa left out a day.
PLACES = [
    ("UTC", "2026-06-10T00:00"),
    ("Europe/Berlin", "2026-03-26T00:00"),
    ("Europe/Berlin", "2026-10-22T00:00"),
    ("America/St_Johns", "2010-11-04T00:00"),
    ("America/St_Johns", "2010-03-11T00:00"),
    ("America/Sao_Paulo", "2018-11-01T00:00"),
    ("Pacific/Apia", "2011-12-27T00:00"),
]
EXCLUSIONS = [
    Expression(text="0 0 * * 0"),
    Expression(text="* * 7,29 * *"),
    Expression(text="30 */3 * * *"),
    Recurrence(text="DTSTART;VALUE=DATE:20100307\nRRULE:FREQ=DAILY;INTERVAL=2"),
]


def micros(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def known(*entries: CalendarEntry, zone: str = "") -> Calendars:
    return Calendars(days={"c": calendar_days(Calendar(name="c", entries=entries, time_zone=zone), lambda _: ())})


def forwards(rule: Rule, first_us: int, end_us: int) -> list[int]:
    found: list[int] = []
    at_us = rule.next_after(first_us - 1)
    while at_us is not None and at_us < end_us:
        found.append(at_us)
        at_us = rule.next_after(at_us)
    return found


def backwards(rule: Rule, first_us: int, end_us: int) -> list[int]:
    found: list[int] = []
    at_us = rule.prev_before(end_us)
    while at_us is not None and at_us >= first_us:
        found.append(at_us)
        at_us = rule.prev_before(at_us)
    return found[::-1]


@given(
    place=st.sampled_from(PLACES),
    text=st.sampled_from(["*/30 * * * *", "0 9 * * *", "30 0,2,23 * * *", "@every 7h"]),
    exclusions=st.lists(st.sampled_from(EXCLUSIONS), max_size=2, unique=True),
    entries=st.lists(st.sampled_from([WEEKEND, NIGHT, DateEntry(date="11-07"), RangeEntry(first="03-28", last="03-30")]), max_size=2),
    shift=st.sampled_from(CalendarShift),
)
@settings(max_examples=150, deadline=None)
def test_what_runs_and_what_is_left_out_are_all_that_the_triggers_yield(
    place: tuple[str, str], text: str, exclusions: list[Expression], entries: list[CalendarEntry], shift: CalendarShift
) -> None:
    zone, start = place
    first_us = micros(start)
    end_us = first_us + 10 * DAY
    bare = When(triggers=(Expression(text=text),), time_zone=zone)
    names = ("c",) if entries else ()
    when = replace(bare, exclusions=tuple(exclusions), exclude_calendars=names, calendar_shift=shift)
    calendars = known(*entries) if entries else NO_CALENDARS
    yielded = forwards(compile_when(bare, created_us=first_us, seed=0), first_us, end_us)
    rule = compile_when(when, created_us=first_us, seed=0, calendars=calendars)
    kept = forwards(rule, first_us, end_us)
    assert backwards(rule, first_us, end_us) == kept
    left = compile_left_out(when, created_us=first_us, seed=0, calendars=calendars)
    excluded, shifted = (forwards(part, first_us, end_us) for part in left)
    assert (backwards(left.excluded, first_us, end_us), backwards(left.shifted, first_us, end_us)) == (excluded, shifted)
    assert set(excluded).isdisjoint(shifted)
    assert set(kept).isdisjoint(excluded) or shift is not CalendarShift.SKIP
    if shift is CalendarShift.SKIP:
        assert shifted == []
    assert sorted({*excluded, *shifted, *(at_us for at_us in kept if at_us in set(yielded))}) == yielded
    for at_us in shifted:
        assert leaving_out(when, calendars, at_us) == "c"


SETS = st.sets(st.integers(0, 60), max_size=20).map(lambda made: tuple(sorted(made)))


@given(SETS, st.lists(SETS, max_size=3), st.integers(-5, 65), st.integers(-5, 65))
def test_omitted_is_the_intersection(times: tuple[int, ...], out: list[tuple[int, ...]], at_us: int, before_us: int) -> None:
    both = sorted(set(times) & set().union(*out))
    omitted = Omitted(Instants(times), tuple(ExcludedInstants(Instants(each)) for each in out))
    assert omitted.next_after(at_us) == min((one for one in both if one > at_us), default=None)
    assert omitted.prev_before(at_us) == max((one for one in both if one < at_us), default=None)
    assert omitted.first_between(at_us, before_us) == min((one for one in both if at_us < one < before_us), default=None)


def test_omitted_ends_its_search_where_nothing_ever_meets() -> None:
    even = Interval(every=timedelta(milliseconds=2), anchor_us=0)
    odd = Interval(every=timedelta(milliseconds=2), anchor_us=1000)
    left = compile_left_out(When(triggers=(even,), exclusions=(odd,)), created_us=0, seed=0)
    assert left.excluded.next_after(micros("2026-01-01")) is None
    assert left.excluded.prev_before(micros("2026-01-01")) is None
    assert LEAPS * 2000 < HOUR


@given(
    kept=SETS,
    omitted=SETS,
    cuts=st.lists(st.integers(0, 19), max_size=6),
    from_us=st.integers(-1, 60),
)
def test_each_omission_is_told_with_one_decision(kept: tuple[int, ...], omitted: tuple[int, ...], cuts: list[int], from_us: int) -> None:
    """Whatever stretches of occurrences are decided together, and then planning begins anew."""
    omitted = tuple(sorted(set(omitted) - set(kept)))
    omissions = _omissions(kept, omitted)
    told: list[int] = []
    edges = sorted({0, *(cut for cut in cuts if cut < len(kept)), len(kept)})
    for first, end in pairwise(edges):
        ranges = omissions.decided(kept[first], kept[end - 1], from_us=from_us)
        told += [at_us for range_ in ranges for at_us in omitted if range_.first_us <= at_us <= range_.last_us]
        assert all(range_.count == len([at for at in omitted if range_.first_us <= at <= range_.last_us]) for range_ in ranges)
    told += [at for range_ in omissions.pending(100, 70, from_us=from_us) for at in omitted if range_.first_us <= at <= range_.last_us]
    assert told == [at_us for at_us in omitted if at_us > from_us]


def _omissions(kept: tuple[int, ...], omitted: tuple[int, ...]) -> Omissions:
    """Those of a rule that yields both."""
    every = Instants(tuple(sorted({*kept, *omitted})))
    left = compile_left_out(When(triggers=(Expression(text="0 0 * * *"),)), created_us=0, seed=0)
    return Omissions(Instants(kept), left._replace(excluded=Omitted(every, (ExcludedInstants(Instants(omitted)),))))


def test_occasion_that_no_clock_yields_tells_nothing() -> None:
    omissions = _omissions((10, 30), (20,))
    assert omissions.decided(15, 15, from_us=0) == ()
    assert omissions.decided(40, 40, from_us=0) == ()
    assert [range_.first_us for range_ in omissions.decided(15, 30, from_us=0)] == [20]


@pytest.fixture
def omissions() -> Callable[..., Omissions]:
    def made(text: str, calendars: Calendars, **values: object) -> Omissions:
        when = replace(When(triggers=(Expression(text=text),), exclude_calendars=("c",)), **values)  # type: ignore[arg-type]
        found = omissions_of(when, created_us=0, seed=0, calendars=calendars)
        assert found is not None
        return found

    return made


def test_weekend_is_one_range_under_its_reason(omissions: Callable[..., Omissions]) -> None:
    monday = micros("2026-01-05T09:00")
    saturday, sunday = micros("2026-01-03T09:00"), micros("2026-01-04T09:00")
    expected = LeftOut(first_us=saturday, last_us=sunday, count=2, counted=True, reason=Reason.EXCLUDED)
    assert omissions("0 9 * * *", known(WEEKEND)).decided(monday, monday, from_us=0) == (expected,)
    moved = omissions("0 9 * * *", known(WEEKEND), calendar_shift=CalendarShift.NEXT_DAY)
    assert moved.decided(monday, monday, from_us=0) == (replace(expected, reason=Reason.CALENDAR_SHIFTED),)
    assert moved.decided(monday, monday, from_us=saturday) == (replace(expected, first_us=sunday, count=1, reason=Reason.CALENDAR_SHIFTED),)


def test_exclusion_and_shift_are_told_apart(omissions: Callable[..., Omissions]) -> None:
    both = omissions("0 9 * * *", known(WEEKEND), calendar_shift=CalendarShift.PREVIOUS_DAY, exclusions=(Expression(text="0 0 3 1 *"),))
    monday = micros("2026-01-05T09:00")
    told = both.decided(monday, monday, from_us=0)
    assert [(range_.reason, range_.first_us) for range_ in told] == [
        (Reason.EXCLUDED, micros("2026-01-03T09:00")),
        (Reason.CALENDAR_SHIFTED, micros("2026-01-04T09:00")),
    ]


def test_long_range_is_counted_up_to_a_bound(omissions: Callable[..., Omissions]) -> None:
    four = micros("2026-01-05T04:00")
    [night] = omissions("* * * * *", known(NIGHT)).decided(four, four, from_us=0)
    assert (night.count, night.counted) == (COUNTED_OMISSIONS, False)
    assert (night.first_us, night.last_us) == (micros("2026-01-04T22:00"), micros("2026-01-05T03:59"))


def test_schedule_without_exclusions_and_calendars_has_no_omissions() -> None:
    assert omissions_of(When(triggers=(Expression(text="0 9 * * *"),)), created_us=0, seed=0, calendars=NO_CALENDARS) is None


def test_leaving_out_names_the_calendar_that_does() -> None:
    calendars = Calendars(days={**known(WEEKEND).days, "d": known(NIGHT).days["c"]})
    when = When(triggers=(Expression(text="0 * * * *"),), exclude_calendars=("c",), include_calendars=("d",))
    assert leaving_out(when, calendars, micros("2026-01-03T23:00")) == "c"
    assert leaving_out(when, calendars, micros("2026-01-05T12:00")) == "d"
    assert leaving_out(when, calendars, micros("2026-01-05T23:00")) == ""
