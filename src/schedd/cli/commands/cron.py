"""Reading schedule expressions without a server: the engine's own rules, run here."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import click

from schedd.cli.commanding import command
from schedd.cli.failures import CommandError, UsageFault
from schedd.cli.output import Format, terminal_width
from schedd.cli.session import Session
from schedd.cli.spans import parse_instant

if TYPE_CHECKING:
    from schedd.core.model.when import Trigger, When
    from schedd.core.triggers import Instant

F = TypeVar("F", bound=Callable[..., Any])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UTC = "UTC"
_FIELDS = ("second", "minute", "hour", "day of month", "month", "day of week", "year")
_FIELDS_BY_COUNT = {5: _FIELDS[1:6], 6: _FIELDS[:6], 7: _FIELDS}
_LABEL = 12
"""How wide the labels before the facts are."""
_NARROW = 76
"""What a terminal has to have so that instants stand beside their label."""

_AFTER = click.option("--after", metavar="TIME", help="Later than this (UTC, unless it has an offset); now if not given.")


class _Reading(NamedTuple):
    """How an expression is to be read, where it leaves a choice."""

    time_zone: str | None
    day_match: str = "or"
    gap: str = "dialect"
    fold: str = "dialect"

    def zone_of(self, expression: str) -> str:
        """The zone that was asked for; else the one that the expression names, or UTC."""
        from schedd.core.model.when import Expression, When
        from schedd.core.triggers import zones_of

        if self.time_zone is not None:
            return self.time_zone
        named = sorted(zones_of(When(triggers=(Expression(text=expression),), time_zone=_UTC)) - {_UTC})
        return named[0] if len(named) == 1 else _UTC


def _reading(function: F) -> F:
    """The options that say how an expression is read; they come as one argument, `reading`."""

    @wraps(function)
    def gathered(*arguments: Any, tz: str | None, day_match: str, gap: str, fold: str, **others: Any) -> Any:
        return function(*arguments, reading=_Reading(tz, day_match, gap, fold), **others)

    options = (
        click.option(
            "-z", "--tz", metavar="ZONE", help="The IANA zone, such as Europe/Berlin; the expression's own, or UTC, if not given."
        ),
        click.option("--day-match", type=_choice("or", "and"), default="or", show_default=True, help="How cron's two day fields join."),
        click.option(
            "--gap",
            type=_choice("dialect", "run-after", "skip"),
            default="dialect",
            show_default=True,
            help="For local times that a gap leaves out.",
        ),
        click.option(
            "--fold",
            type=_choice("dialect", "first", "both"),
            default="dialect",
            show_default=True,
            help="For local times that a fold repeats.",
        ),
    )
    made: Any = gathered
    for option in reversed(options):
        made = option(made)
    return cast("F", made)


def _choice(*words: str) -> click.Choice[str]:
    return click.Choice(words, case_sensitive=False)


def _count(default: int) -> Callable[[F], F]:
    return click.option("-n", "--count", type=click.IntRange(1, 10_000), default=default, show_default=True, help="How many times.")


@command(
    "explain",
    examples="""
schedctl cron explain '30 2 * * MON-FRI'
schedctl cron explain '@daily' --tz Europe/Berlin -n 20
schedctl cron explain 'rate(5 minutes)'
""",
)
@click.argument("expression")
@_reading
@_count(3)
@_AFTER
@click.pass_obj
def explain(session: Session, expression: str, reading: _Reading, count: int, after: str | None) -> None:
    """Say how an expression is read.

    Names its dialect, says in a sentence what it means and what is easily overlooked, and shows its fields and the next times, with a mark
    at each effect of daylight saving. Without a server.
    """
    from schedd.core.triggers import dialect_of, notes, sentence

    start_us = _after_us(after)
    when = _checked(expression, reading, start_us)
    instants = _preview(when, start_us, count)
    (trigger,) = when.triggers
    dialect, meaning, remarks = dialect_of(trigger), sentence(trigger, when.time_zone), notes(trigger)
    if session.format in (Format.JSON, Format.YAML):
        session.out.data(
            {
                "expression": expression,
                "time_zone": when.time_zone,
                "dialect": str(dialect),
                "meaning": meaning,
                "notes": list(remarks),
                "fields": _field_texts(expression),
                "next": [_as_data(item) for item in instants],
            }
        )
        return
    if session.format is Format.NAME:
        session.out.lines([str(dialect)])
        return
    facts = [("dialect", dialect.words), ("means", meaning), *(("note", remark) for remark in remarks), *_field_texts(expression).items()]
    width = terminal_width()
    session.out.lines(line for label, text in facts for line in _fact(session, label, text, width))
    session.out.lines(_next_lines(session, instants, width))


@command(
    "next",
    examples="""
