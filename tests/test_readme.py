"""The README's tour: every command of its console blocks is run as written, in order, beside a real daemon."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.daemons import RealDaemon, real_daemon

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FEWEST_STEPS = 10
LONGEST_S = 15


class Step(NamedTuple):
    """A command, and the lines that the README shows below it; `…` in one stands for anything."""

    command: str
    shown: list[str]


def steps_of(text: str) -> Iterator[Step]:
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.rstrip("\n").split("\n")
            yield Step(command, [line for line in shown if line.strip()])


def pattern_of(line: str) -> re.Pattern[str]:
    """What a shown line matches, however wide its columns are."""
    return re.compile(r".*".join(r"\s+".join(map(re.escape, piece.split())) for piece in line.split("…")))


def environment_of(daemon: RealDaemon) -> dict[str, str]:
    """What the tour's reader has: the programs, a home, and the server's address."""
    return {
        "HOME": str(daemon.directory),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SCHEDD_SERVER": daemon.socket,
        "COLUMNS": "160",
    }


@pytest.mark.timeout(60)
def test_readme_tour_runs_as_written(tmp_path: Path) -> None:
    steps = list(steps_of(README.read_text()))
    assert len(steps) >= FEWEST_STEPS
    with real_daemon(tmp_path) as daemon:
        environment = environment_of(daemon)
        for step in steps:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", step.command],
                env=environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
            assert done.returncode == 0, f"$ {step.command}\n{done.stdout}"
            missing = [line for line in step.shown if not pattern_of(line).search(done.stdout)]
            assert not missing, f"$ {step.command}\n{done.stdout}"


@pytest.mark.parametrize("document", [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda path: path.name)
def test_document_links_lead_to_files_that_exist(document: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", document.read_text()) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", [ROOT / "docs" / "guarantees.md"], ids=lambda path: path.name)
def test_guarantees_name_tests_that_exist(document: Path) -> None:
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", document.read_text())
    assert named
    assert [(file, test) for file, test in named if f"def {test}(" not in (ROOT / file).read_text()] == []
