"""Many expressions at once: a JSON line in, a JSON line out, in the same order, without a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from io import BufferedIOBase
from typing import Any, BinaryIO, Final

from schedd.core.errors import ExpressionError
from schedd.core.model.when import Cron, Expression, OnCalendar, Recurrence, Trigger, When
from schedd.core.triggers import Dialect, compile_when, dialect_of
from schedd.core.triggers.civil import instant_us
from schedd.core.triggers.zonename import zone_named

COUNT_MAX: Final = 10_000
LINE_MAX: Final = 256 * 1024
"""The longest line in bytes; what is longer is answered with an error."""
_PLACE: Final = "triggers[0]: "
_CHUNK: Final = 64 * 1024
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - local times and UTC are counted from it alike

_EVENTBRIDGE: Final = frozenset({Dialect.EVENTBRIDGE_CRON, Dialect.EVENTBRIDGE_RATE, Dialect.EVENTBRIDGE_AT})
_DIALECTS: Final = {
    **{str(dialect): frozenset({dialect}) for dialect in Dialect},
    "unix5": frozenset({Dialect.CRON5}),
    "unix5+ext": frozenset({Dialect.CRON5}),
    "cron6-sec-first": frozenset({Dialect.CRON6}),
    "cron7-sec-first-year-last": frozenset({Dialect.CRON7}),
    "macro": frozenset({Dialect.MACRO, Dialect.AT_START, Dialect.INTERVAL}),
    "aws": _EVENTBRIDGE,
    "temporal-interval": frozenset({Dialect.INTERVAL}),
    "systemd-oncalendar": frozenset({Dialect.ON_CALENDAR}),
}
_REFUSED: Final = {
    "quartz": "schedd does not read Quartz: its weekdays count from Sunday = 1; with weekdays as names it is cron6 or cron7",
    "cron6-sec-last": "schedd does not read seconds at the end: put them first, and the dialect is cron6-sec-first",
    "cron7-sec-year-last": "schedd does not read seconds after the weekday: put them first, and the dialect is cron7-sec-first-year-last",
    "temporal-spec": "schedd does not read Temporal's calendar specs",
}
_FORCED: Final[dict[str, Callable[[str], Trigger]]] = {
    **dict.fromkeys(
        ("unix5", "unix5+ext", "cron5", "cron6", "cron7", "cron6-sec-first", "cron7-sec-first-year-last"),
        lambda text: Cron(text=text),
    ),
    **dict.fromkeys(("systemd-oncalendar", "oncalendar"), lambda text: OnCalendar(text=text)),
    "rrule": lambda text: Recurrence(text=text),
}
"""Dialects that are taken at their word, where the form alone might say another."""


class QueryFault(Exception):
    """A line asks for something that cannot be meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a line has that does not say it."""

    time_zone: str
    after_us: int
    count: int


def answers(lines: BinaryIO, defaults: Defaults) -> Iterator[bytes]:
    """The answers to the lines of a stream, gathered: what came in one read goes out in one piece, so that nothing waits for more input.

    Each line is `{"expr", "dialect", "tz", "after", "n", "anchor"}`, all but `expr` optional. Each answer is `{"next": […]}` or
    `{"error": …}`.
    """
    rest, skipping = b"", False
    while chunk := _read(lines):
        *whole, rest = (rest + chunk).split(b"\n")
        if skipping and whole:
            whole, skipping = whole[1:], False
        found = [answer(line, defaults) for line in whole]
        if len(rest) > LINE_MAX and not skipping:
            found.append(answer(rest, defaults))
            skipping = True
        rest = b"" if skipping else rest
        if found:
            yield b"".join(found)
    if rest:
        yield answer(rest, defaults)


def _read(lines: BinaryIO) -> bytes:
    """What is there, waiting only while there is nothing."""
    return lines.read1(_CHUNK) if isinstance(lines, BufferedIOBase) else lines.read(_CHUNK)


def answer(line: bytes, defaults: Defaults) -> bytes:
    """The answer to one line, with its line end."""
    try:
        found: dict[str, Any] = {"next": _next(_query(line), defaults)}
    except QueryFault as error:
        found = {"error": str(error)}
    except ExpressionError as error:
        suggestion = f" ({error.suggestion})" if error.suggestion else ""
        found = {"error": f"{error.part.removeprefix(_PLACE)}: {error.reason}{suggestion}"}
    return json.dumps(found, separators=(",", ":")).encode() + b"\n"


def _query(line: bytes) -> dict[str, Any]:
    if len(line) > LINE_MAX:
        raise QueryFault(f"the line is longer than {LINE_MAX // 1024} KiB")
    try:
        query = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise QueryFault(f"the line is not JSON: {error}") from error
    if not isinstance(query, dict):
        raise QueryFault('the line is not an object: write {"expr": "0 9 * * *", "tz": "Europe/Berlin"}')
    return query


def _next(query: dict[str, Any], defaults: Defaults) -> list[str]:
    zone = zone_named(_text(query, "tz", defaults.time_zone))
    after_us = _instant(query, "after", defaults.after_us)
    count = query.get("n", defaults.count)
    if type(count) is not int or not 1 <= count <= COUNT_MAX:
        raise QueryFault(f"n: it is a whole number from 1 to {COUNT_MAX}")
    when = When(triggers=(_trigger(query),), time_zone=zone.key)
    rule = compile_when(when, created_us=_instant(query, "anchor", after_us), seed=0)
    found: list[str] = []
    at_us = rule.next_after(after_us)
    while at_us is not None and len(found) < count:
        found.append(_iso(at_us, zone.offset_at(at_us)))
        at_us = rule.next_after(at_us)
    return found


def _trigger(query: dict[str, Any]) -> Trigger:
    text = _text(query, "expr", "")
    if not text.strip():
        raise QueryFault('expr: it is missing; write {"expr": "0 9 * * *"}')
    name = query.get("dialect")
    return Expression(text=text) if name is None else _in_dialect(text, name if isinstance(name, str) else "")


@lru_cache(maxsize=4096)
def _in_dialect(text: str, name: str) -> Trigger:
    """The trigger that a text is in that dialect, and in no other."""
    if name in _REFUSED:
        raise QueryFault(f"dialect: {_REFUSED[name]}")
    if name not in _DIALECTS:
        raise QueryFault(f"dialect: it is one of {', '.join(_DIALECTS)}, or is left out")
    trigger = _FORCED[name](text) if name in _FORCED else Expression(text=text)
    found = dialect_of(trigger)
    if found not in _DIALECTS[name]:
        raise QueryFault(f"dialect: the expression is {found.words}, and not {name}")
    return trigger


def _text(query: dict[str, Any], key: str, default: str) -> str:
    value = query.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise QueryFault(f"{key}: it is a text")
    return value


def _instant(query: dict[str, Any], key: str, default_us: int) -> int:
    text = _text(query, key, "")
    if not text:
        return default_us
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise QueryFault(f"{key}: it is a time with an offset, such as 2030-01-31T09:00:00+01:00")
    return instant_us(moment)


def _iso(at_us: int, offset_us: int) -> str:
    local = _EPOCH + timedelta(microseconds=at_us + offset_us)
    return local.isoformat() + _offset_text(offset_us)


@lru_cache(maxsize=512)
def _offset_text(offset_us: int) -> str:
    zone = timezone(timedelta(microseconds=offset_us)) if offset_us else UTC
    return datetime(2000, 1, 1, tzinfo=zone).isoformat()[19:]
