"""What a target has to be: `check_target` names every wrong field at once, before anything is stored.

Field paths are in proto spelling, relative to the target: `http.url`, `http.headers[2].value`, `process.argv[1]`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import assert_never
from urllib.parse import SplitResult, unquote, urlsplit

from schedd.core.errors import FieldViolation, TemplateError
from schedd.core.model.target import PAYLOAD_LIMIT_BYTES, AuthScheme, HttpAuth, HttpTarget, Payload, ProcessTarget, ResourceLimits, Target
from schedd.core.template import Template

OUTPUT_LIMIT_MAX_BYTES = 1024 * 1024
KILL_GRACE_MAX = timedelta(minutes=10)
URL_MAX_CHARACTERS = 8 * 1024
HEADERS_MAX = 64
HEADERS_MAX_BYTES = 32 * 1024
CONTENT_TYPE_MAX_CHARACTERS = 255
STATUS_RANGES_MAX = 32
BODY_MATCH_MAX_CHARACTERS = 1024
ARGUMENTS_MAX = 256
ARGUMENTS_MAX_BYTES = 128 * 1024
ENVIRONMENT_MAX = 256
ENVIRONMENT_MAX_BYTES = 128 * 1024
LEAST_LIMITS = {
    "address_space_bytes": 1024 * 1024,
    "file_size_bytes": 0,
    "open_files": 3,
    "processes": 1,
    "core_size_bytes": 0,
}
"""The least values of resource limits: standard input, output and error are open files too."""
USERNAME_MAX_CHARACTERS = 256
CPU_TIME_LEAST = timedelta(seconds=1)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,254}\$?|[0-9]{1,10}")
_SET_BY_SCHEDD = frozenset({"connection", "content-length", "transfer-encoding"})
_SECRET = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET_FIELDS = {AuthScheme.BEARER: "bearer.token.name", AuthScheme.BASIC: "basic.password.name"}
_SAMPLE = "1"


def check_target(target: Target, labels: Collection[str] | None = None) -> tuple[FieldViolation, ...]:
    """All that is wrong with the target; empty if nothing is.

    `labels` are the keys of the schedule's labels, which its templates may name (None: not known, any key will do).
    """
    match target:
        case HttpTarget():
            return tuple(_http(target, labels))
        case ProcessTarget():
            return tuple(_process(target, labels))
        case _:
            assert_never(target)


def _http(target: HttpTarget, labels: Collection[str] | None) -> Iterator[FieldViolation]:
    yield from _url(target.url, labels)
    if not _TOKEN.fullmatch(target.method) or target.method != target.method.upper():
        yield _violation("http.method", "INVALID_METHOD", f"{target.method!r} is not an HTTP method such as GET or POST, in capitals")
    yield from _headers(target.headers, labels)
    yield from _payload("http.payload", target.payload, labels)
    yield from _content_type(target.payload.content_type)
    yield from _statuses(target)
    if len(target.body_match) > BODY_MATCH_MAX_CHARACTERS:
        description = f"it is {len(target.body_match)} characters long, {BODY_MATCH_MAX_CHARACTERS} are possible"
        yield _violation("http.body_match", "TOO_LARGE", description)
    if target.auth is not None:
        yield from _auth(target, target.auth)
    yield from _output_limit("http", target.output_limit_bytes)


def secret_field(auth: HttpAuth) -> str:
    """The field that names the secret, below the target's `http`."""
    return f"auth.{_SECRET_FIELDS[auth.scheme]}"


