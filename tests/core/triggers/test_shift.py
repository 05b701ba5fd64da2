"""Occurrences that calendars leave out move to the day that a walk from day to day finds, and the rule keeps its laws."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedd.core.model.calendar import Calendar, CalendarEntry, DateEntry, RangeEntry, Weekday, WeeklyEntry
from schedd.core.model.when import CalendarShift, Expression, Interval, Once, When
from schedd.core.triggers import Effect, Rule, compile_when, preview, within_limits
from schedd.core.triggers.calendars import CalendarDays, Calendars, calendar_days, left_out_by
from schedd.core.triggers.rule import Instants
from schedd.core.triggers.shift import SHIFT_DAYS, Shifted
from schedd.core.triggers.timeset import TimeSet
from schedd.core.triggers.zone import Zone
from schedd.core.triggers.zonename import zone_named

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60_000_000
DAY = 86_400_000_000


def micros(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def of(*entries: CalendarEntry, name: str = "c", zone: str = "") -> CalendarDays:
    return calendar_days(Calendar(name=name, entries=entries, time_zone=zone), lambda _: ())


# Around transitions: a gap and a fold at night, at midnight, a gap before midnight, half an hour, and a day that Samoa left out.
PLACES = [
    ("UTC", "2026-06-10T00:00+00:00"),
    ("Europe/Berlin", "2026-03-26T00:00+00:00"),
    ("Europe/Berlin", "2026-10-22T00:00+00:00"),
    ("America/Sao_Paulo", "2018-11-01T00:00+00:00"),
    ("America/Sao_Paulo", "2019-02-14T00:00+00:00"),
    ("America/Nuuk", "2026-03-26T00:00+00:00"),
    ("America/Nuuk", "2026-10-21T00:00+00:00"),
    ("Australia/Lord_Howe", "2026-04-02T00:00+00:00"),
    ("Pacific/Apia", "2011-12-27T00:00+00:00"),
]
WEEKEND = WeeklyEntry(days=(Weekday.SATURDAY, Weekday.SUNDAY))


def naive_shift(zone: Zone, left_out: TimeSet, at_us: int, step: int) -> int | None:
    """Where an occurrence runs, found by going from day to day."""
    if left_out.inside_from(at_us) != at_us:
        return at_us
    local_us = zone.local_at(at_us)
    for days in range(1, SHIFT_DAYS + 1):
        wanted_us = local_us + step * days * DAY
        target_us = zone.first_instant(wanted_us)
        belongs = target_us < zone.first_instant((wanted_us // DAY + 1) * DAY)
        if belongs and left_out.inside_from(target_us) != target_us:
            return target_us
    return None


def walked(rule: Rule, start_us: int, end_us: int) -> list[int]:
    found: list[int] = []
    at_us = rule.next_after(start_us - 1)
    while at_us is not None and at_us < end_us:
        found.append(at_us)
        at_us = rule.next_after(at_us)
    return found


def walked_back(rule: Rule, start_us: int, end_us: int) -> list[int]:
    found: list[int] = []
    at_us = rule.prev_before(end_us)
    while at_us is not None and at_us >= start_us:
        found.append(at_us)
        at_us = rule.prev_before(at_us)
    return found[::-1]


@st.composite
def entries(draw: st.DrawFn, start: str) -> CalendarEntry:
    first = datetime.fromisoformat(start).date() + timedelta(days=draw(st.integers(-3, 12)))
    match draw(st.integers(0, 2)):
        case 0:
            return DateEntry(date=first.isoformat() if draw(st.booleans()) else first.isoformat()[5:])
        case 1:
            return RangeEntry(first=first.isoformat(), last=(first + timedelta(days=draw(st.integers(0, 9)))).isoformat())
        case _:
            hours = st.integers(0, 23).map(lambda hour: f"{hour:02d}:{draw(st.sampled_from(['00', '30']))}")
            days = draw(st.sets(st.sampled_from(list(Weekday)), min_size=1, max_size=5))
            return WeeklyEntry(days=tuple(days), start=draw(hours), end=draw(hours))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Zone, TimeSet, tuple[int, ...], int, int]:
    zone, start = draw(st.sampled_from(PLACES))
    named = st.lists(entries(start), min_size=1, max_size=3).map(lambda made: of(*made, zone=draw(st.sampled_from(["", "", "Asia/Tokyo"]))))
    excluded = draw(st.lists(named, max_size=2))
    included = draw(st.lists(named, max_size=1 if excluded else 2, min_size=0 if excluded else 1))
    start_us = micros(start)
    minutes = st.lists(st.integers(0, 9 * 48).map(lambda half: start_us + half * 30 * MINUTE), max_size=40, unique=True)
    return zone_named(zone), left_out_by(excluded, included, zone), tuple(sorted(draw(minutes))), draw(st.sampled_from([1, -1])), start_us


@given(cases())
@settings(max_examples=60, deadline=None)
def test_shifted_rule_equals_a_walk_from_day_to_day(case: tuple[Zone, TimeSet, tuple[int, ...], int, int]) -> None:
    zone, left_out, times_us, step, start_us = case
    expected = sorted({at_us for time_us in times_us if (at_us := naive_shift(zone, left_out, time_us, step)) is not None})
    rule = Shifted(Instants(times_us), left_out, zone, step=step)

    assert walked(rule, start_us - 800 * DAY, start_us + 800 * DAY) == expected
    assert walked_back(rule, start_us - 800 * DAY, start_us + 800 * DAY) == expected


@given(cases(), st.integers(0, 20 * 24 * 60))
@settings(max_examples=40, deadline=None)
def test_shifted_rule_is_strictly_increasing_and_constant_between_fires(
    case: tuple[Zone, TimeSet, tuple[int, ...], int, int], minute: int
) -> None:
    zone, left_out, times_us, step, start_us = case
    rule = Shifted(Instants(times_us), left_out, zone, step=step)
    at_us = start_us - 5 * DAY + minute * MINUTE
    next_us = rule.next_after(at_us)
    if next_us is None:
        return
    assert next_us > at_us
    assert rule.next_after((at_us + next_us) // 2) == next_us
    assert rule.next_after(next_us - 1) == next_us
    assert rule.prev_before(next_us + 1) == next_us
    previous_us = rule.prev_before(next_us)
    assert previous_us is None or previous_us <= at_us


def compiled(text: str, shift: CalendarShift, *days: CalendarDays, **values: Any) -> Rule:
    when = When(
        triggers=(Expression(text=text),),
        exclude_calendars=tuple(each.name for each in days),
        calendar_shift=shift,
        **values,
    )
    return compile_when(when, created_us=0, seed=0, calendars=Calendars(days={each.name: each for each in days}))


def times(rule: Rule, start: str, count: int) -> list[str]:
    found, at_us = [], micros(start) - 1
    for _ in range(count):
        next_us = rule.next_after(at_us)
        if next_us is None:
            break
        found.append((EPOCH + timedelta(microseconds=next_us)).strftime("%m-%d %H:%M"))
        at_us = next_us
    return found


@pytest.mark.parametrize(
    ("text", "shift", "expected"),
    [
        ("0 9 * * *", CalendarShift.SKIP, ["01-01 09:00", "01-02 09:00", "01-05 09:00"]),
        ("0 9 * * SAT", CalendarShift.NEXT_DAY, ["01-05 09:00", "01-12 09:00"]),
        ("0 9 * * SUN", CalendarShift.PREVIOUS_DAY, ["01-02 09:00", "01-09 09:00"]),
        ("0 9 * * FRI,SUN", CalendarShift.PREVIOUS_DAY, ["01-02 09:00", "01-09 09:00"]),
        ("0 9,23 * * SAT,SUN", CalendarShift.NEXT_DAY, ["01-05 09:00", "01-05 23:00", "01-12 09:00"]),
        ("0 9 1 * *", CalendarShift.NEXT_DAY, ["01-01 09:00", "02-02 09:00", "03-02 09:00"]),
    ],
)
def test_shift_of_what_falls_on_a_weekend(text: str, shift: CalendarShift, expected: list[str]) -> None:
    assert times(compiled(text, shift, of(WEEKEND)), "2026-01-01T00:00+00:00", len(expected) + 1)[: len(expected)] == expected


def test_minutely_rule_is_not_enumerated_while_a_calendar_leaves_it_out() -> None:
    vacation = of(RangeEntry(first="2026-01-01", last="2026-12-31"))

    assert times(compiled("* * * * *", CalendarShift.NEXT_DAY, vacation), "2026-01-01T00:00+00:00", 2) == ["01-01 00:00", "01-01 00:01"]
    assert times(compiled("* * * * *", CalendarShift.SKIP, vacation), "2026-01-01T00:00+00:00", 1) == ["01-01 00:00"]


@pytest.mark.parametrize("shift", list(CalendarShift))
def test_rule_that_calendars_leave_out_altogether_ends(shift: CalendarShift) -> None:
    rule = compiled("0 9 * * *", shift, of(WeeklyEntry(days=tuple(Weekday))))

    assert rule.next_after(micros("2026-01-01T00:00+00:00")) is None
    assert rule.prev_before(micros("2026-01-01T00:00+00:00")) is None


@pytest.mark.parametrize("step", [1, -1])
def test_occurrence_for_which_no_day_fits_does_not_run(step: int) -> None:
    hours = of(WeeklyEntry(days=tuple(Weekday), start="17:00", end="09:00"))
    left_out = left_out_by([hours], [], "UTC")
    evening, morning = micros("2026-01-05T20:00+00:00"), micros("2026-01-06T09:00+00:00")
    rule = Shifted(Instants((evening, morning)), left_out, zone_named("UTC"), step=step)

    assert walked(rule, evening - 900 * DAY, evening + 900 * DAY) == [morning]
    assert walked_back(rule, evening - 900 * DAY, evening + 900 * DAY) == [morning]


def test_rule_that_finds_no_day_for_years_is_over() -> None:
    hours = of(WeeklyEntry(days=tuple(Weekday), start="17:00", end="09:00"))

    assert compiled("0 20 * * *", CalendarShift.NEXT_DAY, hours).next_after(micros("2026-01-01T00:00+00:00")) is None


def test_bounds_hold_before_and_after_a_shift() -> None:
    inside = {"start_us": micros("2026-01-04T00:00+00:00"), "end_us": micros("2026-01-11T00:00+00:00")}

    assert times(compiled("0 9 * * SAT", CalendarShift.NEXT_DAY, of(WEEKEND), **inside), "2026-01-01T00:00+00:00", 9) == []
    assert times(compiled("0 9 * * SUN", CalendarShift.NEXT_DAY, of(WEEKEND), **inside), "2026-01-01T00:00+00:00", 9) == ["01-05 09:00"]


def test_exclusion_holds_where_an_occurrence_is_moved_to() -> None:
    monday = {"exclusions": (Expression(text="0 0 5 1 *"),)}

    assert times(compiled("0 9 * * SAT", CalendarShift.NEXT_DAY, of(WEEKEND), **monday), "2026-01-01T00:00+00:00", 1) == ["01-12 09:00"]


def test_interval_in_a_fold_moves_to_one_instant_a_local_time() -> None:
    sunday = of(DateEntry(date="2026-10-25"))
    when = When(
        triggers=(Interval(every=timedelta(hours=1), anchor_us=micros("2026-10-25T00:00+00:00")), Once(times_us=(0,))),
        exclude_calendars=("c",),
        calendar_shift=CalendarShift.NEXT_DAY,
        time_zone="Europe/Berlin",
    )
    rule = compile_when(when, created_us=0, seed=0, calendars=Calendars(days={"c": sunday}))

    # 02:00 comes twice on that Sunday, at 00:00 and 01:00 UTC; on Monday it is 01:00 UTC.
    assert times(rule, "2026-10-25T00:00+00:00", 2) == ["10-25 23:00", "10-26 00:00"]


def test_preview_marks_what_is_left_out_by_whom_and_what_is_moved() -> None:
    when = When(
        triggers=(Expression(text="0 9 * * *"),),
        exclusions=(Expression(text="0 9 4 1 *"),),
        exclude_calendars=("friday",),
        include_calendars=("most",),
        calendar_shift=CalendarShift.NEXT_DAY,
    )
    most = of(RangeEntry(first="2026-01-02", last="2026-01-05"), name="most")
    calendars = Calendars(days={"friday": of(DateEntry(date="2026-01-02"), name="friday"), "most": most})
    start = micros("2026-01-01T00:00+00:00")
    shown = preview(when, created_us=0, seed=0, after_us=start, count=6, calendars=calendars, show_excluded=True)

    # Thursday's moves onto Saturday's, and so does Friday's; the exclusion leaves Sunday's out.
    assert [(instant.effects, instant.calendar) for instant in shown] == [
        ((Effect.EXCLUDED,), "most"),
        ((Effect.EXCLUDED,), "friday"),
        ((), ""),
        ((Effect.EXCLUDED,), ""),
        ((), ""),
        ((Effect.EXCLUDED,), "most"),
    ]
    moved = replace(when, triggers=(Expression(text="0 9 2 * *"),), exclusions=(), include_calendars=())
    [first] = preview(moved, created_us=0, seed=0, after_us=start, count=1, calendars=calendars)
    assert (first.effects, first.nominal_us) == ((Effect.CALENDAR_SHIFTED,), micros("2026-01-03T09:00+00:00"))


def test_limits_of_a_schedule_include_its_calendars() -> None:
    when = When(triggers=(Expression(text="@hourly"),), exclude_calendars=("c",))
    times_us = (micros("2026-01-02T09:00+00:00"), micros("2026-01-03T09:00+00:00"))
    calendars = Calendars(days={"c": of(DateEntry(date="2026-01-02"))})
    limited = within_limits(when, Instants(times_us), created_us=0, seed=0, calendars=calendars)

    assert walked(limited, times_us[0] - DAY, times_us[1] + DAY) == [times_us[1]]
