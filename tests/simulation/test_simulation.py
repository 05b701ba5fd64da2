"""Random histories of the real engine on virtual time keep the guarantees of DESIGN.md, section 9.

`pytest tests/simulation --seed 17` lives one of them again, `--seeds 20000` that many. A failing seed prints its definitions, its
journal, and what happened around the daemon.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from tests.simulation.drawing import draw
from tests.simulation.judging import violations
from tests.simulation.story import live_through
from tests.simulation.telling import tale

BATCH = 50
_HISTORY = "from tests.simulation.test_simulation import history; print(history(%d))"


@pytest.fixture(scope="module", autouse=True)
def silence() -> Iterator[None]:
    """Logging what goes wrong on purpose would take longer than all the rest."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" not in metafunc.fixturenames:
        return
    one: int | None = metafunc.config.getoption("--seed")
    count: int = metafunc.config.getoption("--seeds")
    batches = [range(one, one + 1)] if one is not None else [range(first, min(first + BATCH, count)) for first in range(0, count, BATCH)]
    metafunc.parametrize("seeds", batches, ids=[str(batch.start) if len(batch) == 1 else f"{batch.start}-{batch[-1]}" for batch in batches])


# When a crash has cancelled everything, what ends in the dead daemon may still try to start the next one.
@pytest.mark.filterwarnings("ignore:coroutine 'Attempts._attempt' was never awaited:RuntimeWarning")
def test_seeds_keep_the_guarantees(seeds: range) -> None:
    failed = []
    for seed in seeds:
        world, ledger = live_through(draw(seed))
        if wrong := violations(world, ledger):
            failed.append(tale(world, ledger, wrong))
    assert not failed, "\n\n".join(failed)


def history(seed: int) -> str:
    """Everything that happens in a seed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return tale(*live_through(draw(seed)), ())


@pytest.mark.parametrize("seed", [14, 531])
def test_seed_is_the_same_history_whatever_the_hashes_are(seed: int) -> None:
    histories = {
        subprocess.run(
            [sys.executable, "-c", _HISTORY % seed],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hashes in ("0", "1", "2")
    }
    (only,) = histories
    assert only.count("EXECUTION_FINISHED") > 5
