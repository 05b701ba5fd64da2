"""Dead letters on a real server: listed, redelivered one by one and in batches, purged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from schedd.core.model.journal import JournalKind
from schedd.v1 import execution_service_pb2 as pb
from schedd.v1.execution_pb2 import DeadLetter, ExecutionState
from schedd.v1.reason_pb2 import Outcome
from schedd.v1.schedule_service_pb2 import CreateScheduleRequest, DeleteScheduleRequest, TriggerScheduleRequest
from tests.api.served import Api, full_name, http, refused, serving
from tests.engine.rig import BROKEN, HandClock, HandTarget

NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]
NOBODY = full_name("a") + "/executions/0000000000001"


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Api]:
    """Three dead letters, of the schedules a, b and groups/ops/schedules/c, a second apart; what is sent afterwards succeeds."""
    clock = HandClock()
    async with serving(tmp_path, clock=clock, target=HandTarget(clock, answers=[BROKEN] * 3)) as api:
        for name in ("a", "b", "groups/ops/schedules/c"):
            schedule = http(name, "@yearly")
            schedule.policies.retry.max_attempts = 1
            await api.schedules.CreateSchedule(CreateScheduleRequest(schedule=schedule))
            await api.schedules.TriggerSchedule(TriggerScheduleRequest(name=full_name(name)))
            await api.rig.settle()
            clock.move(1_000_000)
        yield api


async def letters(api: Api, **values: Any) -> list[DeadLetter]:
    return list((await api.executions.ListDeadLetters(pb.ListDeadLettersRequest(**values))).dead_letters)


async def owners(api: Api, **values: Any) -> str:
    """The last letters of the schedules' names, in the order of the list."""
    return "".join(letter.execution.schedule[-1] for letter in await letters(api, **values))


async def name_of(api: Api, owner: str) -> str:
    return next(letter.execution.name for letter in await letters(api) if letter.execution.schedule.endswith(owner))


async def redeliver(api: Api, **values: Any) -> pb.RedeliverDeadLettersResponse:
    return await api.executions.RedeliverDeadLetters(pb.RedeliverDeadLettersRequest(**values))


async def test_list_tells_newest_first_what_failed_and_until_when_it_is_kept(three: Api) -> None:
    assert await owners(three) == "cba"
    letter = (await letters(three))[0]
    assert (letter.execution.outcome, letter.last_attempt.code, letter.last_attempt.number) == (Outcome.OUTCOME_FAILED, 500, 1)
    assert letter.expire_time.seconds - letter.create_time.seconds == 90 * 86_400
    assert (letter.request.http.method, letter.request.http.body) == ("POST", b"\x00sent")
    assert not letter.HasField("redeliver_time")


@pytest.mark.parametrize(
    ("parent", "filter_", "found"),
    [
        ("groups/ops", "", "c"),
        ("groups/-/schedules/-", "", "cba"),
        (full_name("a"), "", "a"),
        ("", "group = default", "ba"),
        ("", "outcome = SUCCEEDED", ""),
    ],
)
async def test_list_keeps_to_parent_and_filter(three: Api, parent: str, filter_: str, found: str) -> None:
    assert await owners(three, parent=parent, filter=filter_) == found


async def test_list_comes_in_pages(three: Api) -> None:
    first = await three.executions.ListDeadLetters(pb.ListDeadLettersRequest(page_size=2))
    assert len(first.dead_letters) == 2
    assert await owners(three, page_size=2, page_token=first.next_page_token) == "a"


async def test_redelivered_execution_keeps_its_key_and_is_no_dead_letter_once_it_succeeds(three: Api) -> None:
    name = await name_of(three, "a")
    request = pb.RedeliverExecutionRequest(name=name.replace("groups/default", "groups/-"), request_id="once")
    again = await three.executions.RedeliverExecution(request)
    assert (again.name, again.state) == (name, ExecutionState.EXECUTION_STATE_WAITING_RETRY)
    await three.rig.settle()
    assert await owners(three) == "cb"
    repeated = await three.executions.RedeliverExecution(request)
    await three.rig.settle()
    assert (repeated.outcome, repeated.attempt, len(three.rig.target.requests)) == (Outcome.OUTCOME_SUCCEEDED, 2, 4)
    assert repeated.delivery_key == again.delivery_key


