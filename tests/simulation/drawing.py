"""What a seed stands for: schedules, what clients do to them, how the target behaves, and everything that goes wrong, and when."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from schedd.core.breaker import BreakerPolicy
from schedd.core.model.calendar import Calendar, Weekday, WeeklyEntry
from schedd.core.model.policy import (
    AfterLastRun,
    CatchUp,
    CatchUpMode,
    CommandHolds,
    Concurrency,
    Condition,
    DayFits,
    Delivery,
    FollowUp,
    Hold,
    Notify,
    Overlap,
    Policies,
    Retry,
    TriggerSchedule,
)
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget, ProcessTarget
from schedd.core.model.when import AfterCompletion, AtStart, Expression, Interval, Once, Spread, SpreadMode, Trigger, When
from schedd.engine.engine import EngineSettings
from schedd.engine.limits import AttemptLimits

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

_NEW_YEAR_US = 1_767_225_600 * SECOND
_GAP_US = 1_774_746_000 * SECOND
"""2026-03-29T01:00:00Z: Berlin's clocks go forward."""
_FOLD_US = 1_792_890_000 * SECOND
"""2026-10-25T01:00:00Z: they go back."""

KEYS = {"one": 1, "two": 2}
"""The concurrency keys that schedules share, with their limits."""
HOSTS = ("a.example", "b.example")
CALENDAR = "closed"
"""The one calendar: it closes some minutes of every day."""
NOTICES = "http://notices.example/"
"""Where follow-ups notify."""
ASKS = "holds"
"""The command that conditions run."""
DAYS: dict[str, Callable[[datetime], bool]] = {
    "0 0 1 * *": lambda local: local.day == 1,
    "0 0 * * SUN": lambda local: local.weekday() == 6,
    "0 0 * * MON": lambda local: local.weekday() == 0,
}
"""Which days conditions name, and which those are."""
_ZONES = ("UTC", "Europe/Berlin")

_EXPRESSIONS = (
    "* * * * *",
    "*/2 * * * *",
    "*/30 * * * * *",
    "15 * * * * *",
    "rate(1 minute)",
    "*:0/3",
    "FREQ=MINUTELY;INTERVAL=2",
    "0 3 * * *",
)


class Deed(StrEnum):
    """What a client does."""

    CREATE = "create"
    UPDATE = "update"
    RETIME = "retime"
    PAUSE = "pause"
    RESUME = "resume"
    DELETE = "delete"
    UNDELETE = "undelete"
    TRIGGER = "trigger"
    CANCEL = "cancel"
    REDELIVER = "redeliver"
    BACKFILL = "backfill"
    CLOSE = "close days"


_ONCE = (Deed.CANCEL, Deed.REDELIVER, Deed.CLOSE)
"""What is never repeated: it is another thing each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A client's call at `at_us` of virtual time. `draft` is created, or an update takes from it; `pick` chooses where need be.

    What has the same `request` is one call and its repetition; without one it is neither.
    """

    at_us: int
    deed: Deed
    name: ScheduleName
    draft: Schedule
    closed: Calendar
    pick: float
    request: str = ""


class End(StrEnum):
    """How a daemon's life ends."""

    CRASH_AT_STEP = "crash before its nth step"
    CRASH_BEFORE_COMMIT = "crash before its nth commit"
    CRASH_AFTER_COMMIT = "crash after its nth commit"
    CRASH_AT_TIME = "crash after a time"
    STOP = "stop in order after a time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """The end of one life: at the `count`-th step or commit, at `after_us` of its own at the latest; then the host is without a daemon."""

    end: End
    count: int
    after_us: int
    down_us: int


class Trouble(StrEnum):
    """What happens to the host while daemons live on it."""

    DISK_FULL = "the disk is full"
    """Transactions fail, some of them half way."""
    DISK_SLOW = "the disk is slow"
    STEP = "the clock is set forward"
    STEP_BACK = "the clock is set back"
    SUSPEND = "the host is suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """A trouble from `at_us` on, for `for_us` of virtual time; the clock's moves by that much at once."""

    trouble: Trouble
    at_us: int
    for_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """How the target answers a schedule's calls: the shares of those that fail, hang, raise and are slow; the others succeed soon."""

    fails: float
    hangs: float
    raises: float
    slow: float
    slow_s: float
    grace_s: float
    """How long a call takes to end when it is cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A seed's whole story. It ends at `end_us` of virtual time, or a while after the last crash."""

    seed: int
    start_us: int
    end_us: int
    settings: EngineSettings
    conducts: dict[ScheduleName, Conduct]
    actions: tuple[Action, ...]
    fates: tuple[Fate, ...]
    spells: tuple[Spell, ...]


