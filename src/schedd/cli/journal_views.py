"""How journal entries look to people: rows of a table, with their reasons in words and their evidence readable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from schedd.cli.names import short_name
from schedd.cli.output import View
from schedd.cli.spans import glance_text, instant_text
from schedd.cli.tables import Cell, Column
from schedd.cli.views import NOTHING, event_cell, instant, word
from schedd.core.model.execution import id_text
from schedd.core.model.reason import Reason as ReasonWord
from schedd.core.reason_sentences import SENTENCES
from schedd.v1.journal_pb2 import JournalEntry
from schedd.v1.reason_pb2 import Reason

_SAYS_NOTHING = frozenset({"UNSPECIFIED", "COMPLETED"})
_EXECUTIONS = frozenset({"blocking_execution"})
_INSTANTS = frozenset({"first_us", "last_us", "next_attempt_us", "probe_us", "until_us", "old_us", "new_us"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def journal_view(now: datetime) -> View[JournalEntry]:
    """Journal entries as a table."""
    return View(
        name=lambda entry: str(entry.sequence),
        columns=[
            Column(title="SEQUENCE", right=True, rank=2),
            Column(title="TIME"),
            Column(title="WHAT"),
            Column(title="WHY", rank=1),
            Column(title="SCHEDULE", elastic=True),
            Column(title="BY", elastic=True, rank=3),
            Column(title="EVIDENCE", elastic=True, rank=4),
            Column(title="THAT IS", elastic=True, rank=5),
        ],
        row=lambda entry: _journal_row(entry, now),
        empty="the journal has nothing of that",
    )


def _journal_row(entry: JournalEntry, now: datetime) -> Sequence[Cell]:
    reason = word(Reason, entry.reason)
    return [
        Cell(str(entry.sequence)),
        Cell(glance_text(instant(entry.time), now)),
        event_cell(entry),
        Cell(NOTHING if reason in _SAYS_NOTHING else reason.lower()),
        Cell(short_name(entry.schedule) or NOTHING),
        Cell(entry.actor),
        Cell(" ".join(f"{key}={_readable(key, value)}" for key, value in sorted(entry.evidence.items())) or NOTHING),
        Cell(NOTHING if reason in _SAYS_NOTHING else sentence_of(reason)),
    ]


def sentence_of(reason: str) -> str:
    """What a reason means; nothing for one that this client does not know."""
    return SENTENCES[ReasonWord(reason)] if reason in ReasonWord.__members__ else NOTHING


def _readable(key: str, value: str) -> str:
    """A fact as people read it: executions by their ids, instants as times."""
    if not value.isdigit():
        return value
    if key in _EXECUTIONS:
        return id_text(int(value))
    return instant_text(_EPOCH + timedelta(microseconds=int(value)), UTC) if key in _INSTANTS else value
