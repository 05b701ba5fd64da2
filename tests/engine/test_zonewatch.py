"""Other time zone data is noticed at start: what it moves is planned anew and journaled, and schedules whose zone is gone are disabled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schedd.core.model.calendar import Calendar, Weekday, WeeklyEntry
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import AfterCompletion, AtStart, Expression, Trigger, When
from schedd.service.asking import Asking
from tests.engine.rig import SECOND, START_US, HandClock, HandTarget, Rig, running
from tests.zonedata import reading, write_zones

TOWN = "Test/Town"


class World:
    """A daemon that ends and starts again, and the time zone data that it finds."""

    def __init__(self, directory: Path) -> None:
        self.zones = directory / "zoneinfo"
        self.clock = HandClock()
        self.target = HandTarget(self.clock)
        self._path = directory / "schedd.db"

    @asynccontextmanager
    async def daemon(self, rule: str | None, *, version: str = "2026a", links: dict[str, str] | None = None) -> AsyncIterator[Rig]:
        self.zones.mkdir(exist_ok=True)
        write_zones(self.zones, {} if rule is None else {TOWN: rule}, version=version, links=links)
        with reading(self.zones):
            async with running(self._path, clock=self.clock, target=self.target) as rig:
                yield rig


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def create(rig: Rig, trigger: str | Trigger, *, name: str = "job", zone: str = TOWN) -> Schedule:
    rule = Expression(text=trigger) if isinstance(trigger, str) else trigger
    draft = Schedule(
        name=ScheduleName(group="default", schedule=name),
        when=When(triggers=(rule,), time_zone=zone),
        target=HttpTarget(url="http://localhost/"),
    )
    return await rig.schedules.create(draft, Asking(actor="test"))


async def fires_at(rig: Rig, target: HandTarget, text: str) -> bool:
    """Whether the target is called at that time and not a minute earlier: the clock leaps to just before it."""
    due_us, count = at(text), len(target.requests)
    rig.clock.move(due_us - 60 * SECOND - rig.clock.now_us())
    await rig.settle()
    early = len(target.requests) > count
    await rig.run_until((due_us - START_US) / SECOND)
    return not early and [request.nominal_us for _, request in target.requests[count:]] == [due_us]


async def moves(rig: Rig) -> list[JournalEntry]:
    return await rig.journal(JournalKind.OCCURRENCES_MOVED)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


async def test_other_offset_moves_the_next_occurrence_and_says_so(world: World) -> None:
    async with world.daemon("TST-1") as rig:
        await create(rig, "0 9 * * *")
    async with world.daemon("TST-2", version="2026b") as rig:
        [entry] = await moves(rig)
        assert (str(entry.schedule), entry.reason) == ("groups/default/schedules/job", Reason.TIME_ZONE_DATA)
        assert entry.evidence == {
            "time_zone": TOWN,
            "old_version": "2026a",
            "new_version": "2026b",
            "old_us": at("2026-01-01T08:00"),
            "new_us": at("2026-01-01T07:00"),
        }
        moved = rig.engine.status().moved
        assert (moved.count, moved.names) == (1, ("groups/default/schedules/job",))
        assert await fires_at(rig, world.target, "2026-01-01T07:00")


async def test_moved_occurrences_are_told_once(world: World) -> None:
    async with world.daemon("TST-1") as rig:
        await create(rig, "0 9 * * *")
    for _ in range(2):
        async with world.daemon("TST-2", version="2026b") as rig:
            assert len(await moves(rig)) == 1
    assert rig.engine.status().moved.count == 0


async def test_occurrences_far_ahead_are_told_with_the_first_that_moves(world: World) -> None:
    async with world.daemon("TST-1") as rig:
        await create(rig, "0 9 1 * *")
    async with world.daemon("TST-1TDT,M6.3.0,M9.3.0", version="2026b") as rig:
        [entry] = await moves(rig)
        assert (entry.evidence["old_us"], entry.evidence["new_us"]) == (at("2026-07-01T08:00"), at("2026-07-01T07:00"))
        assert await fires_at(rig, world.target, "2026-01-01T08:00")


async def test_rule_that_ends_before_the_change_is_not_moved(world: World) -> None:
    async with world.daemon("TST-1") as rig:
        await create(rig, "2026-03-01T09:00:00")
    async with world.daemon("TST-1TDT,M6.3.0,M9.3.0", version="2026b") as rig:
        assert await moves(rig) == []


@pytest.mark.parametrize(
    ("trigger", "zone"),
    [
        ("*/5 * * * *", TOWN),
        ("rate(7 minutes)", TOWN),
        ("0 9 * * *", "UTC"),
        ("2026-01-05T09:00:00Z", TOWN),
        (AtStart(), TOWN),
    ],
)
async def test_times_that_do_not_depend_on_the_offset_are_not_moved(world: World, trigger: str | Trigger, zone: str) -> None:
    async with world.daemon("TST-1") as rig:
        await create(rig, trigger, zone=zone)
        await create(rig, "0 9 * * *", name="moved")
    async with world.daemon("TST-2", version="2026b") as rig:
        assert [str(entry.schedule) for entry in await moves(rig)] == ["groups/default/schedules/moved"]


@pytest.mark.parametrize(
    ("trigger", "zone", "old", "new"),
    [
        (f"09:00 {TOWN}", "UTC", "2026-01-01T08:00", "2026-01-01T07:00"),
        (f"DTSTART;TZID={TOWN}:20260101T090000 RRULE:FREQ=DAILY", "Asia/Tokyo", "2026-01-01T08:00", "2026-01-01T07:00"),
        ("at(2026-01-05T09:00:00)", TOWN, "2026-01-05T08:00", "2026-01-05T07:00"),
    ],
)
async def test_zone_of_an_expression_and_a_single_time_are_looked_at_too(world: World, trigger: str, zone: str, old: str, new: str) -> None:
    async with world.daemon("TST-1") as rig:
        await create(rig, trigger, zone=zone)
    async with world.daemon("TST-2", version="2026b") as rig:
        [entry] = await moves(rig)
        assert (entry.evidence["old_us"], entry.evidence["new_us"]) == (at(old), at(new))
        assert await fires_at(rig, world.target, new)


async def test_occurrence_that_is_moved_to_before_the_start_is_caught_up_on(world: World) -> None:
    async with world.daemon("TST-1") as rig:
        await create(rig, "0 9 * * *")
        world.clock.move(27_000 * SECOND)
        await rig.settle()
    async with world.daemon("TST-2", version="2026b") as rig:
        [entry] = await moves(rig)
        assert (entry.evidence["old_us"], entry.evidence["new_us"]) == (at("2026-01-01T08:00"), at("2026-01-01T07:00"))
        await rig.settle()
        assert world.target.nominal_s() == [25_200]
        assert await fires_at(rig, world.target, "2026-01-02T07:00")


async def test_schedule_that_runs_after_completion_keeps_its_delay(world: World) -> None:
    async with world.daemon("TST-1") as rig:
        await create(rig, AfterCompletion(delay=timedelta(hours=1)))
    async with world.daemon("TST-2", version="2026b") as rig:
        assert await moves(rig) == []
        assert await fires_at(rig, world.target, "2026-01-01T01:00")


async def test_new_edition_with_the_same_offsets_is_kept_and_moves_nothing(world: World) -> None:
    async with world.daemon("TST-1") as rig:
        await create(rig, "0 9 * * *")
        assert {mark.version for mark in await rig.store.zone_marks()} == {"2026a"}
    async with world.daemon("TST-1", version="2026b") as rig:
        assert await moves(rig) == []
        assert {mark.version for mark in await rig.store.zone_marks()} == {"2026b"}


async def test_zone_that_a_change_brings_into_use_is_watched(world: World) -> None:
    async with world.daemon("TST-1") as rig:
        before = await create(rig, "0 9 * * *", zone="UTC")
        after = replace(before, when=replace(before.when, time_zone=TOWN))
        await rig.engine.registry.change(before, after)
        assert [mark.name for mark in await rig.store.zone_marks()] == [TOWN, "UTC"]
    async with world.daemon("TST-2", version="2026b") as rig:
        assert len(await moves(rig)) == 1


@pytest.mark.parametrize(
    ("links", "told"),
    [({TOWN: "Europe/Kyiv"}, "it is called `Europe/Kyiv` now"), ({}, "a name such as `Europe/Berlin` or `UTC`")],
)
async def test_schedules_whose_zone_is_gone_are_disabled_and_told_its_new_name(world: World, links: dict[str, str], told: str) -> None:
    async with world.daemon("TST-1") as rig:
        await create(rig, "0 9 * * *")
        await create(rig, f"09:00 {TOWN}", name="named", zone="UTC")
        await create(rig, "0 9 * * *", name="other", zone="UTC")
    async with world.daemon(None, version="2026b", links=links) as rig:
        await rig.settle()
        for name, state in (("job", ScheduleState.DISABLED), ("named", ScheduleState.DISABLED), ("other", ScheduleState.ENABLED)):
            schedule = await rig.store.schedule(ScheduleName(group="default", schedule=name))
            assert schedule.state is state
            assert (f"the time zone data has no `{TOWN}` any more: {told}" == schedule.state_reason) is (state is ScheduleState.DISABLED)
        entries = await rig.journal(JournalKind.SCHEDULE_DISABLED)
        assert {entry.reason for entry in entries} == {Reason.TIME_ZONE_DATA}
        assert [mark.name for mark in await rig.store.zone_marks()] == ["UTC"]
        assert await fires_at(rig, world.target, "2026-01-01T09:00")


async def use_calendar(rig: Rig, *, zone: str = TOWN, name: str = "job") -> None:
    """A schedule of each hour in UTC that leaves out the night of a calendar with a zone of its own."""
    night = WeeklyEntry(days=tuple(Weekday), start="08:00", end="10:00")
    await rig.calendars.create(Calendar(name="night", entries=(night,), time_zone=zone), Asking(actor="test"))
    await rig.calendars.create(Calendar(name="floating", entries=(night,)), Asking(actor="test"))
    for schedule, calendar in ((name, "night"), ("other", "floating")):
        when = When(triggers=(Expression(text="0 * * * *"),), exclude_calendars=(calendar,))
        draft = Schedule(name=ScheduleName(group="default", schedule=schedule), when=when, target=HttpTarget(url="http://localhost/"))
        await rig.schedules.create(draft, Asking(actor="test"))


async def test_zone_of_a_calendar_is_looked_at_too(world: World) -> None:
    async with world.daemon("TST-1") as rig:
        await use_calendar(rig)
    async with world.daemon("TST-2", version="2026b") as rig:
        [entry] = await moves(rig)
        assert str(entry.schedule) == "groups/default/schedules/job"
        assert entry.evidence["time_zone"] == TOWN
        assert (entry.evidence["old_us"], entry.evidence["new_us"]) == (at("2026-01-01T06:00"), at("2026-01-01T08:00"))


async def test_zone_that_a_change_of_a_calendar_brings_into_use_is_watched(world: World) -> None:
    async with world.daemon("TST-1") as rig:
        await use_calendar(rig, zone="Asia/Tokyo")
        await rig.calendars.update("night", lambda before: replace(before, time_zone=TOWN), Asking(actor="test"))
        assert {mark.name for mark in await rig.store.zone_marks()} == {"Asia/Tokyo", TOWN, "UTC"}
    async with world.daemon("TST-2", version="2026b") as rig:
        assert [str(entry.schedule) for entry in await moves(rig)] == ["groups/default/schedules/job"]


async def test_zone_of_a_calendar_that_was_never_looked_at_is_kept_at_the_next_start(world: World) -> None:
    async with world.daemon("TST-1") as rig:
        await use_calendar(rig)
        await rig.store.keep_zones([], gone=[TOWN])
    async with world.daemon("TST-1") as rig:
        assert {mark.name for mark in await rig.store.zone_marks()} == {TOWN, "UTC"}
        assert await moves(rig) == []


async def test_schedule_whose_calendar_has_lost_its_zone_is_disabled_and_told_why(world: World) -> None:
    async with world.daemon("TST-1") as rig:
        await use_calendar(rig)
    async with world.daemon(None, version="2026b", links={TOWN: "Europe/Kyiv"}) as rig:
        await rig.settle()
        job = await rig.store.schedule(ScheduleName(group="default", schedule="job"))
        assert job.state is ScheduleState.DISABLED
        assert job.state_reason == (
            f"its calendar `night` is in `{TOWN}`, and the time zone data has no such zone any more: it is called `Europe/Kyiv` now"
        )
        assert (await rig.store.schedule(ScheduleName(group="default", schedule="other"))).state is ScheduleState.ENABLED
        await rig.calendars.update("night", lambda before: replace(before, time_zone="Europe/Kyiv"), Asking(actor="test"))
        await rig.pauses.resume(ScheduleName(group="default", schedule="job"), Asking(actor="test"))
        assert (await rig.store.schedule(ScheduleName(group="default", schedule="job"))).state is ScheduleState.ENABLED
