"""What an update makes of a stored schedule: the fields that its mask names, replaced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from schedd.api.convert import schedule as convert
from schedd.api.reading import Reading
from schedd.core.errors import InvalidError
from schedd.core.model.schedule import Schedule
from schedd.core.ports import Clock
from schedd.core.schedule_rules import check_change
from schedd.core.triggers import Calendars
from schedd.v1 import schedule_pb2

ALL = "*"


def read_paths(mask: Sequence[str], message: schedule_pb2.Schedule, reading: Reading) -> tuple[str, ...]:
    """The paths of a mask that lead somewhere; for an empty one, the definition's top-level fields that the message has."""
    if not mask:
        return tuple(field.name for field, _ in message.ListFields() if field.name in convert.DEFINITION_FIELDS)
    faults = {path: fault for path in mask if path != ALL and (fault := _path_fault(path))}
    if faults:
        reading.note("update_mask", "INVALID_MASK", "; ".join(faults.values()))
    return tuple(path for path in mask if path not in faults)


def edit_of(message: schedule_pb2.Schedule, paths: Sequence[str], clock: Clock, calendars: Calendars) -> Callable[[Schedule], Schedule]:
    """The edit that replaces these fields of a schedule by the message's; `calendars` are those it may name.

    Raises (the edit): InvalidError naming every wrong field.
    """

    def edit(before: Schedule) -> Schedule:
        edited = message
        if ALL not in paths:
            edited = convert.schedule(before)
            for path in paths:
                _replace(message, edited, path.split("."))
        reading, now_us = Reading(), clock.now_us()
        read = convert.schedule_of(edited, before.name, now_us, reading)
        after = replace(
            before, when=read.when, target=read.target, policies=read.policies, description=read.description, labels=read.labels
        )
        if reading.faults:
            faults = (*reading.faults, *check_change(before, after, now_us=now_us, calendars=calendars))
            raise InvalidError(tuple(fault.within("schedule") for fault in faults))
        return after

    return edit


def _path_fault(path: str) -> str:
    """Why a path leads to nothing that can be replaced, or nothing."""
    head, *rest = path.split(".")
    if head not in convert.DEFINITION_FIELDS:
        return f"{path} cannot be changed; what can is {', '.join(convert.DEFINITION_FIELDS)}, or {ALL}"
    descriptor: Descriptor = schedule_pb2.Schedule.DESCRIPTOR
    field: FieldDescriptor = descriptor.fields_by_name[head]
    for step in rest:
        if _is_map(field):
            return ""  # What follows is the key, dots and all.
        inner = field.message_type if field.has_presence else None  # Without presence it is a list.
        if inner is None or step not in inner.fields_by_name:
            return f"{path} leads nowhere: {field.name} has no field {step} that can be replaced by itself"
        field = inner.fields_by_name[step]
    return ""


def _replace(source: Message, destination: Message, path: Sequence[str]) -> None:
    """Replace what the path names in `destination` by what `source` has there; if it has nothing, that goes back to its default."""
    head, *rest = path
    field: Any = source.DESCRIPTOR.fields_by_name[head]
    given, kept = getattr(source, head), getattr(destination, head)
    if not rest:
        destination.ClearField(head)
        if any(present.name == head for present, _ in source.ListFields()):
            _set(destination, head, given)
    elif _is_map(field):
        _replace_entry(given, kept, ".".join(rest))
    elif source.HasField(head) or destination.HasField(head):
        kept.SetInParent()
        _replace(given, kept, rest)


def _set(message: Message, name: str, value: Any) -> None:
    empty = getattr(message, name)
    if hasattr(empty, "MergeFrom"):  # A message, a list or a map.
        empty.MergeFrom(value)
    else:
        setattr(message, name, value)


def _replace_entry(given: Any, kept: Any, key: str) -> None:
    kept.pop(key, None)
    if key in given:
        kept[key] = given[key]


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
