"""gRPC channels to a schedd: options, TLS and the token, the same for both kinds of client."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
import grpc.aio

from schedd.client.address import Address

CHANNEL_OPTIONS = (
    # The client makes its own attempts, by request id, and must not wait a second until it may dial again.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A half-open TCP connection is noticed within half a minute, also by a stream that has nothing to say.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)
"""The channel options of a client; gRPC passes over in silence what it does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who is calling, and whom to trust: a bearer token (empty: none), and certificates in PEM to trust in place of the system's."""

    token: str = ""
    authorities: bytes = b""

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes out with each call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def __repr__(self) -> str:
        return f"Credentials(token={'***' if self.token else ''!r}, authorities={len(self.authorities)} bytes)"


def blocking_channel(address: Address, credentials: Credentials) -> grpc.Channel:
    """A channel for blocking calls; it dials when it is first used."""
    if address.tls:
        return grpc.secure_channel(address.dial, _tls(credentials), options=CHANNEL_OPTIONS)
    return grpc.insecure_channel(address.dial, options=CHANNEL_OPTIONS)


def asyncio_channel(address: Address, credentials: Credentials) -> grpc.aio.Channel:
    """A channel for calls on the running event loop; it dials when it is first used."""
    if address.tls:
        return grpc.aio.secure_channel(address.dial, _tls(credentials), options=CHANNEL_OPTIONS)
    return grpc.aio.insecure_channel(address.dial, options=CHANNEL_OPTIONS)


def _tls(credentials: Credentials) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(root_certificates=credentials.authorities or None)
