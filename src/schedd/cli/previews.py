"""Coming occurrences as lines for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from schedd.cli.spans import relative_text
from schedd.cli.views import instant
from schedd.v1.schedule_service_pb2 import PreviewOccurrence


def occurrence_lines(occurrences: Iterable[PreviewOccurrence], now: datetime) -> list[str]:
    """One line each: the local time with its offset, UTC, how far away it is, and what DST or spread did to it."""
    return [_line(item, now) for item in occurrences]


def _line(occurrence: PreviewOccurrence, now: datetime) -> str:
    nominal = instant(occurrence.nominal_time)
    note = f"  {occurrence.note}" if occurrence.note else ""
    local = datetime.fromisoformat(occurrence.local_time)
    fraction = f".{nominal.microsecond:06d}".rstrip("0") if nominal.microsecond else ""
    written = f"{local:%a %Y-%m-%d %H:%M:%S}{fraction}{local:%z}"
    return f"{written}  {nominal:%Y-%m-%dT%H:%M:%S}{fraction}Z  {relative_text(nominal, now)}{note}"
