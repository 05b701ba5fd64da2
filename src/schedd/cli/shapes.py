"""The schedules file's short forms: what people may write beyond the API's own fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from google.protobuf import descriptor

from schedd.cli.calendars import CALENDAR_SHAPES
from schedd.cli.document import Entry
from schedd.cli.failures import UsageFault
from schedd.cli.fields import Fields, Shape
from schedd.cli.names import calendar_name, schedule_name
from schedd.v1.policy_pb2 import Condition, FollowUp, Policies
from schedd.v1.schedule_pb2 import Schedule
from schedd.v1.target_pb2 import HttpHeader, HttpTarget, ProcessTarget, StatusRange
from schedd.v1.when_pb2 import Trigger

_STATUS = re.compile(r"(\d{3})(?:\s*-\s*(\d{3}))?|([1-5])xx", re.IGNORECASE)


def _triggers(fields: Fields, entry: Entry, schedule: Any, path: str) -> None:
    """`schedule:`, one expression or several."""
    for item in entry.items():
        where = f"triggers[{len(schedule.triggers)}]"
        fields.read(item, schedule.triggers.add(), where)


def _crons(fields: Fields, entry: Entry, schedule: Any, path: str) -> None:
    for item in entry.items():
        where = f"triggers[{len(schedule.triggers)}]"
        fields.read_field(item, schedule.triggers.add(), "cron", where)


def _every(fields: Fields, entry: Entry, schedule: Any, path: str) -> None:
    where = f"triggers[{len(schedule.triggers)}]"
    fields.read_field(entry, schedule.triggers.add(), "interval", where)


def _at(fields: Fields, entry: Entry, schedule: Any, path: str) -> None:
    """`at:`, one time or several; a time without an offset is the zone's own, and stays so."""
    for item in entry.items():
        where = f"triggers[{len(schedule.triggers)}]"
        _read_at(fields, item, schedule.triggers.add(), where)


def _read_at(fields: Fields, entry: Entry, trigger: Trigger, path: str) -> None:
    fields.reading.places.setdefault(path, entry.place)
    instant = entry.instant()
    if instant is None:
        return
    if instant.tzinfo is None and not instant.microsecond:
        trigger.expression = f"at({instant:%Y-%m-%dT%H:%M:%S})"
    else:
        trigger.once.times.add().FromDatetime(_fixed(fields, instant))


def _fixed(fields: Fields, instant: datetime) -> datetime:
    return (instant if instant.tzinfo is not None else instant.replace(tzinfo=fields.reading.zone)).astimezone(UTC)


def _interval_every(fields: Fields, entry: Entry, trigger: Any, path: str) -> None:
    fields.read_field(entry, trigger, "interval", path)


def _at_start(fields: Fields, entry: Entry, message: Any, path: str) -> None:
    if entry.flag():
        message.SetInParent()


def _target(kind: str) -> Any:
    def read(fields: Fields, entry: Entry, schedule: Any, path: str) -> None:
        fields.read_field(entry, schedule.target, kind, "target")

    return read


def _policy(name: str) -> Any:
    def read(fields: Fields, entry: Entry, schedule: Any, path: str) -> None:
        fields.read_field(entry, schedule.policies, name, "policies")

    return read


def _headers(fields: Fields, entry: Entry, target: Any, path: str) -> None:
    """`headers:`, names to values, or the API's list."""
    if not entry.is_mapping:
        fields.read_field(entry, target, "headers", path)
        return
    for name, value in entry.pairs():
        for item in value.items():
            target.headers.append(HttpHeader(name=name, value="" if item.is_empty else item.text()))


def _body(fields: Fields, entry: Entry, target: Any, path: str) -> None:
    """`body:`, text as it is, or anything else as JSON."""
    fields.reading.places.setdefault(f"{path}.payload", entry.place)
    value = entry.value()
    target.payload.text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _content_type(fields: Fields, entry: Entry, target: Any, path: str) -> None:
    fields.read_field(entry, target.payload, "content_type", f"{path}.payload")


def _status(fields: Fields, entry: Entry, message: StatusRange, path: str) -> None:
    """`204`, `200-299` or `2xx`."""
    match = _STATUS.fullmatch(entry.text().strip())
    if match is None:
        entry.wrong(f"{entry.text()!r} is not a status code: write 204, 200-299 or 2xx")
    elif match[3]:
        message.first, message.last = int(match[3]) * 100, int(match[3]) * 100 + 99
    else:
        message.first, message.last = int(match[1]), int(match[2] or match[1])


def _command(fields: Fields, entry: Entry, target: Any, path: str) -> None:
    """`command:`, a line for the shell."""
    fields.reading.places.setdefault(f"{path}.argv", entry.place)
    if target.argv:
        entry.wrong("cannot stand together with 'argv'")
    target.argv.extend(["/bin/sh", "-c", entry.text()])


def _argv(fields: Fields, entry: Entry, target: Any, path: str) -> None:
    if not entry.is_list:
        entry.wrong("has to be a list, such as [pg_dump, --file, out.sql]; for a shell's line write `command`")
        return
    fields.read_field(entry, target, "argv", path)


def _follow_up(fields: Fields, entry: Entry, follow_up: FollowUp, path: str) -> None:
    """The name of a schedule that follows, or the URL of a target that is notified."""
    if "://" in entry.text():
        fields.read_field(entry, follow_up, "notify", path)
    else:
        _follow_up_schedule(fields, entry, follow_up, path)


