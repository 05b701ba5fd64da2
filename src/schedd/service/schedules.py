"""The use cases of single schedules: create, read, change, delete and restore, trigger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from schedd.core.changes import changed_fields
from schedd.core.errors import (
    AlreadyExistsError,
    FieldViolation,
    InvalidError,
    NotFoundError,
    PreconditionError,
)
from schedd.core.following import triggered
from schedd.core.model.batch import LastRun
from schedd.core.model.execution import Execution
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.policy import Overlap
from schedd.core.model.query import Filter, Order, Page, PageRequest
from schedd.core.model.reason import Reason
from schedd.core.model.rendering import Rendering
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import Payload, payload_of, with_payload
from schedd.core.model.unreadable import StoredSchedule, UnreadableSchedule
from schedd.core.permissions import Forbidding, Permissions
from schedd.core.ports import Clock, Ids, Store
from schedd.core.schedule_rules import check_change, check_pause, check_schedule
from schedd.core.target_rules import check_target
from schedd.core.triggers import Calendars, compile_when
from schedd.engine.engine import Engine
from schedd.service.answers import Answers
from schedd.service.asking import Asking
from schedd.service.changejournal import change_entry, held_back, paused_entry
from schedd.service.following import FollowUpCheck
from schedd.service.portions import in_portions
from schedd.service.preconditions import live, must_be_seen, readable, unreadable

BATCH_MAX = 1000
"""The most schedules in one batch."""

_READ_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    """A schedule with what is known beside it: its next nominal time, its unfinished executions, its last run, its counted runs."""

    schedule: StoredSchedule
    next_us: int | None
    unfinished: int
    last: LastRun | None
    run_count: int = 0


class Schedules:
    """The use cases of schedules.

    A change that was asked for before, with the same request id, gives its first answer's schedule as it stands now.
    """

    def __init__(self, *, store: Store, engine: Engine, clock: Clock, ids: Ids, permissions: Permissions = Permissions()) -> None:
        self._forbidding = Forbidding(permissions)
        self._store = store
        self._engine = engine
        self._clock = clock
        self._ids = ids
        self._answers = Answers(store, clock)
        self._following = FollowUpCheck(store)

    @property
    def calendars(self) -> Calendars:
        """The calendars that schedules may name, as they stand."""
        return self._engine.almanac.calendars

    def permit(self, permissions: Permissions) -> None:
        """Set what new definitions may call."""
        self._forbidding = Forbidding(permissions)

    @property
    def kept(self) -> timedelta:
        """How long a schedule is kept after its deletion."""
        return self._engine.housekeeper.retention.deleted

    async def create(self, draft: Schedule, asking: Asking) -> Schedule:
        """Create one schedule. Violations name `schedule.…`.

        Raises: InvalidError; AlreadyExistsError; ConflictError (REQUEST_ID_REUSED); UnavailableError.
        """
        return (await self._create([draft], ["schedule"], asking))[0]

    async def create_many(self, drafts: Sequence[Schedule], asking: Asking) -> tuple[Schedule, ...]:
        """Create 1..1000 schedules, all or none. Violations name `requests[i].schedule.…`. Raises: as `create`."""
        if not 1 <= len(drafts) <= BATCH_MAX:
            raise InvalidError((_violation("requests", f"{len(drafts)} requests; 1 to {BATCH_MAX} are allowed"),))
        return await self._create(drafts, [f"requests[{index}].schedule" for index in range(len(drafts))], asking)

    async def get(self, name: ScheduleName) -> ScheduleView:
        """One schedule, also one that cannot be read. Raises: NotFoundError."""
        schedule = await self._store.stored_schedule(name)
        return (await self._views([schedule]))[0]

    async def readable(self, name: ScheduleName) -> Schedule:
        """One schedule, if it can be read. Raises: NotFoundError; PreconditionError (UNREADABLE)."""
        return readable(await self._store.stored_schedule(name))

    async def find(self, where: Filter, order: Order, page: PageRequest, *, show_deleted: bool = False) -> Page[ScheduleView]:
        """A page of schedules; the fields are those of `Store.find_schedules`. Those that cannot be read are among them."""
        found = await self._store.find_stored_schedules(where, order, page, show_deleted=show_deleted)
        return Page(items=await self._views(found.items), after=found.after, total=found.total)

    async def update(
        self, name: ScheduleName, edit: Callable[[Schedule], Schedule], asking: Asking, *, whole: Callable[[], Schedule] | None = None
    ) -> Schedule:
        """Replace a schedule's definition by `edit` of it; what is the same afterwards is left alone.

        One that cannot be read gets the definition that `whole` gives, and is enabled; without it, it is refused.
        Violations name `schedule.…`.
        Raises: NotFoundError; ConflictError; InvalidError; PreconditionError (UNREADABLE); UnavailableError.
        """
        self._engine.must_be_open()
        before = await self._answers.stored(name)
        if (first := await self._answers.first(name, asking)) is not None:
            return readable(first)
        before = live(before, name, asking)
        if isinstance(before, Schedule):
            after = edit(before)
            self._refuse(check_change(before, after, now_us=self._clock.now_us(), calendars=self.calendars))
            self._refuse(self._newly_forbidden(before, after))
        else:
            after = before.replaced(_given(before, whole))
            self._refuse(check_schedule(after, now_us=self._clock.now_us(), calendars=self.calendars))
            self._refuse(self._forbidding.check(after))
        async with self._following.held([after]):
            self._refuse(await self._wrong_following(before, after))
            return await self._update(before, after, asking)

    async def _update(self, before: StoredSchedule, after: Schedule, asking: Asking) -> Schedule:
        skipped: list[JournalEntry] = []
        if isinstance(before, Schedule):
            if after == before:
                return await self._answers.unchanged(before, asking)
            if before.state in (ScheduleState.COMPLETED, ScheduleState.DISABLED):
                after = replace(after, state=ScheduleState.ENABLED, state_reason="")
            if before.state is ScheduleState.DISABLED or after.when != before.when:
                # Another rule begins now: these are nobody's business any more.
                skipped = held_back(before, self.calendars, self._clock.now_us())
        # Of a row that could not be read nothing says what is other than it was.
        evidence = {"fields": ", ".join(changed_fields(before, after))} if isinstance(before, Schedule) else {}
        entry = change_entry(after, JournalKind.SCHEDULE_UPDATED, asking, self._clock.now_us(), evidence)
        return await self._change(before, after, asking, entry, *skipped)

    async def delete(self, name: ScheduleName, asking: Asking, *, allow_missing: bool = False) -> StoredSchedule | None:
        """Delete a schedule; what of it runs may end, what waits is cancelled. None: there was none, and that is allowed.

        Raises: NotFoundError; ConflictError; UnavailableError.
        """
        self._engine.must_be_open()
        before = await self._answers.stored(name)
        try:
            if (first := await self._answers.first(name, asking)) is not None:
                return first
            found = live(before, name, asking)
        except NotFoundError:
            if not allow_missing:
                raise
            await self._answers.keep((), asking)
            return None
        entry = change_entry(found, JournalKind.SCHEDULE_DELETED, asking, self._clock.now_us())
        if isinstance(found, UnreadableSchedule):
            return await self._delete_unreadable(found, entry, asking)
        after = replace(found, state=ScheduleState.DELETED, deleted_us=self._clock.now_us())
        return await self._change(found, after, asking, entry)

    async def undelete(self, name: ScheduleName, asking: Asking) -> Schedule:
        """Let a deleted schedule stand again, as it was; it goes on from now.

        Raises: NotFoundError; AlreadyExistsError if a schedule has the name that is not deleted; PreconditionError (FOLLOW_UP_CIRCLE);
        ConflictError; UnavailableError.
        """
        self._engine.must_be_open()
        before = await self._answers.stored(name)
        if (first := await self._answers.first(name, asking)) is not None:
            return readable(first)
        if before is None:
            raise NotFoundError("schedule", str(name))
        if before.state is not ScheduleState.DELETED:
            raise AlreadyExistsError("schedule", str(name), "is not deleted, or another one has taken the name since")
        must_be_seen(before, asking)
        before = readable(before)
        after = replace(before, state=self._state_restored(before), deleted_us=None)
        async with self._following.held([after]):
            (wrong,) = await self._following.wrong([after], known=triggered(after.policies).values())
            if wrong:
                raise PreconditionError("schedule", str(name), reason=wrong[0].reason, description=wrong[0].description)
            entry = change_entry(after, JournalKind.SCHEDULE_UNDELETED, asking, self._clock.now_us())
            return await self._change(before, after, asking, entry)

    async def trigger(
        self, name: ScheduleName, asking: Asking, *, overlap: Overlap | None = None, payload: Payload | None = None
    ) -> Execution:
        """Run a schedule now, in whatever state it is but deleted; the execution is durable when this returns.

        `overlap` and `payload` take the place of the schedule's own for this run; without a content type the payload has that of the other.
        Violations name `payload.…`. Raises: NotFoundError; InvalidError; ConflictError (REQUEST_ID_REUSED); UnavailableError.
        """
        before = await self._answers.stored(name)
        answer = None if asking.request is None else await self._store.answered(asking.request)
        if answer is not None:
            return await self._store.execution(int(answer[0]))
        schedule = readable(live(before, name, asking))
        payload = None if payload is None else _checked(payload, schedule)
        return await self._engine.trigger(schedule, actor=asking.actor, overlap=overlap, payload=payload, request=asking.request)

    async def rehearse(self, name: ScheduleName, asking: Asking, *, payload: Payload | None = None) -> Rendering:
        """What `trigger` would send, rendered; nothing is sent. Raises: NotFoundError; InvalidError; PreconditionError (NOT_RENDERED)."""
        schedule = readable(live(await self._answers.stored(name), name, asking))
        return await self._engine.rendered(schedule, payload=None if payload is None else _checked(payload, schedule))

    async def _create(self, drafts: Sequence[Schedule], parents: Sequence[str], asking: Asking) -> tuple[Schedule, ...]:
        self._engine.must_be_open()
        now_us = self._clock.now_us()
        async with self._following.held(drafts):
            wrong = await in_portions(self._clock, partial(check_schedule, now_us=now_us, calendars=self.calendars), drafts)
            if not any(wrong):
                wrong = await in_portions(self._clock, self._forbidding.check, drafts)
            if not any(wrong):
                wrong = await self._following.wrong(drafts)
            violations = tuple(violation.within(parent) for parent, found in zip(parents, wrong, strict=True) for violation in found)
            if violations := violations + tuple(_wrong_pauses(drafts, parents, now_us)):
                # What was right at the first call may be wrong at its repetition: a time that has passed meanwhile, say.
                if first := await self._answers.standing(asking):
                    return tuple(map(readable, first))
                raise InvalidError(violations)
            new = [self._begun(draft, asking.actor, now_us) for draft in drafts]
            if asking.validate_only:
                await self._must_be_free(draft.name for draft in drafts)
                return tuple(new)
            entries = [change_entry(schedule, JournalKind.SCHEDULE_CREATED, asking, self._clock.now_us()) for schedule in new]
            pauses = [
                paused_entry(schedule, schedule.pause, asking, self._clock.now_us()) for schedule in new if schedule.pause is not None
            ]
            return await self._engine.registry.create(new, [*entries, *pauses], request=asking.request)

    def _newly_forbidden(self, before: Schedule, after: Schedule) -> list[FieldViolation]:
        """What the configuration forbids of a change; what was there before may stay, so that the rest can be changed."""
        forbidden = self._forbidding.check(after)
        if not forbidden:
            return []
        allowed = self._forbidding.check(before)
        return [violation for violation in forbidden if violation not in allowed]

    async def _wrong_following(self, before: StoredSchedule, after: Schedule) -> tuple[FieldViolation, ...]:
        """What is wrong with what is to follow a schedule, if that changes; what is gone meanwhile may stay named."""
        named = triggered(before.policies) if isinstance(before, Schedule) else {}
        if triggered(after.policies) == named:
            return ()
        return (await self._following.wrong([after], known=named.values()))[0]

    async def _must_be_free(self, names: Iterable[ScheduleName]) -> None:
        """Raises: AlreadyExistsError naming the first name that has a holder, or stands twice among them."""
        seen: set[ScheduleName] = set()
        for name in names:
            holder = await self._answers.stored(name)
            if name in seen or (holder is not None and holder.state is not ScheduleState.DELETED):
                raise AlreadyExistsError("schedule", str(name))
            seen.add(name)

    def _begun(self, draft: Schedule, creator: str, now_us: int) -> Schedule:
        """A draft with what the server sets; one that has a pause begins paused."""
        pause = None if draft.pause is None else replace(draft.pause, actor=creator, since_us=now_us)
        return replace(
            draft,
            pause=pause,
            state=ScheduleState.ENABLED if pause is None else ScheduleState.PAUSED,
            uid=self._ids.new_id(),
            creator=creator,
            generation=1,
            created_us=now_us,
            updated_us=now_us,
            planned_from_us=now_us,
        )

    async def _change(self, before: StoredSchedule, after: Schedule, asking: Asking, *entries: JournalEntry) -> Schedule:
        if asking.validate_only:
            return after
        return await self._engine.registry.change(before, after, *entries, request=asking.request)

    async def _delete_unreadable(self, before: UnreadableSchedule, entry: JournalEntry, asking: Asking) -> UnreadableSchedule:
        if not asking.validate_only:
            await self._engine.registry.delete_unreadable(before, entry, request=asking.request)
            before = replace(before, generation=before.generation + 1)
        return replace(before, state=ScheduleState.DELETED, deleted_us=entry.time_us)

    @staticmethod
    def _refuse(violations: Sequence[FieldViolation]) -> None:
        if violations:
            raise InvalidError(tuple(violation.within("schedule") for violation in violations))

    def _state_restored(self, deleted: Schedule) -> ScheduleState:
        """Where a schedule stands once it is restored. One that has ended stays so: else its own policy might delete it again."""
        if deleted.pause is not None:
            return ScheduleState.PAUSED
        if deleted.state_reason:
            return ScheduleState.DISABLED
        rule = compile_when(deleted.when, created_us=deleted.created_us, seed=deleted.uid, calendars=self.calendars)
        return ScheduleState.COMPLETED if rule.next_after(self._clock.now_us()) is None else ScheduleState.ENABLED

    async def _views(self, schedules: Sequence[StoredSchedule]) -> tuple[ScheduleView, ...]:
        for schedule in schedules:
            if isinstance(schedule, UnreadableSchedule) and not schedule.quarantined:
                self._engine.keeper.quarantine(schedule.row, Reason.STORED_DATA, schedule.state_reason)
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
                run_count=self._engine.endings.ran(schedule.uid),
            )
            for schedule in schedules
        )


def _checked(payload: Payload, schedule: Schedule) -> Payload:
    """A payload for one run of a schedule, whole. Raises: InvalidError."""
    whole = replace(payload, content_type=payload.content_type or payload_of(schedule.target).content_type)
    wrong = check_target(with_payload(schedule.target, whole), schedule.labels)
    parts = {"content": "payload.text" if payload.template else "payload.data", "content_type": "payload.content_type"}
    named = ((parts.get(violation.field.rpartition(".")[2]), violation) for violation in wrong)
    if violations := tuple(replace(violation, field=field) for field, violation in named if field is not None):
        raise InvalidError(violations)
    return whole


def _wrong_pauses(drafts: Sequence[Schedule], parents: Sequence[str], now_us: int) -> Iterator[FieldViolation]:
    """What is wrong with the pauses that new schedules begin with, by fields of their requests."""
    for draft, parent in zip(drafts, parents, strict=True):
        if draft.pause is not None:
            for violation in check_pause(draft.pause.reason, draft.pause.until_us, now_us=now_us):
                yield violation.within(f"{parent.removesuffix('schedule')}pause")


def _violation(field: str, description: str) -> FieldViolation:
    return FieldViolation(field=field, reason="OUT_OF_RANGE", description=description)


def _given(schedule: UnreadableSchedule, whole: Callable[[], Schedule] | None) -> Schedule:
    """Raises: PreconditionError (UNREADABLE); what `whole` raises."""
    if whole is None:
        raise unreadable(schedule)
    return whole()
