"""Planning: which occurrences of one schedule are to be fired now, and which are not, and why.

One pure decision a schedule, from the first undecided occurrence up to the horizon. It costs the same after a minute of downtime as after a
year: what is left out is a range, what a policy runs of many misfires is a range too, and only what is fired at once is enumerated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from schedd.core.model.policy import CatchUp, CatchUpMode
from schedd.core.model.reason import Reason

FIRES_A_PLAN = 100
"""No plan fires more occurrences than this; the rest are undecided until the next plan."""

COUNTED = 1000
"""A range's occurrences are counted exactly up to this number."""

_DAY_US = 86_400_000_000


class Occurrences(Protocol):
    """What planning asks of a rule; instants are UTC microseconds."""

    def next_after(self, t_us: int) -> int | None:
        """The first occurrence strictly after `t_us`."""

    def prev_before(self, t_us: int) -> int | None:
        """The last occurrence strictly before `t_us`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Occurrences from `first_us` to `last_us` (both included, both occurrences) that are not run.

    `count` is exact up to COUNTED, or what was asked for; `counted` is False where there are more than `count`.
    """

    first_us: int
    last_us: int
    count: int
    counted: bool
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Several misfires that are to be run, oldest first: from the occurrence at `first_us` on, those before `before_us`, at most `runs`."""

    first_us: int
    before_us: int
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The nominal times to fire in order, the ranges left out, and the first undecided occurrence (None: there is none).

    `backlog` is decided too, and worked off beside what comes.
    """

    fires: tuple[int, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    backlog: Backlog | None = None
    next_us: int | None = None


def plan(
    rule: Occurrences,
    catch_up: CatchUp,
    *,
    first_us: int,
    now_us: int,
    horizon_us: int,
    spread_us: int = 0,
    with_backlog: bool = True,
) -> Plan:
    """Decide everything from the occurrence at `first_us` up to `now_us + horizon_us`.

    An occurrence older than `now_us - spread_us - grace` is a misfire and goes by the catch-up policy; the others are fired. Several
    misfires that are all run are a backlog; without one, at most FIRES_A_PLAN of them are run.
    """
    live_from_us = now_us - spread_us - _micros(catch_up.grace)
    if first_us >= live_from_us:
        fires, next_us = _fires(rule, first_us, now_us + horizon_us, FIRES_A_PLAN)
        return Plan(fires=fires, next_us=next_us)
    late = _catch_up(rule, catch_up, first_us, live_from_us, now_us, with_backlog=with_backlog)
    first_live_us = rule.next_after(live_from_us - 1)
    if first_live_us is None:
        return late
    fires, next_us = _fires(rule, first_live_us, now_us + horizon_us, max(1, FIRES_A_PLAN - len(late.fires)))
    return replace(late, fires=late.fires + fires, next_us=next_us)


def misfire_reason(rule: Occurrences, catch_up: CatchUp, *, nominal_us: int, due_us: int, now_us: int) -> Reason | None:
    """Why an occurrence that was armed, but not started when the daemon ended, is not run now; None: run it."""
    if due_us >= now_us - _micros(catch_up.grace):
        return None
    if catch_up.mode is CatchUpMode.NONE:
        return Reason.MISFIRE
    if nominal_us < now_us - window_us(rule, catch_up, at_us=nominal_us):
        return Reason.CATCH_UP_WINDOW
    following_us = rule.next_after(nominal_us)
    later_misfire = following_us is not None and following_us < now_us - _micros(catch_up.grace)
    return Reason.CATCH_UP_SUPERSEDED if later_misfire and catch_up.mode is CatchUpMode.LATEST else None


def window_us(rule: Occurrences, catch_up: CatchUp, *, at_us: int) -> int:
    """How old a misfire may be to be run: the policy's window, or the lesser of 24 hours and two periods of the rule around `at_us`."""
    if catch_up.window is not None:
        return _micros(catch_up.window)
    following_us = rule.next_after(at_us)
    if following_us is None:
        return _DAY_US
    return min(_DAY_US, 2 * (following_us - at_us))


def left_out(rule: Occurrences, first_us: int, before_us: int, reason: Reason, *, counted_to: int = COUNTED) -> tuple[LeftOut, ...]:
    """The range from the occurrence at `first_us` to the last one before `before_us`; nothing if there is none."""
    if first_us >= before_us:
        return ()
    last_us = rule.prev_before(before_us)
    if last_us is None or last_us < first_us:
        return ()
    count, at_us = 1, first_us
    while at_us < last_us and count < counted_to:
        following_us = rule.next_after(at_us)
        if following_us is None:
            break
        at_us, count = following_us, count + 1
    return (LeftOut(first_us=first_us, last_us=last_us, count=count, counted=at_us >= last_us, reason=reason),)


def each_left_out(rule: Occurrences, nominal_us: Sequence[int], reason: Reason) -> tuple[LeftOut, ...]:
    """The ranges of these occurrences, ascending, and of no others that lie between them."""
    ranges: list[LeftOut] = []
    for at_us in nominal_us:
        last = ranges[-1] if ranges else None
        if last is not None and rule.next_after(last.last_us) == at_us:
            ranges[-1] = replace(last, last_us=at_us, count=last.count + 1)
        else:
            ranges.append(LeftOut(first_us=at_us, last_us=at_us, count=1, counted=True, reason=reason))
    return tuple(ranges)


def _fires(rule: Occurrences, first_us: int, through_us: int, limit: int) -> tuple[tuple[int, ...], int | None]:
    fires: list[int] = []
    next_us: int | None = first_us
    while next_us is not None and next_us <= through_us and len(fires) < limit:
        fires.append(next_us)
        next_us = rule.next_after(next_us)
    return tuple(fires), next_us


def _catch_up(rule: Occurrences, policy: CatchUp, first_us: int, before_us: int, now_us: int, *, with_backlog: bool) -> Plan:
    """Split the misfires, all in [first_us, before_us), into those to run and ranges left out."""
    if policy.mode is CatchUpMode.NONE:
        return Plan(left_out=left_out(rule, first_us, before_us, Reason.MISFIRE))
    latest_us = rule.prev_before(before_us)
    assert latest_us is not None, "first_us is an occurrence before before_us"
    window_start_us = now_us - window_us(rule, policy, at_us=latest_us)
    if policy.mode is CatchUpMode.LATEST and latest_us >= window_start_us:
        # Whether older ones are within the window makes no difference: this one stands for them all.
        return Plan(fires=(latest_us,), left_out=left_out(rule, first_us, latest_us, Reason.CATCH_UP_SUPERSEDED))
    too_old = left_out(rule, first_us, min(window_start_us, before_us), Reason.CATCH_UP_WINDOW)
    if latest_us < window_start_us:
        return Plan(left_out=too_old)
    earliest_us = first_us if first_us >= window_start_us else rule.next_after(window_start_us - 1)
    assert earliest_us is not None, "latest_us lies within the window"
    if policy.mode is CatchUpMode.ALL and with_backlog and earliest_us < latest_us and policy.max_runs > 1:
        # What is beyond `max_runs` is found and left out by whoever works the backlog off.
        return Plan(left_out=too_old, backlog=Backlog(first_us=earliest_us, before_us=before_us, runs=policy.max_runs))
    chosen, others = _choose(rule, policy, earliest_us, before_us)
    return Plan(fires=chosen, left_out=too_old + others)


def _choose(rule: Occurrences, policy: CatchUp, earliest_us: int, before_us: int) -> tuple[tuple[int, ...], tuple[LeftOut, ...]]:
    runs = 1 if policy.mode is CatchUpMode.EARLIEST else min(policy.max_runs, FIRES_A_PLAN)
    reason = Reason.CATCH_UP_SUPERSEDED if policy.mode is CatchUpMode.EARLIEST else Reason.CATCH_UP_MAX_RUNS
    chosen, rest_us = _fires(rule, earliest_us, before_us - 1, runs)
    return chosen, left_out(rule, rest_us, before_us, reason) if rest_us is not None else ()


def _micros(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
