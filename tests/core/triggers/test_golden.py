"""The project's own golden vectors, tests/golden/schedules.jsonl: answers that were checked when they were written, and have to stay.

One JSON object a line: `dialect`, `expr`, `tz` (UTC where there is none), and either `error: true` or the fire times in `expect`, strictly
after `after`; `end: true`: there is no further one. `anchor` is where an interval counts from, `gap` and `fold` are the DST policies where
they are not the dialect's. `agree` names the other engines that answer the same: those that are installed are asked again here.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from cronsim import CronSim

from schedd.core.errors import ExpressionError
from schedd.core.model.when import Expression, FoldPolicy, GapPolicy, When
from schedd.core.triggers import Rule, compile_when
from schedd.core.triggers.cron import MACROS

Vector = dict[str, Any]
FILE = Path(__file__).parents[2] / "golden" / "schedules.jsonl"
VECTORS: list[Vector] = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def name(vector: Vector) -> str:
    return " ".join(str(vector[key]) for key in ("expr", "tz", "after", "gap", "fold") if key in vector)


def compiled(vector: Vector) -> Rule:
    when = When(
        triggers=(Expression(text=vector["expr"]),),
        time_zone=vector.get("tz", "UTC"),
        gap=GapPolicy[vector.get("gap", "DIALECT")],
        fold=FoldPolicy[vector.get("fold", "DIALECT")],
    )
    return compile_when(when, created_us=micros(vector.get("anchor", "1970-01-01T00:00:00+00:00")), seed=0)


def micros(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def asked_of_cronsim(text: str, after: datetime, count: int) -> list[datetime]:
    """Its answers; the instant before `after` that it can give when it is started in a fold, and doubles of a gap's end, are left out."""
    found: list[datetime] = []
    for moment in CronSim(text, after):
        instant = moment.astimezone(UTC)
        if instant > after and instant not in found:
            found.append(instant)
        if len(found) == count:
            break
    return found


def asked_of_croniter(text: str, after: datetime, count: int) -> list[datetime]:
    asked = croniter(text, after, second_at_beginning=True, ret_type=datetime)
    return [asked.get_next(datetime).astimezone(UTC) for _ in range(count)]


ENGINES = {"cronsim": asked_of_cronsim, "croniter": asked_of_croniter}


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if "expect" in vector], ids=name)
def test_golden_vector_is_answered_as_written_in_both_directions(vector: Vector) -> None:
    rule = compiled(vector)
    expected = [micros(text) for text in vector["expect"]]
    at_us: int | None = micros(vector["after"])
    for expected_us in expected:
        assert at_us is not None
        at_us = rule.next_after(at_us)
        assert at_us == expected_us
    for earlier_us, later_us in pairwise(expected):
        assert rule.prev_before(later_us) == earlier_us
    if vector.get("end"):
        assert rule.next_after(expected[-1] if expected else micros(vector["after"])) is None


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if vector.get("error")], ids=name)
def test_golden_refusal_is_refused_with_a_reason(vector: Vector) -> None:
    with pytest.raises(ExpressionError) as caught:
        compiled(vector)
    assert caught.value.reason


@pytest.mark.parametrize("engine", ENGINES)
def test_golden_vectors_are_what_the_engine_says_that_agreed(engine: str) -> None:
    wrong, asked = [], 0
    for vector in VECTORS:
        if engine not in vector.get("agree", ()):
            continue
        asked += 1
        after = datetime.fromisoformat(vector["after"]).astimezone(ZoneInfo(vector["tz"]))
        text = str(MACROS.get(vector["expr"], vector["expr"]))
        if ENGINES[engine](text, after, len(vector["expect"])) != [datetime.fromisoformat(moment) for moment in vector["expect"]]:
            wrong.append(name(vector))
    assert asked > 50
    assert not wrong
