"""A walker that goes minute by minute over every transition of every zone from 2020 to 2040, and judges what the compiled rules say there.

The walker knows nothing of masks or segments: it reads the local time of each minute from zoneinfo. Equal transitions are walked once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest

from schedd.core.model.when import Expression, FoldPolicy, GapPolicy, When
from schedd.core.triggers import Rule, compile_when
from schedd.core.triggers.zone import load_zone
from schedd.core.triggers.zonename import is_zone

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_YEAR, LAST_YEAR = 2020, 2040
WINDOW = 5 * 60
"""Minutes walked before and after a transition: more than any offset of these years changes by, and than the rules' fires lie apart."""

POLICIES = [(gap, fold) for gap in (GapPolicy.RUN_AFTER, GapPolicy.SKIP) for fold in (FoldPolicy.FIRST, FoldPolicy.BOTH)]
FIXED = ["0,15,30,45 0-23 * * *", "30 0-4 * * SAT,SUN,MON", "0 0 * * *", "5 2 * * *", "59 23,1 L * *"]
FOLLOWING = ["*/20 * * * *", "*/15 1-3 * * *", "10 */2 * * *"]


@dataclass(frozen=True)
class Transition:
    """From the instant `at_us` on the offset is `after_us`, before it is `before_us`."""

    at_us: int
    before_us: int
    after_us: int


def offset_us(info: ZoneInfo, at_us: int) -> int:
    return ((EPOCH + timedelta(microseconds=at_us)).astimezone(info).utcoffset() or timedelta(0)) // timedelta(microseconds=1)


