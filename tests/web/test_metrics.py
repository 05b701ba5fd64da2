"""What the metrics say of an engine: its state at each scrape, and what has happened since the start."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from schedd.core.breaker import BreakerPolicy
from schedd.core.model.execution import Cause
from schedd.core.model.journal import ExecutionFacts, JournalEntry, JournalKind
from schedd.core.model.policy import Policies, Retry
from schedd.engine.engine import EngineSettings
from schedd.service.asking import Asking
from schedd.web.tally import LATENESS_BOUNDS_US, OTHER, HostLabels, Tally
from tests.engine.hosts import Hosts
from tests.engine.rig import BROKEN, SECOND, START_US, HandClock, HandTarget, Rig, running
from tests.web.scraping import Scrape, scraped

URL = "http://sick/"
HOST = "http://sick:80"
ONCE = Retry(max_attempts=1)
SETTINGS = EngineSettings(breaker=BreakerPolicy(window=timedelta(seconds=60), min_calls=3, open_time=timedelta(seconds=30)))
EAGER = EngineSettings(breaker=BreakerPolicy(min_calls=1))
OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"
_ROW = re.compile(r"^\| `(schedd_\w+)` \| (gauge|counter|histogram) \|([^|]*)\|", re.MULTILINE)


@pytest.fixture
async def sick(tmp_path: Path) -> AsyncIterator[Rig]:
    """An engine whose one schedule calls a host that fails."""
    clock = HandClock()
    async with running(tmp_path / "db", clock=clock, target=Hosts(clock, says={URL: BROKEN}), settings=SETTINGS) as rig:
        await rig.create("@every 10s", name="a", policies=Policies(retry=ONCE), url=URL)
        yield rig


def documented() -> dict[str, tuple[str, set[str]]]:
    """The type and the labels of each metric in the operators' table."""
    rows = _ROW.findall(OPERATIONS.read_text())
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def exposed(scrape: Scrape) -> dict[str, tuple[str, set[str]]]:
    """The same of what was scraped."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in scrape.families
    }


async def test_metrics_are_those_of_the_documentation_with_their_types_and_labels(sick: Rig) -> None:
    async with scraped(sick) as web:
        await sick.run_until(45)
        paused = await sick.create("@every 10s", name="b")
        await sick.pauses.pause(paused.name, Asking(actor="ann"))
        await sick.run_until(75)
        await sick.pauses.resume(paused.name, Asking(actor="ann"))
        await sick.settle()
        assert exposed(await web.scrape()) == documented()


async def test_circuit_that_opens_half_opens_and_closes_shows_in_the_metrics(sick: Rig) -> None:
    async with scraped(sick) as web:
        assert (await web.scrape()).series("schedd_circuit_state") == {}
        await sick.run_until(45)
        scrape = await web.scrape()
        assert scrape.series("schedd_circuit_state") == {(HOST, "OPEN"): 1, (HOST, "HALF_OPEN"): 0}
        assert scrape.series("schedd_circuit_transitions_total") == {(HOST, "OPEN"): 1}
        assert isinstance(sick.target, Hosts)
        sick.target.hung.add(URL)
        await sick.run_until(61)
        assert (await web.scrape()).series("schedd_circuit_state") == {(HOST, "OPEN"): 0, (HOST, "HALF_OPEN"): 1}
        sick.target.says.clear()
        sick.target.let_go()
        await sick.settle()
        scrape = await web.scrape()
        assert scrape.series("schedd_circuit_state") == {}
        transitions = {(HOST, "OPEN"): 1, (HOST, "HALF_OPEN"): 1, (HOST, "CLOSED"): 1}
        assert scrape.series("schedd_circuit_transitions_total") == transitions


async def test_executions_that_end_are_counted_by_outcome_and_reason_and_attempts_one_by_one(tmp_path: Path) -> None:
    clock = HandClock()
    target = HandTarget(clock, answers=[BROKEN, BROKEN, BROKEN])
    async with running(tmp_path / "db", clock=clock, target=target) as rig, scraped(rig) as web:
        retry = Retry(max_attempts=2, min_backoff=timedelta(seconds=5), jitter=0)
        await rig.create("@every 1m", policies=Policies(retry=retry))
        await rig.run_until(190)
        scrape = await web.scrape()
        assert scrape.counted("schedd_executions_finished_total") == {("FAILED", "HTTP_STATUS"): 1, ("SUCCEEDED", "COMPLETED"): 2}
        assert scrape.value("schedd_attempts_total") == 5
        assert scrape.value("schedd_lateness_seconds_count") == 3, "retries are no fires"


async def test_endings_that_alerts_ask_for_are_there_before_the_first_of_them(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig, scraped(rig) as web:
        scrape = await web.scrape()
        missed = {("MISSED", "MISFIRE"), ("MISSED", "CATCH_UP_WINDOW"), ("MISSED", "CATCH_UP_SUPERSEDED"), ("MISSED", "CATCH_UP_MAX_RUNS")}
        assert scrape.series("schedd_occurrences_left_out_total") == dict.fromkeys(missed, 0)
        assert scrape.series("schedd_executions_finished_total").keys() > missed
        assert scrape.counted("schedd_executions_finished_total") == {}


async def test_metrics_tell_the_state_of_this_moment(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig, scraped(rig) as web:
        await rig.create("@every 1m", name="a")
        paused = await rig.create("@every 1m", name="b")
        await rig.pauses.pause(paused.name, Asking(actor="ann"))
        await rig.run_until(59.8)
        scrape = await web.scrape()
        assert scrape.series("schedd_schedules") == {("ENABLED",): 1, ("PAUSED",): 1, ("DISABLED",): 0, ("COMPLETED",): 0, ("DELETED",): 0}
        assert scrape.series("schedd_executions") == {("ARMED",): 1, ("QUEUED",): 0, ("RUNNING",): 0, ("WAITING_RETRY",): 0}
        assert scrape.series("schedd_build_info") == {("1.2.3",): 1}
        assert scrape.value("schedd_start_time_seconds") == START_US / SECOND
        assert scrape.value("schedd_watchers") == 3
        assert scrape.value("schedd_journal_sequence") == (await rig.journal())[-1].sequence
        assert scrape.value("schedd_store_size_bytes") == (await rig.store.status()).size_bytes


async def test_occurrences_that_a_pause_skips_are_counted_one_by_one(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig, scraped(rig) as web:
        paused = await rig.create("@every 10s")
        await rig.pauses.pause(paused.name, Asking(actor="ann"))
        await rig.run_until(45)
        await rig.pauses.resume(paused.name, Asking(actor="ann"))
        await rig.settle()
        skipped = await rig.journal(JournalKind.OCCURRENCES_SKIPPED, JournalKind.OCCURRENCES_MISSED)
        counted = {(str(each.outcome), str(each.reason)): each.evidence["count"] for each in skipped}
        assert sum(int(count) for count in counted.values()) == 4
        assert (await web.scrape()).counted("schedd_occurrences_left_out_total") == counted


async def test_hosts_beyond_the_bound_share_one_label_and_are_added_up(tmp_path: Path) -> None:
    clock = HandClock()
    urls = [f"http://host{number:03}/" for number in range(103)]
    target = Hosts(clock, says=dict.fromkeys(urls, BROKEN))
    async with running(tmp_path / "db", clock=clock, target=target, settings=EAGER) as rig, scraped(rig) as web:
        for number, url in enumerate(urls):
            await rig.create("@every 10s", name=f"s{number}", policies=Policies(retry=ONCE), url=url)
        await rig.run_until(11)
        scrape = await web.scrape()
        opened = scrape.series("schedd_circuit_transitions_total")
        assert len(opened) == 101
        assert opened[OTHER, "OPEN"] == 3
        states = scrape.series("schedd_circuit_state")
        assert len(states) == 202
        assert (states[OTHER, "OPEN"], states[OTHER, "HALF_OPEN"]) == (3, 0)


@pytest.mark.parametrize(
    ("lateness_us", "first"), [(0, 0), (500, 0), (501, 1), (60_000_000, 15), (60_000_001, 16)], ids=lambda value: str(value)
)
def test_lateness_counts_in_each_bucket_whose_bound_it_does_not_exceed(lateness_us: int, first: int) -> None:
    tally = Tally(HostLabels())
    tally.take([started(lateness_us)])
    assert tally.lateness() == [0] * first + [1] * (len(LATENESS_BOUNDS_US) + 1 - first)
    assert tally.lateness_sum_us == lateness_us


@pytest.mark.parametrize("entry", [{"attempt": 2}, {"cause": Cause.BACKFILL}], ids=["retry", "backfill"])
def test_lateness_of_retries_and_backfills_is_left_out(entry: dict[str, object]) -> None:
    tally = Tally(HostLabels())
    tally.take([started(7, **entry)])
    assert (tally.lateness()[-1], tally.attempts) == (0, 1)


def started(lateness_us: int, *, attempt: object = 1, cause: object = Cause.SCHEDULE) -> JournalEntry:
    """The entry of an attempt that started so late."""
    assert isinstance(attempt, int)
    assert isinstance(cause, Cause)
    facts = ExecutionFacts(id=1, cause=cause, nominal_us=START_US, due_us=START_US)
    evidence = {"lateness_us": lateness_us}
    return JournalEntry(time_us=START_US, kind=JournalKind.EXECUTION_STARTED, execution=facts, attempt=attempt, evidence=evidence)
