"""The use cases of backfills: ask for one, look at it, cancel it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from schedd.core.errors import FieldViolation, InvalidError, NotFoundError, PreconditionError, QuotaError
from schedd.core.model.backfill import OCCURRENCES_MAX, RATE_MAX, Backfill, BackfillState
from schedd.core.model.execution import id_text
from schedd.core.model.policy import Overlap
from schedd.core.model.query import Filter, Page, PageRequest
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.planning import Occurrences
from schedd.core.ports import Clock, Ids, Store
from schedd.engine.definitions import Definition
from schedd.engine.engine import Engine
from schedd.service.asking import Asking

RUNNING_MAX = 100
"""Backfills under way at the same time, of all schedules."""

_COUNTED_AT_ONCE = 500
_NO_TIME = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillDraft:
    """What somebody asks for: the nominal times in [start_us, end_us), UTC microseconds, and how they are run."""

    start_us: int
    end_us: int
    overlap: Overlap
    rate_per_second: float


class Backfills:
    """The use cases of backfills. A backfill is named by its schedule and its id."""

    def __init__(self, *, store: Store, engine: Engine, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock
        self._ids = ids

    async def start(self, name: ScheduleName, draft: BackfillDraft, asking: Asking) -> Backfill:
        """Have a past range of a schedule's nominal times run, in whatever state the schedule is but deleted.

        `asking.validate_only`: checks and counts only. Violations name the fields of the proto's BackfillScheduleRequest.
        Raises: InvalidError; NotFoundError; QuotaError; ConflictError (REQUEST_ID_REUSED); PreconditionError; UnavailableError.
        """
        self._engine.must_be_open()
        answer = None if asking.request is None else await self._store.answered(asking.request)
        if answer is not None:
            return await self._store.backfill(int(answer[0]))
        now_us = self._clock.now_us()
        if violations := _check(draft, now_us):
            raise InvalidError(violations)
        definition = await self._definition(name)
        first_us = definition.rule.next_after(draft.start_us - 1)
        total = await self._count(definition.rule, draft)
        if not asking.validate_only and self._engine.backfiller.asked_for >= RUNNING_MAX:
            description = f"{RUNNING_MAX} backfills are under way; wait for one of them, or cancel it"
            raise QuotaError(subject="backfills", limit=RUNNING_MAX, description=description)
        schedule = definition.schedule
        backfill = Backfill(
            id=self._ids.new_id(),
            schedule=schedule.name,
            schedule_row=schedule.row,
            schedule_uid=schedule.uid,
            start_us=draft.start_us,
            end_us=draft.end_us,
            overlap=draft.overlap,
            rate_per_second=draft.rate_per_second,
            created_us=now_us,
            next_us=first_us if total else None,
            left=OCCURRENCES_MAX,
            total=total,
            actor=asking.actor,
        )
        return backfill if asking.validate_only else await self._engine.backfill(backfill, request=asking.request)

    async def get(self, schedule: ScheduleName, backfill_id: int) -> Backfill:
        """A backfill with its progress; `-` in `schedule` stands for any group or schedule. Raises: NotFoundError."""
        try:
            backfill = await self._store.backfill(backfill_id)
        except NotFoundError as error:
            raise NotFoundError("backfill", _name(schedule, backfill_id)) from error
        found = backfill.schedule
        if schedule.group not in ("-", found.group) or schedule.schedule not in ("-", found.schedule):
            raise NotFoundError("backfill", _name(schedule, backfill_id))
        return backfill

    async def find(self, where: Filter, page: PageRequest) -> Page[Backfill]:
        """A page of backfills, newest first; the fields are those of `Store.find_backfills`."""
        return await self._store.find_backfills(where, page)

    async def cancel(self, schedule: ScheduleName, backfill_id: int, *, actor: str) -> Backfill:
        """End a backfill: what of it has not started is not run. One that was cancelled before stays as it is.

        Raises: NotFoundError; PreconditionError (FINISHED) if it was finished already; UnavailableError.
        """
        self._engine.must_be_open()
        before = await self.get(schedule, backfill_id)
        if not await self._engine.backfiller.cancel(backfill_id, actor=actor):
            before = await self.get(schedule, backfill_id)
            if before.state is BackfillState.FINISHED:
                description = "is finished already, and cannot be cancelled"
                raise PreconditionError("backfill", _name(schedule, backfill_id), reason="FINISHED", description=description)
        return await self._store.backfill(backfill_id)

    async def _definition(self, name: ScheduleName) -> Definition:
        schedule: Schedule = await self._store.schedule(name)
        if schedule.state is ScheduleState.DELETED:
            raise NotFoundError("schedule", str(name))
        definition = (await self._engine.definitions.load([schedule.row])).get(schedule.row)
        if not isinstance(definition, Definition):
            raise PreconditionError("schedule", str(name), reason="UNREADABLE", description=f"cannot be run: {definition}")
        return definition

    async def _count(self, rule: Occurrences, draft: BackfillDraft) -> int:
        """How many occurrences the range has; others have their turn meanwhile. Raises: InvalidError for too many."""
        count = 0
        at_us = rule.next_after(draft.start_us - 1)
        while at_us is not None and at_us < draft.end_us:
            count += 1
            if count > OCCURRENCES_MAX:
                description = f"more than {OCCURRENCES_MAX} occurrences lie in the range; ask for it in parts"
                raise InvalidError((FieldViolation(field="end_time", reason="TOO_MANY", description=description),))
            if count % _COUNTED_AT_ONCE == 0:
                await self._clock.sleep(_NO_TIME)
            at_us = rule.next_after(at_us)
        return count


def _check(draft: BackfillDraft, now_us: int) -> tuple[FieldViolation, ...]:
    wrong: list[FieldViolation] = []
    if draft.end_us > now_us:
        description = "lies in the future; a backfill is of the past, what is to come runs by itself"
        wrong.append(FieldViolation(field="end_time", reason="OUT_OF_RANGE", description=description))
    if draft.start_us >= draft.end_us:
        wrong.append(FieldViolation(field="start_time", reason="OUT_OF_RANGE", description="is not before end_time; the range is empty"))
    if not 0 < draft.rate_per_second <= RATE_MAX:
        description = f"{draft.rate_per_second} is not allowed; more than 0, and at most {RATE_MAX:.0f}, is"
        wrong.append(FieldViolation(field="rate_per_second", reason="OUT_OF_RANGE", description=description))
    return tuple(wrong)


def _name(schedule: ScheduleName, backfill_id: int) -> str:
    return f"{schedule}/backfills/{id_text(backfill_id)}"
