"""Filters, orders and pages as SQL: fields come from fixed lists, values are always bound.

The statements' aliases: `s` schedules, `c` calendars, `e` executions, `b` backfills, `j` journal, `p` purged schedules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schedd.core.errors import FieldViolation, InvalidError
from schedd.core.model.query import Comparison, Filter, Operator, Order, PageRequest

LABELS = "labels."


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """SQL that is true or not, and the values bound in it."""

    text: str
    values: tuple[object, ...] = ()


class Field(ABC):
    """A field that can be compared."""

    @abstractmethod
    def condition(self, comparison: Comparison) -> Condition:
        """The comparison as SQL. Raises: InvalidError."""


@dataclass(frozen=True, slots=True)
class Number(Field):
    """An integer column; NULL is unequal to everything and neither less nor greater."""

    column: str

    def condition(self, comparison: Comparison) -> Condition:
        """A comparison of numbers; `:` has no meaning for them. Raises: InvalidError."""
        if not isinstance(comparison.value, int):
            raise _invalid("filter", "WRONG_TYPE", f"{comparison.field} is compared with a number")
        if not _fits(comparison.value):
            raise _invalid("filter", "OUT_OF_RANGE", f"{comparison.field} is compared with a number of at most 64 bits")
        if comparison.operator is Operator.HAS:
            raise _invalid("filter", "WRONG_OPERATOR", f"{comparison.field} is a number: compare it with =, !=, <, <=, > or >=")
        return _compared(self.column, comparison.operator, comparison.value)


@dataclass(frozen=True, slots=True)
class Text(Field):
    """A text column or expression; NULL is unequal to everything."""

    column: str

    def condition(self, comparison: Comparison) -> Condition:
        """A comparison of text; `:` is true where the value occurs. Raises: InvalidError."""
        value = _text(comparison)
        if comparison.operator is Operator.HAS:
            return Condition(text=f"instr({self.column}, ?) > 0", values=(value,))
        return _compared(self.column, comparison.operator, value)


@dataclass(frozen=True, slots=True)
class Owner(Field):
    """The uid of the schedule that a journal row is about, 0 for one that is about none: each has its own partial index."""

    column: str

    def condition(self, comparison: Comparison) -> Condition:
        """A comparison of numbers that names its index where it helps. Raises: InvalidError."""
        condition = Number(self.column).condition(comparison)
        if comparison.operator is not Operator.EQUAL:
            return condition
        if comparison.value == 0:
            return Condition(text=f"{self.column} = 0")
        return Condition(text=f"{self.column} <> 0 AND {condition.text}", values=condition.values)


@dataclass(frozen=True, slots=True)
class State(Field):
    """A state column with an index on all rows that are not in the `usual` state."""

    column: str
    usual: str

    def condition(self, comparison: Comparison) -> Condition:
        """A comparison of text that names the index where it helps. Raises: InvalidError."""
        condition = Text(self.column).condition(comparison)
        if comparison.operator is Operator.EQUAL and comparison.value != self.usual:
            return Condition(text=f"{condition.text} AND {self.column} <> '{self.usual}'", values=condition.values)
        return condition


@dataclass(frozen=True, slots=True)
class FullName(Field):
    """A schedule's full name. `named` is what holds for the schedules of one group and name, `parts` the columns of a joined one."""

    named: str
    parts: tuple[str, str] = ("s.group_name", "s.name")

    def condition(self, comparison: Comparison) -> Condition:
        """A comparison of the name `groups/{group}/schedules/{schedule}`. Raises: InvalidError."""
        value = _text(comparison)
        match value.split("/"), comparison.operator:
            case ["groups", group, "schedules", schedule], Operator.EQUAL:
                return Condition(text=self.named, values=(group, schedule))
        group_column, name_column = self.parts
        return Text(f"('groups/' || {group_column} || '/schedules/' || {name_column})").condition(comparison)


@dataclass(frozen=True, slots=True)
class Label(Field):
    """One label of the schedule joined as `s`. A label that is not there is unequal to everything."""

    key: str

    def condition(self, comparison: Comparison) -> Condition:
        """A comparison of the value, or with `:` whether the label is there. Raises: InvalidError."""
        value = _text(comparison)
        match comparison.operator:
            case Operator.HAS:
                return Condition(text="s.row IN (SELECT row FROM labels WHERE key = ?)", values=(self.key,))
            case Operator.UNEQUAL:
                return Condition(text="s.row NOT IN (SELECT row FROM labels WHERE key = ? AND value = ?)", values=(self.key, value))
            case operator:
                return Condition(text=f"s.row IN (SELECT row FROM labels WHERE key = ? AND value {operator} ?)", values=(self.key, value))


