"""Crontabs into schedules: settings, fields, commands, names, and what is refused."""

from __future__ import annotations

import os
import pwd
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.cli.failures import CommandError, UsageFault
from schedd.cli.importing import cronproof
from schedd.cli.importing.carried import Imported
from schedd.cli.importing.commandname import words_of_command
from schedd.cli.importing.crontab import Crontab, Reading, read_crontabs, split_percent
from schedd.cli.importing.host import CronKind, host_cron, host_zone
from schedd.cli.importing.proof import Finding, Span, Verdict
from schedd.cli.importing.sources import system_crontabs, user_crontab
from schedd.cli.importing.writing import json_text, read_back, yaml_text
from schedd.cli.manifest import parse_manifest

SYSTEM = (Path(__file__).parent / "system.crontab").read_text(encoding="utf-8")
SPAN = Span.year_from(datetime(2026, 11, 25, 12, tzinfo=UTC))
OWNER = pwd.getpwuid(os.geteuid())


def _read(text: str, *, owner: str = OWNER.pw_name, kind: CronKind = CronKind.DEBIAN, zone: str = "Europe/Berlin") -> Imported:
    return read_crontabs([Crontab(file="tab", text=text, owner=owner)], Reading(kind=kind, time_zone=zone))


def _one(text: str, **reading: Any) -> dict[str, Any]:
    imported = _read(text, **reading)
    assert not imported.refused
    return dict(imported.carried[-1].document)


def _notes(text: str, **reading: Any) -> str:
    return "\n".join(_read(text, **reading).carried[-1].notes)


def _refusal(text: str, **reading: Any) -> str:
    imported = _read(text, **reading)
    assert not imported.carried
    return "\n".join(str(item) for item in imported.refused)


def _findings(imported: Imported, kind: CronKind = CronKind.DEBIAN) -> list[Finding]:
    schedules = read_back(imported)
    return [partial(cronproof.prove, kind=kind)(item, schedules[item.name], SPAN) for item in imported.carried]


def test_system_crontab_is_carried_over_whole_and_proved() -> None:
    imported = _read(SYSTEM, owner="")

    assert [item.name for item in imported.carried] == [
        "run-parts-cron.hourly", "run-parts-cron.daily", "run-parts-cron.monthly", "e2scrub_all_cron", "sessionclean", "certbot-renew",
        "logrotate-status", "docker-ps", "find-tmp", "mail",
    ]  # fmt: skip
    assert not imported.refused
    assert {finding.verdict for finding in _findings(imported)} == {Verdict.EQUAL}
    assert dict(imported.carried[0].document) == {
        "name": "run-parts-cron.hourly",
        "schedule": "17 * * * *",
        "process": {
            "command": "cd / && run-parts --report /etc/cron.hourly",
            "user": "root",
            "working_directory": pwd.getpwnam("root").pw_dir,
            "env": {"PATH": "/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin"},
            "umask": "022",
        },
    }
    assert imported.carried[7].document["process"]["user"] == "www-data"


def test_defaults_are_what_cron_does() -> None:
    assert _read("").defaults == {
        "time_zone": "Europe/Berlin",
        "labels": {"imported-from": "crontab"},
        "overlap": "ALLOW_ALL",
        "catch_up": "NONE",
        "retry": {"max_attempts": 1},
    }


def test_yaml_says_the_same_as_json_and_each_line_stands_above_its_schedule() -> None:
    imported = _read(SYSTEM + "@fortnightly root start-it\n", owner="")
    text = yaml_text(imported, _findings(imported), "crontab")

    written, plain = parse_manifest(text, "f.yaml"), parse_manifest(json_text(imported), "f.json")
    assert [item.schedule for item in written] == [item.schedule for item in plain]
    lines = text.splitlines()
    at = lines.index("  - name: docker-ps")
    assert "docker ps --format '{{.Names}}'" in lines[at - 3]
    assert "MAILTO=root" in lines[at - 2]
    assert "proved: " in lines[at - 1]
    assert lines[-2:] == [
        "  # tab:16: @fortnightly root start-it",
        "  # NOT TAKEN OVER: cron knows no '@fortnightly'",
    ]


def test_settings_hold_for_the_lines_below_them() -> None:
    text = 'A=1\n* * * * * first\nA = \' two \'\n"B"="x"\n  C=some text  \n* * * * * second\n'

    first, second = (item.document["process"]["env"] for item in _read(text).carried)
    assert first == {"PATH": "/usr/bin:/bin", "A": "1"}
    assert second == {"PATH": "/usr/bin:/bin", "A": " two ", "B": "x", "C": "some text"}


def test_shell_and_home_are_obeyed_and_logname_is_not() -> None:
    process = _one("SHELL=/bin/bash\nHOME=/srv\nLOGNAME=eve\n* * * * * a | b")["process"]

    assert process["argv"] == ["/bin/bash", "-c", "a | b"]
    assert process["working_directory"] == process["env"]["HOME"] == "/srv"
    assert process["env"]["SHELL"] == "/bin/bash"
    assert "LOGNAME" not in process["env"]
    assert process["user"] == OWNER.pw_name


