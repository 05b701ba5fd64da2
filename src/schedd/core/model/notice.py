"""A notice: a target that is to be told of an execution's end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from schedd.core.model.execution import Cause, DeliveryRequest
from schedd.core.model.journal import ExecutionFacts
from schedd.core.model.schedule import ScheduleName
from schedd.core.model.target import HttpTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One call of a target about an execution that has ended with its `attempt`-th attempt.

    `follow_up` is the field of the policies that asks for it, such as `on_failure[0]`. `target` has all that it is sent. `backfill` is that
    of the execution.
    """

    id: int
    follow_up: str
    target: HttpTarget
    schedule: ScheduleName
    schedule_row: int
    schedule_uid: int
    execution: ExecutionFacts
    attempt: int
    time_zone: str = "UTC"
    labels: Mapping[str, str] = field(default_factory=dict)
    previous_success_us: int | None = None
    backfill: int = 0

    def request(self, timeout: timedelta) -> DeliveryRequest:
        """The call as a target takes it."""
        return DeliveryRequest(
            target=self.target,
            schedule=self.schedule,
            schedule_uid=self.schedule_uid,
            execution_id=self.execution.id,
            attempt=self.attempt,
            cause=Cause.FOLLOW_UP,
            nominal_us=self.execution.nominal_us,
            due_us=self.execution.due_us,
            time_zone=self.time_zone,
            timeout=timeout,
            previous_success_us=self.previous_success_us,
            labels=self.labels,
            backfill=self.backfill,
        )