schedctl cron next '0 6 * * *' --tz America/New_York
schedctl cron next '30 2 * * *' --tz America/New_York --after 2026-03-07 -n 3
schedctl cron next 'FREQ=MONTHLY;BYDAY=-1FR' --tz Europe/Berlin
schedctl cron next 'at(2026-12-24T09:00:00)' -o json
schedctl cron next --batch < expressions.jsonl
""",
)
@click.argument("expression", required=False)
@_reading
@_count(5)
@_AFTER
@click.option("--batch", is_flag=True, help='Read JSON lines {"expr", "dialect", "tz", "after", "n"} from stdin, answer a line each.')
@click.pass_obj
def next_times(session: Session, expression: str | None, reading: _Reading, count: int, after: str | None, batch: bool) -> None:
    """Show when an expression fires.

    Local time, UTC, and a mark at each effect of daylight saving. Without a server. With --batch, each line of stdin is answered by
    {"next": [TIME, ...]} or {"error": "..."}; what a line leaves out is as the options say.
    """
    start_us = _after_us(after)
    if batch:
        if expression is not None:
            raise UsageFault("--batch reads its expressions from stdin, so there is none on the command line")
        if reading != _Reading(reading.time_zone):
            raise UsageFault(
                "--batch reads each expression as its dialect has it: --day-match, --gap and --fold are for one on the command line"
            )
        _answer_batch(reading.time_zone or _UTC, start_us, count)
        return
    if expression is None:
        raise UsageFault("say which expression, or --batch for those on stdin")
    when = _checked(expression, reading, start_us)
    instants = _preview(when, start_us, count)
    if not instants:
        from schedd.core.triggers import dialect_of

        session.out.note(f"{dialect_of(when.triggers[0]).words}; it has no times by the clock")
    if session.format in (Format.JSON, Format.YAML):
        session.out.data([_as_data(item) for item in instants])
    elif session.format is Format.NAME:
        session.out.lines(_as_data(item)["utc"] for item in instants)
    else:
        session.out.lines(_lines(instants, terminal_width()))


def _answer_batch(tz: str, after_us: int, count: int) -> None:
    from schedd.cli.batches import Defaults, answers

    for gathered in answers(sys.stdin.buffer, Defaults(time_zone=tz, after_us=after_us, count=count)):
        sys.stdout.buffer.write(gathered)
        sys.stdout.buffer.flush()


def _checked(expression: str, reading: _Reading, after_us: int) -> When:
    """The description of that schedule. Raises: CommandError with all that is wrong; UsageFault for an option that does not fit."""
    from schedd.core.model.when import FoldPolicy, GapPolicy, When
    from schedd.core.triggers import check_when

    when = When(
        triggers=(_trigger(expression, reading),),
        time_zone=reading.zone_of(expression),
        gap=GapPolicy[reading.gap.upper().replace("-", "_")],
        fold=FoldPolicy[reading.fold.upper()],
    )
    violations = check_when(when, now_us=after_us)
    if violations:
        raise CommandError("the expression cannot be used", [line for item in violations for line in item.description.splitlines()])
    return when


def _trigger(expression: str, reading: _Reading) -> Trigger:
    """The expression as a trigger; what is wrong with it shows when it is checked."""
    from schedd.core.errors import ExpressionError
    from schedd.core.model.when import Cron, DayMatch, Expression
    from schedd.core.triggers import recognise

    if reading.day_match == "or":
        return Expression(text=expression)
    try:
        known = recognise(expression)
    except ExpressionError:
        return Expression(text=expression)
    if not isinstance(known, Cron):
        raise UsageFault("--day-match is for cron, whose expressions have two day fields")
    return Cron(text=expression, day_match=DayMatch[reading.day_match.upper()])


def _preview(when: When, after_us: int, count: int) -> tuple[Instant, ...]:
    from schedd.core.triggers import preview

    return preview(when, created_us=after_us, seed=0, after_us=after_us, count=count)


def _field_texts(expression: str) -> dict[str, str]:
    from schedd.core.model.when import OnCalendar
    from schedd.core.triggers import normal_form, recognise

    if isinstance(recognise(expression), OnCalendar):
        return {"normal form": normal_form(expression)}
    if "(" in expression:
        return {}
    parts = expression.split()
    return dict(zip(_FIELDS_BY_COUNT.get(len(parts), ()), parts, strict=False))


def _fact(session: Session, label: str, text: str, width: int | None) -> list[str]:
    return _beside(session, label, textwrap.wrap(text, max(20, (width or 10_000) - _LABEL - 2)))


def _beside(session: Session, label: str, lines: list[str]) -> list[str]:
    return [f"{session.out.paint(f'{label if index == 0 else str():<{_LABEL}}', 'dim')}  {line}" for index, line in enumerate(lines)]


def _next_lines(session: Session, instants: tuple[Instant, ...], width: int | None) -> list[str]:
    """The next times beside their label; below it on a narrow terminal, which has no room for both and UTC."""
    if not instants:
        return _beside(session, "next", ["never by the clock"])
    if width is None or width >= _NARROW:
        return _beside(session, "next", _lines(instants, None if width is None else width - _LABEL - 2))
    return [session.out.paint("next", "dim"), *(f"  {line}" for line in _lines(instants, width - 2))]


def _lines(instants: tuple[Instant, ...], width: int | None) -> list[str]:
    from schedd.cli.instants import instant_lines

    return instant_lines(instants, datetime.now(UTC), width)


def _as_data(item: Instant) -> dict[str, Any]:
    from schedd.cli.instants import effect_meaning, local_of, utc_text

    return {
        "utc": utc_text(item.nominal_us),
        "local": local_of(item).isoformat(),
        "effects": [str(effect) for effect in item.effects],
        "note": "; ".join(effect_meaning(effect) for effect in item.effects),
    }


def _after_us(text: str | None) -> int:
    try:
        moment = datetime.now(UTC) if text is None else parse_instant(text)
    except ValueError as error:
        raise UsageFault(str(error)) from error
    return (moment - _EPOCH) // _MICROSECOND
