"""The end of a pause: what becomes of what it held back, whoever ends it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schedd.core.model.execution import Execution, ExecutionState
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import CatchUp, CatchUpMode, Overlap, Policies, Retry
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Pause, Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import HttpTarget, Payload
from schedd.core.model.when import Expression, Spread, SpreadMode, When
from schedd.engine import registry
from schedd.service.asking import Asking
from tests.engine.rig import SECOND, START_US, HandClock, Rig, running

ANN = Asking(actor="ann")
WIDE = CatchUp(window=timedelta(hours=1))

Ranges = list[tuple[Reason, int]]


async def paused_from(rig: Rig, at_s: float, policies: Policies = Policies(catch_up=WIDE), until_s: float | None = None) -> Schedule:
    """A schedule of each minute, paused at that second."""
    job = await rig.create("rate(1 minute)", policies=policies)
    await rig.run_until(at_s)
    until_us = None if until_s is None else START_US + int(until_s * SECOND)
    return await rig.pauses.pause(job.name, ANN, until_us=until_us)


async def skipped(rig: Rig) -> Ranges:
    return [(entry.reason, int(entry.evidence["count"])) for entry in await rig.journal(JournalKind.OCCURRENCES_SKIPPED)]


async def executions(rig: Rig) -> list[Execution]:
    return list((await rig.store.find_executions((), Order(field="nominal_time"), PageRequest(size=1000))).items)


@pytest.mark.parametrize(
    ("mode", "fired", "ranges"),
    [
        (CatchUpMode.NONE, [], [(Reason.PAUSED, 4)]),
        (CatchUpMode.LATEST, [300], [(Reason.CATCH_UP_SUPERSEDED, 3)]),
        (CatchUpMode.EARLIEST, [120], [(Reason.CATCH_UP_SUPERSEDED, 3)]),
        (CatchUpMode.ALL, [120, 180, 240, 300], []),
    ],
)
@pytest.mark.parametrize("own", [CatchUpMode.NONE, CatchUpMode.LATEST])
async def test_resumption_decides_the_backlog_by_its_mode_whatever_the_schedules_own(
    tmp_path: Path, mode: CatchUpMode, fired: list[float], ranges: Ranges, own: CatchUpMode
) -> None:
    async with running(tmp_path / "db") as rig:
        job = await paused_from(rig, 70, Policies(catch_up=CatchUp(mode=own, window=WIDE.window)))
        await rig.run_until(310)
        await rig.pauses.resume(job.name, ANN, backlog=mode)
        await rig.run_until(370)
        assert rig.target.nominal_s() == [60, *fired, 360]
        assert await skipped(rig) == ranges
        armed = [entry for entry in await rig.journal(JournalKind.EXECUTION_ARMED) if entry.evidence]
        assert [(entry.actor, entry.evidence) for entry in armed] == [("ann", {"backlog": mode.value})] * len(fired)


async def test_backlog_within_the_grace_time_goes_by_the_mode_too(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("@every 5s", policies=Policies(catch_up=WIDE))
        await rig.pauses.pause(job.name, ANN)
        await rig.run_until(17)
        await rig.pauses.resume(job.name, ANN, backlog=CatchUpMode.LATEST)
        await rig.run_until(18)
        assert rig.target.nominal_s() == [15]


async def test_backlog_keeps_to_the_window_and_to_the_most_that_the_policy_runs(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await paused_from(rig, 70, Policies(catch_up=CatchUp(window=timedelta(minutes=3), max_runs=2)))
        await rig.run_until(310)
        await rig.pauses.resume(job.name, ANN, backlog=CatchUpMode.ALL)
        await rig.run_until(311)
        assert rig.target.nominal_s() == [60, 180, 240]
        assert await skipped(rig) == [(Reason.CATCH_UP_WINDOW, 1), (Reason.CATCH_UP_MAX_RUNS, 1)]


async def test_backlog_keeps_to_the_runs_that_are_left(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await paused_from(rig, 70, Policies(catch_up=WIDE, max_runs=3))
        await rig.run_until(310)
        await rig.pauses.resume(job.name, ANN, backlog=CatchUpMode.ALL)
        await rig.run_until(400)
        assert rig.target.nominal_s() == [60, 120, 180]
        assert await skipped(rig) == [(Reason.MAX_RUNS, 2)]


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.ALLOW_ALL])
async def test_backlog_runs_one_after_the_other_unless_it_may_overlap(tmp_path: Path, overlap: Overlap) -> None:
    async with running(tmp_path / "db") as rig:
        job = await paused_from(rig, 1, Policies(catch_up=WIDE, overlap=overlap))
        rig.target.hold = asyncio.Event()
        await rig.run_until(190)
        await rig.pauses.resume(job.name, ANN, backlog=CatchUpMode.ALL)
        await rig.run_until(191)
        assert len(rig.target.requests) == (1 if overlap is Overlap.SKIP else 3)
        rig.target.hold.set()
        rig.target.hold = None
        await rig.run_until(192)
        assert rig.target.nominal_s() == [60, 120, 180]


async def test_backlog_survives_a_crash_right_after_the_resumption(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        job = await paused_from(rig, 70, Policies(catch_up=CatchUp(mode=CatchUpMode.NONE, window=WIDE.window)))
        await rig.run_until(310)
        rig.target.hold = asyncio.Event()
        await rig.pauses.resume(job.name, ANN, backlog=CatchUpMode.ALL)
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(310)
        assert rig.target.nominal_s() == [120, 180, 240, 300]


async def test_backlog_of_a_spread_schedule_runs_nothing_twice(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        when = When(triggers=(Expression(text="@every 1s"),), spread=Spread(mode=SpreadMode.RANDOM, window=timedelta(seconds=2)))
        policies = Policies(catch_up=WIDE, overlap=Overlap.ALLOW_ALL)
        name = ScheduleName(group="default", schedule="job")
        await rig.schedules.create(Schedule(name=name, when=when, target=HttpTarget(url="http://localhost/"), policies=policies), ANN)
        await rig.run_until(7.3)
        await rig.pauses.pause(name, ANN)
        await rig.run_until(12)
        await rig.pauses.resume(name, ANN, backlog=CatchUpMode.ALL)
        await rig.run_until(12)
        fired = rig.target.nominal_s()
        assert sorted(fired) == sorted(set(fired))
        assert set(range(1, 12)) <= set(fired)


async def test_pause_that_ends_by_itself_skips_what_it_held_back_and_not_its_very_end(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await paused_from(rig, 70, until_s=240)
        await rig.run_until(310)
        assert rig.target.nominal_s() == [60, 240, 300]
        assert await skipped(rig) == [(Reason.PAUSED, 2)]
        assert (await rig.schedules.get(job.name)).schedule.state is ScheduleState.ENABLED


async def test_pause_that_ended_while_the_daemon_was_down_leaves_the_rest_to_catch_up(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await paused_from(rig, 70, Policies(catch_up=CatchUp(mode=CatchUpMode.EARLIEST, window=WIDE.window)), until_s=230)
    clock.move(400 * SECOND)
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(471)
        assert await skipped(rig) == [(Reason.PAUSED, 2)]
        assert rig.target.nominal_s()[:1] == [240]


async def test_disabled_schedule_is_resumed_from_now_on(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        job = await rig.create("rate(1 minute)", policies=Policies(catch_up=WIDE))
        rig.engine.keeper.quarantine(job.row, Reason.UNFORESEEN, "broken")
        await rig.run_until(190)
        await rig.pauses.resume(job.name, ANN, backlog=CatchUpMode.ALL)
        await rig.run_until(250)
        assert rig.target.nominal_s() == [240]


async def created_paused(rig: Rig, **pause: Any) -> Schedule:
    draft = Schedule(
        name=ScheduleName(group="default", schedule="job"),
        when=When(triggers=(Expression(text="rate(1 minute)"),)),
        target=HttpTarget(url="http://localhost/"),
        pause=Pause(actor="", since_us=0, **pause),
    )
    return await rig.schedules.create(draft, ANN)


async def test_schedule_created_paused_waits_for_its_resumption_over_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        job = await created_paused(rig, reason="not yet")
        assert (job.state, job.pause) == (ScheduleState.PAUSED, Pause(actor="ann", since_us=START_US, reason="not yet"))
        kinds = [(entry.kind, entry.schedule_row, dict(entry.evidence)) for entry in await rig.journal()][-2:]
        assert kinds == [
            (JournalKind.SCHEDULE_CREATED, job.row, {}),
            (JournalKind.SCHEDULE_PAUSED, job.row, {"detail": "not yet"}),
        ]
        await rig.run_until(90)
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(130)
        assert rig.target.requests == []
        await rig.pauses.resume(job.name, ANN)
        await rig.run_until(190)
        assert rig.target.nominal_s() == [180]


async def test_schedule_created_paused_until_an_instant_begins_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        await created_paused(rig, until_us=START_US + 100 * SECOND)
        await rig.run_until(130)
        assert rig.target.nominal_s() == [120]


async def test_manual_run_has_its_own_overlap_policy_and_payload_also_after_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    payload = Payload(content=b"once", content_type="text/plain")
    async with running(tmp_path / "db", clock=clock) as rig:
        job = await rig.create("@yearly", policies=Policies(retry=Retry(max_attempts=1)))
        rig.target.hold = asyncio.Event()
        await rig.schedules.trigger(job.name, ANN)
        await rig.settle()
        clock.move(1)
        await rig.schedules.trigger(job.name, ANN, overlap=Overlap.BUFFER_ONE, payload=payload)
        await rig.settle()
        assert [(run.state, run.outcome) for run in await executions(rig)] == [
            (ExecutionState.RUNNING, None),
            (ExecutionState.QUEUED, None),
        ]
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.settle()
        assert [run.outcome for run in await executions(rig)] == [Outcome.SUCCEEDED, Outcome.SUCCEEDED]
        sent = [request.target.payload for _, request in rig.target.requests if isinstance(request.target, HttpTarget)]
        assert sent == [Payload(), payload]
        await rig.engine.redeliver((await executions(rig))[1], actor="ann")
        await rig.settle()
        assert [request.target.payload for _, request in rig.target.requests if isinstance(request.target, HttpTarget)][2:] == [payload]


async def test_pause_whose_end_fails_unforeseen_ends_in_a_quarantine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    async with running(tmp_path / "db") as rig:
        job = await paused_from(rig, 30, until_s=70)
        monkeypatch.setattr(registry, "after_pause", broken)
        await rig.run_until(130)
        stored = await rig.store.schedule(job.name)
        assert (stored.state, stored.pause) == (ScheduleState.DISABLED, None)
        assert "boom" in stored.state_reason
        (entry,) = await rig.journal(JournalKind.SCHEDULE_DISABLED)
        assert entry.reason is Reason.UNFORESEEN


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.ALLOW_ALL])
async def test_backlog_of_more_than_is_armed_at_once_runs_whole_and_in_order_over_a_restart(tmp_path: Path, overlap: Overlap) -> None:
    clock = HandClock()
    policies = Policies(overlap=overlap, catch_up=CatchUp(window=timedelta(days=1), max_runs=160))
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.target.hold = asyncio.Event()
        job = await paused_from(rig, 70, policies)
        clock.move(220 * 60 * SECOND)
        await rig.pauses.resume(job.name, ANN, backlog=CatchUpMode.ALL)
        await rig.settle()
        assert await skipped(rig) == []
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(70 + 220 * 60 + 40)
        assert sorted(rig.target.nominal_s()) == [60 * minute for minute in range(1, 162)]
        if overlap is Overlap.SKIP:
            assert rig.target.nominal_s() == sorted(rig.target.nominal_s())
        assert {(run.outcome, run.reason) for run in await executions(rig)} == {(Outcome.SUCCEEDED, Reason.COMPLETED)}
        (rest,) = await rig.journal(JournalKind.OCCURRENCES_SKIPPED, JournalKind.OCCURRENCES_MISSED)
        assert (rest.reason, rest.evidence["count"]) == (Reason.CATCH_UP_MAX_RUNS, 60)
        armed = [entry for entry in await rig.journal(JournalKind.EXECUTION_ARMED) if entry.evidence.get("backlog")]
        assert {(entry.actor, entry.evidence["backlog"]) for entry in armed} == {("ann", "ALL")}
