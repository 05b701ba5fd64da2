"""OnCalendar expressions fire when systemd says, obey the laws of rules, and are refused with the place of the fault.

Where systemd-analyze is installed it judges random expressions; elsewhere those two tests say that it is not there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schedd.core.errors import ExpressionError
from schedd.core.model.when import Cron, Expression, FoldPolicy, GapPolicy, OnCalendar, When
from schedd.core.triggers import Rule, check_when, compile_when, normal_form, recognise
from schedd.core.triggers.rule import NEVER

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = 1_767_225_600_000_000
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Europe/Dublin", "Australia/Lord_Howe", "Africa/Cairo", "America/Sao_Paulo"]
ANALYZE = shutil.which("systemd-analyze")
ORACLE = settings(
    max_examples=20,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.large_base_example, HealthCheck.too_slow],
)
"""An example is a batch, for one process start, and names each expression that differs: there is nothing to shrink."""
OPEN_REPETITION = re.compile(r"(?<![.0-9])[0-9.]+/")
"""A repetition without an end, such as `0/31`: systemd 252 loses its start where it carries past two units (systemd issue 40260)."""


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment_of(at_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=at_us)


def rule(text: str, zone: str = "UTC", gap: GapPolicy = GapPolicy.DIALECT, fold: FoldPolicy = FoldPolicy.DIALECT) -> Rule:
    return compile_when(When(triggers=(OnCalendar(text=text),), time_zone=zone, gap=gap, fold=fold), created_us=0, seed=0)


def instants(compiled: Rule, after_us: int, count: int) -> list[datetime]:
    found: list[datetime] = []
    at_us = compiled.next_after(after_us)
    while at_us is not None and len(found) < count:
        found.append(moment_of(at_us))
        at_us = compiled.next_after(at_us)
    return found


def fires(compiled: Rule, after: str, count: int) -> list[str]:
    after_us = micros(datetime.fromisoformat(f"{after}+00:00"))
    return [moment.replace(tzinfo=None).isoformat(" ") for moment in instants(compiled, after_us, count)]


def lists(low: int, high: int) -> st.SearchStrategy[str]:
    """Lists of values, ranges and repetitions that systemd takes."""
    value = st.integers(low, high)
    pairs = st.tuples(value, value).map(sorted).filter(lambda pair: pair[0] < pair[1])
    ranges = pairs.map(lambda pair: f"{pair[0]}..{pair[1]}")
    repeated = pairs.map(lambda pair: f"{pair[0]}/{pair[1] - pair[0]}")
    both = st.tuples(ranges, st.integers(1, 7)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.lists(st.one_of(value.map(str), ranges, repeated, both), min_size=1, max_size=3).map(",".join)


def from_the_end() -> st.SearchStrategy[str]:
    repeated = st.integers(2, 28).flatmap(lambda day: st.integers(1, day - 1).map(lambda step: f"{day}/{step}"))
    return st.one_of(st.integers(1, 28).map(str), repeated, st.integers(1, 20).map(lambda day: f"{day}..{day + 8}/3"))


def fractions() -> st.SearchStrategy[str]:
    value = st.tuples(st.integers(0, 25), st.sampled_from([".5", ".25", ".000001", ".0625", ".99"])).map(lambda pair: f"{pair[0]}{pair[1]}")
    repeated = st.tuples(value, st.sampled_from(["0.5", "7.25", "12.000001", "0.333"])).map("/".join)
    ranges = st.tuples(value, st.integers(30, 59), st.sampled_from(["", "/1.5", "/0.25"])).map(lambda three: "{}..{}{}".format(*three))
    return st.lists(st.one_of(value, repeated, ranges), min_size=1, max_size=2).map(",".join)


STAR = st.just("*")
WEEKDAYS = st.sampled_from(["", "", "Mon ", "Mon..Fri ", "Tue,Thu..Sat ", "Sun,mon ", "wednesday, ", "Fri-Sun "])
MONTHS = st.one_of(STAR, STAR, lists(1, 12))
DATES = st.one_of(
    st.just(""),
    st.tuples(st.one_of(STAR, STAR, lists(2022, 2040)), MONTHS, st.one_of(STAR, lists(1, 28))).map(lambda three: "-".join(three) + " "),
    st.tuples(MONTHS, from_the_end()).map(lambda two: f"*-{two[0]}~{two[1]} "),
)
SECONDS = st.one_of(st.just(""), STAR.map(":{}".format), lists(0, 59).map(":{}".format), fractions().map(":{}".format))
TIMES = st.tuples(st.one_of(STAR, lists(0, 23)), st.one_of(STAR, lists(0, 59)), SECONDS).map(lambda three: "{}:{}{}".format(*three))
EXPRESSIONS = st.tuples(WEEKDAYS, DATES, TIMES).map("".join)
BASES = st.datetimes(datetime(2021, 1, 1), datetime(2034, 1, 1)).map(lambda moment: moment.replace(microsecond=0, tzinfo=UTC))


def analyzed(texts: list[str], base: datetime) -> tuple[list[tuple[str, list[str]]], str]:
    """For each text that systemd takes, its normal form and up to four instants, whole seconds of UTC; and what it says of the others."""
    assert ANALYZE is not None
    command = [ANALYZE, "calendar", "--iterations=4", f"--base-time={base:%Y-%m-%d %H:%M:%S} UTC", "--", *texts]
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    blocks = done.stdout.split("Normalized form: ")[1:]
    times = re.compile(r"(?:Next elapse|Iter\. #[0-9]+): \w{3} (\S+ \S+) UTC")
    return [(block.split("\n", 1)[0], times.findall(block)) for block in blocks], done.stderr


def compiled_or_never(text: str, zone: str = "UTC") -> Rule:
    """The rule of an expression that is well-formed: one without times where it can never match."""
    refusal = ""
    try:
        return rule(text, zone)
    except ExpressionError as error:
        refusal = error.reason
    assert "can never match" in refusal, text
    return NEVER


def answers(text: str, base: datetime) -> list[str]:
    """Up to four instants as systemd-analyze shows them: whole seconds, up to the year 2199."""
    found = instants(compiled_or_never(text), micros(base), 4)
    return [f"{moment:%Y-%m-%d %H:%M:%S}" for moment in found if moment.year < 2200]


def agrees(text: str, times: list[str], base: datetime) -> bool:
    """Whether these are schedd's instants too; all that is asked where systemd may have lost some is that schedd has those it names."""
    if OPEN_REPETITION.search(text):
        compiled = compiled_or_never(text)
        seconds = [datetime.fromisoformat(f"{time}+00:00") for time in times]
        found = [moment.replace(microsecond=0) for second in seconds for moment in instants(compiled, micros(second) - 1, 1)]
        return found == seconds
    return times == answers(text, base)


