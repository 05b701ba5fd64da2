"""Reading schedule expressions without a server: the engine's own rules, run here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from schedd.cli.commanding import command
from schedd.cli.failures import CommandError, UsageFault
from schedd.cli.output import Format
from schedd.cli.session import Session
from schedd.cli.spans import parse_instant, relative_text

if TYPE_CHECKING:
    from schedd.core.model.when import When
    from schedd.core.triggers import Instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIELDS = ("second", "minute", "hour", "day of month", "month", "day of week", "year")
_FIELDS_BY_COUNT = {5: _FIELDS[1:6], 6: _FIELDS[:6], 7: _FIELDS}
_EFFECTS = {
    "MOVED_AFTER_GAP": "its local time does not exist that day; runs after the gap",
    "FIRST_OF_REPEATED": "its local time comes twice that day; this is the first",
    "SECOND_OF_REPEATED": "its local time comes twice that day; this is the second",
    "OFFSET_CHANGED": "the zone's offset has changed since the one before",
}

_ZONE = click.option("-z", "--tz", default="UTC", show_default=True, metavar="ZONE", help="The IANA zone, such as Europe/Berlin.")
_EXPRESSION = click.argument("expression")


@command(
    "explain",
    examples="""
schedctl cron explain '30 2 * * MON-FRI'
schedctl cron explain '@daily' --tz Europe/Berlin
schedctl cron explain 'rate(5 minutes)'
""",
)
@_EXPRESSION
@_ZONE
@click.pass_obj
def explain(session: Session, expression: str, tz: str) -> None:
    """Say how an expression is read.

    Names its dialect, its fields, and the next three times. Without a server.
    """
    instants = _preview(_checked(expression, tz), _now_us(), 3)
    data = {
        "expression": expression,
        "time_zone": tz,
        "dialect": _dialect(expression),
        "fields": _field_texts(expression),
        "next": [_as_data(item) for item in instants],
    }
    if session.format in (Format.JSON, Format.YAML):
        session.out.data(data)
        return
    lines = [f"dialect       {data['dialect']}", *(f"{name:<12}  {text}" for name, text in _field_texts(expression).items())]
    lines += [f"{'next' if index == 0 else '':<12}  {line}" for index, line in enumerate(_lines(instants, tz))]
    session.out.lines(lines)


@command(
    "next",
    examples="""
schedctl cron next '0 6 * * *' --tz America/New_York
schedctl cron next '30 2 * * *' --tz America/New_York --after 2026-03-07 -n 3
schedctl cron next 'FREQ=MONTHLY;BYDAY=-1FR' --tz Europe/Berlin
schedctl cron next 'at(2026-12-24T09:00:00)' -o json
""",
)
@_EXPRESSION
@_ZONE
@click.option("-n", "--count", type=click.IntRange(1, 10_000), default=5, show_default=True, help="How many times.")
@click.option("--after", metavar="TIME", help="Later than this (UTC, unless it has an offset); now if not given.")
@click.pass_obj
def next_times(session: Session, expression: str, tz: str, count: int, after: str | None) -> None:
    """Show when an expression fires.

    Local time, UTC, and a mark at each effect of daylight saving. Without a server.
    """
    start_us = _after_us(after)
    instants = _preview(_checked(expression, tz, start_us), start_us, count)
    if not instants:
        session.out.note(f"{_dialect(expression)}; it has no times by the clock")
    if session.format in (Format.JSON, Format.YAML):
        session.out.data([_as_data(item) for item in instants])
    elif session.format is Format.NAME:
        session.out.lines(_utc_text(item.nominal_us) for item in instants)
    else:
        session.out.lines(_lines(instants, tz))


def _checked(expression: str, tz: str, after_us: int | None = None) -> When:
    """The description of that schedule. Raises: CommandError with all that is wrong."""
    from schedd.core.model.when import Expression, When
    from schedd.core.triggers import check_when

    when = When(triggers=(Expression(text=expression),), time_zone=tz)
    violations = check_when(when, now_us=_now_us() if after_us is None else after_us)
    if violations:
        raise CommandError("the expression cannot be used", [line for item in violations for line in item.description.splitlines()])
    return when


def _preview(when: When, after_us: int, count: int) -> tuple[Instant, ...]:
    from schedd.core.triggers import preview

    return preview(when, created_us=_now_us(), seed=0, after_us=after_us, count=count)


def _dialect(expression: str) -> str:
    from schedd.core.triggers import recognise

    kind = type(recognise(expression)).__name__
    names = {
        "Cron": "cron",
        "Interval": "interval",
        "LocalOnce": "at(…), EventBridge Scheduler's one-time form",
        "EventBridgeCron": "cron(…), EventBridge Scheduler's",
        "Recurrence": "an RFC 5545 recurrence",
        "AtStart": "@reboot: once at each start of the daemon",
        "OnCalendar": "OnCalendar, systemd.time(7)",
    }
    return names.get(kind, kind)


def _field_texts(expression: str) -> dict[str, str]:
    from schedd.core.model.when import OnCalendar
    from schedd.core.triggers import normal_form, recognise

    if isinstance(recognise(expression), OnCalendar):
        return {"normal form": normal_form(expression)}
    if "(" in expression:
        return {}
    parts = expression.split()
    return dict(zip(_FIELDS_BY_COUNT.get(len(parts), ()), parts, strict=False))


def _lines(instants: tuple[Instant, ...], tz: str) -> list[str]:
    now, zone = datetime.now(UTC), ZoneInfo(tz)
    return [_line(item, zone, now) for item in instants]


def _line(item: Instant, zone: ZoneInfo, now: datetime) -> str:
    moment = _moment(item.nominal_us)
    local = moment.astimezone(zone)
    note = "; ".join(_EFFECTS[effect] for effect in item.effects)
    return f"{local:%a %Y-%m-%d %H:%M:%S%z}  {_utc_text(item.nominal_us)}  {relative_text(moment, now)}" + (f"  ({note})" if note else "")


def _as_data(item: Instant) -> dict[str, Any]:
    offset = timedelta(seconds=item.utc_offset_s)
    local = (_moment(item.nominal_us) + offset).replace(tzinfo=None)
    return {"utc": _utc_text(item.nominal_us), "local": local.isoformat(), "effects": [str(effect) for effect in item.effects]}


def _utc_text(instant_us: int) -> str:
    return _moment(instant_us).replace(tzinfo=None).isoformat() + "Z"


def _moment(instant_us: int) -> datetime:
    return _EPOCH + instant_us * _MICROSECOND


def _now_us() -> int:
    return (datetime.now(UTC) - _EPOCH) // _MICROSECOND


def _after_us(text: str | None) -> int:
    if text is None:
        return _now_us()
    try:
        return (parse_instant(text) - _EPOCH) // _MICROSECOND
    except ValueError as error:
        raise UsageFault(str(error)) from error
