"""The schedule language against vectors gathered from other engines, where the folder of vectors is present.

The folder is named by SCHEDD_VECTORS, or is `shared/vectors` beside the checkout; elsewhere this says that it is not present.
Every vector passes or stands in tests/golden/deviations.toml with the rule that decides otherwise.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schedd.core.errors import ExpressionError
from schedd.core.model.when import Expression, When
from schedd.core.triggers import compile_when, normal_form

ROOT = Path(__file__).parents[3]
VECTORS = Path(os.environ.get("SCHEDD_VECTORS", ROOT.parent / "shared" / "vectors"))
DEVIATIONS = tomllib.loads((ROOT / "tests" / "golden" / "deviations.toml").read_text(encoding="utf-8"))
BUILT = {"rrule", "unix5", "unix5+ext", "cron6-sec-first", "macro", "aws", "systemd-oncalendar"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def vectors() -> list[tuple[str, dict[str, Any]]]:
    lines = [
        (path.stem, json.loads(line)) for path in sorted(VECTORS.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return [(source, one) for source, one in lines if one["dialect"] in BUILT and not {"options", "superseded"} & one.keys()]


def micros(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def differs(vector: dict[str, Any]) -> str:
    """What schedd answers otherwise, or an empty text."""
    if "normalized" in vector and normal_form(vector["expr"]) != vector["normalized"]:
        return f"normalized as {normal_form(vector['expr'])}"
    when = When(triggers=(Expression(text=vector["expr"]),), time_zone=vector.get("tz") or "UTC")
    try:
        rule = compile_when(when, created_us=micros(vector["anchor"]) if "anchor" in vector else 0, seed=0)
    except ExpressionError as error:
        return "" if vector.get("error") else f"refused: {error}"
    if vector.get("error"):
        return "accepted"
    at_us: int | None = micros(vector["after"]) if "after" in vector else None
    for expected in vector.get("expect", ()):
        at_us = None if at_us is None else rule.next_after(at_us)
        if at_us != micros(expected):
            return f"{expected}: got {None if at_us is None else EPOCH + timedelta(microseconds=at_us)}"
    if vector.get("end") and at_us is not None and rule.next_after(at_us) is not None:
        return "does not end"
    return ""


def decided(vector: dict[str, Any]) -> bool:
    """Whether a documented decision of schedd's says otherwise than this vector."""
    return any(
        vector["expr"] == one["expr"] and one.get("tz", vector.get("tz", "UTC")) == vector.get("tz", "UTC")
        for one in DEVIATIONS.get("deviation", [])
    )


def test_vectors_all_pass_or_are_decided_otherwise(record_property: Any) -> None:
    if not VECTORS.is_dir():
        pytest.skip(f"no vectors at {VECTORS}: set SCHEDD_VECTORS")
    counts = Counter[str]()
    failures = []
    for source, vector in vectors():
        difference = differs(vector)
        if difference and not decided(vector):
            failures.append(f"{source}: {vector['expr']!r} in {vector.get('tz')}: {difference}")
        counts["deviations" if difference else "passes"] += 1
    record_property("vectors", dict(counts))
    assert not failures, "\n".join([f"{len(failures)} of {counts.total()}", *failures[:150]])
