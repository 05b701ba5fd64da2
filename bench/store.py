"""The store alone: creations, and executions armed and recorded, beside raw SQLite that inserts the same columns into tables without
secondary indices; and the timers that a start reads.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.daemon import scratch
from bench.table import Row
from schedd.core.model.batch import ArmBatch, ExecutionChange, NewSchedule, RecordBatch
from schedd.core.model.execution import Attempt, AttemptResult, Cause, Execution, ExecutionState
from schedd.core.model.journal import ExecutionFacts, JournalEntry, JournalKind
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import Expression, When
from schedd.store import rows, timers
from schedd.store.sqlite import SqliteStore

T = TypeVar("T")

SECONDS = 1.0
"""How long each rate is measured."""

SCHEDULES = 20_000
"""How many schedules there are when executions are measured."""

NOW_US = 1_767_258_000_000_000


class Numbers:
    """Ids that ascend."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """The next one."""
        self._last += 1
        return self._last


def schedule(uid: int) -> Schedule:
    """A plain HTTP schedule."""
    return Schedule(
        name=ScheduleName(group="default", schedule=f"job-{uid}"),
        when=When(triggers=(Expression(text="*/5 * * * *"),), time_zone="Europe/Berlin"),
        target=HttpTarget(url="http://localhost:8080/hook"),
        uid=uid,
        creator="bench",
        created_us=NOW_US + uid,
        updated_us=NOW_US + uid,
        planned_from_us=NOW_US,
    )


def drafts(numbers: Numbers, count: int) -> list[NewSchedule]:
    """New schedules."""
    return [NewSchedule(schedule=schedule(numbers.next()), next_us=NOW_US) for _ in range(count)]


def created(draft: NewSchedule) -> JournalEntry:
    """The entry of a creation."""
    kind = JournalKind.SCHEDULE_CREATED
    return JournalEntry(time_us=NOW_US, kind=kind, schedule=draft.schedule.name, schedule_uid=draft.schedule.uid, actor="bench")


async def rate(prepare: Callable[[], T], step: Callable[[T], Awaitable[None]], size: int) -> float:
    """How many a second `step` does, which does `size` of them; preparing is not counted."""
    took, done = 0.0, 0
    while took < SECONDS:
        prepared = prepare()
        began = time.perf_counter()
        await step(prepared)
        took += time.perf_counter() - began
        done += size
    return done / took


async def create_alone(store: SqliteStore, numbers: Numbers, callers: int) -> float:
    """Schedules a second, created one a call by so many callers."""

    async def caller(until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            draft = drafts(numbers, 1)
            await store.create_schedules(draft, [created(draft[0])])
            done += 1
        return done

    began = time.perf_counter()
    done = sum(await asyncio.gather(*(caller(began + SECONDS) for _ in range(callers))))
    return done / (time.perf_counter() - began)


async def create_batch(store: SqliteStore, numbers: Numbers, size: int) -> float:
    """Schedules a second, created `size` a call, one call after the other."""

    def prepare() -> tuple[list[NewSchedule], list[JournalEntry]]:
        batch = drafts(numbers, size)
        return batch, [created(draft) for draft in batch]

    async def step(prepared: tuple[list[NewSchedule], list[JournalEntry]]) -> None:
        await store.create_schedules(*prepared)

    return await rate(prepare, step, size)


def run_of(uid: int, execution_id: int) -> Execution:
    """An armed execution."""
    return Execution(
        id=execution_id,
        schedule=ScheduleName(group="default", schedule=f"job-{uid}"),
        schedule_row=uid,
        schedule_uid=uid,
        generation=1,
        cause=Cause.SCHEDULE,
        nominal_us=NOW_US + execution_id,
        due_us=NOW_US + execution_id,
        armed_us=NOW_US + execution_id,
    )


def entry(of: Execution, kind: JournalKind) -> JournalEntry:
    """The entry of an execution."""
    facts = ExecutionFacts(id=of.id, cause=of.cause, nominal_us=of.nominal_us, due_us=of.due_us)
    return JournalEntry(
        time_us=NOW_US, kind=kind, schedule=of.schedule, schedule_row=of.schedule_row, schedule_uid=of.schedule_uid, execution=facts
    )


def recorded(runs: Sequence[Execution]) -> RecordBatch:
    """The batch that says they succeeded."""
    ok = AttemptResult(outcome=Outcome.SUCCEEDED, reason=Reason.COMPLETED, code=200, output=b"ok")
    return RecordBatch(
        changes=tuple(
            ExecutionChange(
                execution_id=run.id,
                state=ExecutionState.FINISHED,
                attempt=1,
                outcome=Outcome.SUCCEEDED,
                reason=Reason.COMPLETED,
                started_us=run.due_us,
                finished_us=run.due_us + 5,
            )
            for run in runs
        ),
        attempts=tuple(
            Attempt(execution_id=run.id, number=1, started_us=run.due_us, finished_us=run.due_us + 5, result=ok) for run in runs
        ),
        entries=tuple(entry(run, kind) for run in runs for kind in (JournalKind.EXECUTION_STARTED, JournalKind.EXECUTION_FINISHED)),
    )


async def arm_and_record(store: SqliteStore, numbers: Numbers, size: int) -> float:
    """Executions a second, armed and recorded (with one attempt, three entries) in batches of `size`."""

    def prepare() -> tuple[ArmBatch, RecordBatch]:
        runs = [run_of(number % SCHEDULES + 1, number) for number in (numbers.next() for _ in range(size))]
        entries = tuple(entry(run, JournalKind.EXECUTION_ARMED) for run in runs)
        return ArmBatch(executions=tuple(runs), entries=entries), recorded(runs)

    async def step(prepared: tuple[ArmBatch, RecordBatch]) -> None:
        await store.arm(prepared[0])
        await store.record(prepared[1])

    return await rate(prepare, step, size)


def raw_inserts(path: Path, tables: Sequence[RawTable], size: int, seconds: float = SECONDS) -> Inserted:
    """Groups of rows that executemany inserts, `size` of each table a transaction; a key is each table's only index."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for table in tables:
        connection.execute(f"CREATE TABLE {table.name} (key INTEGER PRIMARY KEY, {', '.join(table.columns)})")
    took, done = 0.0, 0
    while took < seconds:
        portions = [[(None, *table.row)] * size for table in tables]
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        for table, portion in zip(tables, portions, strict=True):
            connection.executemany(f"INSERT INTO {table.name} VALUES ({','.join('?' * (len(table.columns) + 1))})", portion)
        connection.execute("COMMIT")
        took += time.perf_counter() - began
        done += size
    connection.close()
    return Inserted(done=done, a_second=done / took)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserted:
    """How many groups of rows were inserted, and how many a second."""

    done: int
    a_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTable:
    """A table without secondary indices, and the row that is inserted again and again."""

    name: str
    columns: Sequence[str]
    row: Sequence[object]


