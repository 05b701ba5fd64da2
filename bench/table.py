"""The one table: each figure of schedd beside a limit or a peer that was measured in the same run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HEAD = ("what", "unit", "schedd", "beside it", "", "ratio", "by CPU", "wanted", "reached")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the ratio is to be: at least this much where more is better, at most this much where less is."""

    ratio: float
    at_least: bool

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.ratio:.3g}"

    def holds(self, ratio: float) -> bool:
        return ratio >= self.ratio if self.at_least else ratio <= self.ratio


def at_least(ratio: float) -> Wanted:
    return Wanted(ratio=ratio, at_least=True)


def at_most(ratio: float) -> Wanted:
    return Wanted(ratio=ratio, at_least=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of schedd and one of something else, in the same unit. Without `wanted` it is there to be known.

    `by_cpu` is the same ratio made of the CPU time that one piece of work took each side: it stands still when the machine is shared.
    """

    what: str
    unit: str
    schedd: float
    beside: str
    other: float
    wanted: Wanted | None = None
    by_cpu: float | None = None

    @property
    def ratio(self) -> float:
        """The figure of schedd to the other one."""
        if self.other:
            return self.schedd / self.other
        return float("inf") if self.schedd else 0.0

    @property
    def reached(self) -> bool | None:
        """Whether the ratio is as wanted; None where nothing is."""
        return None if self.wanted is None else self.wanted.holds(self.ratio)

    def cells(self) -> tuple[str, ...]:
        """What the table shows."""
        return (
            self.what,
            self.unit,
            number(self.schedd),
            self.beside,
            number(self.other),
            f"{self.ratio:.3g}",
            "" if self.by_cpu is None else f"{self.by_cpu:.3g}",
            "" if self.wanted is None else str(self.wanted),
            {None: "", True: "yes", False: "no"}[self.reached],
        )


def number(value: float) -> str:
    """Three digits that count, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:.3g}"


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """The table's lines, in Markdown."""
    cells = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    texts = [0, 1, 3]
    for index, line in enumerate(cells):
        padded = (
            cell.ljust(width) if at in texts else cell.rjust(width) for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield f"| {' | '.join(padded)} |"
        if index == 0:
            marks = ("-" * width if at in texts else "-" * (width - 1) + ":" for at, width in enumerate(widths))
            yield f"| {' | '.join(marks)} |"
