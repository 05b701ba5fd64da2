"""Undertakings: changes that run to their end, also when whoever asked for them has left.

A call whose deadline has passed is cancelled, and what it handed to the store is committed all the same: it has to take effect in
memory too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from schedd.core.errors import ScheddError

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Undertakings:
    """Supervises the changes under way. What one raises goes to its caller, or to the log if that has left."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()

    async def see_through(self, change: Coroutine[Any, Any, T]) -> T:
        """What the change gives, or raises. It ends by itself where the caller is cancelled."""
        task = asyncio.get_running_loop().create_task(change)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_tell)
            raise

    async def ended(self) -> None:
        """Return when nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)


def _tell(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, ScheddError):
        log.error("change_failed", exc_info=error)
