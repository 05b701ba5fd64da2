"""Whatever text comes, it is parsed or refused with a message: never another exception, never slowly."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.core.triggers.fuzzing import ZONES, Findings, judge, texts


def run(count: int, seed: int) -> Findings:
    findings = Findings()
    chance = random.Random(seed)
    for text in texts(count, seed):
        judge(text, chance.choice(ZONES), findings)
    return findings


def test_random_texts_and_mutated_expressions_are_taken_or_refused_with_a_message() -> None:
    findings = run(5_000, seed=20_260_101)
    assert findings.broken == []
    assert findings.counts["taken"] > 300
    assert findings.counts["refused"] > 500


@pytest.mark.soak
def test_a_million_texts_are_each_answered_within_5_ms_of_processor_time(figure: Callable[[str, str], None]) -> None:
    findings = run(1_000_000, seed=1)
    figure("texts", ", ".join(f"{count} {what}" for what, count in findings.counts.most_common()))
    figure("slowest", "; ".join(f"{took_ns / 1e6:.1f} ms {what} {text[:80]!r}" for took_ns, what, text in findings.slowest[:5]))
    assert findings.broken == []
    assert findings.too_slow == []
