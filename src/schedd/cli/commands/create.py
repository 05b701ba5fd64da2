"""Creating one schedule from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from schedd.cli.commanding import DURATION, command
from schedd.cli.failures import UsageFault
from schedd.cli.names import schedule_name, short_name
from schedd.cli.output import Format
from schedd.cli.session import Session

if TYPE_CHECKING:
    from schedd.v1.schedule_pb2 import Pause
_OPTIONS = {
    "triggers[0].interval.every": "--every",
    "triggers[0].after_completion.delay": "--after-completion",
    "time_zone": "--tz",
    "target.http.url": "--http",
    "target.http.method": "--method",
    "target.http.headers": "--header",
    "target.http.payload": "--body",
    "policies.retry.max_attempts": "--attempts",
    "policies.attempt_timeout": "--attempt-timeout",
    "description": "--description",
    "labels": "--label",
    "policies.on_success": "--on-success",
    "policies.on_failure": "--on-failure",
}
"""The options that say what these fields of a schedule are."""


@command(
    "create",
    examples="""
schedctl schedule create tee-time --cron '0 6 * * *' --tz America/New_York --http https://example.com/check
schedctl schedule create report --schedule 'Mon..Fri *-*-* 09:00' -- /usr/bin/true
schedctl schedule create backup --cron '0 2 * * *' --on-success verify --on-failure https://example.com/alarm -- /usr/bin/backup
schedctl schedule create heartbeat --every 30s -- /usr/bin/true
schedctl schedule create warm-up --schedule @reboot -- /usr/local/bin/warm-up
schedctl schedule create reminder --at 2026-12-24T09:00:00 --tz Europe/Berlin --http https://example.com/hook --body 'Lunch!'
""",
)
@click.argument("name")
@click.argument("argv", nargs=-1, metavar="[-- COMMAND [ARGUMENT]...]")
@click.option("--schedule", "--cron", "schedule", metavar="EXPR", help="Any expression: cron, @reboot, cron(…), OnCalendar, an RRULE.")
@click.option("--every", metavar="TIME", help="An interval, such as 30s.")
@click.option("--after-completion", metavar="TIME", help="That long after each run has ended, such as 10m.")
@click.option("--at", metavar="TIME", help="Once, at this time; in the zone, unless it has an offset.")
@click.option("-z", "--tz", metavar="ZONE", help="The IANA zone of local times; UTC if not given.")
@click.option("--http", "url", metavar="URL", help="Send an HTTP request there, in place of running a command.")
@click.option("--method", metavar="METHOD", help="Its method; POST if not given.")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header of it; may be given again.")
@click.option("--body", metavar="TEXT", help="Its body.")
@click.option("--attempts", type=click.IntRange(1, 100), help="Attempts in all, the first included.")
@click.option("--attempt-timeout", type=DURATION, metavar="TIME", help="How long one attempt may take.")
@click.option("--on-success", multiple=True, metavar="NAME|URL", help="A schedule to run, or a URL to notify, after a success.")
@click.option("--on-failure", multiple=True, metavar="NAME|URL", help="The same after a failure for good; both may be given again.")
@click.option("--description", metavar="TEXT", help="For people.")
@click.option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label; may be given again.")
@click.option("--paused", is_flag=True, help="Create it paused: it waits for `schedctl resume`.")
@click.option("--pause-reason", metavar="TEXT", help="Create it paused, for this reason.")
@click.option("--pause-for", type=DURATION, metavar="TIME", help="Create it paused; it begins by itself after this long.")
@click.option("--dry-run", is_flag=True, help="Check only, and show when it would fire; create nothing.")
@click.pass_obj
def create(session: Session, /, name: str, argv: tuple[str, ...], dry_run: bool, attempt_timeout: timedelta | None, **given: Any) -> None:
    """Create one schedule from the command line.

    Say when with --schedule, --every, --after-completion or --at, and what with --http or, after --, a command that runs without a shell.
    """
    from schedd.cli.manifest import read_one
    from schedd.cli.previews import occurrence_lines
    from schedd.cli.views import instant, schedules_view

    schedule = read_one(_document(name, argv, given))
    if attempt_timeout is not None:
        schedule.policies.attempt_timeout.FromTimedelta(attempt_timeout)
    with session.client() as client, _told_by_option():
        made = client.create_schedule(schedule, pause=_pause(given), validate_only=dry_run)
        # The answer has no next time yet: it is planned right after the creation.
        made = made if dry_run else client.get_schedule(made.name)
        preview = client.preview_schedule(schedule, count=3).occurrences if dry_run else []
    now = datetime.now(UTC)
    if session.format is not Format.TABLE:
        session.out.one(schedules_view(now), made, list)
    elif dry_run:
        session.out.lines([f"{short_name(made.name)} would be created; it would fire at", *occurrence_lines(preview, now)])
    elif made.HasField("pause"):
        session.out.note(f"{short_name(made.name)} created, paused")
    else:
        from schedd.cli.spans import instant_text, relative_text

        due = instant(made.next_time) if made.HasField("next_time") else None
        told = f"; fires next {instant_text(due)} ({relative_text(due, now)})" if due else ""
        session.out.note(f"{short_name(made.name)} created{told}")


def _pause(given: dict[str, Any]) -> Pause | None:
    """The pause that the schedule begins with."""
    from schedd.v1.schedule_pb2 import Pause

    if not (given["paused"] or given["pause_reason"] or given["pause_for"]):
        return None
    pause = Pause(reason=given["pause_reason"] or "")
    if given["pause_for"]:
        pause.until_time.FromDatetime(datetime.now(UTC) + given["pause_for"])
    return pause


@contextmanager
def _told_by_option() -> Iterator[None]:
    """What the server finds wrong is told by the options that say it."""
    from schedd.client import InvalidError

    try:
        yield
    except InvalidError as error:
        told = (replace(violation, field=_option_of(violation.field)) for violation in error.violations)
        raise InvalidError(replace(error.fault, violations=tuple(told))) from error


def _option_of(path: str) -> str:
    inner = path.removeprefix("schedule.")
    return next((option for field, option in _OPTIONS.items() if inner.startswith(field)), path)


def _document(name: str, argv: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    """What was given, as a schedule of a schedules file."""
    times = {key: given[key] for key in ("schedule", "every", "after_completion", "at") if given[key]}
    if len(times) != 1:
        raise UsageFault("say when, in one way: --schedule EXPR or --cron EXPR, --every TIME, --after-completion TIME or --at TIME")
    if bool(given["url"]) == bool(argv):
        raise UsageFault("say what, in one way: --http URL, or -- COMMAND")
    document: dict[str, Any] = {"name": schedule_name(name), **_when(times)}
    document |= {key: given[source] for key, source in (("time_zone", "tz"), ("description", "description")) if given[source]}
    if given["labels"]:
        document["labels"] = dict(_pair(label, "=", "a label is KEY=VALUE") for label in given["labels"])
    if given["attempts"]:
        document["retry"] = {"max_attempts": given["attempts"]}
    document |= {key: list(given[key]) for key in ("on_success", "on_failure") if given[key]}
    return document | _target(argv, given)


def _when(times: dict[str, str]) -> dict[str, Any]:
    return {"triggers": [times]} if "after_completion" in times else dict(times)


def _target(argv: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    if argv:
        for option in ("method", "headers", "body"):
            if given[option]:
                raise UsageFault(f"--{option.rstrip('s')} goes with --http")
        return {"process": {"argv": list(argv)}}
    target: dict[str, Any] = {"url": given["url"]}
    target |= {key: given[key] for key in ("method", "body") if given[key]}
    pairs = [_pair(header, ":", "a header is NAME:VALUE") for header in given["headers"]]
    if pairs:
        target["headers"] = [{"name": name, "value": value.strip()} for name, value in pairs]
    return {"http": target}


def _pair(text: str, separator: str, form: str) -> tuple[str, str]:
    key, found, value = text.partition(separator)
    if not found or not key:
        raise UsageFault(f"{text!r} is wrong: {form}")
    return key, value
