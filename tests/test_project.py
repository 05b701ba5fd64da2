"""What holds of the repository as a whole: its locks, its names, the package that is built from it."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = sorted(ROOT.glob("requirements*.lock"))
PYTHON_LOCKS_AND_NPM = [*LOCKS, ROOT / "tools/buf/package-lock.json"]
NAMES_THAT_SAY_NOTHING = {"base", "common", "helpers", "manager", "misc", "util", "utils"}


def test_locks_are_there_for_run_time_development_bench_and_generator() -> None:
    assert [lock.name for lock in LOCKS] == [
        "requirements-bench.lock",
        "requirements-dev.lock",
        "requirements-proto.lock",
        "requirements.lock",
    ]


@pytest.mark.parametrize("lock", PYTHON_LOCKS_AND_NPM, ids=lambda path: path.name)
def test_lock_names_no_address_and_no_path(lock: Path) -> None:
    found = re.findall(r"\w+://\S+|^-\S.*|(?<!\S)/\S+", lock.read_text(), flags=re.MULTILINE)

    assert found == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_lock_pins_each_package_with_hashes(lock: Path) -> None:
    packages = re.split(r"\n(?=\w)", re.sub(r"^#.*\n", "", lock.read_text(), flags=re.MULTILINE).strip())

    assert packages
    assert [package.split()[0] for package in packages if not re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", package, re.DOTALL)] == []


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if "proto" not in lock.name], ids=lambda path: path.name)
def test_lock_holds_each_dependency_of_the_package(lock: Path) -> None:
    wanted = {_normal(requirement) for requirement in _pyproject()["project"]["dependencies"]}
    locked = {_normal(line) for line in lock.read_text().splitlines() if re.match(r"\w", line)}

    assert wanted - locked == set()


def test_module_names_each_say_what_is_inside() -> None:
    modules = [path.relative_to(ROOT) for path in (ROOT / "src").rglob("*.py")]

    assert modules
    assert [module for module in modules if NAMES_THAT_SAY_NOTHING & {module.stem, *module.parent.parts}] == []


@pytest.mark.parametrize("script", ["schedd", "schedctl"])
def test_script_leads_to_a_callable(script: str) -> None:
    (entry,) = metadata.entry_points(group="console_scripts", name=script)

    assert callable(entry.load())


def _pyproject() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _normal(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return name[0].lower().replace("_", "-")
