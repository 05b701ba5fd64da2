"""The use cases of the service, in any order, against a model: real services, a real engine, a real database, and restarts in between."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from schedd.core.errors import ScheddError
from schedd.core.model import schedule as stored
from schedd.core.model.batch import RequestMark
from schedd.core.model.calendar import Calendar, DateEntry
from schedd.core.model.execution import AttemptResult, DeliveryRequest
from schedd.core.model.policy import CatchUp, CatchUpMode, Concurrency, Delivery, Hold, Overlap, Policies, Retry
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import Cron, Interval, When
from schedd.engine.engine import EngineSettings
from schedd.engine.limits import AttemptLimits
from schedd.service.asking import Asking
from schedd.service.backfills import BackfillDraft
from schedd.service.batches import Batches, BatchOperation, Operation
from schedd.service.deadletters import DeadLetters
from schedd.service.executions import Executions
from tests.engine.rig import BROKEN, DONE, SECOND, START_US, HandClock, HandTarget, Rig, running
from tests.service.judge import Judge
from tests.service.things import DAY, Pause, Policy, Refused, Rule, Run

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
NAMES = ("ant", "bee", "cat")
RULES = (
    Rule("*/2 * * * *", 2 * MINUTE),
    Rule("*/2 * * * *", 2 * MINUTE, end=START_US + 9 * MINUTE),
    Rule("*/10 * * * *", 10 * MINUTE, calendar=True),
    Rule("every", 5 * MINUTE, phase=START_US % (5 * MINUTE) + 17 * SECOND),
    Rule("30 2 * * *", DAY, phase=2 * HOUR + 30 * MINUTE),
    Rule("0 * * * *", HOUR, end=START_US + 30 * HOUR),
)
ANSWERS = {"SUCCEEDED": DONE, "FAILED": BROKEN}
SETTINGS = EngineSettings(breaker=None, limits=AttemptLimits(running=100_000, per_host=10_000))
names = st.sampled_from(NAMES)
rules = st.sampled_from(RULES)
overlaps = st.sampled_from(["SKIP", "BUFFER_ONE", "BUFFER_ALL", "CANCEL_OTHER", "TERMINATE_OTHER", "ALLOW_ALL"])
modes = st.sampled_from(["NONE", "LATEST", "EARLIEST", "ALL"])
policies = st.builds(
    Policy,
    overlap=overlaps,
    catch_up=modes,
    window=st.sampled_from([None, 20 * MINUTE]),
    attempts=st.sampled_from([1, 1, 2, 3]),
    delivery=st.sampled_from(["AT_LEAST_ONCE", "AT_MOST_ONCE"]),
    max_runs=st.sampled_from([0, 0, 1, 3]),
    failures=st.sampled_from([0, 0, 1, 2]),
    limit=st.sampled_from([0, 0, 1, 2]),
    when_full=st.sampled_from(["WAIT", "SKIP"]),
).map(lambda policy: policy if policy.catch_up != "ALL" or policy.window else replace(policy, window=20 * MINUTE))
etags = st.sampled_from(["none", "none", "none", "seen", "stale"])
flags = st.booleans()
held = st.sampled_from([130 * SECOND, 9 * MINUTE, 27 * MINUTE])
reasons = st.sampled_from(["", "maintenance"])
ends = st.sampled_from([None, None, -1, 3, 45, 200])
answers = st.sampled_from(["SUCCEEDED", "FAILED", "HANG", "HANG"])
short = st.integers(1, 300).map(lambda n: n * SECOND)
spans = st.one_of(short, st.sampled_from([HOUR, 3 * HOUR]))


@dataclass
class Answering(HandTarget):
    """Answers by the schedule's name, or, where that says HANG, when somebody lets it."""

    answers_by_name: dict[str, str] = field(default_factory=dict)
    hanging: dict[int, asyncio.Future[str]] = field(default_factory=dict)
    answered: dict[tuple[int, int], str] = field(default_factory=dict)
    """By execution and attempt."""

    async def deliver(self, request: DeliveryRequest) -> AttemptResult:
        self.requests.append((self.clock.now_us(), request))
        answer = self.answers_by_name.get(request.schedule.schedule, "SUCCEEDED")
        if answer == "HANG":
            self.hanging[request.execution_id] = asyncio.get_running_loop().create_future()
            try:
                answer = await self.hanging[request.execution_id]
            finally:
                del self.hanging[request.execution_id]
        self.answered[request.execution_id, request.attempt] = answer
        return ANSWERS[answer]