def refusal_of(text: str) -> ExpressionError | None:
    """What `normal_form` says against a text."""
    try:
        normal_form(text)
    except ExpressionError as error:
        return error
    return None


@given(st.lists(EXPRESSIONS, min_size=20, max_size=30), st.sampled_from(ZONES), BASES)
@ORACLE
def test_oncalendar_agrees_with_systemd(texts: list[str], zone: str, base: datetime) -> None:
    if ANALYZE is None:
        pytest.skip("no systemd-analyze here: install systemd")
    # systemd, started while a fold repeats local times, goes on with their second pass.
    base = base + timedelta(days=base.astimezone(ZoneInfo(zone)).fold)
    zoned = [f"{text} {zone}" for text in texts]
    # It gives up on some expressions: "Resource deadlock avoided".
    gives_up = re.findall("next elapse for '(.*)': Resource deadlock", analyzed(zoned, base)[1])
    zoned = [text for text in zoned if text not in gives_up]
    told, refusals = analyzed(zoned, base)
    assert refusals == ""
    assert [normal_form(text) for text in zoned] == [form for form, _ in told]
    differing = [(text, times) for text, (_, times) in zip(zoned, told, strict=True) if not agrees(text, times, base)]
    assert [(text, times, answers(text, base)) for text, times in differing] == [], base


