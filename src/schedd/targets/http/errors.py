"""What went wrong in an HTTP call, in words for people."""

from __future__ import annotations

from schedd.targets.http.wire import WireError


def connection_message(error: OSError) -> str:
    """One calm sentence about a call that got no whole answer."""
    return str(error) if isinstance(error, WireError) else f"the connection broke: {os_text(error)}"


def os_text(error: OSError) -> str:
    """What the system says of it."""
    return error.strerror or str(error) or type(error).__name__
