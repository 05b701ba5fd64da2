"""What outlives the daemon: adopted, ended, or lost, by the recovery and the delivery policy; the survivors are the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from schedd.core.model.execution import AttemptResult, DeliveryRequest, Execution, ExecutionState, Survivor
from schedd.core.model.journal import JournalKind as K
from schedd.core.model.policy import Concurrency, Delivery, Overlap, Policies, Recovery, Retry
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget, ProcessTarget, Target
from schedd.core.model.when import Expression, When
from schedd.service.asking import Asking
from tests.engine.rig import SECOND, START_US, HandClock, HandTarget, Rig, running

CODE_7 = AttemptResult(outcome=Outcome.FAILED, reason=Reason.EXIT_CODE, code=7, message="exited with code 7", output=b"done\n")
DONE = AttemptResult(outcome=Outcome.SUCCEEDED, reason=Reason.COMPLETED, code=0)
ENDED = AttemptResult(outcome=Outcome.FAILED, reason=Reason.INTERRUPTED, message="it had outlived the daemon")
ONCE = Retry(max_attempts=1)


@dataclass
class HandSurvivors:
    """Has what the test says, and tells `answer` of it when it is let go, or ENDED if it was ended."""

    found: list[Survivor] = field(default_factory=list)
    answer: AttemptResult = DONE
    expected: set[tuple[int, int]] = field(default_factory=set)
    adopted: list[DeliveryRequest] = field(default_factory=list)
    ended: list[Survivor] = field(default_factory=list)
    discarded: list[Survivor] = field(default_factory=list)
    cancelled: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def survivors(self, expected: Collection[tuple[int, int]]) -> Sequence[Survivor]:
        self.expected = set(expected)
        return self.found

    async def adopt(self, request: DeliveryRequest) -> AttemptResult:
        if not any((each.execution_id, each.attempt) == (request.execution_id, request.attempt) for each in self.found):
            raise LookupError("it was not found, or was discarded")
        self.adopted.append(request)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return ENDED if self.ended else self.answer

    def end(self, survivor: Survivor) -> None:
        self.ended.append(survivor)

    def discard(self, survivor: Survivor) -> None:
        self.discarded.append(survivor)
        self.found = [each for each in self.found if each is not survivor]


@dataclass
class Cut:
    """A database whose daemon was killed, the clock, and what the next daemon finds."""

    path: Path
    clock: HandClock = field(default_factory=HandClock)
    survivors: HandSurvivors = field(default_factory=HandSurvivors)
    execution: Execution | None = None

    @property
    def id(self) -> int:
        assert self.execution is not None
        return self.execution.id

    @asynccontextmanager
    async def daemon(self, *, holding: bool = False) -> AsyncIterator[Rig]:
        target = HandTarget(self.clock, hold=asyncio.Event() if holding else None)
        async with running(self.path, clock=self.clock, target=target, commands=target, survivors=self.survivors) as rig:
            await rig.settle()
            yield rig

    async def killed(self, policies: Policies, *, at: float = 61, target: Target | None = None) -> None:
        """Run a minutely schedule, whose attempts never end, until then."""
        async with self.daemon(holding=True) as rig:
            draft = Schedule(
                name=ScheduleName(group="default", schedule="job"),
                when=When(triggers=(Expression(text="rate(1 minute)"),)),
                target=target or ProcessTarget(argv=("true",)),
                policies=policies,
            )
            await rig.schedules.create(draft, Asking(actor="test"))
            await rig.run_until(at)
            self.execution = (await executions(rig))[0]

    def survives(self, attempt: int = 1, *, pid: int = 4711, age_s: float = 1, ended: bool = False) -> Survivor:
        survivor = Survivor(self.id, attempt, pid, int(age_s * SECOND), ended)
        self.survivors.found.append(survivor)
        return survivor


@pytest.fixture
def cut(tmp_path: Path) -> Cut:
    return Cut(tmp_path / "db")


async def executions(rig: Rig) -> list[Execution]:
    return list((await rig.store.find_executions((), Order(field="nominal_time"), PageRequest(size=100))).items)


async def let_go(rig: Rig, cut: Cut) -> Execution:
    cut.survivors.go.set()
    await rig.settle()
    return await rig.store.execution(cut.id)


async def test_adopted_attempt_goes_on_and_its_result_is_the_execution_s(cut: Cut) -> None:
    await cut.killed(Policies(retry=ONCE))
    cut.survives(age_s=0.5)
    cut.survivors.answer = CODE_7
    async with cut.daemon() as rig:
        standing = await rig.store.execution(cut.id)
        assert (standing.state, standing.attempt, standing.reason) == (ExecutionState.RUNNING, 1, Reason.RECOVERED)
        (entry,) = await rig.journal(K.EXECUTION_ADOPTED)
        assert (entry.reason, entry.attempt, entry.evidence["pid"]) == (Reason.RECOVERED, 1, 4711)
        assert entry.evidence["started_us"] == cut.clock.now_us() - SECOND // 2
        ended = await let_go(rig, cut)
        assert (ended.outcome, ended.reason, ended.attempt) == (Outcome.FAILED, Reason.EXIT_CODE, 1)
        (attempt,) = await rig.store.attempts(cut.id)
        assert attempt.result == CODE_7
        assert attempt.started_us == entry.evidence["started_us"]
        assert rig.target.requests == []
        assert len(await rig.journal(K.EXECUTION_STARTED)) == 1


async def test_adopted_attempt_that_fails_is_retried_by_the_policy(cut: Cut) -> None:
    await cut.killed(Policies())
    cut.survives()
    cut.survivors.answer = CODE_7
    async with cut.daemon() as rig:
        retried = await let_go(rig, cut)
        assert (retried.state, retried.attempt) == (ExecutionState.WAITING_RETRY, 1)


async def test_adopted_execution_counts_as_running_for_the_overlap_policy(cut: Cut) -> None:
    await cut.killed(Policies(overlap=Overlap.SKIP))
    cut.survives()
    async with cut.daemon() as rig:
        await rig.run_until(121)
        (_, second) = await executions(rig)
        assert (second.outcome, second.reason) == (Outcome.SKIPPED, Reason.OVERLAP)


@pytest.mark.parametrize("overlap", [Overlap.CANCEL_OTHER, Overlap.TERMINATE_OTHER])
async def test_adopted_execution_gives_way_to_what_is_due_when_the_daemon_starts(cut: Cut, overlap: Overlap) -> None:
    await cut.killed(Policies(overlap=overlap), at=119.8)
    cut.survives()
    cut.clock.move(SECOND // 4)
    async with cut.daemon() as rig:
        first, second = await executions(rig)
        assert (first.outcome, first.reason, cut.survivors.cancelled) == (Outcome.CANCELLED, Reason.OVERLAP_CANCELLED, 1)
        assert (second.outcome, rig.engine.dispatcher.running) == (Outcome.SUCCEEDED, 0)


async def test_adopted_execution_takes_its_place_under_its_key_until_it_ends(cut: Cut) -> None:
    key = Concurrency(key="disk", limit=1)
    await cut.killed(Policies(concurrency=key, overlap=Overlap.ALLOW_ALL))
    cut.survives()
    async with cut.daemon() as rig:
        await rig.run_until(121)
        (_, second) = await executions(rig)
        assert (second.state, second.reason) == (ExecutionState.QUEUED, Reason.CONCURRENCY)
        assert rig.engine.dispatcher.running == 1
        await let_go(rig, cut)
        (_, second) = await executions(rig)
        assert second.outcome is Outcome.SUCCEEDED
        assert rig.engine.dispatcher.running == 0


async def test_adopted_execution_is_cancelled_like_any_other(cut: Cut) -> None:
    await cut.killed(Policies())
    cut.survives()
    async with cut.daemon() as rig:
        assert await rig.engine.cancel(cut.id, actor="somebody")
        ended = await rig.store.execution(cut.id)
        assert (ended.outcome, ended.reason) == (Outcome.CANCELLED, Reason.CANCELLED)
        assert cut.survivors.cancelled == 1


@pytest.mark.parametrize("delivery", Delivery)
async def test_start_that_was_not_recorded_is_adopted_and_not_made_again(cut: Cut, delivery: Delivery) -> None:
    await cut.killed(Policies(delivery=delivery), at=59.9)
    assert cut.execution is not None
    assert cut.execution.state is ExecutionState.ARMED
    cut.clock.move(2 * SECOND)
    cut.survives(age_s=1.5)
    async with cut.daemon() as rig:
        assert (cut.id, 1) in cut.survivors.expected
        standing = await rig.store.execution(cut.id)
        assert (standing.state, standing.attempt, standing.started_us) == (ExecutionState.RUNNING, 1, START_US + int(60.4 * SECOND))
        kinds = [entry.kind for entry in await rig.journal(K.EXECUTION_STARTED, K.EXECUTION_ADOPTED)]
        assert kinds == [K.EXECUTION_STARTED, K.EXECUTION_ADOPTED]
        assert (await let_go(rig, cut)).outcome is Outcome.SUCCEEDED
        assert rig.target.requests == []


@pytest.mark.parametrize(
    ("delivery", "state", "outcome"),
    [
        (Delivery.AT_LEAST_ONCE, ExecutionState.RUNNING, None),
        (Delivery.AT_MOST_ONCE, ExecutionState.FINISHED, Outcome.UNKNOWN),
    ],
)
async def test_survivor_under_recovery_end_is_ended_before_the_delivery_policy_decides(
    cut: Cut, delivery: Delivery, state: ExecutionState, outcome: Outcome | None
) -> None:
    await cut.killed(Policies(recovery=Recovery.END, delivery=delivery))
    survivor = cut.survives()
    async with cut.daemon(holding=True) as rig:
        assert cut.survivors.ended == [survivor]
        assert rig.target.requests == []
        assert await rig.journal(K.EXECUTION_ADOPTED) == []
        after = await let_go(rig, cut)
        assert (after.state, after.outcome) == (state, outcome)
        assert len(rig.target.requests) == (outcome is None)
        assert (await rig.store.attempts(cut.id))[0].result == ENDED
        if outcome is not None:
            assert after.reason is Reason.INTERRUPTED


@pytest.mark.parametrize("delivery", Delivery)
async def test_process_that_cannot_be_found_again_is_lost(cut: Cut, delivery: Delivery) -> None:
    await cut.killed(Policies(delivery=delivery))
    async with cut.daemon() as rig:
        assert cut.survivors.expected == {(cut.id, 1), (cut.id, 2)}
        ended = await rig.store.execution(cut.id)
        (first, *others) = await rig.store.attempts(cut.id)
        assert (first.result.outcome, first.result.reason) == (Outcome.UNKNOWN, Reason.PROCESS_LOST)
        if delivery is Delivery.AT_MOST_ONCE:
            assert (ended.outcome, ended.reason, others) == (Outcome.UNKNOWN, Reason.PROCESS_LOST, [])
        else:
            assert (ended.outcome, ended.attempt) == (Outcome.SUCCEEDED, 2)


@pytest.mark.parametrize("at", [59.9, 61])
async def test_process_that_had_to_be_ended_was_interrupted_and_counts_as_an_attempt(cut: Cut, at: float) -> None:
    await cut.killed(Policies(), at=at)
    cut.survives(ended=True)
    cut.clock.move(SECOND)
    async with cut.daemon() as rig:
        first, second = await rig.store.attempts(cut.id)
        assert (first.number, first.result.reason, second.number) == (1, Reason.INTERRUPTED, 2)
        assert "was ended" in first.result.message
        assert cut.survivors.discarded == []


async def test_command_of_a_condition_is_discarded_and_the_execution_goes_on_as_armed(cut: Cut) -> None:
    await cut.killed(Policies(), at=59.9)
    asking = cut.survives(0)
    cut.clock.move(SECOND)
    async with cut.daemon() as rig:
        assert (cut.id, 0) in cut.survivors.expected
        assert cut.survivors.discarded == [asking]
        assert [request.attempt for _, request in rig.target.requests] == [1]


async def test_older_attempts_of_an_execution_and_those_of_nobody_are_discarded(cut: Cut) -> None:
    await cut.killed(Policies())
    older = cut.survives(1)
    newer = cut.survives(2)
    stranger = Survivor(1, 1, 1, 0)
    cut.survivors.found.append(stranger)
    async with cut.daemon() as rig:
        assert (await rig.store.execution(cut.id)).attempt == 2
        assert cut.survivors.discarded == [older, stranger]
        assert newer not in cut.survivors.ended
        assert [request.attempt for request in cut.survivors.adopted] == [2]


async def test_process_whose_schedule_calls_an_http_target_by_now_is_ended(cut: Cut) -> None:
    await cut.killed(Policies(retry=ONCE), target=HttpTarget(url="http://localhost/"))
    survivor = cut.survives()
    async with cut.daemon() as rig:
        assert cut.survivors.ended == [survivor]
        await let_go(rig, cut)
        assert [request.attempt for _, request in rig.target.requests] == [2]
