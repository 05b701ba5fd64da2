"""How a change is asked for, from a request's own fields: its request id, its etag, and whether it is to be checked only."""

from __future__ import annotations

import hashlib
from typing import Any

import grpc
from google.protobuf.message import Message

from schedd.api.actors import actor_of
from schedd.api.convert.basics import invalid
from schedd.api.reading import Reading
from schedd.core.model.batch import RequestMark
from schedd.service.asking import Asking

REQUEST_ID_MAX_CHARACTERS = 128
_ETAG_MAX_DIGITS = 19


def asking_of(request: Any, context: grpc.aio.ServicerContext[Any, Any], reading: Reading, *, etag: str = "") -> Asking:
    """How a change is asked for by `request`, which has `request_id` and `validate_only`; `etag` is the one it brings, if it does."""
    mark = reading.of(lambda: mark_of(request), None)
    return Asking(
        actor=actor_of(context),
        request=None if request.validate_only else mark,
        generation=reading.of(lambda: generation_of(etag), None),
        validate_only=request.validate_only,
    )


def mark_of(request: Any) -> RequestMark | None:
    """Makes a call repeatable that has a request id; its fingerprint is that of all it says. Raises: InvalidError (request_id)."""
    message: Message = request
    request_id: str = request.request_id
    if len(request_id) > REQUEST_ID_MAX_CHARACTERS:
        description = f"{len(request_id)} characters; at most {REQUEST_ID_MAX_CHARACTERS} are allowed"
        raise invalid("request_id", "TOO_LONG", description)
    if not request_id:
        return None
    fingerprint = hashlib.blake2s(message.SerializeToString(deterministic=True), digest_size=16).hexdigest()
    return RequestMark(request_id=request_id, scope=message.DESCRIPTOR.name.removesuffix("Request"), fingerprint=fingerprint)


def generation_of(etag: str) -> int | None:
    """The generation of an etag; None for an empty one. Raises: InvalidError."""
    if not etag:
        return None
    digits = etag.strip('"')
    if not digits.isascii() or not digits.isdigit() or len(digits) > _ETAG_MAX_DIGITS:
        raise invalid("etag", "INVALID_ETAG", f"{etag} is not one that the server gave")
    return int(digits)
