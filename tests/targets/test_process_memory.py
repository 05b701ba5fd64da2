"""What the spawner remembers of ended jobs."""

from __future__ import annotations

from schedd.targets.process.frames import Held
from schedd.targets.process.memory import Ended, Memory


def ended(at: float, size: int = 10) -> Ended:
    return Ended(at, Held(1, 42, 1, 4711, 2.0, -1.0, 0.0), bytes(size))


def test_result_is_kept_for_a_minute_after_it_was_told() -> None:
    memory = Memory()
    memory.add(ended(100.0))
    memory.add(ended(130.0))
    memory.trim(159.9)
    assert len(memory) == 2
    memory.trim(160.0)
    assert [each.at for each in memory] == [130.0]


def test_results_beyond_eight_mebibytes_go_oldest_first() -> None:
    memory = Memory()
    for at in range(20):
        memory.add(ended(float(at), 1 << 20))
    assert len(memory) == 20
    memory.trim(19.0)
    assert [each.at for each in memory] == [float(at) for at in range(13, 20)]


def test_renewed_result_is_as_old_as_it_is_and_is_kept_for_another_minute() -> None:
    memory = Memory()
    memory.add(ended(100.0))
    memory.renew(150.0)
    memory.trim(209.0)
    (kept,) = memory
    assert (kept.at, kept.job.age_s) == (150.0, 52.0)
    memory.trim(210.0)
    assert len(memory) == 0