def _auth(target: HttpTarget, auth: HttpAuth) -> Iterator[FieldViolation]:
    if not _SECRET.fullmatch(auth.secret):
        description = f"{auth.secret!r} is not a secret's name: 1 to 64 letters, digits, dots, dashes and underscores are"
        yield _violation(f"http.{secret_field(auth)}", "INVALID_NAME", description)
    if auth.scheme is AuthScheme.BASIC:
        name = auth.username
        if not 1 <= len(name) <= USERNAME_MAX_CHARACTERS or ":" in name or not name.isprintable():
            description = f"a user name has 1 to {USERNAME_MAX_CHARACTERS} printable characters and no colon"
            yield _violation("http.auth.basic.username", "INVALID_NAME", description)
    for index, (name, _) in enumerate(target.headers):
        if name.lower() == "authorization":
            yield _violation(f"http.headers[{index}].name", "RESERVED_HEADER", "auth sets it: leave one of the two out")
    if "@" in target.url.partition("://")[2].partition("/")[0] and not target.url.startswith("http+unix"):
        yield _violation("http.url", "INVALID_URL", "it has a user of its own, and auth sets one: leave one of the two out")


def _url(url: str, labels: Collection[str] | None) -> Iterator[FieldViolation]:
    problems = list(_template("http.url", url, labels))
    yield from problems
    if not problems and (reason := _url_fault(_filled(url))):
        yield _violation("http.url", "INVALID_URL", f"{reason}; write for example https://host/path or http+unix://%2Frun%2Fapp.sock/path")


def _filled(template: str) -> str:
    return "".join(part if isinstance(part, str) else _SAMPLE for part in Template.parse(template).parts)


def _url_fault(url: str) -> str:
    """Why this is not a URL to call, or nothing."""
    if not url:
        return "it is empty"
    if len(url) > URL_MAX_CHARACTERS:
        return f"it is {len(url)} characters long, {URL_MAX_CHARACTERS} are possible"
    if any(character <= " " or character == "\x7f" for character in url):
        return "it holds a space or a control character (write a space as %20)"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return f"it is not a URL: {error}"
    if parts.scheme not in ("http", "https", "http+unix"):
        return f"its scheme is {parts.scheme!r}, not http, https or http+unix" if parts.scheme else "it has no scheme"
    return _host_fault(parts, host or "", port)


def _host_fault(parts: SplitResult, host: str, port: int | None) -> str:
    if not host:
        return "it has no host"
    if _wants_interface(host):
        return "its address is of one link only, and a URL cannot name the interface: take a global address, or a host's name"
    if port == 0:
        return "its port is 0, not 1 to 65535"
    if "\\" in parts.netloc:
        return "its host holds a backslash"
    if parts.scheme == "http+unix" and not unquote(parts.netloc).startswith("/"):
        return "its host is not the percent-encoded absolute path of a socket"
    return ""


def _wants_interface(host: str) -> bool:
    """Whether an IPv6 address means something only together with an interface (RFC 4007)."""
    return ":" in host and ("%" in host or host.startswith(("fe8", "fe9", "fea", "feb")))


def _headers(headers: tuple[tuple[str, str], ...], labels: Collection[str] | None) -> Iterator[FieldViolation]:
    if len(headers) > HEADERS_MAX:
        yield _violation("http.headers", "TOO_MANY", f"there are {len(headers)} headers, at most {HEADERS_MAX} are possible")
    size = sum(len(name.encode()) + len(value.encode()) for name, value in headers)
    if size > HEADERS_MAX_BYTES:
        yield _violation("http.headers", "TOO_LARGE", f"they are {size} bytes long, {HEADERS_MAX_BYTES} are possible")
    for index, (name, value) in enumerate(headers[:HEADERS_MAX]):
        field = f"http.headers[{index}]"
        if not _TOKEN.fullmatch(name):
            yield _violation(f"{field}.name", "INVALID_HEADER", f"{name!r} is not a header name such as X-Api-Key")
        elif name.lower() in _SET_BY_SCHEDD:
            yield _violation(f"{field}.name", "RESERVED_HEADER", f"{name} belongs to the connection: schedd sets it")
        if _breaks_header(value):
            yield _violation(f"{field}.value", "INVALID_HEADER", "a header's value is one line, without control characters")
        yield from _template(f"{field}.value", value, labels)


