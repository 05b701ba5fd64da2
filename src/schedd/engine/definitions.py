"""The definitions that the engine works with: schedules with their compiled rules, read in batches and kept while they are in use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schedd.core.errors import ExpressionError, StoredDataError
from schedd.core.model.schedule import Schedule
from schedd.core.omissions import Omissions, omissions_of
from schedd.core.ports import Store
from schedd.core.slots import Lane
from schedd.core.triggers import Calendars, Rule, clockless, compile_when
from schedd.engine.almanac import Almanac
from schedd.engine.occasions import Occasions

if TYPE_CHECKING:
    from schedd.engine.runs import Run

_READ_AT_ONCE = 500


@dataclass(slots=True, kw_only=True)
class Definition:
    """A schedule and its rule. `previous_success_us`, the nominal time of its last success, moves as executions succeed.

    `lane` is where its executions queue; the gatekeeper sets it at the first. `omissions`: what its exclusions and calendars leave out.
    `days` is the rule of its condition, once that was asked.
    """

    schedule: Schedule
    rule: Rule
    previous_success_us: int | None = None
    lane: Lane[Run] | None = None
    omissions: Omissions | None = None
    days: Rule | None = None
    is_conditional: bool = field(init=False)
    ends_count: bool = field(init=False)
    """Whether the ends of its executions are looked at (`Endings`)."""

    def __post_init__(self) -> None:
        policies = self.schedule.policies
        self.is_conditional = policies.condition is not None
        self.ends_count = bool(policies.max_runs or policies.pause_after_failures or policies.on_success or policies.on_failure)


class Definitions:
    """A cache of definitions by row; the least recently used ones go when there are more than `capacity`."""

    def __init__(self, store: Store, almanac: Almanac, occasions: Occasions, *, capacity: int = 20_000) -> None:
        self._store = store
        self._almanac = almanac
        self._occasions = occasions
        self._capacity = capacity
        self._kept: OrderedDict[int, Definition] = OrderedDict()

    @property
    def calendars(self) -> Calendars:
        """Those that definitions are compiled with as they stand now."""
        return self._almanac.calendars

    async def load(self, rows: Iterable[int]) -> dict[int, Definition | StoredDataError]:
        """The definitions of these rows; what cannot be read or compiled comes as its error, what is not there is left out."""
        found: dict[int, Definition | StoredDataError] = {}
        missing: list[int] = []
        for row in rows:
            kept = self._kept.get(row)
            if kept is None:
                missing.append(row)
            else:
                self._kept.move_to_end(row)
                found[row] = kept
        for start in range(0, len(missing), _READ_AT_ONCE):
            found.update(await self._read(missing[start : start + _READ_AT_ONCE]))
        return found

    def put(self, schedule: Schedule, *, previous_success_us: int | None = None) -> Definition:
        """Take in a schedule as it stands now. Raises: ExpressionError."""
        definition = self.made(schedule, previous_success_us=previous_success_us)
        self._kept[schedule.row] = definition
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return definition

    def current(self, definition: Definition) -> Definition:
        """The definition of that one's schedule as it stands now, if it is kept; else that one."""
        return self._kept.get(definition.schedule.row, definition)

    def made(self, schedule: Schedule, *, previous_success_us: int | None = None) -> Definition:
        """The definition of a schedule as it is about to stand; it is not taken in. Raises: ExpressionError."""
        rule = compile_when(schedule.when, created_us=schedule.created_us, seed=schedule.uid, calendars=self.calendars)
        if clockless(schedule.when):
            rule = self._occasions.rule(schedule.row, rule)
        omissions = omissions_of(schedule.when, created_us=schedule.created_us, seed=schedule.uid, calendars=self.calendars)
        return Definition(schedule=schedule, rule=rule, previous_success_us=previous_success_us, omissions=omissions)

    def forget(self, row: int) -> Definition | None:
        """Drop what is kept of a row, and give it back."""
        return self._kept.pop(row, None)

    async def _read(self, rows: Sequence[int]) -> dict[int, Definition | StoredDataError]:
        schedules = await self._store.schedules(rows)
        last = await self._store.last_runs(rows)
        found: dict[int, Definition | StoredDataError] = {}
        for row, schedule in schedules.items():
            newer = self._kept.get(row)
            if newer is not None:
                # Put there by a change while this read was under way.
                found[row] = newer
                continue
            if isinstance(schedule, StoredDataError):
                found[row] = schedule
                continue
            try:
                run = last.get(row)
                found[row] = self.put(schedule, previous_success_us=run.previous_success_us if run else None)
            except ExpressionError as error:
                found[row] = StoredDataError("schedules", row, str(error))
        return found
