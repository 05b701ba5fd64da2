"""RFC 5545 recurrences agree with dateutil, which walks from DTSTART; obey the laws of rules; and refuse what RFC 5545 forbids."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from schedd.core.errors import ExpressionError
from schedd.core.model.when import Expression, FoldPolicy, GapPolicy, Recurrence, When
from schedd.core.triggers import Effect, Rule, check_when, compile_when, preview
from schedd.core.triggers.civil import FIRST_DAY, HOUR_US, day_number
from schedd.core.triggers.repetition import DAYS, MONTHS, ClockRepetition, DayRepetition, Listed, Phase, TimesOfDay
from schedd.core.triggers.yeardays import DayParts, YearDays
from schedd.core.triggers.zonedtimes import LocalTimes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z"""
DAY = 86_400_000_000
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "Asia/Kolkata"]
WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
COARSE = ["YEARLY", "MONTHLY", "WEEKLY", "DAILY"]
FINE = ["HOURLY", "MINUTELY", "SECONDLY"]


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def rule(
    text: str, zone: str = "UTC", gap: GapPolicy = GapPolicy.DIALECT, fold: FoldPolicy = FoldPolicy.DIALECT, created_us: int = NOW
) -> Rule:
    return compile_when(When(triggers=(Recurrence(text=text),), time_zone=zone, gap=gap, fold=fold), created_us=created_us, seed=0)


def fires(compiled: Rule, after: str, count: int) -> list[str]:
    at_us: int | None = micros(datetime.fromisoformat(after))
    found = []
    for _ in range(count):
        at_us = compiled.next_after(at_us) if at_us is not None else None
        found.append("never" if at_us is None else (EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    return found


def back(compiled: Rule, before: str, count: int) -> list[str]:
    at_us: int | None = micros(datetime.fromisoformat(before))
    found = []
    for _ in range(count):
        at_us = compiled.prev_before(at_us) if at_us is not None else None
        found.append("never" if at_us is None else (EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    return found


def numbers(*ranges: tuple[int, int]) -> st.SearchStrategy[str]:
    one = st.one_of(*(st.integers(low, high) for low, high in ranges))
    return st.lists(one, min_size=1, max_size=4, unique=True).map(lambda values: ",".join(map(str, values)))


def weekday_lists(largest: int) -> st.SearchStrategy[str]:
    """dateutil joins plain and numbered weekdays by AND, and RFC 5545 by OR: they are not mixed here."""
    plain = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4, unique=True)
    number = st.integers(1, largest).flatmap(lambda n: st.sampled_from([n, -n]))
    numbered = st.lists(st.tuples(number, st.sampled_from(WEEKDAYS)).map(lambda pair: f"{pair[0]}{pair[1]}"), min_size=1, max_size=3)
    return (st.one_of(plain, numbered) if largest else plain).map(",".join)


@st.composite
def rules(draw: st.DrawFn, *, limited: bool = True) -> str:
    """The text of a rule; its week numbers keep away from the ends of the year, about which dateutil errs."""
    frequency = draw(st.sampled_from(COARSE + FINE))
    parts = {"FREQ": frequency}
    largest = 5 if frequency in ("YEARLY", "MONTHLY") else 0
    choices = {
        "INTERVAL": st.integers(1, 40).map(str),
        "BYMONTH": numbers((1, 12)),
        "BYMONTHDAY": numbers((1, 31), (-31, -1)),
        "BYYEARDAY": numbers((1, 366), (-366, -1)),
        "BYDAY": weekday_lists(largest),
        "BYHOUR": numbers((0, 23)),
        "BYMINUTE": numbers((0, 59)),
        "BYSECOND": numbers((0, 59)),
        "WKST": st.sampled_from(WEEKDAYS),
    }
    if frequency == "YEARLY":
        choices["BYWEEKNO"] = numbers((2, 51))
    for name in draw(st.sets(st.sampled_from(sorted(choices)), max_size=4)):
        parts[name] = draw(choices[name])
    if "BYWEEKNO" in parts and any(character.isdigit() for character in parts.get("BYDAY", "")):
        del parts["BYDAY"]
    if any(name.startswith("BY") for name in parts) and draw(st.booleans()):
        parts["BYSETPOS"] = draw(numbers((1, 4), (-4, -1)))
    if limited and draw(st.booleans()):
        parts["COUNT"] = str(draw(st.integers(1, 30)))
    return ";".join(f"{name}={value}" for name, value in parts.items())


starts = st.datetimes(datetime(1995, 1, 1), datetime(2030, 1, 1)).map(lambda moment: moment.replace(microsecond=0))


def compiled(text: str, start: datetime, zone: str) -> Rule:
    try:
        return rule(f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{text}", zone)
    except ExpressionError:
        reject()


@settings(max_examples=300, deadline=None)
@given(
    text=rules(),
    cuts=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 9), st.text("=;,:+-0123456789ABDEFNOTYZ\n ", max_size=4)), max_size=4),
)
def test_mutated_rule_is_read_or_refused_and_nothing_else(text: str, cuts: list[tuple[int, int, str]]) -> None:
    text = f"DTSTART;TZID=Europe/Berlin:20260101T090000\nRRULE:{text}\nEXDATE;VALUE=DATE:20260102"
    for at, length, put in cuts:
        text = text[:at] + put + text[at + length :]
    try:
        mutated = rule(text)
    except ExpressionError:
        return
    following = mutated.next_after(NOW)
    assert following is None or following > NOW


SPANS = {"YEARLY": 3000, "MONTHLY": 900, "WEEKLY": 400, "DAILY": 120, "HOURLY": 30, "MINUTELY": 2, "SECONDLY": 1}


@settings(max_examples=100, deadline=None)
@given(text=rules(), start=starts, zone=st.sampled_from(ZONES), wait=st.floats(0, 3))
def test_recurrence_over_a_span_agrees_with_dateutil_walking_from_dtstart(text: str, start: datetime, zone: str, wait: float) -> None:
    ours = compiled(text, start, zone)
    days = SPANS[text.partition(";")[0][5:]]
    begin = start + timedelta(days=int(wait * days)) - timedelta(days=1)
    end = begin + timedelta(days=days)
    span = (micros(begin.replace(tzinfo=UTC)), micros(end.replace(tzinfo=UTC)))
    # An occurrence that is near is what makes dateutil's walk end.
    far = ours.next_after(span[1] + 3 * DAY)
    assume((far is not None and far < span[1] + 4000 * DAY) or "COUNT" in text)
    try:
        walk = rrulestr(text, dtstart=start).between(begin - timedelta(days=2), end + timedelta(days=2), inc=True)
    except ValueError:  # A combination that dateutil calls invalid.
        reject()
    placed = {micros(local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)) for local in walk[:2000]}
    top = span[1] if len(walk) <= 2000 else max(placed) - 2 * DAY
    expected = sorted(at for at in placed if span[0] < at < top)
    found = []
    at_us = ours.next_after(span[0])
    while at_us is not None and at_us < top:
        found.append(at_us)
        at_us = ours.next_after(at_us)
    assert found == expected