@dataclass(slots=True)
class _Drawing:
    """The one source of chance, and what the drawing goes by."""

    chance: random.Random
    start_us: int
    end_us: int
    names: list[ScheduleName] = field(default_factory=list)

    def happens(self, share: float) -> bool:
        return self.chance.random() < share

    def seconds(self, least: float, most: float) -> timedelta:
        """More often short than long."""
        return timedelta(seconds=round(least + (most - least) * self.chance.random() ** 3, 3))

    def wall_us(self) -> int:
        return self.start_us + self.chance.randrange(self.end_us)


def draw(seed: int) -> Plan:
    """The plan of that seed."""
    chance = random.Random(seed)
    start_us = chance.choice((_NEW_YEAR_US, _GAP_US - 4 * MINUTE, _FOLD_US - 4 * MINUTE)) + chance.randrange(2 * MINUTE)
    drawing = _Drawing(chance=chance, start_us=start_us, end_us=chance.randint(4, 14) * MINUTE)
    drawing.names = [ScheduleName(group="default", schedule=f"s{number}") for number in range(chance.randint(1, 5))]
    return Plan(
        seed=seed,
        start_us=start_us,
        end_us=drawing.end_us,
        settings=_settings(drawing),
        conducts={name: _conduct(drawing) for name in drawing.names},
        actions=_actions(drawing),
        fates=tuple(_fate(drawing) for _ in range(chance.choice((0, 1, 1, 2, 4)))),
        spells=tuple(_spell(drawing) for _ in range(chance.choice((0, 0, 1, 2, 3)))),
    )


def _settings(drawing: _Drawing) -> EngineSettings:
    chance = drawing.chance
    breaker = BreakerPolicy(min_calls=chance.randint(3, 8), open_time=timedelta(seconds=chance.randint(5, 60)), probes=1)
    return EngineSettings(
        limits=AttemptLimits(
            running=chance.choice((2, 3, 256)),
            per_host=chance.choice((1, 2, 64)),
            http_timeout=timedelta(seconds=40),
            timeout_cap=timedelta(minutes=10),
        ),
        breaker=breaker if drawing.happens(0.5) else None,
        definitions_kept=chance.choice((1, 20_000)),
    )


