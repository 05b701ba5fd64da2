"""schedctl explain: what it prints at which width, and against a real daemon."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from schedd.cli.explained import explanation_lines, what_text, when_text
from schedd.v1.execution_service_pb2 import Explanation
from schedd.v1.reason_pb2 import Outcome, Reason
from tests.cli.schedctl import Run

ID = "1m89hefym0000"
START = datetime(2026, 3, 7, 14, 0, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")


def explanation(summary: str = "Ran, and succeeded.", last: timedelta = timedelta(0), **values: object) -> Explanation:
    one = Explanation(count=1, summary=summary, **values)  # type: ignore[arg-type]
    one.first_time.FromDatetime(START)
    one.last_time.FromDatetime(START + last)
    return one


RAN = explanation(outcome=Outcome.OUTCOME_SUCCEEDED, execution=f"groups/default/schedules/job/executions/{ID}")
SKIPPED = explanation(
    "3 occurrences skipped: the schedule was paused from Sat 2026-03-07 09:00:00-0500 by ann (holidays) to Sat 2026-03-07 09:02:30-0500.",
    timedelta(minutes=2),
    outcome=Outcome.OUTCOME_SKIPPED,
)


def test_lines_at_80_columns_put_long_sentences_below() -> None:
    assert explanation_lines([RAN, SKIPPED], NEW_YORK, width=80) == [
        f"Sat 2026-03-07 09:00:00-0500  succeeded      {ID}  Ran, and succeeded.",
        "Sat 2026-03-07 09:00:00..09:02:00-0500  skipped",
        "    3 occurrences skipped: the schedule was paused from Sat 2026-03-07",
        "    09:00:00-0500 by ann (holidays) to Sat 2026-03-07 09:02:30-0500.",
    ]


def test_lines_at_160_columns_put_sentences_beside() -> None:
    beside = " " * 70
    assert explanation_lines([RAN, SKIPPED], NEW_YORK, width=160) == [
        f"{'Sat 2026-03-07 09:00:00-0500':<38}  succeeded      {ID}  Ran, and succeeded.",
        (
            f"{'Sat 2026-03-07 09:00:00..09:02:00-0500  skipped':<70}"
            "3 occurrences skipped: the schedule was paused from Sat 2026-03-07 09:00:00-0500 by ann"
        ),
        beside + "(holidays) to Sat 2026-03-07 09:02:30-0500.",
    ]


@pytest.mark.parametrize("width", [20, 40, 79, 80, 100, 120, 160, 200])
def test_lines_are_no_wider_than_the_terminal(width: int) -> None:
    long = explanation("word " * 60, outcome=Outcome.OUTCOME_FAILED)
    lines = explanation_lines([SKIPPED, long], NEW_YORK, width=width)
    assert max(len(line) for line in lines if line.startswith(" ")) <= width


def test_lines_into_a_pipe_are_one_each_without_colour_and_coloured_on_a_terminal() -> None:
    assert len(explanation_lines([RAN, SKIPPED], UTC, width=None)) == 2
    assert "\x1b[32msucceeded" in explanation_lines([RAN], UTC, width=None, styled=True)[0]


def test_lines_with_fractions_have_their_columns_below_each_other_and_colour_the_word_alone() -> None:
    late = explanation(outcome=Outcome.OUTCOME_SUCCEEDED, execution=f"groups/default/schedules/job/executions/{ID}")
    late.first_time.FromDatetime(START + timedelta(microseconds=5))
    late.last_time.CopyFrom(late.first_time)
    before = explanation("The schedule was not there yet.", last=timedelta(microseconds=5))
    before.count = 0
    lines = explanation_lines([before, late, RAN], UTC, width=None)
    assert [line.index(word) for line, word in zip(lines, ("-  ", "succeeded", "succeeded"), strict=True)] == [43, 43, 43]
    assert {line.index(word) for line, word in zip(lines, ("The", "Ran", "Ran"), strict=True)} == {73}
    coloured = explanation_lines([before], UTC, width=None, styled=True)[0]
    assert coloured.startswith("up to Sat 2026-03-07 14:00:00.000005+0000  \x1b[2m-\x1b[0m ")
    assert re.sub(r"\x1b\[\d+m", "", coloured) == explanation_lines([before], UTC, width=None)[0]


@pytest.mark.parametrize(
    ("one", "what"),
    [
        (explanation(outcome=Outcome.OUTCOME_SKIPPED, predicted=True), "(skipped)"),
        (explanation(reason=Reason.REASON_PAUSED, predicted=True), "(held back)"),
        (explanation(reason=Reason.REASON_PAUSED), "held back"),
        (explanation(predicted=True), "to come"),
        (explanation("Nothing is recorded of it."), "not known"),
        (explanation("Runs since then.", execution="x"), "running"),
        (explanation("Waits for attempt 2.", execution="x"), "waiting"),
        (explanation("Waits: catch-up works off what was late."), "waiting"),
        (explanation("What came of it is not kept.", execution="x"), "not known"),
    ],
)
def test_what_is_told_in_a_word(one: Explanation, what: str) -> None:
    assert what_text(one) == what


def test_stretches_without_occurrences_say_how_far_they_go() -> None:
    before, after = explanation(last=timedelta(hours=1)), explanation(last=timedelta(hours=1), predicted=True)
    before.count = after.count = 0
    assert when_text(before, UTC) == "up to Sat 2026-03-07 15:00:00+0000"
    assert when_text(after, UTC) == "from Sat 2026-03-07 14:00:00+0000"
    assert what_text(before) == "-"
    over_days = explanation(last=timedelta(days=1, milliseconds=500))
    assert when_text(over_days, NEW_YORK) == "Sat 2026-03-07 09:00:00-0500..Sun 2026-03-08 10:00:00.5-0400"


@pytest.mark.usefixtures("at_the_daemon")
def test_explain_tells_what_ran_was_skipped_was_held_back_and_will_come(capfd: pytest.CaptureFixture[str]) -> None:
    argv = ("--schedule", "* * * * * *", "--tz", "Europe/Berlin", "--", "/bin/sleep", "30")
    assert Run(capfd, "schedule", "create", "busy", *argv).code == 0
    found: list[dict[str, str]] = []
    for _ in range(100):
        answer = Run(capfd, "explain", "busy", "-o", "json")
        found = json.loads(answer.out)
        if any(one.get("reason") == "REASON_OVERLAP" for one in found):
            break
        time.sleep(0.1)
    running = next(one for one in found if one["summary"].startswith("Runs since "))
    blocking = running["execution"].rsplit("/", 1)[-1]
    table = Run(capfd, "explain", "busy").out
    assert re.search(rf"\+0[12]00 +skipped +\w{{13}}  Skipped: an earlier execution .* \(execution {blocking}\)\.\n", table)
    assert re.search(rf"\+0[12]00 +to come .*skipped if execution {blocking} is still unfinished then\.\n", table)
    assert table.splitlines()[0].startswith("up to ")
    assert Run(capfd, "execution", "get", blocking).code == 0
    at = Run(capfd, "schedule", "explain", "busy", "--at", running["first_time"], "-o", "name")
    assert at.out == running["execution"] + "\n"
    few = Run(capfd, "explain", "busy", "--from", running["first_time"], "-n", "2")
    assert (len(few.out.splitlines()), "more than 2" in few.err) == (2, True)
    assert len(Run(capfd, "explain", "busy", "-n", "1").out.splitlines()) == 1
    journal = Run(capfd, "server", "journal", "busy").out
    assert f"blocking_execution={blocking}" in journal
    assert "An earlier execution of the schedule was unfinished." in journal
    assert Run(capfd, "delete", "busy", "--yes").code == 0
    assert Run(capfd, "execution", "cancel", blocking).code == 0
    assert "it was deleted at" in Run(capfd, "explain", "busy").out


@pytest.mark.usefixtures("at_the_daemon")
def test_explain_refuses_what_it_cannot_read(capfd: pytest.CaptureFixture[str]) -> None:
    assert Run(capfd, "schedule", "create", "daily", "--cron", "30 2 * * *", "--", "/bin/true").code == 0
    for wrong in (("--at", "soon"), ("--at", "02:30", "--to", "03:00"), ("--from", "03:00", "--to", "02:30")):
        assert Run(capfd, "explain", "daily", *wrong).code == 2
    assert Run(capfd, "explain", "nowhere").code == 3
    assert Run(capfd, "schedule", "create", "yearly", "--cron", "0 0 29 2 *", "--", "/bin/true").code == 0
    assert Run(capfd, "explain", "yearly").out.count("to come") == 3
    assert Run(capfd, "explain", "daily").out.count("to come") == 3
    assert "yields no occurrence" in Run(capfd, "explain", "daily", "--at", "2030-01-01T00:00:00").out
    assert "to come" in Run(capfd, "explain", "daily", "--at", "2030-01-01T02:30").out
    assert Run(capfd, "explain", "daily", "--to", "2030-01-05", "-n", "9").out.count("to come") == 1
    assert Run(capfd, "explain", "daily", "--from", "02:29", "--to", "2:31:30").code == 0
