"""What schedctl prints: data to stdout in the form that was asked for, messages to stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

from schedd.cli.tables import Cell, Column, painted, table_lines

if TYPE_CHECKING:
    from google.protobuf.message import Message

M = TypeVar("M", bound="Message")


class Format(StrEnum):
    """The forms of `-o`."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class View(Generic[M]):
    """How one kind of resource is shown: its name, and its row in a table."""

    name: Callable[[M], str]
    columns: Sequence[Column]
    row: Callable[[M], Sequence[Cell]]
    empty: str
    """What is said, to stderr, where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where and how to print."""

    format: Format = Format.TABLE
    quiet: bool = False
    verbose: bool = False

    def many(self, view: View[M], messages: Sequence[M]) -> None:
        """Print several resources."""
        match self.format:
            case Format.JSON:
                self.json([as_data(message) for message in messages])
            case Format.YAML:
                self.yaml([as_data(message) for message in messages])
            case Format.NAME:
                self.lines(view.name(message) for message in messages)
            case Format.TABLE if messages:
                self.table(view.columns, [view.row(message) for message in messages])
            case Format.TABLE:
                self.note(view.empty)

    def one(self, view: View[M], message: M, lines: Callable[[], Iterable[str]]) -> None:
        """Print one resource; `lines` tell a person about it."""
        match self.format:
            case Format.JSON:
                self.json(as_data(message))
            case Format.YAML:
                self.yaml(as_data(message))
            case Format.NAME:
                self.lines([view.name(message)])
            case Format.TABLE:
                self.lines(lines())

    def facts(self, message: Message, lines: Callable[[], Iterable[str]]) -> None:
        """Print an answer that is no resource: data for programs, `lines` for people."""
        match self.format:
            case Format.JSON:
                self.json(as_data(message))
            case Format.YAML:
                self.yaml(as_data(message))
            case Format.NAME | Format.TABLE:
                self.lines(lines())

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        """Print a table, fitted to the terminal if there is one."""
        self.lines(table_lines(columns, rows, width=terminal_width(), styled=self.styled))

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines of data."""
        for line in lines:
            sys.stdout.write(line + "\n")

    def data(self, value: Any) -> None:
        """Print a plain value as JSON or YAML; a table's caller prints its own lines."""
        if self.format is Format.YAML:
            self.yaml(value)
        else:
            self.json(value)

    def json(self, value: Any) -> None:
        """Print JSON, indented."""
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def json_line(self, value: Any) -> None:
        """Print JSON on one line."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")

    def flush(self) -> None:
        """Hand on what was printed so far: streams are read as they come."""
        sys.stdout.flush()

    def yaml(self, value: Any) -> None:
        """Print YAML."""
        import yaml

        yaml.safe_dump(value, sys.stdout, sort_keys=False, allow_unicode=True, width=1000)

    def note(self, text: str) -> None:
        """Tell a person something, on stderr, unless asked to be quiet."""
        if not self.quiet:
            sys.stderr.write(text + "\n")

    def detail(self, text: str) -> None:
        """Tell a person who asked for more, on stderr."""
        if self.verbose:
            sys.stderr.write(text + "\n")

    @property
    def styled(self) -> bool:
        """Whether stdout takes colours."""
        return takes_colour(sys.stdout)

    def paint(self, text: str, colour: str) -> str:
        """`text` in that colour, where stdout takes colours."""
        return painted(text, colour) if self.styled else text


def as_data(message: Message) -> Any:
    """A message as plain data: the proto's own field names, RFC 3339 times, what is at its default left out."""
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message, preserving_proto_field_name=True)


def takes_colour(stream: IO[str]) -> bool:
    """Whether `stream` is a terminal whose user wants colours (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_width() -> int | None:
    """The width of the terminal on stdout, None if there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
