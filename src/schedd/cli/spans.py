"""Durations and instants as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

_UNITS_US = {
    **dict.fromkeys(("us", "µs"), 1),
    "ms": 1_000,
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1_000_000),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60_000_000),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3_600_000_000),
    **dict.fromkeys(("d", "day", "days"), 86_400_000_000),
    **dict.fromkeys(("w", "week", "weeks"), 604_800_000_000),
}
_STEP = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zµ]+)", re.IGNORECASE)
_ISO = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE)
_ISO_UNITS = ("w", "d", "h", "m", "s")
_LONGEST_DAYS = 366 * 100

_FORMS = "write a number with a unit, such as 30s, 10m, 1h30m or 2d"


def parse_duration(text: str) -> timedelta:
    """The duration that `text` writes: `500ms`, `30s`, `1h30m`, `1.5h`, `2 days`, or ISO 8601 (`PT10M`). Raises: ValueError."""
    written = text.strip()
    parts = _iso_parts(written) if written[:1] in ("P", "p") else _unit_parts(written)
    total_us = sum(round(float(number) * _UNITS_US[unit]) for number, unit in parts)
    if total_us > _LONGEST_DAYS * _UNITS_US["d"]:
        raise ValueError(f"{text!r} is longer than a hundred years")
    return timedelta(microseconds=total_us)


def _iso_parts(text: str) -> list[tuple[str, str]]:
    match = _ISO.fullmatch(text)
    parts = [(number, unit) for number, unit in zip(match.groups(), _ISO_UNITS, strict=True) if number] if match else []
    if not parts:
        raise ValueError(f"{text!r} is not an ISO 8601 duration such as PT10M or P1DT2H")
    return parts


def _unit_parts(text: str) -> list[tuple[str, str]]:
    parts, position = [], 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is not a duration: {_FORMS}")
        if match[2].lower() not in _UNITS_US:
            raise ValueError(f"{text!r} has the unknown unit {match[2]!r}: {_FORMS}")
        parts.append((match[1], match[2].lower()))
        position = match.end()
    if not parts:
        raise ValueError(f"a duration is missing: {_FORMS}")
    return parts


def duration_text(span: timedelta) -> str:
    """`span` exactly, in the form that `parse_duration` reads: `1h30m`, `2d`, `1.5s`, `250ms`, `0s`."""
    rest_us = round(span / timedelta(microseconds=1))
    if rest_us < 0:
        return "-" + duration_text(-span)
    if 0 < rest_us < 1_000:
        return f"{rest_us}us"
    if 0 < rest_us < 1_000_000:
        return f"{_decimal(rest_us / 1_000)}ms"
    text = ""
    for unit in ("d", "h", "m"):
        count, rest_us = divmod(rest_us, _UNITS_US[unit])
        text += f"{count}{unit}" if count else ""
    return text + (f"{_decimal(rest_us / 1_000_000)}s" if rest_us or not text else "")


def _decimal(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def rough_text(span: timedelta) -> str:
    """`span` with one or two units, for a glance: `340ms`, `12s`, `3m 20s`, `5h 2m`, `3d 4h`, `8 weeks`."""
    seconds = abs(span / timedelta(seconds=1))
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 and seconds % 1 >= 0.05 else f"{int(seconds)}s"
    for limit, large, small in ((3600, 60, 1), (86_400, 3600, 60), (14 * 86_400, 86_400, 3600)):
        if seconds < limit:
            count, rest = divmod(int(seconds), large)
            units = {60: "m", 1: "s", 3600: "h", 86_400: "d"}
            return f"{count}{units[large]}" + (f" {rest // small}{units[small]}" if rest >= small else "")
    days = int(seconds // 86_400)
    return f"{days // 7} weeks" if days < 120 else f"{days // 30} months" if days < 730 else f"{days // 365} years"


def whole_text(span: timedelta) -> str:
    """As `rough_text`, in whole seconds at least: `0s`, `3s`, `3m 20s`."""
    return rough_text(span) if abs(span) >= timedelta(seconds=10) else f"{int(abs(span).total_seconds())}s"


def relative_text(instant: datetime, now: datetime) -> str:
    """`in 5m 3s`, `2h 10m ago`, `now`."""
    span = instant - now
    if abs(span) < timedelta(seconds=1):
        return "now"
    return f"in {whole_text(span)}" if span > timedelta(0) else f"{whole_text(span)} ago"


def instant_text(instant: datetime, zone: tzinfo | None = None) -> str:
    """`Tue 2026-11-24 06:00:00 EST`: to the second, in that zone (None: this machine's)."""
    local = instant.astimezone(zone)
    return f"{local:%a %Y-%m-%d %H:%M:%S %Z}"


def glance_text(instant: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """The shortest form that says when, seen from `now`: `06:00:00` today, `Wed 06:00` within six days, `2026-12-24 06:00` else."""
    local, today = instant.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M:%S}"
    if abs(local.date() - today.date()) < timedelta(days=6):
        return f"{local:%a %H:%M}"
    return f"{local:%Y-%m-%d %H:%M}"


def parse_instant(text: str, zone: tzinfo = UTC) -> datetime:
    """The UTC instant of ISO 8601 `text`, read in `zone` where it has no offset of its own. Raises: ValueError."""
    try:
        written = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a time: write 2026-12-24T09:00:00, with Z or an offset for other zones") from None
    return (written if written.tzinfo is not None else written.replace(tzinfo=zone)).astimezone(UTC)
