"""File values into protobuf messages, field by field: the API's own words are the file's words, with shorter forms where people want them.

The descriptors say what each key is: a new field of the API is a new key of the file, without a line here. `Shape` has the exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, TypeAlias

from google.api import field_behavior_pb2
from google.protobuf import descriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from schedd.cli.document import Entry, Place

Field: TypeAlias = Any
"""A field's descriptor; which class it has depends on how protobuf was built, and the stubs know each by another name."""

_Kind = descriptor.FieldDescriptor
_FLOATS = (_Kind.CPPTYPE_DOUBLE, _Kind.CPPTYPE_FLOAT)


@dataclass(frozen=True, slots=True)
class Reading:
    """What holds for one schedule of a file: the zone of local times, and where each field of the API was written."""

    zone: tzinfo = UTC
    places: dict[str, Place] = field(default_factory=dict)


Reader: TypeAlias = Callable[["Fields", Entry, Any, str], None]
"""Reads one key's value into a message that is at that path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a message's file form has beyond its fields.

    `principal` is the field that a single value stands for. `keys` are further keys, or fields that are read in a way of their own.
    `single` reads a value that is no mapping. `partial` messages may lack what the API requires: their reader looks itself.
    `elsewhere` says of keys that people write here by mistake where they belong.
    """

    principal: str = ""
    keys: Mapping[str, Reader] = field(default_factory=dict)
    single: Reader | None = None
    partial: bool = False
    elsewhere: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fields:
    """Reads entries into messages."""

    shapes: Mapping[str, Shape]
    reading: Reading

    def read(self, entry: Entry, message: Message, path: str) -> None:
        """Read a mapping, or the short form of one, into `message`, which is at `path` in the API's words."""
        shape = self.shapes.get(message.DESCRIPTOR.full_name, Shape())
        self.reading.places.setdefault(path, entry.place)
        if not entry.is_mapping:
            self._read_single(entry, message, shape, path)
            return
        before = len(entry.faults)
        fields = {item.name: item for item in message.DESCRIPTOR.fields}
        for key, value in entry.keys({**fields, **shape.keys}, shape.elsewhere).items():
            if key in shape.keys:
                shape.keys[key](self, value, message, path)
            elif not _is_output(fields[key]):
                self.read_field(value, message, fields[key], path)
        if not shape.partial and len(entry.faults) == before:
            self._require(entry, message)

    def read_field(self, entry: Entry, message: Message, which: Field | str, path: str) -> None:
        """Read one value into that field of `message`."""
        item = message.DESCRIPTOR.fields_by_name[which] if isinstance(which, str) else which
        where = f"{path}.{item.name}" if path else item.name
        self.reading.places.setdefault(where, entry.place)
        if self._is_taken(entry, message, item):
            return
        if item.message_type is not None and item.message_type.GetOptions().map_entry:
            getattr(message, item.name).update(entry.texts())
        elif item.is_repeated:
            self._read_items(entry, message, item, where)
        elif item.message_type is not None:
            self._read_message(entry, getattr(message, item.name), where)
        else:
            _assign(entry, message, item)

    def _read_single(self, entry: Entry, message: Message, shape: Shape, path: str) -> None:
        if shape.single is not None:
            shape.single(self, entry, message, path)
        elif shape.principal:
            self.read_field(entry, message, shape.principal, path)
        else:
            entry.wrong("has to be a mapping with keys of " + ", ".join(item.name for item in message.DESCRIPTOR.fields))

    def _read_items(self, entry: Entry, message: Message, item: Field, where: str) -> None:
        values = getattr(message, item.name)
        for index, part in enumerate(entry.items()):
            if item.message_type is not None:
                self._read_message(part, values.add(), f"{where}[{index}]")
            else:
                value = _scalar(part, item)
                if value is not None:
                    values.append(value)

    def _read_message(self, entry: Entry, target: Message, where: str) -> None:
        match target:
            case Duration():
                target.FromTimedelta(entry.duration())
            case Timestamp():
                instant = entry.instant()
                if instant is not None:
                    local = instant if instant.tzinfo is not None else instant.replace(tzinfo=self.reading.zone)
                    target.FromDatetime(local.astimezone(UTC))
            case _:
                target.SetInParent()
                self.read(entry, target, where)

    def _is_taken(self, entry: Entry, message: Message, item: Field) -> bool:
        choice = item.containing_oneof
        taken = message.WhichOneof(choice.name) if choice is not None else None
        if taken is None or taken == item.name:
            return False
        entry.wrong(f"cannot stand together with {taken!r}")
        return True

    def _require(self, entry: Entry, message: Message) -> None:
        for item in message.DESCRIPTOR.fields:
            if field_behavior_pb2.REQUIRED in _behaviors(item) and not _is_there(message, item):
                entry.wrong(f"lacks {item.name!r}")


def _assign(entry: Entry, message: Message, item: Field) -> None:
    value = _scalar(entry, item)
    if value is None:
        return
    try:
        setattr(message, item.name, value)
    except (ValueError, TypeError):
        entry.wrong(f"{value!r} is out of range")


def _scalar(entry: Entry, item: Field) -> Any:
    if item.enum_type is not None:
        return enum_number(entry, item.enum_type)
    match item.cpp_type:
        case _Kind.CPPTYPE_BOOL:
            return entry.flag()
        case _Kind.CPPTYPE_STRING if item.type == _Kind.TYPE_BYTES:
            return _bytes(entry)
        case _Kind.CPPTYPE_STRING:
            return entry.text()
        case kind if kind in _FLOATS:
            return entry.number()
        case _:
            return entry.integer()


def enum_number(entry: Entry, enum: descriptor.EnumDescriptor) -> int | None:
    """The number of an enum's value that is written short (`SKIP`) or whole (`OVERLAP_SKIP`)."""
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    numbers = {value.name.removeprefix(prefix): value.number for value in enum.values[1:]}
    if entry.text().strip().upper().startswith(prefix):
        numbers = {value.name: value.number for value in enum.values[1:]}
    return numbers.get(entry.choice(numbers))


def _bytes(entry: Entry) -> bytes:
    import base64
    import binascii

    try:
        return base64.b64decode(entry.text(), validate=True)
    except binascii.Error:
        entry.wrong("is not base64")
        return b""


def _behaviors(item: Field) -> Any:
    extension: Any = field_behavior_pb2.field_behavior
    return item.GetOptions().Extensions[extension]


def _is_output(item: Field) -> bool:
    return field_behavior_pb2.OUTPUT_ONLY in _behaviors(item)


def _is_there(message: Message, item: Field) -> bool:
    if item.is_repeated:
        return len(getattr(message, item.name)) > 0
    return message.HasField(item.name) if item.has_presence else bool(getattr(message, item.name))
