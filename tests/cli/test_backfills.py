"""schedctl backfill against a real daemon: asked for, followed, left running, cancelled."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schedd.cli.main import run
from tests.daemons import RealDaemon, real_daemon

SCHEDCTL = Path(sys.executable).parent / "schedctl"
DAY = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z")


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


def create(name: str, *argv: str) -> None:
    assert run(["schedule", "create", name, "--cron", "0 * * * *", "-q", "--", *(argv or ("/bin/true",))]) == 0


def test_backfill_waited_for_tells_its_progress_in_lines_and_its_end(capfd: pytest.CaptureFixture[str]) -> None:
    create("job")
    counted = Run(capfd, "backfill", "job", *DAY, "--dry-run")
    assert (counted.code, counted.out) == (0, "24 occurrences\n")
    assert counted.err == ""
    done = Run(capfd, "backfill", "job", *DAY, "--rate", "1000", "--wait")
    assert done.code == 0
    assert "job: 24 of 24 done\n" in done.err
    assert "FINISHED" in done.out
    again = Run(capfd, "schedule", "backfill", "job", *DAY, "--wait", "-o", "json")
    assert (again.code, json.loads(again.out)["skipped_count"]) == (0, "24")
    listed = json.loads(Run(capfd, "backfill", "list", "job", "-o", "json").out)
    assert [each["done_count"] for each in listed] == ["24", "24"]


def test_backfill_waited_for_of_which_some_fail_ends_with_7(capfd: pytest.CaptureFixture[str]) -> None:
    create("failing", "/bin/false")
    assert run(["schedule", "update", "failing", "-q", "--set", "retry={max_attempts: 1}"]) == 0
    answer = Run(capfd, "backfill", "failing", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T02:00:00Z", "--wait")
    assert answer.code == 7
    assert "failing: 2 of 2 done, 2 failed\n" in answer.err


def test_backfill_not_waited_for_is_named_and_can_be_cancelled(capfd: pytest.CaptureFixture[str]) -> None:
    create("later")
    answer = Run(capfd, "backfill", "later", *DAY, "--rate", "0.1")
    name = answer.out.strip()
    assert answer.code == 0
    assert f"`schedctl backfill get {name}`" in answer.err
    assert "of 24 done" in Run(capfd, "backfill", "get", name).out
    ended = Run(capfd, "backfill", "cancel", name, "-o", "json")
    assert (ended.code, json.loads(ended.out)[0]["state"]) == (0, "BACKFILL_STATE_CANCELLED")


def test_interrupt_leaves_the_backfill_running_and_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    create("slow")
    command = [str(SCHEDCTL), "backfill", "slow", *DAY, "--rate", "0.5", "--wait"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert first.startswith("slow: ")
    assert process.returncode == 130
    name = rest.split("schedctl backfill cancel ")[1].split("`")[0]
    assert json.loads(Run(capfd, "backfill", "get", name, "-o", "json").out)["state"] == "BACKFILL_STATE_RUNNING"
    assert Run(capfd, "backfill", "cancel", name).code == 0


def test_terminal_shows_a_bar() -> None:
    create("shown")
    ours, theirs = pty.openpty()
    command = [str(SCHEDCTL), "backfill", "shown", *DAY, "--rate", "1000", "--wait"]
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE) as process:
        os.close(theirs)
        process.communicate(timeout=60)
    shown = b""
    while portion := _read(ours):
        shown += portion
    os.close(ours)
    assert "24/24" in shown.decode()
    assert "━" in shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # The other side is closed.
        return b""


def test_backfill_of_a_range_without_occurrences_says_why_that_may_be(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["schedule", "create", "young", "--every", "1h", "-q", "--", "/bin/true"]) == 0
    for options in ((), ("--dry-run",), ("--wait",)):
        answer = Run(capfd, "backfill", "young", *DAY, *options)
        assert answer.code == 0
        assert "no occurrence in that range; an interval has none before the creation of its schedule" in answer.err


@pytest.mark.parametrize("written", ["ALLOW_ALL", "allow-all", "allow_all"])
def test_overlap_policy_is_taken_as_files_and_as_options_have_it(capfd: pytest.CaptureFixture[str], written: str) -> None:
    name = f"as-{written}"
    create(name)
    made = Run(capfd, "backfill", name, *DAY, "--overlap", written, "-o", "json")
    assert json.loads(made.out)["overlap"] == "OVERLAP_ALLOW_ALL"
    assert Run(capfd, "trigger", name, "--overlap", written).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("job", "--from", "yesterday", "--to", "2026-01-01"), 2, "is not a time"),
        (("job", "--from", "2026-01-01"), 2, "--to"),
        (("job", *DAY, "--rate", "0"), 2, "0"),
        (("nobody", *DAY), 3, "nobody"),
        (("job", "--from", "2026-01-02", "--to", "2026-01-01"), 1, "start_time"),
        (("get", "x"), 1, "backfills/x"),
    ],
)
def test_what_cannot_be_meant_is_refused(capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, told: str) -> None:
    run(["schedule", "create", "job", "--cron", "0 * * * *", "-q", "--", "/bin/true"])
    answer = Run(capfd, "backfill", *arguments)
    assert answer.code == code
    assert told in answer.err
