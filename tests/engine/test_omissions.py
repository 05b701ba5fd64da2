"""What exclusions and calendars keep from running is journaled, once, under its reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from schedd.core.model.calendar import Calendar, CalendarEntry, DateEntry, Weekday, WeeklyEntry
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import CatchUp, CatchUpMode, Policies
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import AfterCompletion, CalendarShift, Expression, Spread, SpreadMode, When
from schedd.service.asking import Asking
from tests.engine.rig import SECOND, START_US, HandClock, Rig, running

HOUR = 3600
DAY = 24 * HOUR
ASKING = Asking(actor="ann")
NAME = ScheduleName(group="default", schedule="job")
# The engine starts on Thursday, 1 January 2026.
WEEKEND = WeeklyEntry(days=(Weekday.SATURDAY, Weekday.SUNDAY))
MORNING = WeeklyEntry(days=tuple(Weekday), start="01:00", end="03:00")


async def create(rig: Rig, text: str, *entries: CalendarEntry, policies: Policies | None = None, **values: object) -> Schedule:
    if entries:
        await rig.calendars.create(Calendar(name="days", entries=entries), ASKING)
        values = {"exclude_calendars": ("days",), **values}
    when = replace(When(triggers=(Expression(text=text),)), **values)  # type: ignore[arg-type]
    draft = Schedule(name=NAME, when=when, target=HttpTarget(url="http://localhost/"), policies=policies or Policies())
    return await rig.schedules.create(draft, ASKING)


async def visit(rig: Rig, *hours: float) -> None:
    """Move the clock to these hours after the start, with nothing between."""
    for hour in hours:
        rig.clock.move(START_US + round(hour * HOUR) * SECOND - rig.clock.now_us())
        await rig.settle()


async def told(rig: Rig) -> list[tuple[Reason, list[float], int]]:
    """The reason, the first and the last hour, and the count of each range that is journaled as left out."""
    found = []
    for entry in await rig.journal(JournalKind.OCCURRENCES_SKIPPED):
        assert (entry.schedule, entry.outcome) == (NAME, Outcome.SKIPPED)
        hours = [(int(entry.evidence[name]) - START_US) / SECOND / HOUR for name in ("first_us", "last_us")]
        found.append((entry.reason, hours, int(entry.evidence["count"])))
    return found


async def test_weekend_that_a_calendar_leaves_out_is_told_with_the_next_run(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await create(rig, "0 9 * * *", WEEKEND)
        await visit(rig, 9, 33, 57, 81)
        assert await told(rig) == []
        await visit(rig, 105, 129)
        assert await told(rig) == [(Reason.EXCLUDED, [57, 81], 2)]
        [entry] = await rig.journal(JournalKind.OCCURRENCES_SKIPPED)
        assert (entry.evidence["calendar"], entry.evidence["counted"]) == ("calendars/days", True)
        assert rig.target.nominal_s() == [9 * HOUR, 33 * HOUR, 105 * HOUR, 129 * HOUR]


async def test_occurrence_that_a_calendar_moves_is_told_where_it_was(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await create(rig, "0 9 3 * *", WEEKEND, calendar_shift=CalendarShift.NEXT_DAY)
        await visit(rig, 57, 105, 33 * 24 + 9)
        assert rig.target.nominal_s() == [105 * HOUR, (33 * 24 + 9) * HOUR]
        assert await told(rig) == [(Reason.CALENDAR_SHIFTED, [57, 57], 1)]


async def test_exclusion_without_calendar_is_told_without_one(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await create(rig, "0 * * * *", exclusions=(Expression(text="0 2,3 * * *"),))
        await visit(rig, 1, 2, 3, 4)
        assert await told(rig) == [(Reason.EXCLUDED, [2, 3], 2)]
        [entry] = await rig.journal(JournalKind.OCCURRENCES_SKIPPED)
        assert "calendar" not in entry.evidence


async def test_nothing_is_told_of_a_schedule_without_exclusions(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await create(rig, "0 * * * *")
        await visit(rig, *range(1, 6))
        assert await told(rig) == []


async def test_what_is_left_out_before_a_pause_is_told_with_it_and_not_again(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await create(rig, "0 * * * *", MORNING)
        await visit(rig, 1.5)
        await rig.pauses.pause(NAME, reason="", until_us=None, asking=ASKING)
        assert await told(rig) == [(Reason.EXCLUDED, [1, 1], 1)]
        await rig.pauses.resume(NAME, asking=ASKING)
        await visit(rig, 2, 3, 4)
        assert await told(rig) == [(Reason.EXCLUDED, [1, 1], 1), (Reason.EXCLUDED, [2, 2], 1)]
        assert rig.target.nominal_s() == [3 * HOUR, 4 * HOUR]


@pytest.mark.parametrize("ending", ["update", "delete"])
async def test_what_is_left_out_before_the_rule_is_given_up_is_told(tmp_path: Path, ending: str) -> None:
    async with running(tmp_path / "s.db") as rig:
        await create(rig, "0 * * * *", MORNING)
        await visit(rig, 2.5)
        if ending == "delete":
            await rig.schedules.delete(NAME, ASKING)
        else:
            await rig.schedules.update(NAME, lambda before: replace(before, when=replace(before.when, exclude_calendars=())), ASKING)
        await visit(rig, 3, 4)
        assert await told(rig) == [(Reason.EXCLUDED, [1, 2], 2)]


async def test_changed_calendar_tells_what_the_one_before_it_left_out(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await create(rig, "0 * * * *", MORNING)
        await visit(rig, 1.5)
        await rig.calendars.update("days", lambda before: replace(before, entries=(DateEntry(date="2026-01-02"),)), ASKING)
        await visit(rig, 2, 3)
        assert await told(rig) == [(Reason.EXCLUDED, [1, 1], 1)]
        assert rig.target.nominal_s() == [2 * HOUR, 3 * HOUR]
        await rig.calendars.update("days", lambda before: replace(before, entries=(MORNING,)), ASKING)
        await visit(rig, 4, 25, 26, 27)
        assert await told(rig) == [(Reason.EXCLUDED, [1, 1], 1), (Reason.EXCLUDED, [25, 26], 2)]


async def test_downtime_is_told_once_beside_what_was_missed(tmp_path: Path) -> None:
    clock = HandClock()
    policies = Policies(catch_up=CatchUp(mode=CatchUpMode.NONE))
    async with running(tmp_path / "s.db", clock=clock) as rig:
        await create(rig, "0 * * * *", MORNING, policies=policies)
        await visit(rig, 1.5)
    clock.move(2 * DAY * SECOND)
    for _ in range(2):
        async with running(tmp_path / "s.db", clock=clock) as rig:
            await rig.settle()
            assert await told(rig) == [(Reason.EXCLUDED, [1, 26], 4)]
            [missed] = await rig.journal(JournalKind.OCCURRENCES_MISSED)
            assert (int(missed.evidence["first_us"]) - START_US, missed.evidence["count"]) == (3 * HOUR * SECOND, 22 + 22)


async def test_spread_run_that_a_change_takes_back_tells_nothing_twice(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await create(rig, "0 * * * *", MORNING, spread=Spread(mode=SpreadMode.STABLE, window=timedelta(minutes=50)))
        await visit(rig, 1, 2, 3)
        assert await told(rig) == [(Reason.EXCLUDED, [1, 2], 2)]
        await rig.schedules.update(NAME, lambda before: replace(before, description="other"), ASKING)
        await visit(rig, 3.9, 4, 4.9)
        assert await told(rig) == [(Reason.EXCLUDED, [1, 2], 2)]
        assert rig.target.nominal_s() == [3 * HOUR, 4 * HOUR]


async def test_delay_after_completion_tells_what_the_clock_leaves_out_once(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await rig.calendars.create(Calendar(name="days", entries=(MORNING,)), ASKING)
        both = (Expression(text="0 * * * *"), AfterCompletion(delay=timedelta(minutes=20)))
        when = When(triggers=both, exclude_calendars=("days",))
        await rig.schedules.create(Schedule(name=NAME, when=when, target=HttpTarget(url="http://localhost/")), ASKING)
        await rig.run_until(5.5 * HOUR)
        assert await told(rig) == [(Reason.EXCLUDED, [1, 2], 2)]


async def test_start_that_a_calendar_leaves_out_is_told_at_the_start(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "s.db", clock=clock) as rig:
        await rig.calendars.create(Calendar(name="days", entries=(MORNING,)), ASKING)
        when = When(triggers=(Expression(text="@reboot"), Expression(text="0 * * * *")), exclude_calendars=("days",))
        await rig.schedules.create(Schedule(name=NAME, when=when, target=HttpTarget(url="http://localhost/")), ASKING)
        await visit(rig, 1.5)
    async with running(tmp_path / "s.db", clock=clock) as rig:
        await rig.settle()
        assert await told(rig) == [(Reason.EXCLUDED, [1.5, 1.5], 1)]
        assert [entry.evidence["calendar"] for entry in await rig.journal(JournalKind.OCCURRENCES_SKIPPED)] == ["calendars/days"]
        await visit(rig, 3.5)
    async with running(tmp_path / "s.db", clock=clock) as rig:
        await rig.settle()
        assert await told(rig) == [(Reason.EXCLUDED, [1.5, 1.5], 1), (Reason.EXCLUDED, [1, 2], 2)]
        await visit(rig, 3.6)
        assert [round(second / HOUR, 1) for second in rig.target.nominal_s()] == [3.5]


async def test_backlog_that_is_worked_off_tells_what_lies_in_it_once(tmp_path: Path) -> None:
    clock = HandClock()
    policies = Policies(catch_up=CatchUp(mode=CatchUpMode.ALL, window=timedelta(days=1), max_runs=1000))
    async with running(tmp_path / "s.db", clock=clock) as rig:
        await create(rig, "* * * * *", MORNING, policies=policies)
    clock.move(6 * HOUR * SECOND)
    async with running(tmp_path / "s.db", clock=clock) as rig:
        await rig.run_until(6.1 * HOUR)
        assert await told(rig) == [(Reason.EXCLUDED, [1, 3 - 1 / 60], 50)]
        ran = {second / 60 for second in rig.target.nominal_s()}
        assert ran == {*range(1, 60), *range(180, 367)}