def test_home_of_an_unknown_account_is_noted() -> None:
    assert "working_directory" not in _one("* * * * * nobody-knows true", owner="")["process"]
    assert "not an account of this host" in _notes("* * * * * nobody-knows true", owner="")


@pytest.mark.parametrize(
    ("command", "line", "stdin"),
    [
        ("date", "date", ""),
        (r"date +\%F", "date +%F", ""),
        ("cat%a%b", "cat", "a\nb\n"),
        ("cat%", "cat", ""),
        (r"cat%100\%", "cat", "100%\n"),
        (r"cat%a\b%", "cat", "a\\b\n"),
        (r"echo a\\b", r"echo a\b", ""),
        (r"echo a\tb", r"echo a\tb", ""),
    ],
)
def test_percent_ends_the_line_and_begins_the_input(command: str, line: str, stdin: str) -> None:
    assert split_percent(command) == (line, stdin)


def test_input_and_braces_reach_the_command_as_they_are() -> None:
    process = _one("* * * * * docker ps --format '{{.ID}}'%{{x}}%y")["process"]

    assert process["command"] == "docker ps --format '{{ '{{' }}.ID}}'"
    assert process["stdin"] == "{{ '{{' }}x}}\ny\n"


def test_mail_is_noted_and_not_handed_on() -> None:
    assert "MAILTO=joe: schedd sends no mail" in _notes("MAILTO=joe\n* * * * * a")
    assert _notes('MAILTO=""\n* * * * * a\n') == ""
    assert "MAILTO" not in _one("MAILTO=joe\n* * * * * a")["process"]["env"]


def test_zone_of_the_crontab_is_cronies_alone() -> None:
    text = "CRON_TZ=Asia/Tokyo\n0 9 * * * a"

    assert "time_zone" not in _one(text)
    assert "not obeyed by Debian's cron" in _notes(text)
    assert _one(text, kind=CronKind.CRONIE)["time_zone"] == "Asia/Tokyo"
    assert [finding.verdict for finding in _findings(_read(text, kind=CronKind.CRONIE))] == [Verdict.EQUAL]
    assert "not the name of a time zone" in _refusal("CRON_TZ=Mars\n0 9 * * * a", kind=CronKind.CRONIE)


def test_random_delay_is_cronies_alone() -> None:
    text = "RANDOM_DELAY=30\n0 9 * * * a"

    assert "spread" not in _one(text)
    assert _one(text, kind=CronKind.CRONIE)["spread"] == {"mode": "STABLE", "window": "30m"}
    assert "not a number of minutes" in _refusal("RANDOM_DELAY=x\n0 9 * * * a", kind=CronKind.CRONIE)


def test_dash_before_a_line_is_cronies_alone() -> None:
    assert _one("-0 9 * * * a", kind=CronKind.CRONIE)["schedule"] == "0 9 * * *"
    assert "minute '-0'" in _refusal("-0 9 * * * a")


def test_reboot_is_carried_over_and_says_what_is_otherwise() -> None:
    imported = _read("@reboot start-it\n")

    assert imported.carried[0].document["schedule"] == "@reboot"
    assert "schedd at each start of the daemon" in imported.carried[0].notes[0]
    assert _findings(imported)[0] == Finding(verdict=Verdict.UNPROVED, text="@reboot has no times by the clock")


def test_last_line_without_an_end_is_noted_where_cron_reads_nothing_of_such_a_file() -> None:
    assert "Debian's cron runs nothing" in _notes("0 8 * * * a\n0 9 * * * b")
    assert _notes("0 9 * * * b\n") == _notes("0 9 * * * b", kind=CronKind.CRONIE) == ""
    assert _read("0 8 * * * a\n0 9 * * * b").carried[0].notes == ()


def test_drawn_times_are_not_proved() -> None:
    finding = _findings(_read("0~30 9 * * * a", kind=CronKind.CRONIE), CronKind.CRONIE)[0]

    assert finding.verdict is Verdict.UNPROVED


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("@Reboot a", "cron knows no '@Reboot'"),
        ("@fortnightly a", "cron knows no '@fortnightly'"),
        ("60 * * * * a", "minute '60'"),
        ("5/15 * * * * a", "such as 5-59/15"),
        ("0 9 * * *", "there is no command"),
        ("0 9 * *", "begins neither a setting nor five time fields"),
        ("hello", "begins neither"),
        ("0 0 9 * * * a", "a `*` stands where the command begins"),
        ("0 0 31 2 * a", "schedd does not take '0 0 31 2 *'"),
        ("1X=y\n0 9 * * * a", "'1X' is set above"),
    ],
)
def test_line_that_cannot_be_carried_over_is_refused_at_its_place(line: str, reason: str) -> None:
    refusal = _refusal(line)

    assert refusal.startswith(f"tab:{len(line.splitlines())}: ")
    assert reason in refusal


