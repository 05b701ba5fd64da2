"""Overlap, as one table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.admission import BUFFER_CAP, LATE_US, Admission, Beside, Verdict, admit, background_limit, in_background, overlap_of
from schedd.core.model.execution import Cause, Execution
from schedd.core.model.policy import CatchUp, CatchUpMode, Overlap, Policies
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import ScheduleName


@pytest.mark.parametrize("policy", Overlap)
def test_admit_with_nothing_unfinished_starts(policy: Overlap) -> None:
    assert admit(policy, unfinished=0, buffered=0) == Admission(Verdict.START)


@given(st.sampled_from(Overlap), st.integers(0, 2000), st.integers(0, 2000), st.sampled_from(Beside))
def test_admit_decides_every_case_with_a_reason(policy: Overlap, unfinished: int, buffered: int, beside: Beside) -> None:
    admission = admit(policy, unfinished=unfinished, buffered=buffered, beside=beside)
    assert (admission.verdict is Verdict.START) == (admission.reason is Reason.NONE) == (unfinished == 0 or policy is Overlap.ALLOW_ALL)


@pytest.mark.parametrize(
    ("policy", "buffered", "verdict", "reason"),
    [
        (Overlap.ALLOW_ALL, 0, Verdict.START, Reason.NONE),
        (Overlap.SKIP, 0, Verdict.SKIP, Reason.OVERLAP),
        (Overlap.BUFFER_ONE, 0, Verdict.BUFFER, Reason.OVERLAP),
        (Overlap.BUFFER_ONE, 1, Verdict.SKIP, Reason.BUFFER_FULL),
        (Overlap.BUFFER_ALL, BUFFER_CAP - 1, Verdict.BUFFER, Reason.OVERLAP),
        (Overlap.BUFFER_ALL, BUFFER_CAP, Verdict.SKIP, Reason.BUFFER_FULL),
        (Overlap.CANCEL_OTHER, 0, Verdict.CANCEL_OTHERS, Reason.OVERLAP_CANCELLED),
        (Overlap.TERMINATE_OTHER, 0, Verdict.TERMINATE_OTHERS, Reason.OVERLAP_CANCELLED),
    ],
)
def test_admit_with_one_unfinished_goes_by_the_policy(policy: Overlap, buffered: int, verdict: Verdict, reason: Reason) -> None:
    assert admit(policy, unfinished=1, buffered=buffered) == Admission(verdict, reason)


@pytest.mark.parametrize(("unfinished", "buffered", "verdict"), [(1, 0, Verdict.BUFFER), (2, 1, Verdict.SKIP), (0, 0, Verdict.START)])
def test_admit_skip_beside_the_background_waits_once(unfinished: int, buffered: int, verdict: Verdict) -> None:
    assert admit(Overlap.SKIP, unfinished=unfinished, buffered=buffered, beside=Beside.LAST).verdict is verdict


@pytest.mark.parametrize("policy", Overlap)
def test_admit_in_the_background_never_ends_what_is_on_time(policy: Overlap) -> None:
    admission = admit(policy, unfinished=1, buffered=0, beside=Beside.FIRST)
    if policy in (Overlap.CANCEL_OTHER, Overlap.TERMINATE_OTHER):
        assert admission == Admission(Verdict.BUFFER, Reason.OVERLAP)
    else:
        assert admission == admit(policy, unfinished=1, buffered=0)


@pytest.mark.parametrize("overlap", Overlap)
def test_overlap_of_catching_up_all_waits_unless_it_may_overlap(overlap: Overlap) -> None:
    policies = Policies(overlap=overlap, catch_up=CatchUp(mode=CatchUpMode.ALL))
    assert overlap_of(policies, background=False) is overlap
    assert overlap_of(replace(policies, catch_up=CatchUp()), background=True) is overlap
    assert overlap_of(policies, background=True) is (overlap if overlap is Overlap.ALLOW_ALL else Overlap.BUFFER_ALL)


@pytest.mark.parametrize(
    ("cause", "late_us", "background"),
    [
        (Cause.SCHEDULE, -500_000, False),
        (Cause.SCHEDULE, LATE_US, False),
        (Cause.SCHEDULE, LATE_US + 1, True),
        (Cause.MANUAL, 0, False),
        (Cause.BACKFILL, -500_000, True),
    ],
)
def test_in_background_is_what_was_armed_late_and_every_backfill(cause: Cause, late_us: int, background: bool) -> None:
    name = ScheduleName(group="default", schedule="job")
    due_us = 10**15
    execution = Execution(
        id=1,
        schedule=name,
        schedule_row=1,
        schedule_uid=1,
        generation=1,
        cause=cause,
        nominal_us=due_us,
        due_us=due_us,
        armed_us=due_us + late_us,
    )
    assert in_background(execution) is background


@pytest.mark.parametrize(("slots", "limit"), [(1, 1), (2, 1), (4, 3), (16, 12), (256, 192)])
def test_background_leaves_a_quarter_of_the_slots(slots: int, limit: int) -> None:
    assert background_limit(slots) == limit
