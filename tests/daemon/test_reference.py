"""The configuration's reference page and example file: true to the config types, and committed as they are written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from schedd.daemon.keys import keys
from schedd.daemon.reference import example_file, main, reference_page

ROOT = Path(__file__).parents[2]


def flat(table: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in table.items():
        is_section = isinstance(value, Mapping) and prefix + name not in keys()
        found |= flat(value, f"{prefix}{name}.") if is_section and isinstance(value, Mapping) else {prefix + name: value}
    return found


def test_reference_files_in_the_tree_are_what_make_docs_writes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(ROOT)]) == 0, capsys.readouterr().err


def test_reference_check_of_a_stale_tree_names_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "systemd").mkdir()
    assert main(["--check", str(tmp_path)]) == 1
    assert "docs/configuration.md is out of date: run make docs" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0


def test_reference_page_explains_every_key() -> None:
    page = reference_page()
    for key in keys().values():
        assert f"## [{key.section}]" in page
        assert f"| `{key.leaf}` | {key.description}" in page


def test_every_key_says_what_it_means_in_a_sentence() -> None:
    for key in keys().values():
        assert re.fullmatch(r"[\[a-zA-Z].*\.", key.description), key.name


def test_example_file_uncommented_sets_every_key_to_a_value_that_does() -> None:
    values = flat(tomllib.loads(re.sub(r"^#(?=[\[a-z])", "", example_file(), flags=re.MULTILINE)))
    known = keys()
    assert values.keys() == known.keys()
    for name, value in values.items():
        known[name].convert(value, text=False)


def test_example_file_as_it_stands_sets_nothing() -> None:
    assert tomllib.loads(example_file()) == {}
