"""Whether a journal entry matches a watcher's filter: the same comparisons as the store's, in memory."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection

from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.query import Comparison, Filter, Operator

_COMPARE: dict[Operator, Callable[[str | int, str | int], bool]] = {
    Operator.EQUAL: operator.eq,
    Operator.UNEQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.LESS_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_EQUAL: operator.ge,
}
_VALUE: dict[str, Callable[[JournalEntry], str | int | None]] = {
    "kind": lambda entry: entry.kind,
    "actor": lambda entry: entry.actor,
    "schedule": lambda entry: str(entry.schedule) if entry.schedule else None,
    "group": lambda entry: entry.schedule.group if entry.schedule else None,
    "execution": lambda entry: entry.execution.id if entry.execution else None,
    "cause": lambda entry: entry.execution.cause if entry.execution else None,
    "outcome": lambda entry: entry.outcome,
    "reason": lambda entry: entry.reason,
    "time": lambda entry: entry.time_us,
}

FIELDS = frozenset(_VALUE)
"""What a watcher can filter by."""


def matcher(where: Filter, kinds: Collection[JournalKind]) -> Callable[[JournalEntry], bool]:
    """The test of one entry: of one of `kinds` (empty: of any) and matching every comparison."""
    if not where and not kinds:
        return lambda _: True
    return lambda entry: (not kinds or entry.kind in kinds) and all(_holds(entry, one) for one in where)


def _holds(entry: JournalEntry, comparison: Comparison) -> bool:
    value = _VALUE[comparison.field](entry)
    if value is None:
        return comparison.operator is Operator.UNEQUAL
    if comparison.operator is Operator.HAS:
        return str(comparison.value) in str(value)
    return _COMPARE[comparison.operator](value, comparison.value)
