"""Databases with many schedules, written through the store itself, in far less time than it takes over the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from schedd.core.model.batch import NEVER_US, ArmBatch, NewSchedule
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.policy import Overlap, Policies
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import Expression, Once, When
from schedd.core.triggers import compile_when
from schedd.store.sqlite import SqliteStore

PORTION = 2000
_MONTHS, _DAYS, _HOURS, _MINUTES = 12, 28, 24, 60


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
    next_us = compile_when(when, created_us=now_us, seed=0).next_after(now_us + 86_400_000_000)
    return Rule(when=when, next_us=NEVER_US if next_us is None else next_us)


def due_at(due_us: int) -> Rule:
    """Once, at that instant."""
    return Rule(when=When(triggers=(Once(times_us=(due_us,)),)), next_us=due_us)


def populate(path: Path, count: int, rule: Callable[[int], Rule], url: str) -> None:
    """Write a database with `count` schedules; the number-th has the rule that `rule` gives for it."""
    asyncio.run(_populate(path, count, rule, url))


async def _populate(path: Path, count: int, rule: Callable[[int], Rule], url: str) -> None:
    store = await SqliteStore.open(path)
    now_us = time.time_ns() // 1000
    for start in range(0, count, PORTION):
        drafts = [_draft(number, rule(number), url, now_us) for number in range(start, min(start + PORTION, count))]
        await store.create_schedules(drafts, [_entry(draft) for draft in drafts])
    await store.arm(ArmBatch(executions=(), planned_through_us=now_us - 3_600_000_000))
    await store.aclose()


def _draft(number: int, rule: Rule, url: str, now_us: int) -> NewSchedule:
    schedule = Schedule(
        name=ScheduleName(group="default", schedule=f"job-{number}"),
        when=rule.when,
        target=HttpTarget(url=url),
        policies=Policies(overlap=Overlap.ALLOW_ALL),
        uid=number + 1,
        creator="bench",
        created_us=now_us - 3_600_000_000,
        updated_us=now_us,
        planned_from_us=now_us - 3_600_000_000,
    )
    return NewSchedule(schedule=schedule, next_us=rule.next_us)


def _entry(draft: NewSchedule) -> JournalEntry:
    schedule = draft.schedule
    kind = JournalKind.SCHEDULE_CREATED
    return JournalEntry(time_us=schedule.updated_us, kind=kind, schedule=schedule.name, schedule_uid=schedule.uid, actor="bench")
