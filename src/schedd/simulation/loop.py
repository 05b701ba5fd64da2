"""A virtual event loop: when nothing is ready its time jumps to the next timer, so that a week passes in the time that its work takes.

It has no I/O and no threads, and what depends on hash values elsewhere does not here: the same coroutines give the same history.
"""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextvars import Context
from math import ceil
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_QUARTER_S = 0.25e-6
"""Timers are set a quarter of a microsecond early and go off at the next whole one: floating point adds less than that to their times."""


class StuckError(RuntimeError):
    """Nothing is ready and no timer runs: whoever waits, waits for ever."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, which begins at 0."""

    def __init__(self) -> None:
        self.now_us = 0
        super().__init__(_Leap(self))
        self._numbers = itertools.count()
        self.set_task_factory(self._numbered)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.now_us / 1e6

    def call_at(self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> asyncio.TimerHandle:
        """Call it at that virtual time, in whole microseconds."""
        return super().call_at(when - _QUARTER_S, callback, *args, context=context)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Call it here and now: there are no threads."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 (it belongs to whoever waits for the result)
            future.set_exception(error)
        return future

    def _numbered(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T] | Generator[Any, None, T], **settings: Any
    ) -> asyncio.Task[T]:
        return _NumberedTask(next(self._numbers), coroutine, loop=loop, **settings)


class _NumberedTask(asyncio.Task[T]):
    """A task whose hash is its number: sets of tasks are walked in the same order in every run."""

    def __init__(self, number: int, coroutine: Any, **settings: Any) -> None:
        self._number = number
        super().__init__(coroutine, **settings)

    def __hash__(self) -> int:
        return self._number


class _Leap(selectors.SelectSelector):
    """In the place of waiting, lets the loop's time pass."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Pass `timeout` seconds; no file is ever ready."""
        if timeout is None:
            raise StuckError("nothing is ready and no timer runs")
        if timeout > 0:
            self._loop.now_us += max(1, ceil(timeout * 1e6))
        return []
