"""Zones whose data changes: which schedules depend on one, from when on the data says otherwise, and which occurrence that moves first."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.model.when import Cron, Expression, OnCalendar, Recurrence, When
from schedd.core.model.zonemark import ZoneMark
from schedd.core.triggers import (
    EarlierData,
    Moved,
    Rule,
    compile_when,
    first_change_us,
    names_zone,
    renamed_to,
    zone_mark,
    zones_of,
)
from schedd.core.triggers.zone import load_zone
from schedd.core.triggers.zonechange import COMING_US
from tests.zonedata import reading, write_zones

HOUR_US = 3_600_000_000
BERLIN = "Europe/Berlin"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


START_US = at("2026-01-01T00:00")


def rule(text: str, zone: str = BERLIN) -> Rule:
    return compile_when(When(triggers=(Expression(text=text),), time_zone=zone), created_us=START_US, seed=0)


def shifted(mark: ZoneMark, from_us: int, by_us: int) -> ZoneMark:
    """A mark of data that had other offsets from an instant on."""
    kept = [pair for pair in mark.offsets if pair[0] < from_us]
    later = [(at_us, offset + by_us) for at_us, offset in mark.offsets if at_us > from_us]
    changed = (from_us, load_zone(mark.name).offset_at(from_us) + by_us)
    return ZoneMark(name=mark.name, version="2020a", from_us=mark.from_us, until_us=mark.until_us, offsets=(*kept, changed, *later))


@pytest.mark.parametrize(
    ("trigger", "zones"),
    [
        (Expression(text="0 9 * * *"), {BERLIN}),
        (Cron(text="0 9 * * *"), {BERLIN}),
        (Expression(text="09:00 Asia/Tokyo"), {BERLIN, "Asia/Tokyo"}),
        (OnCalendar(text="daily"), {BERLIN}),
        (
            Expression(text="DTSTART;TZID=Asia/Tokyo:20260101T090000 RRULE:FREQ=DAILY EXDATE:20260102T000000Z"),
            {BERLIN, "Asia/Tokyo", "UTC"},
        ),
        (Recurrence(text="RDATE;TZID=Asia/Tokyo:20260101T090000"), {BERLIN, "Asia/Tokyo"}),
        (Recurrence(text="DTSTART:20260101T090000"), {BERLIN}),
        (Expression(text="09:00 Mars/Olympus"), {BERLIN}),
    ],
)
def test_zones_of_a_schedule_are_its_own_and_those_that_it_names(trigger: Expression, zones: set[str]) -> None:
    assert zones_of(When(triggers=(trigger,), time_zone=BERLIN)) == zones
    assert zones_of(When(triggers=(Cron(text="* * * * *"),), exclusions=(trigger,), time_zone=BERLIN)) == zones


@pytest.mark.parametrize("text", ["09:00 Test/Town", "DTSTART;TZID=Test/Town:20260101T090000", 'DTSTART;TZID="Test/Town":20260101T090000'])
def test_zone_that_is_no_more_is_found_by_its_name(text: str) -> None:
    assert names_zone(When(triggers=(Expression(text=text),)), "Test/Town")
    assert not names_zone(When(triggers=(Expression(text=text),)), "Test/To")
    assert names_zone(When(triggers=(Cron(text="* * * * *"),), time_zone="Test/Town"), "Test/Town")


def test_mark_has_the_offsets_of_the_coming_years() -> None:
    mark = zone_mark(BERLIN, START_US)
    assert (mark.from_us, mark.until_us) == (START_US, START_US + COMING_US)
    assert mark.offsets[:3] == ((START_US, HOUR_US), (at("2026-03-29T01:00"), 2 * HOUR_US), (at("2026-10-25T01:00"), HOUR_US))
    assert len(mark.offsets) == 11
    assert zone_mark("UTC", START_US).offsets == ((START_US, 0),)


def test_data_that_says_the_same_has_no_change() -> None:
    mark = zone_mark(BERLIN, START_US)
    assert first_change_us(mark, START_US) is None
    assert first_change_us(mark, mark.until_us) is None
    unknown = ZoneMark(name=BERLIN, version="", from_us=0, until_us=0, offsets=())
    assert first_change_us(unknown, START_US) is None


@given(hours=st.integers(0, 43_000), later=st.integers(0, 100))
def test_first_change_is_where_the_offsets_begin_to_differ(hours: int, later: int) -> None:
    change_us = START_US + (hours + 1) * HOUR_US
    mark = shifted(zone_mark(BERLIN, START_US), change_us, HOUR_US)
    assert first_change_us(mark, START_US) == change_us
    assert first_change_us(mark, change_us + later) == change_us + later


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("0 9 * * *", Moved(at("2026-06-10T06:00"), at("2026-06-10T07:00"))),
        ("0 9 1 1 *", Moved(at("2027-01-01T07:00"), at("2027-01-01T08:00"))),
        ("at(2026-06-01T09:00:00)", None),
        ("*/10 * * * *", None),
        ("0 9 10 6 *", Moved(at("2026-06-10T06:00"), at("2026-06-10T07:00"))),
        ("rate(1 hour)", None),
        ("0 0 9 1 5 ? 2026", None),
    ],
)
def test_first_occurrence_that_is_another_is_told(text: str, moved: Moved | None) -> None:
    """Until now Berlin was to have another hour from 10 June on."""
    mark = shifted(zone_mark(BERLIN, START_US), at("2026-06-10T00:00"), HOUR_US)
    assert EarlierData([mark], at("2026-06-10T00:00")).moved([(rule(text), START_US)]) == [moved]


def test_occurrence_that_the_change_takes_away_or_brings_is_told() -> None:
    change_us = at("2026-06-10T00:00")
    mark = shifted(zone_mark(BERLIN, START_US), change_us, HOUR_US)
    when = When(triggers=(Expression(text="0 9 * * *"),), time_zone=BERLIN, end_us=at("2026-06-12T06:30"))
    ended = compile_when(when, created_us=START_US, seed=0)
    begun = compile_when(
        When(triggers=(Expression(text="30 9 10 6 *"),), time_zone=BERLIN, start_us=at("2026-06-10T07:00"), end_us=at("2026-06-11T00:00")),
        created_us=START_US,
        seed=0,
    )
    after_both = EarlierData([mark], change_us).moved([(ended, at("2026-06-11T12:00")), (begun, START_US)])
    assert after_both == [Moved(at("2026-06-12T06:00"), None), Moved(None, at("2026-06-10T07:30"))]


def test_what_is_far_beyond_the_mark_is_as_today() -> None:
    mark = shifted(zone_mark(BERLIN, START_US), at("2026-06-10T00:00"), HOUR_US)
    assert EarlierData([mark], at("2026-06-10T00:00")).moved([(rule("0 0 9 1 1 ? 2040"), START_US)]) == [None]


def test_zone_answers_by_todays_data_again() -> None:
    zone = load_zone(BERLIN)
    told = zone.offsets_between(START_US, START_US + COMING_US)
    mark = shifted(zone_mark(BERLIN, START_US), at("2026-06-10T00:00"), HOUR_US)
    EarlierData([mark], at("2026-06-10T00:00")).moved([(rule("0 9 * * *"), START_US)])
    assert zone.offsets_between(START_US, START_US + COMING_US) == told


def test_name_of_a_zone_that_is_gone_leads_to_its_new_one(tmp_path: Path) -> None:
    links = {"Test/Town": "Asia/Tokyo", "Test/Village": "Test/Hamlet"}
    write_zones(tmp_path, {}, version="2026a", links=links)
    with reading(tmp_path):
        assert renamed_to("Test/Town") == "it is called `Asia/Tokyo` now"
        assert renamed_to("Test/Village") == "a name such as `Europe/Berlin` or `UTC`"
        assert renamed_to("Europe/Berlim") == "did you mean `Europe/Berlin`?"
    (tmp_path / "tzdata.zi").write_bytes(b"\xff\xfe")
    with reading(tmp_path):
        assert renamed_to("Europe/Kiew") == "did you mean `Europe/Kiev`?"
        assert renamed_to("US/Pacific-New") != ""
