"""How work is driven and timed: so many calls in flight, sides that take turns, medians, quantiles."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many a second, and the CPU time that one took (0 where it was not asked for)."""

    a_second: float
    cpu_us: float = 0.0


def alternate(sides: Mapping[str, Callable[[], Rate]], rounds: int) -> dict[str, Rate]:
    """The median of each side, which take turns; the first round only warms them up."""
    found: dict[str, list[Rate]] = {name: [] for name in sides}
    for round_number in range(rounds + 1):
        for name, measure in sides.items():
            rate = measure()
            if round_number:
                found[name].append(rate)
    return {name: median(rates) for name, rates in found.items()}


def median(rates: Sequence[Rate]) -> Rate:
    """The median of both figures."""
    return Rate(
        a_second=statistics.median(rate.a_second for rate in rates),
        cpu_us=statistics.median(rate.cpu_us for rate in rates),
    )


async def in_flight(call: Callable[[int], Awaitable[None]], calls: int, callers: int) -> float:
    """Calls a second with that many of them under way; `call` is given a number."""
    numbers = iter(range(calls))

    async def caller() -> None:
        for number in numbers:
            await call(number)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    return calls / (time.perf_counter() - started)


def with_uvloop(main: Coroutine[Any, Any, T]) -> T:
    """Run it as the daemon runs."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """How late fires came, in milliseconds, and how many came early."""

    fires: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    early: int

    @classmethod
    def of(cls, late_s: Sequence[float]) -> Lateness:
        ordered = sorted(late_s)

        def at(part: float) -> float:
            return ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1000

        return cls(fires=len(ordered), p50_ms=at(0.5), p99_ms=at(0.99), max_ms=at(1.0), early=sum(late < 0 for late in ordered))
