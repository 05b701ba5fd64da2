"""Databases with many schedules, written with the store's own statements, in far less time than it takes over the API."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from schedd.core.model.batch import NEVER_US
from schedd.core.model.policy import Overlap, Policies
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import Expression, Once, When
from schedd.core.triggers import compile_when
from schedd.store import database, rows
from schedd.store.statements import Row, insertion

PORTION = 20_000
_HOUR_US = 3_600_000_000
_MONTHS, _DAYS, _HOURS, _MINUTES = 12, 28, 24, 60
_INSERT_SCHEDULES = insertion("schedules", rows.SCHEDULE_COLUMNS)
_INSERT_TIMERS = insertion("timers", ("row", "generation", "next_us", "planned_from_us"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a schedule fires, and its next nominal time."""

    when: When
    next_us: int


def yearly(number: int, now_us: int) -> Rule:
    """The number-th of 483,840 different rules, each of which fires once a year; the nearest are more than a day away."""
    month, rest = divmod(number * 7919 % (_MONTHS * _DAYS * _HOURS * _MINUTES), _DAYS * _HOURS * _MINUTES)
    day, rest = divmod(rest, _HOURS * _MINUTES)
    hour, minute = divmod(rest, _MINUTES)
    when = When(triggers=(Expression(text=f"{minute} {hour} {day + 1} {month + 1} *"),), time_zone="Europe/Berlin")
    next_us = compile_when(when, created_us=now_us, seed=0).next_after(now_us + 24 * _HOUR_US)
    return Rule(when=when, next_us=NEVER_US if next_us is None else next_us)


def due_at(due_us: int) -> Rule:
    """Once, at that instant."""
    return Rule(when=When(triggers=(Once(times_us=(due_us,)),)), next_us=due_us)


def populate(path: Path, count: int, distinct: int, rule: Callable[[int], Rule], url: str) -> None:
    """Write a database with `count` schedules, of which the number-th has the rule that `rule` gives for `number % distinct`."""
    now_us = time.time_ns() // 1000
    connection = database.open_for_writing(path)
    connection.execute("PRAGMA synchronous = OFF")

    @lru_cache(maxsize=distinct)
    def content(kind: int) -> tuple[Row, int]:
        made = rule(kind)
        return rows.schedule_content(_schedule(made.when, url, now_us)), made.next_us

    for start in range(0, count, PORTION):
        _insert(connection, range(start, min(start + PORTION, count)), now_us - _HOUR_US, lambda number: content(number % distinct))
    connection.execute("UPDATE marks SET value = ? WHERE name = 'planned_through_us'", (now_us - _HOUR_US,))
    connection.close()


def _insert(connection: sqlite3.Connection, numbers: range, from_us: int, content: Callable[[int], tuple[Row, int]]) -> None:
    schedules, timers = list[Row](), list[Row]()
    for number in numbers:
        values, next_us = content(number)
        schedules.append((number + 1, number + 1, "default", f"job-{number:07}", *values))
        timers.append((number + 1, 1, next_us, from_us))
    connection.execute("BEGIN IMMEDIATE")
    _INSERT_SCHEDULES.run(connection, schedules)
    _INSERT_TIMERS.run(connection, timers)
    connection.execute("COMMIT")


def _schedule(when: When, url: str, now_us: int) -> Schedule:
    return Schedule(
        name=ScheduleName(group="default", schedule="job"),
        when=when,
        target=HttpTarget(url=url),
        policies=Policies(overlap=Overlap.ALLOW_ALL),
        creator="bench",
        created_us=now_us - _HOUR_US,
        updated_us=now_us - _HOUR_US,
        planned_from_us=now_us - _HOUR_US,
    )
