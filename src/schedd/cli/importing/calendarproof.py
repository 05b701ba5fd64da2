"""The proof of a timer: the schedule that was written beside `systemd-analyze calendar`, systemd's own calculator."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

from schedd.cli.importing.carried import Carried
from schedd.cli.importing.proof import Finding, Span, Verdict, compared, our_times
from schedd.core.triggers.zonename import is_zone
from schedd.v1.schedule_pb2 import Schedule

_PROGRAM = "systemd-analyze"
_MOST_TIMES = 20_000
_MOST_ZONED_TIMES = 1_000
"""Of an expression with a zone of its own, for which systemd starts a process at each time."""
_LEAST_TIMES = 1_000
_TIMEOUT_S = 60
_ELAPSE = re.compile(r"^ *(?:Next elapse|Iter\. #\d+|\(in UTC\)): \w{3} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC$", re.MULTILINE)


class CalculatorError(Exception):
    """systemd's calculator gave no answer; the text says why."""


def prove(item: Carried, schedule: Schedule, span: Span) -> Finding:
    """What the two readings of a timer's calendar expressions have to say of each other; other timers have nothing to compare."""
    by_clock = [trigger for trigger in schedule.triggers if trigger.WhichOneof("rule") != "at_start"]
    expressions = [trigger.on_calendar.expression for trigger in by_clock if trigger.WhichOneof("rule") == "on_calendar"]
    if not expressions or len(expressions) != len(by_clock):
        return _unproved("what counts from a boot or from a run has no times of its own")
    if shutil.which(_PROGRAM) is None:
        return _unproved(f"{_PROGRAM} is not installed here")
    ours = our_times(schedule, span)
    most = _MOST_ZONED_TIMES if any(map(_has_zone, expressions)) else _MOST_TIMES
    period = "in the coming year"
    if len(ours) > most:
        span, ours = Span(start=span.start, end=ours[most]), ours[:most]
        period = f"until {datetime.fromtimestamp(span.end, UTC):%Y-%m-%d %H:%MZ} (so many are looked at)"
    try:
        theirs = {at for text in expressions for at in calendar_seconds(text, schedule.time_zone, span, len(ours))}
    except CalculatorError as error:
        return _unproved(str(error))
    return compared(sorted(theirs), ours, who="systemd", time_zone=schedule.time_zone, period=period)


def calendar_seconds(expression: str, time_zone: str, span: Span, expected: int) -> Iterator[int]:
    """The times that systemd has for an expression within `span`, in UTC seconds. Raises: CalculatorError."""
    command = [_PROGRAM, "calendar", f"--iterations={max(expected, _LEAST_TIMES) + 2}", f"--base-time=@{span.start - 1}", expression]
    env = {"TZ": time_zone, "LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, env=env)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CalculatorError(f"{_PROGRAM} gives no answer within {_TIMEOUT_S} s") from error
    if answer.returncode:
        raise CalculatorError(f"{_PROGRAM} does not take it: {answer.stderr.strip()}")
    for text in _ELAPSE.findall(answer.stdout):
        at = int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp())
        if span.start <= at < span.end:
            yield at


def _has_zone(expression: str) -> bool:
    return is_zone(expression.split()[-1])


def _unproved(text: str) -> Finding:
    return Finding(verdict=Verdict.UNPROVED, text=text)
