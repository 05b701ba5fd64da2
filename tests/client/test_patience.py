from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from schedd.client.errors import Fault, InvalidError, UnavailableError
from schedd.client.patience import Attempts, Patience

GONE = UnavailableError(Fault(message="nobody there"))


@given(failures=st.integers(1, 1000), draw=st.floats(0, 1, exclude_max=True))
def test_wait_stays_between_half_and_all_of_its_bound(failures: int, draw: float) -> None:
    patience = Patience(first_wait=timedelta(seconds=1), longest_wait=timedelta(seconds=8))
    bound = min(2.0 ** (failures - 1), 8.0)

    assert bound / 2 <= patience.wait_s(failures, draw) <= bound


def test_attempts_end_when_they_are_used_up() -> None:
    attempts = Attempts(patience=Patience(max_attempts=3), deadline=100)

    assert [attempts.wait_after(GONE, 0, 0.5) is None for _ in range(3)] == [False, False, True]


def test_attempts_end_before_a_wait_past_the_deadline() -> None:
    attempts = Attempts(patience=Patience(first_wait=timedelta(seconds=2)), deadline=1)

    assert attempts.wait_after(GONE, 0, 0.5) is None


def test_final_errors_are_not_waited_for() -> None:
    attempts = Attempts(patience=Patience(), deadline=100)

    assert attempts.wait_after(InvalidError(Fault(message="no")), 0, 0.5) is None


def test_servers_own_wish_lengthens_the_wait() -> None:
    attempts = Attempts(patience=Patience(), deadline=100)

    assert attempts.wait_after(UnavailableError(Fault(message="busy", retry_delay_s=7)), 0, 0.5) == 7
