"""The use cases of the journal: read it, and follow it as it is written. Watching and audit are both this."""

from __future__ import annotations

from collections.abc import Callable, Collection

from schedd.core.model.journal import JournalKind, JournalPage
from schedd.core.model.query import Filter
from schedd.core.ports import CommitListener, Store
from schedd.engine.engine import Engine


class Journal:
    """The journal, past and live."""

    def __init__(self, *, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine

    @property
    def last_sequence(self) -> int:
        """The newest sequence number that was handed to listeners; 0 before the first."""
        return self._engine.hub.last_sequence

    def listen(self, listener: CommitListener) -> Callable[[], None]:
        """Be handed every committed batch of entries from now on, in order and without a gap; the answer ends it.

        The listener runs in the engine's path: it must be quick and must not raise.
        """
        return self._engine.listen(listener)

    async def read(
        self,
        *,
        after: int,
        limit: int,
        where: Filter = (),
        kinds: Collection[JournalKind] = (),
        through: int | None = None,
        descending: bool = False,
    ) -> JournalPage:
        """Stored entries, and how far was read; parameters and fields are those of `Store.journal`."""
        return await self._store.journal_page(after=after, limit=limit, where=where, kinds=kinds, through=through, descending=descending)

    async def bounds(self) -> tuple[int, int]:
        """The oldest and the newest kept sequence numbers; (0, 0) when there is none."""
        return await self._store.journal_bounds()
