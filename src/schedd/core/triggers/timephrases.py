"""The times of day of a field-based rule, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from schedd.core.triggers.clockface import ClockFace, SubSeconds
from schedd.core.triggers.phrases import joined, listed, members, ordinal, runs_of, steps_of

_LISTED: Final = 6
"""How many times of a day are told one by one."""
_HOUR: Final = "{:02}".format


def times_of(face: ClockFace) -> tuple[str, bool]:
    """The times in words, and whether they are a list of fixed times, such as `At 04:30 and 16:30`."""
    hours, minutes = members(face.hours), members(face.minutes)
    if isinstance(face.seconds, SubSeconds):
        return _fine(hours, minutes, face.seconds), False
    seconds = members(face.seconds.mask)
    if len(hours) * len(minutes) * len(seconds) <= _LISTED:
        times = [_clock(hour, minute, second, seconds) for hour in hours for minute in minutes for second in seconds]
        return f"At {joined(times)}", True
    if seconds == [0]:
        return _within_hours(_rhythm(minutes, "minute"), hours, minutes, seconds), False
    head = _rhythm(seconds, "second")
    if len(minutes) == 60:
        head += " of every minute" if not head.startswith("Every") or " from " in head else ""
    elif (every := steps_of(minutes)) is not None:
        head += f" of {_every(every.step, 'minute', minutes, 60, str)}"
    else:
        head += f" of {'minute' if len(minutes) == 1 else 'minutes'} {listed(minutes, str)}"
    return _within_hours(head, hours, minutes, seconds), False


def _fine(hours: list[int], minutes: list[int], seconds: SubSeconds) -> str:
    """Seconds with fractions: each progression by its first, its last and its step."""
    head = f"At {joined([_progression(step) for step in seconds.steps])} of {_named(minutes, 'minute')}"
    return head if len(hours) == 24 else f"{head} of {'hour' if len(hours) == 1 else 'the hours'} {listed(hours, _HOUR)}"


def _progression(step: range) -> str:
    first, last = (f"{us / 1_000_000:.6f}".rstrip("0").rstrip(".") for us in (step[0], step[-1]))
    return f"second {first}" if len(step) == 1 else f"every {step.step / 1_000_000:g} seconds from {first} to {last}"


def _named(minutes: list[int], noun: str) -> str:
    return f"every {noun}" if len(minutes) == 60 else f"{noun if len(minutes) == 1 else noun + 's'} {listed(minutes, str)}"


def _rhythm(values: list[int], noun: str) -> str:
    """`Every minute`, `Every 15 minutes`, `Every 15 minutes from minute 5 to 50`, `At minute 7`, `At minutes 1, 2 and 10 to 20`."""
    if len(values) == 60:
        return f"Every {noun}"
    every = steps_of(values)
    if every is None:
        return f"At {noun if len(values) == 1 else noun + 's'} {listed(values, str)}"
    goes_round = every.first == 0 and every.last + every.step == 60
    return f"Every {every.step} {noun}s" + ("" if goes_round else f" from {noun} {every.first} to {every.last}")


def _within_hours(head: str, hours: list[int], minutes: list[int], seconds: list[int]) -> str:
    """The rhythm within an hour, and the hours in which it goes."""
    steady = head.startswith("Every") and " of " not in head and " from " not in head
    if len(hours) == 24:
        return head if steady or head.endswith("every minute") else f"{head} of every hour"
    window = len(runs_of(hours)) == 1
    if window and steady:
        return f"{head} from {_clock(hours[0], minutes[0], seconds[0], seconds)} to {_clock(hours[-1], minutes[-1], seconds[-1], seconds)}"
    if window and len(minutes) == 1 and seconds == [0]:
        return f"Every hour from {_clock(hours[0], minutes[0], 0, seconds)} to {_clock(hours[-1], minutes[0], 0, seconds)}"
    if (every := steps_of(hours)) is not None:
        return f"{head} of {_every(every.step, 'hour', hours, 24, _HOUR)}"
    return f"{head} of {'hour' if len(hours) == 1 else 'the hours'} {listed(hours, _HOUR)}"


def _every(step: int, noun: str, values: list[int], size: int, name: Callable[[int], str]) -> str:
    """`every 2nd hour`, `every 2nd hour from 09 to 17`."""
    whole = values[0] == 0 and values[-1] + step >= size
    return f"every {ordinal(step)} {noun}" + ("" if whole else f" from {name(values[0])} to {name(values[-1])}")


def _clock(hour: int, minute: int, second: int, seconds: list[int]) -> str:
    return f"{hour:02}:{minute:02}" + ("" if seconds == [0] else f":{second:02}")
