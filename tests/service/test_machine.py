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
from schedd.core.model.batch import RequestMark
from schedd.core.model.calendar import Calendar, DateEntry
from schedd.core.model.execution import AttemptResult, DeliveryRequest
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.policy import CatchUp, CatchUpMode, Delivery, Overlap, Policies, Retry
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
from tests.service.model import DAY, Model, Policy, Refused, Rule, Run, Standing

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
LAWFUL = {
    "": {"EXECUTION_ARMED"},
    "EXECUTION_ARMED": {"EXECUTION_QUEUED", "EXECUTION_STARTED", "EXECUTION_FINISHED", "EXECUTION_DISARMED"},
    "EXECUTION_QUEUED": {"EXECUTION_QUEUED", "EXECUTION_STARTED", "EXECUTION_FINISHED"},
    "EXECUTION_STARTED": {"EXECUTION_RETRYING", "EXECUTION_FINISHED"},
    "EXECUTION_RETRYING": {"EXECUTION_STARTED", "EXECUTION_FINISHED"},
    "EXECUTION_FINISHED": {"EXECUTION_DEAD_LETTERED", "EXECUTION_REDELIVERED"},
    "EXECUTION_DEAD_LETTERED": {"EXECUTION_REDELIVERED"},
    "EXECUTION_REDELIVERED": {"EXECUTION_QUEUED", "EXECUTION_STARTED", "EXECUTION_FINISHED"},
    "EXECUTION_DISARMED": set(),
}
"""What may follow what in the journal's entries of one execution."""

names = st.sampled_from(NAMES)
rules = st.sampled_from(RULES)
overlaps = st.sampled_from(["SKIP", "BUFFER_ONE", "BUFFER_ALL", "CANCEL_OTHER", "TERMINATE_OTHER", "ALLOW_ALL"])
policies = st.builds(
    Policy,
    overlap=overlaps,
    catch_up=st.sampled_from(["NONE", "LATEST", "EARLIEST", "ALL"]),
    window=st.sampled_from([None, 20 * MINUTE]),
    attempts=st.sampled_from([1, 1, 2, 3]),
    delivery=st.sampled_from(["AT_LEAST_ONCE", "AT_MOST_ONCE"]),
    max_runs=st.sampled_from([0, 0, 1, 3]),
    failures=st.sampled_from([0, 0, 1, 2]),
).map(lambda policy: policy if policy.catch_up != "ALL" or policy.window else replace(policy, window=20 * MINUTE))
etags = st.sampled_from(["none", "none", "none", "seen", "stale"])
flags = st.booleans()
answers = st.sampled_from(["SUCCEEDED", "FAILED", "HANG"])
short = st.integers(1, 300).map(lambda n: n * SECOND)
spans = st.one_of(short, st.sampled_from([HOUR, 3 * HOUR]))


@dataclass
class Answering(HandTarget):
    """Answers by the schedule's name, or, where that says HANG, when somebody lets it."""

    answers_by_name: dict[str, str] = field(default_factory=dict)
    hanging: dict[int, asyncio.Future[AttemptResult]] = field(default_factory=dict)

    async def deliver(self, request: DeliveryRequest) -> AttemptResult:
        self.requests.append((self.clock.now_us(), request))
        answer = self.answers_by_name.get(request.schedule.schedule, "SUCCEEDED")
        if answer != "HANG":
            return ANSWERS[answer]
        self.hanging[request.execution_id] = asyncio.get_running_loop().create_future()
        try:
            return await self.hanging[request.execution_id]
        finally:
            del self.hanging[request.execution_id]


def named(name: str) -> ScheduleName:
    return ScheduleName(group="default", schedule=name)


