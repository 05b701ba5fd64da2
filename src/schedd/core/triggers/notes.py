"""What is easily overlooked in an expression that is right: told beside the sentence, never a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schedd.core.model.when import Cron, DayMatch, Expression, Trigger
from schedd.core.triggers.cron import cron_tokens, uses_seed
from schedd.core.triggers.recognition import recognise

_SIZES: Final = (("second", 60, "s"), ("minute", 60, "m"), ("hour", 24, "h"))


def notes(trigger: Trigger) -> tuple[str, ...]:
    """What is easily overlooked, one sentence each, without a full stop. Raises: ExpressionError."""
    known = recognise(trigger.text) if isinstance(trigger, Expression) else trigger
    if not isinstance(known, Cron):
        return ()
    fields = {name: token.value for name, token in cron_tokens(known.text).items()}
    found = [*_long_steps(fields), *_each_minute(fields), *_two_day_fields(fields, known.day_match), *_weekday_numbers(fields)]
    return (*found, "H and ~ are drawn for each schedule, so its own times differ from these") if uses_seed(known.text) else tuple(found)


def _long_steps(fields: dict[str, str]) -> Iterator[str]:
    for name, size, unit in _SIZES:
        value = fields.get(name, "")
        step = value.partition("/")[2]
        if value.startswith("*/") and step.isdigit() and int(step) > size:
            yield f"`{value}` is the first {name} only: a step ends with its field; `@every {step}{unit}` runs that often"


def _each_minute(fields: dict[str, str]) -> Iterator[str]:
    if "second" not in fields and fields["minute"] == "*" and fields["hour"].isdigit():
        yield f"a `*` is each minute of the hour: 60 runs; `0 {fields['hour']} …` is one"


def _two_day_fields(fields: dict[str, str], day_match: DayMatch) -> Iterator[str]:
    day, week = fields["day of month"], fields["day of week"]
    if not _is_star(day) and not _is_star(week):
        if day_match is DayMatch.OR:
            yield "both day fields are restricted: either is enough, as in Vixie cron; day_match AND wants both"
    elif not {day, week} & {"*", "?"}:
        yield "a day field that begins with `*` counts as a star: both day fields have to match"


def _weekday_numbers(fields: dict[str, str]) -> Iterator[str]:
    numbered = any(character.isdigit() for character in fields["day of week"].partition("#")[0])
    if "second" in fields and fields["day of month"] == "?" and numbered:
        yield "Sunday is 0 here, as in cron; Quartz and EventBridge count from Sunday = 1; names mean the same in all"


def _is_star(field: str) -> bool:
    return field[:1] in ("*", "?")
