"""All about one schedule, as lines for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo

from google.protobuf.duration_pb2 import Duration

from schedd.cli.policy_views import policy_facts
from schedd.cli.spans import duration_text
from schedd.cli.views import NOTHING, fact_lines, labels_text, moment_text, result_text, target_text, trigger_text, word, zone_of
from schedd.v1.schedule_pb2 import Schedule, ScheduleState
from schedd.v1.target_pb2 import HttpAuth, ResourceLimits


def schedule_lines(schedule: Schedule, now: datetime) -> list[str]:
    """All that a person wants to know about one schedule."""
    zone = zone_of(schedule)
    return fact_lines(
        [
            ("Name", schedule.name),
            ("Description", schedule.description),
            ("State", _state_text(schedule, now)),
            ("When", "; ".join(map(trigger_text, schedule.triggers))),
            ("Except", _calendars_text(schedule.exclude_calendars)),
            ("Only", _calendars_text(schedule.include_calendars)),
            ("Time zone", schedule.time_zone),
            ("Next", moment_text(schedule.next_time, now, zone) if schedule.HasField("next_time") else ""),
            ("Target", target_text(schedule)),
            ("Credentials", _auth_text(schedule.target.http.auth)),
            ("Limits", _limits_text(schedule.target.process.resource_limits)),
            *policy_facts(schedule),
            ("Labels", labels_text(schedule)),
            ("Last run", _last_run_text(schedule, now, zone)),
            ("Created", f"{moment_text(schedule.create_time, now, zone)} by {schedule.creator or 'nobody known'}"),
            ("Changed", moment_text(schedule.update_time, now, zone) if schedule.generation > 1 else ""),
        ]
    )


def _auth_text(auth: HttpAuth) -> str:
    match auth.WhichOneof("method"):
        case "bearer":
            return f"bearer token, secret {auth.bearer.token.name}"
        case "basic":
            return f"user {auth.basic.username}, secret {auth.basic.password.name}"
        case _:
            return NOTHING


def _limits_text(limits: ResourceLimits) -> str:
    facts = ((field.name, value) for field, value in limits.ListFields())
    return ", ".join(f"{name} {duration_text(value.ToTimedelta()) if isinstance(value, Duration) else value}" for name, value in facts)


def _calendars_text(names: Iterable[str]) -> str:
    return ", ".join(name.removeprefix("calendars/") for name in names)


def _state_text(schedule: Schedule, now: datetime) -> str:
    state = word(ScheduleState, schedule.state).lower()
    if schedule.state == ScheduleState.SCHEDULE_STATE_PAUSED:
        pause = schedule.pause
        until = f", until {moment_text(pause.until_time, now, zone_of(schedule))}" if pause.HasField("until_time") else ""
        return f"{state} by {pause.actor}{until}" + (f": {pause.reason}" if pause.reason else "")
    if schedule.HasField("purge_time"):
        zone = zone_of(schedule)
        until = moment_text(schedule.purge_time, now, zone)
        return f"{state} {moment_text(schedule.delete_time, now, zone)}; `schedctl schedule undelete` restores it until {until}"
    return f"{state}: {schedule.state_reason}" if schedule.state_reason else state


def _last_run_text(schedule: Schedule, now: datetime, zone: tzinfo) -> str:
    if not schedule.HasField("last_run"):
        return "none yet"
    attempts = f", attempt {schedule.last_run.attempt}" if schedule.last_run.attempt > 1 else ""
    return f"{result_text(schedule).lower()}{attempts}, {moment_text(schedule.last_run.finish_time, now, zone)}"
