"""`schedctl simulate`: a schedules file run ahead of time, without a server."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from schedd.cli.heatmap import legend, map_lines
from schedd.client import SyncClient
from tests.cli.schedctl import Run
from tests.daemons import RealDaemon

SCHEDULES = """
defaults: {http: {url: "http://x/"}, timeout: 10m}
schedules:
  - {name: every-minute, schedule: "* * * * *"}
  - {name: quarter, schedule: "*/15 * * * *"}
  - {name: hourly, schedule: "0 * * * *"}
"""
DAY = ("--days", "1", "--start", "2026-01-05")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "schedules.yaml"
    path.write_text(SCHEDULES)
    return str(path)


def test_simulate_shows_fires_a_map_that_fits_and_offsets(capfd: pytest.CaptureFixture[str], file: str) -> None:
    told = Run(capfd, "simulate", file, *DAY, "--duration", "30s", "--duration", "hourly=5m")
    assert told.code == 0
    assert re.search(r"every-minute +1,439 +- +- +1 +-\n", told.out)
    assert "Busiest day: Monday, 2026-01-05, UTC; at most 3 at once" in told.out
    assert "01:00 322221111111111211111111111111211111111111111211111111111111     3" in told.out
    assert "lower that day's peak from 3 to 2" in told.out
    assert "a run takes 30s; of hourly 5m" in told.err
    assert max(map(len, told.out.splitlines())) <= 80
    assert "\x1b" not in told.out


def test_simulate_needs_no_secret_and_takes_targets_that_a_daemon_may_deny(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text("schedules:\n  - {name: a, schedule: '@hourly', http: {url: 'http://169.254.169.254/', auth: {bearer: any}}}\n")
    told = Run(capfd, "simulate", str(path), *DAY)
    assert told.code == 0, told.err
    assert re.search(r"a +23 +- +- +1 +-\n", told.out)


def test_simulate_as_json_has_the_same_figures(capfd: pytest.CaptureFixture[str], file: str) -> None:
    told = Run(capfd, "simulate", file, *DAY, "--duration", "30s", "-o", "json")
    found = json.loads(told.out)
    assert [(each["name"], each["fires"]) for each in found["schedules"]] == [
        ("groups/default/schedules/every-minute", 1439),
        ("groups/default/schedules/quarter", 95),
        ("groups/default/schedules/hourly", 23),
    ]
    assert (found["start"], found["end"]) == ("2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z")
    assert len(found["busiest_day"]["by_minute"]) == 1440
    assert found["offsets"]["at_once_before"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--duration", "yearly=1m"), "no schedule 'yearly'"),
        (("--duration", "soon"), "--duration soon"),
        (("--tz", "Mars/Olympus"), "no IANA time zone"),
        (("--start", "yesterdayish"), "yesterdayish"),
    ],
)
def test_simulate_refuses_what_cannot_be_meant(capfd: pytest.CaptureFixture[str], file: str, arguments: tuple[str, ...], said: str) -> None:
    told = Run(capfd, "simulate", file, *arguments)
    assert told.code == 2
    assert said in told.err


def test_simulate_tells_what_is_wrong_in_the_file_at_its_line(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(SCHEDULES.replace('"0 * * * *"', '"0 99 * * *"'))
    told = Run(capfd, "simulate", str(path), *DAY)
    assert told.code == 1
    assert f"{path}:6: triggers[0].expression:" in told.err


def test_simulate_goes_by_the_files_calendars(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "schedules.yaml"
    path.write_text("""
calendars:
  - {name: closed, entries: [{date: 2026-01-06}]}
schedules:
  - {name: a, schedule: "0 9 * * *", exclude_calendars: [closed], http: {url: "http://x/"}}
""")
    told = Run(capfd, "simulate", str(path), "--days", "3", "--start", "2026-01-05", "-o", "json")
    assert json.loads(told.out)["schedules"][0]["fires"] == 2


@pytest.mark.usefixtures("at_the_daemon")
def test_simulate_measured_takes_the_durations_of_the_servers_executions(
    capfd: pytest.CaptureFixture[str], daemon: RealDaemon, tmp_path: Path
) -> None:
    path = tmp_path / "schedules.yaml"
    path.write_text('schedules: [{name: measured, schedule: "0 0 1 1 *", process: {argv: ["sleep", "0.3"]}}]')
    assert Run(capfd, "apply", "-f", str(path)).code == 0
    assert Run(capfd, "trigger", "measured", "--wait").code == 0
    told = Run(capfd, "simulate", str(path), "--days", "1", "--measured")
    assert told.code == 0
    assert re.search(r"of measured (0\.[3-9]|[1-9])", told.err)
    with SyncClient(daemon.socket) as client:
        client.delete_schedule("groups/default/schedules/measured")


def plain(text: str, colour: str) -> str:
    return text


def test_map_of_a_day_with_a_fold_has_25_lines_and_says_each_hour_as_it_is_called() -> None:
    lines = map_lines(datetime(2026, 10, 25, tzinfo=ZoneInfo("Europe/Berlin")), [0] * 25 * 60, plain)
    assert [line[:2] for line in lines[1:5]] == ["00", "01", "02", "02"]
    assert len(lines) == 26


def test_map_of_a_part_of_a_day_begins_and_ends_where_it_does() -> None:
    lines = map_lines(datetime(2026, 1, 1, 10, 58, tzinfo=UTC), [1, 12, 40], plain)
    assert lines[1:] == [f"10:00 {' ' * 58}1c    12", f"11:00 #{' ' * 59}    40"]
    assert legend([1, 12, 40]) == ". none, 1 to 9 as many, a to z = 10 to 35, # = 36 or more"
    assert legend([0]) == ". none"


def test_map_is_coloured_by_the_share_of_the_peak() -> None:
    lines = map_lines(datetime(2026, 1, 1, tzinfo=UTC), [0, 1, 2, 3], lambda text, colour: f"<{colour}:{text}>")
    assert lines[1].startswith("00:00 <dim:.><green:1><yellow:2><red:3>")
