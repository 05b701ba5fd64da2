"""The use cases of previews: when a schedule would fire, stored or not."""

from __future__ import annotations

from schedd.core.errors import FieldViolation, InvalidError, NotFoundError
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.when import When
from schedd.core.ports import Clock, Store
from schedd.core.triggers import Instant, check_when, preview
from schedd.engine.engine import Engine

PREVIEW_MAX = 1000
"""The most fire times in one preview."""


class Previews:
    """Tells the next fire times of rules, with the calendars as they stand."""

    def __init__(self, *, store: Store, engine: Engine, clock: Clock) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock

    async def proposed(
        self, when: When, *, stored: ScheduleName | None = None, after_us: int | None, count: int, show_excluded: bool = False
    ) -> tuple[Instant, ...]:
        """The next fire times of a rule that is not stored: of a new schedule, or of the schedule `stored` if there is one of that name.

        The stored one's creation time and uid then count, so that an interval's phase, H and spread are as an update would have them.

        With `show_excluded` come those that an exclusion or a calendar leaves out, marked.
        Violations name `schedule.…`. Raises: InvalidError.
        """
        now_us = self._clock.now_us()
        if violations := check_when(when, now_us=now_us, calendars=self._engine.almanac.calendars):
            raise InvalidError(tuple(violation.within("schedule") for violation in violations))
        created_us, seed = await self._origin(stored, now_us)
        return self._preview(when, created_us, seed, now_us if after_us is None else after_us, count, show_excluded)

    def stored(self, schedule: Schedule, *, after_us: int | None, count: int, show_excluded: bool = False) -> tuple[Instant, ...]:
        """The next fire times of a stored schedule's rule, as `proposed`. Raises: InvalidError."""
        from_us = self._clock.now_us() if after_us is None else after_us
        return self._preview(schedule.when, schedule.created_us, schedule.uid, from_us, count, show_excluded)

    async def _origin(self, stored: ScheduleName | None, now_us: int) -> tuple[int, int]:
        """The creation time and the uid of a schedule; of a new one now and 0."""
        if stored is None:
            return now_us, 0
        try:
            schedule = await self._store.stored_schedule(stored)
        except NotFoundError:
            return now_us, 0
        return schedule.created_us, schedule.uid

    def _preview(self, when: When, created_us: int, seed: int, after_us: int, count: int, show_excluded: bool) -> tuple[Instant, ...]:
        if not 1 <= count <= PREVIEW_MAX:
            description = f"{count} is not allowed; 1 to {PREVIEW_MAX} is"
            raise InvalidError((FieldViolation(field="count", reason="OUT_OF_RANGE", description=description),))
        return preview(
            when,
            created_us=created_us,
            seed=seed,
            after_us=after_us,
            count=count,
            calendars=self._engine.almanac.calendars,
            show_excluded=show_excluded,
        )