@settings(max_examples=200, deadline=None)
@given(
    text=rules(),
    start=starts,
    zone=st.sampled_from(ZONES),
    gap=st.sampled_from(GapPolicy),
    fold=st.sampled_from(FoldPolicy),
    at=st.integers(micros(datetime(1994, 1, 1, tzinfo=UTC)), micros(datetime(2040, 1, 1, tzinfo=UTC))),
    share=st.floats(0, 1),
)
def test_recurrence_next_increases_is_constant_between_and_prev_mirrors_it(
    text: str, start: datetime, zone: str, gap: GapPolicy, fold: FoldPolicy, at: int, share: float
) -> None:
    try:
        ours = rule(f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{text}\nRDATE:20200229T013000\nEXDATE:20200301T090000", zone, gap, fold)
    except ExpressionError:
        reject()
    following = ours.next_after(at)
    if following is None:
        last = ours.prev_before(at + 1)
        assert last is None or ours.next_after(last) is None
        return
    assert following > at
    between = at + int((following - 1 - at) * share)
    assert ours.next_after(between) == following
    assert ours.next_after(following - 1) == following
    before = ours.prev_before(following)
    assert before is None or (before <= at and ours.next_after(before) == following)
    assert ours.prev_before(following + 1) == following


@pytest.mark.parametrize("start", ["2024-03-08", "2024-10-30", "2011-12-28", "1994-12-28"])
@pytest.mark.parametrize("zone", [*ZONES, "Pacific/Kiritimati", "Antarctica/Troll"])
@pytest.mark.parametrize("gap", GapPolicy)
@pytest.mark.parametrize("fold", [FoldPolicy.DIALECT, FoldPolicy.BOTH])
def test_recurrence_around_transitions_yields_what_each_local_time_means(start: str, zone: str, gap: GapPolicy, fold: FoldPolicy) -> None:
    begin = datetime.fromisoformat(start)
    info = ZoneInfo(zone)
    expected = set()
    for step in range(7 * 48):
        local = begin + timedelta(minutes=30 * step)
        first, second = (local.replace(tzinfo=info, fold=fold_).astimezone(UTC) for fold_ in (0, 1))
        if first.astimezone(info).replace(tzinfo=None) != local:  # in a gap
            if gap is GapPolicy.RUN_AFTER:
                expected.add(gap_end(info, first - timedelta(hours=26), first))
            elif gap is GapPolicy.DIALECT:
                expected.add(first)
        else:
            expected |= {first, second} if fold is FoldPolicy.BOTH else {first}
    ours = rule(f"DTSTART:{begin:%Y%m%dT%H%M%S}\nRRULE:FREQ=MINUTELY;INTERVAL=30;COUNT={7 * 48}", zone, gap, fold)
    found, at = [], ours.next_after(0)
    while at is not None:
        found.append(EPOCH + timedelta(microseconds=at))
        at = ours.next_after(at)
    assert found == sorted(expected)
    backwards, at = [], ours.prev_before(micros(datetime(2040, 1, 1, tzinfo=UTC)))
    while at is not None:
        backwards.append(EPOCH + timedelta(microseconds=at))
        at = ours.prev_before(at)
    assert backwards == found[::-1]


@pytest.mark.parametrize("local", ["005959", "010000", "015959", "020000", "025959"])
def test_lone_occurrence_near_a_fold_is_found_from_right_before_it(local: str) -> None:
    yearly = rule(f"DTSTART:19981025T{local}\nRRULE:FREQ=YEARLY", "America/New_York")
    first = yearly.next_after(0)
    assert first is not None
    assert yearly.next_after(first - 1) == first
    assert yearly.prev_before(first + 1) == first


@pytest.mark.parametrize("before", ["2026-10-25T01:00:00Z", "2026-10-25T01:09:16Z", "2026-10-25T01:59:00Z", "2026-10-25T02:01:00Z"])
def test_occurrence_of_a_rule_that_begins_right_before_a_fold_is_found_from_within_it(before: str) -> None:
    # Berlin's clocks go back from 03:00 to 02:00 at 01:00Z: within the fold the local time is earlier than at the only occurrence.
    begun = rule("DTSTART:20261025T025949\nRRULE:FREQ=MINUTELY;INTERVAL=2", "Europe/Berlin")
    assert back(begun, before, 2) == ["2026-10-25T00:59:49Z", "never"]


def gap_end(info: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first instant with the offset that `high` has: by bisection."""
    after = high.astimezone(info).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(info).utcoffset() == after:
            high = middle
        else:
            low = middle
    return high.replace(microsecond=0)


@given(
    numbers=st.frozensets(st.integers(1, 53).flatmap(lambda n: st.sampled_from([n, -n])), min_size=1, max_size=4),
    year=st.integers(1901, 2400),
)
def test_week_numbers_are_those_of_iso_8601(numbers: frozenset[int], year: int) -> None:
    days = YearDays(DayParts(weeks=numbers))
    first = (date(year, 1, 1) - EPOCH.date()).days
    length = (date(year + 1, 1, 1) - date(year, 1, 1)).days

    def is_in(day: date) -> bool:
        iso = day.isocalendar()
        last = date(iso.year, 12, 28).isocalendar().week
        return iso.week in numbers or iso.week - last - 1 in numbers

    expected = [is_in(date(year, 1, 1) + timedelta(days=at)) for at in range(length)]
    assert [bool(days.between(first, first + length) >> at & 1) for at in range(length)] == expected


def test_numbered_and_plain_weekdays_are_joined_by_or() -> None:
    both = rule("DTSTART:20260101T090000\nRRULE:FREQ=MONTHLY;BYDAY=1MO,-1FR,SU")
    assert fires(both, "2026-01-03T00:00:00Z", 3) == ["2026-01-04T09:00:00Z", "2026-01-05T09:00:00Z", "2026-01-11T09:00:00Z"]


def test_interval_keeps_its_phase_years_after_dtstart() -> None:
    every_third_week = rule("DTSTART:19970902T090000\nRRULE:FREQ=WEEKLY;INTERVAL=3;BYDAY=TU,SU;WKST=SU")
    expected = ["2026-05-31T09:00:00Z", "2026-06-02T09:00:00Z", "2026-06-21T09:00:00Z", "2026-06-23T09:00:00Z"]
    assert fires(every_third_week, "2026-05-20T00:00:00Z", 4) == expected
    assert (date(2026, 5, 31) - date(1997, 8, 31)).days % 21 == 0


def test_missing_dtstart_is_the_schedules_creation_or_start() -> None:
    created = micros(datetime(2026, 1, 5, 9, 30, 15, 250_000, tzinfo=UTC))
    assert fires(rule("FREQ=DAILY", created_us=created), "2026-01-05T09:30:16Z", 1) == ["2026-01-06T09:30:15Z"]
    start_us = micros(datetime(2026, 2, 1, 6, tzinfo=UTC))
    started = When(triggers=(Expression(text="RRULE:FREQ=WEEKLY"),), start_us=start_us)
    assert fires(compile_when(started, created_us=created, seed=0), "2026-01-05T09:30:16Z", 2) == [
        "2026-02-01T06:00:00Z",
        "2026-02-08T06:00:00Z",
    ]
    assert check_when(started, now_us=created) == ()


def test_creation_is_asked_for_only_without_dtstart_in_the_zone_of_the_schedule() -> None:
    floating = rule("DTSTART:20260101T090000\nRRULE:FREQ=DAILY", "America/New_York", created_us=0)
    assert fires(floating, "2026-01-01T00:00:00Z", 1) == ["2026-01-01T14:00:00Z"]


def test_zone_of_dtstart_wins_and_utc_is_a_zone() -> None:
    assert fires(rule("DTSTART;TZID=Europe/Berlin:20260101T090000\nRRULE:FREQ=DAILY"), "2026-01-01T00:00:00Z", 1) == [
        "2026-01-01T08:00:00Z"
    ]
    utc = rule("DTSTART:20260101T090000Z\nRRULE:FREQ=DAILY;UNTIL=20260102T090000Z", "Europe/Berlin")
    assert fires(utc, "2026-01-01T00:00:00Z", 3) == ["2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z", "never"]


def test_until_in_utc_ends_a_rule_in_a_zone() -> None:
    text = "DTSTART;TZID=America/New_York:20260101T090000\nRRULE:FREQ=DAILY;UNTIL=20260102T140000Z"
    assert fires(rule(text), "2026-01-01T00:00:00Z", 3) == ["2026-01-01T14:00:00Z", "2026-01-02T14:00:00Z", "never"]
    assert back(rule(text), "2027-01-01T00:00:00Z", 3) == ["2026-01-02T14:00:00Z", "2026-01-01T14:00:00Z", "never"]


def test_rdate_adds_and_exdate_takes_away() -> None:
    text = (
        "DTSTART:20260101T090000\nRRULE:FREQ=DAILY;COUNT=4\nRDATE:20260110T120000,20260102T090000\nRDATE;TZID=Europe/Berlin:20260111T120000\n"
        "EXDATE:20260103T090000\nEXDATE;VALUE=DATE:20260104"
    )
    expected = ["2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z", "2026-01-10T12:00:00Z", "2026-01-11T11:00:00Z"]
    assert fires(rule(text), "2026-01-01T00:00:00Z", 5) == [*expected, "never"]
    assert back(rule(text), "2026-02-01T00:00:00Z", 5) == [*expected[::-1], "never"]


def test_dtstart_without_a_rule_is_an_occurrence() -> None:
    assert fires(rule("DTSTART:20260101T090000\nRDATE:20260105T090000"), "2025-01-01T00:00:00Z", 3) == [
        "2026-01-01T09:00:00Z",
        "2026-01-05T09:00:00Z",
        "never",
    ]


def test_dtstart_that_the_rule_does_not_yield_is_none() -> None:
    assert fires(rule("DTSTART:20260101T090000\nRRULE:FREQ=MONTHLY;BYMONTHDAY=15"), "2025-01-01T00:00:00Z", 1) == ["2026-01-15T09:00:00Z"]


def test_dates_fire_at_midnight_and_as_an_exclusion_leave_out_the_whole_day() -> None:
    dates = "DTSTART;VALUE=DATE:20260102\nRRULE:FREQ=WEEKLY;UNTIL=20260109"
    assert fires(rule(dates, "Europe/Berlin"), "2026-01-01T00:00:00Z", 3) == ["2026-01-01T23:00:00Z", "2026-01-08T23:00:00Z", "never"]
    assert back(rule(dates, "Europe/Berlin"), "2026-02-01T00:00:00Z", 1) == ["2026-01-08T23:00:00Z"]
    excluding = When(triggers=(Expression(text="0 9,17 * * *"),), exclusions=(Recurrence(text=dates),), time_zone="Europe/Berlin")
    compiled_ = compile_when(excluding, created_us=0, seed=0)
    assert fires(compiled_, "2026-01-01T12:00:00Z", 3) == ["2026-01-01T16:00:00Z", "2026-01-03T08:00:00Z", "2026-01-03T16:00:00Z"]
    assert back(compiled_, "2026-01-03T12:00:00Z", 2) == ["2026-01-03T08:00:00Z", "2026-01-01T16:00:00Z"]


def test_folded_and_indented_lines_are_read() -> None:
    folded = "DTSTART:20260101T090000\r\nRRULE:FREQ=DAILY;\r\n INTERVAL=2\n  RDATE:20260102T100000"
    assert fires(rule(folded), "2026-01-01T00:00:00Z", 3) == ["2026-01-01T09:00:00Z", "2026-01-02T10:00:00Z", "2026-01-03T09:00:00Z"]


def test_count_is_counted_from_dtstart_in_whatever_order_it_is_asked() -> None:
    counted = rule("DTSTART:20260101T090000\nRRULE:FREQ=DAILY;COUNT=3")
    assert back(counted, "2026-01-03T09:00:00Z", 3) == ["2026-01-02T09:00:00Z", "2026-01-01T09:00:00Z", "never"]
    assert fires(counted, "2026-01-02T09:00:00Z", 2) == ["2026-01-03T09:00:00Z", "never"]
    assert back(counted, "2030-01-03T09:00:00Z", 1) == ["2026-01-03T09:00:00Z"]


def test_count_beyond_the_calendar_ends_with_it() -> None:
    late = rule("DTSTART:99880101T090000\nRRULE:FREQ=YEARLY;COUNT=10")
    assert back(late, "9989-06-01T00:00:00Z", 1) == ["9989-01-01T09:00:00Z"]
    assert fires(late, "9989-01-01T09:00:00Z", 2) == ["9990-01-01T09:00:00Z", "never"]


@pytest.mark.parametrize("frequency", COARSE + FINE)
@pytest.mark.parametrize("extra", ["", ";BYHOUR=0,9;BYSETPOS=-1", ";INTERVAL=100000000"])
def test_calendar_ends_where_the_years_do(frequency: str, extra: str) -> None:
    last = rule(f"DTSTART:99890101T090000\nRRULE:FREQ={frequency}{extra}")
    assert fires(last, "9991-06-01T00:00:00Z", 1) == ["never"]
    assert fires(last, "9990-12-31T23:59:59Z", 1) == ["never"]
    assert back(last, "9991-06-01T00:00:00Z", 1) != ["never"]
    assert back(last, "9989-01-01T09:00:00Z", 1) == ["never"]
    first = rule(f"DTSTART:19000101T000000\nRRULE:FREQ={frequency}")
    assert back(first, "1900-01-01T00:00:00Z", 1) == back(first, "1850-01-01T00:00:00Z", 1) == ["never"]
    assert fires(first, "1850-01-01T00:00:00Z", 1) == ["1900-01-01T00:00:00Z"]


def test_a_local_time_that_is_moved_past_a_gap_is_marked() -> None:
    spec = When(triggers=(Recurrence(text="DTSTART:20260101T023000\nRRULE:FREQ=DAILY"),), time_zone="America/New_York")
    after_us = micros(datetime(2026, 3, 7, 12, tzinfo=UTC))
    instants = preview(spec, created_us=NOW, seed=0, after_us=after_us, count=2)
    assert instants[0].nominal_us == micros(datetime(2026, 3, 8, 7, 30, tzinfo=UTC))
    assert [Effect.MOVED_AFTER_GAP in instant.effects for instant in instants] == [True, False]


@pytest.mark.parametrize("frequency", FINE)
@pytest.mark.parametrize(
    ("parts", "kept"),
    [("BYMINUTE=10,20,30;BYSECOND=5,6;BYSETPOS=1,-1", {"HOURLY": [605, 1806], "MINUTELY": [605, 606], "SECONDLY": [605, 606]})],
)
def test_setpos_chooses_within_hours_minutes_and_seconds(frequency: str, parts: str, kept: dict[str, list[int]]) -> None:
    chosen = rule(f"DTSTART:20260101T000000\nRRULE:FREQ={frequency};{parts}")
    start = micros(datetime(2026, 1, 1, tzinfo=UTC))
    first = chosen.next_after(start - 1)
    assert first is not None
    second = chosen.next_after(first)
    assert second is not None
    assert [(at - start) // 1_000_000 for at in (first, second)] == kept[frequency]
    assert chosen.prev_before(second) == first
    assert chosen.prev_before(first) is None


REFUSED = [
    ("FREQ=FORTNIGHTLY", "RRULE.FREQ", "not a frequency"),
    ("RRULE:INTERVAL=2", "RRULE", "no FREQ"),
    ("FREQ=DAILY;INTERVAL=0", "RRULE.INTERVAL", "not allowed"),
    ("FREQ=DAILY;INTERVAL=+2", "RRULE.INTERVAL", "not allowed"),
    ("FREQ=DAILY;BYMONTH=13", "RRULE.BYMONTH", "1 to 12"),
    ("FREQ=DAILY;BYMONTH=-1", "RRULE.BYMONTH", "1 to 12"),
    ("FREQ=DAILY;BYMONTHDAY=0", "RRULE.BYMONTHDAY", "-31 to -1"),
    ("FREQ=DAILY;BYHOUR=24", "RRULE.BYHOUR", "0 to 23"),
    ("FREQ=DAILY;BYHOUR=", "RRULE.BYHOUR", "not allowed"),
    ("FREQ=DAILY;BYSECOND=60", "RRULE.BYSECOND", "0 to 59"),
    ("FREQ=DAILY;COUNT=1001", "RRULE.COUNT", "UNTIL"),
    ("FREQ=DAILY;COUNT=1;UNTIL=20300101T000000", "RRULE", "exclude each other"),
    ("FREQ=DAILY;BYEASTER=1", "RRULE", "not a part"),
    ("FREQ=DAILY;BYWEEKDAY=MO", "RRULE", "did you mean"),
    ("FREQ=DAILY;", "RRULE", "not a part"),
    ("FREQ=DAILY;FREQ=DAILY", "RRULE.FREQ", "stands twice"),
    ("FREQ=WEEKLY;BYDAY=XX", "RRULE.BYDAY", "not a weekday"),
    ("FREQ=MONTHLY;BYDAY=0MO", "RRULE.BYDAY", "not a weekday"),
    ("FREQ=WEEKLY;BYDAY=1MO", "RRULE.BYDAY", "only with FREQ=MONTHLY"),
    ("FREQ=YEARLY;BYWEEKNO=3;BYDAY=1MO", "RRULE.BYDAY", "without BYWEEKNO"),
    ("FREQ=MONTHLY;BYDAY=6MO", "RRULE.BYDAY", "five times"),
    ("FREQ=WEEKLY;WKST=1", "RRULE.WKST", "not a weekday"),
    ("FREQ=DAILY;BYSETPOS=1", "RRULE.BYSETPOS", "another BY part"),
    ("FREQ=DAILY;BYHOUR=1;BYSETPOS=367", "RRULE.BYSETPOS", "1 to 366"),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "RRULE", "BYMONTH=2 and BYMONTHDAY=30"),
    ("DTSTART:20260131T000000\nRRULE:FREQ=YEARLY;BYMONTH=2", "RRULE", "DTSTART's day"),
    ("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30", "RRULE", "no day of any year"),
    ("FREQ=YEARLY;BYYEARDAY=-366;BYMONTH=12", "RRULE", "no day of any year"),
    ("DTSTART:20260101T000000\nRRULE:FREQ=SECONDLY;INTERVAL=60;BYSECOND=30", "RRULE", "do not meet"),
    ("DTSTART:20260101T000000\nRRULE:FREQ=MINUTELY;INTERVAL=60;BYMINUTE=30", "RRULE", "do not meet"),
    ("DTSTART:20260101T000000\nRRULE:FREQ=HOURLY;INTERVAL=24;BYHOUR=30", "RRULE.BYHOUR", "0 to 23"),
    ("DTSTART:20260101T000000\nRRULE:FREQ=SECONDLY;INTERVAL=7201;BYHOUR=3;BYMINUTE=7;BYSECOND=11", "RRULE", "hardly ever"),
    ("DTSTART:20260101T000000\nRRULE:FREQ=DAILY;INTERVAL=7;BYDAY=MO", "RRULE", "do not meet"),
    ("DTSTART:20260101T000000\nRRULE:FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1;BYSETPOS=2", "RRULE", "do not meet"),
    ("DTSTART:20260101T000000\nRRULE:FREQ=MONTHLY;BYMONTHDAY=1,2;BYSETPOS=3", "RRULE", "do not meet"),
    ("DTSTART:20260101T000000\nRRULE:FREQ=HOURLY;BYMINUTE=1;BYSETPOS=2", "RRULE", "do not meet"),
    ("DTSTART:20260101T090000\nRRULE:FREQ=DAILY;UNTIL=20251231T090000", "RRULE.UNTIL", "before the first"),
    ("FREQ=DAILY;UNTIL=20301231", "RRULE.UNTIL", "UNTIL is a date"),
    ("FREQ=DAILY;UNTIL=soon", "RRULE.UNTIL", "not a date"),
    ("DTSTART:20260230T090000", "DTSTART", "does not exist"),
    ("DTSTART:18990101T090000", "DTSTART", "between 1900"),
    ("DTSTART;TZID=Europe/Berlyn:20260101T090000", "DTSTART", "Europe/Berlin"),
    ("DTSTART;TZID=Europe/Berlin:20260101T090000Z", "DTSTART", "without the Z"),
    ("DTSTART;TZID=Europe/Berlin:20260101", "DTSTART", "local date and time"),
    ("DTSTART;VALUE=PERIOD:20260101T090000", "DTSTART", "not understood"),
    ("DTSTART;VALUE=DATE:20260101T090000", "DTSTART", "VALUE=DATE"),
    ("DTSTART;VALUE=DATE-TIME:20260101", "DTSTART", "VALUE=DATE-TIME"),
    ("DTSTART:20260101T090000,20260102T090000", "DTSTART", "stands once"),
    ("DTSTART:20260101T090000\nDTSTART:20260102T090000", "DTSTART", "stands once"),
    ("DTSTART", "DTSTART", "no value"),
    ("DTSTART:20260101T090000\nRDATE:20260102", "RDATE", "same kind"),
    ("DTSTART:20260101\nRRULE:FREQ=DAILY;BYHOUR=3", "RRULE", "DTSTART is a date"),
    ("DTSTART:20260101\nRRULE:FREQ=HOURLY", "RRULE", "DTSTART is a date"),
    ("EXRULE:FREQ=DAILY", "recurrence", "no longer part"),
    ("SUMMARY:lunch", "recurrence", "none of DTSTART"),
    ("FREQ=DAILY COUNT=3", "RRULE", "no FREQ"),
    ("FREQ=DAILY, weekly", "RRULE.FREQ", "not a frequency"),
    ("FREQ=DAILY weekly", "recurrence", "none of DTSTART"),
    ("\n".join(["RRULE:FREQ=DAILY"] * 9), "RRULE", "more than 8"),
    ("EXDATE:20260101T090000", "recurrence", "nothing about when"),
    ("", "recurrence", "nothing about when"),
    ("RRULE:" + "x" * 16_384, "recurrence", "longer than"),
]


@pytest.mark.parametrize(("text", "part", "says"), REFUSED, ids=[text[:60] for text, _, _ in REFUSED])
def test_recurrence_that_is_wrong_or_never_matches_is_refused_with_field_and_reason(text: str, part: str, says: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        rule(text)
    assert caught.value.part == f"triggers[0]: {part}"
    assert says in f"{caught.value.reason} ({caught.value.suggestion})"
    assert caught.value.text[caught.value.position : caught.value.position + caught.value.length] in (caught.value.text or "")


def test_fault_in_several_lines_shows_its_line() -> None:
    [violation] = check_when(When(triggers=(Recurrence(text="DTSTART:20260101T000000\nRRULE:FREQ=DAILY;BYHOUR=99"),)), now_us=NOW)
    assert violation.field == "triggers[0]"
    assert (
        "RRULE.BYHOUR: `99` is not allowed here\nRRULE:FREQ=DAILY;BYHOUR=99\n                        ^^\n0 to 23" in violation.description
    )


def test_fault_on_one_line_is_pointed_at() -> None:
    [violation] = check_when(When(triggers=(Expression(text="FREQ=DAILY;BYMONTH=3,13"),)), now_us=NOW)
    assert violation.field == "triggers[0].expression"
    assert violation.description.splitlines()[1:3] == ["FREQ=DAILY;BYMONTH=3,13", "                     ^^"]


def test_recurrence_whose_occurrences_are_past_is_refused_as_never_firing() -> None:
    [violation] = check_when(When(triggers=(Recurrence(text="DTSTART:20200101T090000\nRRULE:FREQ=DAILY;COUNT=5"),)), now_us=NOW)
    assert violation.reason == "NEVER_FIRES"


def test_listed_times_answer_on_both_sides() -> None:
    times = Listed([30, 10])
    assert [times.first_from(at) for at in (0, 10, 11, 31)] == [10, 10, 30, None]
    assert [times.last_until(at) for at in (9, 10, 29, 99)] == [None, 10, 10, 30]


MONDAYS = DayParts(weekdays=frozenset({0}))
FIRSTS = DayParts(month_days=frozenset({1}))
NINE = TimesOfDay(frozenset({9}), frozenset({0}), frozenset({0}))


@pytest.mark.parametrize(
    "repetition",
    [
        DayRepetition(YearDays(MONDAYS), NINE, DAYS, phase=Phase(20_000, 7), positions=frozenset(), first_day=FIRST_DAY),
        DayRepetition(YearDays(FIRSTS), NINE, MONTHS, phase=Phase(0, 1), positions=frozenset({2}), first_day=FIRST_DAY),
        ClockRepetition(YearDays(DayParts()), NINE.face, HOUR_US, phase=Phase(0, 24), offsets_us=()),
    ],
    ids=["phase", "positions", "hours"],
)
def test_repetition_that_holds_nothing_answers_none_after_a_bounded_search(repetition: LocalTimes) -> None:
    assert repetition.first_from(NOW) is None
    assert repetition.last_until(NOW) is None


def test_chosen_times_are_found_beyond_the_last_of_a_period_and_before_the_first() -> None:
    at_ten = rule("DTSTART:20260101T000000\nRRULE:FREQ=HOURLY;BYMINUTE=10,20,30;BYSETPOS=1")
    assert fires(at_ten, "2026-01-01T03:15:00Z", 1) == ["2026-01-01T04:10:00Z"]
    at_thirty = rule("DTSTART:20260101T000000\nRRULE:FREQ=HOURLY;BYMINUTE=10,20,30;BYSETPOS=-1")
    assert back(at_thirty, "2026-01-01T03:25:00Z", 1) == ["2026-01-01T02:30:00Z"]
    assert fires(rule("DTSTART:20260101T000000\nRRULE:FREQ=MONTHLY;BYDAY=5MO"), "2026-01-01T00:00:00Z", 2) == [
        "2026-03-30T00:00:00Z",
        "2026-06-29T00:00:00Z",
    ]


def test_first_year_has_no_day_before_it() -> None:
    assert YearDays(DayParts(months=frozenset({2}), month_days=frozenset({29}))).last_until(FIRST_DAY + 300) is None
    before_it = rule("DTSTART:19000101T000000\nRRULE:FREQ=DAILY;COUNT=1", "Asia/Kolkata")
    assert before_it.prev_before(NOW) is before_it.next_after(0) is None


def test_days_between_go_on_over_the_end_of_a_year() -> None:
    new_years_eve = day_number(2030, 12, 31)
    assert YearDays(FIRSTS).between(new_years_eve, new_years_eve + 3) == 0b010
    assert YearDays(FIRSTS).between(new_years_eve, new_years_eve + 1) == 0


@pytest.mark.parametrize(
    ("parts", "minutes", "hours", "months"),
    [
        ("INTERVAL=1439;BYHOUR=9", 1439, {9}, set(range(1, 13))),
        ("INTERVAL=1441;BYHOUR=9,21;BYMINUTE=30", 1441, {9, 21}, set(range(1, 13))),
        ("INTERVAL=719;BYHOUR=9;BYMONTH=1,6", 719, {9}, {1, 6}),
    ],
)
def test_interval_that_drifts_through_the_day_comes_back_after_years(parts: str, minutes: int, hours: set[int], months: set[int]) -> None:
    start, end = datetime(2026, 1, 1, 9, 30, tzinfo=UTC), datetime(2046, 1, 1, tzinfo=UTC)
    every = [start + timedelta(minutes=minutes) * turn for turn in range((end - start) // timedelta(minutes=minutes) + 1)]
    expected = [at for at in every if at.hour in hours and at.month in months and ("BYMINUTE" not in parts or at.minute == 30)]
    drifting = rule(f"DTSTART:20260101T093000\nRRULE:FREQ=MINUTELY;{parts}")
    found, at_us = [], drifting.next_after(0)
    while at_us is not None and at_us < micros(end):
        found.append(EPOCH + timedelta(microseconds=at_us))
        at_us = drifting.next_after(at_us)
    assert found == expected
    backwards, at_us = [], drifting.prev_before(micros(end))
    while at_us is not None:
        backwards.append(EPOCH + timedelta(microseconds=at_us))
        at_us = drifting.prev_before(at_us)
    assert backwards == expected[::-1]


def test_rule_of_seconds_ends_where_hundreds_of_periods_hold_nothing() -> None:
    drifting = rule("DTSTART:20260101T090030\nRRULE:FREQ=SECONDLY;INTERVAL=86399;BYHOUR=9;BYMINUTE=0")
    assert fires(drifting, "2026-01-31T08:59:59Z", 2) == ["2026-01-31T09:00:00Z", "never"]
    assert back(drifting, "2030-01-01T00:00:00Z", 1) == ["never"]


def test_exclusion_of_every_date_for_good_leaves_nothing() -> None:
    every_date = Recurrence(text="DTSTART;VALUE=DATE:19000101\nRRULE:FREQ=DAILY")
    nothing = compile_when(When(triggers=(Expression(text="0 9 * * *"),), exclusions=(every_date,)), created_us=0, seed=0)
    assert nothing.next_after(NOW) is None
    assert nothing.prev_before(NOW) is None