@dataclass(frozen=True, slots=True)
class CalendarLabel(Field):
    """One label of the calendar joined as `c`, read from its JSON. A label that is not there is unequal to everything."""

    key: str

    def condition(self, comparison: Comparison) -> Condition:
        """A comparison of the value, or with `:` whether the label is there. Raises: InvalidError."""
        value = _text(comparison)
        label = "(SELECT value FROM json_each(CASE WHEN json_valid(c.labels) THEN c.labels ELSE '{}' END) WHERE key = ?)"
        if comparison.operator is Operator.HAS:
            return Condition(text=f"{label} IS NOT NULL", values=(self.key,))
        found = _compared(label, comparison.operator, value)
        return Condition(text=found.text, values=(self.key, *found.values))


CALENDAR_FIELDS: Mapping[str, Field] = {
    "name": Text("('calendars/' || c.name)"),
    "description": Text("c.description"),
    "creator": Text("c.creator"),
    "create_time": Number("c.created_us"),
    "update_time": Number("c.updated_us"),
}
CALENDAR_ORDERS: Mapping[str, tuple[str, ...]] = {"name": ("c.name",)}

SCHEDULE_FIELDS: Mapping[str, Field] = {
    "name": FullName("(s.group_name = ? AND s.name = ?)"),
    "group": Text("s.group_name"),
    "schedule": Text("s.name"),
    "uid": Number("s.uid"),
    "state": State("s.state", usual="ENABLED"),
    "description": Text("s.description"),
    "creator": Text("s.creator"),
    "create_time": Number("s.created_us"),
    "update_time": Number("s.updated_us"),
    "time_zone": Text("s.time_zone"),
}
SCHEDULE_ORDERS: Mapping[str, tuple[str, ...]] = {
    "name": ("s.group_name", "s.name", "s.uid"),
    "create_time": ("s.created_us", "s.uid"),
    "update_time": ("s.updated_us", "s.uid"),
}

GROUP_ORDERS: Mapping[str, tuple[str, ...]] = {**SCHEDULE_ORDERS, "name": ("s.name", "s.uid")}
"""The orders within one group: with the group among the columns, SQLite would begin every page at the group's first schedule."""

EXECUTION_FIELDS: Mapping[str, Field] = {
    "schedule": FullName("e.schedule_uid IN (SELECT uid FROM schedules WHERE group_name = ? AND name = ?)"),
    "schedule_uid": Number("e.schedule_uid"),
    "group": Text("s.group_name"),
    "cause": Text("e.cause"),
    "state": State("e.state", usual="FINISHED"),
    "outcome": Text("e.outcome"),
    "reason": Text("e.reason"),
    "nominal_time": Number("e.nominal_us"),
    "due_time": Number("e.due_us"),
    "finish_time": Number("e.finished_us"),
}
EXECUTION_ORDERS: Mapping[str, tuple[str, ...]] = {
    "nominal_time": ("e.nominal_us", "e.id"),
    "due_time": ("e.due_us", "e.id"),
    "execution": ("e.id",),
}

BACKFILL_FIELDS: Mapping[str, Field] = {
    "schedule": FullName("b.schedule_uid IN (SELECT uid FROM schedules WHERE group_name = ? AND name = ?)"),
    "schedule_name": Text("s.name"),
    "group": Text("s.group_name"),
    "state": Text("b.state"),
}
BACKFILL_ORDERS: Mapping[str, tuple[str, ...]] = {"backfill": ("b.id",)}

JOURNAL_FIELDS: Mapping[str, Field] = {
    "kind": Text("j.kind"),
    "actor": Text("j.actor"),
    "schedule": FullName(
        "(j.schedule_uid <> 0 AND j.schedule_uid IN (WITH named(group_name, name) AS (VALUES (?, ?))"
        " SELECT uid FROM schedules NATURAL JOIN named UNION ALL SELECT uid FROM purged_schedules NATURAL JOIN named))",
        parts=("coalesce(s.group_name, p.group_name)", "coalesce(s.name, p.name)"),
    ),
    "schedule_uid": Owner("j.schedule_uid"),
    "group": Text("coalesce(s.group_name, p.group_name)"),
    "execution": Number("j.execution_id"),
    "cause": Text("j.cause"),
    "nominal_time": Number("j.nominal_us"),
    "outcome": Text("j.outcome"),
    "reason": Text("j.reason"),
    "time": Number("j.time_us"),
}


