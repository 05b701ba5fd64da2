"""Hosts: whom an HTTP target calls, as the limits and the circuit breakers name it."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import unquote, urlsplit

_PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=4096)
def host_of(url: str) -> str:
    """`scheme://host:port`, or `unix:/path` of a socket. A host that is a template stands for itself: all its values are one host here."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() == "http+unix":
        return f"unix:{unquote(rest.partition('/')[0])}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return f"{scheme}://{rest.partition('/')[0]}"
    return f"{parts.scheme}://[{host}]:{port}" if host and ":" in host else f"{parts.scheme}://{host}:{port}"
