from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from schedd.cli.tables import Cell, Column, printable, shortened, table_lines

COLUMNS = (Column(title="NEXT"), Column(title="LEFT", right=True, rank=1), Column(title="NAME", elastic=True), Column(title="MORE", rank=2))
ROWS = [[Cell("06:00:00"), Cell("5m"), Cell("a-rather-long-name-of-a-schedule"), Cell("something else")]]


def test_pipe_gets_everything() -> None:
    assert table_lines(COLUMNS, ROWS) == [
        "NEXT      LEFT  NAME                              MORE",
        "06:00:00    5m  a-rather-long-name-of-a-schedule  something else",
    ]


def test_narrow_terminal_loses_the_columns_of_highest_rank_and_shortens() -> None:
    assert table_lines(COLUMNS, ROWS, width=46) == ["NEXT      LEFT  NAME", "06:00:00    5m  a-rather-long-name-of-a-sched…"]
    assert table_lines(COLUMNS, ROWS, width=32) == ["NEXT      NAME", "06:00:00  a-rather-long-name-of…"]
    assert table_lines(COLUMNS, ROWS, width=24) == ["NEXT      NAME", "06:00:00  a-rather-long…"]


@given(st.integers(24, 200), st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_no_line_is_wider_than_the_terminal(width: int, names: list[str]) -> None:
    rows = [[Cell("06:00:00"), Cell("5m"), Cell(name), Cell("x" * 20)] for name in names]

    assert all(cell_len(line) <= width for line in table_lines(COLUMNS, rows, width=width))


def test_colours_come_only_where_they_are_wanted() -> None:
    rows = [[Cell("failed", "red")]]

    assert table_lines(COLUMNS[:1], rows)[1] == "failed"
    assert "\x1b[31mfailed" in table_lines(COLUMNS[:1], rows, styled=True)[1]


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[31m\nb") == "a [31m b"


def test_wide_characters_are_counted_by_cells() -> None:
    assert shortened("日本語の名前", 7) == "日本語…"
