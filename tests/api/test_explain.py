"""ExplainOccurrences on a real server: what is told of what happened, of what did not, and of what would."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from schedd.core.explaining import Window
from schedd.core.model.batch import Retention
from schedd.core.model.schedule import ScheduleName
from schedd.service.explanations import Explanations
from schedd.v1 import schedule_service_pb2 as schedules_pb
from schedd.v1.calendar_pb2 import Calendar, CalendarEntry
from schedd.v1.calendar_service_pb2 import CreateCalendarRequest, UpdateCalendarRequest
from schedd.v1.execution_service_pb2 import ExplainOccurrencesRequest, Explanation
from schedd.v1.journal_pb2 import JournalKind
from schedd.v1.policy_pb2 import CatchUp, CatchUpMode, Concurrency, Overlap, Policies
from schedd.v1.reason_pb2 import Outcome, Reason
from schedd.v1.schedule_pb2 import Schedule
from schedd.v1.when_pb2 import CalendarShift, GapPolicy
from tests.api.served import Api, full_name, refused, serving
from tests.engine.rig import BROKEN, SECOND, START_US, HandClock

MINUTELY = "* * * * *"
JOB = full_name("job")
DAY_S = 86_400.0


def stamp(second: float) -> Timestamp:
    """So many seconds after the start."""
    made = Timestamp()
    made.FromMicroseconds(START_US + int(second * SECOND))
    return made


def second_of(time: Timestamp) -> float:
    return (time.ToMicroseconds() - START_US) / SECOND


async def told(api: Api, first_s: float, end_s: float | None = None, **values: Any) -> list[Explanation]:
    """The explanations of a range, all of its pages, or of one instant."""
    request = ExplainOccurrencesRequest(schedule=JOB, **values)
    if end_s is None:
        request.at_time.CopyFrom(stamp(first_s))
    else:
        request.start_time.CopyFrom(stamp(first_s))
        request.end_time.CopyFrom(stamp(end_s))
    found: list[Explanation] = []
    while True:
        answer = await api.executions.ExplainOccurrences(request)
        found += answer.explanations
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


async def at(api: Api, second: float) -> Explanation:
    """The one explanation of an instant."""
    [one] = await told(api, second)
    return one


def verdict(one: Explanation) -> tuple[str, str, int]:
    return Outcome.Name(one.outcome).removeprefix("OUTCOME_"), Reason.Name(one.reason).removeprefix("REASON_"), one.count


def kinds(one: Explanation) -> list[str]:
    assert [entry.sequence for entry in one.entries] == sorted(entry.sequence for entry in one.entries)
    return [JournalKind.Name(entry.kind).removeprefix("JOURNAL_KIND_") for entry in one.entries]


async def test_run_is_told_with_its_execution_and_its_journal(api: Api) -> None:
    await api.create(expression=MINUTELY)
    await api.rig.run_until(61)
    ran = await at(api, 60)
    assert (verdict(ran), ran.predicted, ran.summary) == (("SUCCEEDED", "COMPLETED", 1), False, "Ran, and succeeded.")
    assert ran.execution.startswith(f"{JOB}/executions/")
    assert kinds(ran) == ["EXECUTION_ARMED", "EXECUTION_STARTED", "EXECUTION_FINISHED"]
    assert ran.first_time == ran.last_time == stamp(60)


async def test_failure_is_told_with_what_the_target_said(api: Api) -> None:
    api.rig.target.answers = [BROKEN]
    policies = Policies()
    policies.retry.max_attempts = 1
    await api.create(expression=MINUTELY, policies=policies)
    await api.rig.run_until(61)
    failed = await at(api, 60)
    assert verdict(failed) == ("FAILED", "HTTP_STATUS", 1)
    assert failed.summary == "Failed: the response's status code is not one of the expected ones (code 500); it became a dead letter."


async def test_overlap_names_the_execution_that_blocked_and_what_it_will_block(api: Api) -> None:
    api.rig.target.hold = asyncio.Event()
    await api.create(expression=MINUTELY)
    await api.rig.run_until(121)
    running, skipped, coming = await told(api, 60, 181)
    blocking = running.execution.rsplit("/", 1)[-1]
    assert (verdict(running), running.summary) == (("UNSPECIFIED", "UNSPECIFIED", 1), "Runs since Thu 2026-01-01 00:01:00+0000.")
    assert verdict(skipped) == ("SKIPPED", "OVERLAP", 1)
    assert skipped.summary == f"Skipped: an earlier execution of the schedule was unfinished (execution {blocking})."
    assert (coming.predicted, verdict(coming)) == (True, ("UNSPECIFIED", "UNSPECIFIED", 1))
    assert coming.summary == f"Would run; will be skipped if execution {blocking} is still unfinished then."
    assert skipped.evidence["blocking_execution"] == coming.evidence["blocking_execution"] == blocking
    api.rig.target.hold.set()
    await api.rig.settle()
    assert (await at(api, 180)).summary == "Would run."


async def test_pause_is_told_with_who_why_and_until_when(api: Api) -> None:
    await api.create(expression=MINUTELY)
    await api.rig.run_until(65)
    await api.schedules.PauseSchedule(schedules_pb.PauseScheduleRequest(name=JOB, reason="holidays", until_time=stamp(300)))
    await api.rig.run_until(185)
    held, to_hold, later, _ = await told(api, 61, 421)
    assert (verdict(held), held.predicted) == (("UNSPECIFIED", "PAUSED", 2), False)
    paused = "the schedule is paused since Thu 2026-01-01 00:01:05+0000 by unix (holidays), until Thu 2026-01-01 00:05:00+0000"
    assert held.summary == f"2 occurrences held back: {paused}."
    assert (verdict(to_hold), to_hold.predicted) == (("UNSPECIFIED", "PAUSED", 2), True)
    assert later.summary.startswith("Would run; the schedule is paused until Thu 2026-01-01 00:05:00+0000")
    await api.schedules.ResumeSchedule(schedules_pb.ResumeScheduleRequest(name=JOB))
    skipped = await at(api, 120)
    assert (verdict(skipped), kinds(skipped)) == (
        ("SKIPPED", "PAUSED", 1),
        ["SCHEDULE_PAUSED", "SCHEDULE_RESUMED", "OCCURRENCES_SKIPPED"],
    )
    was = (
        "the schedule was paused from Thu 2026-01-01 00:01:05+0000 by unix (holidays) to Thu 2026-01-01 00:03:05+0000, when unix resumed it"
    )
    assert skipped.summary == f"Skipped: {was}."


async def test_downtime_tells_the_window_the_superseded_and_when_the_daemon_was_away(tmp_path: Path) -> None:
    clock = HandClock()
    window = CatchUp(mode=CatchUpMode.CATCH_UP_MODE_EARLIEST)
    window.window.FromSeconds(300)
    async with serving(tmp_path, clock=clock) as api:
        await api.create(expression=MINUTELY, policies=Policies(catch_up=window, overlap=Overlap.OVERLAP_ALLOW_ALL))
        await api.rig.run_until(61)
    clock.move(3600 * SECOND - SECOND)
    async with serving(tmp_path, clock=clock) as api:
        await api.rig.run_until(3661)
        too_old, caught_up, superseded, *_ = await told(api, 61, 3661)
        away = "the daemon ended unforeseen after Thu 2026-01-01 00:01:00+0000, its last sign of life, and started at Thu 2026-01-01"
        assert verdict(too_old) == ("MISSED", "CATCH_UP_WINDOW", 54)
        assert "were older than the catch-up window (now 5 min); " + away in too_old.summary
        assert kinds(too_old) == ["DAEMON_STARTED", "OCCURRENCES_MISSED"]
        assert verdict(superseded)[:2] == ("MISSED", "CATCH_UP_SUPERSEDED")
        assert f"it was execution {caught_up.execution.rsplit('/', 1)[-1]}, of Thu 2026-01-01 00:56:00+0000" in superseded.summary
        assert verdict(caught_up)[:2] == ("SUCCEEDED", "COMPLETED")
        assert "Ran, and succeeded (started 5 min" in caught_up.summary
        assert away in caught_up.summary
        one = await at(api, 600)
        assert (one.count, one.first_time, verdict(one)[1]) == (1, stamp(600), "CATCH_UP_WINDOW")
        assert (await at(api, 601)).count == 0


async def test_daemon_that_was_stopped_is_told_as_such(tmp_path: Path) -> None:
    clock = HandClock()
    async with serving(tmp_path, clock=clock) as api:
        await api.create(expression="@hourly")
        await api.rig.engine.close()
    clock.move(3 * 3600 * SECOND + SECOND)
    async with serving(tmp_path, clock=clock) as api:
        await api.rig.settle()
        caught_up = (await told(api, 3601, 3 * 3600 + 1))[-1]
        assert "the daemon was stopped from Thu 2026-01-01 00:00:00+0000 to Thu 2026-01-01 03:00:01+0000" in caught_up.summary
        assert kinds(caught_up)[:2] == ["DAEMON_STOPPED", "DAEMON_STARTED"]


async def test_clock_set_forward_is_told_of_what_it_leapt_over(api: Api) -> None:
    await api.create(expression=MINUTELY)
    await api.rig.run_until(61)
    api.rig.clock.step(1800 * SECOND)
    await api.rig.settle()
    missed = await at(api, 600)
    assert verdict(missed) == ("MISSED", "CATCH_UP_SUPERSEDED", 1)
    assert "30 min" in missed.summary
    assert "CLOCK_STEPPED" in kinds(missed)


async def test_calendar_tells_what_it_leaves_out_and_proves_it_after_a_change(api: Api) -> None:
    days = Calendar(name="calendars/days", entries=[CalendarEntry(date="2026-01-02"), CalendarEntry(date="2026-01-03")])
    await api.calendars.CreateCalendar(CreateCalendarRequest(calendar=days))
    await api.create(expression="0 9 * * *", exclude_calendars=["calendars/days"])
    out, then = await told(api, DAY_S, 4 * DAY_S)
    assert (verdict(out), out.predicted) == (("SKIPPED", "EXCLUDED", 2), True)
    assert out.summary == "2 occurrences would not run: an exclusion or a calendar left them out (calendar days)."
    assert dict(out.evidence) == {"calendar": "calendars/days"}
    assert then.first_time == stamp(3 * DAY_S + 9 * 3600)
    api.rig.clock.move(int(1.5 * DAY_S) * SECOND)
    await api.rig.settle()
    past = await at(api, DAY_S + 9 * 3600)
    assert (verdict(past), past.predicted) == (("SKIPPED", "EXCLUDED", 1), False)
    await api.calendars.UpdateCalendar(UpdateCalendarRequest(calendar=Calendar(name="calendars/days", entries=[days.entries[0]])))
    recorded = await at(api, DAY_S + 9 * 3600)
    assert (verdict(recorded), kinds(recorded), recorded.summary) == (verdict(past), ["OCCURRENCES_SKIPPED"], past.summary)


async def test_calendar_that_moves_is_told_at_both_ends(api: Api) -> None:
    days = Calendar(name="calendars/days", entries=[CalendarEntry(date="2026-01-02")])
    await api.calendars.CreateCalendar(CreateCalendarRequest(calendar=days))
    await api.create(expression="0 9 2 * *", exclude_calendars=["calendars/days"], calendar_shift=CalendarShift.CALENDAR_SHIFT_NEXT_DAY)
    away, here = await told(api, 0.1, 4 * DAY_S)
    assert (verdict(away), away.summary) == (
        ("SKIPPED", "CALENDAR_SHIFTED", 1),
        "Would not run: a calendar moved it to another day (calendar days).",
    )
    assert (here.first_time, here.summary) == (stamp(2 * DAY_S + 9 * 3600), "Would run; a calendar moved it here from another day.")


@pytest.mark.parametrize("skips", [False, True])
async def test_gaps_and_folds_are_told(tmp_path: Path, skips: bool) -> None:
    clock = HandClock()
    gap_s = 66 * DAY_S + 7 * 3600  # 2026-03-08T07:00Z, 03:00 local time
    clock.move((int(gap_s) - 60) * SECOND)
    policy = GapPolicy.GAP_POLICY_SKIP if skips else GapPolicy.GAP_POLICY_UNSPECIFIED
    async with serving(tmp_path, clock=clock) as api:
        await api.create(expression="30 2 * * *", time_zone="America/New_York", gap_policy=policy)
        await api.rig.run_until(gap_s + 60)
        in_gap = await at(api, gap_s)
        assert in_gap.first_time == stamp(gap_s)
        if skips:
            assert verdict(in_gap) == ("SKIPPED", "DST_GAP", 1)
            assert in_gap.summary.startswith("Did not run: its local time does not exist that day")
        else:
            assert verdict(in_gap) == ("SUCCEEDED", "COMPLETED", 1)
            assert in_gap.summary.endswith("its local time does not exist that day, so it runs right after the gap.")


async def test_second_of_a_repeated_time_is_told_as_left_out(api: Api) -> None:
    await api.create(expression="30 1 * * *", time_zone="America/New_York")
    fold_s = 304 * DAY_S + 5.5 * 3600  # 2026-11-01T05:30Z
    first, second, _ = await told(api, fold_s, fold_s + DAY_S + 7200)
    assert (verdict(first), first.summary) == (
        ("UNSPECIFIED", "UNSPECIFIED", 1),
        "Would run; its local time comes twice that day, and this is the first.",
    )
    assert (verdict(second), second.first_time) == (("SKIPPED", "DST_FOLD", 1), stamp(fold_s + 3600))


async def test_disabled_schedule_is_told_with_the_fault(api: Api) -> None:
    api.rig.target.answers = [RuntimeError("boom")]
    await api.create(expression=MINUTELY)
    await api.rig.run_until(185)
    past, coming = await told(api, 61, 301)
    assert (verdict(past), past.predicted, coming.predicted) == (("SKIPPED", "DISABLED", 2), False, True)
    assert "boom" in past.summary
    assert "by schedd itself" in past.summary
    assert kinds(past) == ["SCHEDULE_DISABLED"]


async def test_deleted_and_restored_schedule_is_told(api: Api) -> None:
    await api.create(expression=MINUTELY)
    await api.rig.run_until(61)
    await api.schedules.DeleteSchedule(schedules_pb.DeleteScheduleRequest(name=JOB))
    await api.rig.run_until(185)
    assert (await at(api, 240)).summary.startswith("Would be skipped: the schedule was deleted; it was deleted at Thu")
    await api.schedules.UndeleteSchedule(schedules_pb.UndeleteScheduleRequest(name=JOB))
    gone, coming = await told(api, 61, 241)
    assert (verdict(gone), kinds(gone)) == (("SKIPPED", "DELETED", 2), ["SCHEDULE_DELETED", "SCHEDULE_UNDELETED"])
    assert gone.summary.endswith("until it was restored at Thu 2026-01-01 00:03:05+0000 by unix.")
    assert coming.summary == "Would run."


async def test_rule_of_before_a_change_is_not_made_up(api: Api) -> None:
    await api.create(expression=MINUTELY)
    await api.rig.run_until(61)
    changed = Schedule(name=JOB)
    changed.triggers.add(expression="*/2 * * * *")
    await api.schedules.UpdateSchedule(schedules_pb.UpdateScheduleRequest(schedule=changed))
    await api.rig.run_until(125)
    ran, note, ran_too = await told(api, 1, 121)
    assert (verdict(ran)[0], verdict(ran_too)[0]) == ("SUCCEEDED", "SUCCEEDED")
    assert (note.count, verdict(note)[1], dict(note.evidence)) == (0, "UNSPECIFIED", {"fields": "triggers"})
    assert "the rule (triggers) was changed then by unix, and what it was before is not kept" in note.summary
    assert (await at(api, 30)).summary == note.summary
    assert (await at(api, 180)).summary.startswith(
        "The schedule's rule yields no occurrence at Thu 2026-01-01 00:03:00+0000; the nearest are "
    )


async def test_change_of_something_else_leaves_the_rule_known(api: Api) -> None:
    await api.create(expression=MINUTELY)
    await api.schedules.UpdateSchedule(schedules_pb.UpdateScheduleRequest(schedule=Schedule(name=JOB, description="new")))
    await api.rig.run_until(61)
    assert [verdict(one)[0] for one in await told(api, 1, 61)] == ["SUCCEEDED"]
    entries = (await api.rig.journal())[-4:]
    assert {"fields": "description"} in [dict(entry.evidence) for entry in entries]


async def test_runs_beyond_the_limit_are_told(api: Api) -> None:
    await api.create(expression=MINUTELY, policies=Policies(max_runs=2))
    await api.rig.run_until(61)
    ran, last, beyond = await told(api, 60, 301)
    assert (verdict(ran)[0], last.summary) == ("SUCCEEDED", "Would run.")
    assert (verdict(beyond), beyond.predicted) == (("SKIPPED", "MAX_RUNS", 3), True)
    assert dict(beyond.evidence) == {"max_runs": "2", "runs_left": "1"}
    await api.rig.run_until(185)
    over = await at(api, 180)
    assert (verdict(over), kinds(over)) == (("SKIPPED", "MAX_RUNS", 1), ["SCHEDULE_COMPLETED"])


async def test_end_of_the_rule_is_told(api: Api) -> None:
    await api.create(expression=MINUTELY, end_time=stamp(90))
    await api.rig.run_until(200)
    ran, end = await told(api, 1, 300)
    assert (verdict(ran)[0], verdict(end), end.summary) == (
        "SUCCEEDED",
        ("UNSPECIFIED", "ENDED", 0),
        "No occurrence: the rule yields no further occurrence.",
    )


async def test_full_key_is_told_of_what_waits_and_of_what_comes(api: Api) -> None:
    api.rig.target.hold = asyncio.Event()
    policies = Policies(concurrency=Concurrency(key="db", limit=1), overlap=Overlap.OVERLAP_ALLOW_ALL)
    await api.create(expression=MINUTELY, policies=policies)
    await api.rig.run_until(121)
    _, waits, coming = await told(api, 60, 181)
    assert verdict(waits) == ("UNSPECIFIED", "CONCURRENCY", 1)
    assert waits.summary.endswith("under the schedule's key (key db: 1 of 1 were running).")
    assert coming.summary == "Would run; it will wait if then, as now, the limit of key db is reached (1 of 1 run)."
    api.rig.target.hold.set()
    await api.rig.settle()
    assert "; it had waited: as many as may run together were running: in all" in (await at(api, 120)).summary


async def test_time_before_the_creation_has_no_occurrences(api: Api) -> None:
    await api.create()
    [none] = await told(api, -7200, -3600)
    assert (none.count, none.summary) == (0, "The schedule was not there yet: it was created at Thu 2026-01-01 00:00:00+0000 by unix.")
    assert kinds(none) == ["SCHEDULE_CREATED"]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_pages_tell_what_one_page_does(api: Api, size: int) -> None:
    await api.create(expression=MINUTELY)
    await api.rig.run_until(125)
    await api.schedules.PauseSchedule(schedules_pb.PauseScheduleRequest(name=JOB))
    await api.rig.run_until(605)
    await api.schedules.ResumeSchedule(schedules_pb.ResumeScheduleRequest(name=JOB))
    await api.rig.run_until(725)
    whole = await told(api, -10, 1000)
    assert await told(api, -10, 1000, page_size=size) == whole
    assert sum(one.count for one in whole) == 16


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (ExplainOccurrencesRequest(schedule=JOB), {"at_time": "REQUIRED"}),
        (ExplainOccurrencesRequest(schedule="job", at_time=stamp(0)), {"schedule": "INVALID_NAME"}),
        (ExplainOccurrencesRequest(schedule=JOB, start_time=stamp(0)), {"end_time": "REQUIRED"}),
        (ExplainOccurrencesRequest(schedule=JOB, end_time=stamp(0)), {"start_time": "REQUIRED"}),
        (ExplainOccurrencesRequest(schedule=JOB, start_time=stamp(0), end_time=stamp(0)), {"end_time": "OUT_OF_RANGE"}),
        (ExplainOccurrencesRequest(schedule=JOB, at_time=stamp(0), end_time=stamp(0)), {"end_time": "NOT_ALLOWED"}),
        (ExplainOccurrencesRequest(schedule=JOB, at_time=Timestamp(seconds=1 << 60)), {"at_time": "OUT_OF_RANGE"}),
        (
            ExplainOccurrencesRequest(schedule="", at_time=stamp(0), page_size=-1, page_token="x"),
            {"schedule": "INVALID_NAME", "page_size": "OUT_OF_RANGE"},
        ),
    ],
)
async def test_wrong_request_is_refused_with_all_its_fields(api: Api, request_: ExplainOccurrencesRequest, fields: dict[str, str]) -> None:
    refusal = await refused(api.executions.ExplainOccurrences(request_))
    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, fields)


async def test_schedule_whose_rule_cannot_be_read_is_refused_with_what_is_wrong(tmp_path: Path) -> None:
    days = Calendar(name="calendars/days", entries=[CalendarEntry(date="2026-01-02")])
    async with serving(tmp_path) as api:
        await api.calendars.CreateCalendar(CreateCalendarRequest(calendar=days))
        await api.create(exclude_calendars=["calendars/days"])
    with closing(sqlite3.connect(tmp_path / "schedd.db", isolation_level=None)) as connection:
        connection.execute("UPDATE calendars SET entries = 'x'")
    async with serving(tmp_path) as api:
        refusal = await refused(api.executions.ExplainOccurrences(ExplainOccurrencesRequest(schedule=JOB, at_time=stamp(0))))
        assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UNREADABLE")
        assert "the calendar `days` cannot be read" in refusal.message


async def test_schedule_that_is_not_there_is_not_found(api: Api) -> None:
    refusal = await refused(api.executions.ExplainOccurrences(ExplainOccurrencesRequest(schedule=JOB, at_time=stamp(0))))
    assert refusal.code is grpc.StatusCode.NOT_FOUND
    assert (refusal.resource.resource_type, refusal.resource.resource_name) == ("schedd.v1/Schedule", JOB)


@pytest.mark.parametrize("read_max", [5, 9])
async def test_much_that_is_recorded_is_read_in_parts_and_told_the_same(api: Api, read_max: int) -> None:
    await api.create(expression=MINUTELY)
    await api.rig.run_until(605)
    rig, window = api.rig, Window(first_us=START_US + SECOND, last_us=START_US + 700 * SECOND)
    name = ScheduleName(group="default", schedule="job")
    whole = (await Explanations(store=rig.store, engine=rig.engine, clock=rig.clock).explain(name, window, size=100)).items
    parts = Explanations(store=rig.store, engine=rig.engine, clock=rig.clock, read_max=read_max)
    found: list[Any] = []
    from_us = None
    while True:
        page = await parts.explain(name, window, size=100, from_us=from_us)
        found += page.items
        if not page.after:
            break
        from_us = int(page.after[0])
    assert found == list(whole)
    assert len(found) == 11


async def test_history_that_retention_removed_is_told_as_not_kept(api: Api) -> None:
    await api.create(expression=MINUTELY)
    await api.rig.run_until(605)
    old = Retention(history=timedelta(minutes=4), journal=timedelta(minutes=5))
    while await api.rig.store.prune(old, now_us=api.rig.clock.now_us()):
        pass
    gone, from_journal, *rest = await told(api, 1, 605)
    assert gone.summary.startswith("5 occurrences that are told of no more: what happened is not kept any more: the journal begins at ")
    assert (verdict(gone), gone.execution) == (("UNSPECIFIED", "UNSPECIFIED", 5), "")
    assert (verdict(from_journal), from_journal.execution != "") == (("SUCCEEDED", "COMPLETED", 1), True)
    assert {verdict(one)[0] for one in rest} == {"SUCCEEDED"}
