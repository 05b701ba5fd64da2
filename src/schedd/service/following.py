"""What follows what: a schedule names only schedules that are there, and no way of follow-ups leads back to where it began."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from schedd.core.errors import FieldViolation, NotFoundError, StoredDataError
from schedd.core.following import circle, triggered
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.ports import Store


class FollowUpCheck:
    """Checks changes against what is stored. Those that name schedules are made one at a time, so that no two make a circle together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = asyncio.Lock()

    def held(self, changed: Sequence[Schedule]) -> AbstractAsyncContextManager[None]:
        """Keep other such changes away meanwhile; nothing is held for schedules that no schedule follows."""
        return self._turn if any(triggered(schedule.policies) for schedule in changed) else nullcontext()

    async def wrong(self, changed: Sequence[Schedule], *, known: Collection[str] = ()) -> list[tuple[FieldViolation, ...]]:
        """What is wrong with what follows each of these schedules, as they are to stand all together, by fields of the proto's Schedule.

        `known` are schedules that were named before, and need not be there any more.
        """
        following = {str(schedule.name): list(triggered(schedule.policies).values()) for schedule in changed}
        if not any(following.values()):
            return [()] * len(changed)
        missing = await self._complete(following)
        return [tuple(_faults(schedule, following, missing - set(known))) for schedule in changed]

    async def _complete(self, following: dict[str, list[str]]) -> set[str]:
        """Add all that is stored of the ways that lead on from what is known; the names of schedules that are not there."""
        missing: set[str] = set()
        to_visit = deque(name for names in following.values() for name in names)
        while to_visit:
            name = to_visit.popleft()
            if name in following or name in missing:
                continue
            found = await self._following(name)
            if found is None:
                missing.add(name)
            else:
                following[name] = found
                to_visit.extend(found)
        return missing

    async def _following(self, name: str) -> list[str] | None:
        _, group, _, schedule_id = name.split("/")
        try:
            schedule = await self._store.schedule(ScheduleName(group=group, schedule=schedule_id))
        except NotFoundError:
            return None
        except StoredDataError:
            return []
        return None if schedule.state is ScheduleState.DELETED else list(triggered(schedule.policies).values())


def _faults(schedule: Schedule, following: Mapping[str, Sequence[str]], missing: Collection[str]) -> Iterator[FieldViolation]:
    name = str(schedule.name)
    for field, target in triggered(schedule.policies).items():
        if target in missing:
            description = f"there is no schedule {target}; create it first, or in the same batch"
            yield FieldViolation(field=f"policies.{field}", reason="NOT_FOUND", description=description)
        elif way := circle(name, {**following, name: [target]}):
            description = f"follow-ups would go round in a circle: {' -> '.join(way)}"
            yield FieldViolation(field=f"policies.{field}", reason="FOLLOW_UP_CIRCLE", description=description)
