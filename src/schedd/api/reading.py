"""Reading a request to its end: what is wrong is gathered, and something harmless stands in for it, so that all of it is told at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from schedd.api.convert.basics import E, Words, micros, span
from schedd.api.names import STAND_IN, schedule_name
from schedd.core.errors import FieldViolation, InvalidError
from schedd.core.model.schedule import ScheduleName

T = TypeVar("T")


class Reading:
    """What is wrong with one request, as far as it has been read."""

    def __init__(self) -> None:
        self.faults: list[FieldViolation] = []

    def note(self, field: str, reason: str, description: str) -> None:
        """Note that a field is wrong."""
        self.faults.append(FieldViolation(field=field, reason=reason, description=description))

    def of(self, read: Callable[[], T], stand_in: T) -> T:
        """What `read` gives; what it finds wrong is noted, and `stand_in` given."""
        try:
            return read()
        except InvalidError as error:
            self.faults += error.violations
            return stand_in

    def name(self, text: str, field: str = "name") -> ScheduleName:
        """The schedule's name of a resource name; STAND_IN for a wrong one."""
        return self.of(lambda: schedule_name(text, field), STAND_IN)

    def span(self, message: Duration, field: str, stand_in: timedelta) -> timedelta:
        """The timedelta of a Duration."""
        return self.of(lambda: span(message, field), stand_in)

    def instant(self, stamp: Timestamp, field: str, stand_in: int) -> int:
        """The UTC microseconds of a Timestamp."""
        return self.of(lambda: micros(stamp, field), stand_in)

    def word(self, words: Words[E], number: int, default: E, field: str) -> E:
        """The model's word for an enum's number; 0 means the default."""
        return self.of(lambda: words.word(number, default, field), default)

    def check(self) -> None:
        """Raises: InvalidError with all that was noted."""
        if self.faults:
            raise InvalidError(tuple(self.faults))
