"""Lists on a real server: filters, orders, and pages that stay right while rows come and go."""

from __future__ import annotations

from typing import Any

import pytest

from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.admin_service_pb2 import ListJournalRequest
from schedd.v1.execution_pb2 import ExecutionView
from schedd.v1.execution_service_pb2 import GetExecutionRequest, ListExecutionsRequest
from schedd.v1.journal_pb2 import JournalKind
from schedd.v1.reason_pb2 import Outcome
from tests.api.served import Api, full_name, http, refused
from tests.engine.rig import BROKEN, DONE, SECOND


async def listed(api: Api, **values: object) -> tuple[list[str], str]:
    """The own names of one page, and the token of the next."""
    answer = await api.schedules.ListSchedules(pb.ListSchedulesRequest(**values))  # type: ignore[arg-type]
    return [one.name.rpartition("/")[2] for one in answer.schedules], answer.next_page_token


async def delete(api: Api, name: str) -> None:
    await api.schedules.DeleteSchedule(pb.DeleteScheduleRequest(name=full_name(name)))


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ("", ["a", "b", "c"]),
        ("state = PAUSED", ["b"]),
        ("state != PAUSED", ["a", "c"]),
        ('labels.team = "pay" AND state = ENABLED', ["a"]),
        ("labels.team:*", ["a", "b"]),
        ('description : "needle"', ["c"]),
        (f'name = "{full_name("a")}"', ["a"]),
        ('create_time > "2026-01-01T00:00:00Z"', []),
        ('create_time >= "2026-01-01T00:00:00Z"', ["a", "b", "c"]),
        ("time_zone = Europe/Berlin", ["c"]),
        ("creator = unix", ["a", "b", "c"]),
    ],
)
async def test_filter_lets_through_what_matches(api: Api, filter_: str, found: list[str]) -> None:
    await api.create("a", labels={"team": "pay"})
    await api.create("b", labels={"team": "ops"})
    await api.create("c", description="hay needle hay", time_zone="Europe/Berlin")
    await api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=full_name("b")))
    assert (await listed(api, filter=filter_))[0] == found


async def test_list_of_one_group_has_that_group_alone(api: Api) -> None:
    await api.create("a")
    await api.create("groups/ops/schedules/z")
    assert (await listed(api, parent="groups/ops"))[0] == ["z"]
    assert (await listed(api, parent="groups/-"))[0] == ["a", "z"]


@pytest.mark.parametrize("order", ["name", "create_time"])
async def test_pages_stay_right_while_schedules_are_created_and_deleted_between_them(api: Api, order: str) -> None:
    """What stands from the first page to the last comes exactly once, also when its neighbours, and the token's own row, go."""
    for name in ("b", "d", "f", "h", "j"):
        await api.create(name)
        api.rig.clock.move(1)
    first, token = await listed(api, page_size=2, order_by=order)
    await delete(api, "b")
    await delete(api, "d")
    await api.create("a")
    await api.create("k")
    second, token = await listed(api, page_size=2, order_by=order, page_token=token)
    await delete(api, "h")
    rest, token = await listed(api, page_size=3, order_by=order, page_token=token)
    assert (first, second, token) == (["b", "d"], ["f", "h"], "")
    assert rest == {"name": ["j", "k"], "create_time": ["j", "a", "k"]}[order]


async def test_page_token_of_another_search_is_refused(api: Api) -> None:
    for name in "abc":
        await api.create(name)
    _, token = await listed(api, page_size=1)
    refusal = await refused(api.schedules.ListSchedules(pb.ListSchedulesRequest(page_token=token, filter="state = ENABLED")))
    assert refusal.fields == {"page_token": "INVALID_PAGE_TOKEN"}


async def test_deleted_schedules_come_only_when_asked_for(api: Api) -> None:
    await api.create("a")
    await delete(api, "a")
    assert (await listed(api))[0] == []
    assert (await listed(api, show_deleted=True))[0] == ["a"]


async def test_list_shows_the_next_and_the_last_run(api: Api) -> None:
    await api.create("a", "rate(1 minute)")
    await api.rig.run_until(70)
    (schedule,) = (await api.schedules.ListSchedules(pb.ListSchedulesRequest())).schedules
    assert schedule.last_run.outcome == Outcome.OUTCOME_SUCCEEDED
    assert schedule.next_time.seconds - schedule.last_run.nominal_time.seconds == 60


async def test_executions_are_listed_newest_first_by_filter_and_page(api: Api) -> None:
    api.rig.target.answers = [BROKEN, BROKEN, BROKEN, BROKEN]
    await api.create("a", "rate(1 minute)")
    await api.create("b", "rate(2 minutes)")
    await api.rig.run_until(250)
    names: list[str] = []
    token = ""
    while True:
        answer = await api.executions.ListExecutions(ListExecutionsRequest(page_size=2, page_token=token))
        names += [one.name for one in answer.executions]
        token = answer.next_page_token
        if not token:
            break
    assert len(names) == len(set(names)) == 4 + 2
    of_one = await api.executions.ListExecutions(ListExecutionsRequest(parent=full_name("b")))
    assert {one.schedule for one in of_one.executions} == {full_name("b")}
    nominal = [one.nominal_time.seconds for one in of_one.executions]
    assert nominal == sorted(nominal, reverse=True)
    failed = await api.executions.ListExecutions(ListExecutionsRequest(filter="outcome = FAILED"))
    assert all(one.outcome == Outcome.OUTCOME_FAILED for one in failed.executions)


