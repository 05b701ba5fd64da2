"""The timeline is a sorted list with at most one entry a row, whatever is done to it."""

from __future__ import annotations

from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schedd.core.timeline import NEVER, Timeline

ROWS = st.integers(0, 30)
TIMES = st.integers(1, 2**52)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), ROWS, TIMES),
        st.tuples(st.just("remove"), ROWS, TIMES),
        st.tuples(st.just("pop"), st.integers(0, 5), TIMES),
    ),
    max_size=200,
)


@given(STEPS)
@example([("remove", 3, 1), ("set", 1, 5), ("set", 1, 5), ("set", 1, 7), ("set", 2, 6), ("remove", 1, 1), ("pop", 0, 9), ("pop", 5, 9)])
@example([("set", 1, 5), ("set", 1, 9), ("pop", 5, 6), ("set", 1, 5), ("pop", 1, 6)])
def test_timeline_after_any_steps_equals_sorted_list(steps: list[tuple[str, int, int]]) -> None:
    timeline, model = Timeline(), dict[int, int]()
    for step, row, time_us in steps:
        match step:
            case "set":
                timeline.set(row, time_us)
                model[row] = time_us
            case "remove":
                timeline.remove(row)
                model.pop(row, None)
            case _:
                expected = sorted((at_us, of) for of, at_us in model.items() if at_us <= time_us)[:row]
                assert timeline.pop_through(time_us, row) == expected
                for _, of in expected:
                    del model[of]
        assert len(timeline) == len(model)
        assert timeline.peek_us() == min(model.values(), default=NEVER)
        assert all(timeline.next_of(of) == model.get(of, NEVER) for of in range(32))


def test_timeline_loaded_at_once_pops_in_order() -> None:
    timeline = Timeline()
    timeline.load(range(1000), [1_000_000 - row for row in range(1000)])
    assert timeline.pop_through(2_000_000, 2000) == [(1_000_000 - row, row) for row in reversed(range(1000))]


def test_timeline_set_again_and_again_does_not_grow() -> None:
    timeline = Timeline()
    for turn in range(100_000):
        timeline.set(turn % 10, 1 + turn)
    assert len(timeline._heap) < 3000
    assert [row for _, row in timeline.pop_through(10**9, 100)] == list(range(10))


@given(st.integers(0, 2**32))
@settings(max_examples=10)
def test_timeline_pruned_of_many_stale_entries_equals_sorted_list(seed: int) -> None:
    random = Random(seed)
    steps = [(random.randrange(2000), random.randrange(1, 2**52)) for _ in range(3000)]
    timeline, model = Timeline(), dict[int, int]()
    for row, time_us in steps:
        if row % 3 == 0:
            timeline.remove(row // 9)
            model.pop(row // 9, None)
        else:
            timeline.set(row // 9, time_us)
            model[row // 9] = time_us
    assert len(timeline._heap) <= 2 * len(model) + 1024
    assert timeline.pop_through(2**52, len(steps)) == sorted((at_us, row) for row, at_us in model.items())


def test_timeline_stale_entry_of_a_time_set_again_is_popped_once() -> None:
    timeline = Timeline()
    timeline.set(3, 100)
    timeline.set(3, 200)
    timeline.set(3, 100)
    assert timeline.pop_through(1000, 10) == [(100, 3)]
    assert timeline.peek_us() == NEVER


@example([(0, 1), (0, 2), (0, 1)], 2, 1)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 100)), max_size=60), st.integers(0, 100), st.integers(0, 30))
def test_entries_that_stand_aside_are_taken_by_pop_aside_alone(entries: list[tuple[int, int]], before_us: int, count: int) -> None:
    timeline = Timeline()
    for row, nominal_us in entries:
        timeline.set(row, nominal_us)
    expected = sorted((nominal_us, row) for row, nominal_us in dict(entries).items())
    aside = [entry for entry in expected if entry[0] < before_us][:count]
    timeline.set_aside(before_us, count)
    assert timeline.peek_us() == (expected[0][0] if expected else NEVER)
    assert len(timeline) == len(expected)
    assert timeline.pop_through(1000, 1000) == expected[len(aside) :]
    assert timeline.pop_aside(2) + timeline.pop_aside(1000) == aside
    assert (len(timeline), timeline.peek_us()) == (0, NEVER)


def test_entry_that_stands_aside_can_be_moved_and_removed() -> None:
    timeline = Timeline()
    for row in range(3):
        timeline.set(row, 10 + row)
    timeline.set_aside(100, 9)
    timeline.set(0, 200)
    timeline.remove(1)
    assert timeline.pop_aside(9) == [(12, 2)]
    assert timeline.pop_through(1000, 9) == [(200, 0)]


@given(
    st.lists(st.tuples(ROWS, st.integers(1, 100), st.integers(1, 100)), max_size=60, unique_by=lambda entry: entry[0]),
    st.integers(0, 100),
    st.integers(0, 30),
)
def test_postponed_entries_are_taken_by_pop_postponed_alone_once_their_time_has_come(
    entries: list[tuple[int, int, int]], through_us: int, count: int
) -> None:
    timeline = Timeline()
    for row, nominal_us, until_us in entries:
        timeline.set(row, 200)
        timeline.set(row, nominal_us)
        timeline.set(row, 200)
        timeline.set(row, nominal_us)
        assert timeline.pop_through(nominal_us, 1) == [(nominal_us, row)]
        timeline.postpone(row, nominal_us, until_us)
    assert timeline.peek_us() == min((nominal_us for _, nominal_us, _ in entries), default=NEVER)
    assert len(timeline) == len(entries)
    timeline.set_aside(1000, 1000)
    assert timeline.pop_through(1000, 1000) + timeline.pop_aside(1000) == []
    expected = [(nominal_us, row) for until_us, row, nominal_us in sorted((until, row, at) for row, at, until in entries)]
    ripe = sum(until_us <= through_us for _, _, until_us in entries)
    assert timeline.pop_postponed(through_us, count) == expected[: min(count, ripe)]
    assert timeline.pop_postponed(1000, 1000) == expected[min(count, ripe) :]
    assert (len(timeline), timeline.peek_us()) == (0, NEVER)


def test_postponed_entry_that_is_set_or_removed_is_postponed_no_more() -> None:
    timeline = Timeline()
    for row in range(4):
        timeline.postpone(row, 10 + row, 50)
    timeline.set(0, 10)
    timeline.set(1, 30)
    timeline.remove(2)
    assert timeline.peek_us() == 10
    assert timeline.pop_through(100, 9) == [(10, 0), (30, 1)]
    assert timeline.pop_postponed(100, 9) == [(13, 3)]
    assert (len(timeline), timeline.peek_us()) == (0, NEVER)


def test_timeline_of_entries_postponed_again_and_again_does_not_grow() -> None:
    timeline = Timeline()
    timeline.postpone(11, 7, 10**9)
    for turn in range(10_000):
        timeline.postpone(turn % 10, 8 + turn, 10**9 - turn)
        timeline.remove(turn % 10)
    for turn in range(2000):
        timeline.set(1, 10 + turn)
    assert len(timeline._postponed) + len(timeline._undecided) + len(timeline._heap) < 5000
    assert timeline.peek_us() == 7
    timeline.remove(1)
    assert timeline.pop_through(10**10, 9) == []
    assert timeline.pop_postponed(10**10, 9) == [(7, 11)]
