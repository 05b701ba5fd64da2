"""Who asks: the name that the journal keeps for a caller."""

from __future__ import annotations

from typing import Any

import grpc


def actor_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """`unix` for a caller on the unix socket, else `tcp` and its address."""
    peer = context.peer()
    return "unix" if peer.startswith("unix:") else f"tcp {peer.rpartition(':')[0]}"