async def test_redelivery_refuses_what_is_not_there_not_finished_or_deleted(three: Api) -> None:
    async def refusal(name: str) -> tuple[grpc.StatusCode, str]:
        found = await refused(three.executions.RedeliverExecution(pb.RedeliverExecutionRequest(name=name)))
        return found.code, found.info.reason

    name = await name_of(three, "a")
    assert (await refusal(NOBODY))[0] is grpc.StatusCode.NOT_FOUND
    assert (await refusal(name.replace("schedules/a", "schedules/b")))[0] is grpc.StatusCode.NOT_FOUND
    three.rig.target.hold = asyncio.Event()
    await three.executions.RedeliverExecution(pb.RedeliverExecutionRequest(name=name))
    assert await refusal(name) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_FINISHED")
    await three.schedules.DeleteSchedule(DeleteScheduleRequest(name=full_name("b")))
    assert await refusal(await name_of(three, "b")) == (grpc.StatusCode.FAILED_PRECONDITION, "DELETED")
    three.rig.target.hold.set()


async def test_batch_gives_each_its_own_result_in_order(three: Api) -> None:
    names = [await name_of(three, "b"), NOBODY, await name_of(three, "a")]
    answer = await redeliver(three, names=names)
    assert [(result.name, result.status.code) for result in answer.results] == [(names[0], 0), (NOBODY, NOT_FOUND), (names[2], 0)]
    assert not answer.more
    await three.rig.settle()
    assert await owners(three) == "c"


async def test_batch_by_filter_takes_the_oldest_first_and_repeats_its_choice(three: Api) -> None:
    values: dict[str, Any] = {"filter": "*", "parent": "groups/default", "request_id": "once"}
    answer = await redeliver(three, **values)
    await three.rig.settle()
    assert [result.name for result in answer.results] == [result.name for result in (await redeliver(three, **values)).results]
    assert [result.name.split("/")[3] for result in answer.results] == ["a", "b"]
    await three.rig.settle()
    assert (await owners(three), len(three.rig.target.requests)) == ("c", 5)


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, {"names": "REQUIRED"}),
        ({"names": [NOBODY], "filter": "*"}, {"names": "REQUIRED"}),
        ({"names": ["x"]}, {"names[0]": "INVALID_NAME"}),
        ({"names": [NOBODY], "parent": "groups/ops"}, {"names[0]": "MISMATCH"}),
        ({"names": [NOBODY] * 1001}, {"names": "TOO_MANY"}),
        ({"filter": "nothing = 1"}, {"filter": "INVALID_FILTER"}),
    ],
)
async def test_batch_that_chooses_wrongly_names_the_field(three: Api, values: dict[str, Any], fields: dict[str, str]) -> None:
    assert (await refused(redeliver(three, **values))).fields == fields
    assert (await refused(three.executions.PurgeDeadLetters(pb.PurgeDeadLettersRequest(**values)))).fields == fields


async def test_purge_counts_removes_journals_and_leaves_the_executions(three: Api) -> None:
    async def purge(**values: Any) -> int:
        return (await three.executions.PurgeDeadLetters(pb.PurgeDeadLettersRequest(**values))).purge_count

    name = await name_of(three, "a")
    assert (await purge(filter="*", validate_only=True), await owners(three)) == (3, "cba")
    assert (await purge(names=[name, name, NOBODY]), await owners(three)) == (1, "cb")
    assert await purge(names=[name]) == 0
    assert (await purge(filter="group = ops"), await owners(three)) == (1, "b")
    assert [(entry.actor, str(entry.schedule)) for entry in await three.rig.journal(JournalKind.DEAD_LETTERS_PURGED)] == [
        ("unix", full_name("a")),
        ("unix", "groups/ops/schedules/c"),
    ]
    assert len((await three.executions.ListExecutions(pb.ListExecutionsRequest())).executions) == 3
