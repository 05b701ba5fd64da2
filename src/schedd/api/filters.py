"""Filters and orders as text, a part of AIP-160: comparisons joined by AND, such as `state = PAUSED AND labels.team = "pay"`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from schedd.api.convert.basics import invalid
from schedd.api.names import execution_parts
from schedd.core.errors import InvalidError
from schedd.core.model.execution import Cause, ExecutionState, id_value
from schedd.core.model.journal import JournalKind
from schedd.core.model.query import Comparison, Filter, Operator, Order
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import ScheduleState

_TOKEN = re.compile(
    r"""\s*(?:(?P<field>[a-z_]+(?:\.[A-Za-z0-9._/-]+)?)\s*(?P<operator>!=|<=|>=|=|<|>|:)\s*
    (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s"()]+)))\s*""",
    re.VERBOSE,
)
_WHOLE_NAME = re.compile("groups/[^/]+/schedules/[^/]+")
_AND = re.compile(r"AND\s+")
_TEXT, _TIME, _LABEL, _ID, _EXECUTION, _NAME = "text", "time", "label", "id", "execution", "name"

Kinds = Mapping[str, str | type]
"""What a field's value is: text, a time, an id, or one of an enum's words."""

SCHEDULES: Kinds = {
    "name": _TEXT,
    "group": _TEXT,
    "schedule": _TEXT,
    "uid": _ID,
    "state": ScheduleState,
    "description": _TEXT,
    "creator": _TEXT,
    "create_time": _TIME,
    "update_time": _TIME,
    "time_zone": _TEXT,
    "labels": _LABEL,
}
CALENDARS: Kinds = {
    "name": _TEXT,
    "description": _TEXT,
    "creator": _TEXT,
    "create_time": _TIME,
    "update_time": _TIME,
    "labels": _LABEL,
}
EXECUTIONS: Kinds = {
    "schedule": _NAME,
    "schedule_uid": _ID,
    "group": _TEXT,
    "cause": Cause,
    "state": ExecutionState,
    "outcome": Outcome,
    "reason": Reason,
    "nominal_time": _TIME,
    "due_time": _TIME,
    "finish_time": _TIME,
}
JOURNAL: Kinds = {
    "kind": JournalKind,
    "actor": _TEXT,
    "schedule": _NAME,
    "group": _TEXT,
    "execution": _EXECUTION,
    "cause": Cause,
    "outcome": Outcome,
    "reason": Reason,
    "time": _TIME,
    "labels": _LABEL,
}


def parse_filter(text: str, kinds: Kinds) -> Filter:
    """The comparisons of a filter. Raises: InvalidError naming `filter`, the place and what would be right."""
    return tuple(_comparisons(text.strip(), kinds))


def parse_order(text: str, fields: tuple[str, ...]) -> Order:
    """One field and, after it, `asc` or `desc`; the first of `fields` for an empty text. Raises: InvalidError."""
    words = text.split()
    if not words:
        return Order(field=fields[0])
    if words[0] not in fields or len(words) > 2 or words[1:] not in ([], ["asc"], ["desc"]):
        raise invalid("order_by", "INVALID_ORDER", f"{text!r}: it is one of {', '.join(fields)}, and then asc or desc")
    return Order(field=words[0], descending=words[1:] == ["desc"])


def _comparisons(text: str, kinds: Kinds) -> Iterator[Comparison]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _wrong(text, at, 'expected a comparison such as state = PAUSED or labels.team = "pay"')
        quoted = match["quoted"]
        value = match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        yield _comparison(text, at, match["field"], Operator(match["operator"]), value, kinds)
        at = match.end()
        if at < len(text):
            following = _AND.match(text, at)
            if following is None:
                raise _wrong(text, at, "comparisons are joined by AND; OR, NOT and parentheses are not built yet")
            at = following.end()
            if at == len(text):
                raise _wrong(text, at, "a comparison has to follow AND")


def _comparison(text: str, at: int, field: str, operator: Operator, value: str, kinds: Kinds) -> Comparison:
    head = field.partition(".")[0]
    kind = kinds.get(head)
    if kind is None or (kind == _LABEL) != ("." in field):
        names = ", ".join("labels.KEY" if known == _LABEL else name for name, known in kinds.items())
        raise _wrong(text, at, f"there is no field {field}; there are {names}")
    try:
        return Comparison(field=field, operator=operator, value=_value(value, kind, operator))
    except (ValueError, OverflowError, InvalidError) as error:
        raise _wrong(text, at, f"{value!r} is no value for {field}: {error}") from error


def _value(value: str, kind: str | type, operator: Operator) -> str | int:
    if isinstance(kind, type):
        words = list(kind)  # type: ignore[call-overload]
        if value not in words:
            raise ValueError(f"it is one of {', '.join(words)}")
        return value
    match kind:
        case "time":
            return _instant_us(value)
        case "id":
            return id_value(value)
        case "execution":
            return execution_parts(value)[1] if "/" in value else id_value(value)
        case "name" if operator in (Operator.EQUAL, Operator.UNEQUAL) and not _WHOLE_NAME.fullmatch(value):
            raise ValueError(f"write its whole name, such as groups/default/schedules/{value.rpartition('/')[2] or 'backup'}")
        case _:
            return value


def _instant_us(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError('a time has an offset, such as "2026-01-01T00:00:00Z"')
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds


def _wrong(text: str, at: int, description: str) -> InvalidError:
    return invalid("filter", "INVALID_FILTER", f"{description}\n{text}\n{' ' * at}^")
