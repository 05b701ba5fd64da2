"""The guarantees of DESIGN.md, section 9, as a judge: what clients, the target and watchers have seen, against what is durable at the end.

It asks the rules when something was due, and nothing of the engine.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

from schedd.core.model.calendar import HolidaysEntry
from schedd.core.model.execution import Cause, Execution, ExecutionState, id_text
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.policy import Delivery as DeliveryPolicy
from schedd.core.model.policy import Overlap
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleState
from schedd.core.model.target import HttpTarget
from schedd.core.triggers import NO_CALENDARS, Calendars, Rule, calendar_days, clockless, compile_when
from tests.simulation.drawing import KEYS, Deed
from tests.simulation.world import Delivery, Ledger, World

_MICROSECOND = timedelta(microseconds=1)
_NEVER_US = 2**63 - 1
_RANGES = (JournalKind.OCCURRENCES_MISSED, JournalKind.OCCURRENCES_SKIPPED)
_MISFIRES = (Reason.MISFIRE, Reason.CATCH_UP_WINDOW, Reason.CATCH_UP_SUPERSEDED, Reason.CATCH_UP_MAX_RUNS)


@dataclass(slots=True)
class Case:
    """A seed's history, sorted for the judge."""

    world: World
    ledger: Ledger
    executions: dict[int, Execution] = field(init=False)
    entries: dict[int, list[JournalEntry]] = field(init=False)
    """By execution."""
    ranges: dict[int, list[JournalEntry]] = field(init=False)
    """By uid."""
    committed: dict[int, int] = field(init=False)
    """By sequence, the moment of the commit."""
    deliveries: dict[int, list[Delivery]] = field(init=False)
    """By execution, in their order."""
    closings: list[Calendars] = field(init=False)
    """The calendar as it was, one after the other."""

    def __post_init__(self) -> None:
        self.executions = {execution.id: execution for execution in self.ledger.executions}
        self.entries, self.ranges, self.deliveries = defaultdict(list), defaultdict(list), defaultdict(list)
        for entry in self.ledger.journal:
            if entry.execution is not None:
                self.entries[entry.execution.id].append(entry)
            elif entry.kind in _RANGES and _is_of_the_rule(entry):
                self.ranges[entry.schedule_uid].append(entry)
        self.closings = [Calendars(days={each.name: calendar_days(each, _no_holidays)}) for each in self.ledger.calendars]
        self.committed = {entry.sequence: heard.moment for heard in self.world.heard for entry in heard.entries}
        for delivery in self.world.deliveries:
            self.deliveries[delivery.request.execution_id].append(delivery)

    def moment(self, execution_id: int, kind: JournalKind, *, after: int = 0) -> int | None:
        """When the first such entry about an execution was committed after a moment."""
        for entry in self.entries[execution_id]:
            if entry.kind is kind and self.committed[entry.sequence] > after:
                return self.committed[entry.sequence]
        return None

    def schedules_of(self, execution: Execution) -> list[Schedule]:
        """The definition that an execution was armed under; when the clock was set back, it was rewritten."""
        return [each for each in self.ledger.generations[execution.schedule_uid] if each.generation == execution.generation]

    def rules_of(self, schedule: Schedule) -> list[Rule]:
        """What the clock yields by a definition, with each calendar that it may have gone by."""
        uses = bool(schedule.when.exclude_calendars)
        return [_rule(schedule, calendars) for calendars in (self.closings if uses else [NO_CALENDARS])]


def _no_holidays(entry: HolidaysEntry) -> Sequence[date]:
    raise AssertionError("a simulation has none")


def _is_of_the_rule(entry: JournalEntry) -> bool:
    """Whether it is a range of what the rule yields: not one of a backfill, nor what exclusions leave out here and there."""
    return "backfill" not in entry.evidence and entry.reason is not Reason.EXCLUDED


def _watchers_see_all(case: Case) -> Iterator[str]:
    """Every change is heard once, in the order of its commit, as the journal has it."""
    heard = [entry for heard in case.world.heard for entry in heard.entries]
    for entry, kept in zip(heard, case.ledger.journal, strict=False):
        if entry[:4] != kept[:4] or entry.sequence != kept.sequence:
            yield f"a watcher heard {entry}, the journal has {kept}"
            return
    if len(heard) != len(case.ledger.journal):
        yield f"watchers heard {len(heard)} entries, the journal has {len(case.ledger.journal)}"


