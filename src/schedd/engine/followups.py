"""Follow-ups: what the end of an execution sets going. It becomes durable in one commit with the end, so no crash loses or doubles it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from schedd.core.errors import NotFoundError, StoredDataError, UnavailableError
from schedd.core.following import follow_ups_of
from schedd.core.model.execution import Attempt, Cause, Origin, Parent
from schedd.core.model.journal import Evidence, JournalEntry, JournalKind
from schedd.core.model.notice import Notice
from schedd.core.model.policy import FollowUp, TriggerSchedule
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import ScheduleName, ScheduleState
from schedd.core.model.target import HttpTarget
from schedd.core.notices import notice_target
from schedd.core.ports import Ids, Store
from schedd.engine.arming import armed_execution
from schedd.engine.definitions import Definition, Definitions
from schedd.engine.dispatcher import Dispatcher
from schedd.engine.notifier import Notifier
from schedd.engine.recorder import Followed
from schedd.engine.runs import Run

log = structlog.get_logger(__name__)


class FollowUps:
    """See `schedd.engine.recorder.Following`.

    A schedule that follows runs as a trigger would have it run: in whatever state it is but deleted, by its own overlap policy.
    """

    def __init__(self, *, store: Store, ids: Ids, definitions: Definitions, dispatcher: Dispatcher, notifier: Notifier) -> None:
        self._store = store
        self._ids = ids
        self._definitions = definitions
        self._dispatcher = dispatcher
        self._notifier = notifier
        self._newest_us: dict[int, int] = {}

    async def after(self, ended: Sequence[Run], attempts: Sequence[Attempt]) -> Followed:
        """What follows these ends."""
        last = {attempt.execution_id: attempt for attempt in attempts}
        followed = Followed()
        for run in ended:
            name, follow_ups = follow_ups_of(run.definition.schedule.policies, run.outcome)
            for index, follow_up in enumerate(follow_ups):
                try:
                    await self._follow(followed, run, f"{name}[{index}]", follow_up, last)
                except UnavailableError:
                    raise
                except Exception as error:  # What one schedule's follow-ups come to must not keep the others' ends from being recorded.
                    log.exception("follow_up_failed", schedule=str(run.execution.schedule), follow_up=f"{name}[{index}]")
                    detail = {"detail": f"{type(error).__name__}: {error}"}
                    followed.entries.append(follow_up_entry(run, f"{name}[{index}]", Reason.UNFORESEEN, detail))
        return followed

    def begin(self, followed: Followed, stored: frozenset[int]) -> None:
        """Hand over what is durable."""
        for run in followed.runs:
            if run.id in stored:
                self._dispatcher.add(run)
            else:
                log.error("follow_up_was_there_already", schedule=str(run.execution.schedule), nominal_us=run.execution.nominal_us)
        self._notifier.add(followed.notices)

    async def _follow(self, followed: Followed, ended: Run, field: str, follow_up: FollowUp, last: Mapping[int, Attempt]) -> None:
        if isinstance(follow_up, TriggerSchedule):
            definition = await self._definition(follow_up.schedule)
            if isinstance(definition, Reason):
                followed.entries.append(follow_up_entry(ended, field, definition, {"schedule": follow_up.schedule}))
                return
            run = self._run(definition, ended)
            followed.runs.append(run)
            followed.entries.append(run.entry(JournalKind.EXECUTION_ARMED, _end_us(ended), evidence={"parent_execution": ended.id}))
        elif self._notifier.has_room(len(followed.notices)):
            followed.notices.append(self._notice(ended, field, follow_up.target, last.get(ended.id)))
        else:
            followed.entries.append(follow_up_entry(ended, field, Reason.CONCURRENCY, {"limit": self._notifier.most}))

    async def _definition(self, name: str) -> Definition | Reason:
        """The definition of a schedule that follows, or why it does not run."""
        _, group, _, schedule_id = name.split("/")
        try:
            schedule = await self._store.schedule(ScheduleName(group=group, schedule=schedule_id))
        except NotFoundError:
            return Reason.DELETED
        except StoredDataError:
            return Reason.STORED_DATA
        if schedule.state is ScheduleState.DELETED:
            return Reason.DELETED
        definition = (await self._definitions.load([schedule.row])).get(schedule.row)
        return definition if isinstance(definition, Definition) else Reason.STORED_DATA

    def _run(self, definition: Definition, ended: Run) -> Run:
        """The run that follows. Its nominal time is that of the end, or later by as many microseconds as make it the schedule's own."""
        row, end_us = definition.schedule.row, _end_us(ended)
        self._newest_us[row] = nominal_us = max(end_us, self._newest_us.get(row, 0) + 1)
        execution = armed_execution(definition, self._ids.new_id(), nominal_us, end_us, cause=Cause.FOLLOW_UP)
        parent = Parent(ended.execution.schedule, ended.id)
        return Run(execution._replace(origin=Origin(parent=parent)), definition)

    def _notice(self, ended: Run, field: str, target: HttpTarget, last: Attempt | None) -> Notice:
        definition = ended.definition
        schedule = definition.schedule
        return Notice(
            id=self._ids.new_id(),
            follow_up=field,
            target=notice_target(target, field, ended.as_it_stands(), last),
            schedule=schedule.name,
            schedule_row=schedule.row,
            schedule_uid=schedule.uid,
            execution=ended.facts,
            attempt=ended.attempt,
            time_zone=schedule.when.time_zone,
            labels=schedule.labels,
            previous_success_us=definition.previous_success_us,
            backfill=ended.execution.backfill,
        )


def follow_up_entry(ended: Run, field: str, reason: Reason, evidence: Evidence) -> JournalEntry:
    """What is journaled of a follow-up that is left out."""
    entry = ended.entry(JournalKind.EXECUTION_FOLLOWED_UP, _end_us(ended), evidence={"follow_up": field, **evidence})
    return entry._replace(outcome=None, reason=reason)


def _end_us(ended: Run) -> int:
    assert ended.finished_us is not None, "it has ended"
    return ended.finished_us
