"""What the parts of an explanation share: the record, read once, and how to speak of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from schedd.core.explaining.absences import Absences
from schedd.core.explaining.life import Life, Standing
from schedd.core.explaining.record import Present, Record
from schedd.core.explaining.wording import Wording, actor, shown
from schedd.core.model.execution import Cause, Execution
from schedd.core.model.explanation import Explanation
from schedd.core.model.journal import Evidence, JournalEntry, JournalKind
from schedd.core.model.reason import Reason
from schedd.core.model.schedule import ScheduleState
from schedd.core.triggers import Candidates, Effect, Instant

_BY_RULE: Final = frozenset({Cause.SCHEDULE, Cause.BACKFILL})
"""The causes of executions that are of an occurrence of the rule."""


_RANGES: Final = frozenset({JournalKind.OCCURRENCES_MISSED, JournalKind.OCCURRENCES_SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is kept of one execution: its row, or, where that is gone, the journal's entries alone."""

    execution_id: int
    nominal_us: int
    row: Execution | None
    entries: tuple[JournalEntry, ...]

    def last(self, kind: JournalKind) -> JournalEntry | None:
        """The newest entry of that kind."""
        return next((entry for entry in reversed(self.entries) if entry.kind is kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstance:
    """Something that bears on an occurrence, in words, and what proves it."""

    words: str
    entries: tuple[JournalEntry, ...] = ()
    evidence: Mapping[str, int] = field(default_factory=dict)


class Context:
    """One schedule's record, read."""

    def __init__(self, record: Record, present: Present) -> None:
        schedule = record.schedule
        self.record = record
        self.present = present
        self.schedule = schedule
        self.wording = Wording(schedule.when.time_zone)
        self.life = Life(record)
        self.absences = Absences(record, self.wording)
        self.candidates = Candidates(schedule.when, created_us=schedule.created_us, seed=schedule.uid, calendars=record.calendars)
        self.told, self.taken_back = _told(record)
        self.ranges = [entry for entry in record.life if entry.kind in _RANGES]

    @property
    def now_us(self) -> int:
        """The instant of the explanation."""
        return self.present.now_us

    def why_late(self, nominal_us: int, decided_us: int) -> Circumstance | None:
        """Why an occurrence was decided only later: the daemon was away, or the schedule was paused."""
        absence = self.absences.between(nominal_us, decided_us)
        if absence is not None:
            evidence = {"absent_from_us": absence.from_us, "absent_until_us": absence.until_us}
            return Circumstance(words=absence.words, entries=absence.entries, evidence=evidence)
        if nominal_us <= self.schedule.created_us:
            return None
        standing = self.life.at(nominal_us)
        if standing.state is ScheduleState.PAUSED and standing.until_us <= decided_us:
            return Circumstance(words=self.paused(standing), entries=proof(standing))
        return None

    def paused(self, standing: Standing) -> str:
        """A pause in words: since when, by whom, why, and until when."""
        on = self.wording.on
        began, ended, pause = standing.began, standing.ended, self.schedule.pause
        if began is not None:
            since, by = on(began.time_us), _by(actor(began.actor), str(began.evidence.get("detail", "")))
        elif ended is None and pause is not None:
            since, by = on(pause.since_us), _by(actor(pause.actor), pause.reason)
        else:
            since, by = "before the journal begins", ""
        if ended is not None:
            how = "it ended by itself" if ended.reason is Reason.ENDED else f"{actor(ended.actor)} {ended_by(ended)} it"
            return f"the schedule was paused from {since}{by} to {on(ended.time_us)}, when {how}"
        until = f"until {on(pause.until_us)}" if pause is not None and pause.until_us is not None else "until somebody resumes it"
        return f"the schedule is paused since {since}{by}, {until}"

    def recorded(self, t_us: int, reasons: Collection[Reason]) -> JournalEntry | None:
        """The newest range with one of these reasons that an instant lies in."""
        within = (entry for entry in reversed(self.ranges) if int(entry.evidence["first_us"]) <= t_us <= int(entry.evidence["last_us"]))
        return next((entry for entry in within if entry.reason in reasons), None)

    def instant(self, nominal_us: int) -> Instant | None:
        """The candidate at a time at which the rule of now held and yields one."""
        if nominal_us <= self.life.rule_from_us or self.candidates.next_after(nominal_us - 1) != nominal_us:
            return None
        return self.candidates.instant(nominal_us)


def _by(name: str, detail: str) -> str:
    return f" by {name}" + (f" ({detail})" if detail else "")


def ended_by(entry: JournalEntry) -> str:
    """What somebody did to a schedule: `resumed`, `restored`, `changed`."""
    match entry.kind:
        case JournalKind.SCHEDULE_UNDELETED:
            return "restored"
        case JournalKind.SCHEDULE_UPDATED:
            return "changed"
        case _:
            return entry.kind.removeprefix("SCHEDULE_").lower()


def _told(record: Record) -> tuple[dict[int, list[Told]], dict[int, JournalEntry]]:
    """The executions of occurrences by nominal time, and the newest taking back of those that were taken back and not armed again."""
    entries: dict[int, list[JournalEntry]] = {}
    for entry in record.entries:
        if entry.execution is not None and entry.execution.cause in _BY_RULE:
            entries.setdefault(entry.execution.id, []).append(entry)
    rows = {row.id: row for row in record.executions if row.cause in _BY_RULE}
    told: dict[int, list[Told]] = {}
    taken_back: dict[int, JournalEntry] = {}
    for execution_id in sorted(rows.keys() | entries.keys()):
        row, own = rows.get(execution_id), entries.get(execution_id, [])
        if row is None and own[-1].kind is JournalKind.EXECUTION_DISARMED:
            facts = own[-1].execution
            assert facts is not None, "only entries about executions are here"
            taken_back[facts.nominal_us] = own[-1]
            continue
        nominal_us = row.nominal_us if row is not None else _nominal_us(own)
        told.setdefault(nominal_us, []).append(Told(execution_id=execution_id, nominal_us=nominal_us, row=row, entries=tuple(own)))
    return told, taken_back


def _nominal_us(entries: Sequence[JournalEntry]) -> int:
    facts = entries[0].execution
    assert facts is not None, "only entries about executions are here"
    return facts.nominal_us


def proof(standing: Standing) -> tuple[JournalEntry, ...]:
    """The entries that began and ended a standing."""
    return tuple(entry for entry in (standing.began, standing.ended) if entry is not None)


_EFFECT_WORDS: Final = {
    Effect.MOVED_AFTER_GAP: "its local time does not exist that day, so it runs right after the gap",
    Effect.FIRST_OF_REPEATED: "its local time comes twice that day, and this is the first",
    Effect.SECOND_OF_REPEATED: "its local time comes twice that day, and this is the second",
    Effect.CALENDAR_SHIFTED: "a calendar moved it here from another day",
}


def effect_words(instant: Instant | None) -> tuple[str, ...]:
    """What clock changes and calendars did to an occurrence that runs."""
    return () if instant is None else tuple(_EFFECT_WORDS[effect] for effect in instant.effects if effect in _EFFECT_WORDS)


def enriched(explanation: Explanation, tails: Iterable[str], circumstances: Iterable[Circumstance] = ()) -> Explanation:
    """The explanation with what else bears on it: in its sentence, its evidence and its entries."""
    sentence = explanation.summary
    evidence: Evidence = explanation.evidence
    entries = {entry.sequence: entry for entry in explanation.entries}
    for circumstance in circumstances:
        sentence += f"; {circumstance.words}"
        evidence = {**evidence, **circumstance.evidence}
        entries |= {entry.sequence: entry for entry in circumstance.entries}
    for tail in tails:
        sentence += f"; {tail}"
    ordered = tuple(entries[sequence] for sequence in sorted(entries))
    return replace(explanation, summary=f"{sentence}.", evidence=shown(evidence), entries=ordered)
