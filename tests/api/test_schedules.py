"""ScheduleService on a real server: creation, masks, checks without change, deletion and restoration, preview."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from schedd.core.model.journal import JournalKind
from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.policy_pb2 import AfterLastRun, CatchUpMode
from schedd.v1.schedule_pb2 import Schedule, ScheduleState
from schedd.v1.when_pb2 import SpreadMode
from tests.api.served import Api, full_name, http, refused
from tests.engine.rig import SECOND, START_US

JOB = full_name("job")
START_S = START_US // SECOND


def at(second: int) -> Timestamp:
    """So many seconds after the start of the rig's clock."""
    return Timestamp(seconds=START_S + second)


async def get(api: Api, name: str = JOB) -> Schedule:
    return await api.schedules.GetSchedule(pb.GetScheduleRequest(name=name))


def rich() -> Schedule:
    """A schedule with much that a mask can name."""
    schedule = http(description="what for", labels={"team": "pay", "a.b/c": "x"}, time_zone="Europe/Berlin")
    schedule.spread.window.seconds = 60
    schedule.start_time.CopyFrom(at(0))
    schedule.target.http.method = "PUT"
    schedule.target.http.headers.add(name="X-A", value="1")
    schedule.policies.retry.max_attempts = 7
    schedule.policies.retry.jitter = 0
    schedule.policies.attempt_timeout.seconds = 9
    return schedule


async def update(api: Api, schedule: Schedule, *paths: str, **values: Any) -> Schedule:
    schedule.name = JOB
    return await api.schedules.UpdateSchedule(pb.UpdateScheduleRequest(schedule=schedule, update_mask=FieldMask(paths=paths), **values))


async def test_creation_is_there_before_the_call_returns_with_all_it_said(api: Api) -> None:
    made = await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=rich()))
    assert (made.uid != "", made.generation, made.creator, made.state) == (True, 1, "unix", ScheduleState.SCHEDULE_STATE_ENABLED)
    stored = await get(api)
    assert stored.HasField("next_time")
    stored.ClearField("next_time")
    assert stored == made
    assert (stored.target.http.method, stored.policies.retry.max_attempts, dict(stored.labels)) == ("PUT", 7, {"team": "pay", "a.b/c": "x"})


async def test_creation_with_default_policies_spells_them_out(api: Api) -> None:
    policies = (await api.create()).policies
    assert (policies.retry.max_attempts, policies.retry.min_backoff.seconds, policies.priority) == (4, 5, 5)
    assert policies.after_last_run == AfterLastRun.AFTER_LAST_RUN_KEEP
    assert policies.catch_up.mode == CatchUpMode.CATCH_UP_MODE_LATEST


@pytest.mark.parametrize("method", ["CreateSchedule", "UpdateSchedule", "DeleteSchedule", "PauseSchedule", "ResumeSchedule"])
async def test_checked_change_answers_as_it_would_and_changes_nothing(api: Api, method: str) -> None:
    await api.create("there")
    there = full_name("there")
    await api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=there))
    before, sequence = await get(api, there), (await api.rig.store.journal_bounds())[1]
    requests: dict[str, Any] = {
        "CreateSchedule": pb.CreateScheduleRequest(schedule=http("new"), validate_only=True),
        "UpdateSchedule": pb.UpdateScheduleRequest(schedule=Schedule(name=there, description="x"), validate_only=True),
        "DeleteSchedule": pb.DeleteScheduleRequest(name=there, validate_only=True),
        "PauseSchedule": pb.PauseScheduleRequest(name=there, reason="x", validate_only=True),
        "ResumeSchedule": pb.ResumeScheduleRequest(name=there, validate_only=True),
    }
    answer = await getattr(api.schedules, method)(requests[method])
    told = {
        "CreateSchedule": answer.name == full_name("new"),
        "UpdateSchedule": answer.description == "x",
        "DeleteSchedule": answer.state == ScheduleState.SCHEDULE_STATE_DELETED,
        "PauseSchedule": answer.pause.reason == "x",
        "ResumeSchedule": answer.state == ScheduleState.SCHEDULE_STATE_ENABLED,
    }
    assert told[method]
    assert await get(api, there) == before
    assert (await api.rig.store.journal_bounds())[1] == sequence
    assert (await refused(get(api, full_name("new")))).code == grpc.StatusCode.NOT_FOUND


