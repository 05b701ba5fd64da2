"""How HTTP connections are kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How connections are kept.

    `keepalive_s` is short: servers close idle connections after 2 s (gunicorn) to 5 s (Node, uvicorn), and a request that
    meets that moment is lost, which a schedule that fires every 5 s would do each time. A backlog reuses its connections all the same.
    """

    connections_per_host: int = 128
    keepalive_s: float = 1.5
    dns_cache_s: int = 10
