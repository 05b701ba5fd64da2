"""The use cases of schedules: create, read, change, pause, trigger, preview."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from schedd.core.errors import (
    ConflictError,
    FieldViolation,
    InvalidError,
    NotFoundError,
    PreconditionError,
    ScheddError,
)
from schedd.core.model.batch import LastRun, RequestMark
from schedd.core.model.execution import Execution
from schedd.core.model.journal import Evidence, JournalEntry, JournalKind
from schedd.core.model.query import Filter, Order, Page, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Pause, Schedule, ScheduleName, ScheduleState
from schedd.core.model.when import When
from schedd.core.planning import left_out
from schedd.core.ports import Clock, Ids, Store
from schedd.core.schedule_rules import check_schedule
from schedd.core.triggers import Instant, check_when, compile_when, preview
from schedd.engine.engine import Engine
from schedd.engine.planner import missed_entry

BATCH_MAX = 1000
"""The most schedules in one batch."""

PREVIEW_MAX = 1000
"""The most fire times in one preview."""

_READ_AT_ONCE = 500


class Backlog(StrEnum):
    """What becomes of the occurrences that a pause held back."""

    SKIP = "SKIP"
    CATCH_UP = "CATCH_UP"
    """They are misfires, and go by the schedule's catch-up policy."""


class Operation(StrEnum):
    """What can be done to many schedules at once."""

    PAUSE = "PAUSE"
    RESUME = "RESUME"
    DELETE = "DELETE"
    TRIGGER = "TRIGGER"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    """A schedule with what is known beside its definition: its next nominal time, its unfinished executions, its last run."""

    schedule: Schedule
    next_us: int | None
    unfinished: int
    last: LastRun | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationResult:
    """What an operation did to one of many schedules: its new standing, and the execution if one was triggered, or the error."""

    name: ScheduleName
    schedule: Schedule | None = None
    execution: Execution | None = None
    error: ScheddError | None = None


