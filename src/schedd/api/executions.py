"""ExecutionService: convert, call the use case, convert."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc

from schedd.api import filters
from schedd.api.actors import actor_of
from schedd.api.asking import mark_of
from schedd.api.convert.basics import invalid, span
from schedd.api.convert.execution import execution, kinds_of
from schedd.api.deadletters import dead_letter, read_choice, read_names, redeliver_result
from schedd.api.explanations import explanation, read_window
from schedd.api.matching import FIELDS, matcher
from schedd.api.names import below_schedule, execution_name, execution_parts
from schedd.api.pages import page_request, page_token
from schedd.api.reading import Reading
from schedd.api.watch import Feed
from schedd.core.errors import UnimplementedError
from schedd.core.model.query import PageRequest
from schedd.service.asking import Asking
from schedd.service.batches import Batches
from schedd.service.deadletters import DeadLetters
from schedd.service.executions import Executions
from schedd.service.explanations import Explanations
from schedd.v1 import execution_pb2, execution_service_pb2_grpc
from schedd.v1 import execution_service_pb2 as pb

Context = grpc.aio.ServicerContext[Any, Any]

FULL_MOST = 100
"""The most executions that one page holds with their attempts: the outputs of those are large."""

FULL_BYTES = 3 * 1024 * 1024
"""With the next execution's outputs beyond this, a page ends before it. Clients of gRPC take 4 MiB unless they are told to take more."""

_HEARTBEAT_MIN = timedelta(seconds=1)
_HEARTBEAT_MAX = timedelta(minutes=10)
_LATER = "comes with a later release: "


