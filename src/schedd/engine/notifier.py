"""The notifier: calls the targets that are to be told of an execution's end, each once.

A notice is durable from the end that it tells of until what its call came to is committed: one that the daemon's own end cut off is made
again at the next start, with the same delivery key. What the target answers changes nothing: there is no second attempt.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog

from schedd.core.hosts import host_of
from schedd.core.model.execution import AttemptResult
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.notice import Notice
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import HttpTarget
from schedd.core.ports import Clock, Store, Target
from schedd.engine.recorder import Recorder, result_evidence

WAITING_MOST = 10_000
"""How many notices may wait; further ones are left out, and the journal says so."""
CALLS_MOST = 32
"""How many calls are made at once, and how many of them to one host: one that hangs must not keep the others from being told."""
CALLS_MOST_TO_HOST = 4

log = structlog.get_logger(__name__)


class Notifier:
    """Keeps the notices that wait, by host, and calls as many targets as its limits allow."""

    def __init__(self, *, store: Store, clock: Clock, recorder: Recorder, targets: Mapping[type, Target], timeout: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._recorder = recorder
        self._targets = targets
        self._timeout = timeout
        self._alarm = clock.alarm()
        self._waiting: dict[str, deque[Notice]] = {}
        self._count = 0
        self._calls: Counter[str] = Counter()

    @property
    def most(self) -> int:
        """How many notices may wait."""
        return WAITING_MOST

    def has_room(self, coming: int) -> bool:
        """Whether another notice may wait besides those that are coming."""
        return self._count + coming < self.most

    async def load(self) -> None:
        """Take in what an earlier daemon left."""
        self.add(await self._store.notices())

    def add(self, notices: Sequence[Notice]) -> None:
        """Take over durable notices."""
        for notice in notices:
            self._waiting.setdefault(host_of(notice.target.url), deque()).append(notice)
        self._count += len(notices)
        if notices:
            self._alarm.ring()

    async def run(self) -> None:
        """Notify until cancelled; calls under way are then cut off, and made again after the next start."""
        try:
            async with asyncio.TaskGroup() as calls:
                while True:
                    self.run_once(calls)
                    await self._alarm.wait()
        finally:
            self._alarm.close()

    def run_once(self, calls: asyncio.TaskGroup) -> None:
        """Call the targets whose turn it is: a host that was called goes to the end of the line."""
        while self._calls.total() < CALLS_MOST and (host := self._next_host()) is not None:
            waiting = self._waiting.pop(host)
            self._calls[host] += 1
            self._count -= 1
            calls.create_task(self._call(host, waiting.popleft()))
            if waiting:
                self._waiting[host] = waiting

    def _next_host(self) -> str | None:
        return next((host for host in self._waiting if self._calls[host] < CALLS_MOST_TO_HOST), None)

    async def _call(self, host: str, notice: Notice) -> None:
        try:
            result = await self._targets[HttpTarget].deliver(notice.request(self._timeout))
        except Exception as error:  # A target returns values; what it raises was not foreseen, and must not stop the others.
            log.exception("notice_failed", schedule=str(notice.schedule), follow_up=notice.follow_up)
            result = AttemptResult(Outcome.FAILED, Reason.TARGET_ERROR, message=f"{type(error).__name__}: {error}")
        self._calls[host] -= 1
        if not self._calls[host]:
            del self._calls[host]
        self._alarm.ring()
        if result.reason is Reason.INTERRUPTED:
            return
        self._recorder.note(_entry(notice, host, result, self._clock.now_us()))
        self._recorder.notified(notice)


def _entry(notice: Notice, host: str, result: AttemptResult, now_us: int) -> JournalEntry:
    return JournalEntry(
        time_us=now_us,
        kind=JournalKind.EXECUTION_FOLLOWED_UP,
        schedule=notice.schedule,
        schedule_row=notice.schedule_row,
        schedule_uid=notice.schedule_uid,
        execution=notice.execution,
        attempt=notice.attempt,
        reason=result.reason,
        evidence={"follow_up": notice.follow_up, "host": host, **result_evidence(result)},
    )
