"""schedctl against a real daemon, as a person runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from schedd.client import SyncClient
from tests.cli.schedctl import Run
from tests.daemons import RealDaemon

SCHEDCTL = Path(sys.executable).parent / "schedctl"
FILE = """
defaults: {labels: {app: demo}}
schedules:
  - name: hourly
    schedule: "0 * * * *"
    process: {argv: [/bin/echo, hello]}
  - name: daily
    schedule: "0 9 * * *"
    time_zone: America/New_York
    http: {url: "http://127.0.0.1:9/x", body: {a: 1}}
    retry: {max_attempts: 2}
  - name: past
    triggers: [{once: {delay: 300ms}}]
    process: {argv: [/bin/true]}
"""

pytestmark = pytest.mark.usefixtures("at_the_daemon")


def _write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "f.yaml"
    path.write_text(text)
    return str(path)


def test_limits_of_a_file_are_applied_shown_and_named_as_the_reason(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    limits = "{file_size_bytes: 1024, cpu_time: 1m30s, open_files: 64}"
    command = f"exec head -c 5000 /dev/zero > {tmp_path}/big"
    schedule = f"  - {{name: dump, schedule: '@yearly', retry: 1, process: {{command: '{command}', resource_limits: {limits}}}}}"
    assert Run(capfd, "apply", "-f", _write(tmp_path, f"schedules:\n{schedule}\n")).code == 0

    assert "Limits     cpu_time 1m30s, file_size_bytes 1024, open_files 64" in Run(capfd, "get", "dump").out
    assert Run(capfd, "trigger", "dump", "--wait").code == 7
    (execution,) = json.loads(Run(capfd, "execution", "list", "dump", "-o", "json").out)
    assert execution["reason"] == "REASON_RESOURCE_LIMIT"
    assert "it wrote a file beyond the size of 1024 bytes" in Run(capfd, "execution", "get", execution["name"]).out


def test_limits_out_of_bounds_are_refused_where_they_stand(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = _write(
        tmp_path,
        "schedules:\n  - name: x\n    schedule: '@yearly'\n    process:\n      argv: [a]\n      resource_limits: {open_files: 2}\n",
    )
    refused = Run(capfd, "apply", "-f", file)
    assert (refused.code, ":6:" in refused.err, "2 is too low; from 3 on it can be" in refused.err) == (1, True, True)


@pytest.mark.parametrize("auth", ["{bearer: pager}", "{bearer: {token: {name: pager}}}", "{basic: {username: me, password: pager}}"])
def test_credentials_of_a_file_name_a_secret_that_the_daemon_has_to_have(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, auth: str
) -> None:
    file = _write(
        tmp_path, f"schedules:\n  - name: x\n    schedule: '@yearly'\n    http:\n      url: http://localhost/\n      auth: {auth}\n"
    )
    refused = Run(capfd, "apply", "-f", file)
    assert (refused.code, ":6:" in refused.err, "there is no secret pager in [secrets]" in refused.err) == (1, True, True)


def test_apply_is_idempotent_shows_differences_and_prunes(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = _write(tmp_path, FILE)

    first = Run(capfd, "apply", "-f", file)
    assert (first.code, first.out.split()) == (0, ["created", "hourly", "created", "daily", "created", "past"])
    assert Run(capfd, "trigger", "past", "--wait").code == 0

    again = Run(capfd, "apply", "-f", file)
    assert (again.code, set(again.out.split()[::2])) == (0, {"unchanged"})

    _write(tmp_path, FILE.replace("0 9 * * *", "0 10 * * *"))
    planned = Run(capfd, "apply", "-f", file, "--dry-run")
    assert "triggers[0].expression: 0 9 * * * → 0 10 * * *" in planned.out
    assert re.search(r"next 30 days: (29|30) moved", planned.out)
    assert re.search(r"moves +\w+ [\d-]+ 09:00:00-0[45]00 → 10:00:00\n", planned.out)
    [_, told, _] = json.loads(Run(capfd, "apply", "-f", file, "--dry-run", "-o", "json").out)
    occurrences = told["occurrences"]
    assert told["action"] == "updated"
    # From 09:00 to 10:00 there, today's is one more, and one goes over the window's end.
    assert (occurrences["added"], occurrences["dropped"]) in {(0, 0), (1, 1)}
    assert json.loads(Run(capfd, "get", "daily", "-o", "json").out)["triggers"] == [{"expression": "0 9 * * *"}]

    assert Run(capfd, "apply", "-f", file).out.split() == ["unchanged", "hourly", "updated", "daily", "unchanged", "past"]

    _write(tmp_path, FILE[: FILE.index("  - name: daily")])
    refused = Run(capfd, "apply", "-f", file, "--prune", "-l", "app=demo")
    assert (refused.code, refused.out) == (1, "")
    assert "--yes" in refused.err
    pruned = Run(capfd, "apply", "-f", file, "--prune", "-l", "app=demo", "--yes")
    assert pruned.out.split() == ["unchanged", "hourly", "deleted", "daily", "deleted", "past"], pruned.err


def test_apply_tells_the_servers_faults_at_their_lines_and_changes_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = "process: {argv: [/bin/true]}"
    text = f"- name: ok\n  every: 1h\n  {target}\n- name: bad\n  schedule: '61 * * * *'\n  time_zone: Mars/X\n  {target}\n"
    answer = Run(capfd, "apply", "-f", _write(tmp_path, text))

    assert (answer.code, answer.out) == (1, "")
    assert "f.yaml:6: time_zone: " in answer.err
    assert Run(capfd, "get", "ok").code == 3


def test_caret_shows_where_an_expression_is_wrong(capfd: pytest.CaptureFixture[str]) -> None:
    answer = Run(capfd, "schedule", "create", "bad", "--cron", "0 25 * * *", "--", "/bin/true")

    assert answer.code == 1
    assert re.search(r"0 25 \* \* \*\n +  \^\^", answer.err)


def test_oncalendar_expression_makes_a_schedule(capfd: pytest.CaptureFixture[str]) -> None:
    assert Run(capfd, "schedule", "create", "office", "--schedule", "Mon..Fri *-*-* 09:00", "--", "/bin/true").code == 0
    assert " 09:00:00+0000 " in Run(capfd, "next", "office").out


def test_what_get_prints_can_be_applied(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    created = Run(capfd, "schedule", "create", "round", "--every", "1h", "-l", "a=b", "--http", "http://127.0.0.1:9/", "--header", "A: b")
    assert created.code == 0
    printed = Run(capfd, "get", "round", "-o", "yaml").out

    assert Run(capfd, "apply", "-f", _write(tmp_path, printed)).out.split() == ["unchanged", "round"]


def test_trigger_waits_prints_the_output_and_tells_failure_by_its_code(capfd: pytest.CaptureFixture[str]) -> None:
    Run(capfd, "schedule", "create", "good", "--cron", "@yearly", "--", "/bin/echo", "hello")
    Run(capfd, "schedule", "create", "poor", "--cron", "@yearly", "--attempts", "1", "--", "/bin/sh", "-c", "echo no; echo why >&2; exit 3")

    good, poor = Run(capfd, "trigger", "good", "--wait"), Run(capfd, "trigger", "poor", "--wait")
    assert (good.code, good.out) == (0, "hello\n")
    assert (poor.code, poor.out) == (7, "no\n")
    assert "why" in poor.err
    assert Run(capfd, "logs", "good").out == "hello\n"
    assert Run(capfd, "logs", "good", "-o", "json").code == 0
    assert json.loads(Run(capfd, "execution", "list", "--failed", "-o", "json").out)[0]["reason"] == "REASON_EXIT_CODE"


def _letters(capfd: pytest.CaptureFixture[str], name: str) -> list[str]:
    """The executions that are dead letters of a schedule."""
    listed = json.loads(Run(capfd, "execution", "dead-letters", "list", name, "-o", "json").out)
    return [letter["execution"]["name"] for letter in listed]


def test_dead_letters_are_listed_delivered_again_and_removed(capfd: pytest.CaptureFixture[str], tmp_path: Path, daemon: RealDaemon) -> None:
    cure = tmp_path / "cure"
    for name in ("cured", "lost"):
        script = f"test {name} = cured && cat {cure}"
        Run(capfd, "schedule", "create", name, "--cron", "@yearly", "--attempts", "1", "--", "/bin/sh", "-c", script)
        assert Run(capfd, "trigger", name, "--wait").code == 7
    (cured,), (lost,) = _letters(capfd, "cured"), _letters(capfd, "lost")
    cure.touch()

    assert Run(capfd, "execution", "redeliver", cured.rsplit("/", 1)[-1]).code == 0
    assert Run(capfd, "execution", "redeliver", "0000000000001").code == 3
    again = Run(capfd, "execution", "dead-letters", "redeliver", lost, "groups/default/schedules/lost/executions/0000000000001")
    assert (again.code, "1 of 2 could not be delivered again" in again.err) == (3, True)
    assert Run(capfd, "execution", "dead-letters", "redeliver").code == 2
    with SyncClient(daemon.socket) as client:
        assert [client.wait_execution(name).attempt for name in (cured, lost)] == [2, 2]
    assert (_letters(capfd, "cured"), _letters(capfd, "lost")) == ([], [lost])

    chosen = ("--filter", 'schedule = "groups/default/schedules/lost"')
    assert "1 dead letter would be removed" in Run(capfd, "execution", "dead-letters", "purge", *chosen, "--dry-run").err
    assert _letters(capfd, "lost") == [lost]
    assert Run(capfd, "--yes", "execution", "dead-letters", "purge", *chosen).code == 0
    assert _letters(capfd, "lost") == []


def test_follow_ups_run_and_name_their_parent(capfd: pytest.CaptureFixture[str], tmp_path: Path, daemon: RealDaemon) -> None:
    proof = tmp_path / "proof"
    text = f"""
