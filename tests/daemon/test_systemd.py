"""The unit files, judged by systemd's own tools."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from schedd.daemon.config import Engine
from schedd.daemon.duration import parse_duration

SYSTEMD = Path(__file__).parents[2] / "systemd"
needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian and Ubuntu: apt-get install systemd)"
)


def exposure(unit: Path) -> float:
    """What `systemd-analyze security` thinks of a unit file: 0 is best, 10 worst."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True, check=False, timeout=30
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    return float(found[1])


@needs_analyze
def test_unit_is_hardened_to_one_and_a_half() -> None:
    assert exposure(SYSTEMD / "schedd.service") <= 1.5


@needs_analyze
def test_unit_with_the_drop_in_is_understood_and_still_better_than_a_bare_one(tmp_path: Path) -> None:
    shutil.copy(SYSTEMD / "schedd.service", tmp_path)
    (tmp_path / "schedd.service.d").mkdir()
    shutil.copy(SYSTEMD / "commands.conf", tmp_path / "schedd.service.d")
    assert 1.5 < exposure(tmp_path / "schedd.service") <= 6.5


@needs_analyze
def test_units_have_no_line_that_systemd_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "schedd.service.d").mkdir()
    unit = (SYSTEMD / "schedd.service").read_text().replace("/usr/bin/schedd", "/bin/true")
    (tmp_path / "schedd.service").write_text(unit)
    shutil.copy(SYSTEMD / "commands.conf", tmp_path / "schedd.service.d")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "schedd.service")], capture_output=True, text=True, check=False, timeout=30
    )
    assert [line for line in done.stderr.splitlines() if "schedd.service" in line or "commands.conf" in line] == []


def test_commands_outlive_a_crash_with_the_drop_in_alone() -> None:
    modes = [re.findall(r"^KillMode=(\S+)$", (SYSTEMD / name).read_text(), re.MULTILINE) for name in ("schedd.service", "commands.conf")]
    assert modes == [["mixed"], ["process"]]


def test_command_that_runs_out_of_memory_does_not_stop_the_daemon_with_the_drop_in() -> None:
    assert re.findall(r"^OOMPolicy=(\S+)$", (SYSTEMD / "commands.conf").read_text(), re.MULTILINE) == ["continue"]


def test_unit_gives_the_daemon_more_time_to_stop_than_it_takes() -> None:
    unit = (SYSTEMD / "schedd.service").read_text()
    found = re.search(r"^TimeoutStopSec=(\S+)$", unit, re.MULTILINE)
    assert found is not None
    assert parse_duration(found[1]) > Engine().drain_time