MASKS = [
    pytest.param(Schedule(description="new"), ["description"], lambda s: s.description == "new", id="top-level"),
    pytest.param(Schedule(), ["description"], lambda s: s.description == "", id="top-level-cleared"),
    pytest.param(Schedule(), ["labels"], lambda s: not s.labels, id="map-cleared"),
    pytest.param(Schedule(labels={"team": "ops"}), ["labels.team"], lambda s: dict(s.labels) == {"team": "ops", "a.b/c": "x"}, id="label"),
    pytest.param(Schedule(), ["labels.a.b/c"], lambda s: dict(s.labels) == {"team": "pay"}, id="label-cleared"),
    pytest.param(Schedule(), ["time_zone"], lambda s: s.time_zone == "UTC", id="back-to-its-default"),
    pytest.param(Schedule(), ["start_time"], lambda s: not s.HasField("start_time"), id="message-cleared"),
    pytest.param(Schedule(), ["spread"], lambda s: s.spread.mode == SpreadMode.SPREAD_MODE_NONE, id="spread-cleared"),
    pytest.param(
        Schedule(),
        ["policies.retry"],
        lambda s: (s.policies.retry.max_attempts, s.policies.retry.jitter > 0, s.policies.attempt_timeout.seconds) == (4, True, 9),
        id="nested-message-cleared",
    ),
    pytest.param(
        Schedule(),
        ["policies.retry.max_attempts"],
        lambda s: (s.policies.retry.max_attempts, s.policies.retry.jitter) == (4, 0),
        id="nested-scalar-cleared",
    ),
    pytest.param(Schedule(), ["policies.attempt_timeout"], lambda s: not s.policies.HasField("attempt_timeout"), id="nested-span-cleared"),
    pytest.param(Schedule(), ["target.http.headers"], lambda s: not s.target.http.headers, id="nested-list-cleared"),
    pytest.param(
        http(),
        ["target.http.method", "target.http.url"],
        lambda s: (s.target.http.method, len(s.target.http.headers)) == ("POST", 1),
        id="two",
    ),
    pytest.param(
        http(expression="@daily"), ["triggers"], lambda s: [one.expression for one in s.triggers] == ["@daily"], id="list-replaced"
    ),
    pytest.param(
        http(),
        ["*"],
        lambda s: (
            (s.description, dict(s.labels), s.time_zone, s.target.http.method, s.policies.retry.max_attempts) == ("", {}, "UTC", "POST", 4)
        ),
        id="everything",
    ),
    pytest.param(Schedule(description="new"), [], lambda s: (s.description, s.time_zone) == ("new", "Europe/Berlin"), id="no-mask"),
]


@pytest.mark.parametrize(("values", "paths", "holds"), MASKS)
async def test_update_replaces_what_its_mask_names_and_nothing_else(api: Api, values: Schedule, paths: list[str], holds: Any) -> None:
    before = await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=rich()))
    sent = Schedule()
    sent.CopyFrom(values)
    after = await update(api, sent, *paths)
    assert holds(after)
    assert after.generation == 2
    if "*" not in paths:
        heads = {path.split(".")[0] for path in paths} or {field.name for field, _ in values.ListFields()}
        same = {field.name for field, _ in before.ListFields()} - heads - {"etag", "generation", "update_time"}
        assert all(getattr(after, name) == getattr(before, name) for name in same)


async def test_update_to_another_kind_of_target_takes_the_first_away(api: Api) -> None:
    await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=rich()))
    values = Schedule()
    values.target.process.argv.append("/bin/true")
    assert (await update(api, values, "target.process.argv")).target.WhichOneof("kind") == "process"


@pytest.mark.parametrize(
    "path",
    ["colour", "state", "name", "triggers.expression", "target.http.headers.name", "target.ftp", "description.x", "policies.retry.x", ""],
)
async def test_update_with_a_mask_that_leads_nowhere_is_refused(api: Api, path: str) -> None:
    await api.create()
    refusal = await refused(update(api, Schedule(), "description", path))
    assert refusal.fields == {"update_mask": "INVALID_MASK"}


async def test_update_that_takes_the_target_away_is_refused(api: Api) -> None:
    await api.create()
    assert (await refused(update(api, Schedule(), "target"))).fields == {"schedule.target": "REQUIRED"}


async def test_update_with_the_current_etag_changes_and_gives_a_new_one(api: Api) -> None:
    made = await api.create()
    changed = await update(api, Schedule(description="x", etag=made.etag), "description")
    assert changed.etag != made.etag


async def test_update_that_changes_nothing_leaves_generation_and_journal_alone(api: Api) -> None:
    made = await api.create(description="x")
    assert (await update(api, Schedule(description="x"), "description")).etag == made.etag
    assert not await api.rig.journal(JournalKind.SCHEDULE_UPDATED)


