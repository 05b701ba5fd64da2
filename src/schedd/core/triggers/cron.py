"""Cron expressions: 5 fields, 6 with leading seconds, 7 with a trailing year, and the macros.

Sources: Vixie cron's crontab(5) as Debian has it, for the fields, for a leading `*` and for the union of the day fields; Quartz for
`?`, `L`, `W` and `#`; Jenkins for `H`; OpenBSD's crontab(5) for `~`. docs/schedule-language.md lists what was decided and why.
"""

from __future__ import annotations

import re
from typing import Final

from schedd.core.errors import ExpressionError
from schedd.core.model.when import DayMatch
from schedd.core.triggers.clockface import ClockFace, Seconds
from schedd.core.triggers.fields import Fields
from schedd.core.triggers.fieldsets import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    DayFields,
    Field,
    Token,
    possible_days,
    read_days_of_month,
    read_days_of_week,
    read_set,
    tokens_of,
    years_of,
)
from schedd.core.triggers.hints import macro, missing_field

MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""The macros that stand for five fields. `@reboot` is not one of them: it has no times."""

_LAYOUTS: Final[dict[int, tuple[Field, ...]]] = {
    5: (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK),
    6: (SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK),
    7: (SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK, YEAR),
}
_SEEDED: Final = re.compile(r"(?<![A-Za-z])H(?![A-Za-z])|~")


def parse_cron(text: str, day_match: DayMatch, seed: int) -> Fields:
    """The fields of a cron expression. `seed` draws what H and ~ stand for.

    Raises: ExpressionError, for an expression that can never match too.
    """
    tokens = cron_tokens(text)
    months = read_set(tokens["month"], MONTH, seed)
    years = years_of(read_set(tokens["year"], YEAR, seed)) if "year" in tokens else ()
    read = DayFields(
        by_number=read_days_of_month(tokens["day of month"], seed),
        by_weekday=read_days_of_week(tokens["day of week"], DAY_OF_WEEK, seed),
    )
    stars = _is_star(tokens["day of month"]) or _is_star(tokens["day of week"])
    pattern = read.joined(either=day_match is DayMatch.OR and not stars)
    seconds = read_set(tokens["second"], SECOND, seed) if "second" in tokens else 1
    return Fields(
        face=ClockFace(read_set(tokens["hour"], HOUR, seed), read_set(tokens["minute"], MINUTE, seed), Seconds(seconds)),
        days=possible_days(tokens["day of month"], pattern, months, years),
        follows_clock=any(_is_star(tokens[name]) for name in ("second", "minute", "hour") if name in tokens),
    )


def uses_seed(text: str) -> bool:
    """Whether a cron expression holds H or ~, so that it differs between schedules."""
    return _SEEDED.search(text) is not None


def cron_tokens(text: str) -> dict[str, Token]:
    """The fields of a cron expression or of a macro's, by name, unread.

    Raises: ExpressionError.
    """
    stripped = text.strip(" \t\r\n")
    if stripped.startswith("@"):
        return _fields_of(_macro(text, stripped))
    return _fields_of(text)


def _macro(text: str, name: str) -> str:
    if name.lower() not in MACROS:
        raise ExpressionError(
            text=text,
            part="macro",
            reason=f"`{name}` is not a macro",
            position=text.index("@"),
            length=len(name),
            suggestion=macro(name, tuple(MACROS)),
        )
    return MACROS[name.lower()]


def _fields_of(text: str) -> dict[str, Token]:
    tokens = tokens_of(text, "expression")
    layout = _LAYOUTS.get(len(tokens))
    if layout is None:
        raise _wrong_count(text, tokens)
    return {field.name: Token(text, token.value, token.position, field.name) for field, token in zip(layout, tokens, strict=True)}


def _wrong_count(text: str, tokens: list[Token]) -> ExpressionError:
    count = len(tokens)
    at = tokens[7] if count > 7 else tokens[-1] if tokens else Token(text, "", 0, "expression")
    noun = "field" if count == 1 else "fields"
    reason = f"{count} {noun}; cron has 5 (minute hour day month weekday), 6 with seconds before them, 7 with a year after them"
    return Token(text, at.value, at.position, "expression").fault(reason, missing_field(text, count))


def _is_star(token: Token) -> bool:
    return token.value[0] in "*?"
