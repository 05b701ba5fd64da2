"""schedctl in the tests' own process."""

from __future__ import annotations

import pytest

from schedd.cli.main import run


class Run:
    """One run of schedctl: exit code, data, messages."""

    def __init__(self, capfd: pytest.CaptureFixture[str], *arguments: str) -> None:
        capfd.readouterr()
        self.code = run(arguments)
        self.out, self.err = capfd.readouterr()