@given(st.lists(st.tuples(EXPRESSIONS, st.integers(0, 40), st.sampled_from([*"0123456789*/-,.~: @MF", ""])), min_size=30, max_size=40))
@ORACLE
def test_oncalendar_refuses_what_systemd_refuses(mutations: list[tuple[str, int, str]]) -> None:
    if ANALYZE is None:
        pytest.skip("no systemd-analyze here: install systemd")
    texts = list(dict.fromkeys(text[:at] + put + text[at + 1 :] for text, at, put in mutations))
    accepted = [text for text in texts if refusal_of(text) is None]
    told, refusals = analyzed(texts, moment_of(NOW))
    refused = re.findall(r"calendar specification '(.*)': ", refusals)
    assert [text for text in texts if text not in refused and text not in accepted] == []
    assert [text for text in accepted if text in refused and not _is_lenience(text)] == []
    assert len(told) + len(refused) == len(texts)


def _is_lenience(text: str) -> bool:
    """What schedd takes and systemd does not.

    Blanks in other places; seconds that range over less than a step; days from the end in a list, whose bound systemd lowers per item.
    """
    return text != text.strip() or ".." in text.rpartition(":")[2] or re.search("~[^ ]*,", text) is not None


@given(EXPRESSIONS, st.sampled_from(ZONES), st.integers(micros(datetime(2020, 1, 1, tzinfo=UTC)), micros(datetime(2032, 1, 1, tzinfo=UTC))))
def test_oncalendar_is_strictly_increasing_and_constant_between_fires(text: str, zone: str, start_us: int) -> None:
    compiled = compiled_or_never(text, zone)
    first_us = compiled.next_after(start_us)
    previous_us = compiled.prev_before(start_us + 1)
    if first_us is not None:
        assert first_us > start_us
        assert compiled.next_after((start_us + first_us) // 2) == first_us
        assert compiled.next_after(first_us - 1) == first_us
        assert compiled.prev_before(first_us + 1) == first_us
        assert compiled.prev_before(first_us) == previous_us
    if previous_us is not None:
        assert previous_us <= start_us
        assert compiled.next_after(previous_us) == first_us


@given(st.text(alphabet="0123456789*/-,.~: @MonFriUTC\t", max_size=30))
@settings(max_examples=2000)
def test_any_text_is_oncalendar_or_refused_with_its_place(text: str) -> None:
    refusal = refusal_of(text)
    if refusal is None:
        assert normal_form(normal_form(text)) == normal_form(text)
    else:
        assert refusal.reason
        assert 0 <= refusal.position <= len(text)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Sat,Thu,Mon..Wed,Sat..Sun", "Mon..Thu,Sat,Sun *-*-* 00:00:00"),
        ("Wed, 17:48", "Wed *-*-* 17:48:00"),
        ("Mon-Fri 10:00", "Mon..Fri *-*-* 10:00:00"),
        ("Mon..Sun", "*-*-* 00:00:00"),
        ("Wed..Wed,Wed *-1", "Wed *-*-01 00:00:00"),
        ("Wed-Sat,Tue 12-10-15 1:2:3", "Tue..Sat 2012-10-15 01:02:03"),
        ("mon,fri *-1/2-1,3 *:30:45", "Mon,Fri *-01/2-01,03 *:30:45"),
        ("12..14:10,20,30", "*-*-* 12..14:10,20,30:00"),
        ("05:40:23.4200004/3.1700005", "*-*-* 05:40:23.420000/3.170001"),
        ("10:00:00.5..01.75/0.3", "*-*-* 10:00:00.500000..01.700000/0.300000"),
        ("00..07-*-*", "2000..2007-*-* 00:00:00"),
        ("99-1-1", "1999-01-01 00:00:00"),
        ("70-1-1", "1970-01-01 00:00:00"),
        ("0069-1-1", "2069-01-01 00:00:00"),
        ("*-*~* 00:00:00", "*-*-* 00:00:00"),
        ("*~1", "*-*~01 00:00:00"),
        ("*-*~07..10/2", "*-*~07..09/2 00:00:00"),
        ("*:0..30/31", "*-*-* *:00:00"),
        ("*-10..14/6-1", "*-10-01 00:00:00"),
        ("*:05..05", "*-*-* *:05:00"),
        ("1,1,2:0", "*-*-* 01,02:00:00"),
        ("*:4,30:0/1,3,5", "*-*-* *:04,30:*"),
        ("*:*:0/1,3.5", "*-*-* *:*:00/1,03.500000"),
        ("*:*:5..59/1", "*-*-* *:*:05..59"),
        ("@1493187147", "2017-04-26 06:12:27 UTC"),
        ("Wed @1493187147 Europe/Berlin", "Wed 2017-04-26 06:12:27 UTC"),
        ("*-*-* 10:00 utc", "*-*-* 10:00:00 UTC"),
        ("Weekly Pacific/Auckland", "Mon *-*-* 00:00:00 Pacific/Auckland"),
        ("minutely", "*-*-* *:*:00"),
        ("hourly", "*-*-* *:00:00"),
        ("DAILY", "*-*-* 00:00:00"),
        ("monthly", "*-*-01 00:00:00"),
        ("yearly", "*-01-01 00:00:00"),
        ("annually", "*-01-01 00:00:00"),
        ("quarterly", "*-01,04,07,10-01 00:00:00"),
        ("semi-annually", "*-01,07-01 00:00:00"),
    ],
)
def test_normal_form_is_the_one_of_systemd(text: str, form: str) -> None:
    assert normal_form(text) == form


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("*-02~03", "2027-01-01 00:00:00", ["2027-02-26 00:00:00", "2028-02-27 00:00:00"]),
        ("Mon *-05~07/1", "2024-01-01 00:00:00", ["2024-05-27 00:00:00", "2025-05-26 00:00:00"]),
        ("*-*~1..2", "2024-02-01 00:00:00", ["2024-02-28 00:00:00", "2024-02-29 00:00:00", "2024-03-30 00:00:00"]),
        ("Fri *-*-13 18:00", "2024-01-01 00:00:00", ["2024-09-13 18:00:00", "2024-12-13 18:00:00"]),
        ("*:*:0/0.5", "2024-01-01 00:00:59", ["2024-01-01 00:00:59.500000", "2024-01-01 00:01:00"]),
        (
            "1:0:9.5,9.000001",
            "2024-01-01 01:00:09",
            ["2024-01-01 01:00:09.000001", "2024-01-01 01:00:09.500000", "2024-01-02 01:00:09.000001"],
        ),
        ("*:*:*", "2024-01-01 00:00:58.5", ["2024-01-01 00:00:59", "2024-01-01 00:01:00"]),
        ("@1893456000", "2024-01-01 00:00:00", ["2030-01-01 00:00:00"]),
        ("2024/2-1-1", "2024-06-01 00:00:00", ["2026-01-01 00:00:00", "2028-01-01 00:00:00"]),
    ],
)
def test_oncalendar_fires_at_its_times(text: str, after: str, expected: list[str]) -> None:
    assert fires(rule(text), after, len(expected)) == expected


