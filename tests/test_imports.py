"""What an import pulls in: each in a fresh interpreter, for a module that another test imported would hide the answer."""

from __future__ import annotations

import subprocess
import sys

import pytest

EVERYTHING_HEAVY = (
    "aiohttp",
    "aiosqlite",
    "asyncio",
    "click",
    "google.protobuf",
    "grpc",
    "msgspec",
    "prometheus_client",
    "rich",
    "sqlite3",
    "structlog",
    "uvloop",
    "yaml",
)
BEYOND_THE_CLIENT = (
    "aiohttp",
    "aiosqlite",
    "click",
    "msgspec",
    "prometheus_client",
    "rich",
    "schedd.core",
    "schedd.engine",
    "sqlite3",
    "structlog",
    "uvloop",
    "yaml",
)
BEYOND_THE_CORE = ("asyncio", "google", "grpc", "logging", "socket", "sqlite3", "subprocess")


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        pytest.param("schedd", EVERYTHING_HEAVY, id="schedd"),
        pytest.param("schedd.client", BEYOND_THE_CLIENT, id="client"),
        pytest.param("schedd.core.ports", BEYOND_THE_CORE, id="core"),
        pytest.param("schedd.daemon.composition", ("aiohttp", "click", "prometheus_client", "yaml"), id="daemon"),
        pytest.param("schedd.cli.main", ("aiohttp", "grpc", "prometheus_client", "schedd.engine", "sqlite3", "uvloop"), id="cli"),
    ],
)
def test_import_of_a_module_loads_nothing_beyond_its_layer(module: str, unwanted: tuple[str, ...]) -> None:
    loaded = _modules_loaded_by(module)

    assert module in loaded
    assert sorted(set(unwanted) & loaded) == []


def _modules_loaded_by(module: str) -> set[str]:
    script = f"import sys; import {module}; print(*sys.modules, sep='\\n')"
    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30)
    return set(answer.stdout.split())
