"""Which time zone data is in use."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from schedd.core.triggers import zone_data_version


def _zones(directory: Path, first_line: str | None) -> str:
    directory.mkdir()
    (directory / "UTC").write_bytes(b"TZif")
    if first_line is not None:
        (directory / "tzdata.zi").write_text(f"{first_line}\nR d 1916 o - Jun 14 23s 1 S\n")
    return str(directory)


def test_version_is_that_of_the_first_directory_with_zones(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    directories = [_zones(tmp_path / "one", "# version 2025b"), _zones(tmp_path / "two", "# version 2024a")]
    assert zone_data_version([str(tmp_path / "empty"), str(tmp_path / "none"), *directories]) == "2025b"


def test_version_of_zones_that_do_not_tell_is_unknown(tmp_path: Path) -> None:
    assert zone_data_version([_zones(tmp_path / "one", None)]) == ""


def test_version_without_zones_on_the_host_is_that_of_the_package() -> None:
    assert zone_data_version([]) == version("tzdata")
