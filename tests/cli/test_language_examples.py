"""docs/schedule-language.md: what stands between backquotes in its prose is an example that is run here, or a name that exists."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from schedd.cli.batches import Defaults, answer
from schedd.cli.main import run
from schedd.core.errors import ExpressionError
from schedd.core.model.journal import JournalKind
from schedd.core.model.when import AfterCompletion, CalendarShift, Cron, DayMatch, Expression, FoldPolicy, GapPolicy, When
from schedd.core.triggers import clockless, compile_when, is_zone
from schedd.v1.journal_pb2 import JournalEntry
from schedd.v1.schedule_pb2 import Schedule
from tests.cli.test_language_document import DOCUMENT

ROOT = Path(__file__).parents[2]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PROSE = re.sub(r"^```.*?^```$", "", DOCUMENT, flags=re.DOTALL | re.MULTILINE)
SPANS = list(dict.fromkeys(re.findall(r"`([^`]+)`", PROSE)))
IN_TABLE = set(re.findall(r"`([^`]+)`", "\n".join(line for line in PROSE.splitlines() if line.startswith("| ") and " | `" in line)))


@dataclass(frozen=True, kw_only=True)
class Example:
    """What an expression with this span in it yields after `after`, a local time of `zone`; `shown`: the ends of local times."""

    span: str
    text: str
    shown: list[str]
    after: str = "2026-01-01T00:00"
    zone: str = "UTC"
    when: When = When(triggers=())


def example(span: str, text: str, *shown: str, after: str = "2026-01-01T00:00", zone: str = "UTC", when: When | None = None) -> Example:
    return Example(span=span, text=text, shown=list(shown), after=after, zone=zone, when=when or When(triggers=()))


BERLIN = "Europe/Berlin"
BEFORE_GAP, BEFORE_FOLD = "2026-03-29T01:00", "2026-10-25T01:40"
EXAMPLES = [
    # The forms of the table are compiled elsewhere; here the signs of cron's fields.
    example("?", "0 0 ? * 1", "01-05T00:00", "01-12T00:00"),
    example("L", "0 0 L * *", "01-31T00:00", "02-28T00:00"),
    example("L-n", "0 0 L-3 * *", "01-28T00:00", "02-25T00:00"),
    example("LW", "0 0 LW * *", "01-30T00:00", "02-27T00:00"),
    example("nW", "0 0 15W * *", "01-15T00:00", "02-16T00:00"),
    example("d#n", "0 0 * * 5#2", "01-09T00:00", "02-13T00:00"),
    example("dL", "0 0 * * 5L", "01-30T00:00", "02-27T00:00"),
    example(
        "0 0 25 12 *",
        "0 */12 24-26 12 *",
        "12-24T12:00",
        "12-26T00:00",
        after="2026-12-24T00:00",
        when=When(triggers=(), exclusions=(Expression(text="0 0 25 12 *"),)),
    ),
    # OnCalendar
    example("..", "Mon..Wed 09:00", "01-05T09:00", "01-06T09:00", "01-07T09:00", "01-12T09:00"),
    example("/", "*-*-* 0/8:00", "01-01T08:00", "01-01T16:00", "01-02T00:00"),
    example("~", "*-*~2 00:00", "01-30T00:00", "02-27T00:00"),
    example("minutely", "minutely", "01-01T00:01", "01-01T00:02"),
    example("yearly", "yearly", "2027-01-01T00:00", "2028-01-01T00:00"),
    example(
        "*:0/15",
        "*:0/15",
        "10-25T01:45",
        "10-25T02:00",
        "10-25T02:15",
        "10-25T02:30",
        "10-25T02:45",
        "10-25T03:00",
        after=BEFORE_FOLD,
        zone=BERLIN,
    ),
    example(
        "fold_policy: BOTH",
        "02:30",
        "10-25T02:30",
        "10-25T02:30",
        after=BEFORE_FOLD,
        zone=BERLIN,
        when=When(triggers=(), fold=FoldPolicy.BOTH),
    ),
    example(
        "gap_policy: RUN_AFTER",
        "02:30",
        "03-29T03:00",
        "03-30T02:30",
        after=BEFORE_GAP,
        zone=BERLIN,
        when=When(triggers=(), gap=GapPolicy.RUN_AFTER),
    ),
    example("weekly", "weekly", "01-05T00:00"),
    example("@weekly", "@weekly", "01-04T00:00"),
    example("@", "@1893456000", "2030-01-01T00:00"),
    example(":", "12:34", "01-01T12:34"),
    example("5..5", "00:00:5..5", "01-01T00:00:05", "01-02T00:00:05"),
    example("0/1,3.5", "00:00:0/1,3.5", "01-01T00:00:03.500000", "01-01T00:00:04", after="2026-01-01T00:00:03"),
    example("*:*:0/31", "*:*:0/31", "01-01T00:00:31", "01-01T00:01:00", "01-01T00:01:31"),
    # RFC 5545
    example("Z", "DTSTART:20260101T090000Z RRULE:FREQ=DAILY", "01-01T10:00", zone=BERLIN),
    example(
        "EXDATE;VALUE=DATE",
        "DTSTART:20260101T000000 RRULE:FREQ=HOURLY EXDATE;VALUE=DATE:20260102",
        "01-01T23:00",
        "01-03T00:00",
        after="2026-01-01T22:00",
    ),
    # Decisions
    example("*", "0 0 * * *", "01-02T00:00", "01-03T00:00"),
    example("0 16 */2 * sat", "0 16 */2 * sat", "01-03T16:00", "01-17T16:00", "01-31T16:00"),
    example("1-7", "0 0 1-7 * MON#1", "01-02T00:00", "01-03T00:00"),
    example("MON#1", "0 0 15 * MON#1", "01-05T00:00", "01-15T00:00", "02-02T00:00"),
    example("Fri-Sun", "0 0 * * Fri-Sun", "01-02T00:00", "01-03T00:00", "01-04T00:00", "01-09T00:00"),
    example("Nov-Mar", "0 0 1 Nov-Mar *", "02-01T00:00", "03-01T00:00", "11-01T00:00"),
    example("5/15", "5/15 * * * *", "01-01T00:05", "01-01T00:20", "01-01T00:35", "01-01T00:50", "01-01T01:05"),
    example("5L", "0 0 * * 5L", "01-30T00:00"),
    example("L5", "0 0 * * L5", "01-30T00:00"),
    example("rate()", "rate(1 day)", "02-01T10:00", "02-02T10:00", when=When(triggers=(), start_us=1_769_940_000_000_000)),
    example("*/90", "*/90 * * * *", "01-01T01:00", "01-01T02:00"),
]
OF_THE_SCHEDULE = ["H", "~"]
"""Values of the schedule's own: another seed, another time."""
FIELDS = [
    "expression",
    "start_time",
    "end_time",
    "spread",
    "exclude_calendars",
    "include_calendars",
    "calendar_shift",
    "gap_policy",
    "fold_policy",
    "state_reason",
]
COMMANDS = {
    "schedctl schedule create NAME --schedule EXPR --tz ZONE -- COMMAND": ["--schedule", "--tz", "--after-completion"],
    "schedctl apply": ["--file"],
    "apply": ["--file"],
    "schedctl cron explain": ["--tz"],
    "schedctl cron explain EXPR --tz ZONE -n 20": ["--tz", "-n"],
    "explain -o json": [],
    "schedctl cron next --batch": ["--batch"],
    "schedctl next NAME --excluded": ["--excluded"],
    "schedctl server status": [],
}
CALENDAR_COMMANDS = "schedctl calendar create|get|list|update|delete|import"
EXPLAIN_OPTIONS = ["--day-match and", "--gap run-after", "skip", "--fold first", "both", "--tz", "--after", "-n", "-o json"]
BATCH_FIELDS = ["expr", "after", "anchor", "dialect"]
BATCH_ERROR = '{"error": "…"}'
DIALECTS = {
    "unix5": "0 9 * * *",
    "unix5+ext": "0 9 L * *",
    "cron6-sec-first": "0 0 9 * * *",
    "cron7-sec-first-year-last": "0 0 9 1 1 * 2030",
    "macro": "@daily",
    "aws": "rate(5 minutes)",
    "temporal-interval": "@every 5m",
    "systemd-oncalendar": "09:00",
    "rrule": "FREQ=DAILY",
}
UNREAD = ["quartz", "cron6-sec-last", "cron7-sec-year-last"]
JOURNAL = ["OCCURRENCES_SKIPPED", "OCCURRENCES_MOVED"]
EVIDENCE = ["old_us", "new_us"]
SHIFTS = ["SKIP", "NEXT_DAY", "PREVIOUS_DAY"]
FILES = ["tests/golden/deviations.toml", "tests/golden/schedules.jsonl"]
TARGETS = ["make soak", "make bench ARGS=rules", "make test"]
ZONES = ["Europe/Kiev", "Europe/Kyiv"]
EXTRA = {"holidays", "pip install 'schedd[holidays]'"}
MANIFEST = {"schedule:", "day_match", "after_completion: 10m", "--after-completion 10m", "@reboot"}
"""Held by the test of the schedules file, or below."""
OTHERS = {"systemd-analyze calendar", "tzdata"}
"""Not schedd's."""


