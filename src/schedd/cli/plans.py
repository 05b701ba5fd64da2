"""What `apply` would do: the files against the server, schedule by schedule, with the fields that differ."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from google.api import field_behavior_pb2
from google.protobuf.message import Message

from schedd.cli.failures import CommandError
from schedd.cli.manifest import Located, Written
from schedd.cli.names import short_name
from schedd.cli.output import as_data
from schedd.cli.views import word
from schedd.client.errors import CallError, ConflictError, FieldViolation, InvalidError, NotFoundError
from schedd.v1.schedule_pb2 import Schedule, ScheduleState

if TYPE_CHECKING:
    from schedd.client import SyncClient

BATCH_COUNT = 500
BATCH_BYTES = 2 * 1024 * 1024
"""Half of what one BatchCreate may have, in number and in size."""

_REQUEST = re.compile(r"requests\[(?P<index>[0-9]+)\]\.")
_NEVER_FIRES = "NEVER_FIRES"
_FOLLOW_UPS = ("on_success", "on_failure")
_TO_COME = "at(9998-12-31T00:00:00)"
_MOVED_ON_MOST = 5
"""How often a schedule may have moved on by itself while it is changed."""


class Action(StrEnum):
    """What happens to a schedule."""

    CREATE = "created"
    UPDATE = "updated"
    KEEP = "unchanged"
    DELETE = "deleted"

    @property
    def intent(self) -> str:
        """The word for what is only planned: `create` for `created`."""
        return self if self is Action.KEEP else self.name.lower()


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that differs: its path and both values as they are read, empty for a field that is not there."""

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}: {self.before or '(not set)'} → {self.after or '(not set)'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One schedule's part of the plan. `schedule` is sent; `before` is as the server has it, `after` as it would have it."""

    action: Action
    name: str
    schedule: Schedule
    before: Schedule | None = None
    after: Schedule | None = None
    differences: Sequence[Difference] = field(default_factory=tuple)
    awaits: Sequence[str] = ()
    """Calendars that it uses and that will be there before it is: until then nobody knows when it fires."""
    source: Written | None = None
    """Where a schedule to be created is written."""


def plan(client: SyncClient, written: Sequence[Written], prune_filter: str, *, coming: Collection[str] = ()) -> list[Step]:
    """What to do so that the server has what the files have. Everything is checked by the server first; nothing is changed.

    `coming` are calendars that will be there before the schedules are, and that the server does not know yet, as it does not know those of
    the schedules that are new.
    Raises: CommandError with every violation, at its file and line.
    """
    refused: list[tuple[Written, InvalidError]] = []
    stored = [_stored(client, item.schedule.name) for item in written]
    coming = {*coming, *(item.schedule.name for item, before in zip(written, stored, strict=True) if before is None)}
    steps = [step for item, before in zip(written, stored, strict=True) for step in _steps(client, item, before, refused, coming)]
    if refused:
        fields = sum(len(error.violations) for _, error in refused)
        count = "one field" if fields == 1 else f"{fields} fields"
        lines = [line for item, error in refused for line in violation_lines(item, error)]
        raise CommandError(f"the server refuses {count}; nothing was changed", lines)
    if prune_filter:
        wanted = {item.schedule.name for item in written}
        steps += [
            Step(action=Action.DELETE, name=item.name, schedule=item, before=item)
            for item in client.list_schedules(filter=prune_filter)
            if item.name not in wanted
        ]
    return steps


def _stored(client: SyncClient, name: str) -> Schedule | None:
    """The schedule as it stands; None if there is none, or it is deleted."""
    try:
        found = client.get_schedule(name)
    except NotFoundError:
        return None
    return None if found.state == ScheduleState.SCHEDULE_STATE_DELETED else found


def _steps(
    client: SyncClient, written: Written, before: Schedule | None, refused: list[tuple[Written, InvalidError]], coming: Collection[str]
) -> Iterator[Step]:
    """The step of one schedule; none if the server refuses it, which is noted."""
    schedule = written.schedule
    try:
        if before is None:
            after = _with(client.create_schedule(_without(schedule, coming), validate_only=True), schedule, coming)
            yield Step(
                action=Action.CREATE,
                name=schedule.name,
                schedule=schedule,
                after=after,
                awaits=_awaited(schedule, coming),
                source=written,
            )
        else:
            yield _compared(client, schedule, before, coming)
    except InvalidError as error:
        refused.append((written, error))


def _compared(client: SyncClient, schedule: Schedule, before: Schedule, coming: Collection[str]) -> Step:
    wanted = Schedule()
    wanted.CopyFrom(schedule)
    wanted.ClearField("etag")
    _keep_fixed_moments(wanted, before)
    after = _with(_normalised(client, _without(wanted, coming), before), wanted, coming)
    found = differences(before, after)
    if _is_repair(before, after):  # Without an etag: the server may be taking it out of service just now, since it was looked at.
        found.append(Difference("state", *(word(ScheduleState, each.state) for each in (before, after))))
    else:
        wanted.etag = before.etag
    action = Action.UPDATE if found else Action.KEEP
    return Step(
        action=action,
        name=schedule.name,
        schedule=wanted,
        before=before,
        after=after,
        differences=found,
        awaits=_awaited(schedule, coming),
    )


def _is_repair(before: Schedule, after: Schedule) -> bool:
    """Whether a stored row that cannot be read is replaced, maybe where the file says nothing: no other update enables a schedule."""
    disabled = ScheduleState.SCHEDULE_STATE_DISABLED
    return before.state == disabled and after.state != disabled


def _normalised(client: SyncClient, wanted: Schedule, before: Schedule) -> Schedule:
    """`wanted` as the server would have it, checked by it."""
    try:
        return client.update_schedule(wanted, update_mask=["*"], validate_only=True)
    except InvalidError as error:
        if {item.reason for item in error.violations} != {_NEVER_FIRES} or list(wanted.triggers) != list(before.triggers):
            raise
    # A one-time schedule whose time has passed: the server takes no such rule any more, but has it already. So it is asked about
    # everything else, with a time to come in its place.
    asked = Schedule()
    asked.CopyFrom(wanted)
    asked.ClearField("end_time")
    del asked.triggers[:]
    asked.triggers.add(expression=_TO_COME)
    after = client.update_schedule(asked, update_mask=["*"], validate_only=True)
    after.end_time.CopyFrom(wanted.end_time)
    if not wanted.HasField("end_time"):
        after.ClearField("end_time")
    del after.triggers[:]
    after.triggers.extend(wanted.triggers)
    return after


def _awaited(schedule: Schedule, coming: Collection[str]) -> list[str]:
    return [name for name in (*schedule.exclude_calendars, *schedule.include_calendars) if name in coming]


def _without(schedule: Schedule, coming: Collection[str]) -> Schedule:
    """The schedule without what the server does not know yet: those calendars, and those schedules that are to follow it."""
    made = Schedule()
    made.CopyFrom(schedule)
    made.exclude_calendars[:] = [name for name in schedule.exclude_calendars if name not in coming]
    made.include_calendars[:] = [name for name in schedule.include_calendars if name not in coming]
    for policy in _FOLLOW_UPS:
        kept = [follow_up for follow_up in getattr(schedule.policies, policy) if follow_up.schedule not in coming]
        if len(kept) < len(getattr(schedule.policies, policy)):
            del getattr(made.policies, policy)[:]
            getattr(made.policies, policy).extend(kept)
    return made


def _with(schedule: Schedule, of: Schedule, coming: Collection[str]) -> Schedule:
    """The server's answer about a schedule that was sent `_without` what is coming, with that again."""
    schedule.exclude_calendars[:] = of.exclude_calendars
    schedule.include_calendars[:] = of.include_calendars
    for policy in _FOLLOW_UPS:
        answered = iter(list(getattr(schedule.policies, policy)))
        whole = [each if each.schedule in coming else next(answered) for each in getattr(of.policies, policy)]
        del getattr(schedule.policies, policy)[:]
        getattr(schedule.policies, policy).extend(whole)
    return schedule


def _keep_fixed_moments(wanted: Schedule, before: Schedule) -> None:
    """`once: {delay: …}` became a moment when the schedule was created; applying the file again does not ask for another one."""
    for mine, theirs in zip(wanted.triggers, before.triggers, strict=False):
        if mine.once.HasField("delay") and len(theirs.once.times) == 1:
            mine.CopyFrom(theirs)


def violation_lines(written: Written, error: InvalidError) -> list[str]:
    """What the server found wrong, each at its place in the file."""
    return place_lines(written, error, "schedule")


def place_lines(written: Located, error: InvalidError, resource: str) -> list[str]:
    """What the server found wrong with a resource, each at its place in the file."""
    lines = []
    for violation in error.violations or (_whole(error),):
        path = violation.field.partition(f"{resource}.")[2] or violation.field
        first, *rest = violation.description.splitlines() or [""]
        lines.append(f"{written.place_of(path)}: {path}: {first}")
        lines.extend(f"    {line}" for line in rest)
    return lines


def _whole(error: CallError) -> FieldViolation:
    return FieldViolation(field="schedule", reason=error.reason, description=error.message)


def differences(before: Schedule, after: Schedule) -> list[Difference]:
    """The fields that differ, without what schedd itself writes, by path."""
    return leaf_differences(before, after)


def leaf_differences(before: Message, after: Message) -> list[Difference]:
    """The fields of two resources that differ, without what schedd itself writes, by path."""
    old, new = dict(_leaves(owned(before))), dict(_leaves(owned(after)))
    paths = [*old, *(path for path in new if path not in old)]
    return [Difference(path, old.get(path, ""), new.get(path, "")) for path in paths if old.get(path) != new.get(path)]


def owned(resource: Message) -> Any:
    """What its owner says about a resource, as plain data: no output-only field, no etag."""
    kept = type(resource)()
    kept.CopyFrom(resource)
    kept.ClearField("etag")
    extension: Any = field_behavior_pb2.field_behavior
    for item in kept.DESCRIPTOR.fields:
        if field_behavior_pb2.OUTPUT_ONLY in item.GetOptions().Extensions[extension]:
            kept.ClearField(item.name)
    return as_data(kept)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for key, item in value.items():
                yield from _leaves(item, f"{path}.{key}" if path else str(key))
        case list():
            for index, item in enumerate(value):
                yield from _leaves(item, f"{path}[{index}]")
        case _:
            yield path, str(value)


def carry_out(client: SyncClient, steps: Iterable[Step]) -> Iterator[Step]:
    """Do it, creations first and in batches; each step comes back once it is durable.

    Raises: CommandError for schedules that only their new calendars make wrong, which nobody could know before; CallError.
    """
    todo = list(steps)
    for batch in _batches(step for step in todo if step.action is Action.CREATE):
        try:
            client.create_schedules([step.schedule for step in batch])
        except InvalidError as error:
            raise CommandError(
                "with its new calendars the server refuses a schedule; none was created", _batch_lines(batch, error)
            ) from error
        yield from batch
    for step in todo:
        if step.action is Action.UPDATE or step.action is Action.DELETE:
            _change(client, step)
        if step.action is not Action.CREATE:
            yield step


def _change(client: SyncClient, step: Step) -> None:
    """Update or delete a schedule as it was looked at, also if the daemon has moved it on since: completed it, say.

    Raises: ConflictError when somebody else has changed its definition.
    """
    wanted = Schedule()
    wanted.CopyFrom(step.schedule)
    for _ in range(_MOVED_ON_MOST):
        try:
            if step.action is Action.UPDATE:
                client.update_schedule(wanted, update_mask=["*"])
            else:
                client.delete_schedule(step.name, etag=wanted.etag)
        except ConflictError:
            stands = client.get_schedule(step.name)
            if step.before is None or differences(step.before, stands):
                raise
            wanted.etag = stands.etag
        else:
            return
    raise CommandError(f"{short_name(step.name)} changes faster than it can be changed; try again")


def _batch_lines(batch: Sequence[Step], error: InvalidError) -> list[str]:
    """What is wrong with schedules of a batch, each at its place in its file."""
    lines: list[str] = []
    for violation in error.violations:
        match = _REQUEST.match(violation.field)
        source = batch[int(match["index"])].source if match is not None else None
        if source is None:
            lines.append(f"{violation.field}: {violation.description}")
        else:
            lines += violation_lines(source, InvalidError(replace(error.fault, violations=(violation,))))
    return lines


def _batches(steps: Iterable[Step]) -> Iterator[list[Step]]:
    batch: list[Step] = []
    size = 0
    for step in steps:
        size += step.schedule.ByteSize()
        if batch and (len(batch) == BATCH_COUNT or size > BATCH_BYTES):
            yield batch
            batch, size = [], step.schedule.ByteSize()
        batch.append(step)
    if batch:
        yield batch
