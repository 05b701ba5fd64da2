"""The store's rates beside raw SQLite in the same run: `python bench/store.py`."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from schedd.core.model.batch import ArmBatch, ExecutionChange, NewSchedule, RecordBatch
from schedd.core.model.execution import Attempt, AttemptResult, Cause, Execution, ExecutionState
from schedd.core.model.journal import ExecutionFacts, JournalEntry, JournalKind
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import Expression, When
from schedd.store import database, rows
from schedd.store.sqlite import SqliteStore

T = TypeVar("T")

SECONDS = 1.0
"""How long each rate is measured."""

SCHEDULES = 20_000
"""How many schedules there are when executions are measured."""

NOW_US = 1_767_258_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One rate a second, beside the raw one where there is one."""

    name: str
    rate: float
    raw: float | None = None

    def line(self) -> str:
        """The figure for people."""
        beside = "" if self.raw is None else f"{self.raw:12,.0f} {self.rate / self.raw:8.2f}"
        return f"{self.name:48} {self.rate:12,.0f} {beside}"


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
        labels={"team": "pay"},
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


def raw_inserts(path: Path, tables: Sequence[RawTable], size: int) -> float:
    """Groups of rows a second that executemany inserts, `size` of each table a transaction; a key is each table's only index."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for table in tables:
        connection.execute(f"CREATE TABLE {table.name} (key INTEGER PRIMARY KEY, {', '.join(table.columns)})")
    took, done = 0.0, 0
    while took < SECONDS:
        portions = [[(None, *table.row)] * size for table in tables]
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        for table, portion in zip(tables, portions, strict=True):
            connection.executemany(f"INSERT INTO {table.name} VALUES ({','.join('?' * (len(table.columns) + 1))})", portion)
        connection.execute("COMMIT")
        took += time.perf_counter() - began
        done += size
    connection.close()
    return done / took


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTable:
    """A table without secondary indices, and the row that is inserted again and again."""

    name: str
    columns: Sequence[str]
    row: Sequence[object]


def raw_schedules() -> list[RawTable]:
    """What is written of a created schedule, without its entry, timer and labels."""
    return [RawTable(name="schedules", columns=rows.SCHEDULE_COLUMNS[1:], row=(1, "default", "job-1", *rows.schedule_content(schedule(1))))]


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


async def figures(directory: Path) -> list[Figure]:
    """All figures."""
    store = await SqliteStore.open(directory / "schedules.db")
    numbers = Numbers()
    found = []
    for callers in (1, 16, 64, 256):
        raw = raw_inserts(directory / f"raw-{callers}.db", raw_schedules(), callers)
        found.append(Figure(name=f"create one a call, {callers} callers", rate=await create_alone(store, numbers, callers), raw=raw))
    raw = raw_inserts(directory / "raw-batch.db", raw_schedules(), 1000)
    found.append(Figure(name="create 1000 a call", rate=await create_batch(store, numbers, 1000), raw=raw))
    await store.aclose()

    store = await SqliteStore.open(directory / "executions.db")
    numbers = Numbers()
    for start in range(0, SCHEDULES, 1000):
        batch = [NewSchedule(schedule=schedule(uid), next_us=NOW_US) for uid in range(start + 1, start + 1001)]
        await store.create_schedules(batch, [created(draft) for draft in batch])
    for size in (1, 10, 100, 1000):
        raw = raw_inserts(directory / f"raw-run-{size}.db", raw_runs(), size)
        found.append(Figure(name=f"arm and record {size} a batch", rate=await arm_and_record(store, numbers, size), raw=raw))
    await store.aclose()
    found.append(await loading(directory))
    return found


async def loading(directory: Path) -> Figure:
    """Timers a second that a start loads, beside fetching the same rows."""
    store = await SqliteStore.open(directory / "executions.db")
    began = time.perf_counter()
    count = len(await store.timers())
    took = time.perf_counter() - began
    await store.aclose()
    connection = database.open_for_writing(directory / "executions.db")
    began = time.perf_counter()
    connection.execute("SELECT row, generation, next_us, planned_from_us FROM timers").fetchall()
    raw = time.perf_counter() - began
    connection.close()
    return Figure(name=f"load {count} timers", rate=count / took, raw=count / raw)


def main() -> None:
    """Print a table, and JSON to the file that is named."""
    sys.setswitchinterval(0.0005)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        found = asyncio.run(figures(Path(directory)))
    print(f"{'':48} {'a second':>12} {'raw':>12} {'ratio':>8}")
    for figure in found:
        print(figure.line())
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps([{"name": f.name, "rate": f.rate, "raw": f.raw} for f in found], indent=1))


if __name__ == "__main__":
    main()
