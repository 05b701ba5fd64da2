"""`schedctl import` as a person runs it, and what a real daemon says of the file that it writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from schedd.cli.main import run
from tests.daemons import RealDaemon, real_daemon

SYSTEM = str(Path(__file__).parent / "system.crontab")
BAD = "0,30 2 * * * twice\n@fortnightly never\n0 9 * * * fine\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDaemon]:
    with real_daemon(tmp_path_factory.mktemp("d")) as made:
        yield made


@pytest.fixture(autouse=True)
def _at_the_daemon(daemon: RealDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCHEDD_SERVER", daemon.socket)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


class Run:
    """One run of schedctl: exit code, data, messages."""

    def __init__(self, capfd: pytest.CaptureFixture[str], *arguments: str) -> None:
        capfd.readouterr()
        self.code = run(arguments)
        self.out, self.err = capfd.readouterr()


@pytest.fixture
def bad(tmp_path: Path) -> str:
    path = tmp_path / "bad.crontab"
    path.write_text(BAD)
    return str(path)


def test_written_file_is_taken_by_the_daemon(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = str(tmp_path / "moved.yaml")

    written = Run(capfd, "import", "crontab", "--system", SYSTEM, "--tz", "Europe/Berlin", "-w", file)
    assert (written.code, written.out) == (0, "")
    assert "schedules: 10; the times of 10 proved to be the same" in written.err
    assert "10 schedules\n    note: MAILTO=root" in written.err
    assert Path(file).stat().st_mode & 0o777 == 0o600

    planned = Run(capfd, "apply", "-f", file, "--dry-run")
    assert planned.code == 0, planned.err
    assert "would be: 10 created" in planned.err
    assert Run(capfd, "apply", "-f", file).code == 0
    again = Run(capfd, "apply", "-f", file)
    assert set(again.out.split()[::2]) == {"unchanged"}


def test_units_are_taken_by_the_daemon(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "poll.timer").write_text("[Timer]\nOnBootSec=5\nOnUnitInactiveSec=10min\nRandomizedDelaySec=30\n")
    (tmp_path / "poll.service").write_text("[Service]\nType=oneshot\nExecStart=/usr/bin/poll --at %n '{{x}}'\nTimeoutStartSec=5min\n")
    file = str(tmp_path / "moved.yaml")

    written = Run(capfd, "import", "systemd", str(tmp_path / "poll.timer"), "--tz", "UTC", "-w", file)
    assert written.code == 0, written.err
    assert "not proved: what counts from a boot or from a run has no times of its own" in written.err
    planned = Run(capfd, "apply", "-f", file, "--dry-run")
    assert (planned.code, planned.out.split()[:2]) == (0, ["create", "poll"])
    assert Run(capfd, "apply", "-f", file, "--dry-run", "-o", "name").out.split() == ["poll"]


def test_command_runs_as_cron_runs_it(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tab = tmp_path / "tab"
    command = f"umask; pwd; echo $PATH $FOO $0 '{{{{x}}}}'; cat > {tmp_path}/fed%hello {{{{x}}}}%world"
    tab.write_text(f"FOO='a b'\nHOME={tmp_path}\n0 9 1 1 * {command}\n")
    file = str(tmp_path / "moved.yaml")

    assert Run(capfd, "import", "crontab", str(tab), "--tz", "UTC", "-w", file).code == 0
    assert Run(capfd, "apply", "-f", file).code == 0
    answer = Run(capfd, "trigger", "pwd", "--wait")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-3:] == ["0022", str(tmp_path), "/usr/bin:/bin a b /bin/sh {{x}}"]
    assert (tmp_path / "fed").read_text() == "hello {{x}}\nworld\n"


def test_calendar_timer_is_taken_by_the_daemon(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "trim.timer").write_text("[Timer]\nOnCalendar=weekly\nRandomizedDelaySec=100min\nPersistent=true\n")
    (tmp_path / "trim.service").write_text("[Unit]\nDescription=Trim\n[Service]\nType=oneshot\nExecStart=/sbin/trim --all\n")
    file = str(tmp_path / "moved.yaml")

    written = Run(capfd, "import", "systemd", str(tmp_path / "trim.timer"), "--tz", "Europe/Berlin", "-w", file)
    assert written.code == 0, written.err
    planned = Run(capfd, "apply", "-f", file, "--dry-run")
    assert planned.code == 0, planned.err
    assert " Mon " in planned.out
    assert "00:00:00+0" in planned.out


def test_refused_line_and_difference_hold_the_file_back(capfd: pytest.CaptureFixture[str], bad: str) -> None:
    answer = Run(capfd, "import", "crontab", bad, "--tz", "Europe/Berlin", "-q")

    assert (answer.code, answer.out) == (1, "")
    assert "nothing was written: 1 refused, 1 with other times" in answer.err
    assert f"{bad}:1: 0,30 2 * * * twice\n      DIFFERS: " in answer.err
    assert f"{bad}:2: @fortnightly never\n      refused: " in answer.err


def test_anyway_writes_the_rest_and_says_it_in_the_file(capfd: pytest.CaptureFixture[str], bad: str) -> None:
    answer = Run(capfd, "import", "crontab", bad, "--tz", "Europe/Berlin", "--anyway")

    assert answer.code == 0
    assert "# DIFFERS: " in answer.out
    assert "# NOT TAKEN OVER: " in answer.out
    assert "  - name: fine" in answer.out
    assert "DIFFERS: " in answer.err


def test_names_and_json_are_given_where_asked_for(capfd: pytest.CaptureFixture[str], bad: str) -> None:
    names = Run(capfd, "import", "crontab", bad, "--tz", "UTC", "--anyway", "-o", "name")
    data = Run(capfd, "import", "crontab", bad, "--tz", "UTC", "--anyway", "-o", "json")

    assert names.out.split() == ["twice", "fine"]
    assert [item["name"] for item in json.loads(data.out)["schedules"]] == ["twice", "fine"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("crontab",), 2, "which crontab?"),
        (("crontab", "--user", "alice", SYSTEM), 2, "--user stands alone"),
        (("crontab", SYSTEM, "--tz", "Mars/X"), 2, "not the name of a time zone"),
        (("crontab", "/nowhere/tab"), 1, "/nowhere/tab cannot be read: No such file"),
        (("crontab", "--system", SYSTEM, "-w", "/nowhere/f.yaml"), 1, "/nowhere/f.yaml cannot be written"),
        (("systemd", "no-such-unit"), 1, "no-such-unit.timer is not there"),
        (("systemd",), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], code: int, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    answer = Run(capfd, "import", *arguments)

    assert (answer.code, answer.out) == (code, "")
    assert message in answer.err
