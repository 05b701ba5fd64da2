"""Calendars on a running engine: what they leave out does not run, and a change of one takes effect at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from schedd.core.errors import AlreadyExistsError, ConflictError, ExpressionError, InvalidError, NotFoundError, PreconditionError
from schedd.core.model.batch import RequestMark
from schedd.core.model.calendar import Calendar, CalendarEntry, DateEntry, HolidaysEntry, Weekday, WeeklyEntry
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import Policies
from schedd.core.model.query import Comparison, Operator, PageRequest
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import AfterCompletion, CalendarShift, Expression, Spread, SpreadMode, When
from schedd.core.triggers import Effect
from schedd.daemon.publicholidays import PublicHolidays
from schedd.service.asking import Asking
from tests.engine.rig import SECOND, START_US, HandClock, Rig, running

HOUR = 3600
DAY = 24 * HOUR
THURSDAY = DateEntry(date="2026-01-01")
FRIDAY = DateEntry(date="2026-01-02")


def calendar(*entries: CalendarEntry, name: str = "days") -> Calendar:
    return Calendar(name=name, entries=entries)


async def create(rig: Rig, text: str = "rate(1 hour)", *, name: str = "job", **values: object) -> Schedule:
    when = replace(When(triggers=(Expression(text=text),)), **values)  # type: ignore[arg-type]
    draft = Schedule(name=ScheduleName(group="default", schedule=name), when=when, target=HttpTarget(url="http://localhost/"))
    return await rig.schedules.create(draft, Asking(actor="test"))


async def put(rig: Rig, *entries: CalendarEntry, name: str = "days") -> None:
    await rig.calendars.update(name, lambda before: replace(before, entries=entries), Asking(actor="ann"))


async def visit(rig: Rig, *seconds: int) -> None:
    """Move the clock to these seconds after the start, with nothing between."""
    for second in seconds:
        rig.clock.move(START_US + second * SECOND - rig.clock.now_us())
        await rig.settle()


async def test_what_a_calendar_leaves_out_does_not_run(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await rig.calendars.create(calendar(WeeklyEntry(days=(Weekday.THURSDAY,), start="02:00", end="04:00")), Asking(actor="ann"))
        await create(rig, exclude_calendars=("days",))
        await rig.run_until(5 * HOUR)

        assert rig.target.nominal_s() == [HOUR, 4 * HOUR, 5 * HOUR]


async def test_included_days_and_shift_run_where_they_fit(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        workdays = tuple(Weekday)[:5]
        await rig.calendars.create(calendar(WeeklyEntry(days=workdays), name="business"), Asking(actor="ann"))
        await create(rig, "0 9 * * SAT", include_calendars=("business",), calendar_shift=CalendarShift.NEXT_DAY)
        await create(rig, "0 8 * * *", name="daily", include_calendars=("business",))
        await visit(rig, *(day * DAY + hour * HOUR for day in range(5) for hour in (8, 9)))

        # Saturday the 3rd moves to Monday the 5th.
        assert rig.target.nominal_s() == [8 * HOUR, DAY + 8 * HOUR, 4 * DAY + 8 * HOUR, 4 * DAY + 9 * HOUR]


async def test_changed_calendar_takes_effect_at_once_in_both_directions(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann"))
        await create(rig, exclude_calendars=("days",))
        await rig.run_until(1.5 * HOUR)
        await put(rig, THURSDAY)
        await rig.run_until(3.5 * HOUR)
        assert rig.target.nominal_s() == [HOUR]
        await put(rig, FRIDAY)
        await rig.run_until(4.5 * HOUR)
        assert rig.target.nominal_s() == [HOUR, 4 * HOUR]

        changes = await rig.journal(JournalKind.CALENDAR_CREATED, JournalKind.CALENDAR_UPDATED)
        assert [(entry.actor, entry.evidence["calendar"]) for entry in changes] == [("ann", "calendars/days")] * 3


async def test_armed_occurrence_that_a_changed_calendar_leaves_out_is_taken_back(tmp_path: Path) -> None:
    spread = Spread(mode=SpreadMode.STABLE, window=timedelta(minutes=30))
    async with running(tmp_path / "s.db") as rig:
        await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann"))
        await create(rig, exclude_calendars=("days",), spread=spread)
        await create(rig, name="other", spread=spread)
        await rig.run_until(HOUR)
        assert len(await rig.store.unfinished()) == 2
        await put(rig, THURSDAY)
        await rig.run_until(2 * HOUR - 1)

        assert [request.schedule.schedule for _, request in rig.target.requests] == ["other"]
        [taken] = await rig.journal(JournalKind.EXECUTION_DISARMED)
        assert taken.schedule is not None
        assert taken.schedule.schedule == "job"


async def test_armed_occurrence_that_still_fits_stays_and_runs_once(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann"))
        await create(rig, exclude_calendars=("days",), spread=Spread(mode=SpreadMode.STABLE, window=timedelta(minutes=30)))
        await rig.run_until(HOUR)
        await put(rig, DateEntry(date="2026-01-05"))
        await rig.run_until(2 * HOUR - 1)

        assert rig.target.nominal_s() == [HOUR]
        assert await rig.journal(JournalKind.EXECUTION_DISARMED) == []


async def test_refused_change_leaves_what_is_armed(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann"))
        await create(rig, exclude_calendars=("days",), spread=Spread(mode=SpreadMode.STABLE, window=timedelta(minutes=30)))
        await rig.run_until(HOUR)
        with pytest.raises(ConflictError):
            await rig.calendars.update("days", lambda before: replace(before, entries=(THURSDAY,)), Asking(actor="ann", generation=7))
        await rig.run_until(2 * HOUR - 1)

        assert rig.target.nominal_s() == [HOUR]


async def test_schedule_whose_calendar_left_it_nothing_goes_on_when_it_does_again(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await rig.calendars.create(calendar(THURSDAY), Asking(actor="ann"))
        made = await create(rig, include_calendars=("days",))
        await visit(rig, *(hour * HOUR for hour in range(1, 26)))
        assert (await rig.store.schedule(made.name)).state is ScheduleState.COMPLETED
        await put(rig, DateEntry(date="2026-01-03"))
        assert (await rig.store.schedule(made.name)).state is ScheduleState.ENABLED
        rig.target.requests.clear()
        await visit(rig, DAY + 3 * HOUR, 2 * DAY, 2 * DAY + HOUR, 2 * DAY + 2 * HOUR)

        assert rig.target.nominal_s() == [2 * DAY, 2 * DAY + HOUR, 2 * DAY + 2 * HOUR]


async def test_schedule_that_has_run_as_often_as_it_may_stays_completed_whatever_its_calendar_does(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann"))
        made = await create(rig, exclude_calendars=("days",))
        await rig.schedules.update(made.name, lambda before: replace(before, policies=Policies(max_runs=1)), Asking(actor="ann"))
        await rig.run_until(HOUR)
        await put(rig, FRIDAY, DateEntry(date="2026-01-03"))
        await rig.settle()

        assert (await rig.store.schedule(made.name)).state is ScheduleState.COMPLETED
        assert await rig.journal(JournalKind.SCHEDULE_RESUMED) == []


async def test_calendars_hold_after_a_restart(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "s.db", clock=clock) as rig:
        await rig.calendars.create(calendar(WeeklyEntry(days=(Weekday.THURSDAY,), start="02:00", end="04:00")), Asking(actor="ann"))
        await create(rig, exclude_calendars=("days",))
        await rig.run_until(HOUR)
    async with running(tmp_path / "s.db", clock=clock) as again:
        await again.run_until(4 * HOUR)
        assert again.target.nominal_s() == [4 * HOUR]
        assert (await again.calendars.get("days")).used_by_count == 1
        with pytest.raises(PreconditionError, match="groups/default/schedules/job"):
            await again.calendars.delete("days", Asking(actor="ann"))


async def test_unreadable_calendar_quarantines_its_schedules_alone(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "s.db", clock=clock) as rig:
        await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann"))
        made = await create(rig, exclude_calendars=("days",))
        await create(rig, name="other")
    connection = sqlite3.connect(tmp_path / "s.db")
    connection.execute("UPDATE calendars SET entries = '[[\"NEVER\", {}]]'")
    connection.commit()
    connection.close()
    async with running(tmp_path / "s.db", clock=clock) as again:
        await again.run_until(HOUR)
        disabled = await again.store.schedule(made.name)
        assert disabled.state is ScheduleState.DISABLED
        assert "the calendar `days` cannot be read" in disabled.state_reason
        assert [request.schedule.schedule for _, request in again.target.requests] == ["other"]
        with pytest.raises(InvalidError, match="cannot be read"):
            await create(again, name="third", exclude_calendars=("days",))


async def test_pause_of_a_schedule_with_an_unreadable_calendar_ends_in_a_quarantine_of_it_alone(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "s.db", clock=clock) as rig:
        await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann"))
        made = await create(rig, exclude_calendars=("days",))
        await rig.pauses.pause(made.name, Asking(actor="ann"), until_us=clock.now_us() + 60_000_000)
        await rig.create("rate(1 minute)", name="other")
    connection = sqlite3.connect(tmp_path / "s.db")
    connection.execute("UPDATE calendars SET entries = '[[\"NEVER\", {}]]'")
    connection.commit()
    connection.close()
    async with running(tmp_path / "s.db", clock=clock) as again:
        await again.run_until(130)
        assert (await again.store.schedule(made.name)).state is ScheduleState.DISABLED
        assert [request.schedule.schedule for _, request in again.target.requests] == ["other", "other"]


async def test_unknown_calendar_is_refused_with_its_field_and_the_nearest_name(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await rig.calendars.create(calendar(FRIDAY, name="holidays"), Asking(actor="ann"))
        with pytest.raises(InvalidError) as refused:
            await create(rig, exclude_calendars=("holidays", "holydays"))
        [violation] = refused.value.violations
        assert (violation.field, violation.reason) == ("schedule.exclude_calendars[1]", "UNKNOWN_CALENDAR")
        assert "did you mean `holidays`?" in violation.description
        with pytest.raises(InvalidError, match="outside of what its calendars leave out"):
            await create(rig, "0 9 * * THU", include_calendars=("holidays",))


async def test_calendar_in_use_stays_and_goes_once_nothing_uses_it(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann"))
        for index in range(6):
            await create(rig, name=f"job-{index}", exclude_calendars=("days",))
        with pytest.raises(PreconditionError) as refused:
            await rig.calendars.delete("days", Asking(actor="ann"))
        assert refused.value.reason == "CALENDAR_IN_USE"
        assert refused.value.description.count("groups/default") == 5
        assert refused.value.description.endswith("and others")
        view = await rig.calendars.get("days")
        assert (view.used_by_count, len(view.used_by)) == (6, 6)

        for index in range(5):
            await rig.schedules.delete(ScheduleName(group="default", schedule=f"job-{index}"), Asking(actor="ann"))
        await rig.schedules.update(
            ScheduleName(group="default", schedule="job-5"),
            lambda before: replace(before, when=replace(before.when, exclude_calendars=())),
            Asking(actor="ann"),
        )
        await rig.calendars.delete("days", Asking(actor="ann"))
        with pytest.raises(NotFoundError):
            await rig.calendars.get("days")
        with pytest.raises(InvalidError, match="there is no calendar"):
            await create(rig, exclude_calendars=("days",))


async def test_repeated_requests_change_a_calendar_once(tmp_path: Path) -> None:
    def mark(fingerprint: str = "f") -> RequestMark:
        return RequestMark(request_id="r", scope="UpdateCalendar", fingerprint=fingerprint)

    async with running(tmp_path / "s.db") as rig:
        first = await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann", request=replace(mark(), scope="CreateCalendar")))
        again = await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann", request=replace(mark(), scope="CreateCalendar")))
        assert again.calendar.uid == first.calendar.uid
        with pytest.raises(AlreadyExistsError):
            await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann"))
        with pytest.raises(AlreadyExistsError):
            await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann", validate_only=True))

        for _ in range(2):
            changed = await rig.calendars.update(
                "days", lambda before: replace(before, entries=(THURSDAY,)), Asking(actor="ann", generation=1, request=mark())
            )
            assert changed.calendar.generation == 2
        with pytest.raises(ConflictError, match="another request"):
            await rig.calendars.update(
                "days", lambda before: replace(before, entries=(FRIDAY,)), Asking(actor="ann", request=mark("other"))
            )
        checked = await rig.calendars.update(
            "days", lambda before: replace(before, entries=(FRIDAY,)), Asking(actor="ann", validate_only=True)
        )
        assert (checked.calendar.entries, (await rig.calendars.get("days")).calendar.entries) == ((FRIDAY,), (THURSDAY,))
        with pytest.raises(ConflictError):
            await rig.calendars.update("days", lambda before: before, Asking(actor="ann", generation=1, validate_only=True))


async def test_calendars_are_found_by_labels_and_page(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        for name in ("a", "b", "c"):
            labels = {"team": name} if name != "c" else {}
            await rig.calendars.create(replace(calendar(FRIDAY, name=name), labels=labels), Asking(actor="ann"))

        async def named(field: str, operator: Operator, value: str) -> list[str]:
            found = await rig.calendars.find((Comparison(field=field, operator=operator, value=value),), PageRequest(size=10))
            return [view.calendar.name for view in found.items]

        assert await named("labels.team", Operator.EQUAL, "b") == ["b"]
        assert await named("labels.team", Operator.HAS, "*") == ["a", "b"]
        assert await named("labels.team", Operator.UNEQUAL, "b") == ["a", "c"]
        assert await named("name", Operator.EQUAL, "calendars/c") == ["c"]
        first = await rig.calendars.find((), PageRequest(size=2))
        rest = await rig.calendars.find((), PageRequest(size=2, after=first.after))
        assert [view.calendar.name for view in (*first.items, *rest.items)] == ["a", "b", "c"]


async def test_preview_marks_what_is_left_out_and_what_is_moved(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await rig.calendars.create(calendar(FRIDAY), Asking(actor="ann"))
        shifted = When(triggers=(Expression(text="0 9 2 * *"),), exclude_calendars=("days",), calendar_shift=CalendarShift.NEXT_DAY)
        instants = await rig.previews.proposed(shifted, after_us=None, count=3, show_excluded=True)
        assert [(instant.nominal_us - START_US) // (HOUR * SECOND) for instant in instants[:2]] == [33, 57]
        assert [(instant.effects, instant.calendar) for instant in instants] == [
            ((Effect.EXCLUDED,), "days"),
            ((Effect.CALENDAR_SHIFTED,), ""),
            ((), ""),
        ]
        included = When(triggers=(Expression(text="0 9 * * *"),), exclusions=(Expression(text="0 9 2 1 *"),), include_calendars=("days",))
        with pytest.raises(InvalidError):
            await rig.previews.proposed(included, after_us=None, count=3, show_excluded=True)
        made = await create(rig, "0 9,10 * * *", exclusions=(Expression(text="0 9 2 1 *"),), include_calendars=("days",))
        shown = rig.previews.stored(await rig.schedules.readable(made.name), after_us=None, count=4, show_excluded=True)
        assert [(instant.effects, instant.calendar) for instant in shown] == [
            ((Effect.EXCLUDED,), "days"),
            ((Effect.EXCLUDED,), "days"),
            ((Effect.EXCLUDED,), ""),
            ((), ""),
        ]
        assert len(rig.previews.stored(await rig.schedules.readable(made.name), after_us=None, count=4)) == 1


async def test_holidays_are_those_of_the_country_and_want_the_extra(tmp_path: Path) -> None:
    bavaria = HolidaysEntry(country="DE", subdivision="BY")
    async with running(tmp_path / "s.db", holidays=PublicHolidays()) as rig:
        await rig.calendars.create(calendar(bavaria), Asking(actor="ann"))
        await create(rig, "0 9 * * *", exclude_calendars=("days",))
        await visit(rig, *(day * DAY + 9 * HOUR for day in range(7)))
        # 1 January, and Epiphany in Bavaria.
        assert [second // DAY for second in rig.target.nominal_s()] == [1, 2, 3, 4, 6]
        for wrong, said in ((HolidaysEntry(country="XX"), "XX"), (replace(bavaria, subdivision="BZ"), "did you mean")):
            with pytest.raises(InvalidError, match=said):
                await rig.calendars.create(calendar(wrong, name="wrong"), Asking(actor="ann"))
    async with running(tmp_path / "other.db") as without:
        with pytest.raises(InvalidError, match=r"schedd\[holidays\]"):
            await without.calendars.create(calendar(bavaria), Asking(actor="ann"))


class CountedHolidays:
    """The first days of the years that are asked for, and what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.broken = False

    def dates(self, entry: HolidaysEntry, *, first_year: int, last_year: int) -> Sequence[date]:
        self.asked.append((first_year, last_year))
        if self.broken:
            raise ExpressionError(text=entry.country, part="holidays", reason="gone")
        return [date(last_year, 1, 1)]


