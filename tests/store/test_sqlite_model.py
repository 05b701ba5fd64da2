"""The SQLite store against a dict: whatever is created, changed and deleted, in pages of any size, both agree."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from schedd.core.errors import AlreadyExistsError, ConflictError
from schedd.core.model.policy import CatchUp, Policies, Retry
from schedd.core.model.query import Order, PageRequest
from schedd.core.model.schedule import Pause, Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import AuthScheme, HttpAuth, HttpTarget, Payload, ProcessTarget, ResourceLimits, StatusRange
from schedd.core.model.when import (
    AfterCompletion,
    AtStart,
    CalendarShift,
    Cron,
    Expression,
    Interval,
    OnCalendar,
    Once,
    Recurrence,
    Spread,
    When,
)
from schedd.store import rows
from schedd.store.sqlite import SqliteStore
from tests.conformance.store import changed, create, draft, where

text = st.text(st.characters(codec="utf-8"), max_size=8)
microseconds = st.integers(-(2**63), 2**63 - 1)
durations = st.timedeltas()
mappings = st.dictionaries(text, text, max_size=3)
fractions = st.floats(0, 1e6)
triggers = st.one_of(
    st.builds(Expression, text=text),
    st.builds(Cron, text=text),
    st.builds(Interval, every=durations, anchor_us=st.none() | microseconds),
    st.builds(AfterCompletion, delay=durations),
    st.builds(Once, times_us=st.lists(microseconds, max_size=3).map(tuple)),
    st.builds(OnCalendar, text=text),
    st.builds(Recurrence, text=text),
    st.builds(AtStart),
)
whens = st.builds(
    When,
    triggers=st.lists(triggers, max_size=3).map(tuple),
    exclusions=st.lists(triggers, max_size=2).map(tuple),
    exclude_calendars=st.lists(text, max_size=2).map(tuple),
    include_calendars=st.lists(text, max_size=2).map(tuple),
    calendar_shift=st.sampled_from(CalendarShift),
    time_zone=text,
    start_us=st.none() | microseconds,
    end_us=st.none() | microseconds,
    spread=st.builds(Spread, window=durations),
)
payloads = st.builds(Payload, content=st.binary(max_size=9), content_type=text)
targets = st.one_of(
    st.builds(
        HttpTarget,
        url=text,
        headers=st.lists(st.tuples(text, text), max_size=2).map(tuple),
        payload=payloads,
        expected_status=st.lists(st.builds(StatusRange), max_size=2).map(tuple),
        auth=st.none() | st.builds(HttpAuth, scheme=st.sampled_from(AuthScheme), secret=text, username=text),
    ),
    st.builds(
        ProcessTarget,
        argv=st.lists(text, max_size=3).map(tuple),
        env=mappings,
        stdin=payloads,
        success_exit_codes=st.lists(st.integers(0, 255), max_size=2).map(tuple),
        kill_grace=durations,
        resource_limits=st.none() | st.builds(ResourceLimits, cpu_time=st.none() | durations, open_files=st.none() | microseconds),
    ),
)
policies = st.builds(
    Policies,
    catch_up=st.builds(CatchUp, window=st.none() | durations, grace=durations),
    retry=st.builds(Retry, min_backoff=durations, max_backoff=durations, max_age=durations, multiplier=fractions, jitter=fractions),
    attempt_timeout=st.none() | durations,
)
schedules = st.builds(
    Schedule,
    name=st.builds(ScheduleName, group=text, schedule=text),
    when=whens,
    target=targets,
    policies=policies,
    labels=mappings,
    state=st.sampled_from(ScheduleState),
    pause=st.none() | st.builds(Pause, actor=text, since_us=microseconds, reason=text, until_us=st.none() | microseconds),
    row=microseconds,
    uid=microseconds,
    generation=microseconds,
)


@given(schedules)
def test_schedule_reads_back_from_its_row_as_it_was(schedule: Schedule) -> None:
    identity = (schedule.row, schedule.uid, schedule.name.group, schedule.name.schedule)
    assert rows.schedule_of((*identity, *rows.schedule_content(schedule))) == schedule


@dataclass(slots=True)
class Model:
    """What the store should hold, by row."""

    schedules: dict[int, Schedule] = field(default_factory=dict)

    def holder(self, name: ScheduleName) -> Schedule | None:
        standing = (each for each in self.schedules.values() if each.name == name and each.state is not ScheduleState.DELETED)
        return next(standing, None)


steps = st.one_of(
    st.tuples(st.just("create"), st.integers(0, 5), st.sampled_from(["x", "y"])),
    st.tuples(st.just("change"), st.integers(0, 30), st.sampled_from(["x", "y"])),
    st.tuples(st.just("delete"), st.integers(0, 30), st.just("")),
    st.tuples(st.just("revive"), st.integers(0, 30), st.just("")),
    st.tuples(st.just("stale"), st.integers(0, 30), st.just("")),
)


async def take(store: SqliteStore, model: Model, step: tuple[str, int, str]) -> None:
    """Take a step in both, and see that they answer alike."""
    action, number, label = step
    if action == "create":
        subject = draft(len(model.schedules) + 1, f"n{number}", labels={"team": label})
        taken = model.holder(subject.schedule.name) is not None
        try:
            (stored,) = await create(store, subject)
        except AlreadyExistsError:
            assert taken
        else:
            assert not taken
            model.schedules[stored.row] = stored
    elif model.schedules:
        await change(store, model, model.schedules[number % len(model.schedules) + 1], action, label)


async def change(store: SqliteStore, model: Model, before: Schedule, action: str, label: str) -> None:
    """Change a schedule in both."""
    if action == "stale":
        before = replace(before, generation=before.generation - 1)
        step = changed(before)
    elif action == "delete":
        step = changed(before, state=ScheduleState.DELETED, deleted_us=5)
    elif action == "revive":
        step = changed(before, state=ScheduleState.ENABLED, deleted_us=None)
    else:
        step = changed(before, labels={"team": label, label: ""})
    holder = model.holder(before.name)
    taken = before.state is ScheduleState.DELETED and step.schedule.state is not ScheduleState.DELETED and holder is not None
    try:
        await store.change_schedule(step)
    except ConflictError:
        assert action == "stale"
    except AlreadyExistsError:
        assert taken
    else:
        assert action != "stale"
        assert not taken
        model.schedules[before.row] = step.schedule


async def check(store: SqliteStore, model: Model, size: int) -> None:
    """See that both hold the same."""
    assert await store.schedules(list(model.schedules)) == model.schedules
    standing = [each for each in model.schedules.values() if each.state is not ScheduleState.DELETED]
    assert list((await store.timers()).rows) == sorted(each.row for each in standing if each.state is ScheduleState.ENABLED)
    for descending in (False, True):
        for label in ("x", "y"):
            expected = sorted((each for each in standing if each.labels["team"] == label), key=lambda each: each.name, reverse=descending)
            found: list[Schedule] = []
            after: tuple[str | int, ...] = ()
            while True:
                order = Order(field="name", descending=descending)
                page = await store.find_schedules(where("labels.team", "=", label), order, PageRequest(size=size, after=after))
                assert len(page.items) <= size
                found += page.items
                after = page.after
                if not after:
                    break
            assert found == expected


@settings(max_examples=30)
@given(st.lists(steps, max_size=25), st.integers(1, 4))
def test_store_agrees_with_a_dict_after_any_steps(taken: list[tuple[str, int, str]], size: int) -> None:
    async def run(path: Path) -> None:
        store = await SqliteStore.open(path)
        model = Model()
        for step in taken:
            await take(store, model, step)
        await check(store, model, size)
        await store.aclose()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory) / "schedd.db"))
