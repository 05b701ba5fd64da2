"""What the documentation says is held by a test is held by a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_TEST = re.compile(r"`(?:[\w/.]+::)?(test_\w+)`")


def names_there() -> set[str]:
    """The names of all tests."""
    return {name for file in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}


@pytest.mark.parametrize("document", ["guarantees.md", "semantics.md"])
def test_document_names_only_tests_that_are_there(document: str) -> None:
    named = set(_TEST.findall((ROOT / "docs" / document).read_text()))
    assert named
    assert named - names_there() == set()
