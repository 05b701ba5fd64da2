"""Templates: what they render, and what they refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.errors import TemplateError
from schedd.core.model.execution import Cause, DeliveryRequest, delivery_key, id_text
from schedd.core.model.schedule import ScheduleName
from schedd.core.model.target import HttpTarget
from schedd.core.template import VARIABLES, Template

SUMMER_US = 1_782_900_000_000_000
"""2026-07-01T10:00:00Z."""


def delivery(*, nominal_us: int = SUMMER_US, previous_success_us: int | None = None) -> DeliveryRequest:
    return DeliveryRequest(
        target=HttpTarget(url="http://localhost/"),
        schedule=ScheduleName(group="reports", schedule="daily"),
        schedule_uid=7,
        execution_id=42,
        attempt=3,
        cause=Cause.BACKFILL,
        nominal_us=nominal_us,
        due_us=nominal_us + 1_500_000,
        time_zone="America/Los_Angeles",
        previous_success_us=previous_success_us,
        labels={"team": "data", "app.kubernetes.io/name": "x"},
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("nominal_time", "2026-07-01T10:00:00Z"),
        ("due_time", "2026-07-01T10:00:01.500000Z"),
        ("nominal_time_local", "2026-07-01T03:00:00-07:00"),
        ("nominal_date", "2026-07-01"),
        ("nominal_unix", "1782900000"),
        ("schedule", "groups/reports/schedules/daily"),
        ("schedule_id", "daily"),
        ("group", "reports"),
        ("uid", id_text(7)),
        ("execution", id_text(42)),
        ("attempt", "3"),
        ("delivery_key", delivery_key(7, SUMMER_US)),
        ("cause", "BACKFILL"),
        ("previous_success_time", ""),
        ("labels.team", "data"),
        ("labels.app.kubernetes.io/name", "x"),
    ],
)
def test_variable_renders_its_fact(variable: str, value: str) -> None:
    assert Template.parse(f"<{{{{ {variable} }}}}|{{{{{variable}}}}}>").render(delivery()) == f"<{value}|{value}>"


def test_every_variable_has_a_case_above() -> None:
    cases = test_variable_renders_its_fact.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert set(VARIABLES) == {name for name, _ in cases if not name.startswith("labels.")}


def test_local_date_is_that_of_the_zone() -> None:
    midnight_us = SUMMER_US - 10 * 3_600_000_000
    assert Template.parse("{{ nominal_date }}").render(delivery(nominal_us=midnight_us)) == "2026-06-30"


def test_previous_success_time_renders_where_there_is_one() -> None:
    template = Template.parse("{{ previous_success_time }}")
    assert template.render(delivery(previous_success_us=SUMMER_US - 86_400_000_000)) == "2026-06-30T10:00:00Z"


@pytest.mark.parametrize("text", ["", "plain", "} }}", '{"a": {"b": {}}}', "{ {"])
def test_text_without_placeholders_is_constant(text: str) -> None:
    template = Template.parse(text)
    assert template.constant == text
    assert template.render(delivery()) == text


def test_text_with_a_placeholder_is_not_constant() -> None:
    assert Template.parse("{{ attempt }}").constant is None
    assert Template.parse("a{{ attempt }}").constant is None


def test_json_needs_no_escaping() -> None:
    assert Template.parse('{"n": {"at": {{ nominal_unix }}}}').render(delivery()) == '{"n": {"at": 1782900000}}'


def test_literal_braces_are_kept() -> None:
    assert Template.parse("{{ '{{' }} name {{ '}}' }}").constant == "{{ name }}"
    assert Template.parse("a{{'{{'}}b{{ attempt }}c").render(delivery()) == "a{{b3c"


def test_escape_is_applied_to_values_only() -> None:
    assert Template.parse("a {{ labels.team }} b").render(delivery(), str.upper) == "a DATA b"


@pytest.mark.parametrize(
    ("text", "position", "length", "part"),
    [
        ("x {{ nominal_tim }}", 2, 17, "did you mean 'nominal_time'?"),
        ("{{ zzzzz }}", 0, 11, "the variables are nominal_time, due_time"),
        ("{{ }}", 0, 5, "does not name a variable"),
        ("{{ labels. }}", 0, 13, "does not name a variable"),
        ("{{ a b }}", 0, 9, "does not name a variable"),
        ("{{{ attempt }}}", 0, 14, "does not name a variable"),
        ("ok {{ attempt", 3, 2, "is not closed"),
        ("{{ " + "x y " * 20 + "}}", 0, 85, "…"),
    ],
)
def test_wrong_placeholder_is_refused_with_its_place(text: str, position: int, length: int, part: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(text)
    assert (caught.value.position, caught.value.length, caught.value.text) == (position, length, text)
    assert part in str(caught.value)
    assert f"at character {position + 1}:" in str(caught.value)


def test_unknown_label_is_refused_by_check_and_by_render() -> None:
    template = Template.parse("{{ attempt }}{{ labels.taem }}")
    with pytest.raises(TemplateError, match=r"no label 'taem' \(did you mean 'team'\? its labels are team, zone\)"):
        template.check_labels({"team", "zone"})
    with pytest.raises(TemplateError, match="it has no labels"):
        template.check_labels(())
    with pytest.raises(TemplateError, match="no label 'taem'"):
        template.render(delivery())
    template.check_labels({"taem"})


def test_long_text_is_parsed_as_short_text_is() -> None:
    filler = "x" * 10_000
    assert Template.parse(filler + "{{ attempt }}" + filler).render(delivery()) == filler + "3" + filler


@given(
    st.lists(st.one_of(st.text(alphabet="a{ }'é\n"), st.sampled_from([f"{{{{ {name} }}}}" for name in (*VARIABLES, "labels.team")]))),
    st.integers(-(10**15), 10**17),
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"]),
    st.text(),
)
def test_template_that_was_accepted_renders_for_every_delivery(parts: list[str], nominal_us: int, zone: str, label: str) -> None:
    try:
        template = Template.parse("".join(parts))
    except TemplateError:
        return
    template.check_labels({"team"})
    request = delivery(nominal_us=nominal_us)._replace(time_zone=zone, labels={"team": label})
    escaped = template.render(request, lambda value: f"<{len(value)}>")
    assert len(escaped) >= len("".join(part for part in template.parts if isinstance(part, str)))
    assert template.constant is None or template.constant == escaped == template.render(request)


@given(st.lists(st.sampled_from(["{{", "}}", "{", "}", " ", "'", "attempt", "labels.team", "x", "{{ attempt }}", "{{ '{{' }}"])))
def test_any_text_parses_or_is_refused_at_a_place_inside_it(parts: list[str]) -> None:
    text = "".join(parts)
    error = rendered = None
    try:
        rendered = Template.parse(text).render(delivery())
    except TemplateError as caught:
        error = caught
    if error is None:
        assert "{{" not in text or rendered != text
    else:
        assert text.startswith("{{", error.position)
        assert error.position + error.length <= len(text)
