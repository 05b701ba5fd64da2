"""A service's `Limit…=` as the resource limits of a process target. Source: systemd.exec(5), Process Properties."""

from __future__ import annotations

import math
import re
from typing import Any

from schedd.cli.importing.units import Unit, UnitError
from schedd.cli.importing.unitvalues import span_of

_FIELDS = {
    "LimitCPU": "cpu_time",
    "LimitAS": "address_space_bytes",
    "LimitFSIZE": "file_size_bytes",
    "LimitNOFILE": "open_files",
    "LimitNPROC": "processes",
    "LimitCORE": "core_size_bytes",
}
LIMIT_KEYS = frozenset(_FIELDS)
"""The settings that are carried over; the other limits have no counterpart."""
_NUMBER = re.compile(r"(\d+)([KMGTPE]?)")


def resource_limits(unit: Unit, section: str, notes: list[str]) -> dict[str, Any]:
    """The limits that the unit sets; `notes` get what is otherwise. Raises: UnitError for what is no limit."""
    limits: dict[str, Any] = {}
    for key, field in _FIELDS.items():
        written = unit.last(section, key)
        soft, colon, hard = written.partition(":")
        if soft == "infinity":
            notes.append(f"{key}={written}: it stays as the daemon has it")
        elif soft:
            limits[field] = f"{_seconds(soft)}s" if field == "cpu_time" else _number(key, soft)
        if soft and colon and soft != hard:
            notes.append(f"{key}={written}: a process cannot raise its limit, {soft} holds")
    return limits


def _seconds(text: str) -> int:
    """Seconds, rounded up as systemd does."""
    span = span_of(text)
    assert span is not None, "infinity was looked at"
    return max(math.ceil(span.total_seconds()), 1)


def _number(key: str, text: str) -> int:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise UnitError(f"{key}={text} is not a number such as 1024 or 64M")
    return int(match[1]) << 10 * " KMGTPE".index(match[2] or " ")
