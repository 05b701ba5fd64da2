"""Names of time zones: which are accepted, and the nearest to one that is not."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from schedd.core.errors import ExpressionError
from schedd.core.triggers.zone import Zone, load_zone
from schedd.core.triggers.zonehints import zone_hint

_NOT_PLACES: Final = frozenset({"localtime", "posixrules", "Factory"})
"""Files beside the zones that zoneinfo opens: they mean whatever the host is set to."""

_LONGEST: Final = 64
"""More than any name: what is longer is not compared to the end."""


def zone_named(name: str) -> Zone:
    """The zone of an IANA name.

    Raises: ExpressionError, part `time_zone`, with the nearest name as the suggestion.
    """
    if not is_zone(name):
        raise ExpressionError(
            text=name,
            part="time_zone",
            reason=f"`{name[:_LONGEST]}` is not an IANA time zone",
            length=max(1, len(name)),
            suggestion=_nearest(name),
        )
    return load_zone(name)


@lru_cache(maxsize=4096)
def is_zone(name: str) -> bool:
    """Whether a name is one of the IANA database's, in its spelling."""
    if name in _NOT_PLACES or name.startswith(("posix/", "right/")):
        return False
    try:
        return ZoneInfo(name).key == name
    except (KeyError, ValueError, OSError):
        return False


def _nearest(name: str) -> str:
    if (hint := zone_hint(name)) != "":
        return hint
    known = {zone.lower(): zone for zone in available_timezones() - _NOT_PLACES}
    places = {zone.rpartition("/")[2]: zone for zone in known}
    wanted = name[:_LONGEST].lower().replace(" ", "_")
    near = get_close_matches(wanted, known, 1, 0.6) or [places[place] for place in get_close_matches(wanted, places, 1, 0.7)]
    return f"did you mean `{known[near[0]]}`?" if near else "a name such as `Europe/Berlin` or `UTC`"
