"""What follows an execution, and what has to hold for one, between protobuf and the model."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from schedd.api.convert.basics import duration
from schedd.api.convert.target import http, http_of, process, process_of
from schedd.api.convert.when import trigger_message, trigger_of
from schedd.api.reading import Reading
from schedd.core.model.policy import CommandHolds, Condition, DayFits, FollowUp, Notify, TriggerSchedule
from schedd.v1 import policy_pb2

_TIMEOUT = timedelta(seconds=10)


def follow_ups_of(messages: Iterable[policy_pb2.FollowUp], field: str, reading: Reading) -> tuple[FollowUp, ...]:
    """The follow-ups that messages, at that field, describe."""
    return tuple(follow_up for at, message in enumerate(messages) for follow_up in _follow_up_of(message, f"{field}[{at}]", reading))


def follow_ups(follow_ups: Iterable[FollowUp]) -> list[policy_pb2.FollowUp]:
    """The messages of follow-ups."""
    return [_follow_up(each) for each in follow_ups]


def condition_of(message: policy_pb2.Condition, now_us: int, reading: Reading) -> Condition | None:
    """The condition that a message describes."""
    field = "policies.condition"
    match message.WhichOneof("rule"):
        case "command":
            command = process_of(message.command, reading, f"{field}.command")
            timeout = reading.span(message.timeout, f"{field}.timeout", _TIMEOUT) if message.HasField("timeout") else _TIMEOUT
            return CommandHolds(command=command, timeout=timeout)
        case "days":
            return DayFits(days=trigger_of(message.days, f"{field}.days", now_us, reading))
        case _:
            reading.note(field, "REQUIRED", "is empty: give a command, or the days")
            return None


def condition(condition: Condition) -> policy_pb2.Condition:
    """The message of a condition."""
    match condition:
        case CommandHolds():
            return policy_pb2.Condition(command=process(condition.command), timeout=duration(condition.timeout))
        case DayFits():
            return policy_pb2.Condition(days=trigger_message(condition.days))


def _follow_up_of(message: policy_pb2.FollowUp, field: str, reading: Reading) -> list[FollowUp]:
    match message.WhichOneof("action"):
        case "schedule":
            return [TriggerSchedule(schedule=message.schedule)]
        case "notify":
            return [Notify(target=http_of(message.notify, reading, f"{field}.notify"))]
        case _:
            reading.note(field, "REQUIRED", "is empty: name a schedule, or a target to notify")
            return []


def _follow_up(follow_up: FollowUp) -> policy_pb2.FollowUp:
    match follow_up:
        case TriggerSchedule():
            return policy_pb2.FollowUp(schedule=follow_up.schedule)
        case Notify():
            return policy_pb2.FollowUp(notify=http(follow_up.target))
