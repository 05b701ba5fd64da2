"""Searches: a filter, an order and a page, independent of how they are carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Operator(StrEnum):
    """How a field is compared."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="
    HAS = ":"
    """Text: contains it. Labels: the key is there; `labels.key:*` too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One comparison of a field with a value, such as `state = PAUSED` or `labels.team = "pay"`.

    Instants are compared as UTC microseconds; `value` is already of the field's type.
    """

    field: str
    operator: Operator
    value: str | int


Filter = tuple[Comparison, ...]
"""Comparisons that all have to hold (AND); the empty filter holds always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One field to order by; ties are broken by the resource's identity, in the same direction."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """A page of at most `size` (1..1000) items that come after `after`.

    `after` is the last item's (order value, identity) of the page before, empty for the first page: pages stay right while rows change.
    """

    size: int
    after: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Items in order, and the `after` for the next page (empty: this was the last)."""

    items: Sequence[T]
    after: tuple[str | int, ...] = ()
    total: int | None = None
