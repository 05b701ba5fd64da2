"""The clients against a real daemon."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schedd.client import (
    AlreadyExistsError,
    Client,
    ConflictError,
    InvalidError,
    NotFoundError,
    PreconditionError,
    SyncClient,
)
from schedd.v1.execution_pb2 import ExecutionState
from schedd.v1.journal_pb2 import JournalKind
from schedd.v1.reason_pb2 import Outcome
from schedd.v1.schedule_pb2 import Schedule, ScheduleState
from tests.daemons import RealDaemon, real_daemon

HOURLY = "@hourly"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDaemon]:
    with real_daemon(tmp_path_factory.mktemp("d")) as made:
        yield made


def _schedule(name: str, *argv: str, expression: str = HOURLY) -> Schedule:
    schedule = Schedule(name=f"groups/default/schedules/{name}")
    schedule.triggers.add(expression=expression)
    schedule.target.process.argv.extend(argv or ("/bin/true",))
    return schedule


def test_schedule_is_created_changed_paused_and_deleted(daemon: RealDaemon) -> None:
    with SyncClient(daemon.socket) as client:
        made = client.create_schedule(_schedule("life"))
        changed = client.update_schedule(Schedule(name=made.name, description="new", etag=made.etag), update_mask=["description"])
        paused = client.pause_schedule(made.name, "why", until=datetime(2100, 1, 1, tzinfo=UTC))
        resumed = client.resume_schedule(made.name)
        client.delete_schedule(made.name)

        assert made.generation == 1
        assert changed.description == "new"
        assert (paused.state, paused.pause.reason) == (ScheduleState.SCHEDULE_STATE_PAUSED, "why")
        assert resumed.state == ScheduleState.SCHEDULE_STATE_ENABLED
        assert client.get_schedule(made.name).state == ScheduleState.SCHEDULE_STATE_DELETED


def test_same_request_id_creates_once(daemon: RealDaemon) -> None:
    with SyncClient(daemon.socket) as client:
        first = client.create_schedule(_schedule("once"), request_id="one")
        again = client.create_schedule(_schedule("once"), request_id="one")

        assert first.uid == again.uid
        with pytest.raises(AlreadyExistsError):
            client.create_schedule(_schedule("once"))


def test_wrong_request_names_every_field(daemon: RealDaemon) -> None:
    wrong = _schedule("wrong", expression="61 * * * *")
    wrong.target.http.url = "http://"
    wrong.policies.retry.max_attempts = 1000
    with SyncClient(daemon.socket) as client, pytest.raises(InvalidError) as caught:
        client.create_schedule(wrong)

    faults = sorted(item.field.removeprefix("schedule.") for item in caught.value.violations)
    assert [field.split(".")[0] for field in faults] == ["policies", "target", "triggers[0]"]


def test_old_etag_is_a_conflict(daemon: RealDaemon) -> None:
    with SyncClient(daemon.socket) as client:
        made = client.create_schedule(_schedule("etag"))
        client.pause_schedule(made.name)
        with pytest.raises(ConflictError) as caught:
            client.delete_schedule(made.name, etag=made.etag)

    assert caught.value.reason == "ETAG_MISMATCH"


def test_absent_schedule_is_not_found(daemon: RealDaemon) -> None:
    with SyncClient(daemon.socket) as client, pytest.raises(NotFoundError) as caught:
        client.get_schedule("groups/default/schedules/nobody")

    assert caught.value.fault.resource_name == "groups/default/schedules/nobody"


def test_listing_crosses_pages(daemon: RealDaemon) -> None:
    names = [f"groups/pages/schedules/s{index:02}" for index in range(25)]
    schedules = [_schedule("x") for _ in names]
    for schedule, name in zip(schedules, names, strict=True):
        schedule.name = name
    with SyncClient(daemon.socket) as client:
        client.create_schedules(schedules)
        found = [item.name for item in client.list_schedules("groups/pages", page_size=7)]

    assert found == names


def test_waited_execution_has_its_output(daemon: RealDaemon) -> None:
    with SyncClient(daemon.socket) as client:
        made = client.create_schedule(_schedule("speaks", "/bin/echo", "hello"))
        triggered = client.trigger_schedule(made.name).execution
        ended = client.wait_execution(triggered.name)

    assert ended.outcome == Outcome.OUTCOME_SUCCEEDED
    assert ended.attempts[0].output == b"hello\n"


async def test_asyncio_client_waits_too(daemon: RealDaemon) -> None:
    async with Client(daemon.socket) as client:
        made = await client.create_schedule(_schedule("sleeps", "/bin/sleep", "0.2"))
        triggered = (await client.trigger_schedule(made.name)).execution
        ended = await asyncio.wait_for(client.wait_execution(triggered.name), 10)

    assert ended.state == ExecutionState.EXECUTION_STATE_FINISHED


def test_cancelled_execution_ends_and_cannot_be_cancelled_again(daemon: RealDaemon) -> None:
    with SyncClient(daemon.socket) as client:
        made = client.create_schedule(_schedule("long", "/bin/sleep", "60"))
        running = client.trigger_schedule(made.name).execution
        client.cancel_execution(running.name, "enough")
        ended = client.wait_execution(running.name)

        assert ended.outcome == Outcome.OUTCOME_CANCELLED
        with pytest.raises(PreconditionError):
            client.cancel_execution(running.name)


def test_preview_and_health_and_journal_answer(daemon: RealDaemon) -> None:
    with SyncClient(daemon.socket) as client:
        made = client.create_schedule(_schedule("seen"))
        preview = client.preview_schedule(made.name, count=4)
        newest = next(client.list_journal(kinds=[JournalKind.JOURNAL_KIND_SCHEDULE_CREATED]))

        assert len(preview.occurrences) == 4
        assert len(preview.descriptions) == len(preview.dialects) == len(made.triggers)
        assert client.check_health().status == 1
        assert newest.schedule == made.name


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
async def test_watch_goes_on_over_a_restart_of_the_daemon(tmp_path: Path, how: signal.Signals) -> None:
    """What finishes before, while and after the daemon is away comes once each, in order."""
    finished: list[str] = []
    with real_daemon(tmp_path) as daemon:
        async with Client(daemon.socket, timeout=timedelta(seconds=20)) as client:
            made = await client.create_schedule(_schedule("w"))
            triggered: list[str] = []
            watch = client.watch(after=0, kinds=[JournalKind.JOURNAL_KIND_EXECUTION_FINISHED])
            async with aclosing(watch) as events:
                for round_ in range(2):
                    for _ in range(3):
                        execution = (await client.trigger_schedule(made.name)).execution
                        triggered.append(execution.name)
                        finished.append((await asyncio.wait_for(anext(events), 20)).execution)
                    if round_ == 0:
                        await asyncio.to_thread(daemon.end, how)
                        await asyncio.to_thread(daemon.start)

    assert finished == triggered