class Schedules:
    """The use cases of schedules. `actor` is who asks; every change is journaled with it."""

    def __init__(self, *, store: Store, engine: Engine, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock
        self._ids = ids

    async def create(self, draft: Schedule, *, actor: str, request: RequestMark | None = None, validate_only: bool = False) -> Schedule:
        """Create one schedule. Raises: InvalidError; AlreadyExistsError; ConflictError (REQUEST_ID_REUSED); UnavailableError."""
        created = await self._create([draft], [""], actor=actor, request=request, validate_only=validate_only)
        return created[0]

    async def create_many(
        self,
        drafts: Sequence[Schedule],
        *,
        actor: str,
        request: RequestMark | None = None,
        validate_only: bool = False,
    ) -> tuple[Schedule, ...]:
        """Create 1..1000 schedules, all or none. Violations name `requests[i].schedule.…`. Raises: as `create`."""
        if not 1 <= len(drafts) <= BATCH_MAX:
            raise InvalidError((_violation("requests", f"{len(drafts)} requests; 1 to {BATCH_MAX} are allowed"),))
        prefixes = [f"requests[{index}].schedule." for index in range(len(drafts))]
        return await self._create(drafts, prefixes, actor=actor, request=request, validate_only=validate_only)

    async def get(self, name: ScheduleName) -> ScheduleView:
        """One schedule. Raises: NotFoundError."""
        schedule = await self._store.schedule(name)
        return (await self._views([schedule]))[0]

    async def find(self, where: Filter, order: Order, page: PageRequest, *, show_deleted: bool = False) -> Page[ScheduleView]:
        """A page of schedules; the fields are those of `Store.find_schedules`."""
        found = await self._store.find_schedules(where, order, page, show_deleted=show_deleted)
        return Page(items=await self._views(found.items), after=found.after, total=found.total)

    async def update(
        self,
        name: ScheduleName,
        edit: Callable[[Schedule], Schedule],
        *,
        actor: str,
        generation: int | None = None,
        validate_only: bool = False,
    ) -> Schedule:
        """Replace a schedule's definition by `edit` of it; what is the same afterwards is left alone.

        `generation` is the one that the caller has seen (its etag). Raises: NotFoundError; ConflictError; InvalidError; UnavailableError.
        """
        self._engine.must_be_open()
        before = await self._read(name, generation)
        after = edit(before)
        violations = check_schedule(after, now_us=self._clock.now_us())
        if after.when == before.when:
            # A rule whose times are past may stay; the rest of its schedule can still be changed.
            violations = tuple(violation for violation in violations if violation.reason != "NEVER_FIRES")
        if violations:
            raise InvalidError(violations)
        if after == before or validate_only:
            return after
        if before.state in (ScheduleState.COMPLETED, ScheduleState.DISABLED):
            after = replace(after, state=ScheduleState.ENABLED, state_reason="")
        return await self._engine.registry.change(before, after, self._entry(after, JournalKind.SCHEDULE_UPDATED, actor))

    async def delete(self, name: ScheduleName, *, actor: str, generation: int | None = None) -> Schedule:
        """Delete a schedule; what of it runs may end, what waits is cancelled. Raises: NotFoundError; ConflictError; UnavailableError."""
        self._engine.must_be_open()
        before = await self._read(name, generation)
        after = replace(before, state=ScheduleState.DELETED, deleted_us=self._clock.now_us())
        return await self._engine.registry.change(before, after, self._entry(after, JournalKind.SCHEDULE_DELETED, actor))

    async def pause(
        self,
        name: ScheduleName,
        *,
        actor: str,
        reason: str = "",
        until_us: int | None = None,
        generation: int | None = None,
    ) -> Schedule:
        """Hold a schedule's occurrences back, until somebody resumes it or the wall clock reaches `until_us`.

        Raises: NotFoundError; ConflictError; InvalidError; PreconditionError (NOT_ENABLED); UnavailableError.
        """
        self._engine.must_be_open()
        now_us = self._clock.now_us()
        if until_us is not None and until_us <= now_us:
            raise InvalidError((_violation("until", "lies in the past; a pause ends later than it begins"),))
        before = await self._read(name, generation)
        if before.state not in (ScheduleState.ENABLED, ScheduleState.PAUSED):
            raise _not_in_state(before, "NOT_ENABLED", "only an enabled schedule can be paused")
        pause = Pause(actor=actor, since_us=now_us, reason=reason, until_us=until_us)
        after = replace(before, state=ScheduleState.PAUSED, pause=pause)
        evidence = {"detail": reason} if reason else {}
        entry = self._entry(after, JournalKind.SCHEDULE_PAUSED, actor, evidence)
        return await self._engine.registry.change(before, after, entry)

    async def resume(self, name: ScheduleName, *, actor: str, backlog: Backlog = Backlog.SKIP, generation: int | None = None) -> Schedule:
        """End a pause, or a quarantine; an enabled schedule stays as it is.

        What was held back is skipped, with its reason in the journal, or caught up.

        Raises: NotFoundError; ConflictError; PreconditionError (NOT_PAUSED); UnavailableError.
        """
        self._engine.must_be_open()
        before = await self._read(name, generation)
        if before.state is ScheduleState.ENABLED:
            return before
        if before.state not in (ScheduleState.PAUSED, ScheduleState.DISABLED):
            raise _not_in_state(before, "NOT_PAUSED", "only a paused or disabled schedule can be resumed")
        after = replace(before, state=ScheduleState.ENABLED, pause=None, state_reason="")
        entries = [self._entry(after, JournalKind.SCHEDULE_RESUMED, actor)]
        skip = backlog is Backlog.SKIP
        if skip and before.state is ScheduleState.PAUSED:
            entries += self._held_back(before)
        return await self._engine.registry.change(before, after, *entries, skip_backlog=skip)

    async def trigger(self, name: ScheduleName, *, actor: str, request: RequestMark | None = None) -> Execution:
        """Run a schedule now, in whatever state it is but deleted; the execution is durable when this returns.

        Raises: NotFoundError; ConflictError (REQUEST_ID_REUSED); UnavailableError.
        """
        schedule = await self._read(name, None)
        return await self._engine.trigger(schedule, actor=actor, request=request)

    async def preview(self, when: When, *, stored: ScheduleName | None = None, after_us: int | None, count: int) -> tuple[Instant, ...]:
        """The next fire times of a rule that is not stored: of a new schedule, or of the schedule `stored` if there is one of that name.

        The stored one's creation time and uid then count, so that an interval's phase, H and spread are as an update would have them.

        Raises: InvalidError.
        """
        now_us = self._clock.now_us()
        violations = check_when(when, now_us=now_us)
        if violations:
            raise InvalidError(violations)
        created_us, seed = await self._origin(stored, now_us)
        return self._preview(when, created_us, seed, now_us if after_us is None else after_us, count)

    async def preview_stored(self, name: ScheduleName, *, after_us: int | None, count: int) -> tuple[Instant, ...]:
        """The next fire times of a stored schedule's rule. Raises: NotFoundError; InvalidError."""
        schedule = await self._store.schedule(name)
        from_us = self._clock.now_us() if after_us is None else after_us
        return self._preview(schedule.when, schedule.created_us, schedule.uid, from_us, count)

    async def operate(
        self, names: Sequence[ScheduleName], operation: Operation, *, actor: str, reason: str = ""
    ) -> tuple[OperationResult, ...]:
        """Do one thing to many schedules; each has a result of its own, in the order of `names`."""
        return tuple([await self._operate(name, operation, actor, reason) for name in names])

    async def names(self, where: Filter) -> AsyncIterator[ScheduleName]:
        """The names of all schedules that match, as they are now."""
        after: tuple[str | int, ...] = ()
        while True:
            page = await self._store.find_schedules(where, Order(field="name"), PageRequest(size=1000, after=after))
            for schedule in page.items:
                yield schedule.name
            after = page.after
            if not after:
                return

    async def _create(
        self,
        drafts: Sequence[Schedule],
        prefixes: Sequence[str],
        *,
        actor: str,
        request: RequestMark | None,
        validate_only: bool,
    ) -> tuple[Schedule, ...]:
        self._engine.must_be_open()
        now_us = self._clock.now_us()
        violations = tuple(
            replace(violation, field=prefix + violation.field)
            for draft, prefix in zip(drafts, prefixes, strict=True)
            for violation in check_schedule(draft, now_us=now_us)
        )
        if violations:
            raise InvalidError(violations)
        new = [
            replace(
                draft,
                uid=self._ids.new_id(),
                creator=actor,
                generation=1,
                created_us=now_us,
                updated_us=now_us,
                planned_from_us=now_us,
            )
            for draft in drafts
        ]
        if validate_only:
            return tuple(new)
        entries = [self._entry(schedule, JournalKind.SCHEDULE_CREATED, actor) for schedule in new]
        return await self._engine.registry.create(new, entries, request=request)

    async def _read(self, name: ScheduleName, generation: int | None) -> Schedule:
        """The schedule as it stands, if it is not deleted, and is what the caller has seen."""
        schedule = await self._store.schedule(name)
        if schedule.state is ScheduleState.DELETED:
            raise NotFoundError("schedule", str(name))
        if generation is not None and generation != schedule.generation:
            raise ConflictError(
                "schedule",
                str(name),
                reason="ETAG_MISMATCH",
                description=f'has changed since it was read: its etag is "{schedule.generation}" now',
            )
        return schedule

    async def _views(self, schedules: Sequence[Schedule]) -> tuple[ScheduleView, ...]:
        last: dict[int, LastRun] = {}
        rows = [schedule.row for schedule in schedules]
        for start in range(0, len(rows), _READ_AT_ONCE):
            last.update(await self._store.last_runs(rows[start : start + _READ_AT_ONCE]))
        return tuple(
            ScheduleView(
                schedule=schedule,
                next_us=self._engine.next_nominal_us(schedule.row) if schedule.state is ScheduleState.ENABLED else None,
                unfinished=len(self._engine.runs.of_schedule(schedule.row)),
                last=last.get(schedule.row),
            )
            for schedule in schedules
        )

    async def _origin(self, stored: ScheduleName | None, now_us: int) -> tuple[int, int]:
        """The creation time and the uid of a schedule; of a new one now and 0."""
        if stored is None:
            return now_us, 0
        try:
            schedule = await self._store.schedule(stored)
        except NotFoundError:
            return now_us, 0
        return schedule.created_us, schedule.uid

    def _preview(self, when: When, created_us: int, seed: int, after_us: int, count: int) -> tuple[Instant, ...]:
        if not 1 <= count <= PREVIEW_MAX:
            raise InvalidError((_violation("count", f"{count} is not allowed; 1 to {PREVIEW_MAX} is"),))
        return preview(when, created_us=created_us, seed=seed, after_us=after_us, count=count)

    def _held_back(self, paused: Schedule) -> list[JournalEntry]:
        """The journal's row for the occurrences that a pause held back until now."""
        now_us = self._clock.now_us()
        rule = compile_when(paused.when, created_us=paused.created_us, seed=paused.uid)
        first_us = rule.next_after(paused.planned_from_us)
        if first_us is None:
            return []
        return [
            missed_entry(paused, range_, now_us, kind=JournalKind.OCCURRENCES_SKIPPED, outcome=Outcome.SKIPPED)
            for range_ in left_out(rule, first_us, now_us + 1, Reason.PAUSED)
        ]

    async def _operate(self, name: ScheduleName, operation: Operation, actor: str, reason: str) -> OperationResult:
        try:
            match operation:
                case Operation.PAUSE:
                    return OperationResult(name=name, schedule=await self.pause(name, actor=actor, reason=reason))
                case Operation.RESUME:
                    return OperationResult(name=name, schedule=await self.resume(name, actor=actor))
                case Operation.DELETE:
                    return OperationResult(name=name, schedule=await self.delete(name, actor=actor))
                case Operation.TRIGGER:
                    return OperationResult(name=name, execution=await self.trigger(name, actor=actor))
        except ScheddError as error:
            return OperationResult(name=name, error=error)

    def _entry(self, schedule: Schedule, kind: JournalKind, actor: str, evidence: Evidence | None = None) -> JournalEntry:
        return JournalEntry(
            time_us=self._clock.now_us(),
            kind=kind,
            actor=actor,
            schedule=schedule.name,
            schedule_row=schedule.row,
            schedule_uid=schedule.uid,
            reason=Reason.REQUESTED,
            evidence=evidence or {},
        )


def _violation(field: str, description: str) -> FieldViolation:
    return FieldViolation(field=field, reason="OUT_OF_RANGE", description=description)


def _not_in_state(schedule: Schedule, reason: str, description: str) -> PreconditionError:
    return PreconditionError("schedule", str(schedule.name), reason=reason, description=f"is {schedule.state}; {description}")