def test_inline_code_is_an_example_that_is_run_or_a_name() -> None:
    known = {one.span for one in EXAMPLES} | IN_TABLE | {*OF_THE_SCHEDULE, *FIELDS, *COMMANDS, CALENDAR_COMMANDS, *EXPLAIN_OPTIONS}
    known |= {
        *BATCH_FIELDS,
        BATCH_ERROR,
        *DIALECTS,
        *UNREAD,
        *JOURNAL,
        *EVIDENCE,
        *SHIFTS,
        *FILES,
        *TARGETS,
        *ZONES,
        *EXTRA,
        *MANIFEST,
        *OTHERS,
    }
    assert [span for span in SPANS if span not in known] == []
    assert [one.span for one in EXAMPLES if one.span not in SPANS] == []


@pytest.mark.parametrize("one", EXAMPLES, ids=[f"{one.span} {one.text}"[:60] for one in EXAMPLES])
def test_example_yields_what_the_document_says(one: Example) -> None:
    zone = ZoneInfo(one.zone)
    after = datetime.fromisoformat(one.after).replace(tzinfo=zone)
    when = replace(one.when, triggers=(Expression(text=one.text),), time_zone=one.zone)
    rule = compile_when(when, created_us=0, seed=0)
    at_us = (after - EPOCH) // timedelta(microseconds=1)
    found = []
    for _ in one.shown:
        next_us = rule.next_after(at_us)
        assert next_us is not None
        at_us = next_us
        local = (EPOCH + timedelta(microseconds=at_us)).astimezone(zone).replace(tzinfo=None).isoformat()
        found.append(local)
    assert [local.endswith((shown, f"{shown}:00")) for local, shown in zip(found, one.shown, strict=True)] == [True] * len(found), found


