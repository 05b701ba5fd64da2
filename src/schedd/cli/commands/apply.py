"""Creating and updating schedules from files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

import click

from schedd.cli.commanding import command
from schedd.cli.failures import UsageFault
from schedd.cli.names import short_name
from schedd.cli.output import Format
from schedd.cli.selecting import selector_filter
from schedd.cli.session import Session

if TYPE_CHECKING:
    from schedd.cli.calendar_plans import CalendarStep
    from schedd.cli.plans import Step
    from schedd.client import SyncClient

_COLOURS = {"created": "green", "updated": "cyan", "deleted": "red", "unchanged": "dim"}


@command(
    "apply",
    examples="""
schedctl apply -f schedules.yaml
schedctl apply -f schedules/ --dry-run
schedctl apply -f schedules/ --prune -l app=demo
generate-schedules | schedctl apply -f -
""",
)
@click.option("-f", "--file", "files", multiple=True, required=True, metavar="FILE|DIR|-", help="Where they are; may be given again.")
@click.option("--prune", is_flag=True, help="Delete what has the labels of -l and is in no file.")
@click.option("-l", "--selector", metavar="LABELS", help="What --prune may delete: app=demo.")
@click.option("--dry-run", is_flag=True, help="Show the fields that differ and the occurrences that change within 30 days; change nothing.")
@click.pass_obj
def apply(session: Session, files: tuple[str, ...], prune: bool, selector: str | None, dry_run: bool) -> None:
    """Create and update schedules from files.

    Files are YAML or JSON, and may have calendars too. Schedules that are as the files have them are left alone, so it can be repeated
    at will. Everything is checked first: if one schedule is refused, nothing is changed.
    """
    from schedd.cli.calendar_plans import carry_out_calendars, plan_calendars
    from schedd.cli.manifest import load_files
    from schedd.cli.plans import Action, carry_out, plan

    if prune != bool(selector):
        raise UsageFault("--prune and -l go together: -l says what may be deleted")
    written = load_files(files)
    with session.client() as client:
        calendars = plan_calendars(client, written.calendars)
        coming = {step.name for step in calendars if step.action is Action.CREATE}
        steps = plan(client, written.schedules, selector_filter(selector) if prune else "", coming=coming)
        if dry_run:
            _show_plan(session, client, calendars, steps)
            return
        doomed = [step for step in steps if step.action is Action.DELETE]
        if doomed:
            session.confirm(f"Delete {', '.join(short_name(step.name) for step in doomed)}?")
        done: list[Step | CalendarStep] = []
        carried: Iterable[Step | CalendarStep] = chain(carry_out_calendars(client, calendars), carry_out(client, steps))
        for made in carried:
            done.append(made)
            _show_step(session, made)
    _close(session, done)


def _show_step(session: Session, step: Step | CalendarStep, *, planned: bool = False) -> None:
    if session.format is Format.TABLE:
        word = step.action.intent if planned else step.action
        session.out.lines([f"{session.out.paint(f'{word:<9}', _COLOURS[step.action])}  {short_name(step.name)}"])
    elif session.format is Format.NAME:
        session.out.lines([short_name(step.name)])


def _close(session: Session, steps: Sequence[Step | CalendarStep]) -> None:
    if session.format in (Format.JSON, Format.YAML):
        session.out.data(_as_data(steps))
    session.out.note(_summary(steps) or "no schedules")


def _summary(steps: Iterable[Step | CalendarStep]) -> str:
    counts: dict[str, int] = {}
    for step in steps:
        counts[step.action] = counts.get(step.action, 0) + 1
    return ", ".join(f"{count} {action}" for action, count in counts.items())


def _show_plan(session: Session, client: SyncClient, calendars: Sequence[CalendarStep], steps: Sequence[Step]) -> None:
    start = datetime.now(UTC)
    both: list[Step | CalendarStep] = [*calendars, *steps]
    if session.format in (Format.JSON, Format.YAML):
        session.out.data([*_as_data(calendars), *_with_moves(client, steps, start)])
        return
    for calendar in calendars:
        _show_step(session, calendar, planned=True)
        if session.format is Format.TABLE:
            session.out.lines(f"    {difference}" for difference in calendar.differences)
    for step in steps:
        _show_step(session, step, planned=True)
        if session.format is Format.TABLE:
            session.out.lines(f"    {line}" for line in _plan_lines(client, step, start))
    session.out.note(f"a dry run, nothing was changed; would be: {_summary(both) or 'no schedules'}")


def _plan_lines(client: SyncClient, step: Step, start: datetime) -> list[str]:
    from schedd.cli.moves import move_lines, moves
    from schedd.cli.plans import Action

    lines = [str(difference) for difference in step.differences]
    if step.awaits:
        return [*lines, f"fires when its new calendars leave it to: {', '.join(step.awaits)}"]
    return lines if step.action is Action.KEEP else [*lines, *move_lines(moves(client, step, start))]


def _with_moves(client: SyncClient, steps: Sequence[Step], start: datetime) -> list[dict[str, object]]:
    from schedd.cli.moves import move_data, moves
    from schedd.cli.plans import Action

    return [
        data if step.action is Action.KEEP or step.awaits else {**data, "occurrences": move_data(moves(client, step, start))}
        for step, data in zip(steps, _as_data(steps), strict=True)
    ]


def _as_data(steps: Iterable[Step | CalendarStep]) -> list[dict[str, object]]:
    return [
        {
            "name": step.name,
            "action": str(step.action),
            "differences": [{"path": item.path, "before": item.before, "after": item.after} for item in step.differences],
        }
        for step in steps
    ]
