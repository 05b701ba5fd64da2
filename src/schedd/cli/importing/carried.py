"""What an import yields: what could be carried over, with what could not be said of it, and what was refused, with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_NAME_MAX = 56
_PLACEHOLDER = re.compile(r"\{\{")


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """One line or unit as a schedule of a schedules file.

    `where` is its place, `text` how it was written there; `document` are the keys of the file's schedule; `notes` tell, one a line,
    what is otherwise than before.
    """

    where: str
    text: str
    document: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The schedule's name."""
        return str(self.document["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One line or unit that could not be carried over."""

    where: str
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """All of one import. `sources` are the files or units that were read; `defaults` hold for each schedule."""

    sources: tuple[str, ...]
    defaults: Mapping[str, Any]
    carried: tuple[Carried, ...] = ()
    refused: tuple[Refused, ...] = ()


@dataclass(slots=True)
class Names:
    """Gives out names that a schedule may have, each once: the second `backup` is `backup-2`."""

    taken: set[str] = field(default_factory=set)

    def name(self, *words: str) -> str:
        """A name made of these words, where they have letters or digits."""
        cleaned = [re.sub(r"[^A-Za-z0-9._-]+", "-", word).strip("-._") for word in words]
        stem = "-".join(word for word in cleaned if word)[:_NAME_MAX].strip("-._") or "job"
        name, count = stem, 1
        while name in self.taken:
            count += 1
            name = f"{stem}-{count}"
        self.taken.add(name)
        return name


def literal(text: str) -> str:
    """`text` for a field that is a template, so that braces in it stay what they are (`docker ps --format '{{.Names}}'`)."""
    return _PLACEHOLDER.sub("{{ '{{' }}", text)


def literals(values: Sequence[str]) -> list[str]:
    """Each of them for a field that is a template."""
    return [literal(value) for value in values]


def shown(text: str) -> str:
    r"""`text` as it may be shown: signs that a terminal or a file of text would obey are written out (`\x1b`)."""
    return "".join(sign if sign.isprintable() or sign == "\t" else sign.encode("unicode_escape").decode("ascii") for sign in text)
