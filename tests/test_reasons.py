"""Every reason and every journal kind of the contract comes about: a run of all tests is judged by what real engines have journaled in it.

`tests/evidence.py` gathers, `conftest.py` has it judged at the end. Here are the judge's own tests, and the reasons that no other test has
a whole engine produce: those that only a real target gives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from schedd.core.explaining.record import Window
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.policy import Policies, Retry
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import AuthScheme, HttpAuth, HttpTarget, ProcessTarget, ResourceLimits
from schedd.core.model.when import Expression, When
from schedd.core.permissions import Permissions, parse_listed
from schedd.core.ports import Target
from schedd.engine.clock import SystemClock
from schedd.engine.engine import Engine, EngineSettings
from schedd.engine.ids import TimeIds
from schedd.service.asking import Asking
from schedd.service.explanations import Explanations
from schedd.service.schedules import Schedules
from schedd.store.sqlite import SqliteStore
from schedd.targets.http.limits import HttpLimits
from schedd.targets.http.target import HttpTargets
from schedd.targets.process.target import ProcessTargets
from tests.engine.rig import SECOND, START_US, running
from tests.evidence import KINDS, MISSING_KINDS, MISSING_REASONS, REASONS, Evidence

NAME = ScheduleName(group="default", schedule="job")
CLIENT = Asking(actor="test")


async def end_of(directory: Path, target: HttpTarget | ProcessTarget, timeout_s: float | None = None) -> tuple[Outcome | None, Reason]:
    """How an execution of that target ends, as a whole engine with real targets journals it."""
    clock = SystemClock()
    store = await SqliteStore.open(directory / "db")
    https = HttpTargets(clock, HttpLimits(), permissions=Permissions(denied=parse_listed(["127.0.0.2"])))
    processes = ProcessTargets()
    ids = TimeIds(clock)
    targets: dict[type, Target] = {HttpTarget: https, ProcessTarget: processes}
    engine = Engine(store=store, clock=clock, ids=ids, targets=targets, settings=EngineSettings())
    ends: asyncio.Queue[JournalEntry] = asyncio.Queue()

    def hear(entries: Sequence[JournalEntry]) -> None:
        for entry in entries:
            if entry.kind is JournalKind.EXECUTION_FINISHED:
                ends.put_nowait(entry)

    engine.listen(hear)
    await engine.recover()
    agents = asyncio.get_running_loop().create_task(engine.run())
    try:
        policies = Policies(retry=Retry(max_attempts=1), attempt_timeout=None if timeout_s is None else timedelta(seconds=timeout_s))
        when = When(triggers=(Expression(text="@yearly"),))
        schedules = Schedules(store=store, engine=engine, clock=clock, ids=ids)
        await schedules.create(Schedule(name=NAME, when=when, target=target, policies=policies, labels={"port": "none"}), CLIENT)
        await schedules.trigger(NAME, CLIENT)
        end = await ends.get()
        return end.outcome, end.reason
    finally:
        agents.cancel()
        await asyncio.gather(agents, return_exceptions=True)
        await https.aclose()
        await processes.aclose()
        await store.aclose()


async def fine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfine")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (HttpTarget(url="http+unix://%2Fnonexistent/"), Reason.CONNECTION),
        (HttpTarget(url="http://localhost:{{ labels.port }}/"), Reason.TEMPLATE),
        (ProcessTarget(argv=("/bin/sh", "-c", "exit 3")), Reason.EXIT_CODE),
        (ProcessTarget(argv=("/bin/sh", "-c", "kill -9 $$")), Reason.SIGNAL),
        (ProcessTarget(argv=("/nonexistent",)), Reason.SPAWN),
        (HttpTarget(url="http://127.0.0.2/"), Reason.TARGET_DENIED),
        (HttpTarget(url="http://localhost/", auth=HttpAuth(scheme=AuthScheme.BEARER, secret="unknown")), Reason.AUTHENTICATION),
    ],
)
async def test_failure_of_a_real_target_is_journaled_with_its_reason(
    tmp_path: Path, target: HttpTarget | ProcessTarget, reason: Reason
) -> None:
    assert await end_of(tmp_path, target) == (Outcome.FAILED, reason)


async def test_attempt_that_takes_too_long_is_journaled_as_timed_out(tmp_path: Path) -> None:
    target = ProcessTarget(argv=("/bin/sleep", "60"), kill_grace=timedelta(milliseconds=100))
    assert await end_of(tmp_path, target, timeout_s=0.1) == (Outcome.FAILED, Reason.TIMEOUT)


async def test_process_that_writes_more_than_it_may_is_journaled_as_ended_by_its_limit(tmp_path: Path) -> None:
    argv = ("/bin/sh", "-c", f"exec head -c 100000 /dev/zero > {tmp_path}/big")
    target = ProcessTarget(argv=argv, resource_limits=ResourceLimits(file_size_bytes=4096))
    assert await end_of(tmp_path, target) == (Outcome.FAILED, Reason.RESOURCE_LIMIT)


async def test_response_without_the_wanted_text_is_journaled_as_a_mismatch(tmp_path: Path) -> None:
    async with await asyncio.start_server(fine, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        target = HttpTarget(url=f"http://127.0.0.1:{port}/", body_match="better")
        assert await end_of(tmp_path, target) == (Outcome.FAILED, Reason.RESPONSE_MISMATCH)


async def test_coming_occurrence_of_a_daemon_that_drains_is_explained_so(tmp_path: Path) -> None:
    async with running(tmp_path / "db") as rig:
        schedule = await rig.create("* * * * *")
        await rig.engine.drain(timedelta(0))
        explanations = Explanations(store=rig.store, engine=rig.engine, clock=rig.clock)
        window = Window(first_us=START_US + 1, last_us=START_US + 60 * SECOND)
        (explanation,) = (await explanations.explain(schedule.name, window, size=2)).items
    assert explanation.reason is Reason.DRAINING


def test_run_that_has_seen_all_but_the_known_missing_is_not_blamed() -> None:
    evidence = Evidence()
    evidence.reasons, evidence.kinds = set(REASONS - MISSING_REASONS), set(KINDS - MISSING_KINDS)
    assert evidence.faults() == []


def test_run_is_blamed_for_a_reason_or_kind_that_it_has_not_seen() -> None:
    evidence = Evidence()
    evidence.reasons, evidence.kinds = set(REASONS - MISSING_REASONS), set(KINDS - MISSING_KINDS)
    evidence.reasons.remove("MISFIRE")
    evidence.kinds.remove("CLOCK_STEPPED")
    assert evidence.faults() == ["no test produces the reason MISFIRE", "no test produces the journal kind CLOCK_STEPPED"]


def test_run_is_blamed_for_calling_missing_what_it_has_seen() -> None:
    evidence = Evidence()
    evidence.reasons, evidence.kinds = set(REASONS), set(KINDS)
    assert len(evidence.faults()) == len(MISSING_REASONS) + len(MISSING_KINDS)


def test_evidence_of_other_processes_counts(tmp_path: Path) -> None:
    theirs, ours = Evidence(), Evidence()
    theirs.note([JournalEntry(time_us=1, kind=JournalKind.CLOCK_STEPPED, reason=Reason.CLOCK_STEP)])
    theirs.save(tmp_path)
    ours.load(tmp_path)
    assert (ours.reasons, ours.kinds) == ({"CLOCK_STEP"}, {"CLOCK_STEPPED"})


def test_reasons_of_the_engine_are_those_of_the_contract() -> None:
    assert {reason.value for reason in Reason} - {"NONE"} <= REASONS
    assert {kind.value for kind in JournalKind} <= KINDS