def _breaks_header(value: str) -> bool:
    return any((character < " " and character != "\t") or character == "\x7f" for character in value)


def _content_type(value: str) -> Iterator[FieldViolation]:
    if _breaks_header(value) or not value.isascii() or len(value) > CONTENT_TYPE_MAX_CHARACTERS:
        description = f"a content type is one line of at most {CONTENT_TYPE_MAX_CHARACTERS} printable ASCII characters"
        yield _violation("http.payload.content_type", "INVALID_HEADER", description)


def _statuses(target: HttpTarget) -> Iterator[FieldViolation]:
    if not target.expected_status:
        yield _violation("http.expected_status", "REQUIRED", "no status would count as success; 200 to 299 is usual")
    if len(target.expected_status) > STATUS_RANGES_MAX:
        description = f"there are {len(target.expected_status)} ranges, at most {STATUS_RANGES_MAX} are possible"
        yield _violation("http.expected_status", "TOO_MANY", description)
    for index, codes in enumerate(target.expected_status[:STATUS_RANGES_MAX]):
        if not 100 <= codes.first <= codes.last <= 599:
            description = f"{codes.first} to {codes.last} is not a range within 100 to 599, the first code first"
            yield _violation(f"http.expected_status[{index}]", "OUT_OF_RANGE", description)


def _process(target: ProcessTarget, labels: Collection[str] | None) -> Iterator[FieldViolation]:
    yield from _argv(target.argv, labels)
    yield from _environment(target, labels)
    yield from _working_directory(target.working_directory)
    yield from _payload("process.stdin", target.stdin, labels)
    for index, code in enumerate(target.success_exit_codes):
        if not 0 <= code <= 255:
            yield _violation(f"process.success_exit_codes[{index}]", "OUT_OF_RANGE", f"{code} is not an exit code (0 to 255)")
    if not target.success_exit_codes:
        yield _violation("process.success_exit_codes", "REQUIRED", "no exit code would count as success; 0 is usual")
    if not timedelta(0) <= target.kill_grace <= KILL_GRACE_MAX:
        yield _violation("process.kill_grace", "OUT_OF_RANGE", "the time between SIGTERM and SIGKILL is from 0 s to 10 min")
    yield from _account(target)
    if target.resource_limits is not None:
        yield from _resource_limits(target.resource_limits)
    yield from _output_limit("process", target.output_limit_bytes)


def _argv(argv: tuple[str, ...], labels: Collection[str] | None) -> Iterator[FieldViolation]:
    if not argv:
        yield _violation("process.argv", "REQUIRED", 'there is no command; a shell line is ["/bin/sh", "-c", "…"]')
    elif not argv[0]:
        yield _violation("process.argv[0]", "REQUIRED", "the command is empty; name a program or its absolute path")
    if len(argv) > ARGUMENTS_MAX:
        yield _violation("process.argv", "TOO_MANY", f"there are {len(argv)} arguments, at most {ARGUMENTS_MAX} are possible")
    size = sum(len(argument.encode()) + 1 for argument in argv)
    if size > ARGUMENTS_MAX_BYTES:
        yield _violation("process.argv", "TOO_LARGE", f"they are {size} bytes long, {ARGUMENTS_MAX_BYTES} are possible; use stdin")
    for index, argument in enumerate(argv[:ARGUMENTS_MAX]):
        yield from _text(f"process.argv[{index}]", argument, labels)


def _environment(target: ProcessTarget, labels: Collection[str] | None) -> Iterator[FieldViolation]:
    if len(target.env) > ENVIRONMENT_MAX:
        description = f"there are {len(target.env)} variables, at most {ENVIRONMENT_MAX} are possible"
        yield _violation("process.env", "TOO_MANY", description)
        return
    size = sum(len(name.encode()) + len(value.encode()) + 2 for name, value in target.env.items())
    if size > ENVIRONMENT_MAX_BYTES:
        yield _violation("process.env", "TOO_LARGE", f"it is {size} bytes long, {ENVIRONMENT_MAX_BYTES} are possible; use stdin")
    for name, value in target.env.items():
        if not _ENVIRONMENT_NAME.fullmatch(name):
            description = f"{name!r} is not a variable's name: letters, digits and underscores, not beginning with a digit"
            yield _violation("process.env", "INVALID_NAME", description)
        yield from _text(f"process.env[{name}]", value, labels)


