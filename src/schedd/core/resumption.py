"""Resumption: what becomes of the occurrences that a pause has left out, once it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from schedd.core.model.policy import CatchUp, CatchUpMode
from schedd.core.model.reason import Reason
from schedd.core.planning import Backlog, Occurrences, Plan, each_left_out, left_out, plan


def after_pause(
    rule: Occurrences,
    catch_up: CatchUp,
    mode: CatchUpMode,
    *,
    after_us: int,
    before_us: int,
    runs_left: int | None = None,
    with_backlog: bool = False,
) -> Plan:
    """Decide all occurrences after `after_us` and before `before_us`, the pause's end: which are fired now, and which stay left out.

    With NONE they stay skipped (PAUSED). The other modes run the latest, the earliest or all, oldest first, within the window of the
    schedule's own catch-up policy and at most as many as that allows; `runs_left` bounds them too, unless it is None. At most FIRES_A_PLAN
    are fired; `with_backlog` the others are a backlog, else they are left out. The plan's `next_us` is None.
    """
    first_us = rule.next_after(after_us)
    if first_us is None or first_us >= before_us:
        return Plan()
    if mode is CatchUpMode.NONE:
        return Plan(left_out=left_out(rule, first_us, before_us, Reason.PAUSED))
    asked = replace(catch_up, mode=mode, grace=timedelta(0))
    decided = replace(plan(rule, asked, first_us=first_us, now_us=before_us, horizon_us=-1, with_backlog=False), next_us=None)
    if with_backlog and runs_left is None and mode is CatchUpMode.ALL:
        return _with_backlog(decided, catch_up.max_runs - len(decided.fires), before_us)
    if runs_left is None or len(decided.fires) <= runs_left:
        return decided
    fires, beyond = decided.fires[:runs_left], decided.fires[runs_left:]
    return replace(decided, fires=fires, left_out=decided.left_out + each_left_out(rule, beyond, Reason.MAX_RUNS))


def _with_backlog(decided: Plan, runs: int, before_us: int) -> Plan:
    """The plan with a backlog of so many runs in the place of what it leaves out because it fires no more."""
    beyond = [range_ for range_ in decided.left_out if range_.reason is Reason.CATCH_UP_MAX_RUNS]
    if runs <= 0 or not beyond:
        return decided
    others = tuple(range_ for range_ in decided.left_out if range_.reason is not Reason.CATCH_UP_MAX_RUNS)
    return replace(decided, left_out=others, backlog=Backlog(first_us=beyond[0].first_us, before_us=before_us, runs=runs))
