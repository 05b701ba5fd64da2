"""The schedule language against vectors gathered from other engines, where the folder of vectors is present.

The folder is named by SCHEDD_VECTORS, or is `shared/vectors` beside the checkout; elsewhere this says that it is not present. Each vector
is asked twice: of the engine, its dialect recognised by its form, and through `schedctl cron next --batch`, with its dialect. It passes or
is decided otherwise by a rule of tests/golden/deviations.toml. Vectors of another mode of their engine (`options`), or of an older release
of it (`superseded`), ask for something else than schedd's answer: they are counted, and left out.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from schedd.cli.batches import Defaults, answer
from schedd.core.errors import ExpressionError
from schedd.core.model.when import Expression, When
from schedd.core.triggers import compile_when, normal_form

ROOT = Path(__file__).parents[3]
VECTORS = Path(os.environ.get("SCHEDD_VECTORS", ROOT.parent / "shared" / "vectors"))
RULES: list[dict[str, Any]] = tomllib.loads((ROOT / "tests" / "golden" / "deviations.toml").read_text(encoding="utf-8"))["rule"]
UNREAD = {dialect for rule in RULES for dialect in rule.get("dialects", ())}
DEFAULTS = Defaults(time_zone="UTC", after_us=0, count=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ANOTHER_QUESTION = ("options", "superseded")
needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason=f"no vectors at {VECTORS}: set SCHEDD_VECTORS")


@lru_cache(maxsize=1)
def vectors() -> list[tuple[str, dict[str, Any]]]:
    return [
        (path.stem, json.loads(line)) for path in sorted(VECTORS.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines()
    ]


def micros(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def by_form(vector: dict[str, Any]) -> list[int] | str:
    """The fire times that the engine gives, one more than are expected; or why it refuses."""
    after_us = micros(vector["after"]) if "after" in vector else 0
    when = When(triggers=(Expression(text=vector["expr"]),), time_zone=vector.get("tz") or "UTC")
    try:
        rule = compile_when(when, created_us=micros(vector["anchor"]) if "anchor" in vector else after_us, seed=0)
    except ExpressionError as error:
        return str(error)
    found: list[int] = []
    at_us = rule.next_after(after_us)
    while at_us is not None and len(found) <= len(vector.get("expect", ())):
        found.append(at_us)
        at_us = rule.next_after(at_us)
    return found


def by_batch(vector: dict[str, Any]) -> list[int] | str:
    """The same from a line of `schedctl cron next --batch`."""
    query = {key: vector[key] for key in ("dialect", "expr", "tz", "after", "anchor") if key in vector}
    given = json.loads(answer(json.dumps({**query, "n": len(vector.get("expect", ())) + 1}).encode(), DEFAULTS))
    return given["error"] if "error" in given else [micros(text) for text in given["next"]]


def differs(vector: dict[str, Any], found: list[int] | str) -> str:
    """How an answer is not what the vector expects, or an empty text."""
    if isinstance(found, str):
        return "" if vector.get("error") else f"refused: {found}"
    if vector.get("error"):
        return "accepted"
    if "normalized" in vector and normal_form(vector["expr"]) != vector["normalized"]:
        return f"normalized as {normal_form(vector['expr'])}"
    expected = [micros(text) for text in vector.get("expect", ())]
    if found[: len(expected)] != expected:
        return f"expected {vector['expect']}, got {[str(EPOCH + timedelta(microseconds=at_us)) for at_us in found]}"
    return "does not end" if vector.get("end") and len(found) > len(expected) else ""


def deciding(vector: dict[str, Any]) -> str:
    """The id of the rule that decides otherwise than this vector; empty if there is none."""
    asked = [vector["expr"], vector.get("after")]
    by_time = (rule["id"] for rule in RULES if asked in rule.get("vectors", ()))
    return next(by_time, next((rule["id"] for rule in RULES if vector["expr"] in rule.get("expressions", ())), ""))


@needs_vectors
def test_vectors_all_pass_or_are_decided_otherwise(figure: Callable[[str, str], None]) -> None:
    counts = Counter[str]()
    failures: list[str] = []
    used: set[str] = set()
    for source, vector in vectors():
        if any(key in vector for key in ANOTHER_QUESTION):
            counts["left out, of another mode or release of their engine"] += 1
            continue
        if vector["dialect"] in UNREAD:
            if "schedd does not read" not in by_batch(vector):
                failures.append(f"{source}: {vector['expr']!r} of {vector['dialect']} is answered")
            counts["of dialects that are refused"] += 1
            continue
        differences = [found for found in (differs(vector, by_form(vector)), differs(vector, by_batch(vector))) if found]
        rule = deciding(vector) if differences else ""
        used.add(rule)
        if differences and not rule:
            failures.append(f"{source}: {vector['expr']!r} in {vector.get('tz')}: {differences[0]}")
        counts["deviations" if differences else "passes"] += 1
    figure("vectors", ", ".join(f"{count} {what}" for what, count in counts.most_common()))
    unused = [rule["id"] for rule in RULES if "expressions" in rule and rule["id"] not in used]
    assert not failures, "\n".join([f"{len(failures)} of {counts.total()}", *failures[:150]])
    assert not unused, f"rules that decide for no vector: {unused}"


@needs_vectors
def test_deviations_name_vectors_that_exist() -> None:
    known = {vector["expr"] for _, vector in vectors()}
    assert [text for rule in RULES for text in rule.get("expressions", ()) if text not in known] == []
    asked = [[vector["expr"], vector.get("after")] for _, vector in vectors()]
    assert [pair for rule in RULES for pair in rule.get("vectors", ()) if pair not in asked] == []
    assert {vector["dialect"] for _, vector in vectors()} >= UNREAD


def test_deviations_are_explained_under_the_id_of_their_rule() -> None:
    sections = re.split(r"^## ", (ROOT / "docs" / "schedule-language.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    by_anchor = {text.partition("\n")[0].lower().replace(" ", "-"): text for text in sections}
    assert [rule["id"] for rule in RULES if not re.search(rf"\b{rule['id']}\b", by_anchor.get(rule["where"], ""))] == []
