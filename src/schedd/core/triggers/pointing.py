"""How an error in an expression is told, everywhere the same: the field and why, the expression with a caret, what would be right."""

from __future__ import annotations

import unicodedata
from typing import Final

from schedd.core.errors import ExpressionError

_BEFORE: Final = 60
_AFTER: Final = 40
"""How much of a long line is shown on each side of the fault."""


def described(error: ExpressionError) -> str:
    """The whole message: the field and what is wrong with it, the expression with a caret, and what would be right."""
    suggestion = f"\n{_shown(error.suggestion)}" if error.suggestion else ""
    shown = f"\n{pointed(error)}" if error.text.strip() else ""
    return f"{error.part}: {_shown(error.reason)}{shown}{suggestion}"


def pointed(error: ExpressionError) -> str:
    """The line of the expression that is at fault and, below it, a caret under each character at fault.

    A long line is cut on both sides, with an ellipsis. Control characters are shown as blanks.
    """
    position = min(max(error.position, 0), len(error.text))
    begin = error.text.rfind("\n", 0, position) + 1
    end = error.text.find("\n", begin)
    line = error.text[begin : end if end >= 0 else len(error.text)]
    at = position - begin
    length = max(1, min(error.length, len(line) - at))
    low, high = (at - _BEFORE if at > _BEFORE + 1 else 0), at + length + _AFTER
    head = ("…" if low else "") + _shown(line[low:at])
    tail = _shown(line[at : min(high, at + length)])
    rest = _shown(line[at + length : high]) + ("…" if high < len(line) else "")
    if length > _BEFORE + _AFTER:
        tail, rest = tail[: _BEFORE + _AFTER] + "…", ""
    return f"{head}{tail}{rest}\n{' ' * _width(head)}{'^' * max(1, _width(tail))}"


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _width(text: str) -> int:
    """How many terminal cells a text takes."""
    return sum(0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
