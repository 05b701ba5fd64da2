"""What all tests share: how long Hypothesis tries, and what has to be set before grpc is imported."""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # read once, at grpc's import: with it, children of this process die now and then

import pytest
from hypothesis import settings

settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--seed", type=int, metavar="N", help="live one seed of tests/simulation again")
    group.addoption("--seeds", type=int, default=1000, metavar="N", help="how many seeds of tests/simulation to live, from 0 on")


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Records a figure of a test by name: it stands in the summary at the end of the run."""
    return lambda name, value: request.node.user_properties.append((name, value))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for key in ("passed", "failed") for report in terminalreporter.getreports(key)]
    figures = [f"{name}: {value}" for report in reports if report.when == "call" for name, value in report.user_properties]
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.line(line)