@pytest.mark.parametrize("sign", OF_THE_SCHEDULE)
def test_value_of_the_schedules_own_differs_between_schedules_and_stays(sign: str) -> None:
    when = When(triggers=(Expression(text=f"{sign} 4 * * *"),))
    times = [compile_when(when, created_us=0, seed=seed).next_after(0) for seed in (1, 2, 3, 1)]
    assert times[0] == times[3]
    assert len(set(times)) > 1


def test_names_in_the_document_exist() -> None:
    fields = {field.name for field in Schedule.DESCRIPTOR.fields} | {"expression"}
    assert [name for name in FIELDS if name not in fields] == []
    assert [name for name in JOURNAL if name not in JournalKind.__members__] == []
    assert "evidence" in {field.name for field in JournalEntry.DESCRIPTOR.fields}
    assert [name for name in SHIFTS if name not in CalendarShift.__members__] == []
    assert [name for name in FILES if not (ROOT / name).is_file()] == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [name for name in TARGETS if f"\n{name.split()[1]}:" not in makefile] == []
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert "holidays" in extras
    assert is_zone("Europe/Kyiv")


def test_dialects_in_the_document_are_taken_or_refused_by_name() -> None:
    defaults = Defaults(time_zone="UTC", after_us=0, count=1)

    def asked(expr: str, **values: str) -> dict[str, object]:
        answered: dict[str, object] = json.loads(answer(json.dumps({"expr": expr, **values}).encode(), defaults))
        return answered

    assert [name for name, expr in DIALECTS.items() if "next" not in asked(expr, dialect=name)] == []
    assert [name for name in UNREAD if "schedd does not read" not in str(asked("0 9 * * *", dialect=name)["error"])] == []
    assert "error" in asked("0 9 * * *", dialect="unix6")
    assert asked("@every 1h", after="1970-01-01T00:30:00Z", anchor="1970-01-01T00:00:00Z") == {"next": ["1970-01-01T01:00:00+00:00"]}


@pytest.mark.parametrize("command", [*COMMANDS, *(f"schedctl calendar {verb}" for verb in CALENDAR_COMMANDS.split()[-1].split("|"))])
def test_command_in_the_document_has_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in shlex.split(command.removeprefix("schedctl ").partition(" -")[0]) if word.islower()]
    if words == ["explain"]:
        words = ["cron", *words]
    assert run([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert [option for option in COMMANDS.get(command, []) if option not in shown] == []


def test_options_of_explain_and_next_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--tz", BERLIN, "--after", "2026-01-01", "-n", "1", "-o", "json", "--day-match", "and"]
    for gap, fold in (("run-after", "first"), ("skip", "both")):
        assert run(["cron", "explain", "0 9 13 * FRI", *given, "--gap", gap, "--fold", fold]) == 0
        assert "2026-02-13" in capsys.readouterr().out


def test_after_completion_is_read_from_an_option_and_a_file() -> None:
    assert clockless(When(triggers=(AfterCompletion(delay=timedelta(minutes=10)),))).delay == timedelta(minutes=10)
    assert clockless(When(triggers=(Expression(text="@reboot"),))).at_start


def test_day_match_joins_by_and() -> None:
    rule = compile_when(When(triggers=(Cron(text="0 9 13 * FRI", day_match=DayMatch.AND),)), created_us=0, seed=0)
    first_us = rule.next_after((datetime(2026, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1))
    assert first_us is not None
    assert EPOCH + timedelta(microseconds=first_us) == datetime(2026, 2, 13, 9, tzinfo=UTC)


@pytest.mark.parametrize(("text", "why"), [("13,18, * * * *", "empty"), ("0 0 30 2 *", "never match"), ("0-1&3 * * * *", "not a value")])
def test_junk_and_what_never_fires_are_refused(text: str, why: str) -> None:
    with pytest.raises(ExpressionError, match=why):
        compile_when(When(triggers=(Expression(text=text),)), created_us=0, seed=0)