def draft(name: str, its: Rule, policy: Policy) -> Schedule:
    return Schedule(name=named(name), when=when_of(its), target=HttpTarget(url=f"http://{name}/"), policies=policies_of(policy))


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
        self.model = Model(START_US)
        self.model.answers = self.target.answers_by_name
        self.standings: dict[int, Standing] = {}
        self.repetitions: list[Repetition] = []
        self.marks = 0
        self.sequence = 0
        self.last: dict[int, str] = {}
        self.armed: set[tuple[int, str, int]] = set()
        self.left_out: dict[int, dict[int, str]] = {}
        self.stack = AsyncExitStack()

    @initialize(its=rules, drafts=st.tuples(policies, policies), answer=answers)
    def begin(self, its: Rule, drafts: tuple[Policy, Policy], answer: str) -> None:
        self.do(self.start())
        self.do(self.rig.calendars.create(Calendar(name="closed", entries=(DateEntry(date="2026-01-03"),)), Asking(actor="test")))
        self.model.closed = {START_US // DAY + 2}
        self.create_many([("ant", RULES[0], drafts[0]), ("bee", its, drafts[1])])
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
        self.model.settle()
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
        standing = self.model.by_name.get(name)
        generation = 1 if standing is None else standing.generation
        return {"none": None, "seen": generation, "stale": generation + 1}[etag]

    def remember(self, answer: list[Schedule] | tuple[Schedule, ...] | None) -> None:
        for schedule in answer or ():
            self.standings[schedule.uid] = self.model.by_name[schedule.name.schedule]

    @rule(name=names, its=rules, policy=policies, marked=flags)
    def create(self, name: str, its: Rule, policy: Policy, marked: bool) -> None:
        schedule = draft(name, its, policy)
        made = self.call(
            lambda: self.model.create([(name, its, policy)]), lambda asking: self.rig.schedules.create(schedule, asking), marked=marked
        )
        self.remember(made and [made])

    @rule(drafts=st.lists(st.tuples(names, rules, policies), min_size=1, max_size=3))
    def creates(self, drafts: list[tuple[str, Rule, Policy]]) -> None:
        self.create_many(drafts)

    def create_many(self, drafts: list[tuple[str, Rule, Policy]]) -> None:
        schedules = [draft(*each) for each in drafts]
        self.remember(self.call(lambda: self.model.create(drafts), lambda asking: self.rig.schedules.create_many(schedules, asking)))

    @rule(name=names, its=rules, etag=etags, marked=flags)
    def update_rule(self, name: str, its: Rule, etag: str, marked: bool) -> None:
        seen = self.seen(name, etag)
        self.call(
            lambda: self.model.update(name, seen, rule=its),
            lambda asking: self.rig.schedules.update(named(name), lambda it: replace(it, when=when_of(its)), asking),
            generation=seen,
            marked=marked,
        )

    @rule(name=names, policy=policies, etag=etags)
    def update_policies(self, name: str, policy: Policy, etag: str) -> None:
        seen = self.seen(name, etag)
        self.call(
            lambda: self.model.update(name, seen, policy=policy),
            lambda asking: self.rig.schedules.update(named(name), lambda it: replace(it, policies=policies_of(policy)), asking),
            generation=seen,
        )

    @rule(name=names, text=st.sampled_from(["", "a", "b"]))
    def describe(self, name: str, text: str) -> None:
        self.call(
            lambda: self.model.update(name, None, text=text),
            lambda asking: self.rig.schedules.update(named(name), lambda it: replace(it, description=text), asking),
        )

    @rule(name=names, etag=etags, marked=flags)
    def delete(self, name: str, etag: str, marked: bool) -> None:
        seen = self.seen(name, etag)
        self.call(
            lambda: self.model.delete(name, seen),
            lambda asking: self.rig.schedules.delete(named(name), asking),
            generation=seen,
            marked=marked,
        )

    @rule(name=names, etag=etags)
    def undelete(self, name: str, etag: str) -> None:
        seen = self.seen(name, etag)
        self.call(lambda: self.model.undelete(name, seen), lambda asking: self.rig.schedules.undelete(named(name), asking), generation=seen)

    @rule(name=names, etag=etags, minutes=st.sampled_from([None, None, -1, 3, 45, 200]), marked=flags)
    def pause(self, name: str, etag: str, minutes: int | None, marked: bool) -> None:
        seen, end = self.seen(name, etag), None
        if minutes is not None:
            end = self.clock.now_us() + minutes * MINUTE + 800_000
        self.call(
            lambda: self.model.pause(name, seen, end),
            lambda asking: self.rig.pauses.pause(named(name), asking, until_us=end),
            generation=seen,
            marked=marked,
        )

    @rule(name=names, etag=etags, marked=flags)
    def resume(self, name: str, etag: str, marked: bool) -> None:
        seen = self.seen(name, etag)
        self.call(
            lambda: self.model.resume(name, seen),
            lambda asking: self.rig.pauses.resume(named(name), asking),
            generation=seen,
            marked=marked,
        )

    @rule(operation=st.sampled_from([Operation.PAUSE, Operation.RESUME, Operation.DELETE, Operation.UNDELETE]))
    def operate(self, operation: Operation) -> None:
        each: dict[Operation, Callable[[str], None]] = {
            Operation.PAUSE: lambda name: self.model.pause(name, None, None),
            Operation.RESUME: lambda name: self.model.resume(name, None),
            Operation.DELETE: lambda name: self.model.delete(name, None),
            Operation.UNDELETE: lambda name: self.model.undelete(name, None),
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
        self.model.settle()

    @rule(name=names, marked=flags)
    def trigger(self, name: str, marked: bool) -> None:
        self.call(lambda: self.model.trigger(name), lambda asking: self.rig.schedules.trigger(named(name), asking), marked=marked)

    @rule(name=names, hours_ago=st.sampled_from([0.1, 1, 3, 30, -1]), count=st.integers(0, 4), overlap=overlaps)
    def backfill(self, name: str, hours_ago: float, count: int, overlap: str) -> None:
        start = self.clock.now_us() - int(hours_ago * HOUR)
        standing = self.model.by_name.get(name)
        end = min(start + count * (standing.rule.every if standing else HOUR), self.clock.now_us())
        asked = BackfillDraft(start_us=start, end_us=end, overlap=Overlap(overlap), rate_per_second=1000)
        self.call(
            lambda: self.model.backfill(name, start, end, overlap), lambda asking: self.rig.backfills.start(named(name), asked, asking)
        )
        self.passes(SECOND)

    @precondition(lambda self: any(standing.runs for standing in self.model.all))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run, found = self.drawn(data)
        self.call(
            lambda: self.model.cancel(run),
            lambda asking: self.executions.cancel(named("-"), found, actor=asking.actor),
        )

    @precondition(lambda self: any(standing.runs for standing in self.model.all))
    @rule(data=st.data())
    def redeliver(self, data: st.DataObject) -> None:
        run, found = self.drawn(data)
        assume(run.attempt or run.cause != "BACKFILL")  # Its overlap policy has ended with the backfill.
        self.call(lambda: self.model.redeliver(run), lambda asking: self.letters.redeliver((named("-"), found), asking))

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
        new = {START_US // DAY + day - 1 for day in days | {9}}
        if new == self.model.closed:
            return
        self.call(
            lambda: self.model.close_days(new),
            lambda asking: self.rig.calendars.update("closed", lambda it: replace(it, entries=entries), asking),
        )

    # Targets and time

    @rule(name=names, answer=answers)
    def answer(self, name: str, answer: str) -> None:
        self.target.answers_by_name[name] = answer

    @precondition(lambda self: self.target.hanging)
    @rule(data=st.data(), answer=st.sampled_from(["SUCCEEDED", "FAILED"]))
    def release(self, data: st.DataObject, answer: str) -> None:
        hanging = [run for it in self.model.all for run in it.runs if run.state == "RUNNING"]
        run = data.draw(st.integers(0, len(hanging) - 1).map(hanging.__getitem__), label="run")
        self.model.conclude(run, answer)
        self.model.settle()
        self.target.hanging[self.do(self.ids())[key_of(self.uid(run.schedule), run)]].set_result(ANSWERS[answer])
        self.do(self.rig.settle())

    @rule(by=st.one_of(short, short, st.just(HOUR)))
    def passes(self, by: int) -> None:
        self.model.advance(self.clock.now_us() + by)
        self.do(self.rig.run_until((self.clock.now_us() + by - START_US) / SECOND))

    @rule()
    def passes_to_just_before_the_next(self) -> None:
        instants = [at for at in self.model.instants() if self.clock.now_us() < at < self.clock.now_us() + HOUR]
        assume(instants)
        to = min(instants) // SECOND * SECOND + 750_000
        assume(to > self.clock.now_us())
        self.passes(to - self.clock.now_us())

    def calm(self) -> None:
        """What ends at the very instant at which the overdue is planned may count or not: let nothing of these end."""
        for standing in self.model.all:
            policy = standing.policy
            if policy.failures or policy.max_runs or any(run.policy.failures or run.policy.max_runs for run in standing.open()):
                self.target.answers_by_name[standing.name] = "HANG"

    @rule(by=spans, stepped=flags)
    def leaps(self, by: int, stepped: bool) -> None:
        self.calm()
        self.model.leap(self.clock.now_us() + by, stepped=stepped)
        (self.clock.step if stepped else self.clock.suspend)(by)
        self.do(self.rig.settle())

    @rule(by=st.one_of(st.just(0), spans))
    def restarts(self, by: int) -> None:
        cut_off = [run.schedule.policy for it in self.model.all for run in it.runs if run.state == "RUNNING"]
        # The last run of a limit may end with the restart: its schedule is then completed at once, or at its next instant.
        assume(not any(policy.delivery == "AT_MOST_ONCE" and policy.max_runs for policy in cut_off))
        self.calm()
        self.do(self.stack.aclose())
        self.clock.move(by)
        self.model.restart(self.clock.now_us())
        self.do(self.start())

    # What has to hold

    def uid(self, standing: Standing) -> int:
        return next(uid for uid, each in self.standings.items() if each is standing)

    def drawn(self, data: st.DataObject) -> tuple[Run, int]:
        runs = [run for it in self.model.all for run in it.runs]
        run = data.draw(st.integers(0, len(runs) - 1).map(lambda place: runs[-1 - place]), label="run")
        return run, self.do(self.ids())[key_of(self.uid(run.schedule), run)]

    async def ids(self) -> dict[tuple[int, str, int], int]:
        return {key_of(run.schedule_uid, run): run.id for run in await self.stored()}

    async def stored(self) -> list[Any]:
        found: list[Any] = []
        after: tuple[str | int, ...] = ()
        while True:
            page = await self.rig.store.find_executions((), Order(field="execution"), PageRequest(size=1000, after=after))
            found += page.items
            after = page.after
            if not after:
                return found

    @invariant()
    def schedules_are_as_expected(self) -> None:
        found = self.do(self.rig.store.schedules_by_uid(list(self.standings)))
        states = {(it.uid, it.state.value, it.generation) for it in found}
        expected = {(uid, it.state, it.generation) for uid, it in self.standings.items()}
        assert states == expected, f"{states - expected}; expected: {expected - states}"
        for uid, it in self.standings.items():
            if it.policy.max_runs:
                ran = self.rig.engine.endings.ran(uid)
                assert ran == it.ran, f"{it.name} ran {ran} times; expected: {it.ran}"

    @invariant()
    def runs_are_as_expected(self) -> None:
        found = {
            key_of(run.schedule_uid, run): (run.state.value, run.outcome and run.outcome.value, run.reason.value, run.attempt)
            for run in self.do(self.stored())
        }
        expected = {
            key_of(uid, run): (run.state, run.outcome, run.reason, run.attempt) for uid, it in self.standings.items() for run in it.runs
        }
        wrong = dict(found.items() - expected.items())
        assert found == expected, f"{wrong}; expected: {dict(expected.items() - found.items())}"

    @invariant()
    def journal_is_in_order_and_tells_of_what_was_left_out(self) -> None:
        while entries := self.do(self.rig.store.journal(after=self.sequence, limit=1000)):
            for entry in entries:
                assert entry.sequence == self.sequence + 1, "the journal has a gap"
                self.sequence = entry.sequence
                self.read(entry)
        expected = {(uid, at, reason) for uid, it in self.standings.items() for at, reason in it.left_out.items()}
        found = {(uid, at, reason) for uid, left_out in self.left_out.items() for at, reason in left_out.items()}
        assert found == expected, f"{sorted(found - expected)}; expected: {sorted(expected - found)}"

    def read(self, entry: JournalEntry) -> None:
        if entry.execution is not None:
            kind = entry.kind.value
            before = self.last.get(entry.execution.id, "")
            assert kind in LAWFUL[before], f"{kind} after {before or 'nothing'}: {entry}"
            self.last[entry.execution.id] = kind
            key = key_of(entry.schedule_uid, entry.execution)
            if kind == "EXECUTION_ARMED":
                assert key not in self.armed, "it has two executions"
                self.armed.add(key)
            elif kind == "EXECUTION_DISARMED":
                self.armed.discard(key)
        elif entry.kind in (JournalKind.OCCURRENCES_MISSED, JournalKind.OCCURRENCES_SKIPPED) and "backfill" not in entry.evidence:
            self.read_range(entry)

    def read_range(self, entry: JournalEntry) -> None:
        standing = self.standings[entry.schedule_uid]
        told_of = self.left_out.setdefault(entry.schedule_uid, {})
        if entry.reason.value == "EXCLUDED":
            return
        first, last = int(entry.evidence["first_us"]), int(entry.evidence["last_us"])
        for at in [at for at, reason in standing.left_out.items() if first <= at <= last and reason == entry.reason.value]:
            # What max_runs has left out shortly before its time is decided anew if the schedule is changed by then.
            assert at not in told_of or at > entry.time_us, f"it is left out twice: {entry}"
            told_of[at] = entry.reason.value


def key_of(uid: int, run: Any) -> tuple[int, str, int]:
    return (uid, str(run.cause), run.nominal_us if hasattr(run, "nominal_us") else run.nominal)


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
    run_state_machine_as_test(ServiceMachine, settings=walking(12, same_each_time=True))


@pytest.mark.soak
def test_many_more_calls_in_any_order_leave_the_service_as_the_model_has_it() -> None:
    run_state_machine_as_test(ServiceMachine, settings=walking(400, same_each_time=False))
