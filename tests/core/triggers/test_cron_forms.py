"""Every form that a cron field can take: which days and times it means, and where the caret stands when it is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schedd.core.errors import ExpressionError
from schedd.core.model.when import Cron, Expression, Trigger, When
from schedd.core.triggers import Rule, compile_when

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rule(trigger: Trigger, seed: int = 0) -> Rule:
    return compile_when(When(triggers=(trigger,)), created_us=0, seed=seed)


def fires(compiled: Rule, after: str, count: int) -> list[str]:
    at_us: int | None = (datetime.fromisoformat(after).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    found: list[str] = []
    while len(found) < count and at_us is not None and (at_us := compiled.next_after(at_us)) is not None:
        found.append((EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S"))
    return found


@pytest.mark.parametrize(
    ("text", "after", "days"),
    [
        ("0 0 L * *", "2024-02-01", ["2024-02-29", "2024-03-31"]),
        ("0 0 L-2 * *", "2024-02-01", ["2024-02-27", "2024-03-29"]),
        ("0 0 L-30 * *", "2024-02-01", ["2024-03-01", "2024-05-01"]),
        ("0 0 LW * *", "2024-03-01", ["2024-03-29", "2024-04-30"]),
        ("0 0 L-1W * *", "2024-03-01", ["2024-03-29", "2024-04-29"]),
        ("0 0 15W * *", "2024-06-01", ["2024-06-14", "2024-07-15"]),
        ("0 0 W15 * *", "2024-06-01", ["2024-06-14", "2024-07-15"]),
        ("0 0 1W * *", "2024-05-31T12", ["2024-06-03", "2024-07-01"]),
        ("0 0 31W * *", "2024-03-01", ["2024-03-29", "2024-05-31"]),
        ("0 0 30W 6 *", "2024-06-01", ["2024-06-28", "2025-06-30"]),
        ("0 0 28-L * *", "2024-02-01", ["2024-02-28", "2024-02-29", "2024-03-28"]),
        ("0 0 28-L/2 * *", "2024-03-01", ["2024-03-28", "2024-03-30", "2024-04-28"]),
        ("0 0 1,L * *", "2024-02-01T12", ["2024-02-29", "2024-03-01"]),
        ("0 0 ? * 1", "2024-01-01T12", ["2024-01-08", "2024-01-15"]),
        ("0 0 13 * ?", "2024-01-01", ["2024-01-13", "2024-02-13"]),
        ("0 0 * * FRI#2", "2024-01-01", ["2024-01-12", "2024-02-09"]),
        ("0 0 * * 1-2#1", "2024-02-01", ["2024-02-05", "2024-02-06", "2024-03-04"]),
        ("0 0 * * 5#5", "2024-01-01", ["2024-03-29", "2024-05-31"]),
        ("0 0 * * 5L", "2024-01-01", ["2024-01-26", "2024-02-23"]),
        ("0 0 * * L5", "2024-01-01", ["2024-01-26", "2024-02-23"]),
        ("0 0 * * SUNL", "2024-01-01", ["2024-01-28", "2024-02-25"]),
        ("0 0 * * 7", "2024-01-01", ["2024-01-07", "2024-01-14"]),
        ("0 0 * * 7-1", "2024-01-02", ["2024-01-07", "2024-01-08", "2024-01-14"]),
        ("0 0 * * FRI-MON", "2024-01-02", ["2024-01-05", "2024-01-06", "2024-01-07", "2024-01-08", "2024-01-12"]),
        ("0 0 1 NOV-FEB *", "2024-01-02", ["2024-02-01", "2024-11-01", "2024-12-01", "2025-01-01"]),
        ("0 0 1 10/2 *", "2024-01-01", ["2024-10-01", "2024-12-01"]),
        ("0 0 29 2 *", "2024-03-01", ["2028-02-29", "2032-02-29"]),
        ("0 0 29 2 *", "2097-01-01", ["2104-02-29"]),
        ("@weekly", "2024-01-01", ["2024-01-07", "2024-01-14"]),
        (" @Yearly ", "2024-01-02", ["2025-01-01"]),
        ("0 0 0 1 1 * 2030,2040", "2024-01-01", ["2030-01-01", "2040-01-01"]),
        ("0 0 0 1 3 * 2024-2026/2", "2024-01-01", ["2024-03-01", "2026-03-01"]),
        ("cron(0 0 L * ? *)", "2024-02-01", ["2024-02-29", "2024-03-31"]),
        ("cron(0 0 ? * L *)", "2024-02-01", ["2024-02-03", "2024-02-10"]),
        ("cron(0 0 ? * 6#3 *)", "2024-02-01", ["2024-02-16", "2024-03-15"]),
        ("cron(0 0 ? * 2L *)", "2024-02-01", ["2024-02-26", "2024-03-25"]),
    ],
)
def test_cron_day_forms_match_these_days(text: str, after: str, days: list[str]) -> None:
    assert fires(rule(Expression(text=text)), after, len(days)) == [f"{day}T00:00:00" for day in days]


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("50/5 * * * *", ["00:50:00", "00:55:00", "01:50:00"]),
        ("58-1 0 * * *", ["00:01:00", "00:58:00", "00:59:00"]),
        ("0-40/20 5 * * *", ["05:00:00", "05:20:00", "05:40:00"]),
        ("0 22-1 * * *", ["01:00:00", "22:00:00", "23:00:00"]),
        ("30,10 0 0 * * *", ["00:00:10", "00:00:30"]),
        ("59 59 23 * * *", ["23:59:59"]),
    ],
)
def test_cron_time_forms_match_these_times(text: str, times: list[str]) -> None:
    assert fires(rule(Expression(text=text)), "2024-01-01", len(times)) == [f"2024-01-01T{time}" for time in times]


def test_cron_with_a_final_year_ends_on_both_sides() -> None:
    compiled = rule(Expression(text="0 0 0 1 1 * 2030"))
    at_us = compiled.next_after(0)
    assert at_us is not None
    assert compiled.next_after(at_us) is None
    assert compiled.prev_before(at_us + 1) == at_us
    assert compiled.prev_before(at_us) is None


def test_cron_at_the_ends_of_time_has_no_fires_beyond() -> None:
    compiled = rule(Expression(text="0 0 1 1 *"))
    first_us = compiled.next_after(-(10**16))
    assert first_us is not None
    assert (EPOCH + timedelta(microseconds=first_us)).year == 1900
    assert compiled.prev_before(first_us) is None
    assert compiled.prev_before(first_us - 10**12) is None
    last_us = compiled.prev_before(10**18)
    assert last_us is not None
    assert (EPOCH + timedelta(microseconds=last_us)).year == 9990
    assert compiled.next_after(last_us) is None
    assert compiled.next_after(10**18) is None


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("H * * * *", 0, 59), ("~ * * * *", 0, 59), ("H(10-19) * * * *", 10, 19), ("20~30 * * * *", 20, 30), ("50~ * * * *", 50, 59)],
)
def test_drawn_minute_lies_within_its_range_and_all_of_it_is_drawn(text: str, low: int, high: int) -> None:
    drawn = {int(fires(rule(Expression(text=text), seed), "2024-01-01", 1)[0][14:16]) for seed in range(600)}
    assert drawn == set(range(low, high + 1))


def test_drawn_step_keeps_its_distance_and_its_range() -> None:
    for seed in range(50):
        minutes = [int(time[14:16]) for time in fires(rule(Expression(text="H/20 * * * *"), seed), "2023-12-31T23:59:59", 3)]
        assert minutes == [minutes[0], minutes[0] + 20, minutes[0] + 40]
        inner = [int(time[14:16]) for time in fires(rule(Expression(text="H(30-39)/5 * * * *"), seed), "2023-12-31T23:59:59", 3)]
        assert 30 <= inner[0] < 35
        assert inner[:2] == [inner[0], inner[0] + 5]
        assert inner[2] == inner[0]


def test_drawn_day_of_the_month_is_in_every_month() -> None:
    for seed in range(100):
        assert len(fires(rule(Expression(text="0 0 H * *"), seed), "2023-01-31T12", 1)) == 1
        assert {day[8:10] for day in fires(rule(Expression(text="0 0 H * *"), seed), "2022-12-31T12", 12)} <= {
            f"{day:02}" for day in range(1, 29)
        }


@pytest.mark.parametrize(
    ("text", "part", "pointed", "words"),
    [
        ("1,,2 * * * *", "minute", "", "empty"),
        ("1-2-3 * * * *", "minute", "1-2-3", "not a value"),
        ("*/0 * * * *", "minute", "0", "a step"),
        ("*/1234567890 * * * *", "minute", "1234567890", "a step"),
        ("H(9-3) * * * *", "minute", "H(9-3)", "ends before it begins"),
        ("9~3 * * * *", "minute", "9~3", "ends before it begins"),
        ("H/0 * * * *", "minute", "0", "a step"),
        ("* FOO * * *", "hour", "FOO", "not an hour"),
        ("* * * JANUARY *", "month", "JANUARY", "write `JAN`"),
        ("* 24 * * *", "hour", "24", "0 to 23"),
        ("* 12345678901 * * *", "hour", "12345678901", "0 to 23"),
        ("0 30 4 1 1 1066", "day of week", "1066", "seventh field"),
        ("* * L-31 * *", "day of month", "31", "no month has"),
        ("* * L-100 * *", "day of month", "100", "no month has"),
        ("* * 32W * *", "day of month", "32", "1 to 31"),
        ("* * W0 * *", "day of month", "0", "1 to 31"),
        ("* * 40-L * *", "day of month", "40", "1 to 31"),
        ("* * 3-L/0 * *", "day of month", "0", "a step"),
        ("* * * * 1#6", "day of week", "6", "first to a fifth"),
        ("* * * * 1#10", "day of week", "10", "first to a fifth"),
        ("* * * * 8L", "day of week", "8", "0 to 7"),
        ("* * * * FOOL", "day of week", "FOO", "not a day of week"),
        ("* * * * L", "day of week", "L", "not a day of week"),
        ("0 0 30 2 *", "day of month", "30", "29 days"),
        ("0 0 30W 2 *", "day of month", "30W", "can never match"),
        ("0 0 0 29 2 * 2025-2027", "day of month", "29", "can never match"),
        ("0 0 0 1 1 * 1969", "year", "1969", "1970 to 2199"),
        ("0 0 ? JAN * 2", "expression", "?", "EventBridge"),
        ("0 10 1 * MON 2", "expression", "MON", "EventBridge"),
        ("0 10 1 * ? 2", "expression", "?", "EventBridge"),
        ("0 10 1 * * 2030", "expression", "2030", "EventBridge"),
        ("* * * * * * * *", "expression", "*", "8 fields"),
        ("5", "expression", "5", "1 field;"),
        ("@sometimes", "macro", "@sometimes", "@every 5m"),
        ("cron(0 10 * * *)", "expression", "0 10 * * *", "5 fields"),
        ("cron(0 10 * * * *)", "day of week", "*", "exactly one"),
        ("cron(0 10 ? * ? *)", "day of week", "?", "exactly one"),
        ("rate(0 minutes)", "rate", "0 minutes", "at least 1"),
        ("rate(1 hours)", "rate", "1 hours", "rate(1 hour)"),
        ("rate(2 day)", "rate", "2 day", "rate(2 days)"),
        ("at(2030-02-30T00:00:00)", "at", "2030-02-30T00:00:00", "does not exist"),
        ("@every 3661d", "every", "3661d", "at most 10 years"),
        ("@every 0ms", "every", "0ms", "at least 1 ms"),
    ],
)
def test_wrong_expression_is_pointed_at_and_explained(text: str, part: str, pointed: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        rule(Expression(text=text))
    error = caught.value
    assert error.part == f"triggers[0]: {part}"
    assert text[error.position : error.position + error.length].startswith(pointed)
    assert pointed == "" or error.length == len(pointed)
    assert words in f"{error.reason} {error.suggestion}"


@pytest.mark.parametrize(("text", "words"), [("@reboot", "is not a macro"), ("", "0 fields"), ("* * *", "3 fields")])
def test_cron_trigger_that_is_no_cron_expression_is_refused(text: str, words: str) -> None:
    with pytest.raises(ExpressionError, match=words):
        rule(Cron(text=text))
