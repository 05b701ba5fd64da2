"""The use cases of pauses: hold a schedule back, and let it go on."""

from __future__ import annotations

from dataclasses import replace

from schedd.core.errors import InvalidError
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.policy import CatchUpMode
from schedd.core.model.schedule import Pause, Schedule, ScheduleName, ScheduleState
from schedd.core.ports import Clock, Store
from schedd.core.schedule_rules import check_pause
from schedd.engine.engine import Engine
from schedd.service.answers import Answers
from schedd.service.asking import Asking
from schedd.service.changejournal import change_entry, held_back, paused_entry
from schedd.service.preconditions import live, not_in_state, readable


class Pauses:
    """Pauses and resumes schedules. What was asked for before, with the same request id, gives the schedule as it stands now."""

    def __init__(self, *, store: Store, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._answers = Answers(store, clock)

    async def pause(self, name: ScheduleName, asking: Asking, *, reason: str = "", until_us: int | None = None) -> Schedule:
        """Hold a schedule's occurrences back, until somebody resumes it or the wall clock reaches `until_us`.

        Raises: NotFoundError; ConflictError; InvalidError; PreconditionError (NOT_ENABLED); UnavailableError.
        """
        self._engine.must_be_open()
        before = await self._answers.stored(name)
        if (first := await self._answers.first(name, asking)) is not None:
            return readable(first)
        now_us = self._clock.now_us()
        if violations := tuple(check_pause(reason, until_us, now_us=now_us)):
            raise InvalidError(violations)
        before = readable(live(before, name, asking))
        if before.state not in (ScheduleState.ENABLED, ScheduleState.PAUSED):
            raise not_in_state(before, "NOT_ENABLED", "only an enabled schedule can be paused")
        pause = Pause(actor=asking.actor, since_us=now_us, reason=reason, until_us=until_us)
        after = replace(before, state=ScheduleState.PAUSED, pause=pause)
        entry = paused_entry(after, pause, asking, self._clock.now_us())
        return after if asking.validate_only else await self._engine.registry.change(before, after, entry, request=asking.request)

    async def resume(self, name: ScheduleName, asking: Asking, *, backlog: CatchUpMode = CatchUpMode.NONE) -> Schedule:
        """End a pause, or a quarantine; an enabled schedule stays as it is.

        What the pause held back is skipped, with its reason in the journal, or run by the mode `backlog`, at once decided and durable.

        Raises: NotFoundError; ConflictError; PreconditionError (NOT_PAUSED); UnavailableError.
        """
        self._engine.must_be_open()
        before = await self._answers.stored(name)
        if (first := await self._answers.first(name, asking)) is not None:
            return readable(first)
        before = readable(live(before, name, asking))
        if before.state is ScheduleState.ENABLED:
            return await self._answers.unchanged(before, asking)
        if before.state not in (ScheduleState.PAUSED, ScheduleState.DISABLED):
            raise not_in_state(before, "NOT_PAUSED", "only a paused or disabled schedule can be resumed")
        if asking.validate_only:
            return replace(before, state=ScheduleState.ENABLED, pause=None, state_reason="")
        entry = change_entry(before, JournalKind.SCHEDULE_RESUMED, asking, self._clock.now_us())
        skipped: list[JournalEntry] = []
        if before.state is ScheduleState.DISABLED:  # A quarantine leaves no backlog.
            skipped = held_back(before, self._engine.almanac.calendars, self._clock.now_us())
        return await self._engine.registry.resume(before, entry, *skipped, backlog=backlog, request=asking.request)