class ExecutionServicer(execution_service_pb2_grpc.ExecutionServiceServicer):
    """The methods in the proto's order."""

    def __init__(self, executions: Executions, explanations: Explanations, letters: DeadLetters, batches: Batches, feed: Feed) -> None:
        self._executions = executions
        self._explanations = explanations
        self._letters = letters
        self._batches = batches
        self._feed = feed

    async def GetExecution(self, request: pb.GetExecutionRequest, context: Context) -> execution_pb2.Execution:
        is_full = _is_full(request.view, default=True)
        found, attempts = await self._executions.get(*execution_parts(request.name))
        return execution(found, attempts if is_full else ())

    async def ListExecutions(self, request: pb.ListExecutionsRequest, context: Context) -> pb.ListExecutionsResponse:
        search = (request.parent, request.filter, request.order_by)
        where = filters.parse_filter(request.filter, filters.EXECUTIONS) + below_schedule(request.parent)
        order = filters.parse_order(request.order_by or "nominal_time desc", ("nominal_time", "due_time", "execution"))
        is_full = _is_full(request.view, default=False)
        page = page_request(request.page_size, request.page_token, *search)
        if is_full:
            page = replace(page, size=min(page.size, FULL_MOST))
            full = await self._executions.find_with_attempts(where, order, page, most_bytes=FULL_BYTES)
            messages, after = [execution(one, attempts) for one, attempts in full.items], full.after
        else:
            found = await self._executions.find(where, order, page)
            messages, after = [execution(one) for one in found.items], found.after
        return pb.ListExecutionsResponse(executions=messages, next_page_token=page_token(after, *search))

    async def CancelExecution(self, request: pb.CancelExecutionRequest, context: Context) -> execution_pb2.Execution:
        schedule, execution_id = execution_parts(request.name)
        cancelled = await self._executions.cancel(schedule, execution_id, actor=actor_of(context), note=request.reason)
        return execution(cancelled)

    async def RedeliverExecution(self, request: pb.RedeliverExecutionRequest, context: Context) -> execution_pb2.Execution:
        asking = Asking(actor=actor_of(context), request=mark_of(request))
        return execution(await self._letters.redeliver(execution_parts(request.name), asking))

    async def WatchExecutions(self, request: pb.WatchExecutionsRequest, context: Context) -> AsyncIterator[Any]:
        # Encoded messages: the server passes them on as they are.
        where = filters.parse_filter(request.filter, filters.JOURNAL)
        for comparison in where:
            if comparison.field not in FIELDS:
                raise invalid("filter", "NOT_BUILT_YET", f"a watch cannot be filtered by {comparison.field} yet")
        messages = self._feed.messages(
            after=request.after_sequence if request.HasField("after_sequence") else None,
            matches=matcher(where, kinds_of(request.kinds)),
            heartbeat_s=_heartbeat_s(request),
        )
        async for message in messages:
            yield message

    async def TailOutput(self, request: pb.TailOutputRequest, context: Context) -> AsyncIterator[pb.TailOutputResponse]:
        async for nothing in _unimplemented(f"TailOutput {_LATER}it will stream an attempt's output while it is written"):
            yield nothing

    async def GetExecutionStats(self, request: pb.GetExecutionStatsRequest, context: Context) -> pb.GetExecutionStatsResponse:
        raise UnimplementedError(f"GetExecutionStats {_LATER}it will count outcomes and measure lateness by time")

    async def ExplainOccurrences(self, request: pb.ExplainOccurrencesRequest, context: Context) -> pb.ExplainOccurrencesResponse:
        reading = Reading()
        name = reading.name(request.schedule, "schedule")
        window = read_window(request, reading)
        search = (request.schedule, window)
        page = reading.of(lambda: page_request(request.page_size, request.page_token, *search), PageRequest(size=1))
        reading.check()
        from_us = int(page.after[0]) if page.after else None
        found = await self._explanations.explain(name, window, size=page.size, from_us=from_us)
        return pb.ExplainOccurrencesResponse(
            explanations=[explanation(name, one) for one in found.items], next_page_token=page_token(found.after, *search)
        )

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, context: Context) -> pb.ListDeadLettersResponse:
        search = (request.parent, request.filter)
        where = filters.parse_filter(request.filter, filters.EXECUTIONS) + below_schedule(request.parent)
        found = await self._letters.find(where, page_request(request.page_size, request.page_token, *search))
        letters = [dead_letter(letter, self._letters.kept) for letter in found.items]
        return pb.ListDeadLettersResponse(dead_letters=letters, next_page_token=page_token(found.after, *search))

    async def RedeliverDeadLetters(self, request: pb.RedeliverDeadLettersRequest, context: Context) -> pb.RedeliverDeadLettersResponse:
        reading = Reading()
        named = read_names(request, reading)
        where = read_choice(request, reading)
        asking = Asking(actor=actor_of(context), request=reading.of(lambda: mark_of(request), None))
        reading.check()

        async def choose() -> Sequence[str]:
            chosen, more = (named, False) if named else await self._letters.redeliverable(where)
            return ["more" if more else "", *(execution_name(*one) for one in chosen)]

        more, *names = await self._batches.chosen(choose, asking)
        done = await self._letters.redeliver_many([execution_parts(name) for name in names], asking)
        return pb.RedeliverDeadLettersResponse(results=[redeliver_result(result) for result in done], more=bool(more))

    async def PurgeDeadLetters(self, request: pb.PurgeDeadLettersRequest, context: Context) -> pb.PurgeDeadLettersResponse:
        reading = Reading()
        named = read_names(request, reading)
        where = read_choice(request, reading)
        reading.check()
        asking = Asking(actor=actor_of(context), validate_only=request.validate_only)
        count = await (self._letters.purge(named, asking) if named else self._letters.purge_matching(where, asking))
        return pb.PurgeDeadLettersResponse(purge_count=count)


def _is_full(view: int, *, default: bool) -> bool:
    """Whether the attempts are asked for; `default` where nothing is said. Raises: InvalidError (view)."""
    match view:
        case execution_pb2.EXECUTION_VIEW_UNSPECIFIED:
            return default
        case execution_pb2.EXECUTION_VIEW_BASIC | execution_pb2.EXECUTION_VIEW_FULL:
            return view == execution_pb2.EXECUTION_VIEW_FULL
        case _:
            raise invalid("view", "INVALID_ENUM", f"{view} is none of EXECUTION_VIEW_BASIC, EXECUTION_VIEW_FULL")


def _heartbeat_s(request: pb.WatchExecutionsRequest) -> float | None:
    """After how long without a message an empty one comes; None: never. Raises: InvalidError (heartbeat_interval)."""
    if not request.HasField("heartbeat_interval"):
        return None
    interval = span(request.heartbeat_interval, "heartbeat_interval")
    if not _HEARTBEAT_MIN <= interval <= _HEARTBEAT_MAX:
        raise invalid("heartbeat_interval", "OUT_OF_RANGE", f"{interval} is not allowed; {_HEARTBEAT_MIN} to {_HEARTBEAT_MAX} is")
    return interval.total_seconds()


async def _unimplemented(text: str) -> AsyncIterator[Any]:
    """A stream that is not built yet."""
    if text:
        raise UnimplementedError(text)
    yield
