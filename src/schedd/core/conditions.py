"""Conditions: whether an occurrence's day is one of those on which its schedule may run."""

from __future__ import annotations

from schedd.core.triggers.civil import DAY_US
from schedd.core.triggers.rule import Rule
from schedd.core.triggers.zonename import zone_named


def day_fits(days: Rule, time_zone: str, at_us: int) -> bool:
    """Whether the rule yields an instant on the local day of `at_us`, from its first instant to just before that of the day after."""
    zone = zone_named(time_zone)
    day = zone.local_at(at_us) // DAY_US
    first_us = days.next_after(zone.first_instant(day * DAY_US) - 1)
    return first_us is not None and first_us < zone.first_instant((day + 1) * DAY_US)
