"""What an HTTP target sends: its URL and headers, with as much as possible made once for all deliveries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote

from multidict import CIMultiDict, istr
from yarl import URL

from schedd.core.errors import TemplateError
from schedd.core.model.execution import DeliveryRequest, delivery_key, id_text, instant_text
from schedd.core.model.target import HttpTarget
from schedd.core.template import Template
from schedd.targets.payload import render_payload

Address = tuple[URL, str | None]
"""A URL, and the path of the unix socket that leads to it, if it is not TCP."""

_SCHEDULE = istr("Schedd-Schedule")
_EXECUTION = istr("Schedd-Execution")
_ATTEMPT = istr("Schedd-Attempt")
_NOMINAL_TIME = istr("Schedd-Nominal-Time")
_DUE_TIME = istr("Schedd-Due-Time")
_DELIVERY_KEY = istr("Schedd-Delivery-Key")
_CAUSE = istr("Schedd-Cause")
_PREVIOUS_SUCCESS_TIME = istr("Schedd-Previous-Success-Time")
_IDEMPOTENCY_KEY = istr("Idempotency-Key")
_CONTENT_TYPE = istr("Content-Type")

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_URL_SAFE = "/:@-._~"


@dataclass(slots=True)
class Outgoing:
    """One rendered request, ready to be sent."""

    target: HttpTarget
    url: URL
    socket_path: str | None
    headers: CIMultiDict[str]
    body: bytes


def render(target: HttpTarget, request: DeliveryRequest) -> Outgoing:
    """What this delivery sends. Raises: TemplateError, also if what is rendered is not a URL or not a header."""
    call = prepare(target.url, target.headers, target.payload.content_type)
    url, socket_path = call.address(request)
    body = render_payload(target.payload, request)
    return Outgoing(target, url, socket_path, call.headers(request, body), body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is the same in every delivery of one target: parsed once, and kept for the targets that were used last.

    `address_if_constant` is None if the URL is a template; names in `own_names` are lower case.
    """

    url_template: Template
    address_if_constant: Address | None
    content_type: str
    own_headers: tuple[tuple[istr, Template], ...]
    own_names: frozenset[str]

    def address(self, request: DeliveryRequest) -> Address:
        """Where this delivery goes. Raises: TemplateError, also if what is rendered is not a URL."""
        return self.address_if_constant or _address(self.url_template.render(request, _percent_encode))

    def headers(self, request: DeliveryRequest, body: bytes) -> CIMultiDict[str]:
        """The facts of the delivery and the target's own headers, which win. Raises: TemplateError."""
        key = delivery_key(request.schedule_uid, request.nominal_us)
        headers: list[tuple[str, str]] = [
            (_SCHEDULE, str(request.schedule)),
            (_EXECUTION, id_text(request.execution_id)),
            (_ATTEMPT, str(request.attempt)),
            (_NOMINAL_TIME, instant_text(request.nominal_us)),
            (_DUE_TIME, instant_text(request.due_us)),
            (_DELIVERY_KEY, key),
            (_CAUSE, request.cause.value),
            (_IDEMPOTENCY_KEY, key),
        ]
        if request.previous_success_us is not None:
            headers.append((_PREVIOUS_SUCCESS_TIME, instant_text(request.previous_success_us)))
        if body:
            headers.append((_CONTENT_TYPE, self.content_type))
        if self.own_names:
            headers = [(name, value) for name, value in headers if name.lower() not in self.own_names]
            headers.extend((name, _header_value(template, request)) for name, template in self.own_headers)
        return CIMultiDict(headers)


@lru_cache(maxsize=1024)
def prepare(url: str, headers: tuple[tuple[str, str], ...], content_type: str) -> Call:
    """The `Call` of the targets with this URL, these headers and that type of payload. Raises: TemplateError."""
    template = Template.parse(url)
    return Call(
        url_template=template,
        address_if_constant=None if template.constant is None else _address(template.constant),
        content_type=content_type,
        own_headers=tuple((istr(name), Template.parse(value)) for name, value in headers),
        own_names=frozenset(name.lower() for name, _ in headers),
    )


def _address(text: str) -> Address:
    """The URL, and for `http+unix` the socket's path. Raises: TemplateError for what is none, once it is rendered."""
    try:
        scheme, _, rest = text.partition("://")
        if scheme.lower() != "http+unix":
            return URL(text), None
        socket_path, slash, path = rest.partition("/")
        return URL(f"http://localhost{slash}{path}"), unquote(socket_path)
    except ValueError as error:
        raise TemplateError(text=text, position=0, length=len(text), reason=f"{text!r} is not a URL: {error}") from error


def _header_value(template: Template, request: DeliveryRequest) -> str:
    if (constant := template.constant) is not None:
        return constant
    value = template.render(request)
    if _CONTROL.search(value):
        raise TemplateError(text=template.text, position=0, length=len(template.text), reason="a header's value is one line")
    return value


def _percent_encode(value: str) -> str:
    return quote(value, safe=_URL_SAFE)