def named(name: str) -> ScheduleName:
    return ScheduleName(group="default", schedule=name)


def draft(name: str, its: Rule, policy: Policy, pause: Pause | None = None) -> Schedule:
    return Schedule(
        name=named(name),
        when=when_of(its),
        target=HttpTarget(url=f"http://{name}/"),
        policies=policies_of(policy),
        pause=None if pause is None else stored.Pause(actor="", since_us=0, reason=pause.reason, until_us=pause.end),
    )


def when_of(its: Rule) -> When:
    every = Interval(every=timedelta(microseconds=its.every), anchor_us=its.phase)
    trigger = every if its.text == "every" else Cron(text=its.text)
    return When(triggers=(trigger,), exclude_calendars=("closed",) if its.calendar else (), end_us=its.end)


def policies_of(policy: Policy) -> Policies:
    backoff = timedelta(microseconds=policy.backoff)
    return Policies(
        overlap=Overlap(policy.overlap),
        catch_up=CatchUp(
            mode=CatchUpMode(policy.catch_up),
            window=None if policy.window is None else timedelta(microseconds=policy.window),
            grace=timedelta(microseconds=policy.grace),
        ),
        retry=Retry(max_attempts=policy.attempts, min_backoff=backoff, max_backoff=backoff, jitter=0, max_age=timedelta(days=300)),
        delivery=Delivery(policy.delivery),
        max_runs=policy.max_runs,
        pause_after_failures=policy.failures,
        concurrency=Concurrency(key="shared", limit=policy.limit, when_full=Hold(policy.when_full)) if policy.limit else None,
    )


def told(error: ScheddError) -> str:
    return f"{type(error).__name__} {getattr(error, 'reason', '')}".strip()


@dataclass(frozen=True)
class Repetition:
    """A call that had a request id, and the uid or id that it was answered."""

    call: Callable[[Asking], Awaitable[Any]]
    mark: RequestMark
    answer: int


