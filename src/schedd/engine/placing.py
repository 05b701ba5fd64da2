"""Placing: schedules whose stored times are out of date get their place in the timeline from their rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from schedd.core.errors import ExpressionError, StoredDataError
from schedd.core.model.batch import StoredWhen
from schedd.core.model.reason import Reason
from schedd.core.ports import Store
from schedd.core.timeline import Timeline
from schedd.core.triggers import clockless, compile_when
from schedd.engine.almanac import Almanac
from schedd.engine.definitions import Definition, Definitions
from schedd.engine.keeper import Keeper

_READ_AT_ONCE = 500

log = structlog.get_logger(__name__)

_NOT_PLACED: Collection[int] = frozenset()


async def _nothing(definitions: Sequence[Definition]) -> None:
    """What is done with definitions that were needed, as long as it is nothing."""


class Placing:
    """From rules alone where that is enough, since few schedules are used soon; from whole definitions where it is not."""

    def __init__(self, *, store: Store, timeline: Timeline, almanac: Almanac, definitions: Definitions, keeper: Keeper) -> None:
        self._store = store
        self._timeline = timeline
        self._almanac = almanac
        self._definitions = definitions
        self._keeper = keeper

    async def run_once(
        self,
        stale: Sequence[tuple[int, int]],
        *,
        unless: Collection[int] = _NOT_PLACED,
        entering: Callable[[Sequence[Definition]], Awaitable[None]] = _nothing,
    ) -> None:
        """Place the schedule in each row at its first occurrence after the instant that comes with it.

        What is in `unless` once its rule has been read is left alone: it was changed meanwhile, and has its place. `entering` sees the
        definitions that were needed before they are asked.
        """
        for start in range(0, len(stale), _READ_AT_ONCE):
            await self._place(stale[start : start + _READ_AT_ONCE], unless, entering)

    async def _place(
        self, stale: Sequence[tuple[int, int]], unless: Collection[int], entering: Callable[[Sequence[Definition]], Awaitable[None]]
    ) -> None:
        whens = await self._store.whens([row for row, _ in stale])
        wanting = [row for row, stored in whens.items() if isinstance(stored, StoredWhen) and self._wants_definition(row, stored)]
        definitions = await self._definitions.load(wanting)
        await entering([definition for definition in definitions.values() if isinstance(definition, Definition)])
        for row, from_us in stale:
            found = definitions.get(row) or whens.get(row)
            if found is None or row in unless:
                continue
            try:
                next_us = _next_us(found, from_us)
            except (StoredDataError, ExpressionError) as error:
                self._keeper.quarantine(row, Reason.STORED_DATA, str(error))
                continue
            except Exception as error:  # One schedule's unforeseen fault must not keep the daemon from starting.
                log.exception("placing_failed", row=row)
                self._keeper.quarantine(row, Reason.UNFORESEEN, f"planning failed: {type(error).__name__}: {error}")
                continue
            self._put(row, next_us)

    def _put(self, row: int, next_us: int | None) -> None:
        if next_us is None:
            self._timeline.remove(row)
            self._keeper.no_more_occurrences(row)
        elif self._keeper.occurrence_found(row):
            self._timeline.set(row, next_us)

    def _wants_definition(self, row: int, stored: StoredWhen) -> bool:
        """Whether the rule is more than what it is compiled from: calendars, or occasions that no clock yields."""
        try:
            return self._almanac.uses_any(row) or bool(clockless(stored.when))
        except ExpressionError:
            return False  # Compiling it says what is wrong.


def _next_us(found: Definition | StoredWhen | StoredDataError, from_us: int) -> int | None:
    """The schedule's first occurrence after `from_us`. Raises: StoredDataError; ExpressionError."""
    match found:
        case StoredDataError():
            raise found
        case Definition():
            return found.rule.next_after(from_us)
        case StoredWhen():
            return compile_when(found.when, created_us=found.created_us, seed=found.uid).next_after(from_us)