def _follow_up_schedule(fields: Fields, entry: Entry, follow_up: FollowUp, path: str) -> None:
    fields.read_field(entry, follow_up, "schedule", path)
    try:
        name = schedule_name(follow_up.schedule)
    except UsageFault as fault:
        entry.wrong(str(fault))
        return
    if follow_up.HasField("schedule"):
        follow_up.schedule = name


def _condition_command(fields: Fields, entry: Entry, condition: Condition, path: str) -> None:
    """A command that has to succeed: a program with its arguments, a line for the shell, or a whole process target."""
    if entry.is_mapping:
        fields.read_field(entry, condition, "command", path)
        return
    where = f"{path}.command"
    fields.reading.places.setdefault(where, entry.place)
    (_argv if entry.is_list else _command)(fields, entry, condition.command, where)


def _umask(fields: Fields, entry: Entry, target: Any, path: str) -> None:
    """`umask:`, octal with a leading zero."""
    text = entry.text().strip()
    if re.fullmatch(r"0o?[0-7]+", text):
        target.umask = int(text.replace("o", ""), 8)
    else:
        target.umask = entry.integer()


def _calendars(name: str) -> Any:
    """`exclude_calendars:` and `include_calendars:`, one name or several."""

    def read(fields: Fields, entry: Entry, schedule: Any, path: str) -> None:
        fields.reading.places.setdefault(name, entry.place)
        for index, item in enumerate(entry.items()):
            fields.reading.places.setdefault(f"{name}[{index}]", item.place)
            try:
                getattr(schedule, name).append(calendar_name(item.text()))
            except UsageFault as fault:
                item.wrong(str(fault))

    return read


SCHEDULE_KEYS = {
    "exclude_calendars": _calendars("exclude_calendars"),
    "include_calendars": _calendars("include_calendars"),
    "schedule": _triggers,
    "cron": _crons,
    "every": _every,
    "at": _at,
    "http": _target("http"),
    "process": _target("process"),
    "timeout": _policy("attempt_timeout"),
    **{item.name: _policy(item.name) for item in Policies.DESCRIPTOR.fields},
}
"""The keys of a schedule beyond the API's: the common triggers and targets, and all policies, without a level of their own."""

_HTTP_KEYS = {"headers": _headers, "body": _body, "content_type": _content_type}
_PROCESS_KEYS = {"argv": _argv, "command": _command, "umask": _umask}


def _below(kind: str, target: descriptor.Descriptor, keys: Iterable[str]) -> dict[str, str]:
    return {key: f"it belongs below `{kind}`, as in `{kind}: {{{key}: …}}`" for key in (*target.fields_by_name, *keys)}


def _above(kind: str) -> dict[str, str]:
    return dict.fromkeys((*Schedule.DESCRIPTOR.fields_by_name, *SCHEDULE_KEYS), f"it belongs to the schedule, beside `{kind}`")


_OTHER_WORDS = {
    "retries": "it is called `retry`, as in `retry: {max_attempts: 3}`",
    "cron_expression": "it is called `schedule`",
    "jitter": "it is called `spread`, as in `spread: {mode: RANDOM, window: 5m}`; that of retries belongs below `retry`",
    "catchup": "it is called `catch_up`",
    "enabled": "a schedule is paused and resumed by `schedctl pause` and `schedctl resume`",
}
"""What newcomers write for it, where the nearest key would mislead them."""

SCHEDULE_ELSEWHERE = {
    **_OTHER_WORDS,
    **_below("http", HttpTarget.DESCRIPTOR, _HTTP_KEYS),
    **_below("process", ProcessTarget.DESCRIPTOR, _PROCESS_KEYS),
}
"""The keys of targets that people write a level too high, and where they belong."""

SHAPES = {
    **CALENDAR_SHAPES,
    "schedd.v1.Trigger": Shape(principal="expression", keys={"every": _interval_every, "at": _read_at}),
    "schedd.v1.CronTrigger": Shape(principal="expression"),
    "schedd.v1.IntervalTrigger": Shape(principal="every"),
    "schedd.v1.AfterCompletionTrigger": Shape(principal="delay"),
    "schedd.v1.OnceTrigger": Shape(principal="times"),
    "schedd.v1.OnCalendarTrigger": Shape(principal="expression"),
    "schedd.v1.RecurrenceTrigger": Shape(principal="text"),
    "schedd.v1.AtStartTrigger": Shape(single=_at_start),
    "schedd.v1.Spread": Shape(principal="window"),
    "schedd.v1.CatchUp": Shape(principal="mode"),
    "schedd.v1.Retry": Shape(principal="max_attempts"),
    "schedd.v1.Condition": Shape(keys={"command": _condition_command}),
    "schedd.v1.FollowUp": Shape(single=_follow_up, keys={"schedule": _follow_up_schedule}),
    "schedd.v1.Payload": Shape(principal="text"),
    "schedd.v1.SecretReference": Shape(principal="name"),
    "schedd.v1.BearerAuth": Shape(principal="token"),
    "schedd.v1.StatusRange": Shape(single=_status),
    "schedd.v1.HttpTarget": Shape(principal="url", keys=_HTTP_KEYS, elsewhere=_above("http")),
    "schedd.v1.ProcessTarget": Shape(keys=_PROCESS_KEYS, elsewhere=_above("process")),
}
