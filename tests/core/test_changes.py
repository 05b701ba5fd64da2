"""What differs between two standings of a schedule."""

from __future__ import annotations

from dataclasses import fields, replace

from schedd.core.changes import RULE_FIELDS, changed_fields
from schedd.core.model.policy import Policies
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import HttpTarget
from schedd.core.model.when import Cron, When
from schedd.v1.schedule_pb2 import Schedule as Message

BEFORE = Schedule(
    name=ScheduleName(group="default", schedule="job"), when=When(triggers=(Cron(text="* * * * *"),)), target=HttpTarget(url="x:")
)


def test_changed_fields_are_told_in_the_apis_names() -> None:
    when = replace(BEFORE.when, time_zone="Europe/Berlin", start_us=1, triggers=())
    after = replace(BEFORE, when=when, policies=Policies(priority=9), labels={"a": "b"})
    assert changed_fields(BEFORE, after) == ("triggers", "time_zone", "start_time", "policies", "labels")
    assert changed_fields(BEFORE, BEFORE) == ()


def test_every_field_of_the_rule_has_its_name_in_the_contract() -> None:
    changed = replace(BEFORE, when=When(**{field.name: object() for field in fields(When)}))  # type: ignore[arg-type]
    told = changed_fields(BEFORE, changed)
    assert len(told) == len(fields(When))
    assert set(told) <= set(Message.DESCRIPTOR.fields_by_name)
    assert set(told) - RULE_FIELDS == {"spread"}
