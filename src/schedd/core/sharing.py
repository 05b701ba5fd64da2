"""Shared limits: for each concurrency key, the lowest limit of the schedules that have it."""

from __future__ import annotations

from collections import Counter

from schedd.core.model.policy import Concurrency


class SharedLimits:
    """What each schedule, by row, says about its key."""

    def __init__(self) -> None:
        self._of_row: dict[int, tuple[str, int]] = {}
        self._of_key: dict[str, Counter[int]] = {}

    def put(self, row: int, concurrency: Concurrency | None) -> None:
        """The schedule says this now; None: nothing, or it is gone."""
        before = self._of_row.pop(row, None)
        if before is not None:
            self._drop(*before)
        if concurrency is not None:
            self._of_row[row] = (concurrency.key, concurrency.limit)
            self._of_key.setdefault(concurrency.key, Counter())[concurrency.limit] += 1

    def key_of(self, row: int) -> str | None:
        """The schedule's key, if it has one."""
        said = self._of_row.get(row)
        return None if said is None else said[0]

    def limit(self, key: str) -> int | None:
        """The lowest limit of the key's schedules; None: no schedule has that key."""
        said = self._of_key.get(key)
        return None if said is None else min(said)

    def _drop(self, key: str, limit: int) -> None:
        said = self._of_key[key]
        said[limit] -= 1
        if not said[limit]:
            del said[limit]
        if not said:
            del self._of_key[key]
