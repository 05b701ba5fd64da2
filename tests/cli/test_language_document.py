"""docs/schedule-language.md: each of its examples is run; and what bad input gets is one message, whoever is asked."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schedd.cli.batches import Defaults, answers
from schedd.cli.main import run
from schedd.client import SyncClient
from schedd.client.errors import InvalidError
from schedd.core.errors import ExpressionError
from schedd.core.model.when import Expression, When
from schedd.core.triggers import Dialect, check_when, compile_when, described, dialect_of
from schedd.v1.schedule_pb2 import Schedule
from tests.daemons import RealDaemon, real_daemon
from tests.test_readme import pattern_of, steps_of

DOCUMENT = (Path(__file__).parents[2] / "docs" / "schedule-language.md").read_text(encoding="utf-8")
SCHEDCTL_DIRECTORY = Path(sys.executable).parent
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
FORMS = re.findall(r"^\| (?!form)(\w[\w ]*) \| (`.+?) \|", DOCUMENT, re.MULTILINE)
DIALECTS = {
    "five fields": {Dialect.CRON5},
    "six fields": {Dialect.CRON6},
    "seven fields": {Dialect.CRON7},
    "macro": {Dialect.MACRO},
    "EventBridge": {Dialect.EVENTBRIDGE_CRON, Dialect.EVENTBRIDGE_RATE, Dialect.EVENTBRIDGE_AT},
    "interval": {Dialect.INTERVAL},
    "instant": {Dialect.INSTANT},
    "OnCalendar": {Dialect.ON_CALENDAR},
    "RFC 5545": {Dialect.RECURRENCE},
    "start": {Dialect.AT_START},
}
MISTAKES = [
    "60 * * * *",
    "0 24 * * *",
    "0 0 31 2 *",
    "0 9 * * 1–5",
    "0 0 * * MON#6",
    "0 10 ? * MON-FRI *",
    "30 4 * *",
    "9am",
    "@dayly",
    "every 5 minutes after completion",
    "rate(5 minute)",
    "cron(0 10 * * *)",
    "at(2030-02-30T10:00:00)",
    "2030-02-30T10:00:00Z",
    "Mon..Fry 09:00",
    "*-02-30",
    "09:00 Europe/Belin",
    "FREQ=DAILY;BYMONTH=13",
    "DTSTART:20300101T090000\nRRULE:FREQ=DAYLY",
    "RRULE:FREQ=SECONDLY;INTERVAL=0",
    "FREQ=DAILY;COUNT=3;UNTIL=20300101T000000",
]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDaemon]:
    with real_daemon(tmp_path_factory.mktemp("d")) as made:
        yield made


def blocks(kind: str) -> list[str]:
    return [text for found, text in BLOCKS if found == kind]


def test_forms_in_the_table_are_those_that_it_says() -> None:
    assert [form for form, _ in FORMS] == list(DIALECTS)
    for form, examples in FORMS:
        for text in re.findall("`([^`]+)`", examples):
            assert dialect_of(Expression(text=text)) in DIALECTS[form], text
            compile_when(When(triggers=(Expression(text=text),)), created_us=0, seed=0)


@pytest.mark.parametrize("step", [step for block in blocks("console") for step in steps_of(f"```console\n{block}```")])
def test_command_shows_what_the_document_says(step: tuple[str, list[str]]) -> None:
    command, shown = step
    environment = {"PATH": f"{SCHEDCTL_DIRECTORY}:/usr/bin:/bin", "COLUMNS": "200"}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert shown
    assert [line for line in shown if not pattern_of(line.strip()).search(done.stdout)] == []


def test_schedules_file_is_taken_whole(daemon: RealDaemon, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text, _ = blocks("yaml")
    file = tmp_path / "f.yaml"
    file.write_text(text)
    assert run(["apply", "-f", str(file), "--server", daemon.socket]) == 0, capfd.readouterr().err
    with SyncClient(daemon.socket) as client:
        stored = client.get_schedule("groups/default/schedules/report")
    kinds = [trigger.WhichOneof("rule") for trigger in stored.triggers]
    assert kinds == ["expression", "cron", "on_calendar", "recurrence", "interval", "once", "at_start", "after_completion"]


def test_calendars_file_is_taken_whole(daemon: RealDaemon, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, text = blocks("yaml")
    file = tmp_path / "f.yaml"
    file.write_text(text.replace("name: report", "name: with-calendars"))
    event = "BEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20270105\nSUMMARY:closed\nEND:VEVENT"
    (tmp_path / "company.ics").write_text(f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{event}\nEND:VCALENDAR\n")
    assert run(["apply", "-f", str(file), "--server", daemon.socket]) == 0, capfd.readouterr().err
    with SyncClient(daemon.socket) as client:
        assert list(client.get_schedule("groups/default/schedules/with-calendars").include_calendars) == ["calendars/business-days"]


def test_batch_lines_are_answered_as_shown() -> None:
    [line, answer] = next(text for text in blocks("") if text.startswith('{"expr"')).splitlines(keepends=True)
    assert b"".join(answers(io.BytesIO(line.encode()), Defaults(time_zone="UTC", after_us=0, count=1))).decode() == answer


def test_refusal_is_told_as_shown() -> None:
    shown = next(text for text in blocks("") if text.startswith("expression: "))
    with pytest.raises(ExpressionError) as caught:
        dialect_of(Expression(text=shown.splitlines()[1]))
    assert described(caught.value) == shown.removesuffix("\n")


@pytest.mark.parametrize("text", MISTAKES)
def test_mistake_gets_one_message_from_the_api_schedctl_and_apply(
    text: str, daemon: RealDaemon, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    [violation] = check_when(When(triggers=(Expression(text=text),)), now_us=0)
    said = [line.strip() for line in violation.description.splitlines()]
    wanted = Schedule(name="groups/default/schedules/bad")
    wanted.triggers.add(expression=text)
    wanted.target.process.argv.append("/bin/true")
    with SyncClient(daemon.socket) as client, pytest.raises(InvalidError) as caught:
        client.create_schedule(wanted)
    assert [item.description for item in caught.value.violations] == [violation.description]
    file = tmp_path / "f.json"
    file.write_text(json.dumps([{"name": "bad", "schedule": text, "process": {"argv": ["/bin/true"]}}]))
    for arguments in (
        ["cron", "explain", text],
        ["schedule", "create", "bad", "--schedule", text, "--server", daemon.socket, "--", "/bin/true"],
        ["apply", "-f", str(file), "--server", daemon.socket],
    ):
        capfd.readouterr()
        assert run(arguments) == 1
        heading, first, *rest = capfd.readouterr().err.splitlines()
        assert first.endswith(said[0]), heading
        assert [line.strip() for line in rest] == said[1:]
