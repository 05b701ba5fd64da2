"""Days that fit."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.conditions import day_fits
from schedd.core.model.when import Cron, Once, When
from schedd.core.triggers import compile_when

ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo")


def _us(instant: datetime) -> int:
    return int(instant.timestamp()) * 1_000_000


@given(
    zone=st.sampled_from(ZONES),
    at=st.datetimes(datetime(2015, 1, 2), datetime(2035, 1, 1)),
    hour=st.integers(0, 23),
    weekdays=st.sets(st.integers(0, 6), min_size=1),
)
def test_day_fits_when_its_weekday_is_one_of_the_rules(zone: str, at: datetime, hour: int, weekdays: set[int]) -> None:
    instant = at.replace(microsecond=0, tzinfo=ZoneInfo(zone))
    text = f"0 {hour} * * {','.join(map(str, sorted(weekdays)))}"
    rule = compile_when(When(triggers=(Cron(text=text),), time_zone=zone), created_us=0, seed=0)
    local = datetime.fromtimestamp(instant.timestamp(), ZoneInfo(zone))
    assert day_fits(rule, zone, _us(instant)) == (local.isoweekday() % 7 in weekdays)


@pytest.mark.parametrize(("offset", "fits"), [(-1, False), (0, True), (86_399, True), (86_400, False)])
def test_day_runs_from_its_first_second_to_its_last_and_a_rule_may_end(offset: int, fits: bool) -> None:
    midnight = datetime(2026, 3, 1, tzinfo=ZoneInfo("Asia/Kolkata"))
    rule = compile_when(When(triggers=(Once(times_us=(_us(midnight + timedelta(hours=7)),)),)), created_us=0, seed=0)
    assert day_fits(rule, "Asia/Kolkata", _us(midnight) + offset * 1_000_000) == fits
