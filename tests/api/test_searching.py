"""Filters, orders and page tokens as callers write them."""

from __future__ import annotations

import pytest

from schedd.api.filters import EXECUTIONS, JOURNAL, SCHEDULES, Kinds, parse_filter, parse_order
from schedd.api.pages import after_of, page_request, page_size, page_token
from schedd.core.errors import InvalidError
from schedd.core.model.query import Comparison, Operator, Order


def test_filter_of_several_comparisons_keeps_them_all_with_typed_values() -> None:
    found = parse_filter('state = PAUSED AND labels.team = "pay" AND create_time > "1970-01-01T00:00:01+00:00"', SCHEDULES)
    assert found == (
        Comparison(field="state", operator=Operator.EQUAL, value="PAUSED"),
        Comparison(field="labels.team", operator=Operator.EQUAL, value="pay"),
        Comparison(field="create_time", operator=Operator.GREATER, value=1_000_000),
    )


def test_filter_with_escaped_quotes_reads_them() -> None:
    assert parse_filter(r'description : "a \"b\" c"', SCHEDULES)[0].value == 'a "b" c'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("state = PAUSED OR state = ENABLED", "joined by AND"),
        ("NOT state = PAUSED", "expected a comparison"),
        ("state = ASLEEP", "ENABLED, PAUSED"),
        ("colour = red", "there is no field colour"),
        ("labels = x", "there is no field labels"),
        ('create_time > "yesterday"', "is no value for create_time"),
        ('create_time > "2026-01-01T00:00:00"', "offset"),
        ("state = PAUSED AND ", "expected|follow AND|joined by AND"),
    ],
)
def test_filter_that_is_wrong_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(InvalidError, match=said) as caught:
        parse_filter(text, SCHEDULES)
    assert caught.value.violations[0].field == "filter"


def test_filter_that_is_wrong_is_shown_with_a_caret_under_the_fault() -> None:
    with pytest.raises(InvalidError) as caught:
        parse_filter("cause = MANUAL AND colour = red", EXECUTIONS)
    *_, shown, caret = caught.value.violations[0].description.splitlines()
    assert shown[caret.index("^") :] == "colour = red"


@pytest.mark.parametrize("kinds", [EXECUTIONS, JOURNAL])
@pytest.mark.parametrize("written", ["backup", "ops/backup", "schedules/backup"])
def test_filter_by_a_short_name_of_a_schedule_is_refused_with_the_whole_one(kinds: Kinds, written: str) -> None:
    for operator in ("=", "!="):
        with pytest.raises(InvalidError, match="whole name, such as groups/default/schedules/backup"):
            parse_filter(f"schedule {operator} {written}", kinds)
    assert parse_filter(f"schedule : {written}", kinds)[0].value == written
    assert parse_filter("schedule = groups/ops/schedules/backup", kinds)[0].value == "groups/ops/schedules/backup"


def test_order_without_text_is_the_first_field_ascending() -> None:
    assert parse_order("", ("name", "create_time")) == Order(field="name")


def test_order_with_desc_descends() -> None:
    assert parse_order("create_time desc", ("name", "create_time")) == Order(field="create_time", descending=True)


@pytest.mark.parametrize("text", ["colour", "name down", "name desc create_time"])
def test_order_that_is_wrong_is_refused(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_order(text, ("name", "create_time"))
    assert caught.value.violations[0].field == "order_by"


def test_page_token_of_the_same_search_gives_the_key_back() -> None:
    token = page_token(("groups/a/schedules/ü", 7), "groups/-", "state = PAUSED", "name")
    assert page_request(0, token, "groups/-", "state = PAUSED", "name").after == ("groups/a/schedules/ü", 7)


@pytest.mark.parametrize("search", [("groups/b", "", "name"), ("groups/a", "state = PAUSED", "name"), ("groups/a", "", "create_time")])
def test_page_token_of_another_search_is_refused(search: tuple[str, str, str]) -> None:
    token = page_token(("x", 1), "groups/a", "", "name")
    with pytest.raises(InvalidError, match="another filter"):
        after_of(token, *search)


@pytest.mark.parametrize("token", ["!", "e30", "bnVsbA==", "W10=", "ünicode"])
def test_page_token_that_no_page_gave_is_refused(token: str) -> None:
    with pytest.raises(InvalidError) as caught:
        after_of(token, "groups/a")
    assert caught.value.violations[0].field == "page_token"


@pytest.mark.parametrize(("asked", "given"), [(0, 100), (1, 1), (1000, 1000), (5000, 1000)])
def test_page_size_is_defaulted_and_capped(asked: int, given: int) -> None:
    assert page_size(asked) == given


def test_page_size_below_zero_is_refused() -> None:
    with pytest.raises(InvalidError):
        page_size(-1)
