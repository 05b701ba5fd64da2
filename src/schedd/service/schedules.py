"""The use cases of single schedules: create, read, change, delete and restore, pause, trigger, preview."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from schedd.core.changes import changed_fields
from schedd.core.errors import (
    AlreadyExistsError,
    ConflictError,
    ExpressionError,
    FieldViolation,
    InvalidError,
    NotFoundError,
    PreconditionError,
)
from schedd.core.following import triggered
from schedd.core.model.batch import LastRun
from schedd.core.model.execution import Execution
from schedd.core.model.journal import Evidence, JournalEntry, JournalKind
from schedd.core.model.policy import CatchUpMode, Overlap
from schedd.core.model.query import Filter, Order, Page, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import Rendering
from schedd.core.model.schedule import Pause, Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import Payload, payload_of, with_payload
from schedd.core.model.unreadable import StoredSchedule, UnreadableSchedule
from schedd.core.model.when import When
from schedd.core.planning import left_out
from schedd.core.ports import Clock, Ids, Store
from schedd.core.schedule_rules import check_change, check_pause, check_schedule, check_schedules
from schedd.core.target_rules import check_target
from schedd.core.triggers import Calendars, Instant, check_when, compile_when, preview
from schedd.engine.arming import missed_entry
from schedd.engine.engine import Engine
from schedd.service.asking import Asking
from schedd.service.following import FollowUpCheck

BATCH_MAX = 1000
"""The most schedules in one batch."""

PREVIEW_MAX = 1000
"""The most fire times in one preview."""

_READ_AT_ONCE = 500
_HELD_BY = {ScheduleState.PAUSED: Reason.PAUSED, ScheduleState.DISABLED: Reason.DISABLED}


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

    def __init__(self, *, store: Store, engine: Engine, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock
        self._ids = ids
        self._following = FollowUpCheck(store)

    @property
    def calendars(self) -> Calendars:
        """The calendars that schedules may name, as they stand."""
        return self._engine.almanac.calendars

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
        return _readable(await self._store.stored_schedule(name))

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
        before = await self._stored(name)
        if (first := await self._answered(name, asking)) is not None:
            return _readable(first)
        before = _live(before, name, asking)
        if isinstance(before, Schedule):
            after = edit(before)
            self._refuse(check_change(before, after, now_us=self._clock.now_us(), calendars=self.calendars))
        else:
            after = before.replaced(_given(before, whole))
            self._refuse(check_schedule(after, now_us=self._clock.now_us(), calendars=self.calendars))
        async with self._following.held([after]):
            self._refuse(await self._wrong_following(before, after))
            return await self._update(before, after, asking)

    async def _update(self, before: StoredSchedule, after: Schedule, asking: Asking) -> Schedule:
        entries: list[JournalEntry] = []
        if isinstance(before, Schedule):
            if after == before:
                return await self._unchanged(before, asking)
            if before.state in (ScheduleState.COMPLETED, ScheduleState.DISABLED):
                after = replace(after, state=ScheduleState.ENABLED, state_reason="")
            if before.state is ScheduleState.DISABLED or after.when != before.when:
                entries = self._held_back(before)  # Another rule begins now: these are nobody's business any more.
        # Of a row that could not be read nothing says what is other than it was.
        evidence = {"fields": ", ".join(changed_fields(before, after))} if isinstance(before, Schedule) else {}
        return await self._change(before, after, asking, self._entry(after, JournalKind.SCHEDULE_UPDATED, asking, evidence), *entries)

    async def delete(self, name: ScheduleName, asking: Asking, *, allow_missing: bool = False) -> StoredSchedule | None:
        """Delete a schedule; what of it runs may end, what waits is cancelled. None: there was none, and that is allowed.

        Raises: NotFoundError; ConflictError; UnavailableError.
        """
        self._engine.must_be_open()
        before = await self._stored(name)
        try:
            if (first := await self._answered(name, asking)) is not None:
                return first
            live = _live(before, name, asking)
        except NotFoundError:
            if not allow_missing:
                raise
            await self._keep((), asking)
            return None
        entry = self._entry(live, JournalKind.SCHEDULE_DELETED, asking)
        if isinstance(live, UnreadableSchedule):
            return await self._delete_unreadable(live, entry, asking)
        after = replace(live, state=ScheduleState.DELETED, deleted_us=self._clock.now_us())
        return await self._change(live, after, asking, entry)

    async def undelete(self, name: ScheduleName, asking: Asking) -> Schedule:
        """Let a deleted schedule stand again, as it was; it goes on from now.

        Raises: NotFoundError; AlreadyExistsError if a schedule has the name that is not deleted; PreconditionError (FOLLOW_UP_CIRCLE);
        ConflictError; UnavailableError.
        """
        self._engine.must_be_open()
        before = await self._stored(name)
        if (first := await self._answered(name, asking)) is not None:
            return _readable(first)
        if before is None:
            raise NotFoundError("schedule", str(name))
        if before.state is not ScheduleState.DELETED:
            raise AlreadyExistsError("schedule", str(name), "is not deleted, or another one has taken the name since")
        _must_be_seen(before, asking)
        before = _readable(before)
        after = replace(before, state=self._state_restored(before), deleted_us=None)
        async with self._following.held([after]):
            (wrong,) = await self._following.wrong([after], known=triggered(after.policies).values())
            if wrong:
                raise PreconditionError("schedule", str(name), reason=wrong[0].reason, description=wrong[0].description)
            return await self._change(before, after, asking, self._entry(after, JournalKind.SCHEDULE_UNDELETED, asking))

    async def pause(self, name: ScheduleName, asking: Asking, *, reason: str = "", until_us: int | None = None) -> Schedule:
        """Hold a schedule's occurrences back, until somebody resumes it or the wall clock reaches `until_us`.

        Raises: NotFoundError; ConflictError; InvalidError; PreconditionError (NOT_ENABLED); UnavailableError.
        """
        self._engine.must_be_open()
        before = await self._stored(name)
        if (first := await self._answered(name, asking)) is not None:
            return _readable(first)
        now_us = self._clock.now_us()
        if violations := tuple(check_pause(reason, until_us, now_us=now_us)):
            raise InvalidError(violations)
        before = _readable(_live(before, name, asking))
        if before.state not in (ScheduleState.ENABLED, ScheduleState.PAUSED):
            raise _not_in_state(before, "NOT_ENABLED", "only an enabled schedule can be paused")
        pause = Pause(actor=asking.actor, since_us=now_us, reason=reason, until_us=until_us)
        after = replace(before, state=ScheduleState.PAUSED, pause=pause)
        return await self._change(before, after, asking, self._paused_entry(after, pause, asking))

    async def resume(self, name: ScheduleName, asking: Asking, *, backlog: CatchUpMode = CatchUpMode.NONE) -> Schedule:
        """End a pause, or a quarantine; an enabled schedule stays as it is.

        What the pause held back is skipped, with its reason in the journal, or run by the mode `backlog`, at once decided and durable.

        Raises: NotFoundError; ConflictError; PreconditionError (NOT_PAUSED); UnavailableError.
        """
        self._engine.must_be_open()
        before = await self._stored(name)
        if (first := await self._answered(name, asking)) is not None:
            return _readable(first)
        before = _readable(_live(before, name, asking))
        if before.state is ScheduleState.ENABLED:
            return await self._unchanged(before, asking)
        if before.state not in (ScheduleState.PAUSED, ScheduleState.DISABLED):
            raise _not_in_state(before, "NOT_PAUSED", "only a paused or disabled schedule can be resumed")
        if asking.validate_only:
            return replace(before, state=ScheduleState.ENABLED, pause=None, state_reason="")
        entry = self._entry(before, JournalKind.SCHEDULE_RESUMED, asking)
        left_out = self._held_back(before) if before.state is ScheduleState.DISABLED else []  # A quarantine leaves no backlog.
        return await self._engine.registry.resume(before, entry, *left_out, backlog=backlog, request=asking.request)

    async def trigger(
        self, name: ScheduleName, asking: Asking, *, overlap: Overlap | None = None, payload: Payload | None = None
    ) -> Execution:
        """Run a schedule now, in whatever state it is but deleted; the execution is durable when this returns.

        `overlap` and `payload` take the place of the schedule's own for this run; without a content type the payload has that of the other.
        Violations name `payload.…`. Raises: NotFoundError; InvalidError; ConflictError (REQUEST_ID_REUSED); UnavailableError.
        """
        before = await self._stored(name)
        answer = None if asking.request is None else await self._store.answered(asking.request)
        if answer is not None:
            return await self._store.execution(int(answer[0]))
        schedule = _readable(_live(before, name, asking))
        payload = None if payload is None else _checked(payload, schedule)
        return await self._engine.trigger(schedule, actor=asking.actor, overlap=overlap, payload=payload, request=asking.request)

    async def rehearse(self, name: ScheduleName, asking: Asking, *, payload: Payload | None = None) -> Rendering:
        """What `trigger` would send, rendered; nothing is sent. Raises: NotFoundError; InvalidError; PreconditionError (NOT_RENDERED)."""
        schedule = _readable(_live(await self._stored(name), name, asking))
        return await self._engine.rendered(schedule, payload=None if payload is None else _checked(payload, schedule))

    async def preview(
        self, when: When, *, stored: ScheduleName | None = None, after_us: int | None, count: int, show_excluded: bool = False
    ) -> tuple[Instant, ...]:
        """The next fire times of a rule that is not stored: of a new schedule, or of the schedule `stored` if there is one of that name.

        The stored one's creation time and uid then count, so that an interval's phase, H and spread are as an update would have them.

        With `show_excluded` come those that an exclusion or a calendar leaves out, marked.
        Violations name `schedule.…`. Raises: InvalidError.
        """
        now_us = self._clock.now_us()
        if violations := check_when(when, now_us=now_us, calendars=self.calendars):
            raise InvalidError(tuple(violation.within("schedule") for violation in violations))
        created_us, seed = await self._origin(stored, now_us)
        return self._preview(when, created_us, seed, now_us if after_us is None else after_us, count, show_excluded)

    async def preview_stored(
        self, name: ScheduleName, *, after_us: int | None, count: int, show_excluded: bool = False
    ) -> tuple[Instant, ...]:
        """The next fire times of a stored schedule's rule, as `preview`.

        Raises: NotFoundError; PreconditionError (UNREADABLE); InvalidError.
        """
        schedule = await self.readable(name)
        from_us = self._clock.now_us() if after_us is None else after_us
        return self._preview(schedule.when, schedule.created_us, schedule.uid, from_us, count, show_excluded)

    async def _create(self, drafts: Sequence[Schedule], parents: Sequence[str], asking: Asking) -> tuple[Schedule, ...]:
        self._engine.must_be_open()
        now_us = self._clock.now_us()
        async with self._following.held(drafts):
            wrong = check_schedules(drafts, now_us=now_us, calendars=self.calendars)
            if not any(wrong):
                wrong = await self._following.wrong(drafts)
            violations = tuple(violation.within(parent) for parent, found in zip(parents, wrong, strict=True) for violation in found)
            if violations := violations + tuple(_wrong_pauses(drafts, parents, now_us)):
                # What was right at the first call may be wrong at its repetition: a time that has passed meanwhile, say.
                if first := await self._standing(asking):
                    return tuple(map(_readable, first))
                raise InvalidError(violations)
            new = [self._begun(draft, asking.actor, now_us) for draft in drafts]
            if asking.validate_only:
                await self._must_be_free(draft.name for draft in drafts)
                return tuple(new)
            entries = [self._entry(schedule, JournalKind.SCHEDULE_CREATED, asking) for schedule in new]
            pauses = [self._paused_entry(schedule, schedule.pause, asking) for schedule in new if schedule.pause is not None]
            return await self._engine.registry.create(new, [*entries, *pauses], request=asking.request)

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
            holder = await self._stored(name)
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

    async def _unchanged(self, schedule: Schedule, asking: Asking) -> Schedule:
        """The answer of a call that finds everything as it is to be: it is kept too, for what happens until a repetition."""
        await self._keep((schedule.uid,), asking)
        return schedule

    async def _keep(self, answer: tuple[int, ...], asking: Asking) -> None:
        if asking.request is not None:
            await self._store.keep_answer(asking.request, answer, now_us=self._clock.now_us())

    async def _answered(self, name: ScheduleName, asking: Asking) -> StoredSchedule | None:
        """The schedule of an earlier call with this mark as it stands now, None for a first call. Raises: NotFoundError if it is gone."""
        first = await self._standing(asking)
        if first is None:
            return None
        if not first:
            raise NotFoundError("schedule", str(name))
        return first[0]

    async def _standing(self, asking: Asking) -> tuple[StoredSchedule, ...] | None:
        """The schedules that an earlier call with this mark was answered, as they stand now."""
        answer = None if asking.request is None else await self._store.answered(asking.request)
        return None if answer is None else await self._store.schedules_by_uid([int(uid) for uid in answer])

    async def _stored(self, name: ScheduleName) -> StoredSchedule | None:
        """The schedule of that name, deleted or not; None: there is none.

        It is read before an earlier answer is looked for: what an earlier call has made of it then finds that call's answer too.
        """
        try:
            return await self._store.stored_schedule(name)
        except NotFoundError:
            return None

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

    async def _origin(self, stored: ScheduleName | None, now_us: int) -> tuple[int, int]:
        """The creation time and the uid of a schedule; of a new one now and 0."""
        schedule = None if stored is None else await self._stored(stored)
        return (now_us, 0) if schedule is None else (schedule.created_us, schedule.uid)

    def _preview(self, when: When, created_us: int, seed: int, after_us: int, count: int, show_excluded: bool) -> tuple[Instant, ...]:
        if not 1 <= count <= PREVIEW_MAX:
            raise InvalidError((_violation("count", f"{count} is not allowed; 1 to {PREVIEW_MAX} is"),))
        return preview(
            when,
            created_us=created_us,
            seed=seed,
            after_us=after_us,
            count=count,
            calendars=self.calendars,
            show_excluded=show_excluded,
        )

    def _paused_entry(self, schedule: Schedule, pause: Pause, asking: Asking) -> JournalEntry:
        evidence: dict[str, str | int] = {"detail": pause.reason} if pause.reason else {}
        if pause.until_us is not None:
            evidence["until_us"] = pause.until_us
        return self._entry(schedule, JournalKind.SCHEDULE_PAUSED, asking, evidence)

    def _held_back(self, held: Schedule) -> list[JournalEntry]:
        """The journal's row for the occurrences that a pause or a quarantine held back until now; none where the rule is at fault."""
        if held.state not in _HELD_BY:
            return []
        now_us = self._clock.now_us()
        try:
            rule = compile_when(held.when, created_us=held.created_us, seed=held.uid, calendars=self.calendars)
        except ExpressionError:
            return []
        # The quarantine of a row that cannot be read leaves its mark where it was.
        from_us = held.planned_from_us if held.state is ScheduleState.PAUSED else max(held.planned_from_us, held.updated_us)
        first_us = rule.next_after(from_us)
        if first_us is None:
            return []
        return [
            missed_entry(held, range_, now_us, kind=JournalKind.OCCURRENCES_SKIPPED, outcome=Outcome.SKIPPED)
            for range_ in left_out(rule, first_us, now_us + 1, _HELD_BY[held.state])
        ]

    def _entry(self, schedule: StoredSchedule, kind: JournalKind, asking: Asking, evidence: Evidence | None = None) -> JournalEntry:
        return JournalEntry(
            time_us=self._clock.now_us(),
            kind=kind,
            actor=asking.actor,
            schedule=schedule.name,
            schedule_row=schedule.row,
            schedule_uid=schedule.uid,
            reason=Reason.REQUESTED,
            evidence=evidence or {},
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


def _live(schedule: StoredSchedule | None, name: ScheduleName, asking: Asking) -> StoredSchedule:
    """A stored schedule, if it is there and what the caller has seen. Raises: NotFoundError; ConflictError."""
    if schedule is None or schedule.state is ScheduleState.DELETED:
        raise NotFoundError("schedule", str(name))
    _must_be_seen(schedule, asking)
    return schedule


def _readable(schedule: StoredSchedule) -> Schedule:
    """Raises: PreconditionError (UNREADABLE)."""
    if isinstance(schedule, UnreadableSchedule):
        raise _unreadable(schedule)
    return schedule


def _given(schedule: UnreadableSchedule, whole: Callable[[], Schedule] | None) -> Schedule:
    """Raises: PreconditionError (UNREADABLE); what `whole` raises."""
    if whole is None:
        raise _unreadable(schedule)
    return whole()


def _unreadable(schedule: UnreadableSchedule) -> PreconditionError:
    text = f"{schedule.state_reason} (`schedctl apply -f FILE` replaces it; in the API, an update_mask of * does)"
    return PreconditionError("schedule", str(schedule.name), reason="UNREADABLE", description=text)


def _must_be_seen(schedule: StoredSchedule, asking: Asking) -> None:
    """Raises: ConflictError when the caller has seen another generation."""
    if asking.generation not in (None, schedule.generation):
        raise ConflictError(
            "schedule",
            str(schedule.name),
            reason="ETAG_MISMATCH",
            description=f'has changed since it was read: its etag is "{schedule.generation}" now',
        )


def _not_in_state(schedule: StoredSchedule, reason: str, description: str) -> PreconditionError:
    return PreconditionError("schedule", str(schedule.name), reason=reason, description=f"is {schedule.state}; {description}")
