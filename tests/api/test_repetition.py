"""What clients send again is read once, and never other than it says."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from schedd.api.convert.repetition import KEPT
from schedd.api.convert.schedule import schedule_of
from schedd.api.reading import Reading
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.when import Once
from schedd.core.weight import LIGHT_BYTES
from schedd.v1 import policy_pb2, schedule_pb2, target_pb2, when_pb2

NAME = ScheduleName(group="default", schedule="s")
NOW = 1_750_000_000_000_000


def message(url: str = "http://localhost/", **fields: object) -> schedule_pb2.Schedule:
    made = schedule_pb2.Schedule(
        triggers=[when_pb2.Trigger(expression="0 9 * * *")],
        target=target_pb2.Target(http=target_pb2.HttpTarget(url=url)),
        policies=policy_pb2.Policies(priority=7),
    )
    made.MergeFrom(schedule_pb2.Schedule(**fields))  # type: ignore[arg-type]
    return made


def read(sent: schedule_pb2.Schedule, now_us: int = NOW) -> tuple[Schedule, list[str]]:
    reading = Reading()
    return schedule_of(sent, NAME, now_us, reading), [fault.field for fault in reading.faults]


def test_parts_that_are_sent_again_are_the_same_objects_and_others_are_their_own() -> None:
    (first, _), (again, _) = read(message()), read(message(name="groups/default/schedules/other", labels={"team": "pay"}))
    assert (again.when is first.when, again.target is first.target, again.policies is first.policies) == (True, True, True)
    assert (first.labels, again.labels) == ({}, {"team": "pay"})
    other, _ = read(message(time_zone="Europe/Berlin"))
    assert (other.when.time_zone, other.when.triggers, other.target is first.target) == ("Europe/Berlin", first.when.triggers, True)


def test_delay_counts_from_each_call_anew() -> None:
    delayed = schedule_pb2.Schedule(
        triggers=[when_pb2.Trigger(once=when_pb2.OnceTrigger(delay=Duration(seconds=5)))],
        target=target_pb2.Target(http=target_pb2.HttpTarget(url="http://localhost/")),
    )
    first, later = read(delayed)[0], read(delayed, NOW + 60_000_000)[0]
    assert first.when.triggers == (Once(times_us=(NOW + 5_000_000,)),)
    assert later.when.triggers == (Once(times_us=(NOW + 65_000_000,)),)


def test_fault_is_told_at_every_call() -> None:
    wrong = message()
    wrong.policies.overlap = 99  # type: ignore[assignment]
    assert [read(wrong)[1] for _ in range(3)] == [["policies.overlap"]] * 3


def test_large_definition_is_read_and_not_kept() -> None:
    large = message(url="http://localhost/" + "a" * LIGHT_BYTES)
    first, again = read(large)[0], read(large)[0]
    assert (first.target == again.target, first.target is again.target) == (True, False)


def test_many_different_definitions_are_each_what_was_sent() -> None:
    assert all(read(message(url=f"http://localhost/{n}"))[0].target.url == f"http://localhost/{n}" for n in range(KEPT + 10))  # type: ignore[union-attr]
