from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schedd.client.errors import ConflictError, Fault, InvalidError, UnavailableError
from schedd.client.patience import Patience
from schedd.client.progress import WatchProgress
from schedd.v1.execution_service_pb2 import WatchExecutionsResponse
from schedd.v1.journal_pb2 import JournalEntry

GONE = UnavailableError(Fault(message="nobody there"))


def _progress(after: int | None = None, attempts: int = 3) -> WatchProgress:
    return WatchProgress("", (), after, Patience(max_attempts=attempts))


def _answer(*sequences: int, resume: int = 0) -> WatchExecutionsResponse:
    return WatchExecutionsResponse(events=[JournalEntry(sequence=item) for item in sequences], resume_sequence=resume)


def test_first_request_without_a_sequence_asks_for_what_comes() -> None:
    assert not _progress().request().HasField("after_sequence")


def test_sequence_zero_is_asked_for_and_not_left_out() -> None:
    request = _progress(after=0).request()

    assert request.HasField("after_sequence")
    assert request.after_sequence == 0


def test_empty_first_message_already_sets_the_place_to_resume_at() -> None:
    progress = _progress()
    progress.accept(_answer(resume=41))

    assert progress.request().after_sequence == 41


def test_too_slow_before_any_message_resumes_where_the_server_says() -> None:
    progress = _progress()
    wait = progress.wait_after(ConflictError(Fault(message="slow", reason="WATCHER_TOO_SLOW", metadata={"sequence": "7"})), 0.5)

    assert wait is not None
    assert progress.request().after_sequence == 7


def test_too_slow_after_messages_resumes_after_what_was_handed_on() -> None:
    progress = _progress()
    progress.accept(_answer(5, resume=5))
    progress.wait_after(ConflictError(Fault(message="slow", metadata={"sequence": "9"})), 0.5)

    assert progress.request().after_sequence == 5


def test_errors_that_are_no_breaks_end_the_watch() -> None:
    assert _progress().wait_after(InvalidError(Fault(message="expired", reason="SEQUENCE_EXPIRED")), 0.5) is None
    assert _progress().wait_after(ConflictError(Fault(message="other")), 0.5) is None


def test_a_server_that_was_never_there_is_given_up() -> None:
    progress = _progress(attempts=2)

    assert progress.wait_after(GONE, 0.5) is not None
    assert progress.wait_after(GONE, 0.5) is None


def test_a_server_that_was_there_is_waited_for() -> None:
    progress = _progress(attempts=2)
    progress.accept(_answer(resume=1))

    assert all(progress.wait_after(GONE, 0.5) is not None for _ in range(50))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=12))
def test_any_cuts_and_repetitions_lose_nothing_and_repeat_nothing(streams: list[tuple[int, int]]) -> None:
    """Each stream starts at or before the cursor (a server that repeats) and breaks off after some events."""
    progress, seen = _progress(after=0), []
    for back, length in streams:
        start = max(0, (progress.cursor or 0) - back)
        seen += [event.sequence for event in progress.accept(_answer(*range(start + 1, start + 1 + length)))]

    assert seen == list(range(1, len(seen) + 1))
