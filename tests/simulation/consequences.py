"""The judge's further questions: closed days, what follows an end, conditions, and calls that are repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from schedd.core.model.execution import Cause, Execution, id_text
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.policy import CommandHolds, Condition, TriggerSchedule
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule
from schedd.core.model.when import Expression
from schedd.core.triggers import clockless
from tests.simulation.drawing import DAYS, Deed
from tests.simulation.life import holds
from tests.simulation.oracle import Case


def closed_days_are_kept(case: Case) -> Iterator[str]:
    """What is armed is an occurrence by the calendar as it was then."""
    kinds = (JournalKind.CALENDAR_CREATED, JournalKind.CALENDAR_UPDATED)
    changes = [entry.sequence for entry in case.ledger.journal if entry.kind in kinds]
    for execution in case.ledger.executions:
        schedules = [each for each in case.schedules_of(execution) if each.when.exclude_calendars]
        if execution.cause is not Cause.SCHEDULE or not schedules or clockless(schedules[0].when):
            continue
        armed = [entry.sequence for entry in case.entries[execution.id] if entry.kind is JournalKind.EXECUTION_ARMED]
        then = sum(sequence < armed[-1] for sequence in changes) - 1
        if all(case.rules_of(each)[then].next_after(execution.nominal_us - 1) != execution.nominal_us for each in schedules):
            yield f"{_named(execution)} was armed on a closed day"


def ends_are_followed_once(case: Case) -> Iterator[str]:
    """Each end has what follows it, or the reason why not, once; a target is notified at least once."""
    children = Counter((each.origin.parent.id, str(each.schedule)) for each in case.ledger.executions if each.origin and each.origin.parent)
    for execution in case.ledger.executions:
        entries = case.entries[execution.id]
        ways = [(each.policies.on_success, each.policies.on_failure) for each in _definitions(case, execution)]
        if ways.count(ways[0]) < len(ways):
            continue
        on_success, on_failure = ways[0]
        due: Counter[str] = Counter()
        for end in _ends(entries):
            for follow_up in on_success if end.outcome is Outcome.SUCCEEDED else on_failure:
                due[follow_up.schedule if isinstance(follow_up, TriggerSchedule) else ""] += 1
        told = [entry.evidence for entry in entries if entry.kind is JournalKind.EXECUTION_FOLLOWED_UP]
        done = Counter(str(evidence.get("schedule", "")) for evidence in told)
        done.update({name: count for (parent, name), count in children.items() if parent == execution.id})
        if due != done:
            yield f"{_named(execution)} was followed by {dict(done)}, and was to be by {dict(due)}"
        if case.world.notices[execution.id] < due[""]:
            yield f"{_named(execution)}: a target was told {case.world.notices[execution.id]} times of {due['']} ends"


def _ends(entries: list[JournalEntry]) -> list[JournalEntry]:
    followed = (Outcome.SUCCEEDED, Outcome.FAILED)
    return [entry for entry in entries if entry.kind is JournalKind.EXECUTION_FINISHED and entry.outcome in followed]


def conditions_decide(case: Case) -> Iterator[str]:
    """What has a condition is delivered if it holds, and else is skipped with that reason."""
    for execution in case.ledger.executions:
        asked = [(each.policies.condition, each.when.time_zone) for each in _definitions(case, execution)]
        if asked.count(asked[0]) < len(asked) or execution.cause not in (Cause.SCHEDULE, Cause.BACKFILL):
            continue
        condition, zone = asked[0]
        fits = condition is None or _fits(case, execution, condition, zone)
        if not fits and (case.deliveries[execution.id] or execution.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)):
            yield f"{_named(execution)} was delivered, though its condition does not hold"
        if fits and execution.reason is Reason.CONDITION:
            yield f"{_named(execution)} was skipped, though its condition holds"


def _fits(case: Case, execution: Execution, condition: Condition, zone: str) -> bool:
    if isinstance(condition, CommandHolds):
        return holds(case.world.plan.seed, execution.schedule, execution.nominal_us)
    assert isinstance(condition.days, Expression)
    return DAYS[condition.days.text](datetime.fromtimestamp(execution.nominal_us // 1_000_000, ZoneInfo(zone)))


def repetitions_do_nothing(case: Case) -> Iterator[str]:
    """A call and its repetitions come to one thing, and are answered with it."""
    answers: dict[str, set[int]] = {}
    for told in case.world.told:
        if told.request:
            answers.setdefault(told.request, set()).add(told.execution_id or (told.schedule.uid if told.schedule else 0))
    for request, answered in answers.items():
        if len(answered) > 1:
            yield f"the call {request} was answered with {answered}"
    came = Counter((Deed.TRIGGER, each.schedule) for each in case.ledger.executions if each.cause is Cause.MANUAL)
    came.update((Deed.CREATE, each[0].name) for each in case.ledger.generations.values())
    began = [entry.schedule for entry in case.ledger.journal if entry.kind is JournalKind.BACKFILL_STARTED]
    came.update((Deed.BACKFILL, name) for name in began if name is not None)
    asked = Counter((deed, name) for deed, name, _ in case.world.asked)
    for (deed, name), count in came.items():
        if count > asked[deed, name]:
            yield f"{deed} of {name} came to {count}, and was asked for {asked[deed, name]} times"


def _definitions(case: Case, execution: Execution) -> list[Schedule]:
    """Those that an execution may have gone by."""
    return [each for each in case.ledger.generations[execution.schedule_uid] if each.generation >= execution.generation]


def _named(execution: Execution) -> str:
    return f"execution {id_text(execution.id)} of {execution.schedule} at {execution.nominal_us}"
