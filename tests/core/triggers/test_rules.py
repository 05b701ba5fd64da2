"""Compiled rules obey their laws, agree with cronsim, and refuse what cannot be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from schedd.core.errors import ExpressionError
from schedd.core.model.when import (
    AfterCompletion,
    AtStart,
    Cron,
    DayMatch,
    Expression,
    FoldPolicy,
    GapPolicy,
    Interval,
    Once,
    Spread,
    SpreadMode,
    Trigger,
    When,
)
from schedd.core.triggers import Effect, Rule, check_when, clockless, compile_when, described, due_us, pointed, preview, within_limits
from schedd.core.triggers.rule import Instants

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo"]
NOW = 1_767_225_600_000_000


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def when(*texts: str, zone: str = "UTC", gap: GapPolicy = GapPolicy.DIALECT, fold: FoldPolicy = FoldPolicy.DIALECT) -> When:
    return When(triggers=tuple(Expression(text=text) for text in texts), time_zone=zone, gap=gap, fold=fold)


def rule(*texts: str, zone: str = "UTC", gap: GapPolicy = GapPolicy.DIALECT, fold: FoldPolicy = FoldPolicy.DIALECT) -> Rule:
    return compile_when(when(*texts, zone=zone, gap=gap, fold=fold), created_us=0, seed=7)


def fires(compiled: Rule, after: str, count: int) -> list[str]:
    at_us: int | None = micros(datetime.fromisoformat(after))
    found = []
    for _ in range(count):
        at_us = compiled.next_after(at_us) if at_us is not None else None
        found.append("never" if at_us is None else (EPOCH + timedelta(microseconds=at_us)).isoformat())
    return found


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    ranges = st.tuples(value, value).map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.integers(1, high).map(lambda step: f"*/{step}")
    plain = st.lists(st.one_of(value.map(str), ranges), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), plain, steps)


EXPRESSIONS = st.tuples(fields(0, 59), fields(0, 23), fields(1, 28), fields(1, 12), fields(0, 6)).map(" ".join)
STARTS = st.integers(micros(datetime(2020, 1, 1, tzinfo=UTC)), micros(datetime(2035, 1, 1, tzinfo=UTC)))


@given(EXPRESSIONS, st.sampled_from(ZONES), STARTS)
@settings(max_examples=300)
def test_cron_agrees_with_cronsim(text: str, zone: str, start_us: int) -> None:
    start = (EPOCH + timedelta(microseconds=start_us)).astimezone(ZoneInfo(zone))
    compiled = rule(text, zone=zone)
    # cronsim, started inside a fold, can answer an instant before the start, and fires a merged time of a gap twice.
    expected = next(moment for moment in CronSim(text, start) if moment.astimezone(UTC) > start.astimezone(UTC))
    found_us = compiled.next_after(start_us)
    assert found_us is not None
    assume(not _near_transition(zone, start_us, max(found_us, micros(expected))))
    assert found_us == micros(expected)


def _near_transition(zone: str, *instants: int) -> bool:
    """Within a day of a change of offset, where cronsim is no judge; the DST vectors are."""
    day = 86_400_000_000
    offsets = [
        (EPOCH + timedelta(microseconds=at_us + shift)).astimezone(ZoneInfo(zone)).utcoffset()
        for at_us in instants
        for shift in (-day, day)
    ]
    return len(set(offsets)) > 1


@given(EXPRESSIONS, st.sampled_from(ZONES), STARTS)
def test_rule_is_strictly_increasing_and_constant_between_fires(text: str, zone: str, start_us: int) -> None:
    compiled = rule(text, zone=zone)
    first_us = compiled.next_after(start_us)
    assert first_us is not None
    assert first_us > start_us
    assert compiled.next_after((start_us + first_us) // 2) == first_us
    assert compiled.next_after(first_us - 1) == first_us
    assert compiled.prev_before(first_us + 1) == first_us
    previous_us = compiled.prev_before(first_us)
    assert previous_us is not None
    assert previous_us <= start_us
    assert compiled.next_after(previous_us) == first_us


@given(st.text(alphabet="0123456789*/-,LW#?HAMONFRI@() ~:", max_size=30))
@example("")
@settings(max_examples=3000)
def test_any_text_is_compiled_or_refused_with_its_place(text: str) -> None:
    refused = None
    try:
        rule(text)
    except ExpressionError as error:
        refused = error
    if refused is not None:
        assert refused.reason
        assert refused.reason in described(refused)
        assert not text.strip() or pointed(refused) in described(refused)


@pytest.mark.parametrize(
    ("expression", "zone", "gap", "fold", "after", "expected"),
    [
        ("30 2 * * *", "America/New_York", GapPolicy.DIALECT, FoldPolicy.DIALECT, "2024-03-10T05:00:00+00:00", "2024-03-10T07:00:00+00:00"),
        ("30 2 * * *", "America/New_York", GapPolicy.SKIP, FoldPolicy.DIALECT, "2024-03-10T05:00:00+00:00", "2024-03-11T06:30:00+00:00"),
        (
            "cron(30 2 * * ? *)",
            "America/New_York",
            GapPolicy.DIALECT,
            FoldPolicy.DIALECT,
            "2024-03-10T05:00:00+00:00",
            "2024-03-11T06:30:00+00:00",
        ),
        ("30 1 * * *", "America/New_York", GapPolicy.DIALECT, FoldPolicy.DIALECT, "2024-11-03T05:30:00+00:00", "2024-11-04T06:30:00+00:00"),
        ("30 1 * * *", "America/New_York", GapPolicy.DIALECT, FoldPolicy.BOTH, "2024-11-03T05:30:00+00:00", "2024-11-03T06:30:00+00:00"),
        (
            "at(2024-03-10T02:30:00)",
            "America/New_York",
            GapPolicy.RUN_AFTER,
            FoldPolicy.DIALECT,
            "2024-01-01T00:00:00+00:00",
            "2024-03-10T07:00:00+00:00",
        ),
        (
            "at(2030-01-01T09:00:00)",
            "Europe/Berlin",
            GapPolicy.DIALECT,
            FoldPolicy.DIALECT,
            "2024-01-01T00:00:00+00:00",
            "2030-01-01T08:00:00+00:00",
        ),
    ],
)
def test_fixed_times_go_by_the_transition_policies(
    expression: str, zone: str, gap: GapPolicy, fold: FoldPolicy, after: str, expected: str
) -> None:
    assert fires(rule(expression, zone=zone, gap=gap, fold=fold), after, 1) == [expected]


def test_fixed_time_in_a_gap_is_found_from_the_microsecond_before_it() -> None:
    compiled = rule("30 2 * * *", zone="America/New_York")
    end_us = micros(datetime(2024, 3, 10, 7, tzinfo=UTC))
    assert compiled.next_after(end_us - 1) == end_us
    assert compiled.next_after(end_us) == micros(datetime(2024, 3, 11, 6, 30, tzinfo=UTC))


def test_union_fires_each_instant_once() -> None:
    assert fires(rule("0 12 * * *", "0 */6 * * *"), "2024-01-01T00:00:00+00:00", 3) == [
        "2024-01-01T06:00:00+00:00",
        "2024-01-01T12:00:00+00:00",
        "2024-01-01T18:00:00+00:00",
    ]


def test_exclusion_of_a_day_leaves_out_the_whole_day_and_of_an_instant_only_that() -> None:
    days = When(triggers=(Expression(text="0 */12 * * *"),), exclusions=(Expression(text="0 0 25 12 *"),))
    compiled = compile_when(days, created_us=0, seed=0)
    assert fires(compiled, "2024-12-24T12:00:00+00:00", 1) == ["2024-12-26T00:00:00+00:00"]
    before_us = compiled.prev_before(micros(datetime(2024, 12, 26, tzinfo=UTC)))
    assert before_us == micros(datetime(2024, 12, 24, 12, tzinfo=UTC))
    instants = When(triggers=(Expression(text="0 */12 * * *"),), exclusions=(Expression(text="0 12 25 12 *"),))
    compiled = compile_when(instants, created_us=0, seed=0)
    assert fires(compiled, "2024-12-25T00:00:00+00:00", 1) == ["2024-12-26T00:00:00+00:00"]
    assert compiled.prev_before(micros(datetime(2024, 12, 26, tzinfo=UTC))) == micros(datetime(2024, 12, 25, tzinfo=UTC))


def test_bounds_start_included_and_end_excluded() -> None:
    start, end = micros(datetime(2024, 1, 1, 12, tzinfo=UTC)), micros(datetime(2024, 1, 3, 12, tzinfo=UTC))
    bounded = When(triggers=(Expression(text="0 12 * * *"),), start_us=start, end_us=end)
    compiled = compile_when(bounded, created_us=0, seed=0)
    assert fires(compiled, "2023-01-01T00:00:00+00:00", 3) == ["2024-01-01T12:00:00+00:00", "2024-01-02T12:00:00+00:00", "never"]
    assert compiled.prev_before(end + 10**12) == micros(datetime(2024, 1, 2, 12, tzinfo=UTC))
    assert compiled.prev_before(start) is None


def test_interval_without_anchor_counts_from_creation_and_has_no_drift() -> None:
    compiled = compile_when(When(triggers=(Interval(every=timedelta(seconds=90)),)), created_us=NOW, seed=0)
    assert compiled.next_after(NOW) == NOW + 90_000_000
    assert compiled.next_after(NOW + 10**15) == NOW + (10**15 // 90_000_000 + 1) * 90_000_000
    assert compiled.prev_before(NOW + 90_000_000) == NOW
    assert compiled.prev_before(NOW) is None
    assert compiled.next_after(NOW - 5) == NOW


def test_what_the_clock_does_not_fire_has_no_times() -> None:
    for trigger in (AfterCompletion(delay=timedelta(seconds=5)), AtStart()):
        compiled = compile_when(When(triggers=(trigger,)), created_us=0, seed=0)
        assert compiled.next_after(0) is None
        assert check_when(When(triggers=(trigger,)), now_us=NOW) == ()


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(days=3661)])
def test_delay_out_of_bounds_is_refused(delay: timedelta) -> None:
    [violation] = check_when(When(triggers=(AfterCompletion(delay=delay),)), now_us=NOW)
    assert (violation.field, violation.reason) == ("triggers[0].after_completion.delay", "OUT_OF_RANGE")
    assert violation.description.endswith("is not allowed; 1ms to 3660d is, such as 90s or 1h")


@pytest.mark.parametrize("trigger", [AtStart(), AfterCompletion(delay=timedelta(hours=1)), Expression(text="@reboot")])
def test_what_no_clock_fires_is_no_exclusion(trigger: Trigger) -> None:
    [violation] = check_when(When(triggers=(Cron(text="@daily"),), exclusions=(trigger,)), now_us=NOW)
    assert violation.field == "exclusions[0]"


def test_clockless_gives_the_shortest_delay_and_whether_a_start_fires() -> None:
    delays = tuple(AfterCompletion(delay=timedelta(hours=hours)) for hours in (2, 1))
    kind = clockless(When(triggers=(Expression(text="@daily"), *delays)))
    assert (bool(kind), kind.at_start, kind.delay) == (True, False, timedelta(hours=1))
    assert clockless(when("@reboot")).at_start
    assert not clockless(when("@daily"))


def test_another_rule_is_put_within_the_limits_of_a_schedule() -> None:
    limits = replace(when("@daily"), exclusions=(Once(times_us=(NOW + 5,)),), end_us=NOW + 9)
    limited = within_limits(limits, Instants((NOW + 5, NOW + 7, NOW + 9)), created_us=0, seed=0)
    assert [limited.next_after(at_us) for at_us in (NOW, NOW + 7)] == [NOW + 7, None]


def test_hash_token_is_stable_and_differs_between_seeds() -> None:
    when_h = When(triggers=(Cron(text="H H * * *"),))
    firsts = {compile_when(when_h, created_us=0, seed=seed).next_after(NOW) for seed in range(50)}
    assert len(firsts) > 40
    assert compile_when(when_h, created_us=0, seed=1).next_after(NOW) == compile_when(when_h, created_us=9, seed=1).next_after(NOW)


def test_day_match_and_wants_both_fields() -> None:
    both = When(triggers=(Cron(text="0 0 13 * 5", day_match=DayMatch.AND),))
    assert fires(compile_when(both, created_us=0, seed=0), "2024-01-01T00:00:00+00:00", 1) == ["2024-09-13T00:00:00+00:00"]


@pytest.mark.parametrize(
    ("text", "part", "suggestion"),
    [
        ("61 * * * *", "minute", ""),
        ("0 0 30 2 *", "day of month", ""),
        ("0 10 ? * MON-FRI *", "expression", "cron(0 10 ? * MON-FRI *)"),
        ("rate(1 minutes)", "rate", "rate(1 minute)"),
        ("rate(5 fortnights)", "rate", "rate(5 minutes)"),
        ("at(tomorrow)", "rate", ""),
        ("cron(0 10 * * *", "expression", ""),
        ("@fortnightly", "macro", "@daily"),
        ("", "expression", "0 10 * * *"),
        ("@every 0s", "every", ""),
        ("@every 1x", "every", ""),
        ("@every 999999999999w", "every", ""),
        ("* * * *", "expression", ""),
    ],
)
def test_wrong_expression_names_its_part_and_suggests(text: str, part: str, suggestion: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        rule(text)
    assert part in caught.value.part or text.startswith("at(")
    assert suggestion in caught.value.suggestion


@pytest.mark.parametrize(("zone", "also"), [("Europe/Berlin", set()), ("Europe/Berlim", {"time_zone"})])
def test_check_names_every_wrong_field_at_once(zone: str, also: set[str]) -> None:
    wrong = When(
        triggers=(Expression(text="61 * * * *"), Interval(every=timedelta(0))),
        time_zone=zone,
        start_us=5,
        end_us=5,
        spread=Spread(mode=SpreadMode.STABLE),
    )
    assert {violation.field for violation in check_when(wrong, now_us=NOW)} == {
        "triggers[0].expression",
        "triggers[1].interval.every",
        "end_time",
        "spread.window",
    } | also


@pytest.mark.parametrize(
    ("description", "field"),
    [
        (When(triggers=()), "triggers"),
        (When(triggers=(Expression(text="* * * * *"),) * 33), "triggers"),
        (When(triggers=(Expression(text="* * * * *"),), exclusions=(Expression(text="0 0 25 12 *"),) * 33), "exclusions"),
        (When(triggers=(Expression(text="* * * * *"),), exclusions=(Expression(text="0 25 * * *"),)), "exclusions[0].expression"),
        (When(triggers=(Expression(text="* * * * *"),), spread=Spread(window=timedelta(days=8))), "spread.window"),
        (When(triggers=(Expression(text="* * * * *"),), end_us=NOW - 1), "triggers"),
        (When(triggers=(Expression(text="* * * * *"),), time_zone="Europe/Berlim"), "time_zone"),
        (When(triggers=(Expression(text="* * * * *"),), time_zone="localtime"), "time_zone"),
        (When(triggers=(Once(times_us=(NOW - 1,)),)), "triggers"),
        (When(triggers=(Expression(text="* * * * *"),), spread=Spread(window=timedelta(seconds=-1))), "spread.window"),
        (When(triggers=(Expression(text="at(2024-03-10T02:30:00)"),), time_zone="America/New_York"), "triggers[0].expression"),
    ],
)
def test_check_refuses_what_is_impossible(description: When, field: str) -> None:
    assert field in {violation.field for violation in check_when(description, now_us=NOW)}


def test_check_suggests_the_nearest_zone() -> None:
    [violation] = check_when(when("* * * * *", zone="Europe/Berlim"), now_us=NOW)
    assert "Europe/Berlin" in violation.description


@given(st.sampled_from([SpreadMode.STABLE, SpreadMode.RANDOM]), st.integers(1, 7200), st.integers(0, 2**60), STARTS)
def test_spread_stays_before_the_next_occurrence_and_is_the_same_again(mode: SpreadMode, window_s: int, seed: int, start_us: int) -> None:
    spread = When(triggers=(Expression(text="0 * * * *"),), spread=Spread(mode=mode, window=timedelta(seconds=window_s)))
    compiled = compile_when(spread, created_us=0, seed=seed)
    nominal_us = compiled.next_after(start_us)
    assert nominal_us is not None
    due = due_us(spread, compiled, seed=seed, nominal_us=nominal_us)
    assert nominal_us <= due < nominal_us + min(window_s, 3600) * 1_000_000
    assert due == due_us(spread, compiled, seed=seed, nominal_us=nominal_us)


def test_preview_marks_what_transitions_do() -> None:
    def effects(text: str, after: str, fold: FoldPolicy = FoldPolicy.DIALECT) -> list[tuple[Effect, ...]]:
        after_us = micros(datetime.fromisoformat(after))
        shown = preview(when(text, zone="America/New_York", fold=fold), created_us=0, seed=0, after_us=after_us, count=2)
        return [instant.effects for instant in shown]

    assert effects("30 2 * * *", "2024-03-10T05:00:00+00:00") == [(Effect.MOVED_AFTER_GAP, Effect.OFFSET_CHANGED), ()]
    assert effects("30 1 * * *", "2024-11-03T05:00:00+00:00", FoldPolicy.BOTH) == [
        (Effect.FIRST_OF_REPEATED,),
        (Effect.SECOND_OF_REPEATED, Effect.OFFSET_CHANGED),
    ]


@pytest.mark.parametrize("text", ["cron(30 2 * * ? *)", "*-*-* 02:30", "30 2 * * *"])
def test_preview_marks_the_occurrence_that_follows_a_skipped_one(text: str) -> None:
    spec = replace(when(text, zone="America/New_York"), gap=GapPolicy.SKIP)
    shown = preview(spec, created_us=0, seed=0, after_us=micros(datetime.fromisoformat("2024-03-08T12:00:00+00:00")), count=3)
    assert [instant.effects for instant in shown] == [(), (Effect.OFFSET_CHANGED, Effect.FOLLOWS_SKIPPED), ()]


@pytest.mark.parametrize("text", ["*/30 * * * *", "cron(0/30 * * * ? *)", "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "rate(30 minutes)"])
def test_preview_marks_no_skipped_one_where_none_is(text: str) -> None:
    spec = when(text, zone="America/New_York")
    shown = preview(spec, created_us=0, seed=0, after_us=micros(datetime.fromisoformat("2024-03-09T22:00:00+00:00")), count=40)
    assert not [instant for instant in shown if Effect.FOLLOWS_SKIPPED in instant.effects]


def test_preview_finds_the_mark_inside_unions_bounds_and_exclusions() -> None:
    trigger: Trigger = Expression(text="30 2 * * *")
    described_by = When(
        triggers=(trigger, Expression(text="rate(365 days)")),
        exclusions=(Expression(text="0 12 25 12 *"),),
        start_us=0,
        time_zone="America/New_York",
    )
    after_us = micros(datetime.fromisoformat("2024-03-10T05:00:00+00:00"))
    [instant] = preview(described_by, created_us=0, seed=0, after_us=after_us, count=1)
    assert Effect.MOVED_AFTER_GAP in instant.effects


def test_preview_names_the_first_trigger_that_yields_an_occurrence_also_one_left_out() -> None:
    when = When(
        triggers=tuple(Expression(text=text) for text in ("0 9 * * *", "0 12 * * *", "0 9,15 * * *")),
        exclusions=(Expression(text="0 12 * * *"),),
    )
    found = preview(when, created_us=NOW, seed=0, after_us=NOW, count=12, show_excluded=True)
    hours = {(instant.nominal_us // 3_600_000_000 % 24, instant.trigger, Effect.EXCLUDED in instant.effects) for instant in found}
    assert hours == {(9, 0, False), (12, 1, True), (15, 2, False)}


def test_preview_ends_where_the_rule_does() -> None:
    times_us = (micros(datetime(2030, 1, 1, tzinfo=UTC)), micros(datetime(2030, 1, 2, tzinfo=UTC)))
    shown = preview(When(triggers=(Once(times_us=times_us),)), created_us=0, seed=0, after_us=times_us[0] - 1, count=5)
    assert [instant.nominal_us for instant in shown] == list(times_us)


def test_preview_tells_effects_by_the_zone_that_the_expression_names() -> None:
    """New York repeats 01:30 on 3 November 2024; in Berlin, the schedule's zone, it is then 06:30 and 07:30."""
    described_by = When(
        triggers=(
            Expression(text="rate(1 hour)"),
            Expression(text="DTSTART;TZID=America/New_York:20240101T013000 RRULE:FREQ=DAILY EXDATE:20240102T013000"),
            Expression(text="01:30 America/New_York"),
        ),
        time_zone="Europe/Berlin",
        fold=FoldPolicy.BOTH,
    )
    after_us = micros(datetime.fromisoformat("2024-11-03T05:00:00+00:00"))
    instants = preview(described_by, created_us=0, seed=0, after_us=after_us, count=4)
    assert [(instant.effects, instant.utc_offset_s) for instant in instants] == [
        ((Effect.FIRST_OF_REPEATED,), 3600),
        ((), 3600),
        ((Effect.SECOND_OF_REPEATED,), 3600),
        ((), 3600),
    ]


