"""Conditions: what has to hold for an occurrence to run."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schedd.core.model.execution import AttemptResult, DeliveryRequest, Execution, ExecutionState
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import CommandHolds, DayFits, Overlap, Policies, Retry, TriggerSchedule
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import HttpTarget, ProcessTarget
from schedd.core.model.when import Cron, When
from schedd.engine import conditions
from schedd.service.asking import Asking
from schedd.service.backfills import BackfillDraft
from tests.engine.rig import BROKEN, DONE, SECOND, START_US, HandClock, HandTarget, Rig, running

ANN = Asking(actor="ann")
TEST = CommandHolds(command=ProcessTarget(argv=("/bin/test",)), timeout=timedelta(seconds=3))
EXIT_1 = AttemptResult(Outcome.FAILED, Reason.EXIT_CODE, 1, "exited with code 1", output=b"host is busy\nload 9\n")
SPAWN = AttemptResult(Outcome.FAILED, Reason.SPAWN, message="there is no /bin/test")
UNHEARD = AttemptResult(Outcome.FAILED, Reason.TIMEOUT, -9, "still running after 3 s, and ended", error_output=b"x" * 999)
CUT_OFF = AttemptResult(Outcome.FAILED, Reason.INTERRUPTED)
DAY = 86_400


async def executions(rig: Rig) -> list[Execution]:
    return list((await rig.store.find_executions((), Order(field="execution"), PageRequest(size=1000))).items)


async def ends(rig: Rig) -> list[tuple[Outcome | None, Reason]]:
    return [(run.outcome, run.reason) for run in await executions(rig)]


async def evidence(rig: Rig) -> list[Any]:
    return [dict(entry.evidence) for entry in await rig.journal(JournalKind.EXECUTION_FINISHED) if entry.reason is Reason.CONDITION]


async def minutely(rig: Rig, **others: Any) -> Schedule:
    return await rig.create("rate(1 minute)", policies=Policies(condition=TEST, retry=Retry(max_attempts=1), **others))


@pytest.mark.parametrize(
    ("answer", "expected", "told"),
    [
        (DONE, (Outcome.SUCCEEDED, Reason.COMPLETED), []),
        (
            EXIT_1,
            (Outcome.SKIPPED, Reason.CONDITION),
            [{"condition": "command", "code": 1, "message": "exited with code 1", "output": "host is busy"}],
        ),
        (SPAWN, (Outcome.SKIPPED, Reason.CONDITION), [{"condition": "command", "message": "there is no /bin/test"}]),
        (
            UNHEARD,
            (Outcome.SKIPPED, Reason.CONDITION),
            [{"condition": "command", "code": -9, "message": "still running after 3 s, and ended", "output": "x" * 200}],
        ),
        (ValueError("x"), (Outcome.SKIPPED, Reason.CONDITION), [{"condition": "command", "message": "ValueError: x"}]),
    ],
)
async def test_command_lets_an_occurrence_through_or_has_it_skipped_with_the_evidence(
    tmp_path: Path, answer: Any, expected: tuple[Outcome, Reason], told: list[Any]
) -> None:
    async with running(tmp_path / "db") as rig:
        rig.commands.answers = [answer]
        await minutely(rig)
        await rig.run_until(70)
        assert await ends(rig) == [expected]
        assert await evidence(rig) == told
        assert len(rig.target.requests) == (1 if answer is DONE else 0)
        _, request = rig.commands.requests[0]
        assert (request.target, request.timeout, request.attempt) == (TEST.command, TEST.timeout, 0)


async def test_command_is_asked_once_an_occurrence_and_not_for_retries(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.target.answers = [BROKEN]
        await rig.create("rate(1 minute)", policies=Policies(condition=TEST, retry=Retry(max_attempts=2, jitter=0)))
        await rig.run_until(70)
        assert (len(rig.target.requests), len(rig.commands.requests)) == (2, 1)


async def test_command_that_takes_its_time_holds_up_no_other_schedule(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.commands.hold = asyncio.Event()
        await minutely(rig)
        await rig.create("rate(1 minute)", name="other")
        await rig.run_until(65)
        assert [request.schedule.schedule for _, request in rig.target.requests] == ["other"]
        assert [run.state for run in await executions(rig)] == [ExecutionState.ARMED, ExecutionState.FINISHED]
        rig.commands.hold.set()
        await rig.settle()
        assert [request.schedule.schedule for _, request in rig.target.requests] == ["other", "job"]


async def test_manual_runs_and_those_that_follow_are_not_asked_for(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.commands.answers = [EXIT_1] * 9
        job = await rig.create("@yearly", policies=Policies(condition=TEST))
        await rig.create("@yearly", name="first", policies=Policies(on_success=(TriggerSchedule(schedule=str(job.name)),)))
        await rig.schedules.trigger(job.name, ANN)
        await rig.settle()
        await rig.schedules.trigger(ScheduleName(group="default", schedule="first"), ANN)
        await rig.settle()
        assert [request.schedule.schedule for _, request in rig.target.requests] == ["job", "first", "job"]
        assert rig.commands.requests == []


async def test_condition_is_asked_before_overlap_is_decided(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.commands.answers = [DONE, EXIT_1, DONE]
        rig.target.hold = asyncio.Event()
        await minutely(rig, overlap=Overlap.SKIP)
        await rig.run_until(190)
        assert await ends(rig) == [(None, Reason.NONE), (Outcome.SKIPPED, Reason.CONDITION), (Outcome.SKIPPED, Reason.OVERLAP)]


async def test_occurrence_asked_about_at_a_crash_is_asked_about_anew(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        rig.commands.hold = asyncio.Event()
        await minutely(rig)
        await rig.run_until(65)
        assert len(rig.commands.requests) == 1
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(66)
        assert (len(rig.commands.requests), rig.target.nominal_s()) == (1, [60])


async def test_occurrence_whose_command_the_daemons_end_cut_off_is_not_skipped(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.commands.answers = [CUT_OFF]
        await minutely(rig)
        await rig.run_until(65)
        assert [run.state for run in await executions(rig)] == [ExecutionState.ARMED]


async def test_cancelled_occurrence_ends_its_command(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        ended: list[str] = []

        async def hang(request: Any) -> AttemptResult:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append(request.schedule.schedule)
                raise
            return DONE

        rig.commands.deliver = hang  # type: ignore[method-assign]
        await minutely(rig)
        await rig.run_until(65)
        await rig.engine.cancel((await executions(rig))[0].id, actor="ann")
        await rig.settle()
        assert ended == ["job"]
        assert (await ends(rig))[0] == (Outcome.CANCELLED, Reason.CANCELLED)
        await rig.run_until(125)
        assert len(rig.engine.runs) == 1


async def test_schedule_changed_while_its_command_runs_has_the_occurrence_decided_anew(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        rig.commands.hold = asyncio.Event()
        job = await minutely(rig)
        await rig.run_until(65)
        await rig.pauses.pause(job.name, ANN)
        rig.commands.hold.set()
        await rig.run_until(70)
        assert rig.target.requests == []
        await rig.pauses.resume(job.name, ANN)
        entries = await rig.journal(JournalKind.OCCURRENCES_SKIPPED)
        assert [(entry.reason, entry.evidence["count"]) for entry in entries] == [(Reason.PAUSED, 1)]


async def test_commands_beyond_the_limit_wait_for_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "COMMANDS_MOST", 2)
    async with running(tmp_path / "db") as rig:
        rig.commands.hold = asyncio.Event()
        for name in ("a", "b", "c", "d"):
            await rig.create("rate(1 minute)", name=name, policies=Policies(condition=TEST))
        await rig.run_until(65)
        assert len(rig.commands.requests) == 2
        assert rig.engine.dispatcher.waiting == 4
        await rig.engine.cancel((await executions(rig))[0].id, actor="ann")
        await rig.settle()
        assert [request.schedule.schedule for _, request in rig.commands.requests] == ["a", "b", "c"]
        await rig.engine.cancel((await executions(rig))[3].id, actor="ann")
        rig.commands.hold.set()
        await rig.settle()
        assert sorted(request.schedule.schedule for _, request in rig.target.requests) == ["b", "c"]
        assert (rig.engine.dispatcher.waiting, len(rig.commands.requests)) == (0, 3)


async def test_occurrence_runs_on_the_days_of_the_rule_alone(tmp_path: Path) -> None:
    """The days are those of the schedule's zone: 2026-01-03 and 04 are the weekend in New York until five o'clock on Monday in UTC."""
    async with running(tmp_path / "db", target=None) as rig:
        when = When(triggers=(Cron(text="0 4 * * *"),), time_zone="America/New_York")
        policies = Policies(condition=DayFits(days=Cron(text="0 0 * * 6,0")), retry=Retry(max_attempts=1))
        draft = Schedule(
            name=ScheduleName(group="default", schedule="job"), when=when, target=HttpTarget(url="http://localhost/"), policies=policies
        )
        await rig.schedules.create(draft, ANN)
        for day in range(5):
            rig.clock.move((day * DAY + 9 * 3600) * 1_000_000 + START_US - rig.clock.now_us())
            await rig.settle()
        assert [at // DAY for at in rig.target.nominal_s()] == [2, 3]
        assert await evidence(rig) == [{"condition": "days"}] * 3


async def test_schedule_without_a_condition_is_not_asked_about(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        plain = await rig.create("rate(1 minute)", name="plain")
        asked = await rig.create("rate(1 minute)", name="asked", policies=Policies(condition=TEST))
        definitions: Any = await rig.engine.definitions.load([plain.row, asked.row])
        assert [definitions[row].is_conditional for row in (plain.row, asked.row)] == [False, True]


async def test_daemon_that_drains_asks_nothing_more(tmp_path: Path) -> None:
    clock = HandClock()
    commands = HandTarget(clock)
    async with running(tmp_path / "db", clock=clock, commands=commands) as rig:
        await minutely(rig)
        await rig.run_until(59.8)
        await rig.engine.drain(timedelta(seconds=1))
        await rig.run_until(61)
        assert commands.requests == []
    async with running(tmp_path / "db", clock=clock, commands=commands) as rig:
        await rig.run_until(62)
        assert rig.target.nominal_s() == [60]


async def test_rule_of_a_condition_that_cannot_be_compiled_disables_its_schedule_alone(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.create("rate(1 minute)", name="other")
        job = await rig.create("rate(1 minute)", policies=Policies(condition=DayFits(days=Cron(text="0 0 * * 4"))))
    with sqlite3.connect(tmp_path / "db") as file:
        file.execute("UPDATE schedules SET policies = replace(policies, '0 0 * * 4', '0 0 * * 44')")
    file.close()
    async with running(tmp_path / "db", clock=clock) as rig:
        await rig.run_until(130)
        assert rig.target.nominal_s() == [60, 120]
        assert (await rig.store.schedule(job.name)).state is ScheduleState.DISABLED
        (end,) = await evidence(rig)
        assert "condition" in end["detail"]


async def test_backfill_whose_commands_hang_keeps_other_schedules_conditions_from_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        deliver = rig.commands.deliver

        async def hang(request: DeliveryRequest) -> AttemptResult:
            if request.schedule.schedule == "busy":
                await asyncio.Event().wait()
            return await deliver(request)

        rig.commands.deliver = hang  # type: ignore[method-assign]
        busy = await rig.create("0 * * * *", name="busy", policies=Policies(condition=TEST))
        past = BackfillDraft(start_us=START_US - 2 * DAY * SECOND, end_us=START_US, overlap=Overlap.ALLOW_ALL, rate_per_second=1000)
        await rig.backfills.start(busy.name, past, ANN)
        await minutely(rig)
        await rig.run_until(61)
        assert rig.target.nominal_s() == [60]