def _promises_survive(case: Case) -> Iterator[str]:
    """Guarantee 1: what a client was told is durable."""
    for told in case.world.told:
        if told.execution_id and told.execution_id not in case.executions:
            yield f"{told.deed} of {told.name}: execution {id_text(told.execution_id)} is gone"
        if told.deed is Deed.CANCEL and told.execution_id in case.executions:
            execution = case.executions[told.execution_id]
            if execution.state is not ExecutionState.FINISHED:
                yield f"execution {id_text(execution.id)} was cancelled and is {execution.state}"
        if told.schedule is not None:
            kept = case.ledger.generations.get(told.schedule.uid, [])
            if told.schedule not in kept:
                yield f"{told.deed} of {told.name}: generation {told.schedule.generation} is not what was committed"


def _occurrences_are_accounted_for(case: Case) -> Iterator[str]:
    """Guarantee 2: each occurrence that came due while its schedule was enabled was run, or is in the journal with a reason."""
    for uid, generations in case.ledger.generations.items():
        fired = {execution.nominal_us for execution in case.ledger.executions if _is_planned(execution, uid)}
        ranges = [(int(entry.evidence["first_us"]), int(entry.evidence["last_us"])) for entry in case.ranges[uid]]
        for number, schedule in enumerate(generations):
            if schedule.state is not ScheduleState.ENABLED:
                continue
            following = generations[number + 1 :]
            until_us = min([case.world.horizon_us, _last_run_us(case, schedule), *(each.updated_us for each in following[:1])])
            for nominal_us in _occurrences(case, schedule, schedule.updated_us, until_us):
                if nominal_us in fired or any(first <= nominal_us <= last for first, last in ranges):
                    continue
                if not _was_taken_back(case, uid, nominal_us, schedule, following):
                    yield f"{schedule.name} generation {schedule.generation}: {nominal_us} has no execution and no reason"


def _occurrences(case: Case, schedule: Schedule, after_us: int, through_us: int) -> Iterator[int]:
    """What the clock yields whatever the calendars said; occasions come on top of that."""
    rule, *others = case.rules_of(schedule)
    at_us = rule.next_after(max(after_us, schedule.planned_from_us))
    while at_us is not None and at_us <= through_us:
        if all(other.next_after(at_us - 1) == at_us for other in others):
            yield at_us
        at_us = rule.next_after(at_us)


def _last_run_us(case: Case, schedule: Schedule) -> int:
    """The nominal time of the last run that `max_runs` allows; if it has not been yet, a time that never comes."""
    limit = schedule.policies.max_runs
    ran = sorted(each.nominal_us for each in case.ledger.executions if _is_planned(each, schedule.uid) and each.started_us is not None)
    return ran[limit - 1] if limit and len(ran) >= limit else _NEVER_US


def _rule(schedule: Schedule, calendars: Calendars) -> Rule:
    return compile_when(schedule.when, created_us=schedule.created_us, seed=schedule.uid, calendars=calendars)


def _is_planned(execution: Execution, uid: int) -> bool:
    return execution.schedule_uid == uid and execution.cause is Cause.SCHEDULE


def _was_taken_back(case: Case, uid: int, nominal_us: int, schedule: Schedule, following: Sequence[Schedule]) -> bool:
    """Whether it was armed and taken back with a reason, by a change after which it is nobody's occurrence any more."""
    changed = any(each.when != schedule.when or each.state is not ScheduleState.ENABLED for each in following)
    return changed and any(
        entry.kind is JournalKind.EXECUTION_DISARMED
        and entry.schedule_uid == uid
        and entry.execution is not None
        and entry.execution.nominal_us == nominal_us
        for entry in case.ledger.journal
    )


def _misfires_were_late(case: Case) -> Iterator[str]:
    """An occurrence is only given up for its lateness when it was late; what a pause held back need not be."""
    for uid, entries in case.ranges.items():
        for entry in entries:
            schedule = case.ledger.generations[uid][-1]
            grace = min(each.policies.catch_up.grace for each in case.ledger.generations[uid])
            late = entry.kind is JournalKind.OCCURRENCES_MISSED and entry.reason in _MISFIRES
            if late and int(entry.evidence["last_us"]) > entry.time_us - grace // _MICROSECOND:
                yield f"{schedule.name}: {entry.evidence} was given up at {entry.time_us}, which is not late"


def _nothing_is_invented(case: Case) -> Iterator[str]:
    """An execution by the rule is an occurrence of its definition, and none was given up as well."""
    for execution in case.ledger.executions:
        if execution.cause is not Cause.SCHEDULE:
            continue
        schedules = case.schedules_of(execution)
        if clockless(schedules[0].when):
            continue
        name = f"execution {id_text(execution.id)} of {execution.schedule} at {execution.nominal_us}"
        rules = [rule for schedule in schedules for rule in case.rules_of(schedule)]
        if all(rule.next_after(execution.nominal_us - 1) != execution.nominal_us for rule in rules):
            yield f"{name} is no occurrence"
        if case.world.set_back:  # Its instant may have come again.
            continue
        for entry in case.ranges[execution.schedule_uid]:
            if int(entry.evidence["first_us"]) <= execution.nominal_us <= int(entry.evidence["last_us"]):
                yield f"{name} was given up too, in {entry.sequence}"


