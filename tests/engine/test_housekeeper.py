"""The housekeeper: what it stores of timers, and that it removes all that is too old."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from schedd.core.model.batch import Retention
from schedd.core.model.journal import JournalEntry, JournalKind
from tests.engine.rig import SECOND, START_US, Rig, running

HOUR_US = 3600 * SECOND


async def stored(rig: Rig) -> list[float]:
    """The stored next nominal times, in seconds after the start."""
    return [(next_us - START_US) / SECOND for next_us in (await rig.store.timers()).next_us]


async def test_timers_that_will_last_are_saved_and_the_others_at_the_end(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.create("rate(1 minute)", name="often")
        await rig.create("rate(1 hour)", name="seldom")
        await rig.run_until(3601)
        assert await stored(rig) == [60, 3600]
        await rig.engine.housekeeper.run_once(rig.clock.now_us())
        assert await stored(rig) == [60, 7200]
        await rig.run_until(3661)
        await rig.engine.housekeeper.save_timers()
        assert await stored(rig) == [3720, 7200]


async def test_all_that_is_too_old_goes_portion_by_portion(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await rig.store.append([JournalEntry(time_us=START_US, kind=JournalKind.DAEMON_STARTED)] * 1200)
        rig.clock.move(HOUR_US)
        await rig.store.append([JournalEntry(time_us=rig.clock.now_us(), kind=JournalKind.DAEMON_STARTED)])
        rig.engine.housekeeper.retention = Retention(journal=timedelta(minutes=1))
        assert await rig.engine.housekeeper.run_once(rig.clock.now_us()) == 1201
        assert len(await rig.journal()) == 1
