"""What a change does to occurrences: added, dropped, moved within their day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schedd.cli.moves import Fires, compare, move_data, move_lines

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=30)


def at(*hours: float) -> Fires:
    return Fires(times=[START + timedelta(hours=hour) for hour in hours], until=END)


def hours(time: datetime) -> float:
    return (time - START) / timedelta(hours=1)


@pytest.mark.parametrize(
    ("before", "after", "moved", "added", "dropped", "kept"),
    [
        (at(9, 33), at(9, 33), [], [], [], 2),
        (at(9, 33), at(10, 34), [(9, 10), (33, 34)], [], [], 0),
        (at(9, 10), at(12, 13), [(9, 12), (10, 13)], [], [], 0),
        (at(10), at(9), [(10, 9)], [], [], 0),
        (at(0, 1, 2), at(0.1, 2.1), [(0, 0.1), (2, 2.1)], [], [1], 0),
        (at(), at(5), [], [5], [], 0),
        (at(5), at(), [], [], [5], 0),
        (at(23), at(25), [], [25], [23], 0),
        (at(1, 2, 3), at(1, 3), [], [], [2], 2),
    ],
)
def test_difference_is_told_by_kind(
    before: Fires, after: Fires, moved: list[tuple[float, float]], added: list[float], dropped: list[float], kept: int
) -> None:
    found = compare(before, after, START, END)
    assert [(hours(old), hours(new)) for old, new in found.moved] == moved
    assert [hours(time) for time in found.added] == added
    assert [hours(time) for time in found.dropped] == dropped
    assert found.kept == kept


def test_side_that_is_cut_bounds_the_comparison_and_says_so() -> None:
    cut = Fires(times=[START + timedelta(seconds=second) for second in range(1, 11)], until=START + timedelta(seconds=10))
    found = compare(at(1), cut, START, END)
    assert (len(found.added), found.dropped, found.cut) == (10, [], True)
    lines = move_lines(found)
    assert lines[0] == "next 10s (it fires too often to compare 30 days): 10 added"
    assert lines[-1].strip() == "… and 7 more"


def test_moves_are_listed_with_local_times() -> None:
    lines = move_lines(compare(at(9, 33), at(10, 34), START, END))
    assert lines == [
        "next 30 days: 2 moved",
        "  moves Thu 2026-01-01 09:00:00+0000 → 10:00:00",
        "        Fri 2026-01-02 09:00:00+0000 → 10:00:00",
    ]
    assert move_data(compare(at(), at(), START, END))["moved"] == 0
    assert move_lines(compare(at(), at(), START, END)) == ["next 30 days: no occurrence"]
