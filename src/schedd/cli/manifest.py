"""Schedules files: YAML or JSON, one document or several, into the API's schedules. Everything that is wrong is told at once.

A document is `schedules: [...]`, with `defaults:` for all of them if wanted, and `calendars: [...]`; or a list of schedules, or one
schedule.
"""

from __future__ import annotations

import sys
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path

from schedd.cli.document import Entry, FileFault, Place, read_documents, read_file
from schedd.cli.failures import CommandError, UsageFault
from schedd.cli.fields import Fields, Reading, Shape
from schedd.cli.names import DEFAULT_GROUP, schedule_name
from schedd.cli.shapes import SCHEDULE_ELSEWHERE, SCHEDULE_KEYS, SHAPES
from schedd.v1.calendar_pb2 import Calendar
from schedd.v1.schedule_pb2 import Schedule

_ENDINGS = (".yaml", ".yml", ".json")
_SCHEDULE = Schedule.DESCRIPTOR.full_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Something that a file has: where it stands, and where each of its fields does, by the API's path."""

    place: Place
    places: dict[str, Place] = field(default_factory=dict)

    def place_of(self, path: str) -> Place:
        """The line of the field at `path`, or of the nearest one above it that the file has."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.place


@dataclass(frozen=True, slots=True, kw_only=True)
class Written(Located):
    """A schedule as a file has it."""

    schedule: Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenCalendar(Located):
    """A calendar as a file has it."""

    calendar: Calendar


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What some files have."""

    schedules: list[Written]
    calendars: list[WrittenCalendar]


class ManifestError(CommandError):
    """Something is wrong in the files; every fault is a line with file and line number."""

    def __init__(self, faults: Sequence[FileFault]) -> None:
        count = len(faults)
        number = "one fault" if count == 1 else f"{count} faults"
        super().__init__(f"the schedules cannot be read: {number}", [str(fault) for fault in faults])
        self.faults = tuple(faults)


def load_files(sources: Sequence[str]) -> Manifest:
    """What these files, directories (of .yaml, .yml and .json files) or `-` (stdin) have. Raises: ManifestError, UsageFault."""
    faults: list[FileFault] = []
    documents = [document for source in sources for document in _documents(source, faults)]
    calendars = _calendars(documents)
    return Manifest(schedules=_schedules(documents, faults), calendars=calendars)


def load_manifest(sources: Sequence[str]) -> list[Written]:
    """The schedules in these files, as `load_files` has them. Raises: ManifestError, UsageFault."""
    return load_files(sources).schedules


def parse_manifest(text: str, file: str) -> list[Written]:
    """The schedules in `text`, which is called `file` in messages. Raises: ManifestError."""
    faults: list[FileFault] = []
    return _schedules(read_documents(text, file, faults), faults)


def _documents(source: str, faults: list[FileFault]) -> list[Entry]:
    if source == "-":
        return read_documents(sys.stdin.read(), "stdin", faults)
    path = Path(source)
    if not path.is_dir():
        return read_file(path, faults)
    files = sorted(item for item in path.rglob("*") if item.suffix in _ENDINGS and item.is_file())
    if not files:
        raise UsageFault(f"{source} has no file that ends in .yaml, .yml or .json")
    return [document for item in files for document in read_file(item, faults)]


def _schedules(documents: Sequence[Entry], faults: list[FileFault]) -> list[Written]:
    found: dict[str, Written] = {}
    for document in documents:
        for entry, defaults in _entries(document):
            written = _read_schedule(entry, defaults)
            name = written.schedule.name
            if name and name in found:
                entry.wrong(f"{name} is there already, at {found[name].place}")
            found.setdefault(name or str(written.place), written)
    if faults:
        # Defaults are read once for each schedule, and find the same faults each time.
        raise ManifestError(sorted(dict.fromkeys(faults), key=lambda fault: (fault.place.file, fault.place.line)))
    return list(found.values())


def _entries(document: Entry) -> Iterator[tuple[Entry, Entry | None]]:
    if document.is_list:
        yield from ((item, None) for item in document.items())
    elif document.is_mapping and any(key in ("schedules", "calendars") for key, _ in document.pairs()):
        parts = document.keys(("schedules", "defaults", "calendars"))
        if "schedules" in parts:
            schedules = parts["schedules"]
            if schedules.is_mapping and "name" not in dict(schedules.pairs()):
                schedules.wrong("has to be a list: begin each schedule with a dash, as in `- name: backup`")
                return
            yield from ((item, parts.get("defaults")) for item in schedules.items())
    elif document.is_mapping:
        yield document, None
    else:
        document.wrong("has to be `schedules:` with a list, a list of schedules, or one schedule")


