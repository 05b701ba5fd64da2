"""Sets of time answer as a walk from moment to moment does; entries and iCalendar texts become the days that they say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from schedd.core.calendar_rules import check_calendar
from schedd.core.errors import ExpressionError
from schedd.core.model.calendar import (
    Calendar,
    CalendarEntry,
    DateEntry,
    HolidaysEntry,
    ICalendarEntry,
    RangeEntry,
    Weekday,
    WeeklyEntry,
    calendar_resource,
)
from schedd.core.model.when import When
from schedd.core.triggers.calendars import Calendars, calendar_days, used_calendars
from schedd.core.triggers.icalendar import TEXT_MAX_BYTES, read_icalendar
from schedd.core.triggers.timeset import AnyOf, InZone, Not, Stretches, TimeSet, WeeklyWindows, YearlyDays
from schedd.core.triggers.zonename import zone_named

HOUR = 3_600_000_000
DAY = 24 * HOUR
START = (datetime(2026, 3, 27, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
HOURS = 24 * 16


def day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def local(*entries: CalendarEntry) -> TimeSet:
    return calendar_days(Calendar(name="c", entries=entries), lambda _: (date(2026, 1, 6),)).local


def has(times: TimeSet, at_us: int) -> bool:
    return times.inside_from(at_us) == at_us


def days_of(times: TimeSet, first: str, count: int) -> list[str]:
    start = day(first)
    return [(date(1970, 1, 1) + timedelta(days=at)).isoformat() for at in range(start, start + count) if has(times, at * DAY + 12 * HOUR)]


hour = st.integers(0, HOURS)
spans = st.lists(st.tuples(hour, st.integers(1, 60)), max_size=5).map(
    lambda made: Stretches((START + first * HOUR, START + (first + length) * HOUR) for first, length in made)
)
windows = st.lists(st.tuples(st.integers(0, 167), st.integers(1, 168)), max_size=3).map(
    lambda made: WeeklyWindows((first * HOUR, (first + length) * HOUR) for first, length in made)
)
yearly = st.sets(st.integers(20, 31).map(lambda at: (3, at)), max_size=6).map(YearlyDays)
plain = st.one_of(spans, windows, yearly)
sets = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(AnyOf),
        inner.map(Not),
        st.tuples(inner, st.sampled_from(["Europe/Berlin", "Asia/Tokyo"])).map(lambda pair: InZone(pair[0], zone_named(pair[1]))),
    ),
    max_leaves=5,
)


@given(sets)
@settings(max_examples=150, deadline=None)
def test_set_answers_as_a_walk_by_the_hour_does(times: TimeSet) -> None:
    moments = [START + at * HOUR for at in range(HOURS)]
    members = [has(times, at_us) for at_us in moments]
    for at_us, member in zip(moments[::5], members[::5], strict=True):
        assert (times.outside_from(at_us) == at_us) is not member
        assert (times.inside_until(at_us) == at_us) is member
        assert (times.outside_until(at_us) == at_us) is not member
        ahead = [found for found, there in zip(moments, members, strict=True) if found >= at_us and there is not member]
        behind = [found for found, there in zip(moments, members, strict=True) if found <= at_us and there is not member]
        other_from = times.outside_from(at_us) if member else times.inside_from(at_us)
        other_until = times.outside_until(at_us) if member else times.inside_until(at_us)
        if ahead:
            assert other_from == ahead[0]
        else:
            assert other_from is None or other_from > moments[-1]
        if behind:
            assert other_until is not None
            assert other_until // HOUR * HOUR == behind[-1]
        else:
            assert other_until is None or other_until < moments[0]


def test_whole_week_has_no_end_in_either_direction() -> None:
    week = WeeklyWindows([(2 * HOUR, 2 * HOUR + 7 * DAY)])

    assert week.outside_from(START) is None
    assert week.outside_until(START) is None
    assert Not(week).inside_from(START) is None


def test_stretches_that_take_over_from_each_other_for_ever_have_no_end() -> None:
    ticks = [Stretches((START + at * 2 * HOUR + odd * HOUR, START + (at * 2 + 1 + odd) * HOUR) for at in range(2000)) for odd in (0, 1)]
    both = AnyOf(ticks)

    assert both.outside_from(START) is None
    assert both.outside_until(START + 3999 * HOUR) is None
    assert both.outside_from(START + 3100 * HOUR) == START + 4000 * HOUR


def test_calendars_are_found_by_name_or_refused_with_the_nearest() -> None:
    known = calendar_days(Calendar(name="holidays", entries=(DateEntry(date="01-01"),)), lambda _: ())
    calendars = Calendars(days={"holidays": known}, faults={"broken": "why"})

    assert calendars.named("holidays", "x") is known
    for name, said in (("holydays", "did you mean `holidays`?"), ("zzz", "schedctl calendar list")):
        with pytest.raises(ExpressionError) as refused:
            calendars.named(name, "exclude_calendars[0]")
        assert (refused.value.part, said in refused.value.suggestion) == ("exclude_calendars[0]", True)
    with pytest.raises(ExpressionError, match="the calendar `broken` cannot be read: why"):
        calendars.named("broken", "x")
    when = When(triggers=(), exclude_calendars=("a", "b"), include_calendars=("b", "c"))
    assert used_calendars(when) == ("a", "b", "c")
    assert calendar_resource("a") == "calendars/a"


def test_leap_day_comes_in_leap_years_only() -> None:
    leap = YearlyDays([(2, 29)])

    assert leap.inside_from(day("2026-01-01") * DAY) == day("2028-02-29") * DAY
    assert leap.inside_from(day("2096-03-01") * DAY) == day("2104-02-29") * DAY
    assert leap.inside_until(day("2104-02-28") * DAY) == (day("2096-02-29") + 1) * DAY - 1
    assert days_of(YearlyDays([(3, 1)]), "2027-02-27", 4) == ["2027-03-01"]


def test_sets_end_with_the_years_that_rules_answer_for() -> None:
    newyear = YearlyDays([(1, 1)])

    assert newyear.inside_from(day("9990-06-01") * DAY) is None
    assert newyear.inside_until(day("1899-06-01") * DAY) is None
    zoned = InZone(Stretches([(START, START + DAY)]), zone_named("Europe/Berlin"))
    assert zoned.inside_from(day("9991-06-01") * DAY) is None
    assert zoned.inside_until(day("1899-06-01") * DAY) is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (DateEntry(date="2026-01-02"), ["2026-01-02"]),
        (DateEntry(date="01-02"), ["2026-01-02"]),
        (RangeEntry(first="2026-01-02", last="2026-01-04"), ["2026-01-02", "2026-01-03", "2026-01-04"]),
        (RangeEntry(first="12-30", last="01-02"), ["2026-01-01", "2026-01-02"]),
        (WeeklyEntry(days=(Weekday.SUNDAY,)), ["2026-01-04"]),
        (WeeklyEntry(days=(Weekday.SATURDAY,), start="22:00", end="13:00"), ["2026-01-04"]),
        (WeeklyEntry(days=(Weekday.SATURDAY,), start="11:59:30", end="12:01"), ["2026-01-03"]),
        (HolidaysEntry(country="XX"), ["2026-01-06"]),
    ],
)
def test_entry_has_its_days(entry: CalendarEntry, expected: list[str]) -> None:
    assert days_of(local(entry), "2026-01-01", 7) == expected


@pytest.mark.parametrize(
    ("entry", "field", "said"),
    [
        (DateEntry(date="25.12.2026"), "date", "is not a date"),
        (DateEntry(date="2026-02-29"), "date", "there is no day"),
        (DateEntry(date="1812-01-01"), "date", "between 1900 and 9990"),
        (RangeEntry(first="2026-01-05", last="2026-01-04"), "range.last", "before the first day"),
        (RangeEntry(first="2026-01-05", last="01-06"), "range.last", "one end of the range has a year"),
        (WeeklyEntry(days=()), "weekly.days", "no day is given"),
        (WeeklyEntry(days=(Weekday.MONDAY,), start="24:00"), "weekly.start", "cannot begin at 24:00"),
        (WeeklyEntry(days=(Weekday.MONDAY,), end="24:01"), "weekly.end", "not a time of day"),
        (WeeklyEntry(days=(Weekday.MONDAY,), start="9:00"), "weekly.start", "not a time of day"),
        (ICalendarEntry(text="x"), "icalendar", "line 1: "),
    ],
)
def test_wrong_entry_is_refused_with_its_field(entry: CalendarEntry, field: str, said: str) -> None:
    [violation] = check_calendar(Calendar(name="c", entries=(DateEntry(date="01-01"), entry)), lambda _: ())

    assert violation.field == f"entries[1].{field}"
    assert said in violation.description
    with pytest.raises(ExpressionError, match=r"entries\[0\]"):
        local(entry)


def test_calendar_is_refused_with_every_wrong_field() -> None:
    wrong = Calendar(name="-", entries=(), time_zone="Mars/X", labels={"A": "x"}, description="d" * 1025)

    assert {violation.field for violation in check_calendar(wrong, lambda _: ())} == {
        "name",
        "entries",
        "time_zone",
        "labels['A']",
        "description",
    }
    [many] = check_calendar(Calendar(name="c", entries=(DateEntry(date="01-01"),) * 10_001), lambda _: ())
    assert (many.field, many.reason) == ("entries", "TOO_MANY")
    [long] = check_calendar(Calendar(name="c", entries=(DateEntry(date="01-01", description="d" * 256),)), lambda _: ())
    assert long.field == "entries[0].description"


def ics(*lines: str) -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR", ""])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["DTSTART;VALUE=DATE:20261225"], [("2026-12-25", "2026-12-25")]),
        (["DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227"], [("2026-12-24", "2026-12-26")]),
        (["DTSTART;VALUE=DATE:20261224", "DURATION:P1W"], [("2026-12-24", "2026-12-30")]),
        (['DTSTART;TZID="Europe/Berlin":20261224T220000', "DURATION:PT4H"], [("2026-12-24", "2026-12-25")]),
        (["DTSTART:20261224T090000", "DTEND:20261224T090000"], [("2026-12-24", "2026-12-24")]),
        (["DTSTART;VALUE=DATE:20261225", "STATUS:CANCELLED"], []),
        (["DTSTART;VALUE=DATE:2026", " 1225"], [("2026-12-25", "2026-12-25")]),
        (["DTSTART;VALUE=DATE:20261225", "BEGIN:VALARM", "TRIGGER:-PT5M", "END:VALARM"], [("2026-12-25", "2026-12-25")]),
        (
            ["DTSTART;VALUE=DATE:20261225", "RRULE:FREQ=YEARLY;COUNT=3", "EXDATE;VALUE=DATE:20271225"],
            [("2026-12-25", "2026-12-25"), ("2028-12-25", "2028-12-25")],
        ),
    ],
)
def test_icalendar_event_has_its_days(lines: list[str], expected: list[tuple[str, str]]) -> None:
    assert [(first.isoformat(), last.isoformat()) for first, last in read_icalendar(ics(*lines))] == expected


def test_icalendar_components_beside_events_are_passed_over() -> None:
    zone = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nBEGIN:STANDARD\nDTSTART:19701025T030000\nRRULE:FREQ=YEARLY\nEND:STANDARD\nEND:VTIMEZONE\n"

    assert read_icalendar(f"{zone}END:VCALENDAR\n") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the text is empty"),
        ("hello", "line 1: is not an iCalendar line"),
        ("BEGIN:VEVENT\n", "line 1: an iCalendar text begins"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\n", "line 2: the text ends within VEVENT"),
        ("BEGIN:VCALENDAR\nEND:VEVENT\n", "line 2: does not end"),
        (ics("SUMMARY:x"), "line 2: the event has no DTSTART"),
        (ics("DTSTART:20261224T220000Z"), "line 3: a time in UTC"),
        (ics("DTSTART:tomorrow"), "line 3: `tomorrow` is not a date"),
        (ics("DTSTART;VALUE=DATE:20260231"), "line 3: `20260231` is not a date"),
        (ics("DTSTART;VALUE=DATE:18991231"), "line 3: the year"),
        (ics("DTSTART;VALUE=DATE:20261225", "DTSTART;VALUE=DATE:20261226"), "line 4: DTSTART is there twice"),
        (ics("DTSTART;VALUE=DATE:20261225", "DTEND;VALUE=DATE:20261225"), "line 4: the event ends before"),
        (ics("DTSTART;VALUE=DATE:20261225", "DURATION:P"), "line 4: `P` is not a duration"),
        (ics("DTSTART;VALUE=DATE:20261225", "RDATE;VALUE=DATE:20261226"), "line 4: RDATE is not read"),
        (ics("DTSTART;VALUE=DATE:20261225", "RRULE:FREQ=WEEKLY"), "line 4: only yearly"),
        (ics("DTSTART;VALUE=DATE:20261225", "RRULE:FREQ=YEARLY;BYSETPOS=1"), "line 4: BYSETPOS is not read"),
        (ics("DTSTART;VALUE=DATE:20261225", "RRULE:FREQ=YEARLY;INTERVAL=0"), "line 4: INTERVAL has to be"),
        (ics("DTSTART;VALUE=DATE:20261225", "RRULE:FREQ=YEARLY;BYDAY=MO"), "line 4: BYDAY without BYMONTH"),
        (ics("DTSTART;VALUE=DATE:20261225", "RRULE:FREQ=YEARLY;BYMONTH=1;BYDAY=XX"), "line 4: `XX` is not a day"),
        (ics("DTSTART;VALUE=DATE:20261225", "RRULE:FREQ=YEARLY;BYMONTH=1;BYDAY=" + "XX" * 80), "line 4: "),
        ("x" * (TEXT_MAX_BYTES + 1), "at most 262144"),
        ("BEGIN:VCALENDAR\n" + ics("DTSTART:19000101", "RRULE:FREQ=YEARLY")[17:-15] * 200 + "END:VCALENDAR", "more than 20000"),
    ],
)
def test_icalendar_that_cannot_be_read_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        read_icalendar(text)

    assert said in refused.value.reason
    assert refused.value.part == "icalendar"


parts = st.one_of(
    st.just(""),
    st.builds(lambda month: f";BYMONTH={month}", st.integers(1, 12)),
    st.builds(lambda at: f";BYMONTHDAY={at}", st.sampled_from([1, 13, 29, 31, -1, -3])),
    st.builds(lambda month, at: f";BYMONTH={month};BYMONTHDAY={at},2", st.integers(1, 12), st.integers(1, 31)),
    st.builds(
        lambda month, n, name: f";BYMONTH={month};BYDAY={n}{name}",
        st.integers(1, 12),
        st.sampled_from(["", "1", "2", "-1", "5", "-2"]),
        st.sampled_from(["MO", "TH", "SU"]),
    ),
    st.just(";BYMONTH=11;BYMONTHDAY=2,3,4,5,6,7,8;BYDAY=TU"),
)
ends = st.sampled_from(["", ";COUNT=5", ";UNTIL=20401231", ";UNTIL=20350101T000000Z", ";INTERVAL=3"])


@given(st.dates(date(2000, 1, 1), date(2030, 12, 31)), parts, ends)
def test_yearly_recurrence_agrees_with_dateutil(start: date, by: str, end: str) -> None:
    found = [first for first, _ in read_icalendar(ics(f"DTSTART;VALUE=DATE:{start:%Y%m%d}", f"RRULE:FREQ=YEARLY{by}{end}"))]
    rule = rrulestr(f"FREQ=YEARLY{by}{end}".replace("T000000Z", ""), dtstart=datetime(start.year, start.month, start.day))
    expected = [moment.date() for moment in rule.between(datetime(1999, 1, 1), datetime(2060, 1, 1))]

    assert [first for first in found if first < date(2060, 1, 1)] == expected
