"""Local times and instants as ISO 8601 writes them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_LOCAL: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?")


def parse_local_time(text: str) -> datetime | None:
    """The naive datetime of `yyyy-mm-ddThh:mm:ss`; None for anything else."""
    return _read(text) if _LOCAL.fullmatch(text) is not None else None


def parse_moment(text: str) -> datetime | None:
    """The datetime of an ISO 8601 date and time, aware when it has an offset; None for anything else."""
    return _read(text) if _INSTANT.fullmatch(text) is not None else None


def impossible(text: str) -> str:
    """Why an ISO 8601 date and time does not exist; empty for one that does, and for anything else."""
    if _INSTANT.fullmatch(text) is None:
        return ""
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        return str(error)
    return ""


def _read(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
