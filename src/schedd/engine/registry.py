"""The registry: the one place where a schedule's creation or change is committed and then takes effect in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from schedd.core.clockjumps import TOLERANCE_US
from schedd.core.errors import NotFoundError
from schedd.core.model.backfill import Backfill
from schedd.core.model.batch import UNDECIDED_US, Completion, NewSchedule, RequestMark, ScheduleChange, UnreadableDeletion
from schedd.core.model.execution import Cause, ExecutionState, Origin
from schedd.core.model.journal import DAEMON, JournalEntry, JournalKind
from schedd.core.model.policy import CatchUpMode
from schedd.core.model.query import Comparison, Operator, Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.model.unreadable import StoredSchedule, UnreadableSchedule
from schedd.core.planning import Backlog, Plan
from schedd.core.ports import Clock, Ids, Store
from schedd.core.resumption import after_pause
from schedd.core.timeline import NEVER, Timeline
from schedd.core.triggers import Calendars, clockless, compile_when
from schedd.engine.almanac import Almanac
from schedd.engine.arming import armed_execution, asked_overlap, backlog_of, left_out_entry
from schedd.engine.backfiller import Backfiller
from schedd.engine.definitions import Definitions
from schedd.engine.dispatcher import Dispatcher
from schedd.engine.endings import Endings
from schedd.engine.keeper import Keeper
from schedd.engine.occasions import Occasions
from schedd.engine.planner import Planner
from schedd.engine.ranges import pending_entries
from schedd.engine.runs import Run, Runs
from schedd.engine.undertakings import Undertakings
from schedd.engine.zonewatch import ZoneWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFor:
    """Occurrences that a pause has left out and that are run all the same, since its end says so; `actor` ended it.

    Those of `rest` come after `nominal_us`, in their time.
    """

    actor: str = ""
    nominal_us: tuple[int, ...] = ()
    rest: Backlog | None = None
    backlog: CatchUpMode = CatchUpMode.NONE


NOTHING = AskedFor()


class Registry:
    """Commits changes of schedules; after the commit the timeline, the definitions and the armed executions follow, with no gap between."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        timeline: Timeline,
        almanac: Almanac,
        definitions: Definitions,
        runs: Runs,
        planner: Planner,
        dispatcher: Dispatcher,
        keeper: Keeper,
        occasions: Occasions,
        zone_watch: ZoneWatch,
        endings: Endings,
        ids: Ids,
        undertakings: Undertakings,
        backfiller: Backfiller,
    ) -> None:
        self._store = store
        self._clock = clock
        self._timeline = timeline
        self._almanac = almanac
        self._definitions = definitions
        self._runs = runs
        self._planner = planner
        self._dispatcher = dispatcher
        self._keeper = keeper
        self._occasions = occasions
        self._zone_watch = zone_watch
        self._endings = endings
        self._ids = ids
        self._undertakings = undertakings
        self._backfiller = backfiller

    async def create(
        self, drafts: Sequence[Schedule], entries: Sequence[JournalEntry], *, request: RequestMark | None = None
    ) -> tuple[Schedule, ...]:
        """Store valid new schedules, all or none, and start them.

        `entries` are those of their creations, in their order, and then at most one other about each.
        Raises: as `Store.create_schedules`; ExpressionError.
        """
        return await self._undertakings.see_through(self._create(drafts, entries, request))

    async def _create(
        self, drafts: Sequence[Schedule], entries: Sequence[JournalEntry], request: RequestMark | None
    ) -> tuple[Schedule, ...]:
        firsts = [first_nominal_us(draft, self._almanac.calendars) for draft in drafts]
        created, others = entries[: len(drafts)], {entry.schedule_uid: (entry,) for entry in entries[len(drafts) :]}
        new = [
            NewSchedule(schedule=draft, next_us=_stored_us(draft, first), entries=others.get(draft.uid, ()))
            for draft, first in zip(drafts, firsts, strict=True)
        ]
        await self._zone_watch.in_use(drafts)
        stored = await self._store.create_schedules(new, created, request=request)
        if len(stored) < len(drafts):  # A repetition, and some of what its first call stored is purged.
            raise NotFoundError("schedule", ", ".join(sorted({str(draft.name) for draft in drafts} - {str(each.name) for each in stored})))
        for draft, schedule, next_us in zip(drafts, stored, firsts, strict=True):
            if schedule.uid == draft.uid:  # Not so when the request was a repetition, and this its first answer.
                self._take_effect(schedule, next_us)
        self._planner.schedules_entered()
        return stored

    async def change(
        self,
        before: StoredSchedule,
        after: Schedule,
        *entries: JournalEntry,
        planned_from_us: int | None = None,
        asked_for: AskedFor = NOTHING,
        request: RequestMark | None = None,
    ) -> Schedule:
        """Commit the next standing of a schedule, given as it was read and as it is to be, and let it take effect.

        What is armed is taken back and decided anew, also what is overdue if the rule stays the same; with `planned_from_us` only what is
        later than that. What is `asked_for` is armed with the change.
        A request seen before changes nothing, and gives its schedule as it stands now. Raises: as `Store.change_schedule`.
        """
        return await self._undertakings.see_through(self._change(before, after, entries, planned_from_us, asked_for, request))

    async def _change(
        self,
        before: StoredSchedule,
        after: Schedule,
        entries: Sequence[JournalEntry],
        planned_from_us: int | None,
        asked_for: AskedFor,
        request: RequestMark | None,
    ) -> Schedule:
        await self._zone_watch.in_use([after])
        async with self._backfiller.ending_with(before, after) as ends:
            change, armed = self._following(before, after, entries, planned_from_us)
            fired = self._fired(change.schedule, asked_for)
            told = [_asked_entry(run, asked_for) for run in fired]
            rest = self._rest(change.schedule, asked_for)
            change = replace(
                change,
                entries=(*change.entries, *told),
                armed=tuple(run.execution for run in fired),
                backlogs=rest,
                ended=ends,
                request=request,
            )
            stored = await self._commit(change, armed)
            if stored is change.schedule:  # Not so when the request was a repetition, and this its first answer.
                self._backfiller.forget(ends)
                self._backfiller.adopt(rest)
                first_us = first_nominal_us(stored, self._almanac.calendars)
                self._take_effect(stored, first_us, behind=change.next_us == UNDECIDED_US)
                self._planner.wake()
                for run in fired:
                    self._dispatcher.add(run)
        return stored

    async def complete(self, ended: Sequence[tuple[Schedule, JournalEntry]]) -> None:
        """Complete enabled schedules of which nothing is to come, in one commit; one that has changed meanwhile is left alone.

        Raises: UnavailableError.
        """
        await self._undertakings.see_through(self._complete(ended))

    async def _complete(self, ended: Sequence[tuple[Schedule, JournalEntry]]) -> None:
        now_us, calendars = self._clock.now_us(), self._almanac.calendars
        completions = []
        for before, entry in ended:
            decided_us = self._planned_from_us(before, before, (), now_us)
            after = replace(
                before,
                state=ScheduleState.COMPLETED,
                generation=before.generation + 1,
                updated_us=now_us,
                planned_from_us=decided_us,
            )
            omitted = self.omitted(before, calendars, through_us=decided_us, now_us=now_us)
            completions.append(Completion(after, (*omitted, entry)))
        completed = await self._store.complete_schedules(completions)
        for after, _ in completions:
            if after.row in completed:
                self._take_effect(after, None)

    def _following(
        self, before: StoredSchedule, after: Schedule, entries: Sequence[JournalEntry], planned_from_us: int | None
    ) -> tuple[ScheduleChange, list[Run]]:
        """The change that makes `after` the next standing, and the armed runs that it takes back."""
        now_us = self._clock.now_us()
        armed = self.armed(before.row)
        following = replace(
            after,
            generation=before.generation + 1,
            updated_us=now_us,
            planned_from_us=self._planned_from_us(before, after, armed, now_us) if planned_from_us is None else planned_from_us,
        )
        next_us = first_nominal_us(following, self._almanac.calendars)
        behind = following.planned_from_us < now_us and next_us is not None and self._planner.may_have_passed(next_us, now_us)
        takebacks = [run.entry(JournalKind.EXECUTION_DISARMED, now_us)._replace(reason=Reason.SCHEDULE_CHANGED) for run in armed]
        omitted: list[JournalEntry] = []
        if isinstance(before, Schedule):
            omitted = self.omitted(before, self._almanac.calendars, through_us=following.planned_from_us, now_us=now_us)
        change = ScheduleChange(
            schedule=following,
            next_us=UNDECIDED_US if behind else _stored_us(following, next_us),
            entries=(*omitted, *entries, *takebacks),
            disarmed=tuple(run.id for run in armed),
        )
        return change, armed

    async def resume(
        self,
        before: Schedule,
        entry: JournalEntry,
        *entries: JournalEntry,
        backlog: CatchUpMode = CatchUpMode.NONE,
        until_us: int | None = None,
        request: RequestMark | None = None,
    ) -> Schedule:
        """End a pause or a quarantine, as `change` does; `until_us` is where a pause has ended by itself, else it ends now.

        What a pause has left out is decided at once, by `backlog`; a quarantine has left nothing out that could be run.
        """
        after = replace(before, state=ScheduleState.ENABLED, pause=None, state_reason="")
        now_us = self._clock.now_us()
        before_us = now_us + 1 if until_us is None else until_us
        if before.state is not ScheduleState.PAUSED:
            return await self.change(before, after, entry, *entries, planned_from_us=now_us, request=request)
        decided = self._after_pause(before, backlog, before_us)
        skipped = [left_out_entry(before, range_, now_us, outcome=Outcome.SKIPPED) for range_ in decided.left_out]
        nominal_us = await self._not_there(before, decided.fires)
        asked_for = AskedFor(actor=entry.actor, nominal_us=nominal_us, rest=decided.backlog, backlog=backlog)
        told = (entry, *entries, *skipped)
        return await self.change(before, after, *told, planned_from_us=before_us - 1, asked_for=asked_for, request=request)

    def _after_pause(self, paused: Schedule, backlog: CatchUpMode, before_us: int) -> Plan:
        clock_rule = compile_when(paused.when, created_us=paused.created_us, seed=paused.uid, calendars=self._almanac.calendars)
        return after_pause(
            self._occasions.rule_of_paused(paused, clock_rule),
            paused.policies.catch_up,
            backlog,
            after_us=paused.planned_from_us,
            before_us=before_us,
            runs_left=self._endings.left(paused) if paused.policies.max_runs else None,
            with_backlog=not clockless(paused.when),
        )

    def _rest(self, schedule: Schedule, asked_for: AskedFor) -> tuple[Backfill, ...]:
        """The range of what is asked for that is armed later."""
        if asked_for.rest is None:
            return ()
        return (backlog_of(schedule, asked_for.rest, self._ids.new_id(), schedule.updated_us, actor=asked_for.actor),)

    def _fired(self, schedule: Schedule, asked_for: AskedFor) -> list[Run]:
        """The runs of what is asked for. They come due together, so each waits for the one before, unless they may overlap."""
        if not asked_for.nominal_us:
            return []
        definition, now_us = self._definitions.made(schedule), schedule.updated_us
        origin = Origin(actor=asked_for.actor, overlap=asked_overlap(schedule.policies))
        executions = [armed_execution(definition, self._ids.new_id(), nominal_us, now_us) for nominal_us in asked_for.nominal_us]
        return [Run(execution._replace(origin=origin), definition) for execution in executions]

    async def _not_there(self, schedule: Schedule, nominal_us: Sequence[int]) -> tuple[int, ...]:
        """Those occurrences that have no execution: one that was spread may have run before the pause."""
        if not nominal_us:
            return ()
        where = (
            Comparison(field="schedule_uid", operator=Operator.EQUAL, value=schedule.uid),
            Comparison(field="cause", operator=Operator.EQUAL, value=Cause.SCHEDULE),
            Comparison(field="nominal_time", operator=Operator.GREATER_EQUAL, value=nominal_us[0]),
            Comparison(field="nominal_time", operator=Operator.LESS_EQUAL, value=nominal_us[-1]),
        )
        found = await self._store.find_executions(where, Order(field="nominal_time"), PageRequest(size=1000))
        there = {execution.nominal_us for execution in found.items}
        return tuple(at_us for at_us in nominal_us if at_us not in there)

    async def quarantine(self, row: int, entry: JournalEntry, seen: int | None) -> None:
        """Take a schedule that cannot be read out of service; what of it is armed or runs may end."""
        await self._store.quarantine(row, entry, seen=seen)
        self._leave(row)

    async def delete_unreadable(self, before: UnreadableSchedule, entry: JournalEntry, *, request: RequestMark | None = None) -> None:
        """Delete a schedule that cannot be read, as it was read; what of it waits is cancelled. Raises: as `Store.delete_unreadable`."""
        await self._undertakings.see_through(self._delete_unreadable(before, entry, request))

    async def _delete_unreadable(self, before: UnreadableSchedule, entry: JournalEntry, request: RequestMark | None) -> None:
        async with self._backfiller.ending_with(before, replace(before, state=ScheduleState.DELETED)) as ends:
            await self._store.delete_unreadable(
                UnreadableDeletion(schedule=before, deleted_us=self._clock.now_us(), entries=(entry,), ended=ends, request=request)
            )
            self._backfiller.forget(ends)
        self._leave(before.row)
        self._almanac.leave(before.row)
        self._dispatcher.gates.leave(before.row)
        self._cancel_waiting(before.row)

    async def _commit(self, change: ScheduleChange, armed: Sequence[Run]) -> Schedule:
        """Commit a change, and give the schedule as it stands; what is armed is held back meanwhile, and let go if it stays."""
        for run in armed:
            self._runs.remove(run)
        stored: Schedule | None = None
        try:
            stored = await self._store.change_schedule(change)
        finally:
            if stored is not change.schedule:
                for run in armed:
                    self._dispatcher.add(run)
        return stored

    def replan(self, schedule: Schedule) -> None:
        """A calendar of an enabled schedule has changed: what is not decided yet, and all that is to come, goes by the new one."""
        now_us = self._clock.now_us()
        rule = compile_when(schedule.when, created_us=schedule.created_us, seed=schedule.uid, calendars=self._almanac.calendars)
        next_us = rule.next_after(self.decided_through_us(schedule.row, now_us))
        self._enter(schedule, next_us, behind=self._planner.is_behind(schedule.row))
        self._planner.wake()

    def decided_through_us(self, row: int, now_us: int) -> int:
        """Up to where the occurrences of an enabled schedule are decided, at most to `now_us`."""
        first_us = self._planner.undecided_us(row)
        return now_us if first_us == NEVER else min(now_us, first_us - 1)

    def omitted(self, schedule: Schedule | UnreadableSchedule, calendars: Calendars, *, through_us: int, now_us: int) -> list[JournalEntry]:
        """What is to be journaled of what a schedule has left out, as its planning begins anew after `through_us`."""
        if not isinstance(schedule, Schedule):
            return []
        undecided_us = self._planner.undecided_us(schedule.row)
        return pending_entries(schedule, calendars, undecided_us=undecided_us, through_us=through_us, now_us=now_us)

    def is_behind(self, row: int) -> bool:
        """Whether a schedule's own mark lies before the daemon's, and is stored so."""
        return self._planner.is_behind(row)

    def armed(self, row: int) -> list[Run]:
        """What is armed by the rule ahead of its time, and so depends on the definition; not what somebody asked for."""
        runs = [run for run in self._runs.of_schedule(row) if run.state is ExecutionState.ARMED and not run.background]
        return [run for run in runs if run.execution.cause is Cause.SCHEDULE and run.execution.origin is None]

    def _planned_from_us(self, before: StoredSchedule, after: Schedule, armed: Sequence[Run], now_us: int) -> int:
        """Up to where the schedule's occurrences stay decided."""
        if before.when != after.when or before.state not in (ScheduleState.ENABLED, ScheduleState.PAUSED):
            return now_us
        if before.state is ScheduleState.PAUSED:
            return before.planned_from_us
        undecided = [run.execution.nominal_us for run in armed]
        first_us = self._planner.undecided_us(before.row)
        if first_us != NEVER:
            undecided.append(first_us)
        return min([now_us, *(nominal_us - 1 for nominal_us in undecided)])

    def _take_effect(self, schedule: Schedule, next_us: int | None, *, behind: bool = False) -> None:
        if max(schedule.planned_from_us, schedule.created_us) > self._clock.now_us() + TOLERANCE_US:
            self._planner.is_ahead(schedule.row)
        self._almanac.schedule_changed(schedule)
        if self._almanac.uses_any(schedule.row):
            # One of its calendars may have changed while the commit was under way.
            next_us = first_nominal_us(schedule, self._almanac.calendars)
        self._enter(schedule, next_us, behind=behind)

    def _enter(self, schedule: Schedule, next_us: int | None, *, behind: bool) -> None:
        row = schedule.row
        self._planner.schedule_changed(schedule, behind=behind)
        self._keeper.schedule_changed(schedule)
        self._backfiller.wake()
        if schedule.state is ScheduleState.ENABLED:
            self._occasions.enter(schedule)
            next_us = self._occasions.first_after(row, schedule.planned_from_us, next_us)
        else:
            self._occasions.leave(row)
        self._dispatcher.gates.schedule_changed(schedule)
        for run in self._runs.of_schedule(row):
            run.is_last = schedule.state is ScheduleState.DELETED
        previous = self._definitions.forget(row)
        if schedule.state is ScheduleState.ENABLED and next_us is not None:
            self._definitions.put(schedule, previous_success_us=previous.previous_success_us if previous else None)
            self._timeline.set(row, next_us)
            return
        self._timeline.remove(row)
        if schedule.state is ScheduleState.ENABLED:
            self._keeper.no_more_occurrences(row)
        if schedule.state is ScheduleState.DELETED:
            self._cancel_waiting(row)

    def _leave(self, row: int) -> None:
        """Nothing of this schedule comes due any more."""
        self._planner.schedule_left(row)
        self._keeper.forget(row)
        self._occasions.leave(row)
        self._definitions.forget(row)
        self._timeline.remove(row)

    def _cancel_waiting(self, row: int) -> None:
        for run in self._runs.of_schedule(row):
            if run.task is None:
                self._dispatcher.cancel(run, DAEMON, Reason.DELETED)


def _asked_entry(run: Run, asked_for: AskedFor) -> JournalEntry:
    return run.entry(
        JournalKind.EXECUTION_ARMED, run.execution.armed_us, actor=asked_for.actor, evidence={"backlog": asked_for.backlog.value}
    )


def _stored_us(schedule: Schedule, next_us: int | None) -> int | None:
    """What is stored as the next nominal time: nothing where it depends on more than the clock, and is found anew at each start."""
    return None if next_us is None or clockless(schedule.when) else next_us


def first_nominal_us(schedule: Schedule, calendars: Calendars) -> int | None:
    """The first occurrence by the clock that is this definition's business; None if there is none, or if the schedule is not enabled."""
    if schedule.state is not ScheduleState.ENABLED:
        return None
    rule = compile_when(schedule.when, created_us=schedule.created_us, seed=schedule.uid, calendars=calendars)
    return rule.next_after(schedule.planned_from_us)
