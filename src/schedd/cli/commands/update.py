"""Changing some fields of a schedule."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from schedd.cli.commanding import command
from schedd.cli.failures import UsageFault
from schedd.cli.names import schedule_name, short_name
from schedd.cli.output import Format
from schedd.cli.selecting import complete_schedule
from schedd.cli.session import Session


@command(
    "update",
    examples="""
schedctl schedule update tee-time --schedule '0 7 * * *' --tz America/New_York
schedctl schedule update tee-time --set timeout=30s --set retry='{max_attempts: 5, min_backoff: 10s}'
schedctl schedule update tee-time --set description='Book early' --dry-run
""",
)
@click.argument("name", shell_complete=complete_schedule)
@click.option("--schedule", "expression", metavar="EXPR", help="When it fires, in place of all of its triggers.")
@click.option("-z", "--tz", metavar="ZONE", help="The IANA zone of local times.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key of a schedules file with its value in YAML.")
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@click.pass_obj
def update(session: Session, name: str, expression: str | None, tz: str | None, settings: tuple[str, ...], dry_run: bool) -> None:
    """Change some fields of a schedule.

    Keys are those of a schedules file; what is not named stays. A key that has keys of its own is replaced as a whole.
    """
    from schedd.cli.manifest import read_part
    from schedd.cli.plans import differences
    from schedd.cli.views import schedules_view

    text = _text(expression, tz, settings)
    with session.client() as client:
        before = client.get_schedule(schedule_name(name))
        part, mask = read_part(text, before.time_zone)
        part.name, part.etag = before.name, before.etag
        after = client.update_schedule(part, update_mask=mask, validate_only=dry_run)
    changes = differences(before, after)
    if session.format is not Format.TABLE:
        session.out.one(schedules_view(datetime.now(UTC)), after, list)
        return
    if dry_run:
        session.out.lines(map(str, changes))
    verb = "would be updated" if dry_run else "updated"
    session.out.note(f"{short_name(after.name)} {verb if changes else 'unchanged'}")


def _text(expression: str | None, tz: str | None, settings: tuple[str, ...]) -> str:
    """The settings as one YAML mapping; each value is YAML of its own."""
    lines = []
    for setting in settings:
        key, found, value = setting.partition("=")
        if not found or not key:
            raise UsageFault(f"{setting!r} is wrong: write --set KEY=VALUE")
        outer, dot, inner = key.partition(".")
        if dot:
            raise UsageFault(f"{key!r} is within a key, which is replaced as a whole: write --set {outer}='{{{inner}: {value}, …}}'")
        lines.append(f"{key}: {_value(value)}")
    given: tuple[tuple[str, Any], ...] = (("schedule", expression), ("time_zone", tz))
    lines += [f"{key}: {json.dumps(value)}" for key, value in given if value]
    if not lines:
        raise UsageFault("say what to change: --schedule, --tz or --set KEY=VALUE")
    return "\n".join(lines)


def _value(text: str) -> str:
    # A plain value may have characters that YAML takes for syntax, so all but lists and mappings are quoted.
    return text if text[:1] in ("[", "{") else json.dumps(text)