async def test_execution_is_read_with_its_attempts_unless_the_view_is_basic(api: Api) -> None:
    api.rig.target.answers = [BROKEN]
    await api.create("a")
    made = (await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=full_name("a")))).execution
    await api.rig.run_until(60)
    whole = await api.executions.GetExecution(GetExecutionRequest(name=made.name))
    basic = await api.executions.GetExecution(GetExecutionRequest(name=made.name, view=ExecutionView.EXECUTION_VIEW_BASIC))
    assert ([one.code for one in whole.attempts], len(basic.attempts)) == ([500, 200], 0)
    assert whole.delivery_key == made.delivery_key
    anywhere = await api.executions.GetExecution(GetExecutionRequest(name=made.name.replace("default", "-").replace("/a/", "/-/")))
    assert anywhere == whole


@pytest.mark.parametrize("order", ["sequence", "sequence desc"])
async def test_journal_is_listed_in_pages_without_a_gap(api: Api, order: str) -> None:
    for name in "abcdefg":
        await api.create(name)
    sequences: list[int] = []
    token = ""
    while True:
        answer = await api.admin.ListJournal(ListJournalRequest(page_size=3, page_token=token, order_by=order))
        sequences += [entry.sequence for entry in answer.entries]
        token = answer.next_page_token
        if not token:
            break
    assert sequences == sorted(range(1, 9), reverse="desc" in order)


async def test_journal_is_listed_by_kind_and_filter(api: Api) -> None:
    await api.create("a")
    await api.create("b")
    await api.schedules.PauseSchedule(pb.PauseScheduleRequest(name=full_name("b"), reason="why"))
    paused = await api.admin.ListJournal(ListJournalRequest(kinds=[JournalKind.JOURNAL_KIND_SCHEDULE_PAUSED]))
    assert [(entry.schedule, entry.actor, entry.evidence["detail"]) for entry in paused.entries] == [(full_name("b"), "unix", "why")]
    of_a = await api.admin.ListJournal(ListJournalRequest(filter=f'schedule = "{full_name("a")}"'))
    assert [entry.kind for entry in of_a.entries] == [JournalKind.JOURNAL_KIND_SCHEDULE_CREATED]
    several = [JournalKind.JOURNAL_KIND_SCHEDULE_PAUSED, JournalKind.JOURNAL_KIND_SCHEDULE_CREATED]
    assert len((await api.admin.ListJournal(ListJournalRequest(kinds=several))).entries) == 3


async def test_page_of_executions_with_their_attempts_has_a_hundred_at_most(api: Api) -> None:
    requests = [pb.CreateScheduleRequest(schedule=http(f"s{index}")) for index in range(101)]
    await api.schedules.BatchCreateSchedules(pb.BatchCreateSchedulesRequest(requests=requests))
    names = [one.schedule.name for one in requests]
    await api.schedules.BatchOperateSchedules(pb.BatchOperateSchedulesRequest(operation=pb.SCHEDULE_OPERATION_TRIGGER, names=names))
    asked = ListExecutionsRequest(page_size=1000, view=ExecutionView.EXECUTION_VIEW_FULL)
    first = await api.executions.ListExecutions(asked)
    asked.page_token = first.next_page_token
    rest = await api.executions.ListExecutions(asked)
    assert (len(first.executions), len(rest.executions), rest.next_page_token) == (100, 1, "")


@pytest.mark.parametrize("order", ["nominal_time desc", "nominal_time", "due_time", "execution desc"])
async def test_page_of_executions_with_their_attempts_ends_before_its_outputs_are_more_than_clients_take(api: Api, order: str) -> None:
    api.rig.target.answers = [DONE._replace(output=bytes(2**20), error_output=bytes(size)) for size in (0, 0, 1, 5 * 2**19, 0, 0)]
    await api.create("job")
    names = []
    for _ in range(6):
        triggered = await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=full_name("job")))
        names.append(triggered.execution.name)
        await api.rig.settle()
        api.rig.clock.move(SECOND)
    asked = ListExecutionsRequest(view=ExecutionView.EXECUTION_VIEW_FULL, order_by=order)
    pages = [await api.executions.ListExecutions(asked)]
    while pages[-1].next_page_token:
        asked.page_token = pages[-1].next_page_token
        pages.append(await api.executions.ListExecutions(asked))
    found = [execution.name for page in pages for execution in page.executions]
    assert (found[::-1] if order.endswith("desc") else found) == names
    assert sorted(len(page.executions) for page in pages) == [1, 1, 2, 2]


async def test_execution_view_that_is_none_is_refused_by_its_name(api: Api) -> None:
    await api.create("job")
    triggered = await api.schedules.TriggerSchedule(pb.TriggerScheduleRequest(name=full_name("job")))
    wrong: Any = 7
    for call in (
        api.executions.GetExecution(GetExecutionRequest(name=triggered.execution.name, view=wrong)),
        api.executions.ListExecutions(ListExecutionsRequest(view=wrong)),
    ):
        assert (await refused(call)).fields == {"view": "INVALID_ENUM"}
