"""What outlives a daemon: the host's clock and disk, what the target was called for, and what clients and watchers were told."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schedd.core.model.calendar import Calendar
from schedd.core.model.execution import Attempt, AttemptResult, DeliveryRequest, Execution
from schedd.core.model.journal import JournalEntry
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.simulation.clock import VirtualClock
from schedd.simulation.loop import VirtualLoop
from schedd.store import rows
from schedd.store.memory import MemoryDatabase
from tests.simulation.drawing import Deed, Plan, Spell, Trouble

_GENERATIONS = """
    CREATE TABLE generations AS SELECT * FROM schedules WHERE FALSE;
    CREATE TRIGGER created AFTER INSERT ON schedules BEGIN INSERT INTO generations SELECT * FROM schedules WHERE row = NEW.row; END;
    CREATE TRIGGER changed AFTER UPDATE ON schedules BEGIN INSERT INTO generations SELECT * FROM schedules WHERE row = NEW.row; END;
    CREATE TABLE closings AS SELECT * FROM calendars WHERE FALSE;
    CREATE TRIGGER opened AFTER INSERT ON calendars BEGIN INSERT INTO closings SELECT * FROM calendars WHERE uid = NEW.uid; END;
    CREATE TRIGGER closed AFTER UPDATE ON calendars BEGIN INSERT INTO closings SELECT * FROM calendars WHERE uid = NEW.uid; END;
"""
"""Keeps every definition that was ever committed, in the transaction that commits it and without a word of the engine's."""

_PAGE = 10_000


class Disk(sqlite3.Connection):
    """A connection whose disk may be full after some more statements; whatever it is asked then, a COMMIT or a ROLLBACK too, fails."""

    statements_left: int | None = None

    def execute(self, *statement: Any) -> sqlite3.Cursor:
        self._use()
        return super().execute(*statement)

    def executemany(self, *statement: Any) -> sqlite3.Cursor:
        self._use()
        return super().executemany(*statement)

    def _use(self) -> None:
        if self.statements_left is None:
            return
        if not self.statements_left:
            raise sqlite3.OperationalError("database or disk is full")
        self.statements_left -= 1


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """One call of the target as the target has it. `end` is None while it runs; `cut`: a crash or a stop of the daemon ended it."""

    life: int
    begin: int
    wall_us: int
    reached_us: int
    """The furthest that the wall clock has ever shown until then."""
    request: DeliveryRequest
    end: int | None = None
    result: AttemptResult | None = None
    cut: bool = False


class Told(NamedTuple):
    """What a client was told: its deed is done, and this is what it came to."""

    deed: Deed
    name: ScheduleName
    schedule: Schedule | None = None
    execution_id: int = 0
    request: str = ""


class Heard(NamedTuple):
    """What a watcher heard at a moment."""

    moment: int
    life: int
    entries: Sequence[JournalEntry]


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What is durable at the end."""

    generations: dict[int, list[Schedule]]
    """By uid, every definition in the order of the commits."""
    executions: list[Execution]
    attempts: list[Attempt]
    journal: list[JournalEntry]
    mark_us: int
    calendars: list[Calendar]
    """Every definition of the one calendar, in the order of the commits."""


@dataclass(slots=True, kw_only=True)
class World:
    """The host and everybody around the daemon. A moment is a place in the one order of everything that anybody has seen."""

    plan: Plan
    loop: VirtualLoop
    clock: VirtualClock
    database: MemoryDatabase = field(default_factory=lambda: MemoryDatabase(Disk))
    deliveries: list[Delivery] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    diary: list[str] = field(default_factory=list)
    """What happened from outside, for whoever reads a failing seed."""
    redelivered: set[int] = field(default_factory=set)
    """The executions whose redelivery somebody has asked for, told or not."""
    backfilled: set[ScheduleName] = field(default_factory=set)
    """The schedules for which somebody has asked for a backfill: it has an overlap policy of its own."""
    asked: set[tuple[Deed, ScheduleName, str]] = field(default_factory=set)
    """The calls that somebody has made, a repetition not counted."""
    notices: Counter[int] = field(default_factory=Counter)
    """How often each execution's end was told of."""
    faults: list[str] = field(default_factory=list)
    """What no oracle has to look for: a daemon that ended by itself, what it had not let go of at its end."""
    horizon_us: int = 0
    """Every occurrence until then has had its chance."""
    calm: bool = False
    set_back: bool = False
    """Whether the clock has ever been set back."""
    _reached_us: int = 0
    _moment: int = 0
    _chance: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._chance.seed(f"{self.plan.seed}/disk")
        self.database.connection.executescript(_GENERATIONS)

    def moment(self) -> int:
        """The next moment."""
        self._moment += 1
        return self._moment

    def look_at_clock(self) -> int:
        """The furthest that the wall clock has shown."""
        self._reached_us = max(self._reached_us, self.clock.now_us())
        return self._reached_us

    def note(self, text: str) -> None:
        """Write into the diary."""
        self.diary.append(f"{self.clock.now_us()} {text}")

    def spell(self, trouble: Trouble) -> Spell | None:
        """The trouble that is now, if it is."""
        if self.calm:
            return None
        now_us = self.loop.now_us
        for spell in self.plan.spells:
            if spell.trouble is trouble and spell.at_us <= now_us < spell.at_us + spell.for_us:
                return spell
        return None

    def read_delay_s(self) -> float:
        """How long a read takes."""
        return self._chance.uniform(0.0001, 0.003)

    def commit_delay_s(self) -> float:
        """How long a commit takes."""
        if self.spell(Trouble.DISK_SLOW):
            return self._chance.uniform(0.1, 8)
        return self._chance.uniform(0.0005, 0.008)

    def spoil_disk(self) -> None:
        """If the disk is full now, have the next transaction fail at one of its statements, or have it just enough room."""
        if self.spell(Trouble.DISK_FULL):
            self._disk.statements_left = self._chance.randrange(12)

    def mend_disk(self) -> None:
        """Let the disk work again, and undo what it could not: readers would see it, for they have no connection of their own here."""
        self._disk.statements_left = None
        if self._disk.in_transaction:
            self._disk.execute("ROLLBACK")

    @property
    def _disk(self) -> Disk:
        connection = self.database.connection
        assert isinstance(connection, Disk)
        return connection

    @property
    def backlogs(self) -> int:
        """How many backfills and catch-ups are unfinished."""
        (count,) = self.database.connection.execute("SELECT count(*) FROM backfills WHERE state = 'RUNNING'").fetchone()
        return int(count)

    async def ledger(self) -> Ledger:
        """What is durable now."""
        store = self.database.store()
        connection = self.database.connection
        generations: dict[int, list[Schedule]] = {}
        for row in connection.execute(f"SELECT {', '.join(rows.SCHEDULE_COLUMNS)} FROM generations ORDER BY rowid"):
            schedule = rows.schedule_of(row)
            generations.setdefault(schedule.uid, []).append(schedule)
        attempts = connection.execute(f"SELECT {', '.join(rows.ATTEMPT_COLUMNS)} FROM attempts ORDER BY execution_id, number")
        closings = connection.execute(f"SELECT {', '.join(rows.CALENDAR_COLUMNS)} FROM closings ORDER BY rowid")
        found = await store.find_executions((), Order(field="execution"), PageRequest(size=_PAGE))
        return Ledger(
            generations=generations,
            executions=list(found.items),
            attempts=[rows.attempt_of(row) for row in attempts],
            journal=list(await store.journal(after=0, limit=_PAGE)),
            mark_us=await store.planned_through_us(),
            calendars=[rows.calendar_of(row) for row in closings],
        )