async def test_update_of_a_rule_that_is_past_leaves_it_where_it_is_not_touched(api: Api) -> None:
    await api.create(expression="at(2026-01-01T00:01:00)")
    await api.rig.run_until(120)
    assert (await update(api, Schedule(description="x"), "description")).description == "x"
    refusal = await refused(update(api, http(expression="at(2026-01-01T00:01:30)"), "triggers"))
    assert refusal.fields == {"schedule.triggers": "NEVER_FIRES"}


async def test_update_of_what_is_missing_creates_only_where_that_is_allowed(api: Api) -> None:
    assert (await refused(update(api, http(), "*"))).code == grpc.StatusCode.NOT_FOUND
    assert (await update(api, http(), allow_missing=True)).generation == 1


async def test_deletion_of_what_is_missing_is_a_success_only_where_that_is_allowed(api: Api) -> None:
    assert (await refused(api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=JOB)))).code == grpc.StatusCode.NOT_FOUND
    assert await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=JOB, allow_missing=True)) == Schedule(name=JOB)


async def delete(api: Api, name: str = JOB) -> Schedule:
    return await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=name))


async def undelete(api: Api, **values: Any) -> Schedule:
    return await api.schedules.UndeleteSchedule(pb.UndeleteScheduleRequest(name=JOB, **values))


async def test_restored_schedule_is_as_it_was_and_goes_on_from_now(api: Api) -> None:
    made = await api.create(expression="rate(1 minute)", description="x", labels={"team": "pay"})
    await delete(api)
    await api.rig.run_until(150)
    restored = await undelete(api)
    assert (restored.uid, restored.description, dict(restored.labels)) == (made.uid, "x", {"team": "pay"})
    assert (restored.state, restored.HasField("delete_time")) == (ScheduleState.SCHEDULE_STATE_ENABLED, False)
    await api.rig.run_until(200)
    assert api.rig.target.nominal_s() == [180]
    (entry,) = await api.rig.journal(JournalKind.SCHEDULE_UNDELETED)
    assert (entry.actor, str(entry.schedule)) == ("unix", JOB)


async def test_restored_schedule_that_was_paused_stays_paused(api: Api) -> None:
    await api.create(expression="rate(1 minute)")
    await api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=JOB, reason="why"))
    await delete(api)
    restored = await undelete(api)
    assert (restored.state, restored.pause.reason) == (ScheduleState.SCHEDULE_STATE_PAUSED, "why")
    await api.rig.run_until(200)
    assert api.rig.target.nominal_s() == []


async def test_restored_schedule_that_deleted_itself_at_its_end_stays_completed(api: Api) -> None:
    schedule = http(expression="at(2026-01-01T00:01:00)")
    schedule.policies.after_last_run = AfterLastRun.AFTER_LAST_RUN_DELETE
    await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule))
    await api.rig.run_until(120)
    assert (await get(api)).state == ScheduleState.SCHEDULE_STATE_DELETED
    await undelete(api)
    await api.rig.run_until(180)
    assert (await get(api)).state == ScheduleState.SCHEDULE_STATE_COMPLETED


async def test_restoration_of_what_is_not_deleted_already_exists(api: Api) -> None:
    await api.create()
    refusal = await refused(undelete(api))
    assert (refusal.code, refusal.resource.resource_name) == (grpc.StatusCode.ALREADY_EXISTS, JOB)


async def test_restoration_of_a_name_that_another_has_taken_already_exists(api: Api) -> None:
    await api.create()
    await delete(api)
    other = await api.create()
    assert (await refused(undelete(api))).code == grpc.StatusCode.ALREADY_EXISTS
    assert (await get(api)).uid == other.uid


async def test_restoration_with_an_old_etag_is_aborted(api: Api) -> None:
    made = await api.create()
    gone = await delete(api)
    assert (await refused(undelete(api, etag=made.etag))).info.reason == "ETAG_MISMATCH"
    assert (await undelete(api, etag=gone.etag, validate_only=True)).state == ScheduleState.SCHEDULE_STATE_ENABLED
    assert (await get(api)).state == ScheduleState.SCHEDULE_STATE_DELETED
    assert (await undelete(api, etag=gone.etag)).generation == 3


async def test_pause_holds_back_until_its_end(api: Api) -> None:
    await api.create(expression="rate(1 minute)")
    paused = await api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=JOB, reason="why", until_time=at(150)))
    assert (paused.pause.actor, paused.pause.reason, paused.pause.until_time) == ("unix", "why", at(150))
    await api.rig.run_until(200)
    assert (await get(api)).state == ScheduleState.SCHEDULE_STATE_ENABLED
    started_us = [at_us for at_us, _ in api.rig.target.requests]
    assert min(started_us) >= START_US + 150 * SECOND
    assert api.rig.target.nominal_s()[-1] == 180


