"""What differs between two standings of a schedule, by the API's names of its fields: the journal tells it of each change."""

from __future__ import annotations

from typing import Final

from schedd.core.model.schedule import Schedule

_RULE: Final = {
    "triggers": "triggers",
    "exclusions": "exclusions",
    "exclude_calendars": "exclude_calendars",
    "include_calendars": "include_calendars",
    "calendar_shift": "calendar_shift",
    "time_zone": "time_zone",
    "start_us": "start_time",
    "end_us": "end_time",
    "gap": "gap_policy",
    "fold": "fold_policy",
    "spread": "spread",
}
"""The fields of `When`, and what the API calls them."""

_OTHERS: Final = ("target", "policies", "description", "labels")

RULE_FIELDS: Final = frozenset(_RULE.values()) - {"spread"}
"""The fields that decide at which nominal times a schedule has occurrences."""


def changed_fields(before: Schedule, after: Schedule) -> tuple[str, ...]:
    """The fields of the definition that differ, in the API's names and order."""
    rule = [name for field, name in _RULE.items() if getattr(before.when, field) != getattr(after.when, field)]
    return (*rule, *(name for name in _OTHERS if getattr(before, name) != getattr(after, name)))