class ServiceMachine(RuleBasedStateMachine):
    """Each rule makes a call, or lets time pass, in the service and in the model."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = HandClock()
        self.target = Answering(self.clock)
        self.judge = Judge(START_US)
        self.judge.answers, self.judge.forced = self.target.answered, self.target.forced
        self.repetitions: list[Repetition] = []
        self.marks = 0
        self.sequence = 0
        self.stack = AsyncExitStack()

    @initialize(its=rules, drafts=st.tuples(policies, policies), answer=answers)
    def begin(self, its: Rule, drafts: tuple[Policy, Policy], answer: str) -> None:
        self.do(self.start())
        self.do(self.rig.calendars.create(Calendar(name="closed", entries=(DateEntry(date="2026-01-03"),)), Asking(actor="test")))
        self.judge.closed = {START_US // DAY + 2}
        self.create_many([("ant", RULES[0], drafts[0], None), ("bee", its, drafts[1], None)])
        self.target.answers_by_name["ant"] = answer

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    async def start(self) -> None:
        path = Path(self.directory.name) / "db"
        self.rig: Rig = await self.stack.enter_async_context(running(path, clock=self.clock, target=self.target, settings=SETTINGS))
        self.executions = Executions(store=self.rig.store, engine=self.rig.engine)
        self.letters = DeadLetters(store=self.rig.store, engine=self.rig.engine, clock=self.clock)
        self.batches = Batches(store=self.rig.store, schedules=self.rig.schedules, pauses=self.rig.pauses, clock=self.clock)
        await self.rig.settle()

    def teardown(self) -> None:
        self.do(self.stack.aclose())
        self.runner.close()
        self.directory.cleanup()

    # Calls

    def call(self, expect: Callable[[], Any], make: Callable[[Asking], Awaitable[Any]], *, marked: bool = False, **asking: Any) -> Any:
        """Make a call that has to be answered, or refused, as the model has it."""
        refusal = ""
        if not asking.get("validate_only"):
            try:
                expect()
            except Refused as refused:
                refusal = str(refused)
        mark = None
        if marked:
            self.marks += 1
            mark = RequestMark(request_id=f"request-{self.marks}", scope="test", fingerprint="first")
        answer, error = self.do(self.made(make, Asking(actor="test", request=mark, **asking)))
        if not asking.get("validate_only"):
            assert error == refusal, f"{error!r}; expected: {refusal!r}"
        if mark is not None and answer is not None:
            self.repetitions.append(Repetition(make, mark, identity(answer)))
        return answer

    async def made(self, make: Callable[[Asking], Awaitable[Any]], asking: Asking) -> tuple[Any, str]:
        answer, error = None, ""
        try:
            answer = await make(asking)
        except ScheddError as refused:
            error = told(refused)
        await self.rig.settle()
        return answer, error

    def seen(self, name: str, etag: str) -> int | None:
        standing = self.judge.by_name.get(name)
        generation = 1 if standing is None else standing.generation
        return {"none": None, "seen": generation, "stale": generation + 1}[etag]

    def pausing(self, reason: str, minutes: int | None) -> Pause:
        now_us = self.clock.now_us()
        return Pause("test", now_us, reason, None if minutes is None else now_us + minutes * MINUTE + 800_000)

    @rule(name=names, its=rules, policy=policies, marked=flags)
    def create(self, name: str, its: Rule, policy: Policy, marked: bool) -> None:
        schedule = draft(name, its, policy)
        self.call(
            lambda: self.judge.create([(name, its, policy, None)]),
            lambda asking: self.rig.schedules.create(schedule, asking),
            marked=marked,
        )

    @rule(drafts=st.lists(st.tuples(names, rules, policies, st.none() | st.tuples(reasons, ends)), min_size=1, max_size=3))
    def creates(self, drafts: list[tuple[str, Rule, Policy, tuple[str, int | None] | None]]) -> None:
        self.create_many([(*each, pause and self.pausing(*pause)) for *each, pause in drafts])

    def create_many(self, drafts: list[Any]) -> None:
        schedules = [draft(*each) for each in drafts]
        self.call(lambda: self.judge.create(drafts), lambda asking: self.rig.schedules.create_many(schedules, asking))

    @rule(name=names, its=rules, etag=etags, marked=flags)
    def update_rule(self, name: str, its: Rule, etag: str, marked: bool) -> None:
        seen = self.seen(name, etag)
        self.call(
            lambda: self.judge.update(name, seen, rule=its),
            lambda asking: self.rig.schedules.update(named(name), lambda it: replace(it, when=when_of(its)), asking),
            generation=seen,
            marked=marked,
        )

    @rule(name=names, policy=policies, etag=etags)
    def update_policies(self, name: str, policy: Policy, etag: str) -> None:
        seen = self.seen(name, etag)
        self.call(
            lambda: self.judge.update(name, seen, policy=policy),
            lambda asking: self.rig.schedules.update(named(name), lambda it: replace(it, policies=policies_of(policy)), asking),
            generation=seen,
        )

    @rule(name=names, text=st.sampled_from(["", "a", "b"]))
    def describe(self, name: str, text: str) -> None:
        self.call(
            lambda: self.judge.update(name, None, text=text),
            lambda asking: self.rig.schedules.update(named(name), lambda it: replace(it, description=text), asking),
        )

    @rule(name=names, etag=etags, marked=flags)
    def delete(self, name: str, etag: str, marked: bool) -> None:
        seen = self.seen(name, etag)
        self.call(
            lambda: self.judge.delete(name, seen),
            lambda asking: self.rig.schedules.delete(named(name), asking),
            generation=seen,
            marked=marked,
        )

    @rule(name=names, etag=etags)
    def undelete(self, name: str, etag: str) -> None:
        seen = self.seen(name, etag)
        self.call(lambda: self.judge.undelete(name, seen), lambda asking: self.rig.schedules.undelete(named(name), asking), generation=seen)

    @rule(name=names, etag=etags, reason=reasons, minutes=ends, marked=flags)
    def pause(self, name: str, etag: str, reason: str, minutes: int | None, marked: bool) -> None:
        seen, pause = self.seen(name, etag), self.pausing(reason, minutes)
        self.call(
            lambda: self.judge.pause(name, seen, pause),
            lambda asking: self.rig.pauses.pause(named(name), asking, reason=reason, until_us=pause.end),
            generation=seen,
            marked=marked,
        )

    @rule(name=names, etag=etags, backlog=modes, marked=flags)
    def resume(self, name: str, etag: str, backlog: str, marked: bool) -> None:
        seen = self.seen(name, etag)
        self.call(
            lambda: self.judge.resume(name, seen, backlog),
            lambda asking: self.rig.pauses.resume(named(name), asking, backlog=CatchUpMode(backlog)),
            generation=seen,
            marked=marked,
        )

    @precondition(lambda self: self.enabled())
    @rule(data=st.data(), by=held, its=st.none() | rules, policy=st.none() | policies, restarted=flags, backlog=modes)
    def is_held_back(self, data: st.DataObject, by: int, its: Rule | None, policy: Policy | None, restarted: bool, backlog: str) -> None:
        """Somebody pauses it, changes it, perhaps, and resumes it."""
        name = data.draw(st.sampled_from(self.enabled()), label="name")
        steps: list[Callable[[], object]] = [lambda: self.pause(name, "none", "", None, marked=False), lambda: self.passes(by)]
        if policy is not None:
            steps.append(lambda: self.update_policies(name, policy, "none"))
        if its is not None:
            steps.append(lambda: self.update_rule(name, its, "none", marked=False))
        steps += [lambda: self.restarts(by) if restarted else self.passes(by), lambda: self.resume(name, "none", backlog, marked=False)]
        self.judged(steps)

    @precondition(lambda self: self.enabled())
    @rule(data=st.data(), by=held, suspended=flags)
    def is_held_back_until_then(self, data: st.DataObject, by: int, suspended: bool) -> None:
        """Its pause ends by itself while nothing runs."""
        name = data.draw(st.sampled_from(self.enabled()), label="name")
        minutes = (by + by // 3) // MINUTE
        ends: Callable[[], object] = (lambda: self.leaps(by, "suspended")) if suspended else (lambda: self.restarts(by))
        self.judged([lambda: self.pause(name, "none", "maintenance", minutes, marked=False), lambda: self.passes(by), ends])

    def enabled(self) -> list[str]:
        return [name for name, it in self.judge.by_name.items() if it.state == "ENABLED"]

    def judged(self, steps: list[Callable[[], object]]) -> None:
        for step in steps:
            step()
            self.all_is_as_it_has_to_be()

    @rule(operation=st.sampled_from([Operation.PAUSE, Operation.RESUME, Operation.DELETE, Operation.UNDELETE]))
    def operate(self, operation: Operation) -> None:
        each: dict[Operation, Callable[[str], None]] = {
            Operation.PAUSE: lambda name: self.judge.pause(name, None, self.pausing("", None)),
            Operation.RESUME: lambda name: self.judge.resume(name, None, "NONE"),
            Operation.DELETE: lambda name: self.judge.delete(name, None),
            Operation.UNDELETE: lambda name: self.judge.undelete(name, None),
        }
        expected = []
        for name in NAMES:
            try:
                each[operation](name)
            except Refused as refused:
                expected.append(str(refused))
            else:
                expected.append("")
        what = BatchOperation(operation=operation)
        results, _ = self.do(self.made(lambda asking: self.batches.operate([*map(named, NAMES)], what, asking), Asking(actor="test")))
        assert [(result.error and told(result.error)) or "" for result in results] == expected

    @rule(name=names, marked=flags)
    def trigger(self, name: str, marked: bool) -> None:
        self.call(lambda: self.judge.trigger(name), lambda asking: self.rig.schedules.trigger(named(name), asking), marked=marked)

    @rule(name=names, hours_ago=st.sampled_from([0.1, 1, 3, 30, -1]), count=st.integers(0, 4), overlap=overlaps)
    def backfill(self, name: str, hours_ago: float, count: int, overlap: str) -> None:
        start = self.clock.now_us() - int(hours_ago * HOUR)
        standing = self.judge.by_name.get(name)
        end = min(start + count * (standing.rule.every if standing else HOUR), self.clock.now_us())
        asked = BackfillDraft(start_us=start, end_us=end, overlap=Overlap(overlap), rate_per_second=1000)
        self.call(
            lambda: self.judge.backfill(name, start, end, overlap), lambda asking: self.rig.backfills.start(named(name), asked, asking)
        )
        self.passes(SECOND)

    @precondition(lambda self: any(it.runs for it in self.judge.by_uid.values()))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        found, run = self.drawn(data)
        assume(not run.ahead)  # A pause at this very moment counts its occurrence among what it holds back.
        self.call(lambda: self.judge.cancel(run), lambda asking: self.executions.cancel(named("-"), found, actor=asking.actor))

    @precondition(lambda self: any(it.runs for it in self.judge.by_uid.values()))
    @rule(data=st.data())
    def redeliver(self, data: st.DataObject) -> None:
        found, run = self.drawn(data)
        assume(run.attempt or run.cause != "BACKFILL")  # Its overlap policy has ended with the backfill.
        self.call(lambda: self.judge.redeliver(run), lambda asking: self.letters.redeliver((named("-"), found), asking))

    def drawn(self, data: st.DataObject) -> tuple[int, Run]:
        runs = [each for it in self.judge.by_uid.values() for each in it.runs.items()]
        return data.draw(st.integers(0, len(runs) - 1).map(lambda place: runs[-1 - place]), label="run")

    @precondition(lambda self: self.repetitions)
    @rule(data=st.data(), same=flags)
    def repeat(self, data: st.DataObject, same: bool) -> None:
        before = data.draw(st.sampled_from(self.repetitions), label="call")
        mark = before.mark if same else replace(before.mark, fingerprint="other")
        answer, error = self.do(self.made(before.call, Asking(actor="test", request=mark)))
        if same:
            assert identity(answer) == before.answer
        else:
            assert error == "ConflictError REQUEST_ID_REUSED"

    @rule(name=names, its=rules, policy=policies)
    def validate_only(self, name: str, its: Rule, policy: Policy) -> None:
        """Nothing comes of it, in the service; the model is not asked."""
        schedules, schedule = self.rig.schedules, draft(name, its, policy)
        makers: list[Callable[[Asking], Awaitable[Any]]] = [
            lambda asking: schedules.create(schedule, asking),
            lambda asking: schedules.update(named(name), lambda it: replace(it, when=when_of(its)), asking),
            lambda asking: self.rig.pauses.pause(named(name), asking),
            lambda asking: self.rig.pauses.resume(named(name), asking),
            lambda asking: schedules.delete(named(name), asking),
            lambda asking: schedules.undelete(named(name), asking),
        ]
        for make in makers:
            self.call(lambda: None, make, validate_only=True)

    @rule(days=st.sets(st.integers(1, 4)))
    def close_days(self, days: set[int]) -> None:
        entries = tuple(DateEntry(date=f"2026-01-{day:02}") for day in sorted(days | {9}))
        self.call(
            lambda: self.judge.close_days({START_US // DAY + day - 1 for day in days | {9}}),
            lambda asking: self.rig.calendars.update("closed", lambda it: replace(it, entries=entries), asking),
        )

    # Targets and time

    @rule(name=names, answer=answers)
    def answer(self, name: str, answer: str) -> None:
        self.target.answers_by_name[name] = answer

    @precondition(lambda self: self.target.hanging)
    @rule(data=st.data(), answer=st.sampled_from(["SUCCEEDED", "FAILED"]))
    def release(self, data: st.DataObject, answer: str) -> None:
        hanging = data.draw(st.sampled_from(sorted(self.target.hanging)), label="execution")
        self.target.hanging[hanging].set_result(answer)
        self.do(self.rig.settle())

    @rule(by=st.one_of(short, short, st.just(HOUR)))
    def passes(self, by: int) -> None:
        self.do(self.rig.run_until((self.clock.now_us() + by - START_US) / SECOND))

    @rule()
    def passes_to_just_before_the_next(self) -> None:
        now_us = self.clock.now_us()
        enabled = [it for it in self.judge.by_uid.values() if it.state == "ENABLED"]
        instants = [
            next_us for it in enabled if (next_us := self.judge.next_undecided(it)) is not None and now_us < next_us < now_us + HOUR
        ]
        assume(instants)
        to = min(instants) // SECOND * SECOND - 250_000
        assume(to > now_us)
        self.passes(to - now_us)

    @rule(by=spans, how=st.sampled_from(["suspended", "stepped", "set back"]))
    def leaps(self, by: int, how: str) -> None:
        by = -min(by, self.clock.now_us() - START_US) if how == "set back" else by
        self.judge.leap(self.clock.now_us() + by, stepped=how != "suspended")
        (self.clock.suspend if how == "suspended" else self.clock.step)(by)
        self.do(self.rig.settle())

    @rule(by=st.one_of(st.just(0), spans))
    def restarts(self, by: int) -> None:
        self.do(self.stack.aclose())
        self.clock.move(by)
        self.judge.restart(self.clock.now_us())
        self.do(self.start())

    # What has to hold

    @invariant()
    def all_is_as_it_has_to_be(self) -> None:
        self.journal_is_as_the_judge_would_have_it()
        self.schedules_are_as_the_journal_says()
        self.executions_are_as_the_journal_says()

    def journal_is_as_the_judge_would_have_it(self) -> None:
        while entries := self.do(self.rig.store.journal(after=self.sequence, limit=1000)):
            for entry in entries:
                assert entry.sequence == self.sequence + 1, "the journal has a gap"
                self.sequence = entry.sequence
                self.judge.read(entry)
        self.judge.rest(self.clock.now_us(), self.target.hanging)

    def schedules_are_as_the_journal_says(self) -> None:
        found = self.do(self.rig.store.schedules_by_uid(list(self.judge.by_uid)))
        shown = {it.uid: (it.state.value, it.generation, it.description, shown_pause(it.pause)) for it in found}
        expected = {uid: (it.state, it.generation, it.description, it.pause) for uid, it in self.judge.by_uid.items()}
        assert shown == expected
        for uid, it in self.judge.by_uid.items():
            if it.policy.max_runs:
                assert self.rig.engine.endings.ran(uid) == it.ran, f"{it.name} is said to have run as often"

    def executions_are_as_the_journal_says(self) -> None:
        found = {
            run.id: (run.state.value, run.outcome and run.outcome.value, run.reason.value, run.attempt) for run in self.do(self.stored())
        }
        runs = [each for it in self.judge.by_uid.values() for each in it.runs.items()]
        assert found == {id_: (run.state, run.outcome, run.reason, run.attempt) for id_, run in runs}

    async def stored(self) -> list[Any]:
        found: list[Any] = []
        after: tuple[str | int, ...] = ()
        while True:
            page = await self.rig.store.find_executions((), Order(field="execution"), PageRequest(size=1000, after=after))
            found += page.items
            after = page.after
            if not after:
                return found


def shown_pause(pause: stored.Pause | None) -> Pause | None:
    return None if pause is None else Pause(pause.actor, pause.since_us, pause.reason, pause.until_us)


def identity(answer: Any) -> int:
    return int(answer.uid if isinstance(answer, Schedule) else answer.id)


def walking(examples: int, *, same_each_time: bool) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=35,
        deadline=None,
        derandomize=same_each_time,
        database=None,
        phases=[Phase.generate],  # To make an example smaller takes many times as long as to find it, and is left to whoever looks into it.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


@pytest.mark.timeout(300)
def test_calls_in_any_order_and_restarts_leave_the_service_as_the_model_has_it() -> None:
    run_state_machine_as_test(ServiceMachine, settings=walking(15, same_each_time=True))


@pytest.mark.soak
def test_many_more_calls_in_any_order_leave_the_service_as_the_model_has_it() -> None:
    run_state_machine_as_test(ServiceMachine, settings=walking(400, same_each_time=False))