def _working_directory(path: str) -> Iterator[FieldViolation]:
    field = "process.working_directory"
    if "\0" in path:
        yield _violation(field, "INVALID_CHARACTER", "it holds a NUL byte")
    elif path and not path.startswith("/"):
        yield _violation(field, "NOT_ABSOLUTE", f"{path!r} is not an absolute path; write it from / on")


def _account(target: ProcessTarget) -> Iterator[FieldViolation]:
    for field, name in (("user", target.user), ("group", target.group)):
        if name and not _ACCOUNT.fullmatch(name):
            yield _violation(f"process.{field}", "INVALID_NAME", f"{name!r} is not the name or number of a {field}")
    if not 0 <= target.umask <= 0o777:
        yield _violation("process.umask", "OUT_OF_RANGE", f"{target.umask:#o} is not within 0 to 0777")
    if not -20 <= target.nice <= 19:
        yield _violation("process.nice", "OUT_OF_RANGE", f"{target.nice} is not within -20 (favoured) to 19 (patient)")


def _resource_limits(limits: ResourceLimits) -> Iterator[FieldViolation]:
    for name, least in LEAST_LIMITS.items():
        value = getattr(limits, name)
        if value is not None and value < least:
            yield _violation(f"process.resource_limits.{name}", "OUT_OF_RANGE", f"{value} is too low; from {least} on it can be")
    cpu_time = limits.cpu_time
    if cpu_time is not None and (cpu_time < CPU_TIME_LEAST or cpu_time.microseconds):
        description = f"{cpu_time.total_seconds():g} s is not a number of whole seconds, 1 s at least: the kernel counts no finer"
        yield _violation("process.resource_limits.cpu_time", "OUT_OF_RANGE", description)


def _payload(field: str, payload: Payload, labels: Collection[str] | None) -> Iterator[FieldViolation]:
    field = f"{field}.content"
    if (size := len(payload.content)) > PAYLOAD_LIMIT_BYTES:
        yield _violation(field, "TOO_LARGE", f"it is {size} bytes long, {PAYLOAD_LIMIT_BYTES} are possible; send a reference to the data")
    elif payload.template:
        try:
            text = payload.content.decode()
        except UnicodeDecodeError as error:
            yield _violation(field, "INVALID_UTF8", f"a template is UTF-8 text, byte {error.start} is not; send raw bytes instead")
        else:
            yield from _template(field, text, labels)


def _output_limit(field: str, limit: int) -> Iterator[FieldViolation]:
    if not 0 <= limit <= OUTPUT_LIMIT_MAX_BYTES:
        yield _violation(f"{field}.output_limit_bytes", "OUT_OF_RANGE", f"{limit} is not within 0 to {OUTPUT_LIMIT_MAX_BYTES} bytes")


def _text(field: str, value: str, labels: Collection[str] | None) -> Iterator[FieldViolation]:
    if "\0" in value:
        yield _violation(field, "INVALID_CHARACTER", "it holds a NUL byte")
    yield from _template(field, value, labels)


def _template(field: str, text: str, labels: Collection[str] | None) -> Iterator[FieldViolation]:
    try:
        template = Template.parse(text)
        if labels is not None:
            template.check_labels(labels)
    except TemplateError as error:
        yield _violation(field, "INVALID_TEMPLATE", str(error))


def _violation(field: str, reason: str, description: str) -> FieldViolation:
    return FieldViolation(field=field, reason=reason, description=description)
