"""Revival: after the clock was set back, schedules that had ended by a time that is yet to come go on, and so do pauses.

A host that starts with its clock in the future finds everything overdue that was to happen once, and has it done with; when the clock is
set right, it is to happen. A pause whose end has not come yet is to hold back until then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Final

import structlog

from schedd.core.errors import AlreadyExistsError, ConflictError, ExpressionError, NotFoundError, UnavailableError
from schedd.core.model.execution import Cause
from schedd.core.model.journal import DAEMON, JournalEntry, JournalKind
from schedd.core.model.query import Comparison, Operator, Order, PageRequest
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import Pause, Schedule, ScheduleState
from schedd.core.ports import Store
from schedd.core.triggers import compile_when
from schedd.engine.almanac import Almanac

_PAGE: Final = 500
_TRIED: Final = 100
"""How many occurrences of an ended schedule are looked at for one that has not been."""
_REVIVED: Final = {
    ScheduleState.COMPLETED: JournalKind.SCHEDULE_RESUMED,
    ScheduleState.DELETED: JournalKind.SCHEDULE_UNDELETED,
}

ChangeSchedule = Callable[[Schedule, Schedule, JournalEntry], Awaitable[Schedule]]
"""Commits a schedule's next standing, given as it was and as it is to be, and lets it take effect (`Registry.change`)."""

log = structlog.get_logger(__name__)


class Revival:
    """Looks at the schedules that ended, or whose pauses did, later than now."""

    def __init__(self, store: Store, almanac: Almanac) -> None:
        self._store = store
        self._almanac = almanac
        self._change: ChangeSchedule | None = None

    def connect(self, change: ChangeSchedule) -> None:
        """Set how a change of a schedule is made."""
        self._change = change

    async def run_once(self, now_us: int) -> None:
        """Let those go on that have an occurrence which has not been, from now, and hold those back that are to be paused still."""
        async for schedule in self._changed_later(ScheduleState.ENABLED, now_us):
            pause = await self._ended_pause(schedule, now_us)
            if pause is not None:
                paused = replace(schedule, state=ScheduleState.PAUSED, pause=pause)
                await self._make(schedule, paused, JournalKind.SCHEDULE_PAUSED, now_us)
        for state, kind in _REVIVED.items():
            async for schedule in self._changed_later(state, now_us):
                if await self._ended_by_itself(schedule) and await self._has_occurrence(schedule, now_us):
                    await self._make(schedule, replace(schedule, state=ScheduleState.ENABLED, deleted_us=None), kind, now_us)

    async def _changed_later(self, state: ScheduleState, now_us: int) -> AsyncIterator[Schedule]:
        where = (
            Comparison(field="state", operator=Operator.EQUAL, value=state),
            Comparison(field="update_time", operator=Operator.GREATER, value=now_us),
        )
        after: tuple[str | int, ...] | None = ()
        while after is not None:
            page = await self._store.find_schedules(where, Order(field="name"), PageRequest(size=_PAGE, after=after), show_deleted=True)
            for schedule in page.items:
                yield schedule
            after = page.after or None

    async def _newest(self, schedule: Schedule, *kinds: JournalKind) -> list[JournalEntry]:
        """The two newest entries of these kinds about a schedule, the newest first."""
        name = Comparison(field="schedule", operator=Operator.EQUAL, value=str(schedule.name))
        newest = await self._store.journal(after=0, limit=2, where=(name,), kinds=kinds, descending=True)
        return [entry for entry in newest if entry.schedule_uid == schedule.uid]

    async def _ended_by_itself(self, schedule: Schedule) -> bool:
        """Whether it ended since its rule yielded no further occurrence: not on request, nor by its limit of runs."""
        newest = await self._newest(schedule, JournalKind.SCHEDULE_COMPLETED, JournalKind.SCHEDULE_DELETED)
        return bool(newest) and _is_by_itself(newest[0])

    async def _ended_pause(self, schedule: Schedule, now_us: int) -> Pause | None:
        """The pause that was made before now, to end later than now, and has ended by itself; None: there is none."""
        newest = await self._newest(schedule, JournalKind.SCHEDULE_PAUSED, JournalKind.SCHEDULE_RESUMED, JournalKind.SCHEDULE_DISABLED)
        if [entry.kind for entry in newest] != [JournalKind.SCHEDULE_RESUMED, JournalKind.SCHEDULE_PAUSED]:
            return None
        resumed, paused = newest
        until_us = paused.evidence.get("until_us")
        if not _is_by_itself(resumed) or not isinstance(until_us, int) or not paused.time_us <= now_us < until_us:
            return None
        return Pause(actor=paused.actor, since_us=paused.time_us, reason=str(paused.evidence.get("detail", "")), until_us=until_us)

    async def _has_occurrence(self, schedule: Schedule, now_us: int) -> bool:
        """Whether an occurrence is to come that is not an execution already."""
        try:
            rule = compile_when(schedule.when, created_us=schedule.created_us, seed=schedule.uid, calendars=self._almanac.calendars)
        except ExpressionError:
            return False
        uid = Comparison(field="schedule_uid", operator=Operator.EQUAL, value=schedule.uid)
        cause = Comparison(field="cause", operator=Operator.EQUAL, value=Cause.SCHEDULE)
        after_us = now_us
        for _ in range(_TRIED):
            nominal_us = rule.next_after(after_us)
            if nominal_us is None:
                return False
            after_us = nominal_us
            instant = Comparison(field="nominal_time", operator=Operator.EQUAL, value=nominal_us)
            if not (await self._store.find_executions((uid, cause, instant), Order(field="execution"), PageRequest(size=1))).items:
                return True
        return True  # If they have all been, it ends again.

    async def _make(self, schedule: Schedule, after: Schedule, kind: JournalKind, now_us: int) -> None:
        assert self._change is not None, "connect() comes first"
        evidence = {} if after.pause is None or after.pause.until_us is None else {"until_us": after.pause.until_us}
        entry = JournalEntry(
            time_us=now_us,
            kind=kind,
            schedule=schedule.name,
            schedule_row=schedule.row,
            schedule_uid=schedule.uid,
            reason=Reason.CLOCK_STEP,
            evidence=evidence,
        )
        try:
            await self._change(schedule, after, entry)
        except (AlreadyExistsError, ConflictError, NotFoundError, UnavailableError) as error:
            log.error("schedule_not_revived", schedule=str(schedule.name), detail=str(error))


def _is_by_itself(entry: JournalEntry) -> bool:
    return entry.actor == DAEMON and entry.reason is Reason.ENDED
