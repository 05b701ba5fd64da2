"""Templates: text with `{{ variable }}` placeholders that the facts of a delivery fill.

Strict: what is not a variable is an error when the schedule is made, never an empty string when it fires. `{{ '{{' }}` stands for literal
braces; a `}}` outside a placeholder is literal as it is, so JSON needs no escaping.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from schedd.core.errors import TemplateError
from schedd.core.model.execution import DeliveryRequest, id_text, instant_text

_CACHED_TEXT_LIMIT = 4096
_MICROSECONDS = 1_000_000
_PLACEHOLDER = re.compile(
    r"""\{\{\s*(?:'(?P<literal>[^']*)'|labels\.(?P<label>[A-Za-z0-9_](?:[A-Za-z0-9._/-]*[A-Za-z0-9_])?)|(?P<name>[A-Za-z_]\w*))\s*\}\}""",
    re.ASCII,
)

Escape = Callable[[str], str]
"""Makes a variable's value safe for the place where it is put."""


def _instant(instant_us: int) -> datetime:
    return datetime.fromtimestamp(instant_us // _MICROSECONDS, UTC).replace(microsecond=instant_us % _MICROSECONDS)


def _local(request: DeliveryRequest) -> datetime:
    return _instant(request.nominal_us).astimezone(ZoneInfo(request.time_zone))


def _previous_success(request: DeliveryRequest) -> str:
    return "" if request.previous_success_us is None else instant_text(request.previous_success_us)


VARIABLES: Mapping[str, Callable[[DeliveryRequest], str]] = {
    "nominal_time": lambda request: instant_text(request.nominal_us),
    "due_time": lambda request: instant_text(request.due_us),
    "nominal_time_local": lambda request: _local(request).isoformat(),
    "nominal_date": lambda request: _local(request).date().isoformat(),
    "nominal_unix": lambda request: str(request.nominal_us // _MICROSECONDS),
    "schedule": lambda request: str(request.schedule),
    "schedule_id": lambda request: request.schedule.schedule,
    "group": lambda request: request.schedule.group,
    "uid": lambda request: id_text(request.schedule_uid),
    "execution": lambda request: id_text(request.execution_id),
    "attempt": lambda request: str(request.attempt),
    "delivery_key": lambda request: request.delivery_key,
    "cause": lambda request: request.cause.value,
    "previous_success_time": _previous_success,
}
"""Every variable but `labels.KEY`, and how a delivery's facts give its value.

Instants are RFC 3339 in UTC; `nominal_time_local` carries the offset of the schedule's zone, `nominal_date` is the date there.
`previous_success_time` is empty if there was none.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """One variable in a template: a key of `VARIABLES`, or a label's key when `label` is true. `position` is where it stands."""

    name: str
    label: bool
    position: int
    length: int


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: literal text and placeholders in turn."""

    text: str
    parts: tuple[str | Placeholder, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """The template that `text` is. Raises: TemplateError at the first placeholder that is wrong."""
        return _parse_cached(text) if len(text) <= _CACHED_TEXT_LIMIT else _parse(text)

    @property
    def constant(self) -> str | None:
        """What every rendering yields, if it is always the same."""
        match self.parts:
            case ():
                return ""
            case (str() as text,):
                return text
        return None

    def check_labels(self, labels: Collection[str]) -> None:
        """Raises: TemplateError for the first placeholder whose label is none of these."""
        for part in self.parts:
            if isinstance(part, Placeholder) and part.label and part.name not in labels:
                raise _unknown_label(self.text, part, labels)

    def render(self, request: DeliveryRequest, escape: Escape | None = None) -> str:
        """The text, filled with the facts of this delivery; `escape` is applied to each value, not to the template's own text.

        Raises: TemplateError for a label that the delivery does not have.
        """
        return "".join(part if isinstance(part, str) else self._value(part, request, escape) for part in self.parts)

    def _value(self, part: Placeholder, request: DeliveryRequest, escape: Escape | None) -> str:
        if not part.label:
            value = VARIABLES[part.name](request)
        elif part.name in request.labels:
            value = request.labels[part.name]
        else:
            raise _unknown_label(self.text, part, request.labels)
        return escape(value) if escape is not None else value


def _parse(text: str) -> Template:
    parts: list[str | Placeholder] = []
    literal: list[str] = []
    end = 0
    while (start := text.find("{{", end)) >= 0:
        literal.append(text[end:start])
        match = _PLACEHOLDER.match(text, start)
        if match is None:
            raise _malformed(text, start)
        end = match.end()
        if match["literal"] is not None:
            literal.append(match["literal"])
            continue
        if joined := "".join(literal):
            parts.append(joined)
        literal.clear()
        parts.append(_placeholder(text, match))
    if joined := "".join([*literal, text[end:]]):
        parts.append(joined)
    return Template(text, tuple(parts))


_parse_cached = lru_cache(maxsize=1024)(_parse)


def _placeholder(text: str, match: re.Match[str]) -> Placeholder:
    position, length = match.start(), match.end() - match.start()
    if match["label"] is not None:
        return Placeholder(name=match["label"], label=True, position=position, length=length)
    name = match["name"]
    if name not in VARIABLES:
        raise TemplateError(
            text=text,
            position=position,
            length=length,
            reason=f"there is no variable {name!r}",
            suggestion=_nearest(name, VARIABLES) + f"the variables are {', '.join(VARIABLES)} and labels.KEY",
        )
    return Placeholder(name=name, label=False, position=position, length=length)


def _malformed(text: str, start: int) -> TemplateError:
    close = text.find("}}", start)
    if close < 0:
        reason, length = "this {{ is not closed by }}", 2
    else:
        length = close + 2 - start
        reason = f"{_shortened(text[start : close + 2])} does not name a variable"
    return TemplateError(
        text=text,
        position=start,
        length=length,
        reason=reason,
        suggestion="write {{ nominal_time }} or {{ labels.KEY }}, or {{ '{{' }} for literal braces",
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "…"


def _unknown_label(text: str, part: Placeholder, labels: Collection[str]) -> TemplateError:
    return TemplateError(
        text=text,
        position=part.position,
        length=part.length,
        reason=f"the schedule has no label {part.name!r}",
        suggestion=_nearest(part.name, labels) + (f"its labels are {', '.join(sorted(labels))}" if labels else "it has no labels"),
    )


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}? " if near else ""
