"""A real daemon that starts again on other time zone data, and what schedctl says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from schedd.cli.main import run
from tests.daemons import real_daemon
from tests.zonedata import write_zones


def test_schedules_that_new_zone_data_moved_are_listed_by_server_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    zones = tmp_path / "zoneinfo"
    zones.mkdir()
    monkeypatch.setenv("PYTHONTZPATH", str(zones))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    write_zones(zones, {"Test/Town": "TST-1"}, version="2026a")
    with real_daemon(tmp_path) as daemon:
        monkeypatch.setenv("SCHEDD_SERVER", daemon.socket)
        for name, schedule in (("daily", "0 9 * * *"), ("minutely", "* * * * *")):
            assert run(["schedule", "create", name, "--schedule", schedule, "--tz", "Test/Town", "--", "/bin/true"]) == 0
        assert daemon.end() == 0
        write_zones(zones, {"Test/Town": "TST-2"}, version="2026b")
        daemon.start()
        capfd.readouterr()
        assert run(["server", "status"]) == 0
        told = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in capfd.readouterr().out.splitlines()}
        assert (told["Zone data"], told["Moved by it"]) == ("2026b", "daily")
        assert run(["server", "journal", "daily", "--filter", "kind = OCCURRENCES_MOVED"]) == 0
        assert "old_version=2026a" in capfd.readouterr().out
