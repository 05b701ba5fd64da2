"""The proleptic Gregorian calendar in integers: days since 1970-01-01, microseconds of a day, month shapes.

A local time is written as the microseconds since 1970-01-01 00:00:00 that a clock without offset would show.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 9990
"""Rules answer from the start of FIRST_YEAR to the end of LAST_YEAR; nothing fires outside."""

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def day_number(year: int, month: int, day: int) -> int:
    """The days from 1970-01-01 to the given date."""
    return date(year, month, day).toordinal() - _EPOCH_ORDINAL


def civil_date(day: int) -> date:
    """The date that lies `day` days after 1970-01-01."""
    return date.fromordinal(day + _EPOCH_ORDINAL)


def month_length(year: int, month: int) -> int:
    """How many days a month has."""
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return _LENGTHS[month - 1]


def weekday(day: int) -> int:
    """The day of the week of a day number, Sunday being 0."""
    return (day + 4) % 7


def instant_us(moment: datetime) -> int:
    """The UTC microseconds of an aware datetime; of a naive one, its local time in microseconds."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def utc_datetime(t_us: int) -> datetime:
    """The aware UTC datetime of an instant; for a local time, the naive fields of it under a UTC label."""
    return _EPOCH + timedelta(microseconds=t_us)


FIRST_DAY: Final = day_number(FIRST_YEAR, 1, 1)
LAST_DAY: Final = day_number(LAST_YEAR, 12, 31)
FIRST_US: Final = FIRST_DAY * DAY_US
LAST_US: Final = (LAST_DAY + 1) * DAY_US
