"""Targets between protobuf and the model."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from schedd.api.convert.basics import duration, unbuilt
from schedd.api.reading import Reading
from schedd.core.model.target import (
    OUTPUT_LIMIT_BYTES,
    SUCCESS_STATUS,
    AuthScheme,
    HttpAuth,
    HttpTarget,
    Payload,
    ProcessTarget,
    ResourceLimits,
    StatusRange,
    Target,
)
from schedd.v1 import target_pb2

_UNBUILT_OF_HTTP = {
    "signature": "it will sign the request in the Standard Webhooks form",
    "tls": "it will present a client's certificate and trust authorities of your own",
}
"""What of the message is not built yet, and what it will do."""
_OAUTH2 = "it will fetch a token from token_url, keep it, and fetch it anew on 401"

_STDIN_TYPE = "application/octet-stream"
_KILL_GRACE = timedelta(seconds=10)
_LIMITS = ("address_space_bytes", "file_size_bytes", "open_files", "processes", "core_size_bytes")
"""The fields of ResourceLimits that are numbers."""
_CPU_TIME = timedelta(seconds=1)
"""Stands in for one that cannot be read."""
_NOBODY = HttpTarget(url="http://localhost/")
"""Stands in for a target that is empty."""


def target_of(message: target_pb2.Target, reading: Reading) -> Target:
    """The target that a message describes."""
    match message.WhichOneof("kind"):
        case "http":
            return http_of(message.http, reading)
        case "process":
            return process_of(message.process, reading)
        case _:
            reading.note("target", "REQUIRED", 'is empty: say what to fire at, such as {http: {url: "https://…"}}')
            return _NOBODY


def target(target: Target) -> target_pb2.Target:
    """The message of a target."""
    match target:
        case HttpTarget():
            return target_pb2.Target(http=http(target))
        case ProcessTarget():
            return target_pb2.Target(process=process(target))


def status_ranges_of(messages: Iterable[target_pb2.StatusRange]) -> tuple[StatusRange, ...]:
    """The ranges of status codes that messages describe; one without a last code has one code."""
    return tuple(StatusRange(first=codes.first, last=codes.last or codes.first) for codes in messages)


def status_ranges(ranges: Iterable[StatusRange]) -> list[target_pb2.StatusRange]:
    """The messages of ranges of status codes."""
    return [target_pb2.StatusRange(first=codes.first, last=codes.last) for codes in ranges]


def http_of(message: target_pb2.HttpTarget, reading: Reading, field: str = "target.http") -> HttpTarget:
    """The HTTP target that a message, at that field, describes."""
    present = {each.name for each, _ in message.ListFields()}
    reading.faults += [unbuilt(f"{field}.{name}", what) for name, what in _UNBUILT_OF_HTTP.items() if name in present]
    return HttpTarget(
        url=message.url,
        method=message.method or "POST",
        headers=tuple((header.name, header.value) for header in message.headers),
        payload=payload_of(message.payload, "application/json"),
        expected_status=status_ranges_of(message.expected_status) or SUCCESS_STATUS,
        body_match=message.body_match,
        follow_redirects=message.follow_redirects,
        output_limit_bytes=message.output_limit_bytes if message.HasField("output_limit_bytes") else OUTPUT_LIMIT_BYTES,
        auth=_auth_of(message.auth, reading, f"{field}.auth") if "auth" in present else None,
    )


def http(target: HttpTarget) -> target_pb2.HttpTarget:
    """The message of an HTTP target."""
    return target_pb2.HttpTarget(
        url=target.url,
        method=target.method,
        headers=[target_pb2.HttpHeader(name=name, value=value) for name, value in target.headers],
        payload=_payload(target.payload),
        expected_status=status_ranges(target.expected_status),
        body_match=target.body_match,
        follow_redirects=target.follow_redirects,
        output_limit_bytes=target.output_limit_bytes,
        auth=None if target.auth is None else _auth(target.auth),
    )


def _auth_of(message: target_pb2.HttpAuth, reading: Reading, field: str) -> HttpAuth | None:
    match message.WhichOneof("method"):
        case "bearer":
            return HttpAuth(scheme=AuthScheme.BEARER, secret=message.bearer.token.name)
        case "basic":
            return HttpAuth(scheme=AuthScheme.BASIC, secret=message.basic.password.name, username=message.basic.username)
        case "oauth2":
            reading.faults.append(unbuilt(f"{field}.oauth2", _OAUTH2))
        case _:
            reading.note(field, "REQUIRED", 'is empty: give a method, such as {bearer: {token: {name: "a-secret"}}}')
    return None


def _auth(auth: HttpAuth) -> target_pb2.HttpAuth:
    secret = target_pb2.SecretReference(name=auth.secret)
    if auth.scheme is AuthScheme.BEARER:
        return target_pb2.HttpAuth(bearer=target_pb2.BearerAuth(token=secret))
    return target_pb2.HttpAuth(basic=target_pb2.BasicAuth(username=auth.username, password=secret))


def process_of(message: target_pb2.ProcessTarget, reading: Reading, field: str = "target.process") -> ProcessTarget:
    """The process target that a message, at that field, describes."""
    grace = _KILL_GRACE
    if message.HasField("kill_grace"):
        grace = reading.span(message.kill_grace, f"{field}.kill_grace", _KILL_GRACE)
    return ProcessTarget(
        argv=tuple(message.argv),
        env=dict(message.env),
        working_directory=message.working_directory,
        stdin=payload_of(message.stdin, _STDIN_TYPE),
        success_exit_codes=tuple(message.success_exit_codes) or (0,),
        kill_grace=grace,
        user=message.user,
        group=message.group,
        umask=message.umask if message.HasField("umask") else 0o077,
        nice=message.nice,
        output_limit_bytes=message.output_limit_bytes if message.HasField("output_limit_bytes") else OUTPUT_LIMIT_BYTES,
        resource_limits=_limits_of(message.resource_limits, reading, f"{field}.resource_limits"),
    )


def process(target: ProcessTarget) -> target_pb2.ProcessTarget:
    """The message of a process target."""
    return target_pb2.ProcessTarget(
        argv=target.argv,
        env=target.env,
        working_directory=target.working_directory,
        stdin=_payload(target.stdin),
        success_exit_codes=target.success_exit_codes,
        kill_grace=duration(target.kill_grace),
        user=target.user,
        group=target.group,
        umask=target.umask,
        nice=target.nice,
        output_limit_bytes=target.output_limit_bytes,
        resource_limits=None if target.resource_limits is None else _limits(target.resource_limits),
    )


def _limits_of(message: target_pb2.ResourceLimits, reading: Reading, field: str) -> ResourceLimits | None:
    """The limits that a message describes; None if it sets none."""
    given = {each.name: value for each, value in message.ListFields()}
    if not given:
        return None
    cpu_time = reading.span(message.cpu_time, f"{field}.cpu_time", _CPU_TIME) if "cpu_time" in given else None
    return ResourceLimits(cpu_time=cpu_time, **{name: given[name] for name in _LIMITS if name in given})


def _limits(limits: ResourceLimits) -> target_pb2.ResourceLimits:
    cpu_time = None if limits.cpu_time is None else duration(limits.cpu_time)
    return target_pb2.ResourceLimits(cpu_time=cpu_time, **{name: getattr(limits, name) for name in _LIMITS})


def payload_of(message: target_pb2.Payload, content_type: str) -> Payload:
    """The payload that a message describes; without a type of its own it has that one."""
    is_text = message.WhichOneof("content") != "data"
    content = message.text.encode() if is_text else message.data
    return Payload(content=content, content_type=message.content_type or content_type, template=is_text)


def _payload(payload: Payload) -> target_pb2.Payload | None:
    if not payload.content:
        return None
    if payload.template:
        return target_pb2.Payload(text=payload.content.decode(), content_type=payload.content_type)
    return target_pb2.Payload(data=payload.content, content_type=payload.content_type)
