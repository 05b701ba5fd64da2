"""Clients send the same definitions again and again: what a message says is read once, and known again by its bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from schedd.api.reading import Reading
from schedd.core.weight import LIGHT_BYTES

Part = TypeVar("Part")

KEPT = 1024
"""How many parts are kept of each kind."""


class ByBytes(Generic[Part]):
    """Parts of definitions by what was sent for them; equal bytes give one object. What has a fault is read anew each time."""

    def __init__(self) -> None:
        self._known: dict[bytes, Part] = {}

    def read(self, sent: bytes, read: Callable[[Reading], Part], reading: Reading, *, keep: bool = True) -> Part:
        """The part that was sent so; `read` reads it, if it is not known, and `keep` says whether that says the same at any time."""
        known = self._known.get(sent)
        if known is not None:
            return known
        own = Reading()
        part = read(own)
        reading.faults += own.faults
        if keep and not own.faults and len(sent) <= LIGHT_BYTES:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[sent] = part
        return part
