"""What bad input gets: the field, the reason, a caret below the fault, and a suggestion that works."""

from __future__ import annotations

import re

import pytest

from schedd.core.errors import ExpressionError
from schedd.core.model.when import Cron, Expression, Trigger, When
from schedd.core.triggers import check_when, compile_when, described, pointed
from schedd.core.triggers.hints import missing_field
from schedd.core.triggers.zonename import is_zone

MISTAKES = [
    ("60 * * * *", "minute", "60", "write `0`"),
    ("90 * * * *", "minute", "90", "`@every 90m`"),
    ("0 24 * * *", "hour", "24", "midnight is hour 0"),
    ("0 48 * * *", "hour", "48", "`@every 48h`"),
    ("0 0 0 * *", "day of month", "0", "the first is `1`"),
    ("0 0 32 * *", "day of month", "32", "`L`"),
    ("0 0 * 0 *", "month", "0", "the first is `1`"),
    ("0 0 * * 8", "day of week", "8", "`0` or `7`"),
    ("0 0 31 2 *", "day of month", "31", "`0 0 L 2 *`"),
    ("every 5 minutes", "expression", "every 5 minutes", "`every 5m`"),
    ("every minute", "every", "minute", "`every 1m`"),
    ("every other day", "expression", "every other day", "`every 2d`"),
    ("5 min", "expression", "5 min", "`every 5m`"),
    ("PT5M", "expression", "PT5M", "`every 5m`"),
    ("P1D", "expression", "P1D", "`every 1d`"),
    ("9am", "expression", "9am", "`0 9 * * *`"),
    ("9 pm", "expression", "9 pm", "`0 21 * * *`"),
    ("rate(1 minutes)", "rate", "1 minutes", "`rate(1 minute)`"),
    ("rate(5 minute)", "rate", "5 minute", "`rate(5 minutes)`"),
    ("rate(5 seconds)", "rate", "5 seconds", "`@every 30s`"),
    ("cron(* * * * * *)", "day of week", "*", "`cron(* * * * ? *)`"),
    ("cron(0 10 ? * ? *)", "day of week", "?", "`cron(0 10 * * ? *)`"),
    ("cron(0 10 * * 2-6 *)", "day of week", "2-6", "`cron(0 10 ? * 2-6 *)`"),
    ("cron(0 10 * * *)", "expression", "0 10 * * *", "`cron(0 10 * * ? *)`"),
    ("cron(0 10 *)", "expression", "0 10 *", "`cron(0 10 ? * MON-FRI *)`"),
    ("CRON(0 10 * * ? *)", "expression", "CRON", "`cron(0 10 * * ? *)`"),
    ("0 10 ? * MON-FRI *", "expression", "?", "`cron(0 10 ? * MON-FRI *)`"),
    ("0 10 * * MON-FRI *", "expression", "MON-FRI", "`0 0 10 * * MON-FRI`"),
    ("0 0 1 1 * 2030", "expression", "2030", "`0 0 0 1 1 * 2030`; EventBridge's six are `cron(0 0 1 1 ? 2030)`"),
    ("0 0 * * 1 2030", "expression", "2030", "`cron(0 0 ? * 1 2030)`"),
    ("30 4 * *", "expression", "*", "`30 4 * * *`"),
    ("H/15 * * *", "expression", "*", "`H/15 * * * *`"),
    ("24:00", "hour", "24", ""),
    ("* * * * * * * *", "expression", "*", "`30 4 * * 1-5`"),
    ("@dayly", "macro", "@dayly", "`@daily`"),
    ("@fortnightly", "macro", "@fortnightly", "one of @yearly"),
    ("@every 5 minutes", "macro", "@every 5 minutes", "`every 5m`"),
    ("0 9 * * 1–5", "day of week", "1–5", "`0 9 * * 1-5`"),
    ('"0 9 * * *"', "day of week", '*"', "`0 9 * * *`"),
    ("TZ=Europe/Berlin 0 9 * * *", "second", "TZ=Europe/Berlin", "`0 9 * * *` with the time zone Europe/Berlin"),
    ("0 9 * * * Europe/Berlin", "day of week", "Europe/Berlin", "the zone stands beside"),
    ("0 9 * * * /bin/true", "day of week", "/bin/true", "the command stands beside"),
    ("1,,2 * * * *", "minute", "", "without a comma"),
    ("5 4 * * sunday", "day of week", "sunday", "write `SUN`"),
    ("0 0 1 sept *", "month", "sept", "write `SEP`"),
    ("* * * * mon-fry", "day of week", "fry", "SUN to SAT"),
    ("2030-02-30T10:00:00Z", "expression", "2030-02-30T10:00:00Z", "`2030-01-31T09:00:00Z`"),
    ("at(2030-02-30T10:00:00)", "at", "2030-02-30T10:00:00", "`at(2030-01-31T09:00:00)`"),
    ("at(2030-01-31)", "at", "2030-01-31", "`at(2030-01-31T09:00:00)`"),
    ("every 5 minutes after completion", "expression", "every 5 minutes after completion", "after_completion"),
    ("5m after each completion", "expression", "5m after each completion", "after_completion"),
    ("0 0 * * MON#6", "day of week", "6", "`FRI#2`"),
]


