"""Revival: after the clock was set back, schedules that had ended by a time that is yet to come go on.

A host that starts with its clock in the future finds everything overdue that was to happen once, and has it done with; when the clock is
set right, it is to happen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import structlog

from schedd.core.errors import AlreadyExistsError, ConflictError, ExpressionError, NotFoundError, UnavailableError
from schedd.core.model.execution import Cause
from schedd.core.model.journal import DAEMON, JournalEntry, JournalKind
from schedd.core.model.query import Comparison, Operator, Order, PageRequest
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.ports import Store
from schedd.core.triggers import compile_when
from schedd.engine.almanac import Almanac

_PAGE: Final = 500
_TRIED: Final = 100
"""How many occurrences of an ended schedule are looked at for one that has not been."""

ChangeSchedule = Callable[[Schedule, Schedule, JournalEntry], Awaitable[Schedule]]
"""Commits a schedule's next standing, given as it was and as it is to be, and lets it take effect (`Registry.change`)."""

log = structlog.get_logger(__name__)


class Revival:
    """Looks at the schedules that ended later than now."""

    def __init__(self, store: Store, almanac: Almanac) -> None:
        self._store = store
        self._almanac = almanac
        self._change: ChangeSchedule | None = None

    def connect(self, change: ChangeSchedule) -> None:
        """Set how a change of a schedule is made."""
        self._change = change

    async def run_once(self, now_us: int) -> None:
        """Let those go on that have an occurrence which has not been: they are enabled again, and go on from now."""
        for state in (ScheduleState.COMPLETED, ScheduleState.DELETED):
            where = (
                Comparison(field="state", operator=Operator.EQUAL, value=state),
                Comparison(field="update_time", operator=Operator.GREATER, value=now_us),
            )
            after: tuple[str | int, ...] | None = ()
            while after is not None:
                page = await self._store.find_schedules(where, Order(field="name"), PageRequest(size=_PAGE, after=after), show_deleted=True)
                for schedule in page.items:
                    if await self._ended_by_itself(schedule) and await self._has_occurrence(schedule, now_us):
                        await self._revive(schedule, now_us)
                after = page.after or None

    async def _ended_by_itself(self, schedule: Schedule) -> bool:
        """Whether it ended since its rule yielded no further occurrence: not on request, nor by its limit of runs."""
        name = Comparison(field="schedule", operator=Operator.EQUAL, value=str(schedule.name))
        kinds = (JournalKind.SCHEDULE_COMPLETED, JournalKind.SCHEDULE_DELETED)
        newest = await self._store.journal(after=0, limit=1, where=(name,), kinds=kinds, descending=True)
        return any(entry.schedule_uid == schedule.uid and entry.actor == DAEMON and entry.reason is Reason.ENDED for entry in newest)

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

    async def _revive(self, schedule: Schedule, now_us: int) -> None:
        assert self._change is not None, "connect() comes first"
        kind = JournalKind.SCHEDULE_UNDELETED if schedule.state is ScheduleState.DELETED else JournalKind.SCHEDULE_RESUMED
        entry = JournalEntry(
            time_us=now_us,
            kind=kind,
            schedule=schedule.name,
            schedule_row=schedule.row,
            schedule_uid=schedule.uid,
            reason=Reason.CLOCK_STEP,
        )
        revived = replace(schedule, state=ScheduleState.ENABLED, deleted_us=None)
        try:
            await self._change(schedule, revived, entry)
        except (AlreadyExistsError, ConflictError, NotFoundError, UnavailableError) as error:
            log.error("schedule_not_revived", schedule=str(schedule.name), detail=str(error))
