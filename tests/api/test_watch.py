"""WatchExecutions on a real server: live, filtered, resumed by cursor, and what becomes of a watcher that does not keep up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from schedd.core.model.batch import Retention
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.admin_service_pb2 import GetStatusRequest
from schedd.v1.execution_pb2 import ExecutionState
from schedd.v1.execution_service_pb2 import CancelExecutionRequest, GetExecutionRequest, WatchExecutionsRequest
from schedd.v1.journal_pb2 import JournalEntry as Event
from schedd.v1.journal_pb2 import JournalKind as Kind
from schedd.v1.reason_pb2 import Outcome
from tests.api.served import Api, Refusal, full_name, refusal_of, refused, serving
from tests.engine.rig import BROKEN, START_US, HandClock

JOB = full_name("job")
FINISHED = Kind.JOURNAL_KIND_EXECUTION_FINISHED


class Watch:
    """One watcher, and what it has been told."""

    def __init__(self, api: Api, **values: Any) -> None:
        self.call: Any = api.executions.WatchExecutions(WatchExecutionsRequest(**values))
        self.resume_after = 0

    async def begun(self) -> Watch:
        """Return once the server watches."""
        self.resume_after = (await self.call.read()).resume_sequence
        return self

    async def events(self) -> AsyncIterator[Event]:
        """The events as they come; their sequences never go back."""
        while (message := await self.call.read()) is not grpc.aio.EOF:
            assert len(message.events) <= 100
            self.resume_after = message.resume_sequence
            for event in message.events:
                yield event

    async def take(self, count: int) -> list[Event]:
        """The next `count` events."""
        found: list[Event] = []
        async with asyncio.timeout(20):
            async for event in self.events():
                found.append(event)
                if len(found) == count:
                    break
        return found

    async def end(self) -> tuple[list[Event], Refusal]:
        """All events until the server ends the stream, and why it did."""
        found: list[Event] = []
        try:
            async with asyncio.timeout(20):
                async for event in self.events():
                    found.append(event)  # noqa: PERF401  # What came before the error counts.
        except grpc.aio.AioRpcError as error:
            return found, refusal_of(error)
        raise AssertionError("the server ended the stream without an error")


async def trigger(api: Api, name: str = JOB) -> str:
    execution = (await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=name))).execution
    await api.rig.settle()
    api.rig.clock.move(1)
    return execution.name


async def test_watch_tells_an_executions_whole_life_as_it_happens(api: Api) -> None:
    api.rig.target.answers = [BROKEN]
    await api.create()
    watch = await Watch(api).begun()
    name = await trigger(api)
    await api.rig.run_until(60)
    events = await watch.take(5)
    assert [event.kind for event in events] == [
        Kind.JOURNAL_KIND_EXECUTION_ARMED,
        Kind.JOURNAL_KIND_EXECUTION_STARTED,
        Kind.JOURNAL_KIND_EXECUTION_RETRYING,
        Kind.JOURNAL_KIND_EXECUTION_STARTED,
        FINISHED,
    ]
    assert {event.execution for event in events} == {name}
    assert (events[-1].state, events[-1].outcome) == (ExecutionState.EXECUTION_STATE_FINISHED, Outcome.OUTCOME_SUCCEEDED)
    assert (events[0].actor, events[-1].actor) == ("unix", "schedd")


async def test_watch_without_a_cursor_begins_with_what_comes(api: Api) -> None:
    await api.create("before")
    watch = await Watch(api).begun()
    await api.create("after")
    assert [event.schedule for event in await watch.take(1)] == [full_name("after")]


async def test_watch_from_zero_has_all_that_is_kept_and_goes_on_live(api: Api) -> None:
    for index in range(150):
        await api.create(f"s{index}")
    watch = Watch(api, after_sequence=0)
    past = await watch.take(151)
    await api.create("live")
    (live,) = await watch.take(1)
    assert [event.sequence for event in [*past, live]] == list(range(1, 153))


@pytest.mark.parametrize(
    ("filter_", "kinds", "seen"),
    [
        ("", [FINISHED], ["a", "b", "a"]),
        ("group = default", [FINISHED], ["a", "b", "a"]),
        ("group = other", [FINISHED], []),
        (f'schedule = "{full_name("a")}"', [FINISHED], ["a", "a"]),
        ('schedule : "schedules/b" AND actor = schedd', [FINISHED], ["b"]),
        ("outcome = FAILED", [], ["b"]),
        ("outcome != FAILED", [FINISHED], ["a", "a"]),
        ("kind = EXECUTION_FINISHED AND cause = MANUAL", [], ["a", "b", "a"]),
        ("", [FINISHED, Kind.JOURNAL_KIND_SCHEDULE_PAUSED], ["a", "b", "a", "b"]),
    ],
)
@pytest.mark.parametrize("live", [True, False], ids=["live", "stored"])
async def test_watch_tells_what_matches_alone(api: Api, filter_: str, kinds: list[Any], seen: list[str], live: bool) -> None:
    await api.create("a")
    schedule = await api.create("b")
    schedule.policies.retry.max_attempts = 1
    await api.schedules.UpdateSchedule(pb.UpdateScheduleRequest(schedule=schedule))
    watch = await Watch(api, filter=filter_, kinds=kinds).begun() if live else Watch(api, filter=filter_, kinds=kinds, after_sequence=0)
    await trigger(api, full_name("a"))
    api.rig.target.answers = [BROKEN]
    await trigger(api, full_name("b"))
    await trigger(api, full_name("a"))
    await api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=full_name("b")))
    end = await api.create("end")
    last = WatchExecutionsRequest(filter=f'schedule = "{end.name}"', after_sequence=0)
    async for message in api.executions.WatchExecutions(last):  # What is told here is told there too, if it matches.
        if message.events:
            break
    found = await watch.take(len(seen)) if seen else []
    assert [event.schedule.rpartition("/")[2] for event in found] == seen


async def test_watcher_that_reconnects_with_its_cursor_misses_nothing_and_sees_nothing_twice(api: Api) -> None:
    await api.create()
    watch = await Watch(api).begun()
    seen: list[int] = []
    for _ in range(4):
        await trigger(api)
        seen += [event.sequence for event in await watch.take(3)]
        watch.call.cancel()
        await trigger(api)  # Nobody watches now.
        watch = Watch(api, after_sequence=watch.resume_after)
        seen += [event.sequence for event in await watch.take(3)]
    assert seen == list(range(seen[0], seen[0] + 4 * 6))


async def test_watcher_that_reconnects_after_a_crash_misses_nothing(tmp_path: Path) -> None:
    clock = HandClock()
    async with serving(tmp_path, clock=clock) as before:
        await before.create()
        watch = await Watch(before).begun()
        await trigger(before)
        seen = [event.sequence for event in await watch.take(3)]
        await trigger(before)
    async with serving(tmp_path, clock=clock) as after:
        await trigger(after)
        newest = (await after.admin.GetStatus(GetStatusRequest())).store.last_sequence
        watch = Watch(after, after_sequence=watch.resume_after)
        seen += [event.sequence for event in await watch.take(newest - seen[-1])]
    assert seen == list(range(seen[0], newest + 1))


async def test_slow_watcher_is_ended_resumably_while_the_engine_goes_on(tmp_path: Path) -> None:
    """Far more is written than the transport buffers and the ring holds; the watcher reads only then, and resumes where it is told."""
    bulky = JournalEntry(time_us=START_US, kind=JournalKind.CLOCK_STEPPED, evidence={"detail": "x" * 10_000})
    async with serving(tmp_path, watch_ring=200) as api:
        await api.create()
        watch = await Watch(api).begun()
        first = watch.resume_after + 1
        for _ in range(40):
            await api.rig.store.append([bulky] * 50)
            await trigger(api)
        assert len(api.rig.target.requests) == 40
        newest = (await api.admin.GetStatus(GetStatusRequest())).store.last_sequence

        told, refusal = await watch.end()
        assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.ABORTED, "WATCHER_TOO_SLOW")
        assert int(refusal.info.metadata["sequence"]) == watch.resume_after == int(refusal.resource.resource_name)

        resumed = Watch(api, after_sequence=int(refusal.info.metadata["sequence"]))
        told += await resumed.take(newest - watch.resume_after)
        assert [event.sequence for event in told] == list(range(first, newest + 1))


async def test_cursor_that_is_not_kept_any_more_is_out_of_range(api: Api) -> None:
    await api.rig.store.append([JournalEntry(time_us=START_US, kind=JournalKind.CLOCK_STEPPED)] * 5)
    while await api.rig.store.prune(Retention(journal=timedelta(0)), now_us=START_US + 1):
        pass
    _, refusal = await Watch(api, after_sequence=2).end()
    assert (refusal.code, refusal.info.reason) == (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_EXPIRED")
    assert (await Watch(api, after_sequence=0).take(1))[0].sequence == 6


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"after_sequence": 99}, "after_sequence"),
        ({"after_sequence": -1}, "after_sequence"),
        ({"filter": "colour = red"}, "filter"),
        ({"filter": "labels.team = pay"}, "filter"),
        ({"kinds": [99]}, "kinds"),
        ({"kinds": [0]}, "kinds"),
        ({"heartbeat_interval": timedelta(milliseconds=10)}, "heartbeat_interval"),
        ({"heartbeat_interval": timedelta(hours=1)}, "heartbeat_interval"),
    ],
)
async def test_watch_that_is_asked_for_wrongly_is_refused(api: Api, values: dict[str, Any], field: str) -> None:
    _, refusal = await Watch(api, **values).end()
    assert (refusal.code, list(refusal.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


async def test_watch_with_a_heartbeat_gets_empty_messages(api: Api) -> None:
    watch = await Watch(api, heartbeat_interval=timedelta(seconds=1)).begun()
    message = await asyncio.wait_for(watch.call.read(), 20)
    assert (len(message.events), message.resume_sequence) == (0, 1)


async def test_watchers_are_counted_until_they_leave(api: Api) -> None:
    watches = [await Watch(api).begun() for _ in range(3)]
    assert (await api.admin.GetStatus(GetStatusRequest())).watcher_count == 3
    for watch in watches:
        watch.call.cancel()
    async with asyncio.timeout(20):
        count = 3
        while count:
            count = (await api.admin.GetStatus(GetStatusRequest())).watcher_count


async def test_cancelled_execution_ends_and_is_told_with_who_did_it(api: Api) -> None:
    api.rig.target.hold = asyncio.Event()
    await api.create()
    watch = await Watch(api, kinds=[FINISHED]).begun()
    name = await trigger(api)
    cancelled = await api.executions.CancelExecution(CancelExecutionRequest(name=name, reason="wrong list"))
    assert (cancelled.state, cancelled.outcome) == (ExecutionState.EXECUTION_STATE_FINISHED, Outcome.OUTCOME_CANCELLED)
    (event,) = await watch.take(1)
    assert (event.execution, event.outcome, event.actor) == (name, Outcome.OUTCOME_CANCELLED, "unix")
    assert dict(event.evidence) == {"detail": "wrong list"}
    (attempt,) = (await api.executions.GetExecution(GetExecutionRequest(name=name))).attempts
    assert attempt.message == "cancelled by unix: wrong list"
    refusal = await refused(api.executions.CancelExecution(CancelExecutionRequest(name=name)))
    assert (refusal.code, refusal.info.reason, refusal.resource.resource_name) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "EXECUTION_FINISHED",
        name,
    )