def refusal(trigger: Trigger, zone: str = "UTC") -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_when(When(triggers=(trigger,), time_zone=zone), created_us=0, seed=0)
    return caught.value


@pytest.mark.parametrize(("text", "part", "fault", "suggestion"), MISTAKES)
def test_mistake_is_pointed_at_with_a_suggestion(text: str, part: str, fault: str, suggestion: str) -> None:
    error = refusal(Expression(text=text))
    assert error.part.removeprefix("triggers[0]: ") == part
    assert text[error.position : error.position + error.length][: len(fault)] == fault
    assert suggestion in error.suggestion
    line, carets = pointed(error).splitlines()
    assert line == text
    assert (carets.index("^"), carets.count("^")) == (error.position, error.length)


@pytest.mark.parametrize("text", [text for text, *_ in MISTAKES])
def test_expression_that_is_suggested_is_right(text: str) -> None:
    """Whatever stands in backticks and looks like a whole expression can be used as it is."""
    suggestion = refusal(Expression(text=text)).suggestion
    whole = [one for one in re.findall("`([^`]+)`", suggestion) if " " in one or one.startswith("@")]
    for one in whole:
        compile_when(When(triggers=(Expression(text=one),)), created_us=0, seed=0)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Europe/Belin", "`Europe/Berlin`"),
        ("berlin", "`Europe/Berlin`"),
        ("new york", "`America/New_York`"),
        ("W. Europe Standard Time", "`Europe/Berlin`"),
        ("PST", "`America/Los_Angeles`"),
        ("EST5", "`America/New_York`"),
        ("IST", "`Asia/Kolkata` or `Europe/Dublin` or `Asia/Jerusalem`"),
        ("UTC+2", "`Etc/GMT-2`"),
        ("-05:00", "`Etc/GMT+5`"),
        ("Mars/Olympus Mons", "`Europe/Berlin` or `UTC`"),
    ],
)
def test_unknown_zone_is_answered_with_one_that_is_known(zone: str, said: str) -> None:
    [violation] = check_when(When(triggers=(Expression(text="* * * * *"),), time_zone=zone), now_us=0)
    assert (violation.field, violation.reason) == ("time_zone", "UNKNOWN_ZONE")
    assert said in violation.description
    assert all(is_zone(name) for name in re.findall("`([^`]+)`", violation.description)[1:])


def test_zone_hints_name_zones_that_exist() -> None:
    from schedd.core.triggers import zonehints

    meant = {*zonehints._WINDOWS.values(), *(place for places in zonehints._ABBREVIATIONS.values() for place in places)}
    assert [name for name in meant if not is_zone(name)] == []


def test_spoken_interval_is_answered_with_an_expression_whatever_counted_its_fields() -> None:
    assert missing_field("every 5 minutes", 3) == "write `every 5m`"


def test_text_beyond_the_limit_is_refused_and_shown_in_part() -> None:
    for trigger in (Expression(text="1," * 600 + "1 * * * *"), Cron(text="1," * 600 + "1 * * * *")):
        error = refusal(trigger)
        assert "at most 1024" in error.reason
        assert max(map(len, described(error).splitlines())) < 200


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ExpressionError(text="a\nbcd", part="x", reason="no", position=3, length=2), "bcd\n ^^"),
        (ExpressionError(text="日本 x", part="x", reason="no", position=3), "日本 x\n     ^"),
        (ExpressionError(text="a\tb", part="x", reason="no", position=2), "a b\n  ^"),
        (ExpressionError(text="ab", part="x", reason="no", position=9, length=5), "ab\n  ^"),
        (ExpressionError(text="x" * 100 + "!" + "y" * 100, part="x", reason="no", position=100), f"…{'x' * 60}!{'y' * 40}…\n{' ' * 61}^"),
    ],
)
def test_caret_stands_below_the_fault(error: ExpressionError, shown: str) -> None:
    assert pointed(error) == shown


def test_message_is_the_field_the_reason_the_caret_and_the_suggestion() -> None:
    error = refusal(Expression(text="0 25 * * *"))
    assert described(error) == "\n".join(
        ["triggers[0]: hour: 25 is out of range: an hour is 0 to 23", "0 25 * * *", "  ^^", "an interval as long as that is `@every 25h`"]
    )
    [violation] = check_when(When(triggers=(Expression(text="0 25 * * *"),)), now_us=0)
    assert violation.description == described(error).removeprefix("triggers[0]: ")