def test_rate_counts_from_the_start_of_its_schedule_which_is_its_first_time() -> None:
    created_us, start_us = (
        micros(datetime.fromisoformat("2026-01-01T00:03:27+00:00")),
        micros(datetime.fromisoformat("2026-02-01T10:00:00+00:00")),
    )
    for text, first in (("rate(5 minutes)", "2026-02-01T10:00:00+00:00"), ("@every 5m", "2026-02-01T10:03:27+00:00")):
        rule = compile_when(When(triggers=(Expression(text=text),), start_us=start_us), created_us=created_us, seed=0)
        assert rule.next_after(created_us) == micros(datetime.fromisoformat(first))
    at_once = compile_when(When(triggers=(Expression(text="rate(5 minutes)"),)), created_us=created_us, seed=0)
    assert at_once.next_after(created_us) == micros(datetime.fromisoformat("2026-01-01T00:08:27+00:00"))


def test_rate_longer_than_any_interval_is_refused() -> None:
    with pytest.raises(ExpressionError, match="is not allowed; 1ms to"):
        compile_when(When(triggers=(Expression(text="rate(999999999 days)"),)), created_us=0, seed=0)


@pytest.mark.parametrize(
    ("exclusion", "left"),
    [
        ("4-59/6 * * * * *", [0, 2, 6, 8]),
        ("0 * * * * *", []),
        ("* * * * * *", []),
        ("* * 1 1 *", []),
        ("*:*:0/0.5", []),
        ("*:*:4/6", [0, 2, 6, 8]),
        ("* 0-59 0-11 1 1 *", []),
    ],
)
def test_exclusion_leaves_out_whole_days_only_where_it_names_no_seconds_of_its_own(exclusion: str, left: list[int]) -> None:
    spec = replace(when("*/2 * * 1 1 *"), exclusions=(Expression(text=exclusion),))
    first_us = micros(datetime(2026, 1, 1, tzinfo=UTC))
    compiled = compile_when(spec, created_us=0, seed=0)
    found = []
    at_us = compiled.next_after(first_us - 1)
    while at_us is not None and at_us < first_us + 10_000_000:
        found.append((at_us - first_us) // 1_000_000)
        at_us = compiled.next_after(at_us)
    assert found == left


@pytest.mark.parametrize(
    ("text", "last"),
    [("0 0 0 1 1 * 2020", "; the last one was at 2020-01-01T00:00:00Z"), ("at(2020-05-01T09:00:00)", "2020-05-01T09:00:00Z")],
)
def test_rule_that_is_past_is_refused_with_its_last_time(text: str, last: str) -> None:
    [violation] = check_when(when(text), now_us=NOW)
    assert violation.reason == "NEVER_FIRES"
    assert violation.description.endswith(last)


def test_rule_that_its_bounds_leave_nothing_is_refused_without_a_last_time() -> None:
    [violation] = check_when(replace(when("0 0 0 1 1 * 2030"), end_us=NOW + 1), now_us=NOW)
    assert violation.description.endswith("so this would never fire")


def test_fault_that_is_longer_than_a_line_is_shown_by_its_beginning() -> None:
    error = ExpressionError(text="x" * 300, part="minute", reason="too much", length=300)
    line, carets = pointed(error).splitlines()
    assert (line, carets) == ("x" * 100 + "…", "^" * 101)
