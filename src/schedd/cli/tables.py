"""Tables for people: as wide as they need to be in a pipe, fitted to a terminal by shortening and leaving out columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_GAP = "  "
_NARROWEST = 12
_COMFORTABLE = 28
"""How wide an elastic column that always stays may be before others go for it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Some text and the colour it has on a terminal (a name that click knows, empty for none)."""

    text: str
    colour: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    `rank` 0 stays on every terminal; of the others the highest goes first. `elastic` columns are cut with an ellipsis before any
    column goes. `right` aligns numbers and times.
    """

    title: str
    rank: int = 0
    elastic: bool = False
    right: bool = False


def table_lines(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, width: int | None = None, styled: bool = False, header: bool = True
) -> list[str]:
    """The lines of a table, no wider than `width` terminal cells (None: as wide as they need to be)."""
    from rich.cells import cell_len

    natural = [max([cell_len(column.title), *(cell_len(row[index].text) for row in rows)]) for index, column in enumerate(columns)]
    kept, widths = _fit(columns, natural, width)
    lines = []
    if header:
        lines.append(_line([Cell(columns[index].title, "bold") for index in kept], [columns[index] for index in kept], widths, styled))
    lines.extend(_line([row[index] for index in kept], [columns[index] for index in kept], widths, styled) for row in rows)
    return lines


def _fit(columns: Sequence[Column], natural: Sequence[int], width: int | None) -> tuple[list[int], list[int]]:
    kept = list(range(len(columns)))
    if width is None:
        return kept, list(natural)
    while _comfortable(columns, natural, kept) > width and any(columns[index].rank for index in kept):
        kept.remove(max(kept, key=lambda index: columns[index].rank))
    room = width - len(_GAP) * (len(kept) - 1)
    spare = room - sum(_floor(columns[index], natural[index]) for index in kept)
    widths = []
    for index in kept:
        floor = _floor(columns[index], natural[index])
        extra = max(0, min(natural[index] - floor, spare))
        spare -= extra
        widths.append(floor + extra)
    return kept, widths


def _comfortable(columns: Sequence[Column], natural: Sequence[int], kept: Sequence[int]) -> int:
    stays = [min(natural[index], _COMFORTABLE) if columns[index].rank == 0 else _floor(columns[index], natural[index]) for index in kept]
    elastic = [stay if columns[index].elastic else natural[index] for stay, index in zip(stays, kept, strict=True)]
    return sum(elastic) + len(_GAP) * (len(kept) - 1)


def _floor(column: Column, natural: int) -> int:
    return min(natural, _NARROWEST) if column.elastic else natural


def _line(cells: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int], styled: bool) -> str:
    parts = [_padded(cell, column, width, styled) for cell, column, width in zip(cells, columns, widths, strict=True)]
    return _GAP.join(parts).rstrip()


def _padded(cell: Cell, column: Column, width: int, styled: bool) -> str:
    from rich.cells import cell_len

    text = shortened(printable(cell.text), width)
    padding = " " * (width - cell_len(text))
    shown = painted(text, cell.colour) if styled else text
    return padding + shown if column.right else shown + padding


def painted(text: str, colour: str) -> str:
    """`text` in a colour that click knows, or `bold`, or `dim`."""
    import click

    match colour:
        case "":
            return text
        case "bold":
            return click.style(text, bold=True)
        case "dim":
            return click.style(text, dim=True)
        case _:
            return click.style(text, fg=colour)


def printable(text: str) -> str:
    """`text` on one line, without the control characters that could steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def shortened(text: str, width: int) -> str:
    """`text`, cut with an ellipsis where it is wider than `width` terminal cells."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)).rstrip() + "…"
