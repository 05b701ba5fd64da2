"""What every implementation of the port `schedd.core.ports.Target` has to keep.

A test module subclasses `TargetSuite` and gives it a fixture `subject`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from schedd.core.model import target as model
from schedd.core.model.execution import AttemptResult, Cause, DeliveryRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import ScheduleName
from schedd.core.ports import Target

NOMINAL_US = 1_767_258_000_000_000
"""2026-01-01T09:00:00Z."""


def delivery(target: model.Target) -> DeliveryRequest:
    """The first attempt of an execution of `groups/reports/schedules/daily`, with a minute's time."""
    return DeliveryRequest(
        target=target,
        schedule=ScheduleName(group="reports", schedule="daily"),
        schedule_uid=7,
        execution_id=42,
        attempt=1,
        cause=Cause.SCHEDULE,
        nominal_us=NOMINAL_US,
        due_us=NOMINAL_US + 1_500_000,
        time_zone="America/New_York",
        timeout=timedelta(minutes=1),
        previous_success_us=NOMINAL_US - 86_400_000_000,
        labels={"team": "data"},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One implementation under test, and targets of its kind that behave in a known way.

    `hanging` never ends by itself; `started` returns once a delivery to it is under way, `gone` once nothing of it is left.
    """

    target: Target
    succeeding: model.Target
    failing: model.Target
    unreachable: model.Target
    hanging: model.Target
    with_unknown_label: model.Target
    of_another_kind: model.Target
    printing_1000_bytes_kept_100: model.Target
    started: Callable[[], Awaitable[None]]
    gone: Callable[[], Awaitable[None]]


class TargetSuite:
    """The suite."""

    async def test_delivery_to_a_target_that_succeeds_is_completed(self, subject: Subject) -> None:
        result = await subject.target.deliver(delivery(subject.succeeding))
        assert (result.outcome, result.reason) == (Outcome.SUCCEEDED, Reason.COMPLETED), result.message

    @pytest.mark.parametrize("kind", ["failing", "unreachable", "with_unknown_label", "of_another_kind"])
    async def test_delivery_that_fails_is_a_value_with_a_message(self, subject: Subject, kind: str) -> None:
        result = await subject.target.deliver(delivery(getattr(subject, kind)))
        assert result.outcome is Outcome.FAILED
        assert result.reason is not Reason.COMPLETED
        assert result.message

    async def test_delivery_with_an_unknown_label_names_the_template(self, subject: Subject) -> None:
        result = await subject.target.deliver(delivery(subject.with_unknown_label))
        assert result.reason is Reason.TEMPLATE
        assert "owner" in result.message

    async def test_delivery_past_its_timeout_ends_and_leaves_nothing(self, subject: Subject) -> None:
        request = delivery(subject.hanging)._replace(timeout=timedelta(milliseconds=300))
        result = await asyncio.wait_for(subject.target.deliver(request), 20)
        assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.TIMEOUT)
        await asyncio.wait_for(subject.gone(), 20)

    async def test_cancelled_delivery_ends_and_leaves_nothing(self, subject: Subject) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(subject.target.deliver(delivery(subject.hanging)))
            await subject.started()
            task.cancel()
        assert task.cancelled()
        await asyncio.wait_for(subject.gone(), 20)

    async def test_delivery_cancelled_again_and_again_still_leaves_nothing(self, subject: Subject) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(subject.target.deliver(delivery(subject.hanging)))
            await subject.started()
            await cancel_until_done(task)
        assert task.cancelled()
        await asyncio.wait_for(subject.gone(), 20)

    async def test_output_over_its_limit_is_cut_and_marked(self, subject: Subject) -> None:
        result = await subject.target.deliver(delivery(subject.printing_1000_bytes_kept_100))
        assert result.outcome is Outcome.SUCCEEDED
        assert len(result.output) == 100
        assert result.output_truncated

    async def test_deliveries_at_once_get_each_their_own_result(self, subject: Subject) -> None:
        requests = [delivery(target) for target in (subject.succeeding, subject.failing) * 20]
        results = await asyncio.gather(*map(subject.target.deliver, requests))
        assert [result.outcome for result in results] == [Outcome.SUCCEEDED, Outcome.FAILED] * 20

    async def test_closing_twice_is_harmless_and_later_deliveries_fail(self, subject: Subject) -> None:
        await subject.target.deliver(delivery(subject.succeeding))
        await subject.target.aclose()
        await subject.target.aclose()
        result = await subject.target.deliver(delivery(subject.succeeding))
        assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.INTERRUPTED)


async def cancel_until_done(task: asyncio.Task[AttemptResult]) -> None:
    """Cancel the task, and again while its cancellation is being worked off."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=0.001)