def test_oncalendar_zone_wins_over_the_zone_of_the_schedule() -> None:
    assert fires(rule("9:00 America/New_York", "Europe/Berlin"), "2024-03-09 15:00:00", 2) == ["2024-03-10 13:00:00", "2024-03-11 13:00:00"]
    assert fires(rule("9:00", "Europe/Berlin"), "2024-03-09 15:00:00", 1) == ["2024-03-10 08:00:00"]


@pytest.mark.parametrize(
    ("text", "gap", "expected"),
    [
        ("2:30", GapPolicy.DIALECT, "2024-04-01 00:30:00"),
        ("2:30", GapPolicy.SKIP, "2024-04-01 00:30:00"),
        ("2:30", GapPolicy.RUN_AFTER, "2024-03-31 01:00:00"),
        ("*:7/15", GapPolicy.RUN_AFTER, "2024-03-31 01:07:00"),
    ],
)
def test_oncalendar_skips_a_gap_unless_the_policy_runs_it_after(text: str, gap: GapPolicy, expected: str) -> None:
    assert fires(rule(text, "Europe/Berlin", gap=gap), "2024-03-31 00:55:00", 1) == [expected]


@pytest.mark.parametrize(
    ("text", "fold", "expected"),
    [
        ("2:30", FoldPolicy.DIALECT, ["2024-10-27 00:30:00", "2024-10-28 01:30:00"]),
        ("2:30", FoldPolicy.FIRST, ["2024-10-27 00:30:00", "2024-10-28 01:30:00"]),
        ("2:30", FoldPolicy.BOTH, ["2024-10-27 00:30:00", "2024-10-27 01:30:00"]),
        ("*:30", FoldPolicy.DIALECT, ["2024-10-27 00:30:00", "2024-10-27 02:30:00"]),
        ("*:30", FoldPolicy.BOTH, ["2024-10-27 00:30:00", "2024-10-27 01:30:00"]),
    ],
)
def test_oncalendar_fires_once_in_a_fold_unless_the_policy_says_both(text: str, fold: FoldPolicy, expected: list[str]) -> None:
    assert fires(rule(text, "Europe/Berlin", fold=fold), "2024-10-27 00:00:00", 2) == expected


