"""A dead letter: what is kept of an execution whose last attempt failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schedd.core.model.batch import RequestMark
from schedd.core.model.execution import Attempt, Execution
from schedd.core.model.journal import JournalEntry
from schedd.core.model.rendering import Rendering


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A stored dead letter. `request` is None where nothing could be rendered; instants are UTC microseconds."""

    execution: Execution
    request: Rendering | None
    last_attempt: Attempt | None
    created_us: int
    redelivered_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redelivery:
    """A finished execution that is taken up again at `now_us`, once it is stored; `request` makes it safe to repeat."""

    execution_id: int
    now_us: int
    entry: JournalEntry
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """Dead letters that are removed by their executions' ids; the entries, by id, are journaled for those that were there."""

    entries: Mapping[int, JournalEntry]