def _executions_end_with_a_reason(case: Case) -> Iterator[str]:
    """Guarantee 2: what was begun has an end, the journal tells the same, and each result is that of a delivery."""
    attempts = {(attempt.execution_id, attempt.number): attempt for attempt in case.ledger.attempts}
    for execution in case.ledger.executions:
        name = f"execution {id_text(execution.id)} of {execution.schedule} at {execution.nominal_us}"
        last = case.entries[execution.id][-1] if case.entries[execution.id] else None
        if execution.state is not ExecutionState.FINISHED:
            if execution.nominal_us <= case.world.horizon_us:
                yield f"{name} is {execution.state} at the end"
            continue
        if execution.outcome is None or execution.reason is Reason.NONE:
            yield f"{name} ended without outcome or reason"
        ends = [entry for entry in case.entries[execution.id] if entry.kind is JournalKind.EXECUTION_FINISHED]
        if last is None or not ends or (ends[-1].outcome, ends[-1].reason) != (execution.outcome, execution.reason):
            yield f"{name} is {execution.outcome}/{execution.reason}, the journal ends with {last}"
        if execution.outcome is Outcome.SUCCEEDED:
            final = attempts.get((execution.id, execution.attempt))
            answers = [delivery.result for delivery in case.deliveries[execution.id] if delivery.request.attempt == execution.attempt]
            if final is None or not answers or answers[-1] is None or answers[-1].outcome is not Outcome.SUCCEEDED:
                yield f"{name} has succeeded by attempt {execution.attempt}, the target says {answers}"


def _duplicates_are_explained(case: Case) -> Iterator[str]:
    """Guarantee 3: one execution an occurrence; a delivery follows another only after a failure, a crash or a redelivery."""
    keys: dict[tuple[int, int, Cause], int] = {}
    for execution_id, deliveries in case.deliveries.items():
        if deliveries[-1].cut and case.moment(execution_id, JournalKind.EXECUTION_DISARMED):
            continue  # A crash cut it off before its start was durable, and a clock set back meanwhile made it one that is to come.
        first = deliveries[0].request
        key = (first.schedule_uid, first.nominal_us, first.cause)
        if keys.setdefault(key, execution_id) != execution_id:
            yield f"{first.schedule} at {first.nominal_us} was delivered as two executions"
        if execution_id not in case.executions:
            yield f"execution {id_text(execution_id)} was delivered, and is not durable"
            continue
        if {(each.request.schedule_uid, each.request.nominal_us) for each in deliveries} != {key[:2]}:
            yield f"execution {id_text(execution_id)} was delivered with several keys"
        for earlier, later in pairwise(deliveries):
            if text := _unexplained(case, execution_id, earlier, later):
                yield f"execution {id_text(execution_id)} of {first.schedule} at {first.nominal_us}: {text}"


def _unexplained(case: Case, execution_id: int, earlier: Delivery, later: Delivery) -> str:
    """What is wrong with a second delivery."""
    number = later.request.attempt
    if earlier.end is None or earlier.end > later.begin:
        return f"attempt {number} began while the one before it ran"
    finished = case.moment(execution_id, JournalKind.EXECUTION_FINISHED, after=earlier.begin)
    again = case.moment(execution_id, JournalKind.EXECUTION_REDELIVERED, after=earlier.begin)
    if finished is not None and finished < later.begin and (again is None or again > later.begin):
        return f"attempt {number} began after the execution's end was durable"
    if again is not None and again < later.begin:
        return ""
    restarted = later.life != earlier.life
    if earlier.result is not None and earlier.result.outcome is Outcome.SUCCEEDED and not restarted:
        return f"attempt {number} followed a success"
    always = all(each.policies.delivery is DeliveryPolicy.AT_MOST_ONCE for each in _generations(case, earlier))
    if earlier.cut and restarted and always:
        return f"attempt {number} followed one that was cut off, under AT_MOST_ONCE"
    if number <= earlier.request.attempt and not restarted:
        return f"attempt {number} followed attempt {earlier.request.attempt}"
    return ""