def _actions(drawing: _Drawing) -> tuple[Action, ...]:
    chance = drawing.chance
    deeds = [deed for deed in Deed for _ in range(1 if deed in (Deed.CREATE, Deed.DELETE) else 2)]
    actions = [_action(drawing, Deed.CLOSE, drawing.names[0], SECOND // 2)]
    actions += [
        _action(drawing, chance.choice(deeds), chance.choice(drawing.names), chance.randrange(drawing.end_us))
        for _ in range(chance.randint(0, 12))
    ]
    actions += _creations(drawing)
    again = [replace(action, at_us=action.at_us + chance.randrange(3 * MINUTE)) for action in actions if action.request]
    return tuple(sorted((*actions, *again), key=lambda action: action.at_us))


def _creations(drawing: _Drawing) -> list[Action]:
    """Each schedule is created, and some have others follow that were created before."""
    chance = drawing.chance
    times = sorted(chance.choice((SECOND, chance.randrange(SECOND, drawing.end_us // 3))) for _ in drawing.names)
    actions = [_action(drawing, Deed.CREATE, name, at_us) for name, at_us in zip(drawing.names, times, strict=True)]
    return [
        replace(action, draft=_followed(drawing, action.draft, drawing.names[:number])) if number and drawing.happens(0.3) else action
        for number, action in enumerate(actions)
    ]


def _action(drawing: _Drawing, deed: Deed, name: ScheduleName, at_us: int) -> Action:
    draft = _schedule(drawing, name)
    if drawing.happens(0.1):
        draft = _followed(drawing, draft, drawing.names)  # Perhaps in a circle, which is refused.
    request = f"{deed} {name.schedule} at {at_us}" if deed not in _ONCE and drawing.happens(0.25) else ""
    return Action(at_us=at_us, deed=deed, name=name, draft=draft, closed=_calendar(drawing), pick=drawing.chance.random(), request=request)


def _followed(drawing: _Drawing, draft: Schedule, names: Sequence[ScheduleName]) -> Schedule:
    chance = drawing.chance
    follow_up: FollowUp = Notify(target=HttpTarget(url=NOTICES))
    if drawing.happens(0.7):
        follow_up = TriggerSchedule(schedule=str(chance.choice(names)))
    policies = draft.policies
    if drawing.happens(0.5):
        return replace(draft, policies=replace(policies, on_success=(follow_up,)))
    return replace(draft, policies=replace(policies, on_failure=(follow_up,)))


def _calendar(drawing: _Drawing) -> Calendar:
    """It closes some minutes of what the seed lives through."""
    chance = drawing.chance
    zone = chance.choice(_ZONES)
    first = datetime.fromtimestamp((drawing.start_us + chance.randrange(drawing.end_us)) // SECOND, UTC).astimezone(ZoneInfo(zone))
    last = first + timedelta(minutes=chance.randint(1, 6))
    entry = WeeklyEntry(days=tuple(Weekday), start=first.strftime("%H:%M:%S"), end=last.strftime("%H:%M:%S"))
    return Calendar(name=CALENDAR, time_zone=zone, entries=(entry,))


def _schedule(drawing: _Drawing, name: ScheduleName) -> Schedule:
    host = drawing.chance.choice(HOSTS)
    target = ProcessTarget(argv=("true",)) if drawing.happens(0.3) else HttpTarget(url=f"http://{host}/")
    return Schedule(name=name, when=_when(drawing), target=target, policies=_policies(drawing))


def _when(drawing: _Drawing) -> When:
    chance = drawing.chance
    triggers = tuple(_trigger(drawing) for _ in range(chance.choice((1, 1, 1, 2))))
    when = When(triggers=triggers, time_zone=chance.choice(_ZONES), exclude_calendars=(CALENDAR,) if drawing.happens(0.15) else ())
    if drawing.happens(0.25):
        mode = chance.choice((SpreadMode.STABLE, SpreadMode.RANDOM))
        when = replace(when, spread=Spread(mode=mode, window=timedelta(seconds=chance.randint(1, 30))))
    if drawing.happens(0.1):
        when = replace(when, exclusions=(Expression(text="*/5 * * * *"),))
    if drawing.happens(0.1):
        when = replace(when, end_us=drawing.start_us + drawing.end_us // 2 + chance.randrange(drawing.end_us))
    return when


def _trigger(drawing: _Drawing) -> Trigger:
    chance = drawing.chance
    match chance.randrange(10):
        case 0 | 1 | 2:
            anchor_us = None if drawing.happens(0.5) else drawing.start_us - chance.randrange(HOUR)
            return Interval(every=timedelta(seconds=chance.choice((20, 30, 45, 60, 61.7, 90, 240))), anchor_us=anchor_us)
        case 3:
            return Once(times_us=tuple(sorted({drawing.wall_us() for _ in range(chance.randint(1, 4))})))
        case 4:
            return AfterCompletion(delay=timedelta(seconds=chance.choice((15, 40, 90))))
        case 5:
            return AtStart()
        case _:
            return Expression(text=chance.choice(_EXPRESSIONS))


def _policies(drawing: _Drawing) -> Policies:
    chance = drawing.chance
    key = chance.choice(sorted(KEYS)) if drawing.happens(0.3) else ""
    return Policies(
        overlap=chance.choice(list(Overlap)),
        catch_up=CatchUp(
            mode=chance.choice(list(CatchUpMode)),
            window=drawing.seconds(30, 3600) if drawing.happens(0.5) else None,
            max_runs=chance.choice((1, 3, 10)),
            grace=timedelta(seconds=chance.choice((0, 1, 30, 60))),
        ),
        retry=Retry(
            max_attempts=chance.randint(1, 4),
            min_backoff=drawing.seconds(1, 20),
            max_backoff=timedelta(seconds=60),
            jitter=chance.choice((0, 0.1)),
            max_age=drawing.seconds(60, 1800),
        ),
        attempt_timeout=drawing.seconds(2, 40) if drawing.happens(0.5) else None,
        delivery=Delivery.AT_MOST_ONCE if drawing.happens(0.25) else Delivery.AT_LEAST_ONCE,
        priority=chance.randrange(10),
        after_last_run=chance.choice(list(AfterLastRun)),
        buffer_limit=chance.randint(1, 3),
        concurrency=Concurrency(key=key, limit=KEYS[key], when_full=chance.choice(list(Hold))) if key else None,
        pause_after_failures=chance.choice((0, 0, 0, 0, 2)),
        max_runs=chance.choice((0, 0, 0, 0, 0, 0, 0, 4)),
        circuit_open=chance.choice(list(Hold)),
        condition=_condition(drawing) if drawing.happens(0.15) else None,
    )


def _condition(drawing: _Drawing) -> Condition:
    """Half of the commands say yes; which days there are decides about all of a seed."""
    if drawing.happens(0.6):
        return CommandHolds(command=ProcessTarget(argv=(ASKS,)), timeout=timedelta(seconds=5))
    return DayFits(days=Expression(text=drawing.chance.choice(sorted(DAYS))))


def _conduct(drawing: _Drawing) -> Conduct:
    chance = drawing.chance
    return Conduct(
        fails=chance.choice((0, 0, 0.2, 0.7, 1)),
        hangs=chance.choice((0, 0, 0.1)),
        raises=chance.choice((0, 0, 0, 0, 0.05)),
        slow=chance.choice((0, 0.3, 0.8)),
        slow_s=chance.choice((3.0, 30.0, 100.0)),
        grace_s=chance.choice((0.0, 0.0, 2.0)),
    )


def _fate(drawing: _Drawing) -> Fate:
    chance = drawing.chance
    end = chance.choice(list(End))
    down_s = chance.choice((0.0, chance.uniform(0, 5), chance.uniform(0, 120), chance.uniform(0, 600), chance.uniform(0, 6 * 3600)))
    mean = 400 if end is End.CRASH_AT_STEP else 12
    return Fate(
        end=end,
        count=1 + int(chance.expovariate(1 / mean)),
        after_us=chance.randrange(1, drawing.end_us),
        down_us=int(down_s * SECOND),
    )


def _spell(drawing: _Drawing) -> Spell:
    chance = drawing.chance
    trouble = chance.choice(list(Trouble))
    longest_s = {Trouble.DISK_FULL: 90, Trouble.DISK_SLOW: 60, Trouble.STEP: 900, Trouble.STEP_BACK: 900, Trouble.SUSPEND: 4 * 3600}[
        trouble
    ]
    return Spell(trouble=trouble, at_us=chance.randrange(drawing.end_us), for_us=int(chance.random() ** 2 * longest_s * SECOND) + 1)
