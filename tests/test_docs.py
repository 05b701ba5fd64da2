"""What the documentation says is held by a test is held by a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schedd.cli.manifest import parse_manifest
from schedd.core.template import VARIABLES
from schedd.v1.policy_pb2 import Policies

ROOT = Path(__file__).parent.parent
_DOCUMENTS = [ROOT / "README.md", ROOT / "examples/README.md", *sorted((ROOT / "docs").glob("*.md"))]
_YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]+))?\)")
_TEST = re.compile(r"`(?:[\w/.]+::)?(test_\w+)`")


def names_there() -> set[str]:
    """The names of all tests."""
    return {name for file in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}


@pytest.mark.parametrize("document", ["guarantees.md", "semantics.md"])
def test_document_names_only_tests_that_are_there(document: str) -> None:
    named = set(_TEST.findall((ROOT / "docs" / document).read_text()))
    assert named
    assert named - names_there() == set()


def samples() -> list[tuple[str, str]]:
    """The schedules files within the documentation, each with a name that says where it stands."""
    return [(f"{path.name}-{index}", text) for path in _DOCUMENTS for index, text in enumerate(_YAML.findall(path.read_text()))]


@pytest.mark.parametrize(("name", "text"), samples(), ids=[name for name, _ in samples()])
def test_schedules_file_in_the_documentation_can_be_read(name: str, text: str) -> None:
    if "ics:" in text:
        text = re.sub(r"^.*ics:.*$", "", text, flags=re.MULTILINE)
    assert parse_manifest(text, name)


def test_each_policy_has_its_example() -> None:
    shown = "".join(_YAML.findall((ROOT / "docs/policies.md").read_text()))
    keys = {"timeout" if field.name == "attempt_timeout" else field.name for field in Policies.DESCRIPTOR.fields}
    assert {key for key in keys if not re.search(rf"^ +{key}:( |$)", shown, re.MULTILINE)} == set()


def test_each_template_variable_is_explained() -> None:
    told = (ROOT / "examples/README.md").read_text()
    assert {name for name in VARIABLES if f"`{name}`" not in told or f"SCHEDD_{name.upper()}" not in told} == set()


@pytest.mark.parametrize("path", _DOCUMENTS, ids=[path.name for path in _DOCUMENTS])
def test_links_within_the_documentation_lead_somewhere(path: Path) -> None:
    for target, anchor in _LINK.findall(path.read_text()):
        if "://" in target:
            continue
        found = path.parent / target if target else path
        assert found.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, anchor
