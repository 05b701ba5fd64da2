"""Schedules between protobuf and the model."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Literal

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

from schedd.api.convert.basics import Words, fill_timestamp, timestamp
from schedd.api.convert.execution import OUTCOME, REASON
from schedd.api.convert.policy import policies, policies_of
from schedd.api.convert.repetition import ByBytes
from schedd.api.convert.target import target, target_of
from schedd.api.convert.when import counts_from_now, fill_when, when_of
from schedd.api.names import execution_name
from schedd.api.reading import Reading
from schedd.core.identity import ByIdentity
from schedd.core.model.batch import LastRun
from schedd.core.model.execution import id_text
from schedd.core.model.policy import Policies
from schedd.core.model.schedule import Pause, Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import Target
from schedd.core.model.unreadable import StoredSchedule
from schedd.core.model.when import When
from schedd.service.schedules import ScheduleView
from schedd.v1 import schedule_pb2

STATE = Words(ScheduleState, schedule_pb2.ScheduleState, "SCHEDULE_STATE")

DEFINITION_FIELDS = (
    "description",
    "labels",
    "triggers",
    "exclusions",
    "exclude_calendars",
    "include_calendars",
    "calendar_shift",
    "time_zone",
    "start_time",
    "end_time",
    "gap_policy",
    "fold_policy",
    "spread",
    "target",
    "policies",
)
"""The fields that a client sets; the others are the server's."""

_MICROSECOND = timedelta(microseconds=1)

_BESIDE_WHEN: tuple[Literal["name", "description", "labels", "target", "policies"], ...] = (
    "name",
    "description",
    "labels",
    "target",
    "policies",
)
_DEFAULT_POLICIES = Policies()

_WHENS: ByBytes[When] = ByBytes()
_TARGETS: ByBytes[Target] = ByBytes()
_POLICIES: ByBytes[Policies] = ByBytes()


def schedule_of(
    message: schedule_pb2.Schedule, name: ScheduleName, now_us: int, reading: Reading, *, pause: Pause | None = None
) -> Schedule:
    """A new schedule from what a client sent; `reading` notes its faults, also fields that are not built yet."""
    return Schedule(
        name=name,
        when=_WHENS.read(_sent_when(message), partial(when_of, message, now_us), reading, keep=not counts_from_now(message)),
        target=_TARGETS.read(message.target.SerializeToString(), partial(target_of, message.target), reading),
        policies=_policies_of(message, now_us, reading),
        description=message.description,
        labels=dict(message.labels),
        pause=pause,
    )


def _policies_of(message: schedule_pb2.Schedule, now_us: int, reading: Reading) -> Policies:
    if not message.HasField("policies"):
        return _DEFAULT_POLICIES
    sent = message.policies
    return _POLICIES.read(sent.SerializeToString(), partial(policies_of, sent, now_us), reading, keep=not sent.HasField("condition"))


def _sent_when(message: schedule_pb2.Schedule) -> bytes:
    """What a message says of when a schedule fires."""
    when = schedule_pb2.Schedule()
    when.CopyFrom(message)
    for field in _BESIDE_WHEN:
        when.ClearField(field)
    return when.SerializeToString()


def schedule(schedule: StoredSchedule, *, kept: timedelta | None = None) -> schedule_pb2.Schedule:
    """The message of a schedule, without what is known beside its definition; what cannot be read of it is absent.

    `kept` is how long deleted ones are.
    """
    message = schedule_pb2.Schedule()
    _fill_definition(message, schedule)
    _fill_standing(message, schedule)
    if kept is not None and schedule.deleted_us is not None:
        message.purge_time.CopyFrom(timestamp(schedule.deleted_us + kept // _MICROSECOND))
    return message


def add_schedule(messages: RepeatedCompositeFieldContainer[schedule_pb2.Schedule], schedule: Schedule) -> None:
    """Append the message of a schedule."""
    message = messages.add()
    _fill_definition(message, schedule)
    _fill_standing(message, schedule)


def _fill_definition(message: schedule_pb2.Schedule, schedule: StoredSchedule) -> None:
    """Put into a message what a client sets, but for the name."""
    if schedule.when is not None:
        message.CopyFrom(_when_message(schedule.when))
    if schedule.target is not None:
        message.target.CopyFrom(_target_message(schedule.target))
    if schedule.policies is not None:
        message.policies.CopyFrom(_policies_message(schedule.policies))
    if schedule.description:
        message.description = schedule.description
    if schedule.labels:
        message.labels.update(schedule.labels)


def _when_alone(when: When) -> schedule_pb2.Schedule:
    message = schedule_pb2.Schedule()
    fill_when(message, when)
    return message


_when_message = ByIdentity(_when_alone, capacity=1024)
_target_message = ByIdentity(target, capacity=256)
_policies_message = ByIdentity(policies, capacity=256)
"""Messages of parts that several schedules share, to be copied."""


def _fill_standing(message: schedule_pb2.Schedule, schedule: StoredSchedule) -> None:
    """Put into a message the name, and what the server sets."""
    message.name = str(schedule.name)
    message.uid = id_text(schedule.uid)
    message.etag = etag(schedule)
    message.generation = schedule.generation
    message.state = STATE.number(schedule.state)
    message.state_reason = schedule.state_reason
    message.creator = schedule.creator
    fill_timestamp(message.create_time, schedule.created_us)
    fill_timestamp(message.update_time, schedule.updated_us)
    if schedule.deleted_us is not None:
        message.delete_time.CopyFrom(timestamp(schedule.deleted_us))
    if schedule.pause is not None and schedule.state is not ScheduleState.DISABLED:
        pause = schedule.pause
        message.pause.actor = pause.actor
        message.pause.reason = pause.reason
        message.pause.since_time.CopyFrom(timestamp(pause.since_us))
        if pause.until_us is not None:
            message.pause.until_time.CopyFrom(timestamp(pause.until_us))


def view(view: ScheduleView, kept: timedelta) -> schedule_pb2.Schedule:
    """The message of a schedule with its next time and its last run; `kept` is how long deleted ones are."""
    message = schedule(view.schedule, kept=kept)
    if view.next_us is not None:
        message.next_time.CopyFrom(timestamp(view.next_us))
    message.run_count = view.run_count
    if view.last is not None:
        message.last_run.CopyFrom(_last_run(view.last))
    return message


def etag(schedule: StoredSchedule) -> str:
    """The etag of a schedule as it stands: its generation, in quotes."""
    return f'"{schedule.generation}"'


def _last_run(last: LastRun) -> schedule_pb2.LastRun:
    run = last.execution
    message = schedule_pb2.LastRun(
        execution=execution_name(run.schedule, run.id),
        nominal_time=timestamp(run.nominal_us),
        outcome=OUTCOME.number(run.outcome),
        reason=REASON.number(run.reason),
        attempt=run.attempt,
    )
    if run.started_us is not None:
        message.start_time.CopyFrom(timestamp(run.started_us))
    if run.finished_us is not None:
        message.finish_time.CopyFrom(timestamp(run.finished_us))
    if last.previous_success_us is not None:
        message.previous_success_time.CopyFrom(timestamp(last.previous_success_us))
    return message
