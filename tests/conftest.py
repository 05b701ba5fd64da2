"""What all tests share: how long Hypothesis tries, and what has to be set before grpc is imported."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # read once, at grpc's import: with it, children of this process die now and then

import pytest
from hypothesis import settings

from tests.evidence import Evidence

EVIDENCE = pytest.StashKey[Evidence]()
BLAMED = pytest.StashKey[list[str]]()
_DIRECTORY = "SCHEDD_TESTS_EVIDENCE"
"""Names the directory in which all processes of a run leave their evidence."""

settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--seed", type=int, metavar="N", help="live one seed of tests/simulation again")
    group.addoption("--seeds", type=int, default=1000, metavar="N", help="how many seeds of tests/simulation to live, from 0 on")


def pytest_configure(config: pytest.Config) -> None:
    looking = ExitStack()
    config.add_cleanup(looking.close)
    if _is_first_process(config):
        os.environ[_DIRECTORY] = looking.enter_context(tempfile.TemporaryDirectory())
        looking.callback(os.environ.pop, _DIRECTORY)
    config.stash[EVIDENCE] = Evidence()
    looking.enter_context(config.stash[EVIDENCE].gathering())


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """When all tests have run, and passed, have it judged whether they have produced every reason."""
    config, evidence, directory = session.config, session.config.stash[EVIDENCE], Path(os.environ[_DIRECTORY])
    if not _is_first_process(config):
        evidence.save(directory)
    elif session.exitstatus == pytest.ExitCode.OK and _runs_all(config):
        evidence.load(directory)
        config.stash[BLAMED] = evidence.faults()
        if config.stash[BLAMED]:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_first_process(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput")  # As pytest-xdist has it.


def _runs_all(config: pytest.Config) -> bool:
    """Whether no test was left out but those that take minutes."""
    left_out = ("keyword", "deselect", "ignore", "ignore_glob", "lf", "collectonly", "seed")
    wanted = config.option.markexpr in ("", "not soak") and config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return wanted and not any(config.getoption(name, None) for name in left_out)


@pytest.fixture
def evidence(pytestconfig: pytest.Config) -> Evidence:
    """What is noted of the reasons and kinds that come about; a daemon in a process of its own is not looked on at."""
    return pytestconfig.stash[EVIDENCE]


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Records a figure of a test by name: it stands in the summary at the end of the run."""
    return lambda name, value: request.node.user_properties.append((name, value))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for key in ("passed", "failed") for report in terminalreporter.getreports(key)]
    figures = [f"{name}: {value}" for report in reports if report.when == "call" for name, value in report.user_properties]
    for blame in terminalreporter.config.stash.get(BLAMED, []):
        terminalreporter.line(f"FAILED {blame}", red=True)
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.line(line)
