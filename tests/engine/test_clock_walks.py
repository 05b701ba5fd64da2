"""Random walks of the wall clock, with steps, suspends and restarts: what holds of every occurrence whatever the clock does."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import CatchUp, CatchUpMode, Overlap, Policies
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.triggers import compile_when
from schedd.engine import realignment
from tests.engine.rig import SECOND, START_US, HandClock, HandTarget, Rig, running

TENTH = SECOND // 10
ON_TIME_US = SECOND
RULES = {"cron": "* * * * *", "interval": "@every 45s", "anchored": "rate(7 minutes)"}


class Move(Enum):
    """What happens next."""

    PASS = "time passes"
    STEP = "the clock is set"
    SUSPEND = "the host sleeps"
    RESTART = "the daemon starts again"
    RESTART_STEPPED = "the daemon starts again, and the clock was set meanwhile"


Walk = list[tuple[Move, int]]
moves = st.one_of(
    st.tuples(st.just(Move.PASS), st.integers(1, 1500)),
    st.tuples(st.just(Move.STEP), st.integers(-6000, 6000)),
    st.tuples(st.just(Move.SUSPEND), st.integers(1, 3000)),
    st.tuples(st.just(Move.RESTART), st.integers(0, 600)),
    st.tuples(st.just(Move.RESTART_STEPPED), st.integers(-6000, 6000)),
)
"""Each with tenths of a second."""


@dataclass
class World:
    """The walk so far. `to_be` are the occurrences that the wall clock went over, `punctual` those of them that had to be on time."""

    clock: HandClock
    target: HandTarget
    to_be: set[tuple[str, int]] = field(default_factory=set)
    punctual: set[tuple[str, int]] = field(default_factory=set)

    async def over(self, rig: Rig, from_us: int, to_us: int, *, watched: bool) -> None:
        """The wall clock goes from one instant to another; `watched`: second by second, while the daemon runs."""
        for name in RULES:
            schedule = await stored(rig, name)
            run_already = {nominal_us for each, nominal_us in await executed(rig) if each == name}
            rule = compile_when(schedule.when, created_us=schedule.created_us, seed=schedule.uid)
            # What was past when the schedule was created is not its business, should a small step make it come again.
            at_us = rule.next_after(max(from_us, schedule.planned_from_us))
            while at_us is not None and at_us <= to_us:
                self.to_be.add((name, at_us))
                if watched and at_us not in run_already:
                    self.punctual.add((name, at_us))
                at_us = rule.next_after(at_us)


async def stored(rig: Rig, name: str) -> Schedule:
    return await rig.store.schedule(ScheduleName(group="default", schedule=name))


async def executed(rig: Rig) -> list[tuple[str, int]]:
    """The occurrences that are executions."""
    found = await rig.store.find_executions((), Order(field="execution"), PageRequest(size=1000))
    return [(run.schedule.schedule, run.nominal_us) for run in found.items]


async def left_out(rig: Rig) -> list[tuple[str, int, int]]:
    """The ranges of occurrences that were not run."""
    entries = await rig.store.journal(after=0, limit=5000, kinds=(JournalKind.OCCURRENCES_MISSED,))
    return [
        (entry.schedule.schedule, int(entry.evidence["first_us"]), int(entry.evidence["last_us"])) for entry in entries if entry.schedule
    ]


async def move(rig: Rig, world: World, what: Move, by_us: int) -> None:
    """Make a move that the daemon lives through."""
    before_us = world.clock.now_us()
    match what:
        case Move.PASS:
            await world.over(rig, before_us, before_us + by_us, watched=True)
            await rig.run_until((before_us + by_us - START_US) / SECOND)
        case Move.STEP:
            await world.over(rig, before_us, before_us + by_us, watched=False)
            world.clock.step(by_us)
        case Move.SUSPEND:
            await world.over(rig, before_us, before_us + by_us, watched=False)
            world.clock.suspend(by_us)
    await rig.settle()


async def walk(path: Path, steps: Walk, mode: CatchUpMode) -> None:
    clock = HandClock()
    world = World(clock, HandTarget(clock))
    policies = Policies(overlap=Overlap.ALLOW_ALL, catch_up=CatchUp(mode=mode))
    async with running(path, clock=clock, target=world.target) as rig:
        for name, text in RULES.items():
            await rig.create(text, name=name, policies=policies)
    lives: list[Walk] = [[]]
    for what, tenths in steps:
        lives[-1].append((what, tenths))
        if what in (Move.RESTART, Move.RESTART_STEPPED):
            lives.append([])
    for life in lives:
        async with running(path, clock=clock, target=world.target) as rig:
            await rig.settle()
            for what, tenths in life:
                if what in (Move.RESTART, Move.RESTART_STEPPED):
                    await world.over(rig, clock.now_us(), clock.now_us() + tenths * TENTH, watched=False)
                else:
                    await move(rig, world, what, tenths * TENTH)
        match life[-1:]:
            case [(Move.RESTART, tenths)]:
                clock.move(tenths * TENTH)
            case [(Move.RESTART_STEPPED, tenths)]:
                clock.step(tenths * TENTH)
    async with running(path, clock=clock, target=world.target) as rig:
        await rig.settle()
        await judge(rig, world)


async def judge(rig: Rig, world: World) -> None:
    delivered = [(request.schedule.schedule, request.nominal_us) for _, request in world.target.requests]
    assert len(delivered) == len(set(delivered)), "an instant was run twice"
    assert all(at_us >= request.due_us for at_us, request in world.target.requests), "a run was early"
    known = set(await executed(rig))
    ranges = await left_out(rig)
    lost = {
        (name, at_us)
        for name, at_us in world.to_be - known
        if at_us <= world.clock.now_us() and not any(name == each and first <= at_us <= last for each, first, last in ranges)
    }
    assert not lost, "the wall clock went over it, and there is no row"
    late = {
        (request.schedule.schedule, request.nominal_us) for at_us, request in world.target.requests if at_us > request.due_us + ON_TIME_US
    }
    assert not late & world.punctual, "it had not run, and did not run when its time came"
    assert world.punctual <= set(delivered), "it had not run, and never did"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(moves, min_size=1, max_size=8),
    st.sampled_from([CatchUpMode.LATEST, CatchUpMode.NONE, CatchUpMode.ALL]),
    st.sampled_from([0, 5]),
)
def test_walk_of_the_clock_runs_no_instant_twice_loses_none_and_stalls_nothing(steps: Walk, mode: CatchUpMode, pages: int) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        # Without a page of the journal to look through, all schedules are placed anew, as after a step of hours.
        patch.setattr(realignment, "_PAGES", pages)
        asyncio.run(walk(Path(directory) / "db", steps, mode))
