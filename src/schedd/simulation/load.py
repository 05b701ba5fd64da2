"""What a forecast comes to by the minute: how many runs are under way at once, and when most are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from schedd.simulation.forecast import Forecast, Runs

MINUTE_US: Final = 60_000_000
_DAY: Final = timedelta(days=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A local day: from `start_us` on, by minute the most runs that were under way at once."""

    start_us: int
    peaks: Sequence[int]


def minutely_peaks(spans: Iterable[tuple[int, int]], *, start_us: int, end_us: int) -> list[int]:
    """For each minute of [start_us, end_us) the most of the spans (begin included, end not, UTC microseconds) that overlap in it."""
    peaks = [0] * -((start_us - end_us) // MINUTE_US)
    # Where one ends and another begins, the end comes first.
    changes = sorted(change for begin, end in spans if begin < end_us for change in ((begin, 1), (min(end, end_us), -1)))
    under_way, since_us = 0, start_us
    for at_us, change in changes:
        if under_way and at_us > since_us:
            for minute in range((since_us - start_us) // MINUTE_US, (at_us - 1 - start_us) // MINUTE_US + 1):
                peaks[minute] = max(peaks[minute], under_way)
        under_way += change
        since_us = at_us
    return peaks


def spans_of(runs: Runs) -> Iterable[tuple[int, int]]:
    """The runs of a schedule, begin and end."""
    return zip(runs.begins_us, runs.ends_us, strict=True)


def peak(runs: Runs) -> int:
    """The most runs of one schedule that are under way at once."""
    most = under_way = 0
    for _, change in sorted(change for begin, end in spans_of(runs) for change in ((begin, 1), (end, -1))):
        under_way += change
        most = max(most, under_way)
    return most


def busiest_day(forecast: Forecast, zone: tzinfo) -> Day:
    """The local day with the highest peak; of several the one with the most to do, then the first. The first and the last may be parts."""
    spans = [span for runs in forecast.schedules for span in spans_of(runs)]
    peaks = minutely_peaks(spans, start_us=forecast.start_us, end_us=forecast.end_us)
    days = []
    for start_us, end_us in _days(forecast, zone):
        first, last = (start_us - forecast.start_us) // MINUTE_US, -((forecast.start_us - end_us) // MINUTE_US)
        days.append(Day(start_us=start_us, peaks=peaks[first:last]))
    return max(days, key=lambda day: (max(day.peaks), sum(day.peaks)))


def _days(forecast: Forecast, zone: tzinfo) -> Iterable[tuple[int, int]]:
    """The local days that a forecast covers, cut off at its ends."""
    start_us = forecast.start_us
    while start_us < forecast.end_us:
        local = (_EPOCH + timedelta(microseconds=start_us)).astimezone(zone)
        midnight = datetime.combine(local.date() + _DAY, datetime.min.time(), tzinfo=zone)
        end_us = min((midnight - _EPOCH) // _MICROSECOND, forecast.end_us)
        yield start_us, end_us
        start_us = end_us
