"""Dead letters as messages: which of them a batch means, and how one is told."""

from __future__ import annotations

from datetime import timedelta

from google.rpc.status_pb2 import Status

from schedd.api import filters
from schedd.api.convert.basics import timestamp
from schedd.api.convert.execution import attempt, execution
from schedd.api.errors import status_of
from schedd.api.names import ANY, below_schedule, execution_name, execution_parts
from schedd.api.reading import Reading
from schedd.core.model.deadletter import DeadLetter
from schedd.core.model.query import Filter
from schedd.core.model.rendering import RenderedHttp, Rendering
from schedd.service.deadletters import LETTERS_MAX, Named, RedeliverResult
from schedd.v1 import execution_pb2, target_pb2
from schedd.v1 import execution_service_pb2 as pb

_EVERYTHING = "*"
_ALL: Filter = ()
_MICROSECOND = timedelta(microseconds=1)

BatchRequest = pb.RedeliverDeadLettersRequest | pb.PurgeDeadLettersRequest


def read_names(request: BatchRequest, reading: Reading) -> list[Named]:
    """The executions that are named, all of them below `parent`."""
    if bool(request.names) == bool(request.filter):
        reading.note("names", "REQUIRED", "give either names or a filter")
    if len(request.names) > LETTERS_MAX:
        reading.note("names", "TOO_MANY", f"{len(request.names)} names; 1 to {LETTERS_MAX} are allowed")
    named = []
    for index, text in enumerate(request.names[:LETTERS_MAX]):
        field = f"names[{index}]"
        parts = reading.of(lambda text=text, field=field: execution_parts(text, field), None)  # type: ignore[misc]
        if parts is None:
            continue
        if not _lies_below(request.parent, text):
            reading.note(field, "MISMATCH", f"{text} does not lie in {request.parent}")
        named.append(parts)
    return named


def read_choice(request: BatchRequest, reading: Reading) -> Filter:
    """What the dead letters match that are not named."""
    where = reading.of(lambda: below_schedule(request.parent), _ALL)
    if request.filter != _EVERYTHING:
        where += reading.of(lambda: filters.parse_filter(request.filter, filters.EXECUTIONS), _ALL)
    return where


def _lies_below(parent: str, name: str) -> bool:
    """Whether each part that the parent names is the same in the name."""
    pairs = zip(parent.split("/"), name.split("/"), strict=False)
    return not parent or all(above in (ANY, own) for above, own in pairs)


def dead_letter(letter: DeadLetter, kept: timedelta) -> execution_pb2.DeadLetter:
    """The message of a dead letter that goes once it has been kept for so long."""
    message = execution_pb2.DeadLetter(
        execution=execution(letter.execution),
        create_time=timestamp(letter.created_us),
        expire_time=timestamp(letter.created_us + kept // _MICROSECOND),
    )
    if letter.request is not None:
        message.request.CopyFrom(rendered(letter.request))
    if letter.last_attempt is not None:
        message.last_attempt.CopyFrom(attempt(letter.last_attempt))
    if letter.redelivered_us is not None:
        message.redeliver_time.CopyFrom(timestamp(letter.redelivered_us))
    return message


def rendered(rendering: Rendering) -> target_pb2.RenderedDelivery:
    """The message of what an attempt sends."""
    if isinstance(rendering, RenderedHttp):
        headers = [target_pb2.HttpHeader(name=name, value=value) for name, value in rendering.headers]
        http = target_pb2.RenderedHttp(method=rendering.method, url=rendering.url, headers=headers, body=rendering.body)
        return target_pb2.RenderedDelivery(http=http)
    process = target_pb2.RenderedProcess(
        argv=rendering.argv, env=rendering.env, working_directory=rendering.working_directory, stdin=rendering.stdin
    )
    return target_pb2.RenderedDelivery(process=process)


def redeliver_result(result: RedeliverResult) -> pb.RedeliverResult:
    """The message of what became of one execution of a batch."""
    status = Status() if result.error is None else status_of(result.error)
    return pb.RedeliverResult(name=execution_name(*result.named), status=status)
