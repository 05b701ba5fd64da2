"""YAML and JSON files read value by value: each knows its line, and what is wrong with it is collected, not raised one by one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import yaml

from schedd.cli.spans import parse_duration

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_INTEGER = re.compile(r"[-+]?\d+|0o[0-7]+|0x[0-9a-fA-F]+")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NOWHERE: Mapping[str, str] = {}
_DEEPEST = 64
_MOST_VALUES = 100_000
_LARGEST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """One thing that is wrong in a file; `path` is the key's path, empty where there is none."""

    place: Place
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: {self.message}" if self.path else f"{self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a file. Its readers give the value, or note a fault in `faults` and give something harmless."""

    node: yaml.Node
    file: str
    path: str
    faults: list[FileFault] = field(repr=False)

    @property
    def place(self) -> Place:
        """Where the value stands."""
        return Place(file=self.file, line=self.node.start_mark.line + 1)

    def wrong(self, message: str) -> None:
        """Note that something is wrong with this value."""
        self.faults.append(FileFault(place=self.place, path=self.path, message=message))

    @property
    def is_mapping(self) -> bool:
        """Whether it has keys."""
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        """Whether it has items."""
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_empty(self) -> bool:
        """Whether nothing, or null, is written there."""
        return isinstance(self.node, yaml.ScalarNode) and _is_plain(self.node) and self.node.value in _NULL

    def items(self) -> list[Entry]:
        """The items of a list; a single value counts as a list of one."""
        if not isinstance(self.node, yaml.SequenceNode):
            return [self]
        return [Entry(item, self.file, f"{self.path}[{index}]", self.faults) for index, item in enumerate(self.node.value)]

    def pairs(self) -> Iterator[tuple[str, Entry]]:
        """The keys and values of a mapping, in the order of the file; a repeated key is a fault."""
        if not isinstance(self.node, yaml.MappingNode):
            self.wrong("has to be a mapping of keys to values")
            return
        seen: set[str] = set()
        for key_node, value_node in self.node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            entry = Entry(value_node, self.file, f"{self.path}.{key}" if self.path else key, self.faults)
            if not key or key in seen:
                Entry(key_node, self.file, self.path, self.faults).wrong(
                    f"has the key {key!r} twice" if key else "has a key that is not text"
                )
                continue
            seen.add(key)
            yield key, entry

    def keys(self, known: Collection[str], elsewhere: Mapping[str, str] = _NOWHERE) -> dict[str, Entry]:
        """The values by key; a key that is not `known` is a fault that names the nearest one. Empty values are left out.

        `elsewhere` says of keys that are known in other places where those are.
        """
        found = {}
        for key, entry in self.pairs():
            if key not in known:
                entry.wrong(f"is not known here: {elsewhere[key]}" if key in elsewhere else _unknown_key(key, known))
            elif not entry.is_empty:
                found[key] = entry
        return found

    def text(self) -> str:
        """The text as it is written, whatever YAML would take it for (`1.10`, `no` and `2026-12-24` stay what they are)."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.wrong("has to be text")
            return ""
        if self.is_empty:
            self.wrong("is empty")
        return str(self.node.value)

    def texts(self) -> dict[str, str]:
        """A mapping of text to text."""
        return {key: "" if entry.is_empty else entry.text() for key, entry in self.pairs()}

    def integer(self) -> int:
        """A whole number."""
        text = self._plain()
        if _INTEGER.fullmatch(text) is None:
            self.wrong(f"{text!r} is not a whole number")
            return 0
        return int(text, 0) if text.lower().startswith(("0o", "0x")) else int(text)

    def number(self) -> float:
        """A number, whole or not."""
        text = self._plain()
        if _NUMBER.fullmatch(text) is None:
            self.wrong(f"{text!r} is not a number")
            return 0.0
        return float(text)

    def flag(self) -> bool:
        """`true` or `false`."""
        text = self._plain()
        if text not in _FLAGS:
            self.wrong(f"{text!r} is neither true nor false")
        return _FLAGS.get(text, False)

    def duration(self) -> timedelta:
        """A duration such as `10m`."""
        try:
            return parse_duration(self._plain())
        except ValueError as error:
            self.wrong(str(error))
            return timedelta(0)

    def instant(self) -> datetime | None:
        """A time with an offset of its own, or a local one without."""
        text = self._plain()
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            self.wrong(f"{text!r} is not a time: write 2026-12-24T09:00:00Z, or without Z in the schedule's zone")
            return None

    def choice(self, names: Collection[str]) -> str:
        """One of `names`, which are UPPER_SNAKE; lower case and dashes are taken too. Empty if it is none of them."""
        text = self._plain()
        name = text.upper().replace("-", "_").replace(" ", "_")
        if name in names:
            return name
        self.wrong(f"{text!r} is not known: {_one_of(names)}{_nearest(name, names)}")
        return ""

    def value(self) -> Json:
        """Whatever stands there, as JSON would have it (YAML 1.2: `no` and `on` are text)."""
        return self._json(self.node, 0, iter(range(_MOST_VALUES)))

    def _plain(self) -> str:
        return self.text().strip()

    def _json(self, node: yaml.Node, depth: int, budget: Iterator[int]) -> Json:
        # Aliases can nest without end, or unfold to more than any payload holds.
        if depth > _DEEPEST or next(budget, None) is None:
            self.wrong(f"is nested deeper than {_DEEPEST} levels, or has more than {_MOST_VALUES} values")
            return None
        match node:
            case yaml.MappingNode():
                return {str(key.value): self._json(item, depth + 1, budget) for key, item in node.value}
            case yaml.SequenceNode():
                return [self._json(item, depth + 1, budget) for item in node.value]
            case yaml.ScalarNode():
                return _json_scalar(str(node.value), plain=_is_plain(node))
            case _:
                return None


def _is_plain(node: yaml.ScalarNode) -> bool:
    return not node.style  # None from the loader in Python, empty from the one in C


def _json_scalar(text: str, *, plain: bool) -> Json:
    if not plain:
        return text
    if text in _NULL:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text.lower().startswith(("0o", "0x")) else int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def read_documents(text: str, file: str, faults: list[FileFault]) -> list[Entry]:
    """The documents of a YAML or JSON text; faults of its syntax are noted, and what came before them is given."""
    if len(text) > _LARGEST_BYTES:
        faults.append(FileFault(place=Place(file=file, line=1), path="", message="is larger than 16 MiB"))
        return []
    if file.endswith(".json"):
        text = text.replace("\t", " ")  # legal between JSON's tokens, refused by YAML; inside JSON strings a tab has to be escaped
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents = []
    try:
        for node in yaml.compose_all(text, Loader=loader):
            documents.append(Entry(node, file, "", faults))  # noqa: PERF401 - those before a fault are kept
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        faults.append(FileFault(place=Place(file=file, line=line), path="", message=f"cannot be read: {error.problem or error.context}"))
    except yaml.YAMLError as error:
        faults.append(FileFault(place=Place(file=file, line=1), path="", message=f"cannot be read: {error}"))
    return documents


def read_file(path: Path, faults: list[FileFault]) -> list[Entry]:
    """The documents of a file."""
    try:
        return read_documents(path.read_text(encoding="utf-8"), str(path), faults)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        message = "is not UTF-8 text"
    faults.append(FileFault(place=Place(file=str(path), line=1), path="", message=message))
    return []


def _unknown_key(key: str, known: Collection[str]) -> str:
    return f"is not a key that schedd knows{_nearest(key, known) or '; known are ' + ', '.join(sorted(known))}"


def _nearest(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _one_of(names: Collection[str]) -> str:
    return "write " + " or ".join(part for part in (", ".join(list(names)[:-1]), list(names)[-1]) if part)
