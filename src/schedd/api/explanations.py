"""Explanations as messages, and the window that is asked for."""

from __future__ import annotations

from schedd.api.convert.basics import timestamp
from schedd.api.convert.execution import OUTCOME, REASON, entry, evidence_texts
from schedd.api.names import execution_name
from schedd.api.reading import Reading
from schedd.core.explaining import Window
from schedd.core.model.explanation import Explanation
from schedd.core.model.schedule import ScheduleName
from schedd.v1 import execution_service_pb2 as pb

_ANY = Window(first_us=0, last_us=0)
"""Stands in for a window that cannot be read."""


def read_window(request: pb.ExplainOccurrencesRequest, reading: Reading) -> Window:
    """The window that a request asks for; what is wrong with it is noted."""
    given = {field: request.HasField(field) for field in ("at_time", "start_time", "end_time")}
    if given["at_time"]:
        for field in ("start_time", "end_time"):
            if given[field]:
                reading.note(field, "NOT_ALLOWED", "cannot stand together with at_time: give at_time, or start_time and end_time")
        at_us = reading.instant(request.at_time, "at_time", 0)
        return Window(first_us=at_us, last_us=at_us, single=True)
    if not (given["start_time"] or given["end_time"]):
        reading.note("at_time", "REQUIRED", "is missing: give at_time, or start_time and end_time")
        return _ANY
    for field in ("start_time", "end_time"):
        if not given[field]:
            reading.note(field, "REQUIRED", "is missing: a range has a start_time and an end_time")
            return _ANY
    before = len(reading.faults)
    first_us = reading.instant(request.start_time, "start_time", 0)
    end_us = reading.instant(request.end_time, "end_time", 0)
    if len(reading.faults) == before and end_us <= first_us:
        reading.note("end_time", "OUT_OF_RANGE", "is not later than start_time")
    return Window(first_us=first_us, last_us=end_us - 1)


def explanation(name: ScheduleName, one: Explanation) -> pb.Explanation:
    """The message of an explanation for the schedule of that name."""
    return pb.Explanation(
        first_time=timestamp(one.first_us),
        last_time=timestamp(one.last_us),
        count=one.count,
        predicted=one.predicted,
        outcome=OUTCOME.number(one.outcome),
        reason=REASON.number(one.reason),
        execution=execution_name(name, one.execution_id) if one.execution_id else "",
        summary=one.summary,
        evidence=evidence_texts(one.evidence),
        entries=[entry(each) for each in one.entries],
    )
