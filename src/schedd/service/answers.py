"""Answers: what an earlier call with the same request id was answered, as it stands now, and what a first one leaves for a repetition."""

from __future__ import annotations

from schedd.core.errors import NotFoundError
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.unreadable import StoredSchedule
from schedd.core.ports import Clock, Store
from schedd.service.asking import Asking


class Answers:
    """The answers of calls about schedules. A call reads what it is about, by `stored`, before it looks for an earlier answer."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def stored(self, name: ScheduleName) -> StoredSchedule | None:
        """The schedule of that name, deleted or not; None: there is none.

        It is read before an earlier answer is looked for: what an earlier call has made of it then finds that call's answer too.
        """
        try:
            return await self._store.stored_schedule(name)
        except NotFoundError:
            return None

    async def first(self, name: ScheduleName, asking: Asking) -> StoredSchedule | None:
        """The schedule of an earlier call with this mark as it stands now, None for a first call. Raises: NotFoundError if it is gone."""
        first = await self.standing(asking)
        if first is None:
            return None
        if not first:
            raise NotFoundError("schedule", str(name))
        return first[0]

    async def standing(self, asking: Asking) -> tuple[StoredSchedule, ...] | None:
        """The schedules that an earlier call with this mark was answered, as they stand now."""
        answer = None if asking.request is None else await self._store.answered(asking.request)
        return None if answer is None else await self._store.schedules_by_uid([int(uid) for uid in answer])

    async def unchanged(self, schedule: Schedule, asking: Asking) -> Schedule:
        """The answer of a call that finds everything as it is to be: it is kept too, for what happens until a repetition."""
        await self.keep((schedule.uid,), asking)
        return schedule

    async def keep(self, answer: tuple[int, ...], asking: Asking) -> None:
        """Keep the answer of a call that changes nothing; one that has no mark is not repeated."""
        if asking.request is not None:
            await self._store.keep_answer(asking.request, answer, now_us=self._clock.now_us())
