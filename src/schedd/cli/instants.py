"""Coming instants of an expression as lines: local time, UTC, how far away, and what daylight saving does to them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

from schedd.cli.spans import relative_text
from schedd.core.triggers import Effect, Instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARKS = {
    Effect.MOVED_AFTER_GAP: ("gap", "its local time does not exist that day; it runs after the gap"),
    Effect.FIRST_OF_REPEATED: ("first", "its local time comes twice that day; this is the first"),
    Effect.SECOND_OF_REPEATED: ("second", "its local time comes twice that day; this is the second"),
    Effect.FOLLOWS_SKIPPED: ("skipped", "the local time before it falls in a gap and is skipped"),
    Effect.OFFSET_CHANGED: ("offset", "the zone's offset has changed since the one before"),
}
"""For each effect a word for the table, and what it means."""


def utc_text(at_us: int) -> str:
    """`2026-03-08T07:00:00Z`, `2026-03-08T07:00:00.5Z`."""
    moment = _moment(at_us)
    return f"{moment:%Y-%m-%dT%H:%M:%S}{_fraction(moment)}Z"


def local_of(item: Instant) -> datetime:
    """The local time of an instant, aware."""
    return _moment(item.nominal_us).astimezone(timezone(timedelta(seconds=item.utc_offset_s)))


def effect_meaning(effect: Effect) -> str:
    """What an effect is, in words."""
    return _MARKS[effect][1]


def instant_lines(items: Sequence[Instant], now: datetime, width: int | None) -> list[str]:
    """A line for each instant, no wider than `width` terminal cells (None: as wide as need be).

    Where there is room, a line says in words what daylight saving does; else it has a mark, and the marks are told below. How far away an
    instant is gives way first, then UTC.
    """
    lines = [_line(item, now, spoken=True) for item in items]
    if _fits(lines, width):
        return lines
    for distance, universal in ((True, True), (False, True), (False, False)):
        lines = [_line(item, now, distance=distance, universal=universal) for item in items]
        if _fits(lines, width):
            break
    return [*lines, *_legend(items, width)]


def _fits(lines: Sequence[str], width: int | None) -> bool:
    return width is None or max(map(len, lines), default=0) <= width


def _line(item: Instant, now: datetime, *, spoken: bool = False, distance: bool = True, universal: bool = True) -> str:
    local = local_of(item)
    parts = [f"{local:%a %Y-%m-%d %H:%M:%S}{_fraction(local)}{local:%z}"]
    parts += [utc_text(item.nominal_us)] if universal else []
    told = _told(item)
    mark = f"({'; '.join(_MARKS[effect][1] for effect in told)})" if spoken else ", ".join(_MARKS[effect][0] for effect in told)
    parts += [relative_text(_moment(item.nominal_us), now)] if distance else []
    return "  ".join([*parts, mark] if told else parts)


def _fraction(moment: datetime) -> str:
    return f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""


def _told(item: Instant) -> list[Effect]:
    """The effects that are worth a mark: that the offset has changed goes without saying beside another."""
    others = [effect for effect in item.effects if effect is not Effect.OFFSET_CHANGED]
    return list(others or item.effects)


def _legend(items: Sequence[Instant], width: int | None) -> list[str]:
    seen = {effect for item in items for effect in _told(item)}
    lines: list[str] = []
    for effect in _MARKS:
        if effect in seen:
            mark, meaning = _MARKS[effect]
            lines += textwrap.wrap(f"{mark}: {meaning}", width or 1000, subsequent_indent="  ")
    return lines


def _moment(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)
