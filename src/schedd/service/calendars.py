"""The use cases of calendars: create, read, change, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from schedd.core.calendar_rules import check_calendar
from schedd.core.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError, PreconditionError, StoredDataError
from schedd.core.model.calendar import Calendar, calendar_resource
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.query import Filter, Page, PageRequest
from schedd.core.model.schedule import ScheduleName
from schedd.core.ports import Clock, Ids, Store
from schedd.engine.engine import Engine
from schedd.service.asking import Asking

USERS_NAMED = 100
"""The most users that are named with a calendar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarView:
    """A calendar, how many schedules use it, and some of them."""

    calendar: Calendar
    used_by_count: int
    used_by: Sequence[ScheduleName] = ()


class CalendarUseCases:
    """The use cases of calendars. Every change is journaled with who asks for it."""

    def __init__(self, *, store: Store, engine: Engine, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock
        self._ids = ids

    async def create(self, draft: Calendar, asking: Asking) -> CalendarView:
        """Create a calendar. Raises: InvalidError; AlreadyExistsError; ConflictError (REQUEST_ID_REUSED); UnavailableError."""
        self._engine.must_be_open()
        self._check(draft)
        now_us = self._clock.now_us()
        new = replace(draft, uid=self._ids.new_id(), generation=1, creator=asking.actor, created_us=now_us, updated_us=now_us)
        if asking.validate_only:
            await self._must_be_free(draft.name)
            return CalendarView(calendar=new, used_by_count=0)
        entry = self._entry(new.name, JournalKind.CALENDAR_CREATED, asking)
        return self._view(await self._engine.calendars.create(new, entry, request=asking.request))

    async def get(self, name: str) -> CalendarView:
        """One calendar, with some of the schedules that use it. Raises: NotFoundError."""
        calendar = await self._store.calendar(name)
        return replace(self._view(calendar), used_by=await self._store.calendar_users(name, limit=USERS_NAMED))

    async def find(self, where: Filter, page: PageRequest) -> Page[CalendarView]:
        """A page of calendars; the fields are those of `Store.find_calendars`."""
        found = await self._store.find_calendars(where, page)
        return Page(items=[self._view(calendar) for calendar in found.items], after=found.after)

    async def update(self, name: str, edit: Callable[[Calendar], Calendar], asking: Asking, *, is_whole: bool = False) -> CalendarView:
        """Replace a calendar's definition by `edit` of it; its schedules follow at once.

        `is_whole`: the edit leaves nothing as it was, so that it also replaces what cannot be read.
        Raises: NotFoundError; ConflictError; InvalidError; PreconditionError (UNREADABLE); UnavailableError.
        """
        self._engine.must_be_open()
        before = await self._before(name, is_whole=is_whole)
        after = edit(before)
        self._check(after)
        seen = before.generation if asking.generation is None else asking.generation
        if asking.validate_only or (after == before and seen == before.generation):
            if seen != before.generation:
                raise ConflictError(
                    "calendar", calendar_resource(name), reason="ETAG_MISMATCH", description="has changed since it was read; read it again"
                )
            return self._view(after)
        entry = self._entry(name, JournalKind.CALENDAR_UPDATED, asking)
        return self._view(await self._engine.calendars.change(after, entry, seen=seen, request=asking.request))

    async def delete(self, name: str, asking: Asking) -> None:
        """Delete a calendar that no schedule uses.

        Raises: NotFoundError; ConflictError; PreconditionError (CALENDAR_IN_USE); UnavailableError.
        """
        self._engine.must_be_open()
        await self._engine.calendars.delete(name, self._entry(name, JournalKind.CALENDAR_DELETED, asking), seen=asking.generation)

    async def _before(self, name: str, *, is_whole: bool) -> Calendar:
        try:
            return await self._store.calendar(name)
        except StoredDataError as error:
            if is_whole:
                return await self._store.calendar_standing(name)
            advice = "replace it by a whole new definition (update_mask *), or delete it once no schedule uses it"
            raise PreconditionError(
                "calendar",
                calendar_resource(name),
                reason="UNREADABLE",
                description=f"its stored row cannot be read ({error.description}); {advice}",
            ) from error

    def _check(self, draft: Calendar) -> None:
        violations = check_calendar(draft, self._engine.almanac.dates)
        if violations:
            raise InvalidError(tuple(violation.within("calendar") for violation in violations))

    async def _must_be_free(self, name: str) -> None:
        try:
            await self._store.calendar(name)
        except NotFoundError:
            return
        raise AlreadyExistsError("calendar", calendar_resource(name))

    def _view(self, calendar: Calendar) -> CalendarView:
        return CalendarView(calendar=calendar, used_by_count=self._engine.almanac.count(calendar.name))

    def _entry(self, name: str, kind: JournalKind, asking: Asking) -> JournalEntry:
        return JournalEntry(time_us=self._clock.now_us(), kind=kind, actor=asking.actor, evidence={"calendar": calendar_resource(name)})