def transitions_of(key: str) -> tuple[Transition, ...]:
    info = ZoneInfo(key)
    low = (datetime(FIRST_YEAR, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    end = (datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    found, before = [], offset_us(info, low)
    for high in range(low + 3 * DAY, end, 3 * DAY):
        if (after := offset_us(info, high)) != before:
            found.append(Transition(halved(info, high - 3 * DAY, high, before), before, after))
            before = after
    return tuple(found)


def halved(info: ZoneInfo, low_us: int, high_us: int, before_us: int) -> int:
    while high_us - low_us > SECOND:
        middle_us = (low_us + high_us) // 2 // SECOND * SECOND
        low_us, high_us = (middle_us, high_us) if offset_us(info, middle_us) == before_us else (low_us, middle_us)
    return high_us


@lru_cache(maxsize=1)
def distinct_zones() -> dict[tuple[Transition, ...], str]:
    """A zone for each list of transitions that there is."""
    return {transitions_of(key): key for key in sorted(available_timezones(), reverse=True) if is_zone(key)}


@lru_cache(maxsize=1)
def distinct_transitions() -> dict[Transition, str]:
    """A zone for each transition that there is."""
    return {transition: key for transitions, key in distinct_zones().items() for transition in transitions}


@dataclass(frozen=True)
class Window:
    """The minutes round a transition, as (instant, local time), the local times that it leaves out, and those that it repeats."""

    minutes: tuple[tuple[int, datetime], ...]
    left_out: tuple[datetime, ...]
    at_us: int

    @classmethod
    def around(cls, key: str, at_us: int) -> Window:
        info = ZoneInfo(key)
        middle = EPOCH + timedelta(microseconds=at_us)
        instants = [middle + timedelta(minutes=number) for number in range(-WINDOW, WINDOW)]
        local = [instant.astimezone(info).replace(tzinfo=None, fold=0) for instant in instants]
        width = (local[WINDOW] - local[WINDOW - 1]) // timedelta(minutes=1)
        left_out = tuple(local[WINDOW - 1] + timedelta(minutes=number) for number in range(1, width))
        return cls(
            tuple((at_us + number * MINUTE, time) for number, time in zip(range(-WINDOW, WINDOW), local, strict=True)), left_out, at_us
        )

    def following(self, text: str) -> list[int]:
        return [at_us for at_us, local in self.minutes if matches(text, local)]

    def fixed(self, text: str, gap: GapPolicy, fold: FoldPolicy) -> list[int]:
        moved = gap is GapPolicy.RUN_AFTER and any(matches(text, local) for local in self.left_out)
        seen: set[datetime] = set()
        found = []
        for at_us, local in self.minutes:
            repeated = local in seen and fold is FoldPolicy.FIRST
            seen.add(local)
            if (matches(text, local) and not repeated) or (moved and at_us == self.at_us):
                found.append(at_us)
        return found


def values(field: str, top: int) -> set[int]:
    """The values of a field in what little of cron these rules use."""
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        low, _, high = span.partition("-")
        found |= set(range(0, top, int(step or 1))) if low == "*" else set(range(int(low), int(high or low) + 1, int(step or 1)))
    return found


@lru_cache(maxsize=64)
def times_of_day(text: str) -> frozenset[int]:
    minutes, hours = text.split()[:2]
    return frozenset(hour * 60 + minute for hour in values(hours, 24) for minute in values(minutes, 60))


def matches(text: str, local: datetime) -> bool:
    if local.hour * 60 + local.minute not in times_of_day(text):
        return False
    if text.endswith("L * *"):
        return (local + timedelta(days=1)).day == 1
    return not text.endswith("SAT,SUN,MON") or local.weekday() in (5, 6, 0)


@lru_cache(maxsize=4096)
def rule_of(text: str, key: str, gap: GapPolicy, fold: FoldPolicy) -> Rule:
    return compile_when(When(triggers=(Expression(text=text),), time_zone=key, gap=gap, fold=fold), created_us=0, seed=0)


def said(rule: Rule, window: Window) -> tuple[list[int], list[int]]:
    """What the rule fires in the window, found going forward and going backward."""
    first_us, last_us = window.minutes[0][0], window.minutes[-1][0]
    forward, at_us = [], rule.next_after(first_us - 1)
    while at_us is not None and at_us <= last_us:
        forward.append(at_us)
        at_us = rule.next_after(at_us)
    backward, at_us = [], rule.prev_before(last_us + 1)
    while at_us is not None and at_us >= first_us:
        backward.append(at_us)
        at_us = rule.prev_before(at_us)
    return forward, backward[::-1]


def faults(text: str, key: str, window: Window, expected: list[int], gap: GapPolicy, fold: FoldPolicy) -> list[str]:
    rule = rule_of(text, key, gap, fold)
    forward, backward = said(rule, window)
    found = [] if forward == expected else ["forward"]
    found += [] if backward == expected else ["backward"]
    for probe_us in (window.at_us - 1, window.at_us, window.at_us + 1):
        following = next((at_us for at_us in expected if at_us > probe_us), None)
        if following is not None and rule.next_after(probe_us) != following:
            found.append(f"after {probe_us}")
        previous = next((at_us for at_us in reversed(expected) if at_us < probe_us), None)
        if previous is not None and rule.prev_before(probe_us) != previous:
            found.append(f"before {probe_us}")
    return [f"{text!r} in {key} round {EPOCH + timedelta(microseconds=window.at_us)} ({gap}, {fold}): {fault}" for fault in found]


def test_walker_finds_the_transitions_there_are() -> None:
    assert len(distinct_zones()) >= 40
    assert len(distinct_transitions()) > 500
    changes = {transition.after_us - transition.before_us for transition in distinct_transitions()}
    assert {60 * MINUTE, -60 * MINUTE, 30 * MINUTE, -30 * MINUTE, 120 * MINUTE, -120 * MINUTE} <= changes


def test_segments_of_every_zone_are_its_transitions() -> None:
    for transitions, key in distinct_zones().items():
        segments = [segment for year in range(FIRST_YEAR, LAST_YEAR + 1) for segment in load_zone(key).segments_of_year(year)]
        changes = [Transition(each.start_us, each.before_us, each.offset_us) for each in segments if each.before_us != each.offset_us]
        assert changes == list(transitions), key
        assert all(one.end_us == two.start_us for one, two in pairwise(segments)), key


@pytest.mark.parametrize("remainder", range(4))
def test_rules_round_every_transition_fire_as_the_walker_says(remainder: int) -> None:
    wrong: list[str] = []
    for number, (transition, key) in enumerate(distinct_transitions().items()):
        if number % 4 != remainder:
            continue
        window = Window.around(key, transition.at_us)
        for text in FOLLOWING:
            wrong += faults(text, key, window, window.following(text), *POLICIES[number // 4 % 4])
        for gap, fold in POLICIES:
            text = FIXED[0]
            wrong += faults(text, key, window, window.fixed(text, gap, fold), gap, fold)
        for index, text in enumerate(FIXED[1:]):
            gap, fold = POLICIES[(number // 4 + index) % 4]
            wrong += faults(text, key, window, window.fixed(text, gap, fold), gap, fold)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:20]])