@pytest.mark.parametrize(
    "text", ["Mon..Fri 10:00", "*-*-1 4:00", "weekly", "10:00", "Mon", "*~1", "01-05 UTC", "daily UTC", "@0", "Mon *-*-* 9:00 UTC"]
)
def test_oncalendar_is_recognised_by_its_form(text: str) -> None:
    assert recognise(text) == OnCalendar(text=text)


@pytest.mark.parametrize("text", ["1-5 9-17 * * *", "H H * * *", "0~29 * * * *", "0 9 * * MON-FRI", "*/5 * * * * *", "0 9 L * ?", "@daily"])
def test_cron_stays_cron_beside_oncalendar(text: str) -> None:
    assert recognise(text) == Cron(text=text)


@pytest.mark.parametrize("text", ["1-5 * * *", "0 9-17 * *", "0~29 * * *", "H * * *", "10", "* *"])
def test_too_few_fields_of_cron_are_refused_as_cron(text: str) -> None:
    with pytest.raises(ExpressionError, match="cron has 5") as caught:
        compile_when(When(triggers=(Expression(text=text),)), created_us=0, seed=0)
    assert f"`{text} *`" in caught.value.suggestion or "30 4 * * 1-5" in caught.value.suggestion


@pytest.mark.parametrize(
    ("text", "part", "fault", "reason", "suggestion"),
    [
        ("", "expression", "", "is empty", "Mon..Fri"),
        ("fortnightly", "weekday", "fortnightly", "not a day of the week", "weekly"),
        ("Mon.Fri 9:00", "weekday", "Mon.Fri", "not a day of the week or a range", "Mon,Wed..Fri"),
        ("Monday..", "weekday", "Monday..", "or a range", "Mon,Wed..Fri"),
        ("Mon,,Tue", "weekday", "", "or a range", "Mon,Wed..Fri"),
        ("Fri..Mon 9:00", "weekday", "Fri..Mon", "ends before it begins", "`Mon,Fri..Sun`"),
        ("Mon, Fri 9:00", "weekday", "Fri", "in front", "Mon,Wed..Fri"),
        ("9:00 Mon..Fri", "weekday", "Mon..Fri", "in front", "Mon,Wed..Fri"),
        ("9:00 europe/berlin", "zone", "europe/berlin", "not an IANA", "Europe/Berlin"),
        ("9:00 localtime", "zone", "localtime", "not an IANA", ""),
        ("2016- 11- 24 12:30", "expression", "24", "more parts", "may be left out"),
        ("*/5 10:00", "date", "*/5", "not a date", "*-*-01"),
        ("*-*-*-* 10:00", "date", "*-*-*-*", "not a date", "*-*-01"),
        ("Fri *-*-* 2", "time", "2", "not a time", "10:00"),
        ("1:2:3:4", "time", "1:2:3:4", "not a time", "10:00"),
        ("*:*/15", "minute", "*/15", "star stands alone", "0/15"),
        ("1,:0", "hour", "", "missing", "`1,2`"),
        ("x1:0", "weekday", "x1:0", "not a day of the week", "Mon"),
        ("1x:0", "hour", "1x", "not a value", "0/15"),
        ("24:00", "hour", "24", "0 to 23", ""),
        ("*:0..60/15", "minute", "60", "0 to 59", ""),
        ("9999999999999999999:00", "hour", "9999999999999999999", "0 to 23", ""),
        ("*:*:59.9999999", "second", "59.9999999", "0 to 59", ""),
        ("*:0.5", "minute", "0.5", "no fraction", "10:00:00.5"),
        ("5..3:00", "hour", "3", "ends before it begins", "22..23"),
        ("*:0/0", "minute", "0", "more than 0", "0/15"),
        ("*:*:0/0.0000001", "second", "0.0000001", "more than 0", ""),
        ("*:*:0/0.0009", "second", "0.0009", "millisecond", "0/0.001"),
        ("00:00/60", "minute", "00/60", "past the last minute", "`00`"),
        ("*-*~5/5", "day from the end", "5/5", "past the last", "`5`"),
        ("*~29", "day from the end", "29", "1 to 28", ""),
        ("100-1-1", "year", "100", "1970 to 2199", ""),
        ("@1.5", "expression", "@1.5", "whole seconds", "@1893456000"),
        ("@1 10:00", "expression", "10:00", "no time beside", "@1893456000"),
        ("@7258118400", "expression", "@7258118400", "year 2200", ""),
        ("*-02-30", "day", "30", "has 29 days", "`*-*~01`"),
        ("Mon 2024-02-06", "day", "06", "can never match", ""),
        ("Mon @0", "day", "@0", "can never match", ""),
    ],
)
def test_wrong_oncalendar_points_at_its_part(text: str, part: str, fault: str, reason: str, suggestion: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(reason)) as caught:
        rule(text)
    error = caught.value
    assert error.part == f"triggers[0]: {part}"
    assert error.text == text
    assert (text[error.position :][: len(fault)], error.length) == (fault, max(1, len(fault)))
    assert suggestion in error.suggestion


def test_too_long_a_list_is_refused() -> None:
    with pytest.raises(ExpressionError, match="at most 240 items"):
        rule(f"*:*:{','.join(['1'] * 241)}")


@pytest.mark.parametrize("text", ["2010-01-01", "@0", "2025-12-31 23:59:59", "2026-03-29 02:30 Europe/Berlin"])
def test_oncalendar_without_a_coming_time_is_refused_at_creation(text: str) -> None:
    [violation] = check_when(When(triggers=(OnCalendar(text=text),)), now_us=NOW)
    assert violation.reason == "NEVER_FIRES"


def test_wrong_oncalendar_names_its_field_at_creation() -> None:
    [violation] = check_when(When(triggers=(OnCalendar(text="*-02-30"),)), now_us=NOW)
    assert (violation.field, violation.reason) == ("triggers[0]", "INVALID_EXPRESSION")


def test_exclusion_of_an_oncalendar_date_leaves_out_the_whole_day() -> None:
    when = When(triggers=(OnCalendar(text="0/12:00"),), exclusions=(OnCalendar(text="*-12-25"),))
    assert fires(compile_when(when, created_us=0, seed=0), "2024-12-24 12:00:00", 1) == ["2024-12-26 00:00:00"]
