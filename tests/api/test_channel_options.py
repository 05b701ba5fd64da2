"""The names of gRPC's channel options: one that gRPC does not know is passed over without a word."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from schedd.api.server import SERVER_OPTIONS
from schedd.client.channels import CHANNEL_OPTIONS

FOUND = find_spec("grpc._cython.cygrpc")
assert FOUND is not None
LIBRARY = Path(FOUND.origin or "").read_bytes()


@pytest.mark.parametrize("name", sorted({name for name, _ in (*SERVER_OPTIONS, *CHANNEL_OPTIONS)}))
def test_channel_option_is_one_that_grpc_knows(name: str) -> None:
    assert name.encode() in LIBRARY


def test_server_lets_clients_ping_as_often_as_ours_do() -> None:
    allowed, sent = dict(SERVER_OPTIONS)["grpc.http2.min_ping_interval_without_data_ms"], dict(CHANNEL_OPTIONS)["grpc.keepalive_time_ms"]
    assert allowed < sent
