"""What is kept by the identity of what was asked about."""

from __future__ import annotations

import pytest

from schedd.core.errors import ExpressionError
from schedd.core.identity import ByIdentity


class Asking:
    """A function that counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, asked: list[int]) -> int:
        self.times += 1
        return asked[0]


def test_the_same_object_is_asked_about_once_and_an_equal_one_anew() -> None:
    asking = Asking()
    known = ByIdentity(asking, capacity=8)
    one, equal = [1], [1]
    assert [known(one), known(one), known(equal)] == [1, 1, 1]
    assert asking.times == 2


def test_more_than_the_capacity_are_answered_all_the_same_and_not_kept() -> None:
    asking = Asking()
    known = ByIdentity(asking, capacity=2)
    lists = [[number] for number in range(5)]
    assert [known(each) for each in (*lists, *lists)] == [*range(5), *range(5)]
    assert asking.times > 5


def test_object_that_is_gone_gives_no_other_one_its_answer() -> None:
    known = ByIdentity(Asking(), capacity=1024)
    assert all(known([number]) == number for number in range(1000))


def test_what_is_raised_is_not_kept() -> None:
    def refuse(asked: str) -> str:
        asked_for.append(asked)
        raise ExpressionError(text=asked, part="minute", reason="is wrong", suggestion="")

    asked_for: list[str] = []
    known = ByIdentity(refuse, capacity=8)
    for _ in range(2):
        with pytest.raises(ExpressionError):
            known("x")
    assert asked_for == ["x", "x"]


def test_cleared_it_asks_again() -> None:
    asking = Asking()
    known = ByIdentity(asking, capacity=8)
    one = [1]
    known(one)
    known.cache_clear()
    known(one)
    assert asking.times == 2
