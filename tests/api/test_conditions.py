"""Conditions on a real server: given back as they were set, refused by field, and told as the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from schedd.core.model.execution import AttemptResult
from schedd.core.model.reason import Outcome, Reason
from schedd.v1 import reason_pb2
from schedd.v1 import schedule_service_pb2 as pb
from schedd.v1.admin_service_pb2 import ListJournalRequest
from schedd.v1.execution_service_pb2 import ListExecutionsRequest
from schedd.v1.journal_pb2 import JournalKind
from schedd.v1.policy_pb2 import Condition
from schedd.v1.target_pb2 import ProcessTarget, ResourceLimits
from schedd.v1.when_pb2 import AtStartTrigger, Trigger
from tests.api.served import full_name, http, refused, serving


async def test_condition_that_does_not_hold_is_the_reason_of_the_execution(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        api.rig.commands.answers = [AttemptResult(Outcome.FAILED, Reason.EXIT_CODE, 3, "exited with code 3", output=b"busy\n")]
        schedule = http("job", "rate(1 minute)")
        schedule.policies.condition.command.argv.extend(["/bin/idle", "{{ schedule_id }}"])
        made = await api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule))
        assert list(made.policies.condition.command.argv) == ["/bin/idle", "{{ schedule_id }}"]
        assert made.policies.condition.timeout.seconds == 10
        await api.rig.run_until(130)
        found = (await api.executions.ListExecutions(ListExecutionsRequest(parent=full_name("job"), order_by="execution"))).executions
        assert [one.reason for one in found] == [reason_pb2.REASON_CONDITION, reason_pb2.REASON_COMPLETED]
        journal = ListJournalRequest(kinds=[JournalKind.JOURNAL_KIND_EXECUTION_FINISHED], order_by="sequence")
        entry = (await api.admin.ListJournal(journal)).entries[0]
        assert entry.evidence == {"condition": "command", "code": "3", "message": "exited with code 3", "output": "busy"}


@pytest.mark.parametrize(
    ("condition", "fields"),
    [
        (Condition(), {"schedule.policies.condition": "REQUIRED"}),
        (Condition(command=ProcessTarget()), {"schedule.policies.condition.command.argv": "REQUIRED"}),
        (
            Condition(command=ProcessTarget(argv=["x"], resource_limits=ResourceLimits(open_files=1))),
            {"schedule.policies.condition.command.resource_limits.open_files": "OUT_OF_RANGE"},
        ),
        (Condition(days=Trigger(expression="x")), {"schedule.policies.condition.days.expression": "INVALID_EXPRESSION"}),
        (Condition(days=Trigger(at_start=AtStartTrigger())), {"schedule.policies.condition.days": "INVALID_EXPRESSION"}),
    ],
)
async def test_wrong_condition_is_refused_by_field(tmp_path: Path, condition: Condition, fields: dict[str, str]) -> None:
    async with serving(tmp_path) as api:
        schedule = http("job")
        schedule.policies.condition.CopyFrom(condition)
        assert (await refused(api.schedules.CreateSchedule(pb.CreateScheduleRequest(schedule=schedule)))).fields == fields
