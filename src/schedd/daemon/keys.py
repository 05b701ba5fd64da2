"""The keys of the configuration as data, read off the config types: for loading, for messages and for the reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import reduce
from typing import Any, get_args

import msgspec
from msgspec import Meta, Struct

from schedd.core.durations import format_duration
from schedd.daemon.config import Config
from schedd.daemon.duration import parse_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key as its type describes it.

    `name` is dotted (`listen.tcp.address`). `default` is `msgspec.NODEFAULT` where it depends on the host; `default_text` then says how.
    `annotated` is the field's type with its Metas, `plain` without. `least` and `most` bound durations, both included.
    """

    name: str
    annotated: Any
    plain: Any
    default: Any
    description: str
    examples: tuple[Any, ...]
    default_text: str
    restart: bool
    least: timedelta | None
    most: timedelta | None

    @property
    def is_table(self) -> bool:
        """Whether it is a section whose keys the operator names."""
        return bool(self.plain == dict[str, str])

    @property
    def section(self) -> str:
        """The dotted name of the section it stands in."""
        return self.name if self.is_table else self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        """Its name within its section."""
        return "NAME" if self.is_table else self.name.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "SCHEDD_" + self.name.upper().replace(".", "__")

    def convert(self, value: object, *, text: bool) -> Any:
        """`value` as the key's type. `text`: it comes from a flag or the environment, where all is text and lists have commas.

        Raises: ValueError that says what is wrong and what would be right.
        """
        if self.plain is timedelta:
            return self._duration(value)
        if text and self.plain == tuple[str, ...]:
            value = [part.strip() for part in str(value).split(",") if part.strip()]
        try:
            return msgspec.convert(value, type=self.annotated, strict=not text)
        except msgspec.ValidationError as exc:
            raise ValueError(f"{value!r} does not do ({exc}): {self.hint}") from exc

    def _duration(self, value: object) -> timedelta:
        if not isinstance(value, str):
            raise ValueError(f'{value!r} has no unit: write text such as "{format_duration(self.default)}"')
        duration = parse_duration(value)
        if self.least is not None and self.most is not None and not self.least <= duration <= self.most:
            raise ValueError(f"{value} is out of bounds: {format_duration(self.least)} to {format_duration(self.most)}")
        return duration

    @property
    def hint(self) -> str:
        """What would be right: the choices, or an example."""
        if self.choices:
            return "write one of " + ", ".join(toml_text(choice) for choice in self.choices)
        return f"write {toml_text((*self.examples, self.default)[0])}, say"

    @property
    def choices(self) -> tuple[Any, ...]:
        """All values of a key that has few, else none."""
        if isinstance(self.plain, type) and issubclass(self.plain, StrEnum):
            return tuple(self.plain)
        return (True, False) if self.plain is bool else ()


def toml_text(value: Any) -> str:
    """`value` as TOML writes it; None, which TOML cannot say, as `(unset)`."""
    match value:
        case None:
            return "(unset)"
        case bool():
            return str(value).lower()
        case timedelta():
            return f'"{format_duration(value)}"'
        case tuple() | list():
            return "[" + ", ".join(toml_text(item) for item in value) + "]"
        case dict():
            return "{" + ", ".join(f"{toml_text(name)} = {toml_text(item)}" for name, item in value.items()) + "}"
        case str():
            return msgspec.json.encode(str(value)).decode()
        case _:
            return str(value)


def is_section(field_type: Any) -> bool:
    """Whether a field is a section, not a key."""
    return isinstance(field_type, type) and issubclass(field_type, Struct)


def sections(struct: type[Struct] = Config, prefix: str = "") -> Iterator[tuple[str, type[Struct]]]:
    """Every section by its dotted name, in order."""
    for field in msgspec.structs.fields(struct):
        if is_section(field.type):
            yield prefix + field.name, field.type
            yield from sections(field.type, f"{prefix}{field.name}.")


def keys() -> dict[str, Key]:
    """Every key by its dotted name, in order."""
    named = (
        (f"{section}.{field.name}", field)
        for section, struct in sections()
        for field in msgspec.structs.fields(struct)
        if not is_section(field.type)
    )
    tables = ((field.name, field) for field in msgspec.structs.fields(Config) if not is_section(field.type))
    return {name: _key(name, field) for name, field in (*named, *tables)}


def _key(name: str, field: msgspec.structs.FieldInfo) -> Key:
    plain, *metas = get_args(field.type)
    extra: dict[str, Any] = {}
    for meta in metas:
        extra |= meta.extra or {}
    about: Meta = metas[-1]
    return Key(
        name=name,
        annotated=field.type,
        plain=plain,
        default={} if plain == dict[str, str] else field.default,
        description=about.description or "",
        examples=tuple(about.examples or ()),
        default_text=extra["default"],
        restart=extra["restart"],
        least=extra.get("least"),
        most=extra.get("most"),
    )


def restart_changes(before: Config, after: Config) -> list[str]:
    """The keys whose values differ and that only a restart takes up."""
    return [name for name, key in keys().items() if key.restart and _value(before, name) != _value(after, name)]


def _value(config: Config, name: str) -> object:
    return reduce(getattr, name.split("."), config)