def test_system_line_without_a_user_is_refused() -> None:
    assert "a system crontab has a user before it" in _refusal("0 9 * * * backup", owner="")


def test_difference_is_told_with_its_instants() -> None:
    twice, backwards = _findings(_read("0,30 2 * * * a\n0 0 * * 5-1 b"))

    assert "more than once by cron, once by schedd at Sun 2027-03-28 03:00:00+0200" in str(twice)
    assert "cron starts it never, schedd 208 times" in str(backwards)
    assert "schedd alone at Fri 2026-11-27 00:00:00+0100, " in str(backwards)
    assert {twice.verdict, backwards.verdict} == {Verdict.DIFFERENT}


def test_names_are_unique_and_the_same_each_time() -> None:
    text = "* * * * * /opt/a/run.sh\n* * * * * /opt/b/run.sh\n* * * * * 'un\n"

    names = [item.name for item in _read(text).carried]
    assert names == ["run.sh", "run.sh-2", "un"] == [item.name for item in _read(text).carried]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/usr/bin/python3 -u /opt/app/job.py >> /var/log/job 2>&1", ["job.py"]),
        ("FOO=bar nice -n 10 pg_dump shop | gzip > x", ["pg_dump", "shop"]),
        ("cd /srv && make all", ["make", "all"]),
        ("true", []),
    ],
)
def test_command_is_called_by_what_it_does(line: str, words: list[str]) -> None:
    assert words_of_command(line) == words


def test_host_zone_is_told_by_tz_then_localtime_then_timezone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    monkeypatch.delenv("TZ", raising=False)
    assert host_zone(tmp_path) == "UTC"
    (etc / "timezone").write_text("Asia/Tokyo\n")
    assert host_zone(tmp_path) == "Asia/Tokyo"
    (etc / "localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    assert host_zone(tmp_path) == "Europe/Berlin"
    monkeypatch.setenv("TZ", ":America/New_York")
    assert host_zone(tmp_path) == "America/New_York"
    monkeypatch.setenv("TZ", "CET-1CEST")
    with pytest.raises(UsageFault, match="--tz"):
        host_zone(tmp_path)


def test_cron_of_the_host_is_told_by_its_program(tmp_path: Path) -> None:
    assert host_cron(tmp_path) is CronKind.DEBIAN
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/crond").touch()
    assert host_cron(tmp_path) is CronKind.CRONIE


def test_system_crontabs_are_those_that_cron_reads(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no system crontab"):
        system_crontabs(tmp_path)
    folder = tmp_path / "etc/cron.d"
    folder.mkdir(parents=True)
    for name in ("b", "a", "backup.dpkg-old", ".placeholder"):
        (folder / name).write_text("")
    (tmp_path / "etc/crontab").write_text("")

    found, remarks = system_crontabs(tmp_path)
    assert [Path(item.file).name for item in found] == ["crontab", "a", "b"]
    assert [item.owner for item in found] == ["", "", ""]
    assert len(remarks) == 1
    assert "backup.dpkg-old is left out" in remarks[0]


@pytest.mark.parametrize("spool", ["crontabs", "."])
def test_crontab_of_a_user_is_found_in_the_spool(spool: str, tmp_path: Path) -> None:
    folder = tmp_path / "var/spool/cron" / spool
    folder.mkdir(parents=True)
    (folder / "alice").write_text("* * * * * a\n")

    found = user_crontab("alice", tmp_path)
    assert (found.owner, found.text) == ("alice", "* * * * * a\n")


@given(
    st.lists(
        st.one_of(
            st.text(max_size=40),
            st.tuples(
                st.sampled_from(["* * * * *", "0 9 1 1 *", "@daily", "A =", "SHELL=", "HOME=", "@x", "1-9/2 * * *"]), st.text(max_size=30)
            ).map(" ".join),
        ),
        max_size=4,
    ),
    st.sampled_from(["root", ""]),
    st.sampled_from(list(CronKind)),
)
def test_any_text_is_carried_over_or_refused_and_can_be_read_back(lines: list[str], owner: str, kind: CronKind) -> None:
    imported = _read("\n".join(lines), owner=owner, kind=kind)

    findings = [Finding(verdict=Verdict.UNPROVED, text="") for _ in imported.carried]
    written = parse_manifest(yaml_text(imported, findings, "crontab"), "f.yaml")
    assert (
        {item.schedule.name.rsplit("/", 1)[-1] for item in written}
        == read_back(imported).keys()
        == {item.name for item in imported.carried}
    )


@pytest.mark.parametrize(("text", "owner"), [("\x1c", ""), ("\x00\x1f", ""), ("* * * * * true", "\x00")])
def test_control_characters_are_no_fault_of_ours(text: str, owner: str) -> None:
    assert len(_read(text, owner=owner, kind=CronKind.DEBIAN).carried) <= 1
