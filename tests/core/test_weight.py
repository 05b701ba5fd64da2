"""What is heavy, and that no cache keeps it: whoever sends many large definitions must not fill the daemon's memory with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schedd.core.identity import ByIdentity
from schedd.core.model.policy import Notify, Policies
from schedd.core.model.target import HttpTarget, Payload, ProcessTarget
from schedd.core.model.when import Once, Recurrence, When
from schedd.core.triggers import compile_when
from schedd.core.triggers.recognition import recognise
from schedd.core.triggers.zonename import _is_zone, is_zone
from schedd.core.weight import LIGHT_BYTES, is_light
from schedd.store import codec

LONG = "a" * LIGHT_BYTES
HEAVY_WHEN = When(triggers=(Once(times_us=tuple(range(1_800_000_000_000_000, 1_800_000_000_002_000))),))
PLAIN_HTTP = HttpTarget(url="http://localhost/")


@pytest.mark.parametrize(
    "part",
    [
        HEAVY_WHEN,
        When(triggers=(Recurrence(text=LONG),)),
        When(triggers=(), exclude_calendars=(LONG,)),
        replace(PLAIN_HTTP, payload=Payload(content=LONG.encode())),
        ProcessTarget(argv=("true", LONG)),
        ProcessTarget(argv=("true",), env={"A": LONG}),
        Policies(on_failure=(Notify(target=replace(PLAIN_HTTP, url=LONG)),)),
    ],
)
def test_large_part_is_heavy_and_answered_about_anew(part: object) -> None:
    asked: list[object] = []
    known = ByIdentity(asked.append, capacity=8)
    known(part), known(part)
    assert (is_light(part), len(asked)) == (False, 2)


@pytest.mark.parametrize("part", [When(triggers=(Once(times_us=(1,)),)), PLAIN_HTTP, ProcessTarget(argv=("true",)), Policies()])
def test_usual_part_is_light(part: object) -> None:
    assert is_light(part, 1024)


def test_heavy_rule_is_compiled_and_read_for_each_schedule_of_its_own() -> None:
    text = codec.encode_when(HEAVY_WHEN)
    one, other = codec.decode_when(text), codec.decode_when(text)
    assert (one == other == HEAVY_WHEN, one is other) == (True, False)
    rules = [compile_when(each, created_us=0, seed=0) for each in (one, one, other)]
    assert len({id(rule) for rule in rules}) == 3
    assert {rule.next_after(0) for rule in rules} == {1_800_000_000_000_000}


def test_long_expression_and_the_name_of_no_zone_are_not_kept() -> None:
    text = "RRULE:FREQ=DAILY" + " " * 2000
    assert recognise(text) is not recognise(text)
    before = _is_zone.cache_info().currsize
    assert (is_zone(LONG), _is_zone.cache_info().currsize) == (False, before)


def test_heavy_policies_are_read_anew() -> None:
    text = codec.encode_policies(Policies(on_failure=(Notify(target=replace(PLAIN_HTTP, url=LONG)),)))
    assert codec.decode_policies(text) is not codec.decode_policies(text)