def _nothing_is_early(case: Case) -> Iterator[str]:
    """Guarantee 4, and invariant 1: nothing is delivered before it is due, or before it is durable.

    What was due once stays so when the clock is set back: a retry comes after the same time as before.
    """
    for delivery in case.world.deliveries:
        request = delivery.request
        if delivery.reached_us < request.due_us or request.due_us < request.nominal_us:
            yield f"{request.schedule} at {request.nominal_us}, due {request.due_us}, was delivered at {delivery.wall_us}"
        armed = case.moment(request.execution_id, JournalKind.EXECUTION_ARMED)
        if armed is None or armed > delivery.begin:
            yield f"{request.schedule} at {request.nominal_us} was delivered before it was durable"


def _limits_hold(case: Case) -> Iterator[str]:
    """Overlap and concurrency: how many deliveries of a kind the target had at the same time."""
    settings = case.world.plan.settings
    yield from _crowded("everything", case.world.deliveries, settings.limits.running)
    for host, deliveries in _grouped(case, _host).items():
        yield from _crowded(f"host {host}", deliveries, settings.limits.of_host)
    for key, deliveries in _grouped(case, _key).items():
        yield from _crowded(f"key {key}", deliveries, KEYS[key])
    for uid, deliveries in _grouped(case, _alone).items():
        yield from _crowded(f"schedule {uid}", deliveries, 1)


def _grouped(case: Case, by: object) -> Mapping[str, list[Delivery]]:
    assert callable(by)
    groups: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in case.world.deliveries:
        if (group := by(case, delivery)) is not None:
            groups[group].append(delivery)
    return groups


def _host(case: Case, delivery: Delivery) -> str | None:
    target = delivery.request.target
    return target.url if isinstance(target, HttpTarget) else None


def _key(case: Case, delivery: Delivery) -> str | None:
    """The key of a schedule that has always had it: what runs under the policies of before goes by the key of before."""
    keys = {each.policies.concurrency.key if each.policies.concurrency else "" for each in _generations(case, delivery)}
    return keys.pop() or None if len(keys) == 1 else None


def _alone(case: Case, delivery: Delivery) -> str | None:
    """A schedule whose executions never overlap; a redelivery does not ask for the others, and a backfill has a policy of its own."""
    generations = _generations(case, delivery)
    allowed = any(each.policies.overlap is Overlap.ALLOW_ALL for each in generations)
    again = any(
        case.executions[each].schedule_uid == delivery.request.schedule_uid for each in case.world.redelivered if each in case.executions
    )
    allowed = allowed or generations[0].name in case.world.backfilled
    return None if allowed or again else str(delivery.request.schedule_uid)


def _generations(case: Case, delivery: Delivery) -> list[Schedule]:
    return case.ledger.generations[delivery.request.schedule_uid]


def _crowded(what: str, deliveries: Sequence[Delivery], limit: int) -> Iterator[str]:
    begins = [delivery.begin for delivery in deliveries]
    ends = sorted(delivery.end for delivery in deliveries if delivery.end is not None)
    for delivery in deliveries:
        at_once = bisect_right(begins, delivery.begin) - bisect_left(ends, delivery.begin)
        if at_once > limit:
            yield f"{what}: {at_once} deliveries at once, {limit} are allowed, at {delivery.wall_us}"
            return


def _skips_were_blocked(case: Case) -> Iterator[str]:
    """What was skipped for an overlap names an execution that was unfinished then."""
    for execution in case.ledger.executions:
        if (execution.outcome, execution.reason) != (Outcome.SKIPPED, Reason.OVERLAP):
            continue
        skip = case.entries[execution.id][-1]
        blocking = case.executions.get(int(skip.evidence.get("blocking_execution", 0)))
        name = f"execution {id_text(execution.id)} of {execution.schedule} at {execution.nominal_us}"
        if blocking is None or blocking.schedule_uid != execution.schedule_uid:
            yield f"{name} was skipped for an execution that is not there"
            continue
        ends = [entry.sequence for entry in case.entries[blocking.id] if entry.kind is JournalKind.EXECUTION_FINISHED]
        if ends and ends[-1] < skip.sequence:
            yield f"{name} was skipped for one that had ended"


def _runs_are_counted(case: Case) -> Iterator[str]:
    """A schedule with `max_runs` runs so often and no oftener."""
    for uid, generations in case.ledger.generations.items():
        limits = {each.policies.max_runs for each in generations}
        limit = limits.pop()
        if limits or not limit:
            continue
        ran = [each for each in case.ledger.executions if _is_planned(each, uid) and each.started_us is not None]
        if len(ran) > limit:
            yield f"{generations[-1].name} ran {len(ran)} times, {limit} are allowed"


JUDGES = (
    _watchers_see_all,
    _promises_survive,
    _occurrences_are_accounted_for,
    _misfires_were_late,
    _nothing_is_invented,
    _executions_end_with_a_reason,
    _duplicates_are_explained,
    _nothing_is_early,
    _limits_hold,
    _skips_were_blocked,
    _runs_are_counted,
)
