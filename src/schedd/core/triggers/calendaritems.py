"""The lists of an OnCalendar expression: the values, ranges and repetitions of one part of a date or of a time.

Source: systemd.time(7) and the normal forms of systemd-analyze 252.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from schedd.core.triggers.civil import SECOND_US
from schedd.core.triggers.clockface import Seconds, SubSeconds
from schedd.core.triggers.fieldsets import Token

ITEMS_MAX: Final = 240
"""The most items of one list, as in systemd."""

SHORTEST_STEP_US: Final = 1_000
"""The shortest repetition of seconds: what intervals are held to as well."""

_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
_ITEM: Final = re.compile(rf"(?P<start>{_NUMBER})(?:\.\.(?P<stop>{_NUMBER}))?(?:/(?P<step>{_NUMBER}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One part of a date or a time: its bounds, the digits that the normal form gives it, and what its values count (`scale` to a 1)."""

    name: str
    low: int
    high: int
    digits: int = 2
    scale: int = 1


YEAR: Final = Unit(name="year", low=1970, high=2199, digits=4)
MONTH: Final = Unit(name="month", low=1, high=12)
DAY: Final = Unit(name="day", low=1, high=31)
DAY_FROM_END: Final = Unit(name="day from the end", low=1, high=28)
HOUR: Final = Unit(name="hour", low=0, high=23)
MINUTE: Final = Unit(name="minute", low=0, high=59)
SECOND: Final = Unit(name="second", low=0, high=60 * SECOND_US - 1, scale=SECOND_US)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a list: its values, its text in the normal form, and where the normal form sorts it."""

    values: range
    text: str
    rank: tuple[int, int, int]


ZERO: Final = (Item(values=range(1), text="00", rank=(0, -1, 0)),)
"""The list `0`: what a time that is left out stands for."""


def read_list(token: Token, unit: Unit) -> tuple[Item, ...]:
    """The items of a list, each once, in the order of the normal form; none for `*`."""
    at = replace(token, part=unit.name)
    if at.value == "*":
        return ()
    items = at.split(",")
    if len(items) > ITEMS_MAX:
        raise items[ITEMS_MAX].fault(f"a list has at most {ITEMS_MAX} items", "a repetition, such as `0/5`, stands for many")
    read = {item.rank: item for item in (_read_item(item, unit) for item in items)}
    return tuple(read[rank] for rank in sorted(read))


def _read_item(token: Token, unit: Unit) -> Item:
    match = _ITEM.fullmatch(token.value)
    if match is None:
        raise token.fault(*_not_an_item(token.value))
    start = _bounded(_read_value(token.piece(match, "start"), unit), token.piece(match, "start"), unit)
    step = 0 if match["step"] is None else _read_step(token.piece(match, "step"), unit)
    if match["stop"] is not None:
        return _range_item(token.piece(match, "stop"), unit, start, step or unit.scale)
    if not step:
        return Item(values=range(start, start + 1), text=_number(start, unit), rank=(start, -1, 0))
    values = range(start, 0, -step) if unit is DAY_FROM_END else range(start, unit.high + 1, step)
    if len(values) == 1:
        raise token.fault(f"`{token.value}` repeats past the last {unit.name}", f"write `{match['start']}` for that one alone")
    return Item(values=values, text=f"{_number(start, unit)}/{_number(step, replace(unit, digits=1))}", rank=(start, -1, step))


def _range_item(end: Token, unit: Unit, start: int, step: int) -> Item:
    """The range up to `end`, cut to a multiple of its step before its bounds are looked at; the start alone where that leaves no more."""
    stop = _read_value(end, unit)
    if stop < start:
        raise end.fault("the range ends before it begins", "two items say it: `22..23,0..5`")
    stop = _bounded(stop - (stop - start) % step, end, unit)
    if stop == start:
        return Item(values=range(start, start + 1), text=_number(start, unit), rank=(start, -1, 0))
    repeated = "" if step == unit.scale else f"/{_number(step, replace(unit, digits=1))}"
    text = f"{_number(start, unit)}..{_number(stop, unit)}{repeated}"
    return Item(values=range(start, stop + 1, step), text=text, rank=(start, stop, step))


def _not_an_item(value: str) -> tuple[str, str]:
    if not value:
        return "an item is missing here", "write `1,2`, without a comma at either end, or `*` for any"
    if value.startswith("*"):
        return f"`{value}`: a star stands alone in OnCalendar", "write `0/15` for every fifteenth from 0, `1/2` for every other from 1"
    return f"`{value}` is not a value, a range or a repetition", "write `5`, `1..5`, `0/15` or `1,3`"


def _read_value(token: Token, unit: Unit) -> int:
    """The number, a year of two digits as one from 1970 to 2069."""
    value = _scaled(token, unit)
    if unit is YEAR and value < 100:
        value += 2000 if value < 70 else 1900
    return value


def _bounded(value: int, token: Token, unit: Unit) -> int:
    if not unit.low <= value <= unit.high:
        raise token.fault(f"{token.value} is out of range: the {unit.name} is {unit.low} to {unit.high // unit.scale}")
    return value


def _read_step(token: Token, unit: Unit) -> int:
    step = _scaled(token, unit)
    if step < 1:
        raise token.fault("a repetition is more than 0", "write `0/15` for every fifteenth")
    if unit is SECOND and step < SHORTEST_STEP_US:
        raise token.fault("a repetition of seconds is at least a millisecond", "write `0/0.001`")
    return step


def _scaled(token: Token, unit: Unit) -> int:
    """The number, in microseconds where it counts seconds, rounded half up; cut to nine digits, which are out of range as well."""
    whole, _, fraction = token.value.partition(".")
    if fraction and unit is not SECOND:
        raise token.fault(f"the {unit.name} has no fraction", "seconds alone have one: `10:00:00.5`")
    value = int(whole.lstrip("0")[:9] or "0") * unit.scale
    if not fraction:
        return value
    return value + int(fraction[:6].ljust(6, "0")) + (fraction[6:7] >= "5")


def _number(value: int, unit: Unit) -> str:
    whole, fraction = divmod(value, unit.scale)
    return f"{whole:0{unit.digits}}" + (f".{fraction:06}" if fraction else "")


def every_second(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Without items, that is `*`, where `0/1` says so already and the other items add no fraction."""
    every = any(item.text == "00/1" for item in items)
    return () if every and all(_is_whole(item.values) for item in items) else items


def written(items: tuple[Item, ...]) -> str:
    """A list in the normal form."""
    return ",".join(item.text for item in items) or "*"


def seconds_of(items: tuple[Item, ...]) -> Seconds | SubSeconds:
    """The seconds of a list: as a bitmask unless one has a fraction."""
    if not items:
        return Seconds((1 << 60) - 1)
    steps = tuple(item.values for item in items)
    if all(_is_whole(step) for step in steps):
        return Seconds(sum({1 << value // SECOND_US for step in steps for value in step}))
    return SubSeconds(steps)


def _is_whole(values: range) -> bool:
    """Whether values in microseconds are whole seconds."""
    return values.start % SECOND_US == 0 and (len(values) == 1 or values.step % SECOND_US == 0)


def mask_of(items: tuple[Item, ...]) -> int:
    """The values of a list as a mask, bit v for the value v; 0 for `*`."""
    mask = 0
    for item in items:
        for value in item.values:
            mask |= 1 << value
    return mask


def all_of(unit: Unit) -> int:
    """All values of a unit as a mask."""
    return sum(1 << value for value in range(unit.low, unit.high + 1))