def raw_creations() -> list[RawTable]:
    """What is written of a created schedule: its row, its timer, its entry."""
    draft = NewSchedule(schedule=schedule(1), next_us=NOW_US)
    return [
        RawTable(name="schedules", columns=rows.SCHEDULE_COLUMNS[1:], row=(1, "default", "job-1", *rows.schedule_content(draft.schedule))),
        RawTable(name="timers", columns=("generation", "next_us", "planned_from_us"), row=timers.values(1, draft)[1:]),
        RawTable(name="journal", columns=rows.JOURNAL_COLUMNS[1:], row=rows.journal_values(created(draft))[1:]),
    ]


def raw_runs() -> list[RawTable]:
    """What is written of an execution that was armed and recorded: its row once, its attempt, three entries."""
    run = run_of(1, 1)
    batch = recorded([run])
    values = rows.journal_values(batch.entries[0])[1:]
    return [
        RawTable(name="executions", columns=rows.EXECUTION_COLUMNS[1:], row=rows.execution_values(run)[1:]),
        RawTable(name="attempts", columns=rows.ATTEMPT_COLUMNS, row=rows.attempt_values(batch.attempts[0])),
        *(RawTable(name=f"journal_{number}", columns=rows.JOURNAL_COLUMNS[1:], row=values) for number in range(3)),
    ]


async def _figures(directory: Path, *, quick: bool) -> list[Row]:
    found = []
    store, numbers = await SqliteStore.open(directory / "schedules.db"), Numbers()
    for callers in (64,) if quick else (1, 16, 64, 256):
        raw = raw_inserts(directory / f"raw-{callers}.db", raw_creations(), callers)
        found.append(_row(f"store: create one a call, {callers} callers", await create_alone(store, numbers, callers), raw))
    raw = raw_inserts(directory / "raw-batch.db", raw_creations(), 1000)
    found.append(_row("store: create 1000 a call", await create_batch(store, numbers, 1000), raw))
    await store.aclose()

    store, numbers = await SqliteStore.open(directory / "executions.db"), Numbers()
    for start in range(0, SCHEDULES, 1000):
        batch = [NewSchedule(schedule=schedule(uid), next_us=NOW_US) for uid in range(start + 1, start + 1001)]
        await store.create_schedules(batch, [created(draft) for draft in batch])
    for size in (100,) if quick else (1, 10, 100, 1000):
        raw = raw_inserts(directory / f"raw-run-{size}.db", raw_runs(), size)
        found.append(_row(f"store: arm and record {size} a batch", await arm_and_record(store, numbers, size), raw))
    await store.aclose()
    return found


def _row(what: str, rate: float, raw: Inserted) -> Row:
    return Row(what=what, unit="a second", schedd=rate, beside="raw inserts, same columns", other=raw.a_second)


def measure(*, quick: bool) -> list[Row]:
    sys.setswitchinterval(0.0001)  # As the daemon does.
    with scratch() as directory:
        return asyncio.run(_figures(directory, quick=quick))
