"""What an HTTP target sends: its URL and headers, with as much as possible made once for all deliveries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from yarl import URL

from schedd.core.errors import TemplateError
from schedd.core.model.execution import DeliveryRequest, id_text, instant_text
from schedd.core.model.target import HttpTarget
from schedd.core.template import Template
from schedd.targets.http.wire import Place
from schedd.targets.payload import render_payload

_WITH_LENGTH: Final = frozenset(("POST", "PUT", "PATCH"))
"""Their requests say how long the body is, also when there is none, RFC 9110, 8.6."""
_WITHOUT_BODY_IN_ANSWER: Final = frozenset(("HEAD", "CONNECT"))
_ODD_HEADERS: Final = frozenset(
    ("accept-encoding", "connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade")
)
"""Headers that say how a request or its answer is sent: with one of them it goes the long way."""

Headers = list[tuple[str, str]]

COMMON_HEADERS: Final = (("Accept", "*/*"), ("User-Agent", f"schedd/{version('schedd')}"))

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_URL_SAFE = "/:@-._~"


class Address(NamedTuple):
    """Where a call goes: its URL, the path of the unix socket that leads to it if it is not TCP, and its place if the short way is open."""

    url: URL
    socket_path: str | None = None
    place: Place | None = None


class Outgoing(NamedTuple):
    """One rendered request, ready to be sent. `message` has it as bytes, if it goes to `address.place` the short way."""

    target: HttpTarget
    address: Address
    headers: Headers
    body: bytes
    message: bytes | None


def render(target: HttpTarget, request: DeliveryRequest, authorization: str = "") -> Outgoing:
    """What this delivery sends, with these credentials if there are any.

    Raises: TemplateError, also if what is rendered is not a URL or not a header.
    """
    call = prepare(target.url, target.headers, target.payload.content_type)
    address = call.address(request)
    body = render_payload(target.payload, request)
    headers = call.headers(request, body)
    if authorization:
        headers.append(("Authorization", authorization))
    short = address.place is not None and call.is_plain and not target.follow_redirects and target.method not in _WITHOUT_BODY_IN_ANSWER
    message = _message(target.method, address.url, call.opening, headers, body) if short else None
    return Outgoing(target, address, headers, body, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is the same in every delivery of one target: parsed once, and kept for the targets that were used last.

    `address_if_constant` is None if the URL is a template; names in `own_names` are lower case; `opening` are the lines of the headers
    that all requests have.
    """

    url_template: Template
    address_if_constant: Address | None
    content_type: str
    own_headers: tuple[tuple[str, Template], ...]
    own_names: frozenset[str]
    opening: str

    @property
    def is_plain(self) -> bool:
        """Whether no header of the target's own says how the request is sent."""
        return not self.own_names & _ODD_HEADERS

    def address(self, request: DeliveryRequest) -> Address:
        """Where this delivery goes. Raises: TemplateError, also if what is rendered is not a URL."""
        return self.address_if_constant or _address(self.url_template.render(request, _percent_encode))

    def headers(self, request: DeliveryRequest, body: bytes) -> Headers:
        """The facts of the delivery and the target's own headers, which win. Raises: TemplateError."""
        key = request.delivery_key
        headers = [
            ("Schedd-Schedule", str(request.schedule)),
            ("Schedd-Execution", id_text(request.execution_id)),
            ("Schedd-Attempt", str(request.attempt)),
            ("Schedd-Nominal-Time", instant_text(request.nominal_us)),
            ("Schedd-Due-Time", instant_text(request.due_us)),
            ("Schedd-Delivery-Key", key),
            ("Schedd-Cause", request.cause.value),
            ("Idempotency-Key", key),
        ]
        if request.previous_success_us is not None:
            headers.append(("Schedd-Previous-Success-Time", instant_text(request.previous_success_us)))
        if body:
            headers.append(("Content-Type", self.content_type))
        if self.own_names:
            headers = [(name, value) for name, value in headers if name.lower() not in self.own_names]
            headers.extend((name, _header_value(template, request)) for name, template in self.own_headers)
        return headers


@lru_cache(maxsize=1024)
def prepare(url: str, headers: tuple[tuple[str, str], ...], content_type: str) -> Call:
    """The `Call` of the targets with this URL, these headers and that type of payload. Raises: TemplateError."""
    template = Template.parse(url)
    own_names = frozenset(name.lower() for name, _ in headers)
    return Call(
        url_template=template,
        address_if_constant=None if template.constant is None else _address(template.constant),
        content_type=content_type,
        own_headers=tuple((name, Template.parse(value)) for name, value in headers),
        own_names=own_names,
        opening="".join(f"\r\n{name}: {value}" for name, value in COMMON_HEADERS if name.lower() not in own_names),
    )


def _address(text: str) -> Address:
    """The URL, and for `http+unix` the socket's path. Raises: TemplateError for what is none, once it is rendered."""
    try:
        scheme, _, rest = text.partition("://")
        if scheme.lower() != "http+unix":
            return _tcp_address(URL(text))
        socket_path, slash, path = rest.partition("/")
        return Address(URL(f"http://localhost{slash}{path}"), unquote(socket_path))
    except ValueError as error:
        raise TemplateError(text=text, position=0, length=len(text), reason=f"{text!r} is not a URL: {error}") from error


def _tcp_address(url: URL) -> Address:
    plain = url.scheme == "http" and url.raw_host and url.raw_user is None
    return Address(url, place=Place(url.raw_host, url.port or 80) if plain and url.raw_host else None)


def _message(method: str, url: URL, opening: str, headers: Headers, body: bytes) -> bytes:
    lines = "".join([f"\r\n{name}: {value}" for name, value in headers])
    length = f"\r\nContent-Length: {len(body)}" if body or method in _WITH_LENGTH else ""
    return f"{method} {url.raw_path_qs} HTTP/1.1\r\nHost: {url.host_port_subcomponent}{opening}{lines}{length}\r\n\r\n".encode() + body


def _header_value(template: Template, request: DeliveryRequest) -> str:
    if (constant := template.constant) is not None:
        return constant
    value = template.render(request)
    if _CONTROL.search(value):
        raise TemplateError(text=template.text, position=0, length=len(template.text), reason="a header's value is one line")
    return value


def _percent_encode(value: str) -> str:
    return quote(value, safe=_URL_SAFE)
