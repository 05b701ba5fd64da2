"""systemd's unit files: finding them, with their drop-ins, and what they set, as systemd.unit(5) and systemd.syntax(7) have it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schedd.cli.document import Place

SYSTEM_PATHS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
USER_PATHS = (
    "~/.config/systemd/user",
    "/etc/systemd/user",
    "/run/systemd/user",
    "~/.local/share/systemd/user",
    "/usr/local/share/systemd/user",
    "/usr/share/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
    "/lib/systemd/user",
)

_TRUE = frozenset(("1", "yes", "y", "true", "t", "on"))
_FALSE = frozenset(("0", "no", "n", "false", "f", "off", ""))


class UnitError(Exception):
    """A unit cannot be found, read or carried over; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One assignment of a unit file."""

    section: str
    key: str
    value: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit and its settings, in the order in which they hold: the file's, then its drop-ins'."""

    name: str
    path: Path
    settings: tuple[Setting, ...]

    def last(self, section: str, key: str) -> str:
        """The value that holds for a key that has one; empty where it is not set."""
        return next((item.value for item in reversed(self.settings) if (item.section, item.key) == (section, key)), "")

    def all(self, section: str, key: str) -> list[str]:
        """The values of a key that collects them; an empty assignment forgets those before it."""
        found: list[str] = []
        for item in self.settings:
            if (item.section, item.key) == (section, key):
                found = [*found, item.value] if item.value else []
        return found

    def flag(self, section: str, key: str) -> bool:
        """A yes or no; no where it is not set. Raises: UnitError."""
        value = self.last(section, key)
        if value.lower() not in _TRUE | _FALSE:
            raise UnitError(f"{key}={value} is neither yes nor no")
        return value.lower() in _TRUE

    def keys(self, section: str) -> list[str]:
        """The keys of a section that are set to something, each once."""
        keys = dict.fromkeys(item.key for item in self.settings if item.section == section)
        return [key for key in keys if self.last(section, key)]


@dataclass(frozen=True, slots=True)
class UnitFiles:
    """The directories that hold units, the foremost first."""

    directories: tuple[Path, ...]

    @classmethod
    def of(cls, *, user: bool) -> UnitFiles:
        """Those of this host's system manager, or of a user's own."""
        return cls(tuple(Path(path).expanduser() for path in (USER_PATHS if user else SYSTEM_PATHS)))

    def beside(self, path: Path) -> UnitFiles:
        """These directories, behind that of `path`."""
        return UnitFiles((path.parent, *self.directories))

    def load(self, name: str) -> Unit:
        """The unit of that name (`backup@home.timer` is in `backup@.timer`). Raises: UnitError."""
        names = [name, _template(name)] if _template(name) != name else [name]
        path = next((directory / item for item in names for directory in self.directories if (directory / item).exists()), None)
        if path is None:
            raise UnitError(f"{name} is not there: looked in {', '.join(map(str, self.directories))}")
        if os.path.realpath(path) == os.devnull or path.stat().st_size == 0:
            raise UnitError(f"{name} is masked: {path} is empty, or a link to /dev/null")
        files = (path, *self._drop_ins(names))
        return Unit(name=name, path=path, settings=tuple(setting for file in files for setting in _settings(file)))

    def _drop_ins(self, names: list[str]) -> list[Path]:
        """The drop-ins in the order of their file names; of two with one name, the foremost directory's."""
        found: dict[str, Path] = {}
        folders = [f"{folder}.d" for name in names for folder in _drop_in_folders(name)]
        for folder in folders:
            for directory in self.directories:
                for path in sorted((directory / folder).glob("*.conf")):
                    found.setdefault(path.name, path)
        return [found[name] for name in sorted(found) if os.path.realpath(found[name]) != os.devnull]


def instance_of(name: str) -> str:
    """What stands between `@` and the type; empty for a unit that is no instance."""
    return name.rpartition(".")[0].partition("@")[2]


def _template(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    prefix, at, _ = stem.partition("@")
    return f"{prefix}@.{kind}" if at else name


def _drop_in_folders(name: str) -> Iterator[str]:
    """`a-b.timer`, `a-.timer`, `timer`: the most special first."""
    yield name
    stem, _, kind = name.rpartition(".")
    while "-" in stem.rstrip("-"):
        stem = stem.rstrip("-").rpartition("-")[0] + "-"
        yield f"{stem}.{kind}"
    yield kind


def _settings(path: Path) -> Iterator[Setting]:
    section = ""
    for number, line in _logical_lines(path):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if not equals or not section:
            raise UnitError(f"{path}:{number}: {line!r} is no assignment of a section")
        yield Setting(section=section, key=key.strip(), value=value.strip(), place=Place(file=str(path), line=number))


def _logical_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that say something, joined where a backslash ends one, with the number of their first."""
    started, parts = 0, list[str]()
    for number, raw in enumerate(_text(path).split("\n"), 1):
        if re.match(r"\s*[#;]", raw) or (not parts and not raw.strip()):
            continue
        started = started if parts else number
        parts.append(raw.removesuffix("\\"))
        if not raw.endswith("\\"):
            yield started, " ".join(parts).strip()
            parts = []
    if parts:
        yield started, " ".join(parts).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnitError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnitError(f"{path} is not UTF-8 text: byte {error.start}") from error