@pytest.mark.parametrize(("backlog", "fired"), [(CatchUpMode.CATCH_UP_MODE_NONE, []), (CatchUpMode.CATCH_UP_MODE_LATEST, [120])])
async def test_resumption_skips_or_catches_up_what_was_held_back(api: Api, backlog: CatchUpMode.ValueType, fired: list[float]) -> None:
    await api.create(expression="rate(1 minute)")
    await api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=JOB))
    await api.rig.run_until(170)
    await api.schedules.ResumeSchedule(pb.ResumeScheduleRequest(name=JOB, backlog=backlog))
    await api.rig.run_until(171)
    assert api.rig.target.nominal_s() == fired


async def test_resumption_of_a_completed_schedule_fails_on_its_state(api: Api) -> None:
    await api.create(expression="at(2026-01-01T00:01:00)")
    await api.rig.run_until(120)
    refusal = await refused(api.schedules.ResumeSchedule(pb.ResumeScheduleRequest(name=JOB)))
    assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_PAUSED")


async def test_trigger_runs_a_paused_schedule_now(api: Api) -> None:
    await api.create()
    await api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=JOB))
    triggered = await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=JOB))
    await api.rig.settle()
    assert triggered.execution.nominal_time == at(0)
    assert len(api.rig.target.requests) == 1


async def test_preview_marks_the_effects_of_dst_and_spread(api: Api) -> None:
    proposed = Schedule(time_zone="Europe/Berlin")
    proposed.triggers.add(expression="30 2 * * *")
    proposed.spread.window.seconds = 3600
    after = Timestamp()
    after.FromJsonString("2026-03-28T12:00:00Z")
    shown = await api.schedules.PreviewSchedule(pb.PreviewScheduleRequest(schedule=proposed, after_time=after, count=2))
    first, second = shown.occurrences
    assert first.local_time == "2026-03-29T03:00:00+02:00"
    assert pb.PREVIEW_EFFECT_DST_GAP in first.effects
    assert second.local_time == "2026-03-30T02:30:00+02:00"
    assert pb.PREVIEW_EFFECT_DST_GAP not in second.effects
    assert all((one.due_time != one.nominal_time) == (pb.PREVIEW_EFFECT_SPREAD in one.effects) for one in shown.occurrences)


async def test_preview_of_a_stored_schedule_ends_before_the_given_time(api: Api) -> None:
    await api.create(expression="rate(1 minute)")
    shown = await api.schedules.PreviewSchedule(pb.PreviewScheduleRequest(name=JOB, before_time=at(180)))
    assert [one.nominal_time for one in shown.occurrences] == [at(60), at(120)]


async def test_preview_names_the_trigger_of_each_occurrence(api: Api) -> None:
    schedule = http("job", "0 9 * * *")
    schedule.triggers.add(expression="0 12 * * *")
    shown = (await api.schedules.PreviewSchedule(pb.PreviewScheduleRequest(schedule=schedule, count=4))).occurrences
    assert [occurrence.trigger for occurrence in shown] == [0, 1, 0, 1]


async def test_preview_without_a_count_shows_ten(api: Api) -> None:
    await api.create()
    assert len((await api.schedules.PreviewSchedule(pb.PreviewScheduleRequest(name=JOB))).occurrences) == 10


async def test_completed_schedule_runs_on_once_its_limit_of_runs_is_raised(api: Api) -> None:
    limited = http(expression="rate(1 minute)")
    limited.policies.max_runs = 1
    limited.policies.pause_after_failures = 3
    await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=limited))
    await api.rig.run_until(200)
    ended = await get(api)
    assert (ended.run_count, ended.state) == (1, ScheduleState.SCHEDULE_STATE_COMPLETED)
    limited.policies.max_runs = 3
    await update(api, limited, "policies.max_runs")
    await api.rig.run_until(900)
    ended = await get(api)
    assert (ended.run_count, ended.state) == (3, ScheduleState.SCHEDULE_STATE_COMPLETED)


async def test_deleted_schedule_says_until_when_it_can_be_restored(api: Api) -> None:
    made = await api.create()
    deleted = await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=made.name))
    shown = await api.schedules.GetSchedule(pb.GetScheduleRequest(name=made.name))
    (listed,) = (await api.schedules.ListSchedules(pb.ListSchedulesRequest(show_deleted=True))).schedules
    for schedule in (deleted, shown, listed):
        assert schedule.purge_time.seconds - schedule.delete_time.seconds == 90 * 86_400
    restored = await api.schedules.UndeleteSchedule(pb.UndeleteScheduleRequest(name=made.name))
    assert not restored.HasField("purge_time")
