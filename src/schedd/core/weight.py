"""How heavy a part of a definition is: what many schedules share is light, and what is heavy is not kept beside the schedule itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Final

LIGHT_BYTES: Final = 16 * 1024
"""Up to here a part is light."""

_OBJECT_BYTES: Final = 64
_ITEM_BYTES: Final = 16


def is_light(part: object, limit_bytes: int = LIGHT_BYTES) -> bool:
    """Whether a value of the model takes no more memory than that, roughly; no more of it is looked at than it takes to tell."""
    return _room_after(part, limit_bytes) >= 0


def _room_after(part: object, room: int) -> int:
    """What is left of the room beside the part; less than nothing: it does not fit."""
    parts = [part]
    while parts and room >= 0:
        each = parts.pop()
        if isinstance(each, str | bytes):
            room -= len(each)
        elif isinstance(each, tuple):
            room -= _ITEM_BYTES * len(each)
            parts += each
        elif isinstance(each, Mapping):
            room -= _ITEM_BYTES * len(each)
            parts += (*each.keys(), *each.values())
        elif values := _VALUES[type(each)](each):
            room -= _OBJECT_BYTES
            parts += values
    return room


class _Values(dict[type, Callable[[object], tuple[object, ...]]]):
    """By the type of a part, how to get the values of its fields; there are as many types as the model has."""

    def __missing__(self, kind: type) -> Callable[[object], tuple[object, ...]]:
        names = tuple(getattr(kind, "__dataclass_fields__", ()))
        get = attrgetter(*names) if len(names) > 1 else lambda each: tuple(getattr(each, name) for name in names)
        self[kind] = get
        return get


_VALUES: Final = _Values()
