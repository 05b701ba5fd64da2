"""The sets that field-based rules are made of, beside their plain meaning: days read off a calendar, times of day in a sorted list."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import date, timedelta
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schedd.core.triggers.civil import FIRST_DAY, LAST_DAY, day_number
from schedd.core.triggers.clockface import ClockFace, Seconds
from schedd.core.triggers.days import ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, DayPattern, DaySet

FIRST, LAST = date(2023, 1, 1), date(2025, 3, 31)
CALENDAR = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
EPOCH = date(1970, 1, 1)
EVERY_DAY = DayPattern(days=ALL_DAYS, weekdays=ALL_WEEKDAYS)


def number_of(day: date) -> int:
    return (day - EPOCH).days


@cache
def month_of(day: date) -> tuple[date, ...]:
    first = day.replace(day=1)
    return tuple(each for each in (first + timedelta(days=number) for number in range(31)) if each.month == day.month)


def sunday_0(day: date) -> int:
    return day.isoweekday() % 7


def has(mask: int, bit: int) -> bool:
    return bool(mask >> bit & 1)


@cache
def nearest_workday(day: date) -> date:
    return min((each for each in month_of(day) if each.isoweekday() < 6), key=lambda each: abs((each - day).days))


def matches(pattern: DayPattern, day: date) -> bool:
    """Whether the day matches, by the words of DayPattern alone."""
    month = month_of(day)
    by_number = (
        has(pattern.days, day.day - 1)
        or has(pattern.from_end, len(month) - day.day)
        or any(has(pattern.workday_near, other.day - 1) and nearest_workday(other) == day for other in month)
        or any(has(pattern.workday_near_end, len(month) - other.day) and nearest_workday(other) == day for other in month)
    )
    same_weekday = [other for other in month if other.weekday() == day.weekday()]
    by_weekday = (
        has(pattern.weekdays, sunday_0(day))
        or has(pattern.nth_weekdays, 7 * same_weekday.index(day) + sunday_0(day))
        or (has(pattern.last_weekdays, sunday_0(day)) and same_weekday[-1] == day)
    )
    return by_number or by_weekday if pattern.either else by_number and by_weekday


def sparse(bits: int) -> st.SearchStrategy[int]:
    return st.sets(st.integers(0, bits - 1), max_size=3).map(lambda chosen: sum(1 << bit for bit in chosen))


NUMBERED = st.fixed_dictionaries({"days": sparse(31), "from_end": sparse(31), "workday_near": sparse(31), "workday_near_end": sparse(31)})
BY_NUMBER = st.one_of(st.just({"days": ALL_DAYS}), NUMBERED)
WEEKLY = st.fixed_dictionaries({"weekdays": sparse(7), "nth_weekdays": sparse(35), "last_weekdays": sparse(7)})
BY_WEEKDAY = st.one_of(st.just({"weekdays": ALL_WEEKDAYS}), WEEKLY)
PATTERNS = st.builds(lambda number, week, either: DayPattern(**number, **week, either=either), BY_NUMBER, BY_WEEKDAY, st.booleans())
MONTHS = st.one_of(st.just(ALL_MONTHS), st.integers(1, ALL_MONTHS))
YEARS = st.one_of(st.just(()), st.sets(st.integers(2022, 2026), min_size=1).map(lambda years: tuple(sorted(years))))


@given(PATTERNS, MONTHS, YEARS)
@example(DayPattern(workday_near=1 << 30, weekdays=ALL_WEEKDAYS), ALL_MONTHS, ())
@example(DayPattern(workday_near=1, workday_near_end=1 | 1 << 30, from_end=1 << 30, nth_weekdays=1 << 30, either=True), 0b10, (2022, 2024))
def test_day_set_is_the_sorted_list_of_its_days(pattern: DayPattern, months: int, years: tuple[int, ...]) -> None:
    days = DaySet(pattern, months, years)
    members = [
        number_of(day) for day in CALENDAR if has(months, day.month - 1) and (not years or day.year in years) and matches(pattern, day)
    ]
    first, last = number_of(FIRST), number_of(LAST)
    for day in (*range(first, last, 17), *(member + shift for member in members[1:-1:9] for shift in (-1, 0, 1))):
        after, until = bisect_left(members, day), bisect_right(members, day)
        found_first, found_last = days.first_from(day), days.last_until(day)
        assert found_first == members[after] if after < len(members) else found_first is None or found_first > last
        assert found_last == members[until - 1] if until else found_last is None or found_last < first
        assert (day in days) == (after != until)


@given(PATTERNS, MONTHS, YEARS, st.integers(number_of(FIRST), number_of(LAST)))
@example(EVERY_DAY, ALL_MONTHS, (), number_of(FIRST))
@example(EVERY_DAY, ALL_MONTHS, (2024,), number_of(date(2024, 6, 1)))
@example(EVERY_DAY, 0b11, (), number_of(date(2024, 1, 31)))
def test_first_and_last_outside_are_the_nearest_days_that_are_no_members(
    pattern: DayPattern, months: int, years: tuple[int, ...], day: int
) -> None:
    days = DaySet(pattern, months, years)
    after, before = days.first_outside(day), days.last_outside(day)
    assert all(each in days for each in range(day, day + 1000 if after is None else after))
    assert all(each in days for each in range(day - 1000 if before is None else before + 1, day))
    assert after is None or after not in days
    assert before is None or before not in days


def test_days_of_every_day_end_with_the_calendar() -> None:
    days = DaySet(EVERY_DAY)
    assert days.first_from(LAST_DAY) == LAST_DAY
    assert days.last_until(FIRST_DAY) == FIRST_DAY
    assert DaySet(EVERY_DAY, ALL_MONTHS, (9990,)).first_outside(LAST_DAY) is None
    assert DaySet(EVERY_DAY, ALL_MONTHS, (1900,)).last_outside(FIRST_DAY) is None


@pytest.mark.parametrize("years", [(), (2024, 2026)])
def test_pattern_without_a_day_ends_its_search_in_both_directions(years: tuple[int, ...]) -> None:
    days = DaySet(DayPattern(days=1 << 29, weekdays=ALL_WEEKDAYS), 0b10, years)
    assert days.is_empty
    assert days.first_from(day_number(2025, 1, 1)) is None
    assert days.last_until(day_number(2025, 1, 1)) is None


SET_OF_60 = st.one_of(st.just(set(range(60))), st.sets(st.integers(0, 59), min_size=1, max_size=6))
SECOND_US = 1_000_000


@given(st.sets(st.integers(0, 23), min_size=1), SET_OF_60, SET_OF_60, st.lists(st.integers(0, 86_400 * SECOND_US - 1), min_size=1))
@example({5}, {7}, {9}, [0, 86_399 * SECOND_US, (5 * 3600 + 7 * 60 + 9) * SECOND_US + 1, (5 * 3600 + 7 * 60 + 8) * SECOND_US])
@example({5}, {7, 9}, {9}, [(5 * 3600 + 7 * 60 + 10) * SECOND_US, (5 * 3600 + 9 * 60) * SECOND_US, (5 * 3600 + 8 * 60) * SECOND_US])
@example({5, 8}, {7}, {9}, [(5 * 3600 + 8 * 60) * SECOND_US, (8 * 3600) * SECOND_US, (7 * 3600) * SECOND_US])
def test_clock_face_is_the_sorted_list_of_its_times(hours: set[int], minutes: set[int], seconds: set[int], asked: list[int]) -> None:
    times = sorted((hour * 3600 + minute * 60 + second) * SECOND_US for hour in hours for minute in minutes for second in seconds)
    masks = [sum(1 << value for value in chosen) for chosen in (hours, minutes, seconds)]
    face = ClockFace(masks[0], masks[1], Seconds(masks[2]))
    assert (face.first_us, face.last_us) == (times[0], times[-1])
    for us in asked:
        after, until = bisect_left(times, us), bisect_right(times, us)
        assert face.first_from(us) == (times[after] if after < len(times) else None)
        assert face.last_until(us) == (times[until - 1] if until else None)
