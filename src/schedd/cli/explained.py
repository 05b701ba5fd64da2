"""Explanations as lines for people: when, what, and the sentence that says why."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from schedd.cli.output import View
from schedd.cli.tables import Cell, Column, painted, printable
from schedd.cli.views import COLOURS, execution_id, instant, word
from schedd.v1.execution_service_pb2 import Explanation
from schedd.v1.reason_pb2 import Outcome, Reason

_WHEN, _WHEN_MOST = 28, 44
"""The column of times is as wide as the longest of them, within these bounds; a longer one pushes its line."""
_ROOMY = 100
"""From this width on the column of times grows; below it a short sentence beside a short time is worth more."""
_WHAT = 13
_ID = 13
_BESIDE = 60
"""How much room a sentence wants beside the columns; with less it has lines of its own."""
_INDENT = "    "
_RUNNING = {"Runs": "running", "Is": "waiting", "Waits": "waiting", "Held": "held back"}


def explanations_view() -> View[Explanation]:
    """Explanations for programs and by name; people get `explanation_lines`."""
    return View(
        name=lambda one: one.execution or one.first_time.ToJsonString(),
        columns=[Column(title="WHY", elastic=True)],
        row=lambda one: [Cell(one.summary)],
        empty="nothing was to happen then",
    )


def explanation_lines(found: Sequence[Explanation], zone: tzinfo, *, width: int | None, styled: bool = False) -> list[str]:
    """A line or some for each, no wider than `width` terminal cells (None: one line each); local times are in `zone`."""
    whens = [when_text(one, zone) for one in found]
    most = _WHEN_MOST if width is None or width >= _ROOMY else _WHEN
    column = max((len(when) for when in whens if len(when) <= most), default=_WHEN)
    lines: list[str] = []
    for one, when in zip(found, whens, strict=True):
        lines += _lines(one, f"{when:<{max(column, _WHEN)}}", width, styled)
    return lines


def _lines(one: Explanation, when: str, width: int | None, styled: bool) -> list[str]:
    what = what_text(one)
    head = f"{when}  {what:<{_WHAT}}  {execution_id(one.execution):<{_ID}}"
    shown = head if not styled else f"{when}  {painted(what, _colour(one))}{head[len(when) + 2 + len(what) :]}"
    sentence = printable(one.summary)
    if width is None:
        return [f"{shown}  {sentence}"]
    room = width - len(head) - 2
    if room >= min(_BESIDE, len(sentence)):
        first, *rest = textwrap.wrap(sentence, room)
        return [f"{shown}  {first}", *(" " * (len(head) + 2) + line for line in rest)]
    return [shown.rstrip(), *textwrap.wrap(sentence, width, initial_indent=_INDENT, subsequent_indent=_INDENT)]


def when_text(one: Explanation, zone: tzinfo) -> str:
    """`Thu 2026-01-01 00:10:00+0000`; of a range, where it begins and ends."""
    first, last = instant(one.first_time).astimezone(zone), instant(one.last_time).astimezone(zone)
    if one.count == 0 and last - first > timedelta(0):
        return f"up to {_local(last)}" if not one.predicted else f"from {_local(first)}"
    if first == last:
        return _local(first)
    if first.date() == last.date() and first.utcoffset() == last.utcoffset():
        return f"{first:%a %Y-%m-%d %H:%M:%S}..{last:%H:%M:%S%z}"
    return f"{_local(first)}..{_local(last)}"


def _local(moment: datetime) -> str:
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%a %Y-%m-%d %H:%M:%S}{fraction}{moment:%z}"


def what_text(one: Explanation) -> str:
    """What became of it in a word or two."""
    if one.count == 0:
        return "-"
    if one.outcome:
        outcome = word(Outcome, one.outcome).lower()
        return f"({outcome})" if one.predicted else outcome
    if one.predicted:
        return "(held back)" if one.reason == Reason.REASON_PAUSED else "to come"
    if one.execution:
        return _RUNNING.get(one.summary.split(" ")[0], "not known")
    if one.summary.startswith("Waits"):
        return "waiting"
    return "held back" if one.reason == Reason.REASON_PAUSED else "not known"


def _colour(one: Explanation) -> str:
    return "dim" if one.predicted or one.count == 0 else COLOURS.get(word(Outcome, one.outcome), "cyan" if one.execution else "")
