"""`schedctl cron next --batch`: a line in, a line out."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schedd.cli.batches import LINE_MAX, Defaults, answer, answers

SCHEDCTL = Path(sys.executable).parent / "schedctl"
DEFAULTS = Defaults(time_zone="Europe/Berlin", after_us=1_767_225_600_000_000, count=2)


def ask(**query: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer(json.dumps(query).encode(), DEFAULTS))
    return found


def test_line_is_answered_in_local_time_strictly_after() -> None:
    found = ask(dialect="unix5", expr="0 9 * * *", tz="Europe/Berlin", after="2026-03-28T09:00:00+01:00", n=2)
    assert found == {"next": ["2026-03-29T09:00:00+02:00", "2026-03-30T09:00:00+02:00"]}


def test_what_a_line_leaves_out_is_as_the_options_say() -> None:
    assert ask(expr="0 9 * * *") == {"next": ["2026-01-01T09:00:00+01:00", "2026-01-02T09:00:00+01:00"]}


def test_interval_counts_from_its_anchor_else_from_after() -> None:
    after = "2018-12-17T09:00:00+00:00"
    anchored = ask(expr="@every 5h", dialect="temporal-interval", tz="UTC", after=after, anchor="2018-12-17T08:00:00Z", n=1)
    assert anchored == {"next": ["2018-12-17T13:00:00+00:00"]}
    assert ask(expr="rate(5 minutes)", dialect="aws", tz="UTC", after=after, n=1) == {"next": ["2018-12-17T09:05:00+00:00"]}


def test_rule_that_is_over_has_no_next() -> None:
    assert ask(expr="at(2020-01-01T00:00:00)") == {"next": []}


@pytest.mark.parametrize(
    ("dialect", "expr"),
    [
        ("unix5", "0 9 * * *"),
        ("unix5+ext", "0 9 L * *"),
        ("cron6-sec-first", "0 0 9 ? * 1"),
        ("cron7-sec-first-year-last", "0 0 9 * * * 2030"),
        ("macro", "@daily"),
        ("macro", "@every 900s"),
        ("aws", "cron(0 10 ? * MON-FRI *)"),
        ("systemd-oncalendar", "Mon..Fri 09:00"),
        ("rrule", "FREQ=DAILY"),
        ("cron5", "0 9 * * *"),
        ("interval", "every 5m"),
    ],
)
def test_dialect_that_fits_is_taken(dialect: str, expr: str) -> None:
    assert len(ask(dialect=dialect, expr=expr)["next"]) == 2


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"expr": "61 * * * *"}, "minute: 61 is out of range"),
        ({"expr": "0 0 * * 1", "dialect": "quartz"}, "dialect: schedd does not read Quartz"),
        ({"expr": "0 0 * * * 1", "dialect": "cron6-sec-last"}, "put them first"),
        ({"expr": "0 9 * * 1 30 2030", "dialect": "cron7-sec-year-last"}, "put them first"),
        ({"expr": "FREQ=DAILY;BYMONTH=13", "dialect": "rrule"}, "RRULE.BYMONTH: `13` is not allowed here"),
        ({"expr": "@daily", "dialect": "unix5"}, "and not unix5"),
        ({"expr": "0 9 * * *", "dialect": "aws"}, "and not aws"),
        ({"expr": "0 9 * * *", "dialect": "klingon"}, "dialect: it is one of"),
        ({"expr": "0 9 * * *", "dialect": 5}, "dialect: it is one of"),
        ({"expr": "0 9 * * *", "tz": "Europe/Belin"}, "Europe/Berlin"),
        ({"expr": "0 9 * * *", "tz": 1}, "tz: it is a text"),
        ({"expr": "0 9 * * *", "after": "2026-01-01T00:00:00"}, "after: it is a time with an offset"),
        ({"expr": "0 9 * * *", "after": "soon"}, "after: it is a time with an offset"),
        ({"expr": "0 9 * * *", "n": 0}, "n: "),
        ({"expr": "0 9 * * *", "n": True}, "n: "),
        ({"expr": "0 9 * * *", "n": 10_001}, "n: "),
        ({"expr": ""}, "expr: "),
        ({}, "expr: "),
    ],
)
def test_query_that_cannot_be_meant_is_answered_with_the_reason(query: dict[str, Any], said: str) -> None:
    assert said in ask(**query)["error"]


@pytest.mark.parametrize(
    "line", [b"", b"nonsense", b"[1]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"expr": "\\ud800"}', b" " * (LINE_MAX + 1)]
)
def test_bad_line_is_answered_with_an_error(line: bytes) -> None:
    assert json.loads(answer(line, DEFAULTS))["error"]


def test_each_line_has_one_answer_in_order() -> None:
    good = b'{"expr":"0 9 * * *","n":1}\n'
    stream = good + b"bad\n\n" + b"x" * (LINE_MAX + 100_000) + b"\n" + good + good.rstrip()
    found = [json.loads(line) for line in b"".join(answers(io.BytesIO(stream), DEFAULTS)).splitlines()]
    assert ["next" in one for one in found] == [True, False, False, False, True, True]


def test_answer_comes_while_the_input_stays_open() -> None:
    command = [str(SCHEDCTL), "cron", "next", "--batch", "--tz", "UTC", "--after", "2026-01-01"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as made:
        assert made.stdin is not None
        assert made.stdout is not None
        for hour in (7, 8):
            made.stdin.write(json.dumps({"expr": f"0 {hour} * * *", "n": 1}) + "\n")
            made.stdin.flush()
            assert json.loads(made.stdout.readline()) == {"next": [f"2026-01-01T0{hour}:00:00+00:00"]}
        made.stdin.close()
        assert made.wait(20) == 0
