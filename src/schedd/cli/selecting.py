"""Choosing schedules: label selectors, and completion of names in the shell."""

from __future__ import annotations

import re
from typing import Any

import click

from schedd.cli.failures import UsageFault

_TERM = re.compile(r"(?P<key>[a-z0-9._/-]+)(?:(?P<operator>!?=)(?P<value>.*))?")
_COMPLETION_LIMIT = 200


def selector_filter(selector: str | None, extra: str | None = None) -> str:
    """The API's filter for a label selector (`app=demo,team!=pay,urgent`), and for what is given beside it. Raises: UsageFault."""
    terms = [_term(term.strip()) for term in selector.split(",")] if selector else []
    return " AND ".join([*terms, *([extra] if extra else [])])


def _term(text: str) -> str:
    match = _TERM.fullmatch(text)
    if match is None:
        raise UsageFault(f"{text!r} is not a label selector: write app=demo, app!=demo, or app for any value; join with commas")
    if match["operator"] is None:
        return f"labels.{match['key']}:*"
    return f"labels.{match['key']} {match['operator']} {quoted(match['value'])}"


def quoted(text: str) -> str:
    """Text as a filter has it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class OverlapChoice(click.Choice[str]):
    """An overlap policy, as a schedules file has it; `buffer-one` is taken for `BUFFER_ONE`."""

    def __init__(self) -> None:
        super().__init__(("SKIP", "BUFFER_ONE", "BUFFER_ALL", "CANCEL_OTHER", "TERMINATE_OTHER", "ALLOW_ALL"), case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Its name in capitals, with underscores."""
        return super().convert(str(value).replace("-", "_"), param, ctx)


def complete_schedule(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """The names of schedules that begin so, from the server if it answers at once."""
    from datetime import timedelta
    from itertools import islice

    from schedd.cli.names import short_name
    from schedd.cli.session import Session
    from schedd.client import ClientError

    session = ctx.find_object(Session) or Session()
    session.timeout = timedelta(seconds=1)
    try:
        with session.client() as client:
            names = [short_name(schedule.name) for schedule in islice(client.list_schedules(), _COMPLETION_LIMIT)]
    except ClientError:
        return []
    return [name for name in names if name.startswith(incomplete)]