def conditions(where: Filter, fields: Mapping[str, Field], *, labels: bool = False, label: Callable[[str], Field] = Label) -> Condition:
    """All comparisons joined by AND. Raises: InvalidError, naming every comparison that is wrong."""
    found: list[Condition] = []
    violations: list[FieldViolation] = []
    for comparison in where:
        try:
            found.append(_field(comparison.field, fields, label if labels else None).condition(comparison))
        except InvalidError as exc:
            violations += exc.violations
    if violations:
        raise InvalidError(tuple(violations))
    return joined(found)


def joined(found: Sequence[Condition]) -> Condition:
    """The conditions joined by AND."""
    return Condition(
        text=" AND ".join(condition.text for condition in found) or "TRUE",
        values=tuple(value for condition in found for value in condition.values),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A page's statement, made of what is selected, what has to match, and the columns that order it (the last identify the item)."""

    columns: str
    source: str
    matching: Condition
    keyset: tuple[str, ...]
    descending: bool
    page: PageRequest

    @property
    def statement(self) -> str:
        """Gives the columns followed by those of the keyset, and one row more than the page has if there are further ones."""
        direction = "DESC" if self.descending else "ASC"
        order = ", ".join(f"{column} {direction}" for column in self.keyset)
        where = f"{self.matching.text} AND {self._beyond}" if self.page.after else self.matching.text
        return f"SELECT {self.columns}, {', '.join(self.keyset)} {self.source} WHERE {where} ORDER BY {order} LIMIT ?"

    @property
    def values(self) -> tuple[object, ...]:
        """What is bound in the statement."""
        return (*self.matching.values, *self.page.after, self.size + 1)

    @property
    def size(self) -> int:
        """Items a page."""
        return self.page.size

    @property
    def _beyond(self) -> str:
        marks = ", ".join("?" for _ in self.keyset)
        return f"({', '.join(self.keyset)}) {'<' if self.descending else '>'} ({marks})"

    def position(self, row: Sequence[Any]) -> tuple[str | int, ...]:
        """Where a row stands in the order: the page after it begins there."""
        return tuple(row[-len(self.keyset) :])


def ordered(
    columns: str, source: str, matching: Condition, *, order: Order, orders: Mapping[str, tuple[str, ...]], page: PageRequest
) -> Search:
    """A search in one of the `orders`. Raises: InvalidError."""
    keyset = orders.get(order.field)
    if keyset is None:
        raise _invalid("order_by", "UNKNOWN_FIELD", f"{order.field!r} cannot be ordered by; {', '.join(orders)} can")
    if page.after and (len(page.after) != len(keyset) or not all(map(_fits, page.after))):
        raise _invalid("page_token", "WRONG_TOKEN", "the page token belongs to another order")
    return Search(columns=columns, source=source, matching=matching, keyset=keyset, descending=order.descending, page=page)


def _field(name: str, fields: Mapping[str, Field], label: Callable[[str], Field] | None) -> Field:
    if label is not None and name.startswith(LABELS) and name != LABELS:
        return label(name.removeprefix(LABELS))
    field = fields.get(name)
    if field is None:
        known = [*fields, *(["labels.KEY"] if label is not None else [])]
        raise _invalid("filter", "UNKNOWN_FIELD", f"{name!r} is no field; {', '.join(known)} are")
    return field


def _compared(column: str, operator: Operator, value: str | int) -> Condition:
    sql = "IS NOT" if operator is Operator.UNEQUAL else str(operator)
    return Condition(text=f"{column} {sql} ?", values=(value,))


def _fits(value: str | int) -> bool:
    """Whether SQLite can hold the value."""
    return isinstance(value, str) or -(2**63) <= value < 2**63


def _text(comparison: Comparison) -> str:
    if not isinstance(comparison.value, str):
        raise _invalid("filter", "WRONG_TYPE", f"{comparison.field} is compared with text")
    return comparison.value


def _invalid(field: str, reason: str, description: str) -> InvalidError:
    return InvalidError((FieldViolation(field=field, reason=reason, description=description),))
