"""schedctl calendar, and calendars in schedules files, against a real daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schedd.cli.calendars import weekly_of
from schedd.cli.failures import UsageFault
from tests.cli.schedctl import Run

FILE = """
calendars:
  - name: blackout
    time_zone: Europe/Berlin
    entries:
      - weekly: SAT 22:00-04:00
      - weekly: {days: [SUN, MON-TUE], start: "01:00"}
      - {date: 12-25, description: Christmas}
      - 2026-12-31
      - range: 12-28..12-30
      - {range: {first: 2027-01-01, last: 2027-01-06}}
      - holidays: DE-BY
      - ics: days.ics
schedules:
  - name: nightly
    schedule: "0 3 * * SUN"
    time_zone: Europe/Berlin
    exclude_calendars: [blackout]
    calendar_shift: NEXT_DAY
    process: {argv: [/bin/true]}
"""
ICS = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY\nEND:VEVENT\nEND:VCALENDAR\n"

pytestmark = pytest.mark.usefixtures("at_the_daemon")


def test_apply_creates_calendars_before_the_schedules_that_use_them(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "days.ics").write_text(ICS)
    file = tmp_path / "f.yaml"
    file.write_text(FILE)

    planned = Run(capfd, "apply", "-f", str(file), "--dry-run")
    assert planned.code == 0, planned.err
    assert "create     calendars/blackout" in planned.out
    assert "fires when its new calendars leave it to: calendars/blackout" in planned.out
    first = Run(capfd, "apply", "-f", str(file))
    assert (first.code, first.out.split()) == (0, ["created", "calendars/blackout", "created", "nightly"])
    assert Run(capfd, "apply", "-f", str(file)).out.split() == ["unchanged", "calendars/blackout", "unchanged", "nightly"]

    file.write_text(FILE.replace("2026-12-31", "2026-12-30"))
    assert "entries[3].date: 2026-12-31 → 2026-12-30" in Run(capfd, "apply", "-f", str(file), "--dry-run").out
    assert Run(capfd, "apply", "-f", str(file)).out.split() == ["updated", "calendars/blackout", "unchanged", "nightly"]

    shown = Run(capfd, "calendar", "get", "blackout").out
    assert "Used by" in shown
    assert "  nightly" in shown
    assert "SAT 22:00-04:00" in shown
    assert "SUN,MON,TUE 01:00-24:00" in shown
    assert "holidays of DE-BY" in shown
    assert "iCalendar, 1 events" in shown
    assert "Except" in Run(capfd, "get", "nightly").out
    left_out = Run(capfd, "next", "nightly", "-n", "4", "--excluded").out
    assert "left out by the calendar blackout" in left_out
    assert "moved here by a calendar" in left_out

    refused = Run(capfd, "calendar", "delete", "blackout", "--yes")
    assert refused.code == 4
    assert "groups/default/schedules/nightly" in refused.err


def test_faults_of_calendars_are_told_at_their_lines(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("calendars:\n- name: a/b\n  entries:\n  - weekly: someday\n  - range: x\n  - ics: none.ics\n- entries: [12-25]\n")
    answer = Run(capfd, "apply", "-f", str(file))
    assert answer.code == 1
    for said in (
        "f.yaml:2: calendars[0].name: ",
        "f.yaml:4: calendars[0].entries[0].weekly: ",
        "f.yaml:5: calendars[0].entries[1].range: ",
        "f.yaml:6: calendars[0].entries[2].ics: ",
        "lacks 'name'",
    ):
        assert said in answer.err

    file.write_text("calendars:\n- name: wrong\n  entries:\n  - 12-25\n  - date: 02-30\n")
    refused = Run(capfd, "apply", "-f", str(file))
    assert refused.code == 1
    assert "f.yaml:5: entries[1].date: " in refused.err

    file.write_text("- name: j\n  every: 1h\n  exclude_calendars: [none]\n  process: {argv: [/bin/true]}\n")
    unknown = Run(capfd, "apply", "-f", str(file))
    assert "f.yaml:3: exclude_calendars[0]: there is no calendar `none`" in unknown.err


def test_schedule_that_only_its_new_calendar_makes_wrong_is_told_at_its_line(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    always = '{name: always, entries: [{weekly: "MON-SUN 00:00-24:00"}]}'
    file.write_text(
        f"calendars: [{always}]\nschedules:\n- {{name: fine, every: 1h, process: {{argv: [/bin/true]}}}}\n"
        "- {name: never, every: 1h, process: {argv: [/bin/true]}, exclude_calendars: [always]}\n"
    )
    answer = Run(capfd, "apply", "-f", str(file))
    assert (answer.code, answer.out.split()) == (1, ["created", "calendars/always"])
    assert "f.yaml:4: triggers: no occurrence lies in the future" in answer.err
    assert Run(capfd, "get", "fine").code == 3


def test_calendar_is_created_changed_listed_and_deleted(capfd: pytest.CaptureFixture[str]) -> None:
    made = Run(
        capfd, "calendar", "create", "free", "--date", "12-24", "--range", "2026-12-28..2026-12-31", "--weekly", "SAT,SUN", "-l", "a=b"
    )
    assert (made.code, made.err) == (0, "calendars/free created\n")
    assert Run(capfd, "calendar", "create", "free", "--date", "12-24").code == 4
    assert Run(capfd, "calendar", "create", "none").code == 2
    assert Run(capfd, "calendar", "update", "free").code == 2
    assert Run(capfd, "calendar", "update", "free", "--description", "x", "-o", "name").out == "free\n"
    assert "SAT,SUN" in Run(capfd, "calendar", "list").out
    data = json.loads(Run(capfd, "calendar", "get", "free", "-o", "json").out)
    assert (data["description"], data["labels"], len(data["entries"])) == ("x", {"a": "b"}, 3)
    assert Run(capfd, "calendar", "delete", "free", "--yes").code == 0
    assert Run(capfd, "calendar", "get", "free").code == 3


def test_icalendar_file_is_imported_or_refused_with_its_line(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "days.ics"
    file.write_text(ICS)
    assert Run(capfd, "calendar", "import", "labour", str(file)).err == "calendars/labour imported\n"
    assert Run(capfd, "calendar", "import", "labour", str(file), "--dry-run").code == 0
    file.write_text(ICS.replace("YEARLY", "WEEKLY"))
    refused = Run(capfd, "calendar", "import", "labour", str(file))
    assert refused.code == 1
    assert "line 4: only yearly recurrences are read" in refused.err
    assert Run(capfd, "calendar", "import", "labour", str(tmp_path / "none.ics")).code == 1


@pytest.mark.parametrize("text", ["", "someday", "SAT 22", "SA", "SAT,,SUN"])
def test_weekly_window_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageFault):
        weekly_of(text)
