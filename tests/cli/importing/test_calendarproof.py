"""What systemd's own calculator says of a timer's times."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schedd.cli.importing.calendarproof import CalculatorError, calendar_seconds, prove
from schedd.cli.importing.carried import Carried
from schedd.cli.importing.proof import Span, Verdict
from schedd.cli.manifest import read_one

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: systemd)")
SPAN = Span.year_from(datetime(2026, 11, 25, 12, tzinfo=UTC))


def _prove(*expressions: str) -> tuple[Verdict, str]:
    document: dict[str, object] = {
        "name": "a",
        "time_zone": "Europe/Berlin",
        "triggers": [{"on_calendar": text} for text in expressions] or [{"every": "1h"}],
        "process": {"argv": ["true"]},
    }
    finding = prove(Carried(where="a.timer:2", text="a.timer", document=document), read_one(document), SPAN)
    return finding.verdict, str(finding)


@needs_systemd
def test_times_are_utc_whatever_zone_the_expression_is_in() -> None:
    days = Span(start=int(datetime(2027, 3, 27, tzinfo=UTC).timestamp()), end=int(datetime(2027, 3, 30, tzinfo=UTC).timestamp()))

    local = [f"{datetime.fromtimestamp(at, UTC):%d %H:%M}" for at in calendar_seconds("*-*-* 04:30", "Europe/Berlin", days, 3)]
    assert local == ["27 03:30", "28 02:30", "29 02:30"]
    assert [f"{datetime.fromtimestamp(at, UTC):%d %H:%M}" for at in calendar_seconds("*-*-* 00:00 UTC", "Europe/Berlin", days, 3)] == [
        "27 00:00",
        "28 00:00",
        "29 00:00",
    ]


@needs_systemd
def test_expression_that_systemd_does_not_take_has_no_times() -> None:
    with pytest.raises(CalculatorError, match="does not take it"):
        list(calendar_seconds("someday", "UTC", SPAN, 1))


@needs_systemd
@pytest.mark.parametrize(
    "expressions",
    [("weekly",), ("*-*-* 6,18:00",), ("Mon..Fri *-*-* 02:30:15",), ("hourly", "*-*~1 12:00"), ("Sun 03:10 America/New_York",)],
)
def test_calendar_timer_is_proved(expressions: tuple[str, ...]) -> None:
    assert _prove(*expressions)[0] is Verdict.EQUAL


@needs_systemd
def test_busy_timer_is_proved_as_far_as_is_looked_at() -> None:
    verdict, text = _prove("minutely")

    assert verdict is Verdict.EQUAL
    assert text.startswith("20000 times until 2026-12-09 09:21Z")


def test_interval_is_not_proved() -> None:
    verdict, text = _prove()

    assert verdict is Verdict.UNPROVED
    assert "what counts from a boot or from a run" in text


def test_without_systemd_nothing_is_proved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert _prove("daily") == (Verdict.UNPROVED, "systemd-analyze is not installed here")
