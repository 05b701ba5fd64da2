"""Exclusions that leave out very many occurrences in a row, held against a walk through each of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schedd.core.model.when import Cron, Expression, FoldPolicy, GapPolicy, Interval, OnCalendar, Trigger, When
from schedd.core.triggers import check_when, compile_when
from schedd.core.triggers.compilation import Setting, rule_of
from schedd.core.triggers.fields import FieldRule
from schedd.core.triggers.rule import Rule

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
JUNE = 1_781_082_000_000_000
"""2026-06-10T09:00:00Z."""

SPRING, AUTUMN = 1_774_742_400_000_000, 1_792_886_400_000_000
"""Midnight UTC before the clocks of Berlin change, on 29 March and 25 October 2026."""


def compiled(trigger: Trigger, *exclusions: Trigger, zone: str = "UTC") -> Rule:
    return compile_when(When(triggers=(trigger,), exclusions=exclusions, time_zone=zone), created_us=0, seed=0)


@pytest.mark.parametrize(
    ("text", "excluded", "following_us", "preceding_us"),
    [
        ("* * * * * *", "* * 9-17 * * *", JUNE + 9 * HOUR, JUNE - SECOND),
        ("*/2 * * * * *", "* * 9-17 * * *", JUNE + 9 * HOUR, JUNE - 2 * SECOND),
        ("rate(1 second)", "* * 9-17 * * *", JUNE + 9 * HOUR, JUNE - SECOND),
        ("* 9-17 * * *", "* 8-18 * 1-11 *", JUNE + 174 * DAY, JUNE - 161 * DAY + 9 * HOUR - 60 * SECOND),
        ("*-*-* *:*:*", "* * 0-22 * * *", JUNE + 14 * HOUR, JUNE - 9 * HOUR - SECOND),
        ("FREQ=SECONDLY", "* * 9-17 * * *", JUNE + 9 * HOUR, JUNE - SECOND),
        ("*-*-* *:*:0/0.5", "*-*-* 09..17:*:0/0.5", JUNE + 9 * HOUR, JUNE - SECOND // 2),
        ("*-*-* *:*:0/0.5", "* * 9-17 * * *", JUNE + HOUR // 2 + SECOND // 2, JUNE + HOUR // 2 - SECOND // 2),
        (
            "DTSTART:20200101T000000Z\nRRULE:FREQ=SECONDLY\nEXDATE:20260610T180000Z",
            "* * 9-17 * * *",
            JUNE + 9 * HOUR + SECOND,
            JUNE - SECOND,
        ),
        ("*-*-* *:*:* Europe/Berlin", "* * 9-17 * * *", JUNE + 9 * HOUR, JUNE - SECOND),
    ],
)
def test_next_and_last_are_found_beyond_all_that_is_left_out(text: str, excluded: str, following_us: int, preceding_us: int) -> None:
    trigger = Interval(every=timedelta(seconds=1), anchor_us=0) if text.startswith("rate") else Expression(text=text)
    when = When(triggers=(trigger,), exclusions=(Expression(text=excluded),))
    assert check_when(when, now_us=JUNE) == ()
    rule = compile_when(when, created_us=0, seed=0)
    within_us = JUNE + HOUR // 2
    assert (rule.next_after(within_us), rule.prev_before(within_us)) == (following_us, preceding_us)


@pytest.mark.parametrize(
    ("text", "excluded"),
    [
        ("*/5 * 10-11 * * *", "* * 9-17 * * *"),
        ("*/5 * 10-11 * * 1-5", "* * 9-17 * * 1-5"),
        ("*/5 * 10-11 * * 1", "* * 9-17 * * 1-5"),
        ("FREQ=SECONDLY;BYHOUR=10", "* * 9-17 * * *"),
    ],
)
def test_rule_whose_every_occurrence_is_left_out_never_fires(text: str, excluded: str) -> None:
    when = When(triggers=(Expression(text=text),), exclusions=(Expression(text=excluded),))
    assert [violation.reason for violation in check_when(when, now_us=JUNE)] == ["NEVER_FIRES"]


def test_of_several_triggers_each_goes_by_what_is_left_out_of_it() -> None:
    every_second, nightly = Expression(text="* * * * * *"), Expression(text="0 12 * * *")
    when = When(triggers=(every_second, nightly), exclusions=(Expression(text="1-59 * 9-17 * * *"),))
    rule = compile_when(when, created_us=0, seed=0)
    assert rule.next_after(JUNE) == JUNE + 60 * SECOND


FIELDS = st.sampled_from(["*", "*/2", "0", "0,30", "0-29", "1-59"])
HOURS = st.sampled_from(["*", "1-3", "2", "0-2", "3-23", "*/2"])
DAYS = st.sampled_from(["*", "*", "25-29", "*/2"])


@st.composite
def expressions(draw: st.DrawFn) -> str:
    return f"{draw(FIELDS)} {draw(FIELDS)} {draw(HOURS)} {draw(DAYS)} * *"


@st.composite
def excluded_triggers(draw: st.DrawFn) -> tuple[Trigger, Trigger]:
    """A trigger of seconds, and an exclusion of it."""
    trigger: Trigger = Cron(text=draw(expressions()))
    if draw(st.booleans()):
        trigger = Interval(every=timedelta(seconds=draw(st.sampled_from([1, 7, 61]))), anchor_us=draw(st.sampled_from([0, SECOND // 2])))
    exclusion: Trigger = Cron(text=draw(expressions()))
    if draw(st.integers(0, 3)) == 0:
        exclusion = OnCalendar(text=draw(st.sampled_from(["*-*-* 01..03:*:*", "*-*-* *:*:0/0.5", "*-*-* 02:0..29:*"])))
    return trigger, exclusion


@settings(max_examples=60)  # Each walks through thousands of occurrences.
@given(
    both=excluded_triggers(),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
    begin_us=st.sampled_from([SPRING, AUTUMN, 1_775_311_200_000_000, JUNE]),
    ahead_s=st.integers(0, 30 * 3600),
    gap=st.sampled_from(GapPolicy),
    fold=st.sampled_from(FoldPolicy),
)
def test_what_is_left_is_what_a_walk_finds(
    both: tuple[Trigger, Trigger], zone: str, begin_us: int, ahead_s: int, gap: GapPolicy, fold: FoldPolicy
) -> None:
    trigger, exclusion = both
    when = When(triggers=(trigger,), exclusions=(exclusion,), time_zone=zone, gap=gap, fold=fold)
    setting = Setting(time_zone=zone, gap=gap, fold=fold, created_us=0, seed=0)
    rule, bare, out = compile_when(when, created_us=0, seed=0), rule_of(trigger, setting), rule_of(exclusion, setting)
    assume(not (isinstance(out, FieldRule) and out.is_whole_days))  # Such a one stands for its days as a whole.
    from_us = begin_us + ahead_s * SECOND
    _agrees(rule.next_after(from_us), bare.next_after, out, from_us, 1)
    _agrees(rule.prev_before(from_us), bare.prev_before, out, from_us, -1)


def _agrees(found: int | None, step: Callable[[int], int | None], out: Rule, from_us: int, direction: int) -> None:
    """What was found is the first in that direction that is not left out, or lies beyond all that are walked through."""
    at_us = step(from_us)
    for _ in range(4000):
        if at_us is None or out.next_after(at_us - 1) != at_us:
            assert found == at_us
            return
        at_us = step(at_us)
    assert found is None or at_us is None or (found - at_us) * direction >= 0
