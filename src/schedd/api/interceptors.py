"""What every call goes through: who asks, errors to statuses. Limits and audit have their place between the two."""

from __future__ import annotations

import hmac
import inspect
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import structlog
from google.rpc.status_pb2 import Status

from schedd.api.errors import UnauthenticatedError, status_of, unforeseen
from schedd.api.turns import Turns
from schedd.core.errors import ScheddError

_CODES = {code.value[0]: code for code in grpc.StatusCode}

log = structlog.get_logger(__name__)


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Lets calls begin in turns, and turns errors into statuses with details; of what nobody foresaw only a correlation id leaves."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._wrapped: dict[Any, Any] = {}

    async def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Wrap the method that was found, if it takes one request: once, as there is one handler a method."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        wrapped = self._wrapped.get(handler)
        if wrapped is None:
            wrapped = self._wrapped[handler] = self._wrap(handler)
        return wrapped

    def _wrap(self, handler: Any) -> Any:
        coders = (handler.request_deserializer, handler.response_serializer)
        if handler.response_streaming:
            # A method that does not yield its messages writes them itself, as Health.Watch does: it is awaited like a unary one.
            if inspect.isasyncgenfunction(handler.unary_stream):
                return grpc.unary_stream_rpc_method_handler(_streaming(handler.unary_stream), *coders)
            return grpc.unary_stream_rpc_method_handler(_answering(handler.unary_stream, self._turns), *coders)
        return grpc.unary_unary_rpc_method_handler(_answering(handler.unary_unary, self._turns), *coders)


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Lets calls in that bear one of the tokens. `tokens` is asked at each call, so that a reload takes effect."""

    def __init__(self, tokens: Callable[[], Sequence[str]]) -> None:
        self._tokens = tokens

    async def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Find the method only for a caller with a token. Every token is compared, so that time tells nothing."""
        metadata = dict(handler_call_details.invocation_metadata)
        presented = metadata.get("authorization", "")
        text = presented.encode() if isinstance(presented, str) else presented
        matches = [hmac.compare_digest(text, f"Bearer {token}".encode()) for token in self._tokens()]
        if any(matches):
            return await continuation(handler_call_details)
        return grpc.unary_unary_rpc_method_handler(_refuse)


async def _refuse(_: Any, context: Any) -> None:
    await _abort(context, status_of(UnauthenticatedError("a call over TCP bears a token: metadata authorization: Bearer TOKEN")))


def _answering(method: Callable[[Any, Any], Awaitable[Any]], turns: Turns) -> Callable[[Any, Any], Awaitable[Any]]:
    async def call(request: Any, context: Any) -> Any:
        await turns.mine()
        try:
            return await method(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001  # What nobody foresaw must not leave the daemon with its text.
            return await _abort(context, _status(error))

    return call


def _streaming(method: Callable[[Any, Any], AsyncIterator[Any]]) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for message in method(request, context):
                yield message
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001  # What nobody foresaw must not leave the daemon with its text.
            await _abort(context, _status(error))

    return call


def _status(error: Exception) -> Status:
    if isinstance(error, ScheddError):
        return status_of(error)
    correlation_id = secrets.token_hex(8)
    log.error("call_failed", correlation_id=correlation_id, exc_info=error)
    return unforeseen(correlation_id)


async def _abort(context: Any, status: Status) -> None:
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(_CODES[status.code], status.message, trailing_metadata=details)
