"""What a schedule fires at: an HTTP call or a subprocess, exactly as its owner described it.

Text fields marked *template* may hold `{{ variable }}` placeholders; `schedd.core.template` names the variables and renders them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

PAYLOAD_LIMIT_BYTES = 256 * 1024
OUTPUT_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What is sent: the HTTP body or the process's standard input, at most 256 KiB before rendering.

    `content` is UTF-8 *template* text if `template` is true, else raw bytes that are sent as they are.
    """

    content: bytes = b""
    content_type: str = "application/json"
    template: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRange:
    """HTTP status codes from `first` to `last`, both included."""

    first: int
    last: int


SUCCESS_STATUS = (StatusRange(first=200, last=299),)


class AuthScheme(StrEnum):
    """How an HTTP request says who sends it, RFC 6750 and RFC 7617."""

    BEARER = "BEARER"
    BASIC = "BASIC"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAuth:
    """Credentials of an HTTP request. `secret` names what the operator configured: the token, or the password of `username`.

    A bearer token has no user name: it is empty then.
    """

    scheme: AuthScheme
    secret: str
    username: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTarget:
    """One HTTP request.

    `url` (*template*): http, https or http+unix (the socket's path percent-encoded as host). `headers` (values are *templates*) keep
    their order; a name may repeat. `expected_status` are the codes that count as success; with `body_match` the response's
    body, up to the output limit, has to contain that text too. Redirects are not followed unless asked for. `auth`: its credentials.
    """

    url: str
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    payload: Payload = Payload()
    expected_status: tuple[StatusRange, ...] = SUCCESS_STATUS
    body_match: str = ""
    follow_redirects: bool = False
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES
    auth: HttpAuth | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """Limits of one process, setrlimit(2): sizes in bytes, `cpu_time` in whole seconds. What is None stays as the daemon has it.

    `processes` counts those of its user, whoever started them.
    """

    address_space_bytes: int | None = None
    cpu_time: timedelta | None = None
    file_size_bytes: int | None = None
    open_files: int | None = None
    processes: int | None = None
    core_size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTarget:
    """One subprocess.

    `argv` (*templates*) is executed without a shell; a shell is `["/bin/sh", "-c", …]`. The environment is clean: PATH, HOME, USER,
    LANG, the SCHEDD_ variables and `env` (values are *templates*), which wins. `stdin` is fed and closed. On timeout or
    cancel the whole tree gets SIGTERM and, after `kill_grace`, SIGKILL. `output_limit_bytes` bounds what is kept of standard output
    and of standard error, each: the beginning and the end. Empty `user`, `group`, and no `resource_limits`: the daemon's own.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = ""
    stdin: Payload = Payload(content_type="application/octet-stream")
    success_exit_codes: tuple[int, ...] = (0,)
    kill_grace: timedelta = timedelta(seconds=10)
    user: str = ""
    group: str = ""
    umask: int = 0o077
    nice: int = 0
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES
    resource_limits: ResourceLimits | None = None


Target = HttpTarget | ProcessTarget


def payload_of(target: Target) -> Payload:
    """What a target is sent."""
    return target.payload if isinstance(target, HttpTarget) else target.stdin


def with_payload(target: Target, payload: Payload) -> Target:
    """The target with something else to be sent."""
    return replace(target, payload=payload) if isinstance(target, HttpTarget) else replace(target, stdin=payload)
