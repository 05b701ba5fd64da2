"""What every implementation of the port `schedd.core.ports.Holidays` has to keep.

A test module subclasses `HolidaysSuite`, or `KnowingHolidaysSuite` where the holidays of a country are known, and gives it a fixture
`holidays`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from schedd.core.errors import ExpressionError
from schedd.core.model.calendar import HolidaysEntry
from schedd.core.ports import Holidays


class HolidaysSuite:
    """The suite."""

    known = HolidaysEntry(country="DE")

    def test_country_that_is_not_there_is_refused_with_a_reason(self, holidays: Holidays) -> None:
        with pytest.raises(ExpressionError) as refused:
            holidays.dates(HolidaysEntry(country="XX"), first_year=2026, last_year=2026)
        assert refused.value.reason

    def test_part_that_is_not_there_is_refused_with_a_reason(self, holidays: Holidays) -> None:
        with pytest.raises(ExpressionError) as refused:
            holidays.dates(replace(self.known, subdivision="XX"), first_year=2026, last_year=2026)
        assert refused.value.reason


class KnowingHolidaysSuite(HolidaysSuite):
    """The suite of one that knows the holidays of `known`."""

    def test_holidays_ascend_within_both_years_and_are_those_of_each(self, holidays: Holidays) -> None:
        found = holidays.dates(self.known, first_year=2025, last_year=2027)
        assert all(one < two for one, two in pairwise(found))
        assert {day.year for day in found} == {2025, 2026, 2027}
        each = [day for year in (2025, 2026, 2027) for day in holidays.dates(self.known, first_year=year, last_year=year)]
        assert list(found) == each