schedules:
  - {{name: one, schedule: "@yearly", process: {{argv: [/bin/false]}}, retry: 1, on_success: two, on_failure: [three]}}
  - {{name: two, schedule: "@yearly", process: {{argv: [/bin/false]}}}}
  - {{name: three, schedule: "@yearly", process: {{argv: [/bin/sh, -c, "echo $SCHEDD_CAUSE > {proof}"]}}}}
"""
    file = _write(tmp_path, text)
    assert Run(capfd, "apply", "-f", file, "--dry-run").code == 0
    assert Run(capfd, "apply", "-f", file).out.split()[::2] == ["created"] * 3
    assert set(Run(capfd, "apply", "-f", file).out.split()[::2]) == {"unchanged"}
    assert "On failure  run three" in Run(capfd, "get", "one").out

    parent = json.loads(Run(capfd, "trigger", "one", "--wait", "-o", "json").out)["name"]
    with SyncClient(daemon.socket) as client:
        (listed,) = client.list_executions("groups/default/schedules/three")
        client.wait_execution(listed.name)
    assert (listed.parent_execution, proof.read_text()) == (parent, "FOLLOW_UP\n")
    assert f"Follows       {parent}" in Run(capfd, "execution", "get", listed.name.rsplit("/", 1)[-1]).out
    circle = Run(capfd, "schedule", "create", "four", "--cron", "@yearly", "--on-failure", "four", "--", "/bin/true")
    assert (circle.code, "round in a circle" in circle.err) == (1, True)


def test_rehearsed_trigger_shows_what_it_would_send_and_a_body_is_sent_once(capfd: pytest.CaptureFixture[str]) -> None:
    Run(capfd, "schedule", "create", "says", "--cron", "@yearly", "--", "/bin/cat")
    rehearsed = Run(capfd, "trigger", "says", "--body", "for {{ schedule_id }}", "--dry-run")
    assert rehearsed.code == 0
    assert rehearsed.out.startswith("/bin/cat\nSCHEDD_ATTEMPT=1\n")
    assert rehearsed.out.endswith("\n\nfor says\n")
    shown = json.loads(Run(capfd, "trigger", "says", "--dry-run", "-o", "json").out)
    assert shown["process"]["argv"] == ["/bin/cat"]
    assert json.loads(Run(capfd, "execution", "list", "says", "-o", "json").out) == []
    assert Run(capfd, "trigger", "says", "--body", "for {{ schedule_id }}", "--overlap", "allow_all", "--wait").out == "for says"
    assert Run(capfd, "trigger", "says", "--wait").out == ""
    refused = Run(capfd, "trigger", "says", "--body", "{{ nothing }}")
    assert (refused.code, "payload.text: " in refused.err) == (1, True)
    assert Run(capfd, "trigger", "says", "--wait", "--dry-run").code == 2


def test_schedule_is_created_paused_and_begins_when_it_is_resumed(capfd: pytest.CaptureFixture[str]) -> None:
    made = Run(
        capfd, "schedule", "create", "not-yet", "--cron", "@daily", "--pause-reason", "not yet", "--pause-for", "2h", "--", "/bin/true"
    )
    assert (made.code, made.err) == (0, "not-yet created, paused\n")
    assert re.search("paused by .*, until .*: not yet", Run(capfd, "get", "not-yet").out)
    assert Run(capfd, "schedule", "create", "whenever", "--cron", "@daily", "--paused", "--", "/bin/true").code == 0
    assert "whenever resumed" in Run(capfd, "resume", "whenever", "--backlog", "all").err


def test_execution_is_shown_by_its_id_alone(capfd: pytest.CaptureFixture[str]) -> None:
    Run(capfd, "schedule", "create", "by-id", "--cron", "@yearly", "--", "/bin/echo", "seen")
    name = json.loads(Run(capfd, "trigger", "by-id", "--wait", "-o", "json").out)["name"]
    shown = Run(capfd, "execution", "get", name.rsplit("/", 1)[-1])

    assert "Attempt 1: succeeded" in shown.out
    assert "    seen" in shown.out
    assert Run(capfd, "logs", "by-id", "--execution", name.rsplit("/", 1)[-1]).out == "seen\n"


def test_pause_update_resume_delete_go_round(capfd: pytest.CaptureFixture[str]) -> None:
    Run(capfd, "schedule", "create", "turn", "--cron", "@daily", "--", "/bin/true")

    assert "turn paused" in Run(capfd, "pause", "turn", "--reason", "rain", "--for", "2h").err
    assert re.search("paused by .*, until .*: rain", Run(capfd, "get", "turn").out)
    assert "turn resumed" in Run(capfd, "resume", "turn").err
    within = Run(capfd, "schedule", "update", "turn", "--set", "retry.max_attempts=3")
    assert (within.code, "write --set retry='{max_attempts: 3, …}'" in within.err) == (2, True)
    changed = Run(capfd, "schedule", "update", "turn", "--schedule", "0 7 * * *", "--tz", "Europe/Berlin", "--set", "timeout=30s")
    assert changed.code == 0
    got = yaml.safe_load(Run(capfd, "get", "turn", "-o", "yaml").out)
    assert (got["triggers"], got["time_zone"], got["policies"]["attempt_timeout"]) == (
        [{"expression": "0 7 * * *"}],
        "Europe/Berlin",
        "30s",
    )
    assert len(Run(capfd, "next", "turn", "-n", "3").out.splitlines()) == 3
    assert Run(capfd, "delete", "turn").code == 1
    assert Run(capfd, "delete", "turn", "--yes").code == 0
    assert Run(capfd, "delete", "turn", "nobody", "--yes").code == 3


def test_undelete_restores_what_was_deleted_and_tells_what_it_cannot(capfd: pytest.CaptureFixture[str]) -> None:
    Run(capfd, "schedule", "create", "back", "--cron", "@daily", "--", "/bin/true")
    assert Run(capfd, "delete", "back", "--yes").code == 0
    assert "back would be restored" in Run(capfd, "schedule", "undelete", "back", "--dry-run").err
    assert "back restored" in Run(capfd, "schedule", "undelete", "back").err
    assert yaml.safe_load(Run(capfd, "get", "back", "-o", "yaml").out)["triggers"] == [{"expression": "@daily"}]
    assert Run(capfd, "schedule", "undelete", "back").code == 4
    assert Run(capfd, "schedule", "undelete", "nobody").code == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("get", "nobody"), 3),
        (("logs", "nobody"), 3),
        (("trigger", "nobody"), 3),
        (("list", "--filter", "colour = red"), 1),
        (("server", "health"), 0),
        (("server", "version"), 0),
        (("server", "status"), 0),
        (("server", "journal", "-n", "3"), 0),
    ],
)
def test_outcome_has_its_exit_code(capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int) -> None:
    answer = Run(capfd, *arguments)

    assert answer.code == code
    assert (answer.out == "") == (code != 0)


def test_second_creation_is_a_conflict(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ("schedule", "create", "twice", "--cron", "@daily", "--", "/bin/true")

    assert Run(capfd, *arguments).code == 0
    assert Run(capfd, *arguments).code == 4


def test_list_in_a_pipe_is_plain_and_whole(capfd: pytest.CaptureFixture[str]) -> None:
    name = "a-rather-long-name-that-no-narrow-terminal-has-room-for-at-all"
    Run(capfd, "schedule", "create", name, "--cron", "@daily", "--", "/bin/true")
    answer = Run(capfd, "list", "--wide")

    assert answer.out.splitlines()[0].split()[:5] == ["NEXT", "LEFT", "LAST", "RESULT", "NAME"]
    assert name in answer.out
    assert "\x1b" not in answer.out
    assert name in Run(capfd, "list", "-o", "name").out.split()


def test_watch_of_a_schedule_that_is_not_there_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    answer = Run(capfd, "watch", "nowhere", "--finished")
    assert (answer.code, "groups/default/schedules/nowhere: not found" in answer.err) == (3, True)


def test_watch_prints_json_lines_until_it_is_interrupted(capfd: pytest.CaptureFixture[str]) -> None:
    Run(capfd, "schedule", "create", "watched", "--cron", "@yearly", "--", "/bin/true")
    arguments = ["watch", "watched", "--after", "0", "--finished", "-o", "json"]
    watcher = subprocess.Popen([SCHEDCTL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watcher.stdout is not None
    for _ in range(2):
        Run(capfd, "trigger", "watched", "--wait")
        event = json.loads(watcher.stdout.readline())
        assert (event["schedule"], event["outcome"]) == ("groups/default/schedules/watched", "OUTCOME_SUCCEEDED")
    watcher.send_signal(signal.SIGINT)

    assert watcher.communicate(timeout=20) == ("", "")
    assert watcher.returncode == 130


def test_condition_that_does_not_hold_is_seen_with_what_its_command_said(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = "- {name: busy, every: 1s, process: {argv: [/bin/true]}, condition: {command: 'echo load is 9; exit 3'}}\n"
    watcher = subprocess.Popen(
        [SCHEDCTL, "watch", "busy", "--after", "0", "--finished", "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert Run(capfd, "apply", "-f", _write(tmp_path, text)).code == 0
    assert "/bin/sh -c echo load is 9; exit 3 succeeds" in Run(capfd, "get", "busy").out
    assert watcher.stdout is not None
    event = json.loads(watcher.stdout.readline())
    assert (event["outcome"], event["reason"]) == ("OUTCOME_SKIPPED", "REASON_CONDITION")
    assert event["evidence"] == {"condition": "command", "code": "3", "message": "exited with code 3", "output": "load is 9"}
    watcher.send_signal(signal.SIGINT)
    watcher.communicate(timeout=20)
    assert Run(capfd, "delete", "busy", "--yes").code == 0


def test_schedule_names_are_completed_from_the_server(capfd: pytest.CaptureFixture[str], daemon: RealDaemon) -> None:
    Run(capfd, "schedule", "create", "completed-name", "--cron", "@yearly", "--", "/bin/true")
    environment = {**os.environ, "_SCHEDCTL_COMPLETE": "bash_complete", "COMP_WORDS": "schedctl get completed-", "COMP_CWORD": "2"}
    answer = subprocess.run([SCHEDCTL], env=environment, capture_output=True, text=True, timeout=30)

    assert answer.stdout.split() == ["plain,completed-name"]


def test_creation_tells_when_it_fires_next(capfd: pytest.CaptureFixture[str]) -> None:
    answer = Run(capfd, "schedule", "create", "soon", "--every", "1h", "--", "/bin/true")

    assert "soon created; fires next" in answer.err


def test_dry_run_compares_with_the_stored_schedules_own_draw_and_says_when_it_is_cut(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = "- {name: drawn, schedule: 'H H * * *', process: {argv: [/bin/true]}}\n"
    file = _write(tmp_path, text)
    Run(capfd, "apply", "-f", file)
    _write(tmp_path, text.replace("/bin/true", "/bin/false"))
    same = Run(capfd, "apply", "-f", file, "--dry-run")
    assert re.search(r"next 30 days: (29|30) as before\n", same.out)
    _write(tmp_path, text.replace("H H * * *", "* * * * * *"))
    cut = Run(capfd, "apply", "-f", file, "--dry-run")
    assert "it fires too often to compare 30 days" in cut.out
    assert "… and " in cut.out


def test_schedule_that_no_clock_fires_is_created_and_stays(capfd: pytest.CaptureFixture[str]) -> None:
    made = Run(capfd, "schedule", "create", "warm-up", "--schedule", "@reboot", "--", "/bin/true")
    assert (made.code, made.err) == (0, "warm-up created\n")
    assert Run(capfd, "schedule", "create", "again", "--after-completion", "1h", "--", "/bin/true").code == 0
    shown = json.loads(Run(capfd, "schedule", "get", "again", "-o", "json").out)
    assert shown["triggers"] == [{"after_completion": {"delay": "3600s"}}]
    assert shown["state"] == "SCHEDULE_STATE_ENABLED"
    assert "next_time" in shown


def test_creation_tells_wrong_options_by_their_names(capfd: pytest.CaptureFixture[str]) -> None:
    refused = Run(capfd, "schedule", "create", "x", "--every", "0s", "--attempt-timeout", "0s", "--tz", "Europe/Berlim", "--", "true")
    assert refused.code == 1
    assert "  --every: 0s is not allowed; 1ms to 3660d is, such as 90s or 1h\n" in refused.err
    assert "  --attempt-timeout: 0s is not allowed; 1ms to 366d is\n" in refused.err
    assert "  --tz: " in refused.err


def test_trigger_that_waits_tells_of_retries(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = """
        name: stubborn
        schedule: "@yearly"
        process: {command: "exit 3"}
        retry: {max_attempts: 2, min_backoff: 100ms}
        """
    Run(capfd, "apply", "-f", _write(tmp_path, file))
    waited = Run(capfd, "trigger", "stubborn", "--wait")
    assert (waited.code, waited.out) == (7, "")
    assert "attempt 1 failed (exit_code); the next one starts " in waited.err


@pytest.mark.parametrize(
    ("name", "option", "value", "why"),
    [
        ("later", "--after-completion", "10m", "fires by no clock (10m after completion)"),
        ("boot", "--schedule", "@reboot", "the daemon's next start"),
    ],
)
def test_next_of_a_schedule_that_no_clock_fires_says_why_it_is_empty(
    capfd: pytest.CaptureFixture[str], name: str, option: str, value: str, why: str
) -> None:
    Run(capfd, "schedule", "create", name, option, value, "--", "true")
    shown = Run(capfd, "next", name)
    assert (shown.code, shown.out) == (0, "")
    assert why in shown.err


def test_unreadable_schedule_is_shown_planned_and_replaced(capfd: pytest.CaptureFixture[str], daemon: RealDaemon, tmp_path: Path) -> None:
    file = _write(tmp_path, 'name: damaged\nschedule: "0 9 * * *"\nprocess: {argv: [echo, hi]}\n')
    Run(capfd, "apply", "-f", file)
    with closing(sqlite3.connect(daemon.directory / "schedd.db", timeout=20)) as connection, connection:
        connection.execute("UPDATE schedules SET policies = '{', target = '{' WHERE name = 'damaged'")
    shown = Run(capfd, "get", "damaged").out
    assert "disabled: its stored row cannot be read (target: " in shown
    assert "UNSPECIFIED" not in shown
    assert "damaged" in Run(capfd, "list").out
    refused = Run(capfd, "schedule", "update", "damaged", "--tz", "Europe/Berlin")
    assert (refused.code, "`schedctl apply -f FILE` replaces it" in refused.err) == (4, True)
    planned = Run(capfd, "apply", "-f", file, "--dry-run").out
    assert planned.startswith("update     damaged")
    assert "30 added" in planned
    assert Run(capfd, "apply", "-f", file).out.split() == ["updated", "damaged"]
    assert Run(capfd, "trigger", "damaged", "--wait").out == "hi\n"


def test_apply_repairs_a_schedule_of_which_only_what_the_file_leaves_out_is_unreadable(
    capfd: pytest.CaptureFixture[str], daemon: RealDaemon, tmp_path: Path
) -> None:
    file = _write(tmp_path, 'name: chipped\nschedule: "0 9 * * *"\nprocess: {argv: [echo, hi]}\n')
    Run(capfd, "apply", "-f", file)
    with closing(sqlite3.connect(daemon.directory / "schedd.db", timeout=20)) as connection, connection:
        connection.execute("UPDATE schedules SET labels = '[1]' WHERE name = 'chipped'")
    assert "state: DISABLED → ENABLED" in Run(capfd, "apply", "-f", file, "--dry-run").out
    assert Run(capfd, "apply", "-f", file).out.split() == ["updated", "chipped"]
    assert Run(capfd, "apply", "-f", file).out.split() == ["unchanged", "chipped"]
    assert Run(capfd, "trigger", "chipped", "--wait").out == "hi\n"


def test_apply_replaces_a_calendar_that_cannot_be_read(capfd: pytest.CaptureFixture[str], daemon: RealDaemon, tmp_path: Path) -> None:
    file = _write(tmp_path, 'calendars:\n  - name: torn\n    entries: [{date: "2030-12-25"}]\n')
    assert Run(capfd, "apply", "-f", file).code == 0
    with closing(sqlite3.connect(daemon.directory / "schedd.db", timeout=20)) as connection, connection:
        connection.execute("UPDATE calendars SET entries = '{' WHERE name = 'torn'")
    assert Run(capfd, "apply", "-f", file).out.split() == ["updated", "calendars/torn"]
    assert Run(capfd, "apply", "-f", file).out.split() == ["unchanged", "calendars/torn"]
