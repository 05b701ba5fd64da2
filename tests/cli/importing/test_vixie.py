"""The reference reading of cron: what it takes and refuses, its DST rules, and cronsim as its judge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from schedd.cli.importing.host import CronKind
from schedd.cli.importing.vixie import CronDrawsError, CronRefusalError, fire_minutes, read_entry

MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _minute(text: str) -> int:
    return (datetime.fromisoformat(text).astimezone(UTC) - EPOCH) // MINUTE


def _local(expression: str, zone: str, start: str, end: str) -> list[str]:
    fired = fire_minutes(read_entry(expression, CronKind.DEBIAN), zone, _minute(start), _minute(end))
    return [f"{(EPOCH + minute * MINUTE).astimezone(ZoneInfo(zone)):%d %H:%M%z}" for minute in fired]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 2 * * *", ["27 02:30+0100", "28 03:00+0200", "29 02:30+0200"]),
        ("0,30 2 * * *", ["27 02:00+0100", "27 02:30+0100", "28 03:00+0200", "28 03:00+0200", "29 02:00+0200", "29 02:30+0200"]),
        ("30 */2 28 * *", [f"28 {hour:02}:30+0{1 + (hour > 2)}00" for hour in range(0, 24, 2) if hour != 2]),
        ("0 3 28 * *", ["28 03:00+0200"]),
    ],
)
def test_fixed_time_in_a_gap_runs_right_after_it_and_a_wildcard_does_not(expression: str, expected: list[str]) -> None:
    assert _local(expression, "Europe/Berlin", "2027-03-27T00:00+01:00", "2027-03-30T00:00+02:00") == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 2 * * *", ["31 02:30+0200"]),
        ("30 * 31 10 *", ["31 00:30+0200", "31 01:30+0200", "31 02:30+0200", "31 02:30+0100", "31 03:30+0100"]),
    ],
)
def test_repeated_time_runs_once_if_fixed_and_twice_if_a_wildcard(expression: str, expected: list[str]) -> None:
    assert _local(expression, "Europe/Berlin", "2027-10-31T00:00+02:00", "2027-10-31T04:00+01:00") == expected


def test_range_that_runs_backwards_is_empty_for_debian_and_refused_by_cronie() -> None:
    assert read_entry("0 0 * * 5-1", CronKind.DEBIAN).weekdays == frozenset()
    with pytest.raises(CronRefusalError, match="day-of-week '5-1'"):
        read_entry("0 0 * * 5-1", CronKind.CRONIE)


def test_rest_of_a_field_is_passed_over_by_debian_and_refused_by_cronie() -> None:
    assert read_entry("0 0 * * 1#2", CronKind.DEBIAN).weekdays == {1}
    with pytest.raises(CronRefusalError):
        read_entry("0 0 * * 1#2", CronKind.CRONIE)


def test_tilde_is_drawn_by_cronie() -> None:
    assert read_entry("0~30 1 * * *", CronKind.DEBIAN).minutes == (60,)
    with pytest.raises(CronDrawsError):
        read_entry("0~30 1 * * *", CronKind.CRONIE)


@pytest.mark.parametrize(
    "expression",
    ["60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "1,,2 * * * *", "? * * * *", "L * * * *",
     "* * * * monday", "1- * * * *", "5-64/30 * * * *", "@every", "* * * *"],
)  # fmt: skip
def test_what_cron_does_not_take_is_refused(expression: str) -> None:
    with pytest.raises(CronRefusalError):
        read_entry(expression, CronKind.DEBIAN)


def test_step_without_a_range_is_refused_with_what_would_be_right() -> None:
    with pytest.raises(CronRefusalError, match="such as 5-59/15"):
        read_entry("5/15 * * * *", CronKind.DEBIAN)


# Ranges of one value are left out: cronsim takes `0-0` in the day of week for every day. So is Lord Howe: cronsim loses the half hour after
# its transition of 30 minutes, where the golden vectors hold both readings.
def _field(first: int, last: int) -> st.SearchStrategy[str]:
    numbers = st.integers(first, last)
    ranges = st.tuples(st.integers(first, last - 3), st.integers(1, 3), st.integers(1, 9)).map(
        lambda parts: f"{parts[0]}-{parts[0] + parts[1]}/{parts[2]}"
    )
    return st.one_of(
        st.just("*"),
        st.integers(1, last).map(lambda step: f"*/{step}"),
        st.lists(st.one_of(numbers.map(str), ranges), min_size=1, max_size=3).map(",".join),
    )


@settings(max_examples=50, phases=[Phase.generate])
@given(
    st.tuples(_field(0, 59), _field(0, 23), _field(1, 31), _field(1, 12), _field(0, 6)).map(" ".join),
    st.sampled_from(["Europe/Berlin", "America/New_York", "America/St_Johns", "UTC", "Asia/Kolkata"]),
    st.sampled_from(["2026-10-20T00:00Z", "2027-03-01T00:00Z", "2027-04-01T00:00Z", "2026-02-27T00:00Z"]),
)
def test_times_are_those_of_cronsim(expression: str, zone: str, start: str) -> None:
    first = datetime.fromisoformat(start)
    end = first + timedelta(days=20)
    try:
        simulated = CronSim(expression, (first - MINUTE).astimezone(ZoneInfo(zone)))
    except CronSimError:
        assume(False)
    expected = set()
    for moment in simulated:
        if moment.astimezone(UTC) >= end:
            break
        expected.add((moment.astimezone(UTC) - EPOCH) // MINUTE)

    fired = fire_minutes(read_entry(expression, CronKind.DEBIAN), zone, _minute(start), _minute(end.isoformat()))

    assert set(fired) == {minute for minute in expected if minute >= _minute(start)}
