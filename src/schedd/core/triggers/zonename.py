"""Names of time zones: which are accepted, and the nearest to one that is not."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from schedd.core.errors import ExpressionError
from schedd.core.triggers.zone import Zone, load_zone
from schedd.core.triggers.zonehints import zone_hint

_NOT_PLACES: Final = frozenset({"localtime", "posixrules", "Factory"})
"""Files beside the zones that zoneinfo opens: they mean whatever the host is set to."""

_LENGTHS_APART: Final = 4
_LONGEST: Final = 64
"""More than any name: what is longer is not compared to the end."""


def zone_named(name: str) -> Zone:
    """The zone of an IANA name.

    Raises: ExpressionError, part `time_zone`, with the nearest name as the suggestion.
    """
    if not is_zone(name):
        raise ExpressionError(
            text=name,
            part="time_zone",
            reason=f"`{name[:_LONGEST]}` is not an IANA time zone",
            length=max(1, len(name)),
            suggestion=_nearest(name),
        )
    return load_zone(name)


def is_zone(name: str) -> bool:
    """Whether a name is one of the IANA database's, in its spelling."""
    return len(name) <= _LONGEST and _is_zone(name)


@lru_cache(maxsize=4096)
def _is_zone(name: str) -> bool:
    if name in _NOT_PLACES or name.startswith(("posix/", "right/")):
        return False
    try:
        return ZoneInfo(name).key == name
    except (KeyError, ValueError, OSError):
        return False


def zone_data_version(directories: Iterable[str] | None = None) -> str:
    """The version of the time zone data that zoneinfo reads, such as `2025b`: the host's, else the tzdata package's; empty if unknown.

    `directories`: where it looks; those of zoneinfo if not given.
    """
    for directory in map(Path, zoneinfo.TZPATH if directories is None else directories):
        if (directory / "UTC").exists():
            return _version_of(directory)
    return version("tzdata")


def _version_of(directory: Path) -> str:
    """What the first line of `tzdata.zi` says, where a distribution ships it."""
    try:
        with (directory / "tzdata.zi").open(encoding="utf-8", errors="replace") as text:
            first = text.readline()
    except OSError:
        return ""
    return first.removeprefix("# version ").strip()


def renamed_to(name: str) -> str:
    """What a zone that is gone is called now, or the nearest name, as a suggestion."""
    now = _links().get(name, "")
    return f"it is called `{now}` now" if now and is_zone(now) else _nearest(name)


@lru_cache(maxsize=1)
def _links() -> dict[str, str]:
    """The names that the data tells to be others' old ones (its `backward` file), with what they stand for."""
    found: dict[str, str] = {}
    for source in (*(Path(directory) / "tzdata.zi" for directory in zoneinfo.TZPATH), files("tzdata") / "zoneinfo" / "tzdata.zi"):
        try:
            lines = source.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for parts in (line.split() for line in lines if line.startswith("L ")):
            found.setdefault(parts[2], parts[1])
    return found


@lru_cache(maxsize=1)
def _known() -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """The zones by region and place, and by place alone, in lower case; once, because it walks the files of the database."""
    by_region: dict[str, dict[str, str]] = {"": {}}
    places: dict[str, str] = {}
    for zone in sorted(available_timezones() - _NOT_PLACES):
        region, _, place = zone.lower().rpartition("/")
        by_region.setdefault(region, {})[place] = places[place] = zone
    return by_region, places


def _nearest(name: str) -> str:
    if (hint := zone_hint(name)) != "":
        return hint
    by_region, places = _known()
    region, _, place = name[:_LONGEST].lower().replace(" ", "_").rpartition("/")
    meant = next(iter(get_close_matches(region, by_region, 1, 0.6)), "")
    for candidates, likeness in ((by_region[meant], 0.6), (places, 0.7)):
        for near in get_close_matches(place, _alike(place, candidates), 1, likeness):
            return f"did you mean `{candidates[near]}`?"
    return "a name such as `Europe/Berlin` or `UTC`"


def _alike(wanted: str, names: Iterable[str]) -> list[str]:
    """The names that begin as what is wanted and are about as long: comparing with all of them takes milliseconds."""
    return [name for name in names if name[0] == wanted[:1] and abs(len(name) - len(wanted)) <= _LENGTHS_APART]
