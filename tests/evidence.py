"""What real engines have journaled and explained while the tests ran: the evidence that each reason and each kind can come about.

Each process of a run notes what it has seen in a file of its own, in a directory that they share; the run's first process judges them all.
"""

from __future__ import annotations

import functools
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from schedd.core.model.journal import JournalEntry
from schedd.engine.hub import Hub
from schedd.service.explanations import Explanations
from schedd.v1 import journal_pb2, reason_pb2

REASONS = frozenset(name.removeprefix("REASON_") for name in reason_pb2.Reason.DESCRIPTOR.values_by_name) - {"UNSPECIFIED"}
KINDS = frozenset(name.removeprefix("JOURNAL_KIND_") for name in journal_pb2.JournalKind.DESCRIPTOR.values_by_name) - {"UNSPECIFIED"}

MISSING_REASONS: frozenset[str] = frozenset()
"""Reasons of the contract that nothing produces yet. One that comes about is to be taken out: until then the run fails."""
MISSING_KINDS = frozenset({"BACKUP_WRITTEN", "DAEMON_DRAINING", "MAINTENANCE_RUN"})
"""The same of the journal's kinds."""


class Evidence:
    """The reasons and kinds that this process has seen."""

    def __init__(self) -> None:
        self.reasons: set[str] = set()
        self.kinds: set[str] = set()

    def note(self, entries: Iterable[JournalEntry]) -> None:
        """Take in what an engine has committed."""
        for entry in entries:
            self.reasons.add(entry.reason.value)
            self.kinds.add(entry.kind.value)

    def note_database(self, path: Path) -> list[str]:
        """Take in what a daemon in a process of its own has left in its database, and give the kinds in order."""
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT kind, reason FROM journal ORDER BY sequence").fetchall()
        self.kinds.update(kind for kind, _ in rows)
        self.reasons.update(reason for _, reason in rows)
        return [kind for kind, _ in rows]

    def save(self, directory: Path) -> None:
        """Leave it for the process that judges."""
        found = {"reasons": sorted(self.reasons), "kinds": sorted(self.kinds)}
        (directory / f"{os.getpid()}.json").write_text(json.dumps(found))

    def load(self, directory: Path) -> None:
        """Take in what the processes of the run have left."""
        for path in directory.glob("*.json"):
            found = json.loads(path.read_text())
            self.reasons.update(found["reasons"])
            self.kinds.update(found["kinds"])

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Look on, while it lasts, at what every engine of this process commits, and at what is explained."""
        publish, explain = Hub.publish, Explanations.explain

        def publish_seen(hub: Hub, entries: Sequence[JournalEntry]) -> None:
            self.note(entries)
            publish(hub, entries)

        @functools.wraps(explain)
        async def explain_seen(*args: Any, **options: Any) -> Any:
            page = await explain(*args, **options)
            self.reasons.update(explanation.reason.value for explanation in page.items)
            return page

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Hub, "publish", publish_seen)
            patch.setattr(Explanations, "explain", explain_seen)
            yield

    def faults(self) -> list[str]:
        """What a run of all tests has to be blamed for."""
        return [
            *_faults("reason", REASONS, MISSING_REASONS, self.reasons),
            *_faults("journal kind", KINDS, MISSING_KINDS, self.kinds),
        ]


def _faults(what: str, promised: frozenset[str], missing: frozenset[str], seen: set[str]) -> Iterator[str]:
    for name in sorted(promised - missing - seen):
        yield f"no test produces the {what} {name}"
    for name in sorted(missing & seen):
        yield f"the {what} {name} is produced now: take it out of MISSING in tests/evidence.py"
