"""A payload on its way out: rendered, and bounded once more."""

from __future__ import annotations

import json

from schedd.core.errors import TemplateError
from schedd.core.model.execution import DeliveryRequest
from schedd.core.model.target import Payload
from schedd.core.template import Escape, Template

RENDERED_LIMIT_BYTES = 1024 * 1024


def render_payload(payload: Payload, request: DeliveryRequest) -> bytes:
    """The payload's bytes, filled with the facts of this delivery.

    In JSON, each value is escaped as the inside of a JSON string, so that a label with a quote in it cannot change the document.
    Raises: TemplateError, also for a result over 1 MiB.
    """
    content = payload.content
    if not payload.template or b"{{" not in content:
        return content
    rendered = Template.parse(content.decode()).render(request, _escape(payload.content_type)).encode()
    if len(rendered) > RENDERED_LIMIT_BYTES:
        reason = f"the rendered payload is {len(rendered)} bytes long, {RENDERED_LIMIT_BYTES} are possible"
        raise TemplateError(text="", position=0, length=0, reason=reason)
    return rendered


def _escape(content_type: str) -> Escape | None:
    media_type = content_type.partition(";")[0].strip().lower()
    return _json_escape if media_type == "application/json" or media_type.endswith("+json") else None


def _json_escape(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]
