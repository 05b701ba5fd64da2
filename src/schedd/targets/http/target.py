"""HTTP targets: plain calls go the short way (`wire.py`), the others through aiohttp (`sessions.py`)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol

from schedd.core.errors import TemplateError
from schedd.core.model.execution import AttemptResult, DeliveryRequest
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.rendering import HIDDEN, KEPT_BYTES, RenderedHttp, without_secret
from schedd.core.model.target import HttpTarget, StatusRange
from schedd.core.permissions import Permissions
from schedd.targets.http.call import Outgoing, render
from schedd.targets.http.doors import OPEN, DeniedError
from schedd.targets.http.errors import connection_message
from schedd.targets.http.limits import HttpLimits
from schedd.targets.http.secrets import NO_CREDENTIALS, Credentials, SecretError, SecretFiles, without
from schedd.targets.http.wire import Answer, Wire, WireError

if TYPE_CHECKING:
    from schedd.targets.http.sessions import Sessions

_UNAUTHORIZED = (401, 407)
_RETRY_AFTER_MAX_S = 7 * 86400


class WallClock(Protocol):
    """As much of the port `Clock` as a Retry-After date needs."""

    def now_us(self) -> int:
        """The wall clock: microseconds since 1970-01-01T00:00:00Z."""


class HttpTargets:
    """The `Target` port for `HttpTarget`. `permissions` decide about every connection, `secrets` are what targets' auth names."""

    def __init__(
        self,
        clock: WallClock,
        limits: HttpLimits = HttpLimits(),
        *,
        permissions: Permissions = OPEN,
        secrets: SecretFiles = SecretFiles({}),
    ) -> None:
        self.secrets = secrets
        self._clock = clock
        self._limits = limits
        self._permissions = permissions
        self._wire: Wire | None = None
        self._sessions: Sessions | None = None
        self._retired: set[Sessions] = set()
        self._closed = False

    async def deliver(self, request: DeliveryRequest) -> AttemptResult:
        """Send the request once; every end is a value. A cancelled call closes its connection."""
        if self._closed:
            return _failure(Reason.INTERRUPTED, "the daemon is ending")
        try:
            credentials = self._credentials(request)
        except SecretError as error:
            return _failure(Reason.AUTHENTICATION, str(error))._replace(retry_after=error.retry_after)
        result = await self._settled(request, credentials)
        return without(credentials.hidden, result) if credentials.hidden else result

    def _credentials(self, request: DeliveryRequest) -> Credentials:
        """What the request carries. Raises: SecretError."""
        auth = request.target.auth if isinstance(request.target, HttpTarget) else None
        return NO_CREDENTIALS if auth is None else self.secrets.credentials(auth)

    async def _settled(self, request: DeliveryRequest, credentials: Credentials) -> AttemptResult:
        try:
            return await self._deliver(request, credentials)
        except TemplateError as error:
            return _failure(Reason.TEMPLATE, str(error))
        except TimeoutError:
            return _failure(Reason.TIMEOUT, f"no answer within {_seconds(request.timeout)}")
        except DeniedError as error:
            return _failure(Reason.TARGET_DENIED, str(error))
        except OSError as error:
            return _failure(Reason.CONNECTION, connection_message(error))
        except Exception as error:  # noqa: BLE001 (a failing target is a value)
            return _failure(Reason.TARGET_ERROR, f"{type(error).__name__}: {error}")

    def rendered(self, request: DeliveryRequest) -> RenderedHttp | None:
        """What `deliver` sends for this request, credentials left out; None if it cannot be rendered."""
        if not isinstance(request.target, HttpTarget):
            return None
        try:
            outgoing = render(request.target, request, "" if request.target.auth is None else HIDDEN)
        except TemplateError:
            return None
        url = outgoing.address.url
        if outgoing.address.socket_path is None and url.absolute:
            url = url.with_user(None)
        return RenderedHttp(
            method=request.target.method,
            url=str(url),
            headers=tuple((name, without_secret(name, value)) for name, value in outgoing.headers),
            body=outgoing.body[:KEPT_BYTES],
        )

    def force(self, execution_id: int) -> None:
        """A cancelled call ends at once as it is."""

    async def permit(self, permissions: Permissions) -> None:
        """Let these decide about connections from now on; calls that are under way end as they would."""
        self._permissions = permissions
        if self._wire is not None:
            self._wire.permit(permissions)
        if self._sessions is not None:
            retired, self._sessions = self._sessions, None
            self._retired = {each for each in self._retired if not each.is_closed} | {retired}
            await retired.retire()

    async def aclose(self) -> None:
        """Close every connection; calls that are still under way fail."""
        self._closed = True
        if self._wire is not None:
            self._wire.close()
        for sessions in (self._sessions, *self._retired):
            if sessions is not None:
                await sessions.aclose()

    async def _deliver(self, request: DeliveryRequest, credentials: Credentials) -> AttemptResult:
        target = request.target
        if not isinstance(target, HttpTarget):
            raise TypeError(f"an HTTP target is wanted, not {type(target).__name__}")
        outgoing = render(target, request, credentials.authorization)
        answer = await (self._send_the_short_way(outgoing, request) if outgoing.message is not None else self._send(outgoing, request))
        return self._result(target, answer)

    async def _send_the_short_way(self, outgoing: Outgoing, request: DeliveryRequest) -> Answer:
        assert outgoing.message is not None, "the caller looked"
        assert outgoing.address.place is not None, "a message is made only for a place"
        target, limits = outgoing.target, self._limits
        if self._wire is None:
            self._wire = Wire(
                connections=limits.connections_per_host,
                keepalive_s=limits.keepalive_s,
                dns_cache_s=limits.dns_cache_s,
                permissions=self._permissions,
            )
        return await self._wire.call(
            outgoing.address.place,
            target.method,
            outgoing.message,
            body_limit=target.output_limit_bytes,
            timeout_s=None if request.timeout is None else request.timeout.total_seconds(),
        )

    async def _send(self, outgoing: Outgoing, request: DeliveryRequest) -> Answer:
        sessions = self._sessions or await self._open_sessions()
        return await sessions.send(outgoing, request.timeout)

    async def _open_sessions(self) -> Sessions:
        """Many daemons never go the long way, and the loop must not stand still for as long as aiohttp takes to be imported."""
        sessions_type = await asyncio.to_thread(_import_sessions)
        if self._closed:
            raise WireError("the daemon is ending")
        if self._sessions is None:
            self._sessions = sessions_type(self._limits, self._permissions)
        return self._sessions

    def _result(self, target: HttpTarget, answer: Answer) -> AttemptResult:
        outcome, reason, message = Outcome.SUCCEEDED, Reason.COMPLETED, ""
        retry_after = None
        if not _expected(target.expected_status, answer.status):
            outcome, reason = Outcome.FAILED, Reason.HTTP_STATUS
            message = f"answered {answer.status} {answer.reason}".rstrip()
            if target.auth is not None and answer.status in _UNAUTHORIZED:
                reason = Reason.AUTHENTICATION
                message += f" to the secret {target.auth.secret}"
            retry_after = self._retry_after(answer)
        elif target.body_match and target.body_match.encode() not in answer.body:
            outcome, reason = Outcome.FAILED, Reason.RESPONSE_MISMATCH
            message = (
                f"answered {answer.status}, but without {target.body_match!r} in the first {target.output_limit_bytes} bytes of the body"
            )
        return AttemptResult(outcome, reason, answer.status, message, answer.body, b"", answer.truncated, retry_after)

    def _retry_after(self, answer: Answer) -> timedelta | None:
        """What the server asked for (RFC 9110, 10.2.3: seconds, or a date), at most 7 days."""
        value = answer.headers.get("retry-after") if answer.status in (429, 503) else None
        if value is None:
            return None
        value = value.strip()
        if value.isascii() and value.isdecimal():
            return timedelta(seconds=min(int(value[:9]), _RETRY_AFTER_MAX_S))
        try:
            wait_s = parsedate_to_datetime(value).timestamp() - self._clock.now_us() / 1e6
        except ValueError:
            return None
        return timedelta(seconds=min(max(wait_s, 0), _RETRY_AFTER_MAX_S))


def _import_sessions() -> type[Sessions]:
    from schedd.targets.http.sessions import Sessions  # Imports aiohttp, a tenth of a second and ten megabytes.

    return Sessions


def _expected(ranges: tuple[StatusRange, ...], status: int) -> bool:
    return any(codes.first <= status <= codes.last for codes in ranges)


def _failure(reason: Reason, message: str) -> AttemptResult:
    return AttemptResult(outcome=Outcome.FAILED, reason=reason, message=message)


def _seconds(timeout: timedelta | None) -> str:
    return "the connection's own time limit" if timeout is None else f"{timeout.total_seconds():g} s"
