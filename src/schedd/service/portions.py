"""Work on many things of one call, a portion a turn of the loop: what comes due meanwhile waits for a portion, not for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from schedd.core.ports import Clock

Item = TypeVar("Item")
Result = TypeVar("Result")

PORTION = 50
_NO_TIME = timedelta(0)


async def in_portions(clock: Clock, do: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What `do` gives for each of the items, in their order."""
    done: list[Result] = []
    for item in items:
        if done and len(done) % PORTION == 0:
            await clock.sleep(_NO_TIME)
        done.append(do(item))
    return done
