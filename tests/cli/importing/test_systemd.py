"""Timers and their services into schedules: unit files and drop-ins, times, commands, and what is noted or refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from schedd.cli.importing.carried import Imported
from schedd.cli.importing.execline import commands_of, shell_line
from schedd.cli.importing.systemd import read_timers
from schedd.cli.importing.units import UnitError, UnitFiles
from schedd.cli.importing.unitvalues import expanded, span_of, specifiers_of, unescaped, words_of

ROTATE_TIMER = """
[Unit]
Description=Rotate the logs every night
[Timer]
OnCalendar=daily
RandomizedDelaySec=1h
FixedRandomDelay=true
AccuracySec=1h
Persistent=yes
[Install]
WantedBy=timers.target
"""
ROTATE_SERVICE = """
[Unit]
Description=Rotate the logs of %n
ConditionACPower=true
[Service]
Type=oneshot
ExecStart=/usr/sbin/rotate --state "/var/lib/a b" 100%%
Nice=19
UMask=0027
TimeoutStartSec=1h 30min
SuccessExitStatus=3 TEMPFAIL SIGKILL
PrivateTmp=true
"""
CLEAN_TIMER = "[Timer]\nOnBootSec=15min\nOnUnitActiveSec=1d\n"
CLEAN_SERVICE = "[Service]\nExecStart=clean --all\n"


class Host:
    """Directories of units, as a host has them."""

    def __init__(self, root: Path) -> None:
        self.first, self.second = root / "etc", root / "usr"
        for directory in (self.first, self.second):
            directory.mkdir()
        self.files = UnitFiles((self.first, self.second))

    def write(self, **units: str) -> Host:
        for name, text in units.items():
            self.put(self.second, name.replace("_", "."), text)
        return self

    def put(self, directory: Path, name: str, text: str) -> None:
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def read(self, *units: str) -> Imported:
        return read_timers(units, self.files, "Europe/Berlin", user=False)

    def one(self, unit: str = "job") -> dict[str, Any]:
        imported = self.read(unit)
        assert not imported.refused, imported.refused
        return dict(imported.carried[0].document)

    def notes(self, unit: str = "job") -> str:
        return "\n".join(self.read(unit).carried[0].notes)

    def refusal(self, unit: str = "job") -> str:
        imported = self.read(unit)
        assert not imported.carried
        return str(imported.refused[0])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def _service(host: Host, lines: str) -> Host:
    return host.write(job_timer="[Timer]\nOnCalendar=daily\n", job_service=f"[Service]\n{lines}\n")


def test_calendar_timer_is_carried_over_whole(host: Host) -> None:
    host.write(rotate_timer=ROTATE_TIMER, rotate_service=ROTATE_SERVICE)

    assert host.one("rotate.timer") == {
        "name": "rotate",
        "description": "Rotate the logs of rotate.service",
        "triggers": [{"on_calendar": "daily"}],
        "spread": {"mode": "STABLE", "window": "1h"},
        "catch_up": {"mode": "LATEST", "window": "365d"},
        "process": {
            "argv": ["/usr/sbin/rotate", "--state", "/var/lib/a b", "100%"],
            "user": "root",
            "umask": "0027",
            "nice": 19,
            "success_exit_codes": [0, 3, os.EX_TEMPFAIL],
        },
        "timeout": "1h30m",
    }
    assert host.notes("rotate").splitlines() == [
        "AccuracySec=1h: schedd fires at the time itself",
        "SuccessExitStatus=SIGKILL: only exit codes can count as success",
        "the service's conditions are not looked at: ConditionACPower=true",
        "not carried over: PrivateTmp",
    ]


def test_limits_of_a_service_are_carried_over(host: Host) -> None:
    _service(host, "ExecStart=true\nLimitCPU=1min 30\nLimitAS=2G\nLimitFSIZE=0\nLimitNOFILE=64:128\nLimitNPROC=infinity\nLimitRTPRIO=1")

    assert host.one()["process"]["resource_limits"] == {
        "cpu_time": "90s",
        "address_space_bytes": 2 << 30,
        "file_size_bytes": 0,
        "open_files": 64,
    }
    assert host.notes().splitlines() == [
        "LimitNOFILE=64:128: a process cannot raise its limit, 64 holds",
        "LimitNPROC=infinity: it stays as the daemon has it",
        "not carried over: LimitRTPRIO",
    ]


def test_defaults_are_what_a_timer_does(host: Host) -> None:
    defaults = host.read().defaults

    assert (defaults["overlap"], defaults["catch_up"], defaults["retry"]) == ("SKIP", "NONE", {"max_attempts": 1})


def test_monotonic_timer_becomes_a_run_at_the_start_and_an_interval(host: Host) -> None:
    host.write(clean_timer=CLEAN_TIMER, clean_service=CLEAN_SERVICE)

    assert host.one("clean")["triggers"] == [{"at_start": True}, {"every": "1d"}]
    assert "catch_up" not in host.one("clean")
    boot, repeated = host.notes("clean").splitlines()[:2]
    assert boot == "OnBootSec=15min: schedd runs it at each start of the daemon, also where that is a mere restart, and not 15min later"
    assert repeated.endswith("anew at each boot; the interval counts from the creation of the schedule, without drift")


def test_times_that_count_from_a_boot_become_one_run_at_the_start(host: Host) -> None:
    _service(host, "ExecStart=true")
    host.write(job_timer="[Timer]\nOnBootSec=0\nOnStartupSec=1min\nOnActiveSec=1min\n")

    assert host.one()["triggers"] == [{"at_start": True}]
    assert host.notes().splitlines()[0] == "OnBootSec=0: schedd runs it at each start of the daemon, also where that is a mere restart"


def test_time_after_the_end_of_a_run_becomes_a_delay_after_completion(host: Host) -> None:
    _service(host, "ExecStart=true")
    host.write(job_timer="[Timer]\nOnUnitInactiveSec=90\n")

    assert host.one()["triggers"] == [{"after_completion": "1m30s"}]
    assert "from the end of each run" in host.notes()


def test_random_delay_is_drawn_anew_unless_it_is_fixed(host: Host) -> None:
    _service(host, "ExecStart=true")
    host.write(job_timer="[Timer]\nOnCalendar=daily\nRandomizedDelaySec=2d\n")

    assert host.one()["spread"] == {"mode": "RANDOM", "window": "1d"}
    assert "24 hours at most" in host.notes()


def test_several_times_are_joined_and_an_empty_one_forgets_them(host: Host) -> None:
    _service(host, "ExecStart=true")
    host.write(job_timer="[Timer]\nOnBootSec=5\nOnCalendar=hourly\nOnCalendar=\nOnCalendar=Mon 10:00\nOnCalendar=Tue 11:00\n")

    assert host.one()["triggers"] == [{"on_calendar": "Mon 10:00"}, {"on_calendar": "Tue 11:00"}]
    assert host.notes() == ""


def test_drop_ins_change_the_unit_in_the_order_of_their_names(host: Host) -> None:
    _service(host, "ExecStart=true")
    host.put(host.second, "job.timer.d/20-b.conf", "[Timer]\nOnCalendar=\nOnCalendar=weekly\n")
    host.put(host.second, "timer.d/10-a.conf", "[Timer]\nOnCalendar=monthly\n")
    host.put(host.first, "job.timer.d/30-c.conf", "[Timer]\nPersistent=true\n")
    host.put(host.second, "job.timer.d/30-c.conf", "[Timer]\nOnCalendar=yearly\n")

    assert host.one()["triggers"] == [{"on_calendar": "weekly"}]
    assert host.one()["catch_up"]["mode"] == "LATEST"


def test_foremost_directory_wins_and_a_path_is_looked_up_where_it_is(host: Host, tmp_path: Path) -> None:
    _service(host, "ExecStart=from-usr")
    host.put(host.first, "job.service", "[Service]\nExecStart=from-etc\n")
    host.put(tmp_path / "mine", "job.timer", "[Timer]\nOnCalendar=monthly\n")
    host.put(tmp_path / "mine", "job.service", "[Service]\nExecStart=from-mine\n")

    assert host.one()["process"]["argv"] == ["from-etc"]
    assert host.one(str(tmp_path / "mine/job.timer"))["process"]["argv"] == ["from-mine"]


def test_instance_of_a_template_has_its_name_in_the_specifiers(host: Host) -> None:
    host.put(host.second, "dump@.timer", "[Timer]\nOnCalendar=daily\n")
    host.put(host.second, "dump@.service", "[Service]\nExecStart=dump %i /%I %p %N %h\n")

    document = host.one("dump@my-db.timer")
    assert document["name"] == "dump-my-db"
    assert document["process"]["argv"][1:5] == ["my-db", "/my/db", "dump", "dump@my-db"]


def test_service_of_another_name_is_started(host: Host) -> None:
    host.write(job_timer="[Timer]\nOnCalendar=daily\nUnit=other.service\n", other_service="[Service]\nExecStart=other\n")

    assert host.one()["process"]["argv"] == ["other"]


def test_account_directory_and_variables_are_carried_over(host: Host) -> None:
    _service(
        host,
        "User=nobody\nGroup=nogroup\nWorkingDirectory=-/srv\n"
        "Environment=A=1 \"B=x y\"\nEnvironment='C={{c}}'\nExecStart=true\nTimeoutStopSec=20",
    )

    process = host.one()["process"]
    assert (process["user"], process["group"], process["working_directory"], process["kill_grace"]) == ("nobody", "nogroup", "/srv", "20s")
    assert process["env"].pop("PATH").startswith("/usr/local/sbin:")
    assert process["env"] == {"A": "1", "B": "x y", "C": "{{ '{{' }}c}}"}
    assert "the directory has to be there" in host.notes()


def test_several_commands_run_one_after_the_other(host: Host) -> None:
    _service(host, "Type=oneshot\nExecStartPre=-/bin/mkdir '/tmp/a b'\nExecStart=one ; two \\; x\nExecStart=three")

    assert host.one()["process"]["command"] == "{ /bin/mkdir '/tmp/a b' || :; } && one && two ';' x && three"


def test_variables_and_files_of_variables_need_the_shell(host: Host) -> None:
    _service(host, "EnvironmentFile=/etc/default/a\nEnvironmentFile=-/etc/default/b\nExecStart=run $OPTS -x${ONE}y $$HOME '$(id)'")

    assert host.one()["process"]["command"] == (
        "set -a; . /etc/default/a; [ ! -r /etc/default/b ] || . /etc/default/b; set +a; exec run $OPTS -x\"${ONE}\"y '$'HOME '$(id)'"
    )
    assert "in the shell's syntax as well" in host.notes()


def test_dollars_stay_what_they_are_after_a_colon(host: Host) -> None:
    _service(host, "ExecStart=:echo $A $$B")

    assert host.one()["process"]["argv"] == ["echo", "$A", "$$B"]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("", "has no ExecStart="),
        ("Type=forking\nExecStart=a", "Type=forking"),
        ("DynamicUser=yes\nExecStart=a", "DynamicUser="),
        ("User=nobody\nExecStart=+a", "runs as root though the service runs as nobody"),
        ("ExecStart=a %b", "the specifier %b"),
        ("ExecStart=a 'b", "a quote ' without its end"),
        ("ExecStart=-", "names no program"),
        ("Environment=A\nExecStart=a", "no NAME=VALUE"),
        ("WorkingDirectory=srv\nExecStart=a", "not a directory"),
        ("Nice=very\nExecStart=a", "not a whole number"),
        ("LimitNOFILE=many\nExecStart=a", "not a number such as 1024 or 64M"),
        ("Type=oneshot\nTimeoutStartSec=soon\nExecStart=a", "not a time span"),
    ],
)
def test_service_that_cannot_be_carried_over_is_refused(lines: str, reason: str, host: Host) -> None:
    assert reason in _service(host, lines).refusal()


@pytest.mark.parametrize(
    ("timer", "reason"),
    [
        ("[Timer]\nPersistent=true\n", "it has no time at all"),
        ("[Timer]\nOnBootSec=infinity\n", "is no period"),
        ("[Timer]\nOnUnitActiveSec=0\n", "is no period"),
        ("[Timer]\nOnCalendar=daily\nUnit=x.target\n", "x.target, which is no service"),
        ("[Timer]\nOnCalendar=daily\nPersistent=maybe\n", "neither yes nor no"),
        ("[Timer]\nOnCalendar\n", "is no assignment"),
        ("", "is masked"),
        ("[Timer]\nOnCalendar=2026-02-30\n", "schedd does not take OnCalendar=2026-02-30: can never match"),
        ("[Timer]\nOnCalendar=daily\nOnCalendar=Mon..Fry\n", "schedd does not take OnCalendar=Mon..Fry"),
    ],
)
def test_timer_that_cannot_be_carried_over_is_refused(timer: str, reason: str, host: Host) -> None:
    assert reason in host.write(job_service="[Service]\nExecStart=a\n", job_timer=timer).refusal()


def test_timer_that_is_not_there_is_refused_with_where_it_was_looked_for(host: Host) -> None:
    assert str(host.first) in host.refusal("nothing")


def test_what_has_no_words_in_schedd_is_noted(host: Host) -> None:
    _service(host, "Restart=on-failure\nExecStart=@a b c\nType=notify")
    host.write(job_timer="[Unit]\nConditionHost=x\n[Timer]\nOnCalendar=daily\nWakeSystem=true\n")

    notes = host.notes()
    for part in ("WakeSystem", "ConditionHost=x", "Restart=on-failure", "the other name", "Type=notify"):
        assert part in notes
    assert host.one()["process"]["argv"] == ["a", "c"]


def test_lines_are_joined_over_a_backslash_and_comments(host: Host) -> None:
    _service(host, "ExecStart=a \\\n# between\n; and this\n  b\\\n c")

    assert host.one()["process"]["argv"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("a  b", ["a", "b"]),
        ("'a b' \"c d\" ''", ["a b", "c d", ""]),
        (r"a\x20b \101 \n \q", ["a b", "A", "\n", r"\q"]),
        ("a'b c'd", ["ab cd"]),
    ],
)
def test_words_are_those_of_systemd_syntax(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("5min 20s", 320), ("1h30m", 5400), ("2 weeks", 1_209_600), ("1.5s", 1.5), ("1M", 2_629_800)]
)
def test_spans_are_those_of_systemd_time(text: str, seconds: float) -> None:
    span = span_of(text)

    assert span is not None
    assert span.total_seconds() == seconds


def test_infinity_is_no_span() -> None:
    assert span_of("infinity") is None
    with pytest.raises(UnitError):
        span_of("5 parsecs")


def test_escaped_name_is_a_path() -> None:
    assert unescaped(r"srv-my\x2ddata") == "srv/my-data"


def test_shell_does_with_the_line_what_systemd_does_with_the_commands(tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = f"""-/bin/false ; /bin/sh -c 'printf "<%%s>" "$$@" >{out}' x ${{A}} $A "${{NONE}}" "it's\""""
    command = shell_line(commands_of([line], {"%": "%"}), [])

    subprocess.run(["/bin/sh", "-c", command], env={"A": "one  two"}, check=True)
    assert out.read_text() == "<one  two><one><two><><it's>"


def test_user_manager_has_places_of_its_own(host: Host) -> None:
    unit = host.write(job_service="[Service]\nExecStart=a\n").files.load("job.service")

    assert specifiers_of(unit, user=False)["S"] == "/var/lib"
    assert specifiers_of(unit, user=True)["S"].endswith("/.local/state")
    assert expanded("%%%n", specifiers_of(unit, user=False)) == "%job.service"
