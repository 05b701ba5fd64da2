"""The judge of the simulation sees what is wrong: a good history with one thing changed is found guilty of just that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog

from schedd.core.model.calendar import Weekday, WeeklyEntry
from schedd.core.model.execution import Cause, Execution, ExecutionState
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import CommandHolds, Notify, TriggerSchedule
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.target import HttpTarget, ProcessTarget
from schedd.core.triggers import clockless
from tests.simulation.drawing import ASKS, CALENDAR, NOTICES, Deed, draw
from tests.simulation.judging import violations
from tests.simulation.story import live_through
from tests.simulation.world import Delivery, Ledger, World

SEED = 18


@pytest.fixture
def past() -> Iterator[tuple[World, Ledger]]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield live_through(draw(SEED))
    structlog.configure(**before)


def executed(ledger: Ledger) -> Execution:
    """An execution that the rule fired and that was delivered."""
    return next(each for each in ledger.executions if each.outcome is Outcome.SUCCEEDED and _by_the_clock(ledger, each))


def _by_the_clock(ledger: Ledger, execution: Execution) -> bool:
    return execution.cause is Cause.SCHEDULE and not any(clockless(each.when) for each in ledger.generations[execution.schedule_uid])


def delivered(world: World, ledger: Ledger) -> Delivery:
    return next(each for each in world.deliveries if each.request.execution_id == executed(ledger).id)


def changed(ledger: Ledger, after: Execution) -> None:
    ledger.executions = [after if each.id == after.id else each for each in ledger.executions]


def lose_execution(world: World, ledger: Ledger) -> None:
    lost = executed(ledger)
    ledger.executions.remove(lost)
    world.deliveries = [each for each in world.deliveries if each.request.execution_id != lost.id]


def lose_promise(world: World, ledger: Ledger) -> None:
    told = next(each for each in world.told if each.deed is Deed.CREATE)
    assert told.schedule is not None
    ledger.generations[told.schedule.uid] = [replace(each, description="another") for each in ledger.generations[told.schedule.uid]]


def leave_unfinished(world: World, ledger: Ledger) -> None:
    changed(ledger, executed(ledger)._replace(state=ExecutionState.RUNNING))


def lose_reason(world: World, ledger: Ledger) -> None:
    changed(ledger, executed(ledger)._replace(reason=Reason.NONE))


def invent(world: World, ledger: Ledger) -> None:
    changed(ledger, executed(ledger)._replace(nominal_us=executed(ledger).nominal_us + 1))


def deliver_early(world: World, ledger: Ledger) -> None:
    delivered(world, ledger).reached_us = delivered(world, ledger).request.due_us - 1


def deliver_twice(world: World, ledger: Ledger) -> None:
    first = delivered(world, ledger)
    world.deliveries.append(replace(first, begin=world.moment(), end=world.moment()))


def deliver_another_key(world: World, ledger: Ledger) -> None:
    first = delivered(world, ledger)
    moved = first.request._replace(execution_id=first.request.execution_id + 1)
    world.deliveries.append(replace(first, request=moved))


def deliver_at_once(world: World, ledger: Ledger) -> None:
    first = delivered(world, ledger)
    world.deliveries += [replace(first, request=first.request._replace(attempt=number)) for number in range(2, 300)]


def hear_nothing(world: World, ledger: Ledger) -> None:
    world.heard.pop()


def hear_the_wrong(world: World, ledger: Ledger) -> None:
    heard = world.heard[0]
    world.heard[0] = heard._replace(entries=[entry._replace(time_us=1) for entry in heard.entries])


def give_up_in_time(world: World, ledger: Ledger) -> None:
    like = next(entry for entry in ledger.journal if entry.kind is JournalKind.EXECUTION_ARMED)
    assert like.execution is not None
    evidence = {"first_us": like.execution.nominal_us, "last_us": like.execution.nominal_us, "count": 1, "counted": True}
    entry = like._replace(kind=JournalKind.OCCURRENCES_MISSED, execution=None, reason=Reason.MISFIRE, evidence=evidence)
    ledger.journal.append(entry)


def skip_without_cause(world: World, ledger: Ledger) -> None:
    changed(ledger, executed(ledger)._replace(outcome=Outcome.SKIPPED, reason=Reason.OVERLAP))


def fire_on_a_closed_day(world: World, ledger: Ledger) -> None:
    found = executed(ledger)
    ledger.generations[found.schedule_uid] = [
        replace(each, when=replace(each.when, exclude_calendars=(CALENDAR,))) for each in ledger.generations[found.schedule_uid]
    ]
    always = WeeklyEntry(days=tuple(Weekday))
    ledger.calendars = [replace(each, entries=(always,)) for each in ledger.calendars]


def lose_what_follows(world: World, ledger: Ledger) -> None:
    replace_policies(ledger, on_success=(TriggerSchedule(schedule="groups/default/schedules/other"),))


def lose_the_notice(world: World, ledger: Ledger) -> None:
    replace_policies(ledger, on_success=(Notify(target=HttpTarget(url=NOTICES)),))


def deliver_against_the_condition(world: World, ledger: Ledger) -> None:
    replace_policies(ledger, condition=CommandHolds(command=ProcessTarget(argv=(ASKS,))))


def repeat_with_another_answer(world: World, ledger: Ledger) -> None:
    first = next(each for each in world.told if each.deed is Deed.CREATE)
    assert first.schedule is not None
    again = first._replace(request="once", schedule=replace(first.schedule, uid=1))
    world.told += [first._replace(request="once"), again]


def create_unasked(world: World, ledger: Ledger) -> None:
    world.asked = {each for each in world.asked if each[0] is not Deed.CREATE}


def replace_policies(ledger: Ledger, **policies: Any) -> None:
    uid = executed(ledger).schedule_uid
    ledger.generations[uid] = [replace(each, policies=replace(each.policies, **policies)) for each in ledger.generations[uid]]


@pytest.mark.parametrize(
    ("tamper", "verdict"),
    [
        (lose_execution, "has no execution and no reason"),
        (lose_promise, "is not what was committed"),
        (leave_unfinished, "is RUNNING at the end"),
        (lose_reason, "ended without outcome or reason"),
        (invent, "is no occurrence"),
        (deliver_early, "was delivered at"),
        (deliver_twice, "began after the execution's end was durable"),
        (deliver_another_key, "was delivered as two executions"),
        (deliver_at_once, "deliveries at once"),
        (hear_nothing, "watchers heard"),
        (hear_the_wrong, "a watcher heard"),
        (give_up_in_time, "which is not late"),
        (skip_without_cause, "was skipped for an execution that is not there"),
        (fire_on_a_closed_day, "was armed on a closed day"),
        (lose_what_follows, "and was to be by {'groups/default/schedules/other': 1}"),
        (lose_the_notice, "a target was told 0 times"),
        (deliver_against_the_condition, "was delivered, though its condition does not hold"),
        (repeat_with_another_answer, "the call once was answered with"),
        (create_unasked, "and was asked for 0 times"),
    ],
)
def test_judge_finds_what_was_tampered_with(past: tuple[World, Ledger], tamper: Callable[[World, Ledger], None], verdict: str) -> None:
    world, ledger = past
    assert violations(world, ledger) == []
    tamper(world, ledger)
    assert any(verdict in text for text in violations(world, ledger))
