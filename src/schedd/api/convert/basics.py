"""Instants, durations and enums between protobuf and the model."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from schedd.core.errors import FieldViolation, InvalidError
from schedd.core.triggers import LAST_US

_SECOND_US = 1_000_000
_FIRST_SECOND = -62_135_596_800
"""The year 1 begins: the first that google.protobuf.Timestamp has."""

E = TypeVar("E", bound=StrEnum)


def timestamp(t_us: int) -> Timestamp:
    """The Timestamp of UTC microseconds."""
    seconds, micros = divmod(t_us, _SECOND_US)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


def fill_timestamp(message: Timestamp, t_us: int) -> None:
    """Set a Timestamp that is there to UTC microseconds."""
    message.seconds, micros = divmod(t_us, _SECOND_US)
    message.nanos = micros * 1000


def micros(stamp: Timestamp, field: str) -> int:
    """The UTC microseconds of a Timestamp; finer digits are cut off. Raises: InvalidError naming `field` outside the years 1 to 9990."""
    if not (_FIRST_SECOND <= stamp.seconds < LAST_US // _SECOND_US and 0 <= stamp.nanos < 1_000_000_000):
        description = f"{stamp.seconds} s and {stamp.nanos} ns after 1970 is no instant in the years 1 to 9990, where rules have answers"
        raise invalid(field, "OUT_OF_RANGE", description)
    return stamp.seconds * _SECOND_US + stamp.nanos // 1000


def duration(value: timedelta) -> Duration:
    """The Duration of a timedelta."""
    message = Duration()
    message.FromTimedelta(value)
    return message


def span(message: Duration, field: str) -> timedelta:
    """The timedelta of a Duration. Raises: InvalidError naming `field` when it is longer than a timedelta can be."""
    try:
        return message.ToTimedelta()
    except (OverflowError, ValueError) as error:
        raise invalid(field, "OUT_OF_RANGE", f"is no duration that can be kept: {error}") from error


class Words(Generic[E]):
    """One enum's values, between the model's words and the proto's numbers: `SKIP` is `OVERLAP_SKIP`."""

    def __init__(self, words: type[E], numbers: Any, prefix: str) -> None:
        names = dict(numbers.items())
        self._number = {word: names[f"{prefix}_{word.value}"] for word in words if f"{prefix}_{word.value}" in names}
        self._word = {number: word for word, number in self._number.items()}
        self._prefix = prefix

    def number(self, word: E | None) -> Any:
        """The proto's number; 0 for a word that it does not have."""
        return self._number.get(word, 0) if word is not None else 0

    def word(self, number: int, default: E, field: str) -> E:
        """The model's word; 0 means the default. Raises: InvalidError naming `field` for a number that is not built."""
        return default if number == 0 else self.known(number, field)

    def known(self, number: int, field: str) -> E:
        """The model's word. Raises: InvalidError naming `field` for 0, and for a number that is not built."""
        found = self._word.get(number)
        if found is None:
            allowed = ", ".join(f"{self._prefix}_{word.value}" for word in self._number)
            raise invalid(field, "INVALID_ENUM", f"{number} is none of {allowed}")
        return found


def invalid(field: str, reason: str, description: str) -> InvalidError:
    """The error for one wrong field."""
    return InvalidError((FieldViolation(field=field, reason=reason, description=description),))


def unbuilt(field: str, what: str) -> FieldViolation:
    """The violation for a field that is designed and not built yet, and says what it will do: it is refused, never ignored."""
    return FieldViolation(
        field=field, reason="NOT_BUILT_YET", description=f"comes with a later release, when {what}; leave it unset for now"
    )
