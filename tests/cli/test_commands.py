"""schedctl as a person runs it, where no server is needed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from schedd.cli.commanding import Helpful, Late, LateGroup
from schedd.cli.failures import ExitCode, exit_code
from schedd.cli.main import run
from schedd.cli.tree import schedctl
from schedd.client import errors

SCHEDCTL = Path(sys.executable).parent / "schedctl"


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("SCHEDD_SERVER", str(tmp_path / "none.sock"))


def _leaves(group: LateGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Late, click.Command]]:
    for late in group.late.values():
        made = late.load()
        if isinstance(made, LateGroup):
            yield from _leaves(made, (*path, late.name))
        else:
            yield (*path, late.name), late, made


LEAVES = list(_leaves(schedctl))


@pytest.mark.parametrize(("path", "late", "made"), LEAVES, ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_command_has_the_help_of_the_table_and_examples(path: tuple[str, ...], late: Late, made: click.Command) -> None:
    assert isinstance(made, Helpful)
    assert (made.help or "").splitlines()[0] == late.help
    assert all(line.startswith(("schedctl ", "generate-schedules |", "source ")) for line in made.examples.strip().splitlines())
    assert made.examples.strip()


@pytest.mark.parametrize("path", [path for path, _, _ in LEAVES], ids=" ".join)
def test_help_of_a_command_is_printed(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*path, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Examples:" in out
    assert "--server ADDRESS" in out


def test_help_is_fast_and_loads_no_grpc() -> None:
    script = "import sys, schedd.cli.main as m; m.run(['--help']); print(*sys.modules, file=sys.stderr)"
    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30)
    loaded = set(answer.stderr.split())

    assert loaded.isdisjoint({"grpc", "google.protobuf", "yaml", "rich", "asyncio", "schedd.core", "schedd.cli.commands.apply"})


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["lst"], 2, "did you mean 'list'?"),
        (["list", "--servr", "x"], 2, "--server"),
        (["get"], 2, "NAME"),
        (["get", "a/b/c/d"], 2, "not a schedule's name"),
        (["list", "--timeout", "10"], 2, "30s"),
        (["list", "--server", "ftp://x"], 2, "not a server's address"),
        (["list", "--context", "nowhere"], 1, "there is no context 'nowhere'"),
        (["list", "-l", "A=b c"], 2, "not a label selector"),
        (["pause"], 2, "one of the two"),
        (["apply", "-f", "x.yaml", "--prune"], 2, "go together"),
        (["apply", "-f", "/does/not/exist.yaml"], 1, "cannot be read"),
        (["schedule", "create", "a", "--cron", "@daily"], 2, "--http URL, or -- COMMAND"),
        (["schedule", "create", "a", "--", "true"], 2, "--schedule EXPR"),
        (["schedule", "update", "a"], 2, "say what to change"),
        (["context", "add", "x"], 2, "--server"),
        (["cron", "next", "61 * * * *"], 1, "minute is 0 to 59"),
        (["cron", "next", "@daily", "--tz", "Mars/Olympus"], 1, "Mars/Olympus"),
    ],
)
def test_mistake_is_answered_with_what_would_be_right(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("schedctl: ")
    assert said in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("arguments", [[], ["schedule"]])
def test_no_command_shows_the_help_as_it_is(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Usage: schedctl")
    assert "schedctl:" not in captured.err
    assert "says more" not in captured.err


def test_absent_daemon_is_told_with_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list"]) == 5
    said = capsys.readouterr().err
    assert "no schedd answers at unix:///" in said
    assert "schedd run" in said
    assert "systemctl start schedd" in said


def test_server_that_cannot_be_reached_over_the_network_is_told_with_the_cause(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "--server", "http://127.0.0.1:9"]) == 5
    said = capsys.readouterr().err
    assert "no schedd can be reached at http://127.0.0.1:9" in said
    assert "refused" in said


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.InvalidError, ExitCode.ERROR),
        (errors.NotFoundError, ExitCode.NOT_FOUND),
        (errors.AlreadyExistsError, ExitCode.CONFLICT),
        (errors.ConflictError, ExitCode.CONFLICT),
        (errors.PreconditionError, ExitCode.CONFLICT),
        (errors.UnavailableError, ExitCode.UNAVAILABLE),
        (errors.DeadlineExceededError, ExitCode.UNAVAILABLE),
        (errors.UnauthenticatedError, ExitCode.AUTH),
        (errors.PermissionDeniedError, ExitCode.AUTH),
        (errors.QuotaError, ExitCode.ERROR),
        (errors.InternalError, ExitCode.ERROR),
    ],
)
def test_error_has_its_exit_code(kind: type[errors.CallError], code: ExitCode) -> None:
    assert exit_code(kind(errors.Fault(message="x"))) == code


def test_caret_of_the_server_stays_below_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    from schedd.cli.failures import message_lines

    violation = errors.FieldViolation(field="schedule.triggers[0].expression", reason="X", description="minute: no\n61 * * * *\n^^")
    lines = message_lines(errors.InvalidError(errors.Fault(message="x", violations=(violation,))), server="s")

    assert lines == [
        "the request is wrong in one field:",
        "  schedule.triggers[0].expression: minute: no",
        "      61 * * * *",
        "      ^^",
    ]


def test_contexts_are_kept_and_used(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SCHEDD_SERVER")
    assert run(["context", "add", 'pro"d', "--server", "sched.example.com:7420", "--token-file", "~/t", "--use"]) == 0
    assert run(["context", "add", "here", "--server", "/run/x.sock"]) == 0
    assert run(["context", "list", "-o", "json"]) == 0

    listed = json.loads(capsys.readouterr().out)
    assert [(item["name"], item["current"], item["server"]) for item in listed] == [
        ("here", False, "/run/x.sock"),
        ('pro"d', True, "sched.example.com:7420"),
    ]
    kept = tmp_path / "config" / "schedd" / "schedctl.toml"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert run(["context", "remove", 'pro"d']) == 0
    assert run(["context", "use", 'pro"d']) == 1


def test_expression_is_previewed_across_a_gap(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["cron", "next", "30 2 * * *", "--tz", "America/New_York", "--after", "2026-03-07T12:00:00Z", "-n", "2", "-o", "json"]
    assert run(arguments) == 0

    assert [item["utc"] for item in json.loads(capsys.readouterr().out)] == ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]


def test_expression_is_explained_by_dialect_sentence_fields_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["cron", "explain", "30 2 * * MON-FRI", "--tz", "America/New_York", "--after", "2026-03-06T12:00:00Z", "-n", "2"]
    assert run(arguments) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[:2] == ["dialect       cron, five fields", "means         At 02:30, Monday to Friday, in America/New_York"]
    assert "day of week   MON-FRI" in lines
    assert lines[-2].startswith("next          Mon 2026-03-09 02:30:00-0400  2026-03-09T06:30:00Z")
    assert run([*arguments, "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["dialect"], told["notes"], len(told["next"])) == ("cron5", [], 2)
    assert told["next"][0]["local"] == "2026-03-09T02:30:00-04:00"


def test_explanation_tells_what_is_easily_overlooked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cron", "explain", "*/90 * * * *"]) == 0
    assert "note          `*/90` is the first minute only" in capsys.readouterr().out
    assert run(["cron", "explain", "@reboot"]) == 0
    assert "never by the clock" in capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 120])
def test_instants_fit_the_terminal_and_keep_their_marks(width: int) -> None:
    from datetime import UTC, datetime

    from schedd.cli.instants import instant_lines
    from schedd.core.model.when import Expression, FoldPolicy, When
    from schedd.core.triggers import preview

    when = When(triggers=(Expression(text="30 1,2 * * *"),), time_zone="America/New_York", fold=FoldPolicy.BOTH)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    shown = {
        start: instant_lines(
            preview(when, created_us=0, seed=0, after_us=int(datetime.fromisoformat(start).timestamp()) * 1_000_000, count=4), now, width
        )
        for start in ("2026-03-08T00:00-05:00", "2026-11-01T00:00-04:00")
    }
    assert max(len(line) for lines in shown.values() for line in lines) <= width
    spring, autumn = shown.values()
    assert spring[1].startswith("Sun 2026-03-08 03:00:00-0400  2026-03-08T07:00:00Z")
    assert spring[1].endswith("gap")
    assert [line.split()[-1] for line in autumn[:2]] == ["first", "second"]
    assert any(line.startswith("gap: its local time does not exist") for line in spring)


def test_batch_and_expression_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cron", "next", "@daily", "--batch"]) == 2
    assert run(["cron", "next"]) == 2
    assert "--batch" in capsys.readouterr().err


def test_oncalendar_expression_is_explained_by_its_normal_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cron", "explain", "Mon..Fri 10:00", "--tz", "Europe/Berlin"]) == 0
    out = capsys.readouterr().out

    assert "normal form   Mon..Fri *-*-* 10:00:00" in out


def test_expression_without_times_by_the_clock_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cron", "next", "@reboot"]) == 0
    printed = capsys.readouterr()

    assert (printed.out, printed.err) == ("", "cron's @reboot; it has no times by the clock\n")


def test_recurrence_is_previewed(capsys: pytest.CaptureFixture[str]) -> None:
    text = "DTSTART:20260102T090000 RRULE:FREQ=MONTHLY;BYDAY=-1FR"
    assert run(["cron", "next", text, "--tz", "Europe/Berlin", "--after", "2026-01-01", "-n", "2", "-o", "json"]) == 0

    assert [item["utc"] for item in json.loads(capsys.readouterr().out)] == ["2026-01-30T08:00:00Z", "2026-02-27T08:00:00Z"]


@pytest.mark.parametrize(
    ("options", "utc"),
    [
        (["0 0 13 * 5", "--day-match", "and", "--after", "2026-01-01", "-n", "1"], ["2026-02-13T05:00:00Z"]),
        (["30 2 8 * *", "--gap", "skip", "--after", "2026-03-01", "-n", "1"], ["2026-04-08T06:30:00Z"]),
        (["30 1 1 11 *", "--fold", "both", "--after", "2026-10-01", "-n", "2"], ["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"]),
        (["*:*:0/0.5", "--after", "2026-10-01", "-n", "2"], ["2026-10-01T00:00:00.5Z", "2026-10-01T00:00:01Z"]),
    ],
)
def test_reading_of_an_expression_can_be_chosen(options: list[str], utc: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cron", "next", *options, "--tz", "America/New_York", "-o", "name"]) == 0
    assert capsys.readouterr().out.split() == utc


@pytest.mark.parametrize("wrong", [["rate(1 day)", "--day-match", "and"], ["--batch", "--gap", "skip"]])
def test_reading_that_does_not_fit_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cron", "next", *wrong]) == 2
    assert wrong[-2] in capsys.readouterr().err
    assert run(["cron", "explain", "61 * * * *", "--day-match", "and"]) == 1


def test_effects_are_those_of_the_zone_that_an_expression_names(capsys: pytest.CaptureFixture[str]) -> None:
    """New York's gap is on 8 March, Berlin's on 29 March."""
    options = ["--tz", "Europe/Berlin", "--gap", "run-after", "--after", "2026-03-08", "-n", "1", "-o", "json"]
    assert run(["cron", "next", "02:30 America/New_York", *options]) == 0
    assert json.loads(capsys.readouterr().out)[0]["effects"][0] == "MOVED_AFTER_GAP"
    assert run(["cron", "next", "02:30 America/New_York", *options[:-5], "2026-03-29", "-n", "1", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["effects"] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_SCHEDCTL_COMPLETE" in capsys.readouterr().out


def test_completion_knows_the_commands() -> None:
    environment = {**os.environ, "_SCHEDCTL_COMPLETE": "bash_complete", "COMP_WORDS": "schedctl sch", "COMP_CWORD": "1"}
    answer = subprocess.run([SCHEDCTL], env=environment, capture_output=True, text=True, timeout=30)

    assert answer.stdout.split() == ["plain,schedule"]


def test_reader_that_goes_away_is_no_noise() -> None:
    made = subprocess.Popen(
        [SCHEDCTL, "cron", "next", "* * * * *", "-n", "10000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert made.stdout is not None
    made.stdout.readline()
    made.stdout.close()
    assert made.stderr is not None
    assert made.stderr.read() == ""
    made.stderr.close()
    assert made.wait(20) == ExitCode.PIPE


@pytest.mark.parametrize("arguments", [["explain", "0", "9", "*", "*", "*"], ["next", "0", "9", "*"]])
def test_expression_without_quotes_is_told_to_have_them(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cron", *arguments]) == 2
    assert "stands in quotes, such as '0 9 * * MON-FRI'" in capsys.readouterr().err


def test_other_extra_arguments_are_told_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calendar", "get", "one", "two"]) == 2
    assert "quotes" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("expression", "local"),
    [
        ("09:00 Europe/Berlin", "2026-01-01T09:00:00+01:00"),
        ("DTSTART;TZID=Asia/Tokyo:20260101T090000 RRULE:FREQ=DAILY", "2026-01-01T09:00:00+09:00"),
        ("DTSTART;TZID=Asia/Tokyo:20260101T090000 RDATE;TZID=Europe/Berlin:20260102T090000", "2026-01-01T00:00:00+00:00"),
        ("0 9 * * *", "2026-01-01T09:00:00+00:00"),
    ],
)
def test_times_are_shown_in_the_zone_that_the_expression_names(expression: str, local: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cron", "next", expression, "--after", "2025-12-31T20:00:00Z", "-n", "1", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["local"] == local
