"""Circuit breakers: what becomes of executions whose target's host has failed too often."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from schedd.core.breaker import BreakerPolicy
from schedd.core.model.execution import AttemptResult, ExecutionState
from schedd.core.model.journal import JournalKind
from schedd.core.model.policy import Hold, Overlap, Policies, Retry
from schedd.core.model.query import PageRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.engine.engine import EngineSettings
from schedd.engine.limits import AttemptLimits
from tests.engine.hosts import Hosts, executions, queued, told
from tests.engine.rig import BROKEN, SECOND, START_US, HandClock, running

URL = "http://sick/"
HOST = "http://sick:80"
OTHER = "http://other/"
ONCE = Retry(max_attempts=1)
BREAKER = BreakerPolicy(window=timedelta(seconds=60), min_calls=3, failure_rate=0.5, open_time=timedelta(seconds=30), probes=2)
SETTINGS = EngineSettings(breaker=BREAKER)
CIRCUITS = (JournalKind.CIRCUIT_OPENED, JournalKind.CIRCUIT_HALF_OPENED, JournalKind.CIRCUIT_CLOSED)
HELD = (ExecutionState.QUEUED, None, Reason.CIRCUIT_OPEN)
SKIPPED = (ExecutionState.FINISHED, Outcome.SKIPPED, Reason.CIRCUIT_OPEN)
FAILED = (ExecutionState.FINISHED, Outcome.FAILED, Reason.HTTP_STATUS)
RUNS = (ExecutionState.RUNNING, None, Reason.NONE)
NO_ROOM = AttemptResult(outcome=Outcome.FAILED, reason=Reason.HTTP_STATUS, code=429)
NOT_FOUND = AttemptResult(outcome=Outcome.FAILED, reason=Reason.HTTP_STATUS, code=404)


async def test_host_that_fails_too_often_is_not_called_until_its_open_time_is_over(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: BROKEN})
    async with running(tmp_path / "db", clock=clock, target=target, settings=SETTINGS) as rig:
        await rig.create("@every 10s", name="a", policies=Policies(retry=ONCE), url=URL)
        await rig.create("@every 10s", name="b", url=OTHER)
        await rig.run_until(45)
        assert target.called() == ["a", "b"] * 3 + ["b"]
        (waiting,) = [each for each in await told(rig) if each[1] is ExecutionState.QUEUED]
        assert waiting == ("a", *HELD)
        (entry,) = await queued(rig)
        assert entry.evidence == {"host": HOST, "probe_us": START_US + 60 * SECOND}
        (opened,) = await rig.journal(*CIRCUITS)
        assert (opened.kind, opened.schedule) == (JournalKind.CIRCUIT_OPENED, None)
        assert opened.evidence == {"host": HOST, "failure_rate": 1.0, "probe_us": START_US + 60 * SECOND}
        await rig.run_until(59)
        assert target.called().count("a") == 3
        target.says.clear()
        await rig.run_until(60.1)
        assert target.called().count("a") >= 4
        assert [each.kind for each in await rig.journal(*CIRCUITS)] == list(CIRCUITS)


async def test_failing_probe_opens_the_circuit_again(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: NO_ROOM})
    async with running(tmp_path / "db", clock=clock, target=target, settings=SETTINGS) as rig:
        await rig.create("@every 10s", name="a", policies=Policies(retry=ONCE), url=URL)
        await rig.run_until(89)
        assert target.called() == ["a"] * 4
        opened, half, again = await rig.journal(*CIRCUITS)
        assert [each.kind for each in (opened, half, again)] == [
            JournalKind.CIRCUIT_OPENED,
            JournalKind.CIRCUIT_HALF_OPENED,
            JournalKind.CIRCUIT_OPENED,
        ]
        (circuit,) = rig.engine.status().circuits
        assert (circuit.host, circuit.half_open, circuit.failure_rate) == (HOST, False, 1.0)
        assert circuit.opened_us == START_US + 30 * SECOND
        assert circuit.probe_us == START_US + 90 * SECOND
        assert circuit.held == 1


async def test_half_open_circuit_lets_a_few_probes_through_at_a_time(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: BROKEN})
    async with running(tmp_path / "db", clock=clock, target=target, settings=SETTINGS) as rig:
        for name in "abcde":
            await rig.create("@every 10s", name=name, policies=Policies(retry=ONCE), url=URL)
        await rig.run_until(35)
        called = len(target.requests)
        target.hung.add(URL)
        await rig.run_until(45)
        assert len(target.requests) == called + 2
        assert [each[1:] for each in await told(rig)].count(RUNS) == 2
        assert rig.engine.status().circuits[0].half_open
        target.says.clear()
        target.hung.clear()
        target.let_go()
        await rig.settle()
        assert rig.engine.status().circuits == ()
        assert not [each for each in await told(rig) if each[1] is ExecutionState.QUEUED]


async def test_policy_skips_what_an_open_circuit_holds_back_also_what_waits_for_the_host_already(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: BROKEN}, hung={URL})
    settings = EngineSettings(breaker=replace(BREAKER, min_calls=1), limits=AttemptLimits(per_host=3))
    skip = Policies(retry=ONCE, circuit_open=Hold.SKIP)
    async with running(tmp_path / "db", clock=clock, target=target, settings=settings) as rig:
        for name in "abcd":
            await rig.create("@every 20s", name=name, policies=skip, url=URL)
        await rig.run_until(25)
        assert [each[1:] for each in await told(rig)] == [RUNS, RUNS, RUNS, (ExecutionState.QUEUED, None, Reason.CONCURRENCY)]
        target.let_go()
        await rig.settle()
        assert await told(rig) == [("a", *FAILED), ("b", *FAILED), ("c", *FAILED), ("d", *SKIPPED)]
        await rig.run_until(41)
        assert [each[1:] for each in await told(rig)].count(SKIPPED) == 5
        end = (await rig.journal(JournalKind.EXECUTION_FINISHED))[-1]
        assert end.evidence == {"host": HOST, "probe_us": START_US + 55 * SECOND}


async def test_answers_that_a_host_gives_in_health_open_nothing(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: NOT_FOUND})
    async with running(tmp_path / "db", clock=clock, target=target, settings=SETTINGS) as rig:
        await rig.create("@every 5s", name="a", policies=Policies(retry=ONCE), url=URL)
        await rig.run_until(61)
        assert len(target.requests) == 12
        assert await rig.journal(*CIRCUITS) == []


async def test_calls_begun_before_the_circuit_opened_say_nothing_of_the_probes(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: BROKEN}, hung={URL})
    async with running(tmp_path / "db", clock=clock, target=target, settings=SETTINGS) as rig:
        policies = Policies(retry=ONCE, overlap=Overlap.ALLOW_ALL)
        await rig.create("@every 5s", name="old", policies=policies, url=URL)
        await rig.run_until(11)
        target.hung.clear()
        await rig.run_until(26)  # Three more fail at once: the circuit opens at 25 s, with two from before still under way.
        assert [each.kind for each in await rig.journal(*CIRCUITS)] == [JournalKind.CIRCUIT_OPENED]
        target.hung.add(URL)
        await rig.run_until(56)
        assert rig.engine.status().circuits[0].half_open
        assert rig.engine.dispatcher.running == 4
        target.says[URL] = BROKEN
        stale = [run for run in rig.engine.runs if run.started_us is not None and run.started_us < START_US + 20 * SECOND]
        assert len(stale) == 2
        for run in stale:
            await rig.engine.cancel(run.id, actor="ann")
        await rig.settle()
        assert rig.engine.dispatcher.running == 2, "they were no probes: none comes in their stead"
        assert rig.engine.status().circuits[0].half_open


async def test_circuit_is_closed_after_a_restart_and_what_it_held_runs(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=Hosts(clock, says={URL: BROKEN}), settings=SETTINGS) as rig:
        await rig.create("@every 10s", name="a", policies=Policies(retry=ONCE), url=URL)
        await rig.run_until(41)
        held = (await executions(rig))[-1]
        assert held.reason is Reason.CIRCUIT_OPEN
    target = Hosts(clock)
    async with running(tmp_path / "db", clock=clock, target=target, settings=SETTINGS) as rig:
        await rig.settle()
        assert target.requests[0][1].execution_id == held.id
        assert rig.engine.status().circuits == ()


async def test_clock_step_moves_no_probe(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: BROKEN})
    async with running(tmp_path / "db", clock=clock, target=target, settings=SETTINGS) as rig:
        await rig.create("@every 10s", name="a", policies=Policies(retry=ONCE), url=URL)
        await rig.run_until(31)
        clock.step(-3600 * SECOND)
        await rig.settle()
        await rig.run_until(31 - 3600 + 28)
        assert await rig.journal(JournalKind.CIRCUIT_HALF_OPENED) == []
        await rig.run_until(31 - 3600 + 30)
        (half,) = await rig.journal(JournalKind.CIRCUIT_HALF_OPENED)
        assert half.time_us == START_US + (60 - 3600) * SECOND


async def test_engine_without_a_breaker_calls_on(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: BROKEN})
    async with running(tmp_path / "db", clock=clock, target=target, settings=EngineSettings(breaker=None)) as rig:
        await rig.create("@every 1s", name="a", policies=Policies(retry=ONCE), url=URL)
        await rig.run_until(40.5)
        assert len(target.requests) == 40


async def test_host_that_is_called_too_seldom_for_a_judgement_stays_closed(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: BROKEN})
    async with running(tmp_path / "db", clock=clock, target=target, settings=SETTINGS) as rig:
        await rig.create("@every 40s", name="a", policies=Policies(retry=ONCE), url=URL)
        await rig.run_until(130)
        assert await rig.journal(*CIRCUITS) == [], "never three calls within the window"


async def test_retry_that_waits_for_a_circuit_past_its_max_age_becomes_a_dead_letter(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: BROKEN})
    settings = EngineSettings(breaker=replace(BREAKER, open_time=timedelta(hours=1)))
    retry = Retry(max_attempts=4, min_backoff=timedelta(seconds=1), max_age=timedelta(minutes=2), jitter=0)
    async with running(tmp_path / "db", clock=clock, target=target, settings=settings) as rig:
        await rig.create("rate(10 minutes)", name="a", policies=Policies(retry=retry), url=URL)
        await rig.run_until(600 + 125)
        ((_, state, outcome, reason),) = await told(rig)
        assert (state, outcome, reason) == (ExecutionState.FINISHED, Outcome.FAILED, Reason.RETRY_MAX_AGE)
        (letter,) = (await rig.store.find_dead_letters((), descending=False, page=PageRequest(size=10))).items
        assert letter.last_attempt is not None
        assert letter.last_attempt.number == 3
        assert letter.request is not None


async def test_more_than_may_be_held_are_skipped_but_for_retries(tmp_path: Path) -> None:
    clock = HandClock()
    target = Hosts(clock, says={URL: BROKEN})
    settings = EngineSettings(breaker=replace(BREAKER, open_time=timedelta(hours=1)), limits=AttemptLimits(held=2))
    retry = Retry(max_attempts=2, min_backoff=timedelta(seconds=20), jitter=0)
    async with running(tmp_path / "db", clock=clock, target=target, settings=settings) as rig:
        for name in "abc":
            await rig.create("rate(10 minutes)", name=name, policies=Policies(retry=retry), url=URL)
        await rig.run_until(610)
        for name in "de":
            await rig.create("at(2026-01-01T00:10:30)", name=name, policies=Policies(retry=retry), url=URL)
        await rig.run_until(640)
        held = [each for each in await told(rig) if each[1] is ExecutionState.QUEUED]
        assert held == [("a", *HELD), ("b", *HELD), ("c", *HELD)]
        assert {each for each in await told(rig) if each[1] is ExecutionState.FINISHED} == {("d", *SKIPPED), ("e", *SKIPPED)}
