"""The Python client of schedd: `Client` for asyncio, `SyncClient` for everything else, and one tree of errors.

    async with Client() as client:
        await client.trigger_schedule("groups/default/schedules/backup")
        async for event in client.watch():
            print(event)

gRPC is imported when `Client`, `SyncClient` or `Credentials` is first asked for; importing this package does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schedd.client.address import Address, discover, parse_address
from schedd.client.errors import (
    AddressError,
    AlreadyExistsError,
    CallCancelledError,
    CallError,
    ClientError,
    ConflictError,
    DeadlineExceededError,
    Fault,
    FieldViolation,
    InternalError,
    InvalidError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    QuotaError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from schedd.client.patience import Patience

if TYPE_CHECKING:
    from schedd.client.blocking import SyncClient
    from schedd.client.channels import Credentials
    from schedd.client.concurrent import Client

__all__ = [
    "Address",
    "AddressError",
    "AlreadyExistsError",
    "CallCancelledError",
    "CallError",
    "Client",
    "ClientError",
    "ConflictError",
    "Credentials",
    "DeadlineExceededError",
    "Fault",
    "FieldViolation",
    "InternalError",
    "InvalidError",
    "NotFoundError",
    "Patience",
    "PermissionDeniedError",
    "PreconditionError",
    "QuotaError",
    "SyncClient",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "discover",
    "parse_address",
]

_LATE = {"Client": "concurrent", "SyncClient": "blocking", "Credentials": "channels"}


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