async def test_holidays_are_renewed_at_the_turn_of_the_year(tmp_path: Path) -> None:
    holidays = CountedHolidays()
    async with running(tmp_path / "s.db", holidays=holidays) as rig:
        await rig.calendars.create(calendar(HolidaysEntry(country="DE")), Asking(actor="ann"))
        made = await create(rig, "0 9 1 1 *", include_calendars=("days",))
        assert holidays.asked[-1] == (2025, 2046)
        rig.clock.move(366 * DAY * SECOND)
        await rig.settle()
        assert holidays.asked[-1] == (2026, 2047)
        [next_2047] = rig.previews.stored(await rig.schedules.readable(made.name), after_us=None, count=1)
        assert next_2047.nominal_us == (datetime(2047, 1, 1, 9, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

        rig.clock.step(-366 * DAY * SECOND)
        await rig.settle()
        assert holidays.asked[-1] == (2025, 2046)
        rig.clock.step(366 * DAY * SECOND)

        holidays.broken = True
        rig.clock.move(366 * DAY * SECOND)
        await rig.settle()
        assert holidays.asked[-1] == (2027, 2048)
        assert len(rig.previews.stored(await rig.schedules.readable(made.name), after_us=None, count=1)) == 1


async def test_delay_after_completion_waits_for_the_calendar_and_follows_its_change(tmp_path: Path) -> None:
    async with running(tmp_path / "s.db") as rig:
        await rig.calendars.create(calendar(WeeklyEntry(days=(Weekday.THURSDAY,), start="02:00", end="04:00")), Asking(actor="ann"))
        delayed = When(triggers=(AfterCompletion(delay=timedelta(hours=1)),), exclude_calendars=("days",))
        draft = Schedule(name=ScheduleName(group="default", schedule="job"), when=delayed, target=HttpTarget(url="http://localhost/"))
        await rig.schedules.create(draft, Asking(actor="ann"))
        await visit(rig, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR, 5 * HOUR)
        assert rig.target.nominal_s() == [HOUR, 4 * HOUR, 5 * HOUR]
        await put(rig, THURSDAY)
        await visit(rig, 6 * HOUR, 23 * HOUR, DAY)
        assert rig.target.nominal_s()[3:] == [DAY]
