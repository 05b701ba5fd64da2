"""The SQLite store keeps the port's contract, in a file and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schedd.core.ports import Store
from schedd.store.memory import MemoryDatabase
from schedd.store.sqlite import SqliteStore
from tests.conformance.store import StoreSuite


class TestSqliteStore(StoreSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = await SqliteStore.open(tmp_path / "schedd.db")
        yield store
        await store.aclose()


class TestSqliteStoreInMemory(StoreSuite):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        database = MemoryDatabase()
        store = database.store()
        yield store
        await store.aclose()
        database.close()