def _calendars(documents: Sequence[Entry]) -> list[WrittenCalendar]:
    """The calendars of the documents; what is wrong with them is noted in the documents' faults."""
    found: dict[str, WrittenCalendar] = {}
    for document in documents:
        parts = dict(document.pairs()) if document.is_mapping else {}
        for entry in parts["calendars"].items() if "calendars" in parts else ():
            calendar, reading = Calendar(), Reading()
            before = len(entry.faults)
            Fields(SHAPES, reading).read(entry, calendar, "")
            if len(entry.faults) == before:
                for key in ("name", "entries"):
                    if not getattr(calendar, key):
                        entry.wrong(f"lacks {key!r}")
            if calendar.name and calendar.name in found:
                entry.wrong(f"{calendar.name} is there already, at {found[calendar.name].place}")
            found.setdefault(
                calendar.name or str(entry.place), WrittenCalendar(calendar=calendar, place=entry.place, places=reading.places)
            )
    return list(found.values())


def _read_schedule(entry: Entry, defaults: Entry | None) -> Written:
    schedule = Schedule()
    reading = Reading(zone=_zone(entry, defaults))
    own = {key for key, _ in entry.pairs()} if entry.is_mapping else set()
    inherited = Reading(zone=reading.zone)
    if defaults is not None:
        Fields(_shapes(shadowed=own), inherited).read(defaults, schedule, "")
    before = len(entry.faults)
    Fields(_shapes(shadowed=set()), reading).read(entry, schedule, "")
    if entry.is_mapping and len(entry.faults) == before:
        _complete(entry, schedule)
    return Written(schedule=schedule, place=entry.place, places={**inherited.places, **reading.places})


def _shapes(*, shadowed: set[str]) -> dict[str, Shape]:
    """The shapes, with a schedule's own; keys that are `shadowed` are passed over (defaults that the schedule itself sets)."""
    keys = {**SCHEDULE_KEYS, "name": _read_name, "group": _read_group}
    passing = dict.fromkeys(shadowed, _pass)
    return {**SHAPES, _SCHEDULE: Shape(keys={**keys, **passing}, partial=True, elsewhere=SCHEDULE_ELSEWHERE)}


def _pass(fields: Fields, entry: Entry, schedule: Schedule, path: str) -> None:
    """A default that the schedule sets itself."""


def _read_name(fields: Fields, entry: Entry, schedule: Schedule, path: str) -> None:
    fields.reading.places.setdefault("name", entry.place)
    try:
        name = schedule_name(entry.text())
    except UsageFault as fault:
        entry.wrong(str(fault))
        return
    # A group that was read before is joined to a bare name; a name with its own group wins.
    group = schedule.name.removeprefix("groups/").partition("/")[0] if schedule.name else ""
    schedule.name = schedule_name(f"{group}/{entry.text()}") if group and "/" not in entry.text() else name


def _read_group(fields: Fields, entry: Entry, schedule: Schedule, path: str) -> None:
    group = entry.text()
    if "/" in group:
        entry.wrong(f"{group!r} is not a group's name: it has no slash")
    elif not schedule.name:
        schedule.name = f"groups/{group}/schedules/"
    elif schedule.name.startswith(f"groups/{DEFAULT_GROUP}/"):
        schedule.name = f"groups/{group}/schedules/{schedule.name.rsplit('/', 1)[-1]}"


def _complete(entry: Entry, schedule: Schedule) -> None:
    if not schedule.name or schedule.name.endswith("/"):
        entry.wrong("lacks 'name'")
    if not schedule.triggers:
        entry.wrong("lacks a time: `schedule`, `cron`, `every`, `at` or `triggers`")
    if schedule.target.WhichOneof("kind") is None:
        entry.wrong("lacks a target: `http` or `process`")


def _zone(entry: Entry, defaults: Entry | None) -> tzinfo:
    for source in (entry, defaults):
        if source is None or not source.is_mapping:
            continue
        for key, value in source.pairs():
            if key == "time_zone":
                return _zone_of(value)
    return UTC


def _zone_of(entry: Entry) -> tzinfo:
    return _zone_named(str(entry.node.value))


def _zone_named(name: str) -> tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return UTC  # the server says what is wrong with it, in its own words


def read_one(document: dict[str, object]) -> Schedule:
    """The schedule that plain data in a file's form means. Raises: ManifestError."""
    import json

    return parse_manifest(json.dumps(document), "the command line")[0].schedule


def read_part(text: str, time_zone: str) -> tuple[Schedule, list[str]]:
    """Some keys of a schedule, as a file has them, and the paths of the API's fields that they set. Raises: ManifestError.

    Local times are in `time_zone` unless the text itself names one.
    """
    faults: list[FileFault] = []
    schedule, reading = Schedule(), Reading()
    for entry in read_documents(text, "the command line", faults):
        zone = _zone(entry, None)
        reading = Reading(zone=zone if zone is not UTC else _zone_named(time_zone))
        Fields(_shapes(shadowed=set()), reading).read(entry, schedule, "")
    if faults:
        raise ManifestError(faults)
    return schedule, _mask(reading.places)


def _mask(places: dict[str, Place]) -> list[str]:
    """The outermost paths that a mask can name: policies one by one, everything else as a whole; no path goes into a list."""
    paths = {path.split("[")[0].lstrip(".") for path in places}
    outer = {".".join(path.split(".")[: 2 if path.startswith("policies.") else 1]) for path in paths if path}
    return sorted(outer - {"policies", "name"})
