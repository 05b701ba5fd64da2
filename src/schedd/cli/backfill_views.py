"""Backfills as people read them: a table's row, the facts of one, and its progress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from schedd.cli.names import short_name
from schedd.cli.output import Output, View
from schedd.cli.spans import glance_text, instant_text
from schedd.cli.tables import Cell, Column
from schedd.cli.views import coloured, fact_lines, instant, word
from schedd.v1.policy_pb2 import Overlap
from schedd.v1.schedule_pb2 import Backfill, BackfillState

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE_EVERY = timedelta(seconds=5)


def backfill_id(name: str) -> str:
    """The last part of a backfill's name."""
    return name.rsplit("/", 1)[-1]


def backfills_view(now: datetime) -> View[Backfill]:
    """Backfills as a table."""
    return View(
        name=lambda backfill: backfill.name,
        columns=[
            Column(title="ASKED"),
            Column(title="STATE"),
            Column(title="DONE", right=True),
            Column(title="FAILED", right=True, rank=2),
            Column(title="SKIPPED", right=True, rank=3),
            Column(title="FROM", rank=4),
            Column(title="TO", rank=5),
            Column(title="SCHEDULE", elastic=True),
            Column(title="BACKFILL", rank=1),
        ],
        row=lambda backfill: _row(backfill, now),
        empty="no backfills",
    )


def _row(backfill: Backfill, now: datetime) -> Sequence[Cell]:
    return [
        Cell(glance_text(instant(backfill.create_time), now)),
        coloured(word(BackfillState, backfill.state)),
        Cell(f"{backfill.done_count}/{backfill.total_count}"),
        Cell(str(backfill.failed_count or "")),
        Cell(str(backfill.skipped_count or "")),
        Cell(glance_text(instant(backfill.start_time), now)),
        Cell(glance_text(instant(backfill.end_time), now)),
        Cell(short_name(backfill.name)),
        Cell(backfill_id(backfill.name)),
    ]


def backfill_lines(backfill: Backfill) -> list[str]:
    """All about one backfill."""
    facts = [
        ("backfill", backfill_id(backfill.name)),
        ("schedule", short_name(backfill.name)),
        ("state", word(BackfillState, backfill.state)),
        ("progress", counts_text(backfill)),
        ("from", instant_text(instant(backfill.start_time))),
        ("to", instant_text(instant(backfill.end_time))),
        ("overlap", word(Overlap, backfill.overlap)),
        ("rate", f"at most {backfill.rate_per_second:g} a second"),
        ("asked for", f"{instant_text(instant(backfill.create_time))} by {backfill.actor}"),
    ]
    if backfill.HasField("finish_time"):
        facts.append(("ended", instant_text(instant(backfill.finish_time))))
    return fact_lines(facts)


def counts_text(backfill: Backfill) -> str:
    """`12 of 40 done, 1 failed, 2 skipped`."""
    parts = [f"{backfill.done_count} of {backfill.total_count} done"]
    parts += [f"{count} {what}" for count, what in ((backfill.failed_count, "failed"), (backfill.skipped_count, "skipped")) if count]
    return ", ".join(parts)


class Shown(Protocol):
    """Shows how far a backfill is."""

    def __call__(self, backfill: Backfill) -> None:
        """Show it as it stands now."""


@contextmanager
def progress(out: Output, *, in_terminal: bool) -> Iterator[Shown]:
    """A bar where a person looks at a terminal; else a line on stderr now and then."""
    if out.quiet:
        yield lambda backfill: None
    elif in_terminal:
        with _bar() as bar:
            yield _Bar(bar)
    else:
        yield _Lines(out)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rest]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))


class _Bar:
    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None

    def __call__(self, backfill: Backfill) -> None:
        rest = counts_text(backfill).partition(", ")[2]
        if self._task is None:
            self._task = self._bar.add_task(short_name(backfill.name), total=backfill.total_count, rest=rest)
        self._bar.update(self._task, completed=backfill.done_count, rest=rest)


class _Lines:
    def __init__(self, out: Output) -> None:
        self._out = out
        self._next_s = 0.0
        self._last = ""

    def __call__(self, backfill: Backfill) -> None:
        text, ended = counts_text(backfill), backfill.state != BackfillState.BACKFILL_STATE_RUNNING
        if text != self._last and (ended or monotonic() >= self._next_s):
            self._last, self._next_s = text, monotonic() + _LINE_EVERY.total_seconds()
            self._out.note(f"{short_name(backfill.name)}: {text}")
