"""Public holidays, as the library `holidays` knows them."""

from __future__ import annotations

import pytest

from schedd.core.errors import ExpressionError
from schedd.core.model.calendar import HolidaysEntry
from schedd.daemon.publicholidays import PublicHolidays
from tests.conformance.holidays import KnowingHolidaysSuite

library = pytest.importorskip("holidays")


class TestPublicHolidays(KnowingHolidaysSuite):
    known = HolidaysEntry(country="DE", subdivision="BY")

    @pytest.fixture
    def holidays(self) -> PublicHolidays:
        return PublicHolidays()


def test_country_at_which_the_library_fails_is_refused_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("easter")

    monkeypatch.setattr(library, "country_holidays", broken)
    with pytest.raises(ExpressionError, match="KeyError"):
        PublicHolidays().dates(HolidaysEntry(country="DE"), first_year=2026, last_year=2026)
