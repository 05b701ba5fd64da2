"""The one place where a calendar's change is committed and takes effect on the schedules that use it; and the turn of the year."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from schedd.core.errors import ConflictError, ExpressionError, NotFoundError, UnavailableError
from schedd.core.model.batch import UNDECIDED_US, CalendarChange, Replanned, RequestMark
from schedd.core.model.calendar import Calendar, calendar_resource
from schedd.core.model.journal import DAEMON, JournalEntry, JournalKind
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.ports import Clock, Store
from schedd.core.triggers import Calendars, clockless, compile_when
from schedd.engine.almanac import Almanac
from schedd.engine.dispatcher import Dispatcher
from schedd.engine.endings import Endings
from schedd.engine.registry import Registry
from schedd.engine.runs import Run, Runs
from schedd.engine.undertakings import Undertakings
from schedd.engine.zonewatch import ZoneWatch

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Effects:
    """What a change of a calendar means for its users: armed runs to take back, where occurrences are decided anew, what was left out."""

    takebacks: list[Run] = field(default_factory=list)
    replanned: list[Replanned] = field(default_factory=list)
    omitted: list[JournalEntry] = field(default_factory=list)


class CalendarRegistry:
    """Commits changes of calendars, one at a time; after the commit every schedule that uses the calendar follows."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        almanac: Almanac,
        registry: Registry,
        runs: Runs,
        dispatcher: Dispatcher,
        endings: Endings,
        undertakings: Undertakings,
        zone_watch: ZoneWatch,
    ) -> None:
        self._store = store
        self._clock = clock
        self._almanac = almanac
        self._registry = registry
        self._runs = runs
        self._dispatcher = dispatcher
        self._endings = endings
        self._undertakings = undertakings
        self._zone_watch = zone_watch
        self._alarm = clock.alarm()
        self._one_at_a_time = asyncio.Lock()

    async def create(self, calendar: Calendar, entry: JournalEntry, *, request: RequestMark | None = None) -> Calendar:
        """Store a valid new calendar. Raises: as `Store.create_calendar`; ExpressionError."""
        return await self._undertakings.see_through(self._create(calendar, entry, request))

    async def _create(self, calendar: Calendar, entry: JournalEntry, request: RequestMark | None) -> Calendar:
        async with self._one_at_a_time:
            days = self._almanac.read(calendar)
            await self._zone_watch.calendar_in_use(calendar)
            stored = await self._store.create_calendar(calendar, entry, request=request)
            if stored.uid == calendar.uid:  # Not so when the request was a repetition, and this its first answer.
                self._almanac.put(stored, days)
            return stored

    async def change(self, after: Calendar, entry: JournalEntry, *, seen: int, request: RequestMark | None = None) -> Calendar:
        """Commit the next standing of a calendar and let it take effect: armed executions that it leaves out are taken back.

        Raises: as `Store.change_calendar`; ExpressionError.
        """
        return await self._undertakings.see_through(self._change(after, entry, seen, request))

    async def _change(self, after: Calendar, entry: JournalEntry, seen: int, request: RequestMark | None) -> Calendar:
        async with self._one_at_a_time:
            now_us = self._clock.now_us()
            days = self._almanac.read(after)
            await self._zone_watch.calendar_in_use(after)
            following = replace(after, generation=seen + 1, updated_us=now_us)
            effects = await self._effects(after.name, self._almanac.proposed(days), now_us)
            entries = [
                run.entry(JournalKind.EXECUTION_DISARMED, now_us)._replace(reason=Reason.SCHEDULE_CHANGED) for run in effects.takebacks
            ]
            change = CalendarChange(
                calendar=following,
                seen=seen,
                entries=(*effects.omitted, entry, *entries),
                disarmed=tuple(run.id for run in effects.takebacks),
                replanned=tuple(effects.replanned),
                request=request,
            )
            stored = await self._commit(change, effects.takebacks)
            if stored is following:
                self._almanac.put(stored, days)
                await self._replan(stored.name)
            return stored

    async def delete(self, name: str, entry: JournalEntry, *, seen: int | None) -> None:
        """Remove a calendar. Raises: as `Store.delete_calendar`."""
        await self._undertakings.see_through(self._delete(name, entry, seen))

    async def _delete(self, name: str, entry: JournalEntry, seen: int | None) -> None:
        async with self._one_at_a_time:
            await self._store.delete_calendar(name, entry, seen=seen)
            self._almanac.remove(name)

    async def run(self) -> None:
        """At each turn of the year, in UTC, have the public holidays of the years to come; until cancelled."""
        try:
            while True:
                year = datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC).year
                self._alarm.set(int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000)
                await self._alarm.wait()
                if datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC).year != year:  # Earlier, if the clock was set back.
                    await self.run_once()
        finally:
            self._alarm.close()

    async def run_once(self) -> None:
        """Read the calendars with public holidays anew, for the years that count now."""
        async with self._one_at_a_time:
            for calendar in self._almanac.with_holidays():
                try:
                    self._almanac.put(calendar, self._almanac.read(calendar))
                except ExpressionError as error:
                    log.error("holidays_not_renewed", calendar=calendar.name, detail=str(error))
                else:
                    await self._replan(calendar.name)

    async def _effects(self, name: str, calendars: Calendars, now_us: int) -> _Effects:
        effects = _Effects()
        for schedule in await self._users(self._almanac.users(name)):
            if schedule.state is not ScheduleState.ENABLED:
                continue
            rule = compile_when(schedule.when, created_us=schedule.created_us, seed=schedule.uid, calendars=calendars)
            # An occurrence that no clock yields stands: a start of the daemon, a completion.
            by_clock = not clockless(schedule.when)
            for run in self._registry.armed(schedule.row) if by_clock else ():
                nominal_us = run.execution.nominal_us
                if rule.next_after(nominal_us - 1) != nominal_us:
                    effects.takebacks.append(run)
            from_us = self._registry.decided_through_us(schedule.row, now_us)
            effects.omitted += self._registry.omitted(schedule, self._almanac.calendars, through_us=from_us, now_us=now_us)
            next_us = rule.next_after(from_us) if by_clock else None
            stored_us = UNDECIDED_US if self._registry.is_behind(schedule.row) else next_us
            effects.replanned.append(Replanned(row=schedule.row, planned_from_us=from_us, next_us=stored_us))
        return effects

    async def _commit(self, change: CalendarChange, takebacks: Sequence[Run]) -> Calendar:
        for run in takebacks:
            self._runs.remove(run)
        stored: Calendar | None = None
        try:
            stored = await self._store.change_calendar(change)
        finally:
            if stored is not change.calendar:
                for run in takebacks:
                    self._dispatcher.add(run)
        return stored

    async def _replan(self, name: str) -> None:
        """Have the users of a calendar follow it as it stands now; what changed while it was read is read again."""
        rows = self._almanac.users(name)
        while rows:
            schedules = await self._users(rows)
            rows = self._almanac.outdated(schedules)
            for schedule in schedules:
                if schedule.row in rows:
                    continue
                if schedule.state is ScheduleState.COMPLETED:
                    await self._revive(name, schedule)
                elif schedule.state is ScheduleState.ENABLED:
                    self._registry.replan(schedule)

    async def _revive(self, name: str, schedule: Schedule) -> None:
        """A schedule that had no occurrence to come goes on, if its calendar gives it one; not if it has run as often as it may."""
        most = schedule.policies.max_runs
        if most and self._endings.ran(schedule.uid) >= most:
            return
        now_us = self._clock.now_us()
        rule = compile_when(schedule.when, created_us=schedule.created_us, seed=schedule.uid, calendars=self._almanac.calendars)
        if rule.next_after(now_us) is None:
            return
        entry = JournalEntry(
            time_us=now_us,
            kind=JournalKind.SCHEDULE_RESUMED,
            actor=DAEMON,
            schedule=schedule.name,
            schedule_row=schedule.row,
            schedule_uid=schedule.uid,
            reason=Reason.SCHEDULE_CHANGED,
            evidence={"calendar": calendar_resource(name)},
        )
        try:
            await self._registry.change(schedule, replace(schedule, state=ScheduleState.ENABLED), entry, planned_from_us=now_us)
        except (ConflictError, NotFoundError, UnavailableError) as error:
            log.error("schedule_not_revived", schedule=str(schedule.name), detail=str(error))

    async def _users(self, rows: Sequence[int]) -> list[Schedule]:
        """The schedules in these rows that can be read; the others are quarantined when they come due."""
        return [found for found in (await self._store.schedules(rows)).values() if isinstance(found, Schedule)]
