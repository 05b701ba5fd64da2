"""What the time zone data said when the daemon last looked: by comparing, it notices that the data has changed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneMark:
    """The offsets of one zone within [from_us, until_us), UTC microseconds, in the edition `version` of the data (empty: unknown).

    `offsets` are pairs of the instant from which an offset holds, the first one `from_us`, and the offset in microseconds, positive to
    the east. A mark of no time (`from_us` = `until_us`) names a zone of which nothing is known yet.
    """

    name: str
    version: str
    from_us: int
    until_us: int
    offsets: tuple[tuple[int, int], ...]
